"""The summary that ends a run: what came in, what was dropped and why, what came out, and where."""

import math
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from rich.console import Console
from rich.table import Table

from mixtures.expressions import ELIGIBLE
from mixtures.spec import REDACTABLE
from pipelines.deduplicate.found import duplicates_found
from pipelines.driver import RunResult
from pipelines.mix.judge import VALIDATION
from pipelines.report.models import made_facts
from pipelines.report.origins import count_left
from pipelines.workspace.ledger import Entry

_LANGUAGES_SHOWN = 12
_REASONS_SHOWN = 8
_NOT_WRITTEN = {
    "emptied": "cuts leave nothing of the text",
    "rejected": "the tokenizer died on the text; ledger entries of the shards name the documents",
}
"""Count of a shard -> why these draws are not in it."""


def print_summary(
    console: Console,
    result: RunResult,
    seconds: Mapping[str, float],
    report: str | None = None,
) -> None:
    """Prints the summary of a run from the ledger.

    Args:
        console: Where to.
        result: The run.
        seconds: Stage title -> wall-clock seconds.
        report: Where its report stands.
    """
    console.print()
    _print_crawl(console, result)
    _print_input(console, result)
    _print_made(console, result)
    _print_labels(console, result)
    if result.shards:
        _print_stages(console, result)
        _print_languages(console, result)
    _print_where(console, result, seconds, report)


def _entries(result: RunResult) -> Iterator[Entry]:
    ledger = result.workspace.ledger
    for source, generation in sorted(result.extract.items()):
        yield from ledger.entries(generation, source)


def _print_crawl(console: Console, result: RunResult) -> None:
    assert result.record is not None
    table = Table(box=None, pad_edge=False)
    for name in ("crawl", "addresses", "fetched", "not fetched"):
        table.add_column(name, justify="left" if name == "crawl" else "right", no_wrap=True)
    table.add_column("why not")
    for source, generation in result.record.crawl.items():
        counts: Counter[str] = Counter()
        reasons: Counter[str] = Counter()
        for entry in result.workspace.ledger.entries(generation, source):
            counts.update(entry.counts)
            reasons.update(entry.detail["reasons"])
        numbers = (f"{counts[name]:,}" for name in ("asked", "fetched", "not_fetched"))
        table.add_row(source, *numbers, _reasons(reasons))
    if table.row_count:
        _show(console, "What was fetched", table)
    for source, generation in result.record.crawl.items():
        left = count_left(result.workspace, {source: generation})
        if left:
            console.print(
                f"note: {left:,} more addresses of {source} are known and were not asked for: "
                "max_pages or max_pages_per_host is reached\n",
                highlight=False,
            )


def _print_input(console: Console, result: RunResult) -> None:
    totals: Counter[str] = Counter()
    details: dict[str, Counter[str]] = {"rejects": Counter(), "not_asked": Counter()}
    for entry in _entries(result):
        totals.update(entry.counts)
        for kind, reasons in details.items():
            reasons.update(entry.detail[kind])
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    table.add_column("records", justify="right")
    table.add_column("why")
    table.add_row("records read", f"{totals['records']:,}", f"from {', '.join(result.extract)}")
    table.add_row("documents", f"{totals['documents']:,}", "")
    table.add_row("rejected", f"{totals['rejects']:,}", _reasons(details["rejects"]))
    table.add_row("not asked for", f"{totals['not_asked']:,}", _reasons(details["not_asked"]))
    if totals["pages"]:
        kinds = {name: totals[f"pages_{name}"] for name in ("text", "ocr", "blank", "rejected")}
        table.add_row("PDF pages", f"{totals['pages']:,}", _reasons(kinds))
    _show(console, "What came in", table)
    if not totals["documents"]:
        console.print("note: no document came in; the reasons stand above\n", highlight=False)


def _print_made(console: Console, result: RunResult) -> None:
    """What models made, and what of it was kept."""
    assert result.record is not None
    made = made_facts(result.workspace, result.record)
    if not made:
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("source", overflow="fold")
    for name in ("units", "accepted", "tokens", "kept", "money"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("rejected because")
    for one in made:
        counted = (one.counts.get(name) for name in ("units", "accepted"))
        numbers = ["" if count is None else f"{count:,}" for count in counted]
        cost = one.cost
        if cost is None:
            told = ["", "", ""]
        else:
            tokens = (cost.completion_tokens, cost.accepted_tokens)
            told = [*(f"{count:,}" for count in tokens), one.spent if cost.has_price else ""]
        table.add_row(one.name, *numbers, *told, _reasons(one.reasons))
    _show(console, "What models made", table)


def _print_labels(console: Console, result: RunResult) -> None:
    """What annotators and deduplication found, by the values that decide most mixtures."""
    columns = ("quality_keep", "quality_reason", "language", "topic", "benchmark")
    values = {name: Counter[str]() for name in columns}
    personal: Counter[str] = Counter()
    failed = 0
    ledger = result.workspace.ledger
    for source, generations in result.annotate.items():
        for generation in generations:
            for entry in ledger.entries(generation, source):
                failed = max(failed, entry.counts["failed"])
                for column, counts in entry.detail["values"].items():
                    values.setdefault(column, Counter()).update(counts)
                personal.update(entry.detail["spans"].get("pii", {}))
    table = Table(box=None, pad_edge=False)
    table.add_column("label")
    table.add_column("documents")
    reasons = values["quality_reason"]
    if reasons:
        reasons.pop("", None)
        kept = {"kept": values["quality_keep"]["true"]}
        table.add_row("quality", ", ".join(filter(None, (_reasons(kept), _reasons(reasons)))))
    for row in _duplicate_rows(result):
        table.add_row(*row)
    if values["language"]:
        values["language"].pop("", None)
        known = sum(1 for name in values["language"] if name != "und")
        table.add_row("language", f"{known} languages: {_reasons(values['language'])}")
    for name in ("topic", "benchmark"):
        values[name].pop("", None)
    if values["topic"]:
        table.add_row("topic", _reasons(values["topic"]))
    if personal:
        table.add_row("personal data", f"{_reasons(personal)} (spans)")
    if values["benchmark"]:
        table.add_row("quotes of", f"{_reasons(values['benchmark'])} (documents)")
    if failed:
        table.add_row("not labelled", f"{failed:,} in one part, listed in rejects/annotate...")
    _show(console, "What the labels say", table)


def _duplicate_rows(result: RunResult) -> Iterator[tuple[str, str]]:
    """Duplicates by role and by level, pairs that were not looked at, and repeated passages."""
    labels = {name: made.name for name, made in result.labels.items()}
    found = duplicates_found(result.workspace.ledger, result.duplicates.labels.name, labels)
    yield "duplicates", _reasons(found.roles)
    if found.levels:
        yield "  by level", _reasons(found.levels)
    if found.pairs_skipped:
        yield "  pairs skipped", f"{found.pairs_skipped:,} in crowded buckets"
    for name, spans in found.spans.items():
        yield name, f"{spans.documents:,}: {spans.spans:,} passages, {spans.share:.1%} of the text"


def _print_stages(console: Console, result: RunResult) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("mixture", no_wrap=True)
    table.add_column("sequence", justify="right")
    for name in ("documents", "draws", "tokens", "expected", "padding"):
        table.add_column(name, justify="right", no_wrap=True)
    left_out = Table(box=None, pad_edge=False, show_header=False)
    for plan in result.plans:
        for stage in plan.stages.values():
            counts = _stage_counts(result, plan.mixture, stage.name)
            entries = _shard_entries(result, plan.mixture, stage.name)
            sigma = math.sqrt(sum(entry.detail["variance"] for entry in entries))
            reasons = Counter(plan.reasons[stage.name])
            reasons.pop(ELIGIBLE, None)
            name = plan.mixture if len(plan.stages) == 1 else f"{plan.mixture}/{stage.name}"
            table.add_row(
                name,
                f"{stage.sequence_length:,}",
                f"{counts['documents']:,}",
                f"{counts['draws']:,}",
                f"{counts['tokens'] - counts['padding']:,}",
                f"{plan.solved[stage.name].num_tokens:,.0f} ± {sigma:,.0f}",
                f"{counts['padding'] / max(1, counts['tokens']):.1%}",
            )
            left_out.add_row(name, _reasons(reasons))
    _show(console, "What came out", table)
    _show(console, "Left out, and why", left_out)
    _print_emptied(console, result)
    _print_held_out(console, result)
    for plan in result.plans:
        for stage in plan.stages.values():
            left = [kind for kind in REDACTABLE if kind not in stage.redact]
            if left:
                console.print(
                    f"note: {plan.mixture}/{stage.name} leaves personal data as it is: "
                    f"{', '.join(left)}; its key `redact` cuts it",
                    highlight=False,
                )


def _print_emptied(console: Console, result: RunResult) -> None:
    """Draws that the plan counts and the shards do not hold."""
    for plan in result.plans:
        for stage in plan.stages:
            counts = _stage_counts(result, plan.mixture, stage)
            for name, why in _NOT_WRITTEN.items():
                if number := counts[name]:
                    console.print(
                        f"note: {plan.mixture}/{stage}: {number:,} "
                        f"{'draw' if number == 1 else 'draws'} not written, because {why}",
                        highlight=False,
                    )


def _print_held_out(console: Console, result: RunResult) -> None:
    for plan in result.plans:
        for stage in plan.stages:
            shards = _shard_entries(result, plan.mixture, stage, held_out=True)
            counts = [(entry.counts["documents"], entry.counts["tokens"]) for entry in shards]
            if counts:
                documents, tokens = map(sum, zip(*counts, strict=True))
                console.print(
                    f"validation: {plan.mixture}/{stage} holds {documents:,} "
                    f"{'document' if documents == 1 else 'documents'} ({tokens:,} tokens) apart, "
                    f"in {stage}/validation/",
                    highlight=False,
                )


def _shard_entries(
    result: RunResult, mixture: str, stage: str, *, held_out: bool = False
) -> Iterable[Entry]:
    for job in result.shards:
        if (job.plan.mixture, job.stage) == (mixture, stage):
            for entry in result.workspace.ledger.entries(job.generation, stage):
                if (entry.detail["split"] == VALIDATION) == held_out:
                    yield entry


def _stage_counts(result: RunResult, mixture: str, stage: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    for entry in _shard_entries(result, mixture, stage):
        counts.update(entry.counts)
    return counts


def _print_languages(console: Console, result: RunResult) -> None:
    """Tokens by stage and language, the largest languages first."""
    stages = [(plan.mixture, stage) for plan in result.plans for stage in plan.stages]
    tokens: dict[tuple[str, str], Counter[str]] = {}
    for mixture, stage in stages:
        sums = tokens.setdefault((mixture, stage), Counter())
        for entry in _shard_entries(result, mixture, stage):
            sums.update(entry.detail["tokens_by_language"])
    total: Counter[str] = Counter()
    for sums in tokens.values():
        total.update(sums)
    table = Table(box=None, pad_edge=False)
    table.add_column("language")
    for mixture, stage in stages:
        alone = [name for name, _ in stages].count(mixture) == 1
        table.add_column(mixture if alone else f"{mixture}/{stage}", justify="right")
    shown = [language for language, _ in total.most_common(_LANGUAGES_SHOWN)]
    for language in shown:
        table.add_row(language, *(f"{tokens[place][language]:,}" for place in stages))
    rest = [language for language in total if language not in shown]
    if rest:
        others = (f"{sum(tokens[place][name] for name in rest):,}" for place in stages)
        table.add_row(f"{len(rest)} more", *others)
    _show(console, "Tokens by language", table)


def _print_where(
    console: Console, result: RunResult, seconds: Mapping[str, float], report: str | None
) -> None:
    say = console.print
    if seconds:
        parts = ", ".join(f"{title.lower()} {taken:.1f} s" for title, taken in seconds.items())
        say(f"Time: {parts}.", highlight=False, soft_wrap=True)
    url = result.workspace.url
    if result.shards:
        say("Shards (Megatron .bin and .idx, with a document map beside each):", highlight=False)
    for job in result.shards:
        say(f"  {url}/{job.folder}/", highlight=False, soft_wrap=True)
    assert result.record is not None
    for model, folder in result.record.launch.items():
        say(f"Scripts that train {model} on them:", highlight=False)
        say(f"  {url}/{folder}/", highlight=False, soft_wrap=True)
    say(f"Models: {result.record.models}.", highlight=False, soft_wrap=True)
    if report is not None:
        say("Report, for a browser:", highlight=False)
        say(f"  {report}", highlight=False, soft_wrap=True)
    quoted = shlex.quote(url)
    say("Next:", highlight=False)
    for line in (
        f"tokenmill audit {quoted}            is every record accounted for?",
        f"tokenmill trace {quoted} WHAT       where did a document, URL or token come from and go?",
        f"tokenmill status {quoted}           what is there",
    ):
        say(f"  {line}", highlight=False, soft_wrap=True)


def _reasons(reasons: Mapping[str, int]) -> str:
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    told = [f"{name} {count:,}" for name, count in ordered if count]
    more = f", {len(told) - _REASONS_SHOWN} more" if len(told) > _REASONS_SHOWN else ""
    return ", ".join(told[:_REASONS_SHOWN]) + more


def _show(console: Console, title: str, table: Table) -> None:
    """A table under its title; a title of the table itself would be wrapped to its width."""
    console.print(title, style="bold", highlight=False)
    console.print(table)
    console.print()

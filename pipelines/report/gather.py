"""Facts of a run from its workspace: run.json says which generations, the ledger says the rest.

Only small things are read: ledger entries (from their folds where there are any), plans, and the
footer of one labels part of each set, which tells counts from scores. No text and no labels row is
read here; texts are the business of `samples`.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.deduplicate.found import duplicates_found
from pipelines.mix.plan import read_plan
from pipelines.report.facts import (
    IN_REJECTED_FILES,
    Check,
    JobTime,
    LabelFacts,
    Losses,
    RunFacts,
    SourceFacts,
)
from pipelines.report.models import MadeFacts, made_facts
from pipelines.report.origins import count_kinds, count_left, read_origins
from pipelines.report.stages import stage_checks, stage_facts, tally_name
from pipelines.run_record import RunRecord, read_run_record
from pipelines.workspace.ledger import Entries, Entry
from pipelines.workspace.parts import open_part
from pipelines.workspace.workspace import Workspace

PAGES: Final = "pages"
PAGES_REJECTED: Final = "pages_rejected"
PAGE_REJECTS: Final = "page_rejects"
PAGE_KINDS: Final = ("pages_text", "pages_ocr", "pages_blank", PAGES_REJECTED)
"""What becomes of a page of a PDF-like file: it has a text layer, is read by OCR, is blank, or is
rejected."""
_ROLE: Final = "role."
_INTAKE: Final = ("records", "documents", "rejects", "not_asked")
_CRAWL: Final = ("asked", "fetched", "not_fetched")


def gather(workspace: Workspace) -> RunFacts:
    """Reads what a report says.

    Raises:
        LookupError: No run came to its end here.
    """
    record = read_run_record(workspace)
    ended = datetime.fromisoformat(record.finished_at)
    entries = {
        source: workspace.ledger.entries(name, source) for source, name in record.extract.items()
    }
    crawl = {s: workspace.ledger.entries(name, s) for s, name in record.crawl.items()}
    labels = {
        (source, name): workspace.ledger.entries(generation, source)
        for source, sets in record.annotate.items()
        for name, generation in sets.items()
    }
    overall = [workspace.ledger.entries(name) for name in record.labels.values()]
    duplicates: Sequence[Entry] = ()
    if record.duplicates:
        overall.append(duplicates := workspace.ledger.entries(record.duplicates))
    plans = {name: read_plan(workspace, folder) for name, folder in record.mixtures.items()}
    shards = {name: workspace.ledger.entries(record.shards[name]) for name in plans}
    tallies = {name: workspace.ledger.entries(tally_name(plan)) for name, plan in plans.items()}
    stages = tuple(
        stage_facts(plan, stage, workspace.ledger.entries(record.shards[name], stage))
        for name, plan in plans.items()
        for stage in plan.stages
    )
    intake = _losses(_flat(entries), _INTAKE, ("rejects", "not_asked", PAGE_REJECTS))
    synthesized = {s: workspace.ledger.entries(n, s) for s, n in record.synthesize.items()}
    made = made_facts(workspace, record)
    num_made = sum(one.counts.get("documents", 0) for one in made)
    everybody = replace(
        intake, counts={**intake.counts, "documents": intake.counts["documents"] + num_made}
    )
    kinds = count_kinds(itertools.chain(_flat(entries), _flat(synthesized)))
    facts = label_facts(workspace, labels)
    everything = {
        "crawl": crawl,
        "extract": entries,
        "synthesize": synthesized,
        "shards": shards,
        "tally": tallies,
    }
    listed = [some for groups in everything.values() for some in groups.values()]
    listed += [*labels.values(), *overall]
    crawled = None
    if crawl:
        lost = _losses(_flat(crawl), _CRAWL, ("reasons",))
        crawled = replace(lost, left=count_left(workspace, record.crawl))
    return RunFacts(
        corpus=record.corpus,
        finished_at=f"{ended:%Y-%m-%d %H:%M} UTC",
        code=tuple(sorted({e.code for some in listed for e in some if e.code})),
        models=record.models,
        tokenizer=_tokenizer(record),
        sources=tuple(_source_facts(name, some) for name, some in sorted(entries.items())),
        crawl=crawled,
        intake=intake,
        kinds=kinds,
        origins=read_origins(workspace, record),
        made=made,
        labels=facts,
        domain_model=any(o.get("model") for o in _options(workspace, record, facts, "topic")),
        benchmarks=_benchmarks(workspace, record, facts),
        duplicates=_roles(duplicates),
        found=duplicates_found(workspace.ledger, record.duplicates, record.labels)
        if record.duplicates
        else None,
        exact_only=_exact_only(workspace, record.duplicates),
        stages=stages,
        refused=dict(record.refused),
        wall=dict(record.seconds),
        jobs=tuple(_job_times(everything, labels, duplicates)),
        generations=tuple(_generations(listed)),
        checks=tuple(
            [
                *_crawl_checks(crawled, _records(entries, crawl)),
                *_intake_checks(intake),
                *_made_checks(made),
                *_kind_checks(everybody, kinds),
                *_label_checks(everybody, labels, facts, duplicates),
                *(check for stage in stages for check in stage_checks(stage, everybody)),
            ]
        ),
    )


def label_facts(
    workspace: Workspace, labels: Mapping[tuple[str, str], Sequence[Entry]]
) -> LabelFacts:
    """Sums of all labels.

    Args:
        workspace: Where the labels parts stand.
        labels: (source, labels set) -> its entries.
    """
    rows, failed, sums = Counter[str](), Counter[str](), _Sums()
    types: dict[str, str] = {}
    sets: dict[str, str] = {}
    for (_, name), entries in sorted(labels.items()):
        own = _column_types(workspace, entries)
        types |= own
        sets |= dict.fromkeys(own, name)
        for entry in entries:
            rows[name] += entry.counts["rows"]
            failed[name] += entry.counts.get("failed", 0)
            sums.add(entry, own)
    return LabelFacts(
        rows=dict(rows),
        values={column: dict(counts) for column, counts in sums.values.items()},
        histograms={column: dict(counts) for column, counts in sums.histograms.items()},
        spans={column: dict(counts) for column, counts in sums.spans.items()},
        sets=sets,
        types=types,
        incomplete=frozenset(sums.incomplete),
        failed=max(failed.values(), default=0),
    )


class _Sums:
    """Details of annotate entries, added up."""

    def __init__(self) -> None:
        self.values: dict[str, Counter[str]] = {}
        self.histograms: dict[str, Counter[int]] = {}
        self.spans: dict[str, Counter[str]] = {}
        self.incomplete: set[str] = set()

    def add(self, entry: Entry, types: Mapping[str, str]) -> None:
        detail = entry.detail
        for column, counts in detail.get("values", {}).items():
            self.values.setdefault(column, Counter()).update(counts)
        for column, bins in detail.get("histograms", {}).items():
            numbers = {int(number): count for number, count in bins.items()}
            self.histograms.setdefault(column, Counter()).update(numbers)
        for column, kinds in detail.get("spans", {}).items():
            self.spans.setdefault(column, Counter()).update(kinds)
        if entry.counts["rows"]:
            texts = {column for column, kind in types.items() if kind in ("text", "truth")}
            self.incomplete |= texts - set(detail.get("values", {}))


def _column_types(workspace: Workspace, entries: Sequence[Entry]) -> dict[str, str]:
    """Kinds of the columns of a labels set, from the footer of its first part."""
    if not entries:
        return {}
    with open_part(workspace.storage, entries[0].file("labels")) as file:
        schema = pq.ParquetFile(file).schema_arrow
    return {field.name: _kind(field.type) for field in schema if field.name != "id"}


def _kind(type_: pa.DataType) -> str:
    if pa.types.is_string(type_):
        return "text"
    if pa.types.is_boolean(type_):
        return "truth"
    if pa.types.is_integer(type_):
        return "count"
    if pa.types.is_floating(type_):
        return "score"
    return "spans" if pa.types.is_list(type_) else "other"


def _flat(groups: Mapping[Any, Iterable[Entry]]) -> Iterator[Entry]:
    return (entry for _, entries in sorted(groups.items()) for entry in entries)


def _losses(entries: Iterable[Entry], always: tuple[str, ...], kinds: tuple[str, ...]) -> Losses:
    """Sums of entries; the counts named in `always` are there without any entry."""
    counts: Counter[str] = Counter(dict.fromkeys(always, 0))
    reasons: dict[str, Counter[str]] = {kind: Counter() for kind in kinds}
    for entry in entries:
        counts.update(entry.counts)
        for kind in kinds:
            reasons[kind].update(entry.detail.get(kind, {}))
    return Losses(
        counts=dict(counts), reasons={kind: dict(found) for kind, found in reasons.items()}
    )


def _roles(duplicates: Iterable[Entry]) -> dict[str, int]:
    roles: Counter[str] = Counter()
    for entry in duplicates:
        found = {name: n for name, n in entry.counts.items() if name.startswith(_ROLE)}
        roles.update({name.removeprefix(_ROLE): n for name, n in found.items()})
    return dict(roles)


def _benchmarks(workspace: Workspace, record: RunRecord, labels: LabelFacts) -> tuple[str, ...]:
    """Names of the benchmarks in the options of the annotator that looked for them.

    An annotator of the user's own, without that option, stands for its benchmarks.
    """
    found: set[str] = set()
    for options in _options(workspace, record, labels, "benchmark"):
        given = options.get("benchmarks")
        names = (str(one["name"]) for one in given or ())
        found |= {labels.sets["benchmark"]} if given is None else set(names)
    return tuple(sorted(found))


def _options(
    workspace: Workspace, record: RunRecord, labels: LabelFacts, column: str
) -> Iterator[dict[str, Any]]:
    """Options of the annotator that writes a column, of every source."""
    name = labels.sets.get(column, "")
    for sets in record.annotate.values():
        if name in sets:
            annotator = workspace.ledger.payload(sets[name]).get("annotator", {})
            yield annotator.get("options", {})


def _exact_only(workspace: Workspace, generation: str) -> bool:
    """Whether a deduplication was of level `exact`, as its payload says."""
    return bool(generation) and workspace.ledger.payload(generation).get("level") == "exact"


def _source_facts(name: str, entries: Sequence[Entry]) -> SourceFacts:
    counts: Counter[str] = Counter()
    for entry in entries:
        counts.update(entry.counts)
    return SourceFacts(
        name=name,
        parts=len(entries),
        records=counts["records"],
        documents=counts["documents"],
        rejects=counts["rejects"],
        not_asked=counts["not_asked"],
        text_bytes=_text_bytes(entries),
    )


def _text_bytes(entries: Iterable[Entry]) -> int:
    return sum(int(entry.detail.get("text_bytes", 0)) for entry in entries)


def _tokenizer(record: RunRecord) -> str:
    pieces = [piece for piece in record.tokenizer.split("/") if piece]
    name = "/".join(pieces[-1:]) if pieces else "none"
    return f"{name} ({record.tokenizer_fingerprint[:8]})"


def _crawl_checks(crawl: Losses | None, read: int) -> list[Check]:
    if crawl is None:
        return []
    counts, lost = crawl.counts, sum(crawl.reasons["reasons"].values())
    terms = (("fetched", counts["fetched"]), ("not fetched", counts["not_fetched"]))
    checks = [
        _check("crawl", "crawl", ("asked", counts["asked"]), *terms),
        _check("crawl", "crawl", ("not fetched", counts["not_fetched"]), ("by reason", lost)),
    ]
    if "records" in counts:
        written = ("records fetched", counts["records"])
        checks.append(_check("crawl", "crawl", written, ("records read", read)))
    return checks


def _records(entries: Mapping[str, Sequence[Entry]], crawl: Mapping[str, Sequence[Entry]]) -> int:
    """Records that were read of the sources that are crawled."""
    return sum(entry.counts["records"] for source in crawl for entry in entries.get(source, ()))


def _intake_checks(intake: Losses) -> list[Check]:
    counts = intake.counts
    rejects, not_asked = counts.get("rejects", 0), counts.get("not_asked", 0)
    terms = (("documents", counts["documents"]), ("rejected", rejects), ("not asked", not_asked))
    checks = [_check("intake", "extract", ("records", counts["records"]), *terms)]
    for name, kind, total in (
        ("rejected", "rejects", rejects),
        ("not asked", "not_asked", not_asked),
    ):
        by_reason = sum(intake.reasons[kind].values())
        checks.append(_check("intake", "extract", (name, total), ("by reason", by_reason)))
    if counts.get(PAGES):
        kinds = tuple((kind, counts.get(kind, 0)) for kind in PAGE_KINDS)
        checks.append(_check("intake", "extract", (PAGES, counts[PAGES]), *kinds))
        rejected = counts.get(PAGES_REJECTED, 0)
        reasons = sum(intake.reasons[PAGE_REJECTS].values())
        # Pages of a file that was rejected as a whole may have no reason of their own.
        others = (IN_REJECTED_FILES, max(0, rejected - reasons))
        whole = (PAGES_REJECTED, rejected)
        checks.append(_check("intake", "extract", whole, ("by reason", reasons), others))
    return checks


def _made_checks(made: Sequence[MadeFacts]) -> list[Check]:
    """Units of every recipe, and its rejects by reason."""
    checks = []
    for one in (one for one in made if "units" in one.counts):
        counts = one.counts
        terms = (("accepted", counts["accepted"]), ("rejected", counts["rejected"]))
        checks.append(_check("models", one.name, ("units", counts["units"]), *terms))
        rejected = ("rejected", counts["rejected"])
        checks.append(
            _check("models", one.name, rejected, ("by reason", sum(one.reasons.values())))
        )
    return checks


def _kind_checks(intake: Losses, kinds: Mapping[str, int]) -> list[Check]:
    documents = ("documents", intake.counts["documents"])
    terms = tuple((kind or "not recorded", n) for kind, n in sorted(kinds.items()))
    return [_check("intake", "kinds", documents, *terms)] if kinds else []


def _label_checks(
    intake: Losses,
    labels: Mapping[tuple[str, str], Sequence[Entry]],
    facts: LabelFacts,
    duplicates: Sequence[Entry],
) -> list[Check]:
    documents = ("documents", intake.counts["documents"])
    checks = []
    for name in sorted({name for _, name in labels}):
        checks.append(_check("labels", name, documents, ("rows", facts.rows[name])))
    for column, values in sorted(facts.values.items()):
        if column not in facts.incomplete:
            rows = ("rows", facts.rows[facts.sets[column]])
            checks.append(_check("labels", column, rows, ("by value", sum(values.values()))))
    if duplicates:
        roles = sorted(_roles(duplicates).items())
        checks.append(_check("duplicates", "duplicates", documents, *roles))
    return checks


def _check(step: str, where: str, total: tuple[str, int], *terms: tuple[str, int]) -> Check:
    return Check(step=step, where=where, total=total, terms=terms)


def _job_times(
    groups: Mapping[str, Mapping[Any, Sequence[Entry]]],
    labels: Mapping[tuple[str, str], Sequence[Entry]],
    duplicates: Sequence[Entry],
) -> list[JobTime]:
    documents = sum(entry.counts["documents"] for entry in _flat(groups["extract"]))
    text_bytes = _text_bytes(_flat(groups["extract"]))
    times = [
        _job_time("crawl", _flat(groups["crawl"]), "fetched", 0),
        _job_time("extract", _flat(groups["extract"]), "records", text_bytes),
        _job_time("synthesize", _flat(groups["synthesize"]), "units", 0),
        _annotate_time(_flat(labels), documents, text_bytes),
        _job_time("deduplicate", duplicates, "documents", 0),
    ]
    for job, count in (("tally", "judged"), ("shards", "draws")):
        for name, entries in groups[job].items():
            times.append(_job_time(f"{job} {name}", entries, count, 0))
    return [time for time in times if time.parts]


def _job_time(name: str, entries: Iterable[Entry], count: str, text_bytes: int) -> JobTime:
    told = [(entry.seconds, entry.counts.get(count, 0)) for entry in entries]
    return JobTime(
        name=name,
        parts=len(told),
        seconds=sum(seconds for seconds, _ in told),
        documents=sum(number for _, number in told),
        unit=count,
        text_bytes=text_bytes,
    )


def _annotate_time(entries: Iterable[Entry], documents: int, text_bytes: int) -> JobTime:
    """All labels sets of a part are made in one pass and share its clock: the longest counts."""
    longest: dict[tuple[str, int], float] = {}
    for entry in entries:
        key = (entry.source, entry.part)
        longest[key] = max(longest.get(key, 0.0), entry.seconds)
    return JobTime(
        name="annotate",
        parts=len(longest),
        seconds=sum(longest.values()),
        documents=documents,
        unit="documents",
        text_bytes=text_bytes,
    )


def _generations(listed: Iterable[Entries]) -> list[tuple[str, str, int]]:
    counts: Counter[tuple[str, str]] = Counter()
    for some in listed:
        counts.update({(source, some.generation): len(p) for source, p in some.parts.items()})
    return sorted((source, name, count) for (source, name), count in counts.items())

"""`tokenmill deduplicate`: labels that say which documents of plain files are duplicates.

Nothing is deleted. The labels stand beside the documents, row by row, in the files that a run of a
corpus would write; a further call with more input adds what is new and labels all. Where more
documents are duplicates than is likely true, all are labelled and shown, and then the call fails.
"""

import shlex
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from pipelines.config import AlarmsConfig, DuplicatesConfig
    from pipelines.deduplicate.alarms import DuplicatesAlarm
    from pipelines.deduplicate.found import DuplicatesFound
    from pipelines.deduplicate.plan import DuplicatesPlan
    from pipelines.stages import Stages
    from pipelines.standalone import Texts
    from pipelines.workspace.fingerprints import Generation

_LEVELS: Final = "bytes,text,url,near"
_SPANS: Final = ("boilerplate", "repeats")
_DUPLICATES: Final = "duplicates"
_OPTIONS: Final = {
    "levels": "--levels",
    "threshold": "--threshold",
    "min_documents": "--min-documents",
    "max_removed": "--max-removed",
    "max_cluster": "--max-cluster",
}
_BY_LEVEL: Final = ("bytes", "text", "near")
_INDENT: Final = "    "
_NUM_SHOWN: Final = 3
"""Of the largest clusters."""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("deduplicate")(deduplicate)


def deduplicate(
    inputs: Annotated[
        list[str],
        typer.Option(
            "--input",
            metavar="PATH",
            help="File, folder or glob of Parquet or JSONL (also .gz, .zst), or NAME=PATH; may be "
            "given more than once.",
        ),
    ],
    output: Annotated[str, typer.Option(metavar="DIR", help="Folder for the labels.")],
    more: Annotated[
        list[str] | None, typer.Argument(metavar="[PATH]...", help="Further inputs.")
    ] = None,
    levels: Annotated[
        str, typer.Option(help="Of bytes, text, url, near, boilerplate, repeats; by commas.")
    ] = _LEVELS,
    threshold: Annotated[
        float, typer.Option(help="Least Jaccard of near-duplicates, 0.7 to 1.")
    ] = 0.8,
    min_documents: Annotated[
        int, typer.Option(help="Documents of a host that make a line of them boilerplate.")
    ] = 3,
    max_removed: Annotated[
        float,
        typer.Option(
            help="Share of the documents of a source that another may stand for, of sources of "
            "1,000 and more; beyond it the call fails. 1: never."
        ),
    ] = 0.5,
    max_cluster: Annotated[
        float,
        typer.Option(help="Share of all documents that one cluster may hold; likewise."),
    ] = 0.1,
    text_column: Annotated[str, typer.Option(help="Column or field of the text.")] = "text",
    processes: Annotated[
        int | None, typer.Option(min=1, help="Child processes; default: the cores.")
    ] = None,
) -> None:
    """Labels the duplicates among the documents of plain files; deletes nothing.

    Says of each document whether another has the same bytes, the same normalised text, the same
    URL or a similar text, and which of them stands for all. Call it again with more input, and what
    was given before is labelled anew with it, for the price of what is new.
    """
    from pipelines.annotate.registry import spec_of
    from pipelines.commands.screen import open_console
    from pipelines.deduplicate.found import duplicates_found
    from pipelines.standalone import keep_record, label_texts, open_stages, say_where

    asked = _asked(
        levels.split(","),
        {"threshold": threshold, "min_documents": min_documents},
        {"max_removed": max_removed, "max_cluster": max_cluster},
    )
    names = ("signatures", "minhash") if "near" in asked.levels else ("signatures",)
    specs = tuple(spec_of(name, {}) for name in names)
    with open_stages(output, processes) as stages:
        texts = label_texts(stages, [*inputs, *(more or [])], specs, text_column)
        plan = _find(stages, texts, asked)
        sets = {**plan.label_sets, **_find_spans(stages, texts, asked, plan)}
        further = {name: made.name for name, made in sets.items() if name != _DUPLICATES}
        keep_record(stages, texts, duplicates=plan.labels.name, labels=further)
    console = open_console()
    found = duplicates_found(stages.workspace.ledger, plan.labels.name, further)
    _show(console, stages, texts, plan, found)
    _show_largest(console, stages, plan)
    say_where(console, texts, sets)
    if alarm := _alarm(stages, plan, asked.alarms):
        raise alarm


def _asked(
    levels: "Sequence[str]", numbers: "Mapping[str, float]", alarms: "Mapping[str, float]"
) -> "DuplicatesConfig":
    """What is looked for, and how much of it is an alarm.

    Raises:
        ValueError: An option has a value that is not allowed.
    """
    from pydantic import ValidationError

    from pipelines.complaints import allowed_of
    from pipelines.config import DuplicatesConfig

    words = tuple(word.strip() for word in levels if word.strip())
    try:
        return DuplicatesConfig.model_validate({"levels": words, **numbers, "alarms": alarms})
    except ValidationError as error:
        wrong = error.errors()[0]
        names = [_OPTIONS[name] for name in map(str, wrong["loc"]) if name in _OPTIONS]
        found = wrong["input"] if wrong["loc"] else ",".join(levels)
        raise ValueError(
            f"{names[0] if names else '--levels'}: found {found!r}; {allowed_of(wrong)}; "
            "change this value"
        ) from error


def _find(stages: "Stages", texts: "Texts", asked: "DuplicatesConfig") -> "DuplicatesPlan":
    """Labels duplicates."""
    from pipelines.deduplicate.plan import plan_duplicates
    from pipelines.near_duplicates.near import NearDuplicates

    plan = plan_duplicates(
        stages.workspace,
        texts.sets("signatures"),
        texts.sets("minhash") or None,
        NearDuplicates(threshold=asked.threshold),
        extract=texts.extract,
        levels=asked.levels,
    )
    stages.deduplicate(plan, texts.keys)
    return plan


def _alarm(
    stages: "Stages", plan: "DuplicatesPlan", limits: "AlarmsConfig"
) -> "DuplicatesAlarm | None":
    """The alarm where there are more duplicates than are likely true, in words of the options."""
    from pipelines.deduplicate.alarms import Advice, Alarms, DuplicatesAlarm, check_alarms

    advice = Advice(
        where="by an option",
        removed="--max-removed {share}",
        is_for_all=True,
        cluster="--max-cluster {share}",
        stricter="raise --threshold, or leave a level out of --levels",
        workspace=_workspace_option(stages),
        after="All labels asked for are there, in the folders named above; nothing is deleted.",
    )
    alarms = Alarms(max_removed=limits.max_removed, max_cluster=limits.max_cluster)
    try:
        check_alarms(stages.workspace, plan, alarms, advice)
    except DuplicatesAlarm as alarm:
        return alarm
    return None


def _workspace_option(stages: "Stages") -> str:
    return f"--workspace {shlex.quote(stages.workspace.url)}"


def _find_spans(
    stages: "Stages", texts: "Texts", asked: "DuplicatesConfig", plan: "DuplicatesPlan"
) -> "dict[str, Generation]":
    """Labels boilerplate and repeated passages, where that is asked for."""
    sets: dict[str, Generation] = {}
    for level in _SPANS:
        if level in asked.levels:
            from pipelines.repeats.plan import plan_repeats

            spans = plan_repeats(
                stages.workspace,
                level,
                texts.extract,
                plan.labels,
                texts.keys,
                asked.min_documents,
            )
            stages.repeats(spans, texts.keys)
            sets[level] = spans.labels
    return sets


def _show(
    console: "Console",
    stages: "Stages",
    texts: "Texts",
    plan: "DuplicatesPlan",
    found: "DuplicatesFound",
) -> None:
    """A line a source, then what there is in all."""
    from pipelines.commands.screen import Sheet, show
    from pipelines.deduplicate.alarms import duplicate_counts
    from pipelines.report.story import percent

    columns = ("source", "documents", "alone or first", *_BY_LEVEL, "another stands for")
    table = Sheet(columns, spare=(2,))
    for one in duplicate_counts(stages.workspace, plan):
        kept = one.documents - one.removed - one.repeated
        numbers = (one.documents, kept, one.bytes, one.text, one.near)
        share = percent(one.removed_share, 1)
        table.add_row(one.source, *(f"{number:,}" for number in numbers), share)
    show(console, "Documents, and those that another stands for, by level", table)
    console.print()
    say = [
        f"documents: {found.documents:,}",
        f"clusters: {found.clusters:,}",
        f"duplicates: {sum(n for level, n in found.levels.items() if level != 'url'):,}",
    ]
    if repeated := found.roles.get("repeated_record"):
        say.append(f"records met twice: {repeated:,}")
    if "same_url" in plan.label_sets:
        say.append(f"older copies of one URL: {found.levels.get('url', 0):,}")
    say += texts.rejects_told
    if found.pairs_skipped:
        say.append(f"pairs skipped in crowded buckets: {found.pairs_skipped:,}")
    for level, spans in found.spans.items():
        say.append(
            f"{level}: {spans.spans:,} passages in {spans.documents:,} documents, "
            f"{percent(spans.share, 1)} of the text"
        )
    for line in say:
        console.print(line, soft_wrap=True)


def _show_largest(console: "Console", stages: "Stages", plan: "DuplicatesPlan") -> None:
    """Some of the largest clusters, to be judged by eye; nothing where there is none."""
    from rich.cells import set_cell_size

    from pipelines.deduplicate.largest import largest_with_texts

    clusters = largest_with_texts(stages.workspace, plan, _NUM_SHOWN)
    if not clusters:
        return
    console.print("\nThe largest clusters:")
    for one in clusters:
        mix = ", ".join(
            f"{name.replace('_', ' ')} {one.levels[name]:,}"
            for name in (*_BY_LEVEL, "repeated_record")
            if one.levels.get(name)
        )
        console.print(f"  {one.id}  {one.size:,} documents: {mix}", soft_wrap=True)
        if one.beginning:
            room = console.width - len(_INDENT)
            console.print(_INDENT + set_cell_size(one.beginning, room).rstrip(), soft_wrap=True)
    console.print("Their texts side by side, and why they are one:", soft_wrap=True)
    for one in clusters:
        told = f"  tokenmill explain duplicate {one.id} {_workspace_option(stages)}"
        console.print(told, soft_wrap=True)

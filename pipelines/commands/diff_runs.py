"""`tokenmill diff run A B`: why one run holds more or less of something than another."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console

from pipelines.commands.screen import Sheet, open_console, show, signed, wrapped
from pipelines.report.story import number, percent, short

if TYPE_CHECKING:
    from pipelines.history.comparison import Change, Count, RunComparison, Step
    from pipelines.history.moves import Moves
    from pipelines.history.runs import Run

_ARROW: Final = "->"
_DRAWN: Final = "drawn"  # nothing else differs
_TITLES: Final = {
    "language": "Languages",
    "source": "Sources",
    "topic": "Topics",
    "kind": "Kinds of text",
}
_CAUSES: Final = 12
_REASONS: Final = 4  # of a step, that are named
_MOVES: Final = 5


def diff_runs(
    first: str,
    second: str | None,
    *,
    language: str | None,
    top: int | None,
    json_file: Path | None,
) -> None:
    """Compares two runs and prints what differs.

    Args:
        first: WORKSPACE or WORKSPACE#NUMBER.
        second: Likewise; None compares the last two runs of the first.
        language: One to be followed step by step; the one that changes most, where None.
        top: Rows of a table; None prints all.
        json_file: Where all of it is written as JSON.

    Raises:
        ValueError: The language occurs in neither run.
        LookupError: There is no such run, or its labels are gone.
    """
    from pipelines.history.comparison import compare_runs
    from pipelines.history.runs import open_pair

    before, after = open_pair(first, second)
    compared = compare_runs(before, after)
    console = open_console()
    if json_file is not None:
        text = json.dumps(compared.to_json(), indent=1, ensure_ascii=False)
        json_file.write_text(text + "\n", encoding="utf-8")
    if compared.is_nothing:
        console.print(f"nothing differs between {before.name} and {after.name}", soft_wrap=True)
    else:
        console.print(f"{before.name} {_ARROW} {after.name}", style="bold", soft_wrap=True)
        _print_all(console, compared, top)
        followed = _followed(compared, language)
        if followed is not None:
            _print_steps(console, followed, compared, before, after)
        _print_causes(console, compared)
    if json_file is not None:
        console.print(f"All of it with exact numbers: {json_file}", soft_wrap=True)


def _print_all(console: Console, compared: "RunComparison", top: int | None) -> None:
    _show_changes(console, "All documents, in tokens", [compared.totals], top)
    for dimension, changes in compared.changes.items():
        if changes:
            _show_changes(console, f"{_TITLES[dimension]}, in tokens", changes, top)
    if compared.rejects:
        sheet = Sheet(["rejected by extraction", "before", "after", "change"])
        for source, reason, old, new in compared.rejects[:top]:
            sheet.add_row(f"{source}: {reason}", number(old), number(new), signed(new - old))
        show(console, "Records that gave no document", sheet)


def _show_changes(
    console: Console, title: str, changes: Sequence["Change"], top: int | None
) -> None:
    """A row a value: what is kept before and after, and where the change comes from."""
    sheet = Sheet(["", "kept", "then", "change", "", "step"], names=(0, 5), spare=(3,))
    for change in changes[:top]:
        old, new = (one.tokens for one in change.kept)
        sheet.add_row(
            change.value or "all",
            short(old),
            short(new),
            signed(new - old),
            _part(old, new),
            change.where or _DRAWN,
        )
    if top is not None and len(changes) > top:
        sheet.add_row(f"{len(changes) - top:,} more", "", "", "", "", "--all shows them")
    show(console, title, sheet)


def _followed(compared: "RunComparison", language: str | None) -> "Change | None":
    """The language that is shown step by step.

    Raises:
        ValueError: It does not differ, or does not occur.
    """
    changes = compared.changes["language"]
    if language is None:
        return changes[0] if changes else None
    for change in changes:
        if change.value == language:
            return change
    differing = ", ".join(change.value for change in changes[:10]) or "none"
    raise ValueError(
        f"--language: found {language!r}, of which no count differs; allowed are those that "
        f"differ: {differing}"
    )


def _print_steps(
    console: Console, change: "Change", compared: "RunComparison", before: "Run", after: "Run"
) -> None:
    """The way of one language through both runs, and the step that its change comes from."""
    from pipelines.history.causes import LABELLED
    from pipelines.history.comparison import sentence, step_causes
    from pipelines.history.moves import moves_of

    sheet = Sheet(["", "documents", "then", "tokens", "then", "", "left of it"], spare=(6, 1))
    last = None
    for step in change.steps:
        name = step.name if step.name == LABELLED else f"after {step.name}"
        left = "" if last is None else _left(last, step)
        _add_step(sheet, name, step.before, step.after, left)
        last = step
    for place, (old, new) in change.drawn.items():
        _add_step(sheet, f"drawn: {place}", old, new, "")
    show(console, f"{change.value}, step by step", sheet)
    for step in change.steps:
        if step.reasons and (told := _told(step.reasons)):
            console.print(wrapped(f"{step.name}: {told}", console.width, indent=2), soft_wrap=True)
    for line in _moved(moves_of(before, after, change.dimension, change.value)):
        console.print(wrapped(line, console.width, indent=2), soft_wrap=True)
    causes = step_causes(change, compared.causes)
    why = f" What differs there: {causes[0]}." if causes else ""
    text = f"{change.value}: {sentence(change)}.{why}"
    console.print()
    console.print(wrapped(text, console.width), style="bold", soft_wrap=True)


def _left(last: "Step", step: "Step") -> str:
    """What a step leaves of the one before, in both runs."""
    shares = (
        percent(step.before.tokens, last.before.tokens),
        percent(step.after.tokens, last.after.tokens),
    )
    return f" {_ARROW} ".join(shares)


def _add_step(sheet: Sheet, name: str, old: "Count", new: "Count", left: str) -> None:
    sheet.add_row(
        name,
        number(old.documents),
        number(new.documents),
        short(old.tokens),
        short(new.tokens),
        _part(old.tokens, new.tokens),
        left,
    )


def _told(reasons: Iterable[tuple[str, int, int]]) -> str:
    """Reasons that take another number of documents."""
    differing = [one for one in reasons if one[1] != one[2]][:_REASONS]
    return ", ".join(f"{reason} {old:,} {_ARROW} {new:,}" for reason, old, new in differing)


def _moved(moves: "Moves") -> Iterator[str]:
    lines = (
        ("documents that only the second run has, by source", moves.came),
        ("documents that only the first run has, by source", moves.went),
        ("documents that bear another label now", moves.to),
        ("documents that bore another label before", moves.since),
    )
    for what, counts in lines:
        if counts:
            told = ", ".join(f"{name} {count:,}" for name, count in counts.most_common(_MOVES))
            rest = len(counts) - _MOVES
            yield f"{what}: {told}" + (f", {rest} more" if rest > 0 else "")


def _print_causes(console: Console, compared: "RunComparison") -> None:
    console.print()
    if not compared.causes:
        console.print("No setting differs that both runs still know: their inputs do.")
        return
    console.print("Settings that differ", style="bold")
    for cause in compared.causes[:_CAUSES]:
        console.print(wrapped(str(cause), console.width, indent=2), soft_wrap=True)
    if len(compared.causes) > _CAUSES:
        console.print(f"  {len(compared.causes) - _CAUSES} more; --json has them")


def _part(before: float, after: float) -> str:
    """The change as a part of what was before: +12 %, new, gone."""
    if before == after:
        return ""
    if not before or not after:
        return "gone" if before else "new"
    return f"{'+' if after > before else '-'}{percent(abs(after - before), before)}"

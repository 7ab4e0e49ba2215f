"""`tokenmill explain duplicate`: a document beside the one that stands for it, and the evidence."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pipelines.commands.naming import only_document
from pipelines.commands.screen import open_console, wrapped

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from pipelines.deduplicate.differences import Piece
    from pipelines.deduplicate.evidence import Evidence, Member

_SIDE_BY_SIDE: Final = 80
"""Columns from which on two texts stand beside each other."""
_NAME_WIDTH: Final = 15
"""Of the longest name, `contamination`, and two blanks."""
_MAX_PASSAGES: Final = 8
_OPENING_CHARS: Final = 600
_RUNS: Final = "work"
_DIGITS: Final = re.compile(r"[0-9a-fA-F]{1,32}")  # of an id; whatever else is a name
_LEVELS: Final = {
    "bytes": "the same bytes of text",
    "text": "the same text after normalisation",
    "near": "a similar text",
}
# What other labels sets say that bears on duplicates, by set; of others nothing is shown.
_TELLING: Final[Mapping[str, tuple[str, ...]]] = {
    "same_bytes": ("bytes_role", "bytes_cluster_size"),
    "same_text": ("text_role", "text_cluster_size"),
    "same_url": ("url_role", "url_cluster_size"),
    "quality": ("quality_keep", "quality_score", "quality_reason"),
    "language": ("language",),
    "length": ("num_tokens",),
    "contamination": ("benchmark", "contaminated"),
    "boilerplate": ("boilerplate_share",),
    "repeats": ("repeats_share",),
    "validation": ("split",),
}


def duplicate(
    id_: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="Document id in hex or its first digits, URL, path within a source, the end of "
            "one, FILE:OFFSET, FILE#ROW or SHARD:TOKEN.",
        ),
    ],
    workspace: Annotated[
        str | None,
        typer.Option(help="Folder or URL; default: this folder, or the one workspace in work/."),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(help="deduplicate@FP instead of the labels of the last run."),
    ] = None,
    whole: Annotated[bool, typer.Option("--all", help="All passages that differ.")] = False,
) -> None:
    """Shows a document beside its representative: what differs, and why they are duplicates."""
    from pipelines.deduplicate.evidence import find_evidence
    from pipelines.workspace.workspace import Workspace

    opened = Workspace.open(workspace or _default_workspace())
    if not _DIGITS.fullmatch(id_):
        id_ = only_document(opened, id_)[0].id.hex()
    print_evidence(open_console(), find_evidence(opened, id_, labels), whole=whole)


def _default_workspace() -> str:
    """This folder where it is a workspace, else the only one in work/.

    Raises:
        ValueError: There is none, or more than one.
    """
    mark = "workspace.json"
    if Path(mark).is_file():
        return "."
    found = sorted(str(path.parent) for path in Path(_RUNS).glob(f"*/{mark}"))
    if len(found) != 1:
        raise ValueError(
            f"--workspace: found {', '.join(found) or 'no workspace'} in {_RUNS}/ of this folder; "
            "name the workspace in which duplicates were looked for"
        )
    return found[0]


def print_evidence(console: "Console", told: "Evidence", *, whole: bool = False) -> None:
    """Prints a verdict, the facts of both documents, and their texts where they differ.

    Args:
        console: Where to; from 80 columns on the texts stand side by side.
        told: What there is to say.
        whole: All passages that differ instead of the first eight.
    """
    _line(console, f"document {told.document.id.hex()}: {_verdict(told)}")
    for name, value in _evidence_lines(told):
        _fact(console, name, value)
    _print_member(console, "document", told.document)
    if told.other is None:
        console.print()
        console.print(_opening(told.document.text), soft_wrap=False)
        return
    other = "member" if _stands_for_all(told) else "representative"
    _print_member(console, other, told.other)
    console.print()
    _print_texts(console, told, other, whole=whole)


def _stands_for_all(told: "Evidence") -> bool:
    return bool(told.document.duplicates["duplicate_role"] == "representative")


def _verdict(told: "Evidence") -> str:
    labels = told.document.duplicates
    role, size = labels["duplicate_role"], labels["cluster_size"]
    if role == "alone":
        return "alone; no other document is a duplicate of it"
    if role == "representative":
        return f"representative of a cluster of {size:,}; beside it stands the member least like it"
    if role == "repeated_record":
        return f"the same record as its representative, met again; a cluster of {size:,}"
    level = _LEVELS.get(labels["duplicate_level"], labels["duplicate_level"])
    return f"{role.replace('_', ' ')}: {level}; a cluster of {size:,}"


def _evidence_lines(told: "Evidence") -> list[tuple[str, str]]:
    """(name, value) of what was compared."""
    labels = told.document.duplicates
    lines = [("labels", told.generation)]
    if told.others:
        lines.append(("other labels", f"{', '.join(told.others)}; --labels shows what they say"))
    if told.other is None:
        return lines
    lines.append(("level", labels["duplicate_level"] or "(it is the representative)"))
    compared = told.other.duplicates if _stands_for_all(told) else labels
    stated, seen = compared["jaccard"], told.jaccard
    if seen is not None:
        lines.append(("jaccard", f"{seen:.4f} of the two texts as they are{_why(told, compared)}"))
        first, second = told.num_shingles
        lines.append(
            (
                "shingles",
                f"{told.shared_shingles:,} shared, of {first:,} and {second:,} distinct ones",
            )
        )
    if stated is not None:
        lines.append(("as labelled", f"jaccard {stated:.4f}"))
    ids = [id_.hex()[:8] for id_ in told.members]
    more = labels["cluster_size"] - len(ids)
    lines.append(("cluster", ", ".join(ids) + (f" and {more:,} more" if more > 0 else "")))
    return lines


def _why(told: "Evidence", compared: "Mapping[str, Any]") -> str:
    """Why a text is a duplicate of its representative, behind their Jaccard."""
    level, stated = compared["duplicate_level"], compared["jaccard"]
    if level == "text" and stated is None:  # else the text that it equals is similar to that one
        return "; their normalised texts are equal"
    is_near = level == "near" or (stated is not None and stated < 1)
    return f"; near-duplicates have {told.threshold:g} or more" * bool(is_near and told.threshold)


def _print_member(console: "Console", name: str, member: "Member") -> None:
    console.print()
    _line(console, f"{name} {member.id.hex()}")
    document = member.document
    locator = document["locator"]
    _fact(console, "URL", document["uri"] or "(none)")
    _fact(console, "source", f"{member.source}, part {member.part}, row {member.row}")
    _fact(console, "from", f"{locator['file']} at {locator['offset']}")
    _fact(console, "length", f"{len(member.text):,} characters")
    for set_name, columns in _TELLING.items():
        row = member.labels.get(set_name, {})
        pairs = [f"{c} {_value(row[c])}" for c in columns if row.get(c) is not None]
        if pairs:
            _fact(console, set_name, ", ".join(pairs))


def _value(value: Any) -> str:  # noqa: ANN401 - labels are of any type
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _print_texts(console: "Console", told: "Evidence", other: str, *, whole: bool) -> None:
    """The passages in which the two texts differ."""
    from pipelines.deduplicate.differences import differences

    assert told.other is not None
    first, second = told.document.text, told.other.text
    if first == second:
        _line(console, "Both texts are the same, character by character:")
        console.print(_opening(first))
        return
    found = differences(first, second)
    if found.is_white_space and not any(found.not_compared):
        _line(console, "The texts differ in white space alone:")
        console.print(_opening(first))
        return
    _line(console, "What differs stands in {}; equal words are left out where it says so.")
    shown = found.passages if whole else found.passages[:_MAX_PASSAGES]
    _beside(console, "document", [("", False)], other, [("", False)], is_head=True)
    for passage in shown:
        if passage.skipped:
            _line(console, f"... {passage.skipped:,} equal words ...")
        _beside(console, "document", _plain(passage.first), other, _plain(passage.second))
    left = len(found.passages) - len(shown)
    if left:
        _line(console, f"... {left:,} more passages differ; --all shows them ...")
    elif found.left_out:
        _line(console, f"... {found.left_out:,} equal words ...")
    if any(found.not_compared):
        counts = " and ".join(f"{number:,}" for number in found.not_compared)
        _line(console, f"... {counts} further words were not compared ...")


def _plain(pieces: "tuple[Piece, ...]") -> list[tuple[str, bool]]:
    """(text on one line, whether it differs)."""
    return [(" ".join(piece.text.split()), piece.differs) for piece in pieces if piece.text.strip()]


def _marked(pieces: list[tuple[str, bool]]) -> "Text":
    """Text with {} around what differs, and bold on a terminal."""
    from rich.text import Text

    made = Text(overflow="fold")
    for number, (text, differs) in enumerate(pieces):
        if number:
            made.append(" ")
        made.append(f"{{{text}}}" if differs else text, "bold" if differs else None)
    return made


def _beside(
    console: "Console",
    left: str,
    first: list[tuple[str, bool]],
    right: str,
    second: list[tuple[str, bool]],
    *,
    is_head: bool = False,
) -> None:
    """Two texts in two columns; one below the other where the screen is narrow."""
    from rich.table import Table

    if console.width < _SIDE_BY_SIDE:
        if not is_head:
            for name, pieces in ((left, first), (right, second)):
                _line(console, f"{name}:")
                console.print(_marked(pieces))
        return
    width = (console.width - 3) // 2
    table = Table(box=None, show_header=False, pad_edge=False, padding=0)
    for column in (width, 3, width):
        table.add_column(width=column, overflow="fold")
    cells = (left, right) if is_head else (_marked(first), _marked(second))
    options = console.options.update(width=width)
    lines = max(len(console.render_lines(cell, options)) for cell in cells)
    table.add_row(cells[0], "\n".join([" | "] * lines), cells[1])
    console.print(table)


def _opening(text: str) -> str:
    short = text[:_OPENING_CHARS].rstrip()
    return short if len(text) <= _OPENING_CHARS else f"{short} ..."


def _fact(console: "Console", name: str, value: str) -> None:
    told = wrapped(f"  {name:<{_NAME_WIDTH}}{value}", console.width, indent=_NAME_WIDTH + 4)
    console.print(told, soft_wrap=True)


def _line(console: "Console", told: str) -> None:
    console.print(wrapped(told, console.width, indent=4), soft_wrap=True)

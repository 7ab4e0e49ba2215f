"""Pages whose code, tables and formulas are known exactly: what structure is measured on.

`pages/` holds whole pages in the markup of some eighty generators of documentation, wikis, forums,
blogs, courses and office programs: navigation, banners and footers stand around a text of a few
paragraphs. `answers.jsonl` says for each page

    code      {text, language}, verbatim; the language is null where the page does not name it
    tables    rows of cells as plain text; null is a place that a spanning cell covers
    formulas  {latex, display}
    must      sentences of the main text
    must_not  sentences of what stands around it

The texts were written for this set, in eleven languages, and quote nobody. The markup of code is
that of Pygments 2, highlight.js 11, Prism 1 and Shiki, that of formulas is KaTeX 0.16, MathJax 3
and Pandoc 3.9 MathML, put into page frames as the generators make them; page and answer come from
one source, so the answers are exact. Nothing is trained on them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

_FOLDER: Final = files("pipelines.extract.structure")

Rows = tuple[tuple[str | None, ...], ...]
"""Cells of a table row by row; None is a place that a cell above or to the left covers."""


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """A block of code, without a line break at either end."""

    text: str
    language: str | None


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula in LaTeX, without delimiters."""

    latex: str
    is_display: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What the Markdown of one page must hold, and what it must not."""

    page: str
    """Name of the page without its ending."""
    generator: str
    """What makes pages of this shape."""
    language: str
    code: tuple[CodeBlock, ...]
    tables: tuple[Rows, ...]
    formulas: tuple[Formula, ...]
    must: tuple[str, ...]
    must_not: tuple[str, ...]


def read_answers() -> list[Answers]:
    """The answers of all pages, in the order of their names."""
    lines = (_FOLDER / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    return [_answers(json.loads(line)) for line in lines]


def read_page(name: str) -> bytes:
    """The bytes of a page, by the name that its answers give."""
    return (_FOLDER / "pages" / f"{name}.html").read_bytes()


def _answers(row: Mapping[str, Any]) -> Answers:
    return Answers(
        page=row["page"],
        generator=row["generator"],
        language=row["language"],
        code=tuple(CodeBlock(one["text"], one["language"]) for one in row["code"]),
        tables=tuple(tuple(tuple(cells) for cells in table) for table in row["tables"]),
        formulas=tuple(Formula(one["latex"], one["display"]) for one in row["formulas"]),
        must=tuple(row["must"]),
        must_not=tuple(row["must_not"]),
    )

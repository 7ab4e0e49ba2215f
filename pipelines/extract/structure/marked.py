r"""Finds code blocks, tables and formulas in the text that an engine gives.

Read generously, so that no engine loses for its dialect: code between fences of backticks or tildes
or indented by four columns; a table is a run of lines with cells between `|` or tabs; formulas
stand between `$`, `$$`, `\(` and `\)`, `\[` and `\]`, or in `\begin{equation}` and its like.
"""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pipelines.extract.structure.latex import canonical_latex

_FENCE: Final = re.compile(r"^([ \t>]*)(`{3,}|~{3,})[ \t]*([^\s`]*)[^\n`]*$")
_INDENTED: Final = re.compile(r"(?:^|\n[ \t]*\n)((?:(?: {4}|\t)[^\n]*(?:\n|$)|[ \t]*\n)+)")
_DELIMITER: Final = re.compile(r"^[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_BAR: Final = re.compile(r"(?<!\\)\|")
_INLINE_CODE: Final = re.compile(r"(?<!`)(`{1,2})(?!`)[^\n]*?(?<!`)\1(?!`)")
_FORMULA: Final = re.compile(
    r"(?<!\\)\$\$(?P<a>.+?)(?<!\\)\$\$"
    r"|\\\[(?P<b>.+?)\\\]"
    r"|(?P<e>\\begin\{(?P<name>equation\*?|align\*?|displaymath)\}.+?\\end\{(?P=name)\})"
    r"|\\\((?P<c>.+?)\\\)"
    r"|(?<![\\$])\$(?![\s$])(?P<d>(?:[^$\n]|\n(?!\s*\n)|(?<=\\)\$)+?)(?<![\s\\])\$(?!\$)",
    re.DOTALL,
)
_MARKS: Final = re.compile(r"`+|\*\*|__|(?<![\w*])\*(?=\S)|(?<=\S)\*(?![\w*])")
_BREAK: Final = re.compile(r"<br\s*/?>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Marked:
    """What a text marks as structure."""

    code: list[tuple[str, str]]
    """(text, language or an empty string) of every block of code."""
    tables: list[list[list[str]]]
    """Rows of cells of every table."""
    formulas: list[tuple[str, bool]]
    """(canonical LaTeX, whether displayed) of every formula."""


def read_marked(text: str) -> Marked:
    """Reads the structure that a text marks."""
    code, rest = _fenced(text)
    code += [(trimmed_code(one[1]), "") for one in _INDENTED.finditer(rest) if one[1].strip()]
    return Marked(code, list(_tables(rest)), list(_formulas(_INLINE_CODE.sub(" ", rest))))


def _fenced(text: str) -> tuple[list[tuple[str, str]], str]:
    """Fenced blocks, and the text without them."""
    blocks: list[tuple[str, str]] = []
    rest: list[str] = []
    lines = iter(text.split("\n"))
    for line in lines:
        fence = _FENCE.match(line)
        if fence is None:
            rest.append(line)
            continue
        body: list[str] = []
        for inner in lines:
            closing = inner.strip(" \t>")
            if closing.startswith(fence[2]) and not closing.strip(fence[2][0]):
                break
            body.append(inner.removeprefix(fence[1]))
        blocks.append((trimmed_code("\n".join(body)), fence[3].lower()))
        rest.append("")
    return blocks, "\n".join(rest)


def trimmed_code(block: str) -> str:
    """The form in which blocks of code are compared.

    Without the indentation that all lines share, and without blank lines at either end.
    """
    return re.sub(r"\A(?:[ \t]*\n)+|\s+\Z", "", textwrap.dedent(block))


def _tables(text: str) -> Iterator[list[list[str]]]:
    rows: list[list[str]] = []
    for line in [*text.split("\n"), ""]:
        if _DELIMITER.match(line) and "-" in line and ("|" in line or rows):
            continue
        cells = _cells(line)
        if cells is not None:
            rows.append(cells)
        elif rows:
            yield rows
            rows = []


def _cells(line: str) -> list[str] | None:
    line = line.strip(" ")
    if _BAR.search(line):
        line = line.removeprefix("|")
        parts = _BAR.split(line)
        if len(parts) > 1 and not parts[-1].strip():
            parts.pop()
    elif "\t" in line.strip():
        parts = re.split(r"\t+", line.strip("\t"))
    else:
        return None
    return [plain_cell(part) for part in parts]


def plain_cell(cell: str) -> str:
    """The form in which cells are compared: without marks, white space as one space."""
    return " ".join(_MARKS.sub("", _BREAK.sub(" ", cell).replace("\\|", "|")).split())


def _formulas(text: str) -> Iterator[tuple[str, bool]]:
    for found in _FORMULA.finditer(text):
        kind = found.lastgroup if found.lastgroup != "name" else "e"
        latex = next(value for name, value in found.groupdict().items() if value and name != "name")
        canonical = canonical_latex(latex)
        if canonical:
            yield canonical, kind in ("a", "b", "e")

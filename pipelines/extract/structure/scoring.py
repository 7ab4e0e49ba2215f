r"""How much of the code, tables and formulas of a page an engine keeps.

For every block, table and formula of the answers, whatever the engine gave is searched for the
best match; the score of a kind is the mean over all of that kind. An engine is not asked to mark
structure in our way: `marked` in `structure.marked` reads the usual ways, and code and formulas
that stand in the text unmarked count too, except under `code_marked` and `formulas_marked`.

- **code** 1 - edits / length, edits to the span of the text, or to the marked block, that the code
  fits best (Levenshtein, all white space counts); an empty text scores 0. A block is exact at 1.
- **code_marked** 1 - edits / longer length against the best marked block alone.
- **code_language** of the marked blocks whose page names a language: share that carry that language
  or an alias of it; what is not marked carries none.
- **tables** F1 of cells. Rows are matched in order, cells within two rows in order, by equal text;
  precision over the cells found, recall over those expected. A place under a spanning cell may be
  empty, repeat that cell or be absent. Exact is 1.
- **formulas** share that occur, equal by `canonical_latex`, as often as expected: marked, or, for
  those of at least eight tokens with a command or a script, bare in the text.
- **must** share of the sentences of the main text that are there and of the others that are not.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pipelines.extract.structure.fixtures import Answers, CodeBlock, Rows
from pipelines.extract.structure.latex import canonical_latex
from pipelines.extract.structure.marked import (
    Marked,
    plain_cell,
    read_marked,
    trimmed_code,
)
from pipelines.extract.structure.spans import distance, span_distance

_MIN_BARE_TOKENS: Final = 8
_CELL: Final = 1 << 16  # weight of an expected cell; that of a covered place is 1
_ALIASES: Final = {
    "py": "python",
    "python3": "python",
    "ipython3": "python",
    "js": "javascript",
    "ts": "typescript",
    "sh": "bash",
    "shell": "bash",
    "console": "bash",
    "shell-session": "bash",
    "golang": "go",
    "rs": "rust",
    "rb": "ruby",
    "c++": "cpp",
    "cs": "csharp",
    "c#": "csharp",
    "hs": "haskell",
    "make": "makefile",
    "elisp": "emacs-lisp",
    "yml": "yaml",
    "pycon": "python",
    "markup": "html",
}
_PLAIN_MARKS: Final = re.compile(r"[*_`#|>\\]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageScore:
    """Scores of one page, one number for each thing expected."""

    page: str
    code: tuple[float, ...]
    code_marked: tuple[float, ...]
    code_language: tuple[bool, ...]
    tables: tuple[float, ...]
    formulas: tuple[bool, ...]
    formulas_marked: tuple[bool, ...]
    must: tuple[bool, ...]
    """Right decisions on the sentences of `must`, then of `must_not`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StructureScore:
    """Means over all that is expected on all pages; between 0 and 1."""

    num_pages: int
    code: float
    code_exact: float
    code_marked: float
    code_language: float
    tables: float
    tables_exact: float
    formulas: float
    formulas_marked: float
    must: float


def score_structure(texts: Sequence[str], answers: Sequence[Answers]) -> StructureScore:
    """Scores the texts of pages, in the order of their answers."""
    return summed([score_page(text, one) for text, one in zip(texts, answers, strict=True)])


def summed(pages: Sequence[PageScore]) -> StructureScore:
    """The means over all pages."""
    code = [one for page in pages for one in page.code]
    tables = [one for page in pages for one in page.tables]
    return StructureScore(
        num_pages=len(pages),
        code=_mean(code),
        code_exact=_mean(one == 1 for one in code),
        code_marked=_mean(one for page in pages for one in page.code_marked),
        code_language=_mean(one for page in pages for one in page.code_language),
        tables=_mean(tables),
        tables_exact=_mean(one == 1 for one in tables),
        formulas=_mean(one for page in pages for one in page.formulas),
        formulas_marked=_mean(one for page in pages for one in page.formulas_marked),
        must=_mean(one for page in pages for one in page.must),
    )


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed) if listed else 1.0


def score_page(text: str, answers: Answers) -> PageScore:
    """Scores the text that an engine gave for one page."""
    marked = read_marked(text)
    code = [_score_code(one, text, marked) for one in answers.code]
    plain = _plain(text)
    return PageScore(
        page=answers.page,
        code=tuple(score for score, _, _ in code),
        code_marked=tuple(score for _, score, _ in code),
        code_language=tuple(
            is_right
            for (_, _, is_right), one in zip(code, answers.code, strict=True)
            if one.language is not None
        ),
        tables=tuple(
            max((_score_table(rows, found) for found in marked.tables), default=0.0)
            for rows in answers.tables
        ),
        formulas=_formulas_found([one.latex for one in answers.formulas], marked, text),
        formulas_marked=_formulas_found([one.latex for one in answers.formulas], marked, ""),
        must=(
            *(_plain(sentence) in plain for sentence in answers.must),
            *(_plain(sentence) not in plain for sentence in answers.must_not),
        ),
    )


def _score_code(block: CodeBlock, text: str, marked: Marked) -> tuple[float, float, bool]:
    """Similarity to anything, similarity to a marked block, and whether that names the language."""
    wanted = trimmed_code(block.text)
    best, named = 0.0, ""
    for found, language in marked.code:
        similarity = 1 - distance(wanted, found) / max(len(wanted), len(found), 1)
        if similarity > best:
            best, named = similarity, language
    anywhere = best if best == 1 else max(best, 1 - span_distance(wanted, text) / len(wanted))
    is_right = block.language is not None and _language(named) == _language(block.language)
    return anywhere, best, is_right


def _language(name: str) -> str:
    name = name.lower()
    return _ALIASES.get(name, name)


def _score_table(rows: Rows, found: Sequence[Sequence[str]]) -> float:
    """F1 of cells of the best alignment of rows in order."""
    weights = [0] * (len(found) + 1)
    for number, row in enumerate(rows):
        wanted = [_wanted(rows, number, column) for column in range(len(row))]
        before = weights
        weights = [0]
        for j, cells in enumerate(found):
            paired = before[j] + _row_weight(wanted, cells)
            weights.append(max(paired, before[j + 1], weights[j]))
    num_right, num_covered = divmod(weights[-1], _CELL)
    num_wanted = sum(cell is not None for row in rows for cell in row)
    num_found = sum(map(len, found)) - num_covered
    return 2 * num_right / (num_wanted + num_found) if num_wanted + num_found else 0.0


def _wanted(rows: Rows, number: int, column: int) -> tuple[frozenset[str], int]:
    """Texts that a cell may have, and the weight of a match."""
    cell = rows[number][column]
    if cell is not None:
        return frozenset([plain_cell(cell)]), _CELL
    left = [one for one in rows[number][:column] if one is not None]
    above = [one[column] for one in rows[:number] if one[column] is not None]
    may = {plain_cell(one) for one in [*left[-1:], *above[-1:]] if one is not None}
    return frozenset({"", *may}), 1


def _row_weight(wanted: Sequence[tuple[frozenset[str], int]], cells: Sequence[str]) -> int:
    """Weight of the best matching of cells in order."""
    weights = [0] * (len(cells) + 1)
    for may, weight in wanted:
        before, weights = weights, [0]
        for j, cell in enumerate(cells):
            paired = before[j] + (weight if cell in may else 0)
            weights.append(max(paired, before[j + 1], weights[j]))
    return weights[-1]


def _formulas_found(latex: Sequence[str], marked: Marked, text: str) -> tuple[bool, ...]:
    there = Counter(canonical for canonical, _ in marked.formulas)
    bare = f" {canonical_latex(text)} " if text else ""
    found = []
    for one in latex:
        canonical = canonical_latex(one)
        is_marked = there[canonical] > 0
        there[canonical] -= 1
        found.append(is_marked or _stands_bare(canonical, bare))
    return tuple(found)


def _stands_bare(canonical: str, text: str) -> bool:
    is_telling = any(mark in canonical for mark in "\\^_")
    is_long = canonical.count(" ") + 1 >= _MIN_BARE_TOKENS
    return is_telling and is_long and f" {canonical} " in text


def _plain(text: str) -> str:
    return " ".join(_PLAIN_MARKS.sub(" ", text.replace("\u00ad", "")).split())

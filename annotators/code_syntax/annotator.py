"""The `code_syntax` labels: whether the Python of a document parses, and what a linter says of it.

Looked at is Python alone, by Python's own parser: a document that is a Python file (its media type,
or most of its lines are code and the `stem` labels call it Python), else each fenced block that
says it is Python, or says nothing in a document whose code is Python. Sessions with `>>>` are left
out. Documents without such code have nulls: null is not a no. Code is parsed, never run.

Findings are those of pyflakes (unused imports and names, undefined names, redefinitions, broken
format strings), which reports mistakes and no matters of taste. In blocks undefined names are
not counted, because a block goes on where another one ended.

The grammar is that of the Python that runs, and its version is part of this annotator's: code for a
later Python does not parse, nor does that for Python 2.
"""

import ast
import sys
import warnings
from collections.abc import Mapping
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

import pyarrow as pa

from annotators.code_syntax.fences import fenced_blocks

PYTHON: Final = "Python"
"""As GitHub Linguist and the `stem` labels call it."""
PYTHON_TYPES: Final = ("text/x-python", "text/x-script.python", "application/x-python-code")
_PYTHON_FENCES: Final = ("python", "py", "python3", "py3")
_FILE_CODE_SHARE: Final = 0.5
# Parsing and checking run at 1.6 MB/s; what is longer is a table in the clothes of a program.
MAX_CHARACTERS: Final = 200_000
_PROMPT: Final = ">>> "
# Begins documents that were put together of pieces of code: repositories, middles moved to the end.
_MARK: Final = "<|"
# pyflakes' names of findings that say nothing about a part of a program.
_OF_WHOLE_FILES: Final = ("UndefinedName", "UndefinedExport", "UndefinedLocal")


class Piece(NamedTuple):
    """Some Python."""

    source: str
    is_file: bool
    """False for a block."""


class Judged(NamedTuple):
    """What was found in one piece."""

    lines: int
    """That are not blank."""
    findings: int | None
    """None where it does not parse."""


class CodeSyntax:
    """Parses and lints the Python of each document (an `Annotator`)."""

    name: ClassVar[str] = "code_syntax"
    version: ClassVar[str] = (
        f"1/python-{sys.version_info.major}.{sys.version_info.minor}/"
        f"pyflakes-{version_of('pyflakes')}"
    )
    inputs: ClassVar[tuple[str, ...]] = ("media_type", "code_share", "programming_language")
    columns: ClassVar[pa.Schema] = pa.schema(
        [
            ("syntax_ok", pa.float32()),
            ("lint_per_100_lines", pa.float32()),
            ("python_lines", pa.int32()),
        ]
    )

    def model_files(self) -> list[Path]:
        """Gives none: the rules are code, and `version` stands for them."""
        return []

    def __call__(
        self, texts: pa.LargeStringArray, labels: Mapping[str, "pa.Array[Any]"]
    ) -> pa.RecordBatch:
        """Judges texts.

        Args:
            texts: large_string, no nulls.
            labels: `media_type` of the document, and `code_share` and `programming_language` of the
                `stem` labels; each value may be null.

        Returns:
            Share of the pieces of Python that parse, in [0, 1], null where there are none; findings
            for each 100 lines of those that do, null where none does; lines of all pieces that are
            not blank.
        """
        told = (labels[name].to_pylist() for name in self.inputs)
        rows = [row_of(*one) for one in zip(texts.to_pylist(), *told, strict=True)]
        columns = zip(*rows, strict=True) if rows else [[], [], []]
        arrays = [
            pa.array(list(column), field.type)
            for column, field in zip(columns, self.columns, strict=True)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self.columns)


def row_of(
    text: str, media_type: str | None, code_share: float | None, language: str | None
) -> tuple[float | None, float | None, int]:
    """The labels of one document."""
    judged = [judge(one) for one in pieces_of(text, media_type, code_share, language)]
    if not judged:
        return None, None, 0
    good = [one for one in judged if one.findings is not None]
    lines = sum(one.lines for one in good)
    findings = sum(one.findings or 0 for one in good)
    lint = 100 * findings / lines if lines else None
    return len(good) / len(judged), lint, sum(one.lines for one in judged)


def pieces_of(
    text: str, media_type: str | None, code_share: float | None, language: str | None
) -> list[Piece]:
    """The Python of a document; what is longer than MAX_CHARACTERS is left out."""
    blocks = fenced_blocks(text)
    is_python = language == PYTHON
    is_bare = not blocks and not text.startswith(_MARK)
    is_file = is_python and is_bare and (code_share or 0.0) >= _FILE_CODE_SHARE
    if media_type in PYTHON_TYPES or is_file:
        found = [Piece(text, True)]
    else:
        names = (*_PYTHON_FENCES, "") if is_python else _PYTHON_FENCES
        found = [Piece(block.text, False) for block in blocks if block.language in names]
    return [
        one
        for one in found
        if one.source.strip()
        and len(one.source) <= MAX_CHARACTERS
        and not one.source.lstrip().startswith(_PROMPT)
    ]


def judge(piece: Piece) -> Judged:
    """Parses and lints."""
    lines = sum(not line.isspace() for line in piece.source.splitlines() if line)
    source = piece.source if piece.is_file else _dedented(piece.source)
    with warnings.catch_warnings():  # of odd escapes and the like
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return Judged(lines, None)
        return Judged(lines, _findings(tree, piece.is_file))


def _findings(tree: ast.Module, is_file: bool) -> int:
    from pyflakes.checker import Checker  # type: ignore[import-untyped]  # takes 0.1 s

    try:
        messages = Checker(tree, filename="document").messages
    except RecursionError:  # deeper than its own walk goes
        return 0
    names = [type(message).__name__ for message in messages]
    return len(names) if is_file else sum(name not in _OF_WHOLE_FILES for name in names)


def _dedented(source: str) -> str:
    """A block without the blanks that all its lines begin with."""
    lines = source.splitlines()
    told = [line for line in lines if line.strip()]
    indent = min(len(line) - len(line.lstrip(" ")) for line in told)
    return "\n".join(line[indent:] for line in lines) + "\n"

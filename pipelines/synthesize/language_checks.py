"""Whether an answer is in the language of what it was made of.

Judged by the shipped annotator (`annotators.language`), for the label of a seed speaks of a whole
document and a chunk may be in another language. An answer passes where its language is the seed's
or the chunk's, dialects and standards of one macrolanguage (Arabic, Chinese, Serbo-Croatian, Malay,
Persian) counted as one. Text that the annotator does not know (`und`: names, formulas, lists)
passes where its script is that of the chunk.
"""

import functools
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from annotators.language.annotator import Language
from annotators.language.languages import language_labels

UNKNOWN: Final = "und"


@dataclass(frozen=True, slots=True)
class Judged:
    """Labels of one text."""

    language: str
    """One of the 119 codes, or `und`."""
    group: str
    """ISO 639-3 of the macrolanguage or language."""
    script: str
    """ISO 15924."""


def judged(text: str) -> Judged:
    """Judges one text."""
    return _judged_all(text)[0]


def english_name(code: str | None) -> str | None:
    """What a prompt calls a language; None where the code is not one of the 119."""
    return _names().get(code or "")


def changed_language(before: str, after: str, known: str | None) -> str | None:
    """Says how the language of a text changed.

    Args:
        before: What was given to the model.
        after: What it made of it.
        known: Label of the document, or None.

    Returns:
        None where it did not; else both languages in words.
    """
    was, found = _judged_all(before, after)
    if UNKNOWN in (found.language, was.language):
        is_same = found.script == was.script
    else:
        is_same = found.group == was.group
    if is_same or found.group == _groups().get(known or "", ""):
        return None
    return f"{_described(was)} became {_described(found)}"


def checks_identity() -> str:
    """Version of the annotator, which decides what passes."""
    return Language.version


def _judged_all(*texts: str) -> list[Judged]:
    """Judges texts together: a call has a price of its own, 1 ms, beside that of its texts."""
    rows = _annotator()(pa.array(texts, pa.large_string()), {}).to_pylist()
    return [Judged(row["language"], row["language_group"], row["script"]) for row in rows]


def _described(one: Judged) -> str:
    return f"{english_name(one.language) or 'an unknown language'} ({one.script})"


@functools.cache
def _annotator() -> Language:
    return Language()


@functools.cache
def _names() -> dict[str, str]:
    return {label.code: label.english_name for label in language_labels()}


@functools.cache
def _groups() -> dict[str, str]:
    return {label.code: label.group for label in language_labels()}

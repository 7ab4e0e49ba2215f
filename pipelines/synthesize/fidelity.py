r"""Whether a refined text is still the raw one: rules without a model, for all scripts.

Refinement transcribes: it joins broken lines, repairs letters, writes formulas in LaTeX and leaves
out what stands on every page. It must not tell anything else. Eight rules, by name of the reject:

    length_ratio       letters of the refined text to letters of the raw one
    low_containment    share of the letters that stand in an n-gram of the other text, both ways
    text_dropped       a stretch of raw letters that the refined text lacks
    text_invented      a stretch of refined letters that the raw text lacks
    numbers_lost       a numeral of the raw text that the refined one lacks
    numbers_invented   the other way round
    formulas_lost      a delimited formula, or a mathematical sign, that the refined text lacks
    language_changed   the language of the text, where it is long enough to tell

**Letters** are letters, digits and marks, case-folded: white space, punctuation and markup do not
count, so a joined line or a repaired hyphen changes nothing. A LaTeX command stands for its sign
(`\alpha` is the Greek letter) or for nothing. N-grams are of 8 letters, and of as many fewer in
Han, Kana and Hangul as these say more (`grams.density`). Order does not count, since two columns
may have been read across. What a text has and the other lacks is a stretch, unless it is the repair
of one in the other text (`stretches`).

**Numerals** are runs of decimal digits of any script, as multisets; super- and subscripts are runs
of their own, `½` is 1 and 2. Letters that stand for digits in a run with digits (`I9I4`, `2O`) are
read as digits in both texts. The tolerance is nothing: 0 of them may be lost or added.

**Dropped lines** are no dropped text: whole lines of the raw text whose letters are nearly all
uncovered, next to a blank line or to the start or end, that do not end as a sentence does (running
headers, page numbers, buttons). Numbers and formulas on them may go with them.

What no rule sees is a change of a few letters ("not", one short word for another), which looks as a
repair does. `fidelity_evaluation` measures each kind of change.
"""

from collections import Counter
from itertools import pairwise
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from pipelines.synthesize.chunks import ends_sentence
from pipelines.synthesize.formulas import formulas_of, signs_of, without_markup
from pipelines.synthesize.grams import Letters, covered, density, letters_of
from pipelines.synthesize.language_checks import changed_language
from pipelines.synthesize.numerals import numerals
from pipelines.synthesize.recipe import Reject
from pipelines.synthesize.stretches import Stretch, longest_unexplained, stretches_of

GRAM_LETTERS: Final = 8
"""Letters of an n-gram in an alphabet: a word and a half of English."""

_FEWEST: Final = 4
"""Letters of a stretch, in any script, of which a ratio of likeness says nothing yet."""
_LINE_IS_GONE: Final = 0.8
"""Share of a line's letters that the refined text lacks."""
_SHOWN: Final = 60


class Limits(BaseModel):
    """What a refinement may change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_length_ratio: float = Field(default=0.7, ge=0, le=1)
    """Letters of the refined text to letters of the raw one."""
    max_length_ratio: float = Field(default=1.15, ge=1)
    min_kept: float = Field(default=0.8, ge=0, le=1)
    """Share of the raw letters that stand in an n-gram of the refined text."""
    min_grounded: float = Field(default=0.85, ge=0, le=1)
    """Share of the refined letters that stand in an n-gram of the raw text."""
    max_dropped: int = Field(default=12, ge=0)
    """Letters of a stretch that is left out; one of Han counts as three."""
    max_dropped_line: int = Field(default=80, ge=0)
    """Letters of a line that may be left out beside that."""
    dropped_lines: Literal["fragments", "any"] = "fragments"
    """Which lines may be: those that end as no sentence does, or any."""
    max_invented: int = Field(default=6, ge=0)
    """Letters of a stretch that is new."""
    max_changed_numbers: float = Field(default=0.0, ge=0, le=1)
    """Share of the numerals that may be lost, and that may be new."""
    language_letters: int = Field(default=120, ge=0)
    """From how many letters on the language is judged."""


def fidelity(
    raw: str, refined: str, limits: Limits | None = None, language: str | None = None
) -> tuple[Reject, ...]:
    """Compares a refined text with the raw one.

    Args:
        raw: What the model was given.
        refined: What it gave back.
        limits: What may change.
        language: Label of the document, or None.

    Returns:
        One reject for each rule that is broken, in the order of the module's list; empty for a
        faithful text.
    """
    limits = limits or Limits()
    before, after = without_markup(raw), without_markup(refined)
    old, new = letters_of(before), letters_of(after)
    if not len(old.points) or not len(new.points):
        return _nothing(old, new)
    weight = density(old.points)
    size = max(2, round(GRAM_LETTERS / weight))
    kept = covered(old.points, new.points, size)
    grounded = covered(new.points, old.points, size)
    bare = np.zeros(len(kept), np.bool_)
    for first, behind in stretches_of(kept, size):
        bare[first:behind] = True
    gone, apart = _lines_gone(before, old, bare, limits.max_dropped_line / weight, limits)
    dropped = longest_unexplained(
        old.points,
        stretches_of(kept | apart, size),
        new.points,
        size,
        _letters(limits.max_dropped, weight),
    )
    invented = longest_unexplained(
        new.points,
        stretches_of(grounded, size),
        old.points,
        size,
        _letters(limits.max_invented, weight),
    )
    rest = _without(gone, raw)
    broken = [
        _length(len(new.points) / len(old.points), limits),
        _containment(float(np.mean(kept)), float(np.mean(grounded)), limits),
        _stretch("text_dropped", before, old, dropped),
        _stretch("text_invented", after, new, invented),
        *_numbers(rest, refined, limits),
        _formulas(rest, refined),
    ]
    if min(len(old.points), len(new.points)) * weight >= limits.language_letters:
        changed = changed_language(raw, refined, language)
        broken.append(Reject(reason="language_changed", message=changed) if changed else None)
    return tuple(reject for reject in broken if reject is not None)


def _letters(most: int, weight: float) -> int:
    return max(_FEWEST, int(most / weight))


def _nothing(old: Letters, new: Letters) -> tuple[Reject, ...]:
    if not len(old.points) and not len(new.points):
        return ()
    message = f"{len(old.points)} letters became {len(new.points)}"
    return (Reject(reason="length_ratio", message=message),)


def _length(ratio: float, limits: Limits) -> Reject | None:
    if limits.min_length_ratio <= ratio <= limits.max_length_ratio:
        return None
    allowed = f"{limits.min_length_ratio} to {limits.max_length_ratio}"
    return Reject(
        reason="length_ratio", message=f"{ratio:.2f} letters for one; allowed are {allowed}"
    )


def _containment(kept: float, grounded: float, limits: Limits) -> Reject | None:
    if kept >= limits.min_kept and grounded >= limits.min_grounded:
        return None
    return Reject(
        reason="low_containment",
        message=f"{kept:.2f} of the raw letters are kept (at least {limits.min_kept}), "
        f"{grounded:.2f} of the refined ones are not new (at least {limits.min_grounded})",
    )


def _stretch(reason: str, text: str, letters: Letters, stretch: Stretch | None) -> Reject | None:
    if stretch is None:
        return None
    first, last = letters.places[[stretch.first, stretch.behind - 1]].tolist()
    shown = " ".join(text[first : last + 1].split())[:_SHOWN]
    return Reject(reason=reason, message=f"{stretch.letters} letters: {shown!r}")


def _lines_gone(
    text: str, letters: Letters, bare: NDArray[np.bool_], most: float, limits: Limits
) -> tuple[frozenset[int], NDArray[np.bool_]]:
    """Lines that may be left out and are: their numbers, and which letters are theirs."""
    lines = text.split("\n")
    ends = np.cumsum([len(line) + 1 for line in lines])
    bounds = np.searchsorted(letters.places, [0, *ends.tolist()]).tolist()
    is_gone = [
        start < end <= start + most and bool(np.mean(bare[start:end]) >= _LINE_IS_GONE)
        for start, end in pairwise(bounds)
    ]
    if limits.dropped_lines == "fragments":
        is_gone = [
            gone and not ends_sentence(line) for gone, line in zip(is_gone, lines, strict=True)
        ]
    gone = _standing_apart(lines, is_gone)
    apart = np.zeros(len(bare), np.bool_)
    for number in gone:
        apart[bounds[number] : bounds[number + 1]] = True
    # A line without letters (a rule, stray marks) says nothing that could be lost.
    silent = {number for number, (i, j) in enumerate(pairwise(bounds)) if i == j}
    return frozenset(gone | silent), apart


def _standing_apart(lines: list[str], is_gone: list[bool]) -> set[int]:
    """Runs of gone lines with a blank line, or the start or end of the text, on a side."""
    found: set[int] = set()
    is_blank = [not line.strip() for line in lines]
    number = 0
    while number < len(lines):
        behind = number
        while behind < len(lines) and is_gone[behind]:
            behind += 1
        before = number == 0 or is_blank[number - 1]
        if behind > number and (before or behind == len(lines) or is_blank[behind]):
            found.update(range(number, behind))
        number = max(behind, number + 1)
    return found


def _without(gone: frozenset[int], raw: str) -> str:
    """The raw text without the lines that are gone; its lines are those without markup."""
    lines = raw.split("\n")
    return "\n".join(line for number, line in enumerate(lines) if number not in gone)


def _numbers(raw: str, refined: str, limits: Limits) -> list[Reject | None]:
    old, new = numerals(raw), numerals(refined)
    most = int(limits.max_changed_numbers * old.total())
    return [
        _changed("numbers_lost", old - new, most),
        _changed("numbers_invented", new - old, most),
    ]


def _changed(reason: str, found: Counter[str], most: int) -> Reject | None:
    if found.total() <= most:
        return None
    shown = ", ".join(sorted(found.elements())[:10])
    return Reject(reason=reason, message=f"{found.total()} (at most {most}): {shown}")


def _formulas(raw: str, refined: str) -> Reject | None:
    old, new = formulas_of(raw), formulas_of(refined)
    # Of two formulas that were set as one, each stands in it.
    joined = " ".join(new - old)
    lost = [one for one in (old - new) if one not in joined]
    if not lost:
        signs = signs_of(without_markup(raw)) - signs_of(without_markup(refined))
        lost = sorted(signs.elements())
    if not lost:
        return None
    shown = ", ".join(lost)[:_SHOWN]
    return Reject(reason="formulas_lost", message=f"{len(lost)} formulas or signs: {shown}")

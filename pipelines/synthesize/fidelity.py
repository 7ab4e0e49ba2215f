r"""Whether a refined text is still the raw one: rules without a model, for all scripts.

Refinement transcribes: it joins broken lines, repairs letters, writes formulas in LaTeX and leaves
out what stands on every page. It must not tell anything else. Eight rules, by name of the reject:

    length_ratio       letters of the refined text to letters of the raw one
    low_containment    share of the letters that stand in an n-gram of the other text, both ways
    text_dropped       the longest stretch of raw letters that the refined text lacks
    text_invented      the longest stretch of refined letters that the raw text lacks
    numbers_lost       a numeral of the raw text that the refined one lacks
    numbers_invented   the other way round
    formulas_lost      a delimited formula, or a mathematical sign, that the refined text lacks
    language_changed   the language of the text, where it is long enough to tell

**Letters** are letters, digits and marks, case-folded: white space, punctuation and markup do not
count, so a joined line or a repaired hyphen changes nothing. A LaTeX command stands for its sign
(`\alpha` is the Greek letter) or for nothing. N-grams are of 8 letters, and of as many fewer in
Han, Kana and Hangul as these say more (`grams.density`); a letter that was repaired is uncovered
alone, an invented sentence is one long stretch. Stretches that fewer letters than an n-gram and a
half part count as one. Order does not count, since two columns may have been read across.

**Numerals** are runs of decimal digits of any script, as multisets; super- and subscripts are runs
of their own, `½` is 1 and 2. Letters that stand for digits in a run with digits (`I9I4`, `2O`) are
read as digits in both texts. The tolerance is nothing: 0 of them may be lost or added.

**Dropped lines**: a line of the raw text whose letters are nearly all uncovered is left out of the
rules on numbers and formulas, so that a page number may go with its header; how long it may be is
what `text_dropped` says.

What no rule sees: one word for another (a name, a negation), for a repaired word looks the same;
its share is bounded by `low_containment`. `fidelity_evaluation` measures each kind of change.
"""

from collections import Counter
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from pipelines.synthesize.formulas import formulas_of, signs_of, without_markup
from pipelines.synthesize.grams import Letters, covered, density, letters_of
from pipelines.synthesize.language_checks import changed_language
from pipelines.synthesize.numerals import numerals
from pipelines.synthesize.recipe import Reject

GRAM_LETTERS: Final = 8
"""Letters of an n-gram in an alphabet: a word and a half of English."""

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
    max_dropped: int = Field(default=70, ge=0)
    """Letters of the longest stretch that is left out; one of Han counts as three."""
    max_invented: int = Field(default=30, ge=0)
    """Letters of the longest stretch that is new."""
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
    dropped = _longest(kept, size)
    invented = _longest(grounded, size)
    gone = _lines_gone(before, old, kept)
    broken = [
        _length(len(new.points) / len(old.points), limits),
        _containment(float(np.mean(kept)), float(np.mean(grounded)), limits),
        _stretch("text_dropped", before, old, dropped, weight, limits.max_dropped),
        _stretch("text_invented", after, new, invented, weight, limits.max_invented),
        *_numbers(_without(before, gone, raw), refined, limits),
        _formulas(_without(before, gone, raw), refined),
    ]
    if min(len(old.points), len(new.points)) * weight >= limits.language_letters:
        changed = changed_language(raw, refined, language)
        broken.append(Reject(reason="language_changed", message=changed) if changed else None)
    return tuple(reject for reject in broken if reject is not None)


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


def _longest(is_covered: NDArray[np.bool_], size: int) -> tuple[int, int]:
    """The longest stretch without cover, as (first letter, letter behind the last)."""
    bare = np.flatnonzero(~is_covered)
    if not len(bare):
        return 0, 0
    # A covered gap of less than an n-gram and a half may be chance ("of the").
    breaks = np.flatnonzero(np.diff(bare) > size + size // 2)
    firsts = bare[np.concatenate([[0], breaks + 1])]
    lasts = bare[np.concatenate([breaks, [len(bare) - 1]])]
    at = int(np.argmax(lasts - firsts))
    return int(firsts[at]), int(lasts[at]) + 1


def _stretch(
    reason: str,
    text: str,
    letters: Letters,
    stretch: tuple[int, int],
    weight: float,
    most: int,
) -> Reject | None:
    first, behind = stretch
    length = round((behind - first) * weight)
    if length <= most:
        return None
    shown = " ".join(text[letters.places[first] : letters.places[behind - 1] + 1].split())
    return Reject(reason=reason, message=f"{length} letters (at most {most}): {shown[:_SHOWN]!r}")


def _lines_gone(text: str, letters: Letters, kept: NDArray[np.bool_]) -> frozenset[int]:
    """Numbers of the lines that the refined text lacks, and of those without a letter."""
    ends = [i for i, c in enumerate(text) if c == "\n"]
    bounds = np.searchsorted(letters.places, [0, *ends, len(text)])
    gone = set()
    for line, (start, end) in enumerate(pairwise(bounds.tolist())):
        if start == end or np.mean(~kept[start:end]) >= _LINE_IS_GONE:
            gone.add(line)
    return frozenset(gone)


def _without(normal: str, gone: frozenset[int], raw: str) -> str:
    """The raw text without the lines that are gone; both texts have the same lines."""
    lines = raw.split("\n")
    assert len(lines) == normal.count("\n") + 1
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
    joined = " ".join(new)
    lost = [one for one in (old - new) if one not in joined]
    if not lost:
        signs = signs_of(without_markup(raw)) - signs_of(without_markup(refined))
        lost = sorted(signs.elements())
    if not lost:
        return None
    shown = ", ".join(lost)[:_SHOWN]
    return Reject(reason="formulas_lost", message=f"{len(lost)} formulas or signs: {shown}")

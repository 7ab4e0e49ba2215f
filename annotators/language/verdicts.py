"""From the probabilities of a model's labels to candidate languages, row by row.

A label whose script holds less than a fifth of the letters of the row is struck out. Labels that a
sentence often does not tell apart (Arabic, Chinese, Persian, Bosnian and Croatian, Indonesian and
Malay) form a *family*, every other is its own. Dialects share their probability among themselves,
so a single label of them may be small where the family is certain: families are ranked by their
sums, and each is represented by its best label. Serbian, which is told from its relatives by the
script, is its own family although it is in their group.

Labels are related to the 119 of the table, which are numbered in its order; a label outside of them
(of another maker's model, or `und`) gets a number of its own from 119 on, for itself and as its
family.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from annotators.language.folding import SCRIPTS, Counts
from annotators.language.languages import UNDETERMINED, LanguageLabel, language_labels
from annotators.text.kernels import kernel

NO_SCRIPT: Final = "Zyyy"
"""ISO 15924 for text without letters."""

_LETTERS_OF = {"Hans": ("Hani",), "Hant": ("Hani",), "Jpan": ("Hani", "Kana")}
NUM_CANDIDATES: Final = 4
"""Families of a row that are looked at further."""

_HANI, _KANA = SCRIPTS.index("Hani"), SCRIPTS.index("Kana")
_MIN_SCRIPT_PART = 5  # a label's script holds at least a fifth of the letters
# A syllable or a word in one letter counts as three.
_SIZES = np.array([3 if script in ("Hani", "Kana", "Hang") else 1 for script in SCRIPTS], np.int64)
_ANY_SCRIPT = np.uint64(2**64 - 1)

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Chances = npt.NDArray[np.float32]


class Candidates(NamedTuple):
    """The likeliest families of each row, best first: arrays [num_rows, num_candidates]."""

    languages: Ints
    """int64: number of the best label of each family, 119 or more where it is none of the 119, -1
    where there are no more families."""
    scores: Floats
    """float64: probability of the family."""
    own_scores: Floats
    """float64: that of its best label."""
    siblings: Ints
    """int64: number of the next best label of the family, -1 where there is none."""


class LabelTable:
    """The labels of a model, related to the 119.

    Names are looked up by number: `codes[number]`, `groups[number]`; both give `und` from 119 on.
    """

    def __init__(self, labels: Sequence[str], label_map: Mapping[str, str]) -> None:
        """Relates labels, without `__label__`, to codes of the 119.

        Args:
            labels: Of the model.
            label_map: Label to code; one that is not in it may be a code itself.
        """
        known = language_labels()
        self.num_known = len(known)
        numbers = {label.code: number for number, label in enumerate(known)}
        outside = range(len(known), len(known) + len(labels))
        self.codes = np.array([label.code for label in known] + [UNDETERMINED], object)
        self.groups = np.array([label.group for label in known] + [UNDETERMINED], object)
        families = [_family(label) for label in known]
        names = sorted(set(families))
        family_of = np.array([names.index(family) for family in families] + list(outside))
        found = [
            numbers.get(label_map.get(label, label), own)
            for label, own in zip(labels, outside, strict=True)
        ]
        self._languages = np.array(found, np.int64)
        self.names_any = bool((self._languages < self.num_known).any())
        """Whether at least one label is one of the 119."""
        self._families = family_of[self._languages].astype(np.int64)
        scripts = [_letters_of(label) for label in known] + [_ANY_SCRIPT] * len(labels)
        self._scripts = np.array(scripts, np.uint64)[self._languages]
        self.family_of = family_of
        """int64[119 + num_labels]: number of a language to that of its family."""

    def name(self, numbers: Ints) -> npt.NDArray[np.object_]:
        """Codes of languages, `und` for those beyond the 119."""
        return np.asarray(self.codes[np.minimum(numbers, self.num_known)])

    def candidates(
        self, chances: Chances, letters: Counts, num_candidates: int = NUM_CANDIDATES
    ) -> Candidates:
        """Ranks the families of each row.

        Args:
            chances: float32[num_rows, num_labels]: probabilities.
            letters: int32[num_rows, len(SCRIPTS)].
            num_candidates: How many families of each row are wanted.
        """
        shape = (len(chances), num_candidates)
        found = Candidates(np.full(shape, -1), np.zeros(shape), np.zeros(shape), np.full(shape, -1))
        _rank(
            chances,
            letters,
            _SIZES,
            self._languages,
            self._families,
            self._scripts,
            self.num_known,
            found,
        )
        return found

    def family_chances(self, chances: Chances, families: Ints) -> Floats:
        """float64[num_rows]: probability of one family in each row, whatever the script.

        Args:
            chances: float32[num_rows, num_labels].
            families: int64[num_rows]: its number; a probability of 0 where it is negative.
        """
        found = np.zeros(len(chances))
        _sum_family(chances, families, self._families, found)
        return found


def scripts_of(letters: Counts) -> npt.NDArray[np.object_]:
    """ISO 15924 of the script with most letters; a tenth of kana among Han makes it Japanese.

    Args:
        letters: int32[num_rows, len(SCRIPTS)].
    """
    counts = letters.copy()
    counts[:, _HANI] += counts[:, _KANA]
    names = np.array([*SCRIPTS, "Jpan", NO_SCRIPT], object)
    best = counts.argmax(axis=1)
    kana = letters[:, _KANA]
    is_japanese = (best == _HANI) & (kana * 10 >= counts[:, _HANI]) & (kana > 0)
    best = np.where(is_japanese | (best == _KANA), len(SCRIPTS), best)
    best = np.where(counts.max(axis=1) == 0, len(SCRIPTS) + 1, best)
    return np.asarray(names[best])


def _family(label: LanguageLabel) -> tuple[str, bool]:
    return label.group, label.code == "srp_Cyrl"


def _letters_of(label: LanguageLabel) -> np.uint64:
    """Bits of the scripts that a text of this label may be written in."""
    wanted = _LETTERS_OF.get(label.script, (label.script,))
    return np.uint64(sum(1 << at for at, script in enumerate(SCRIPTS) if script in wanted))


@kernel
def _rank(
    chances: Chances,
    letters: Counts,
    sizes: Ints,
    languages: Ints,
    families: Ints,
    scripts: npt.NDArray[np.uint64],
    num_known: int,
    found: Candidates,
) -> None:
    candidates, scores, own_scores, siblings = found
    num_labels = chances.shape[1]
    by_language = np.zeros(num_known + num_labels)
    by_family = np.zeros(num_known + num_labels)
    met = np.empty(num_labels, np.int64)  # labels of the row that have a chance, which are few
    for row in range(len(chances)):
        total = np.int64(0)
        for script in range(letters.shape[1]):
            total += letters[row, script] * sizes[script]
        present = np.uint64(0)
        for script in range(letters.shape[1]):
            own = letters[row, script] * sizes[script]
            if own and own * _MIN_SCRIPT_PART >= total:
                present |= np.uint64(1) << np.uint64(script)
        num_met = 0
        for label in range(num_labels):
            chance = chances[row, label]
            if chance > 0 and scripts[label] & present:
                by_language[languages[label]] += chance
                by_family[families[label]] += chance
                met[num_met] = label
                num_met += 1
        for rank in range(candidates.shape[1]):
            best = 0.0
            family = np.int64(-1)
            for at in range(num_met):
                if by_family[families[met[at]]] > best:
                    family = families[met[at]]
                    best = by_family[family]
            if family < 0:
                break
            first = second = 0.0
            number_of_first = number_of_second = np.int64(-1)
            for at in range(num_met):
                number = languages[met[at]]
                chance_of_number = by_language[number]
                if families[met[at]] != family or number in (number_of_first, number_of_second):
                    continue
                if chance_of_number > first:
                    second, number_of_second = first, number_of_first
                    first, number_of_first = chance_of_number, number
                elif chance_of_number > second:
                    second, number_of_second = chance_of_number, number
            candidates[row, rank], siblings[row, rank] = number_of_first, number_of_second
            scores[row, rank], own_scores[row, rank] = min(best, 1.0), min(first, 1.0)
            by_family[family] = 0.0
        for at in range(num_met):
            by_language[languages[met[at]]] = 0.0
            by_family[families[met[at]]] = 0.0


@kernel
def _sum_family(chances: Chances, wanted: Ints, families: Ints, found: Floats) -> None:
    for row in range(len(chances)):
        for label in range(chances.shape[1]):
            if families[label] == wanted[row]:
                found[row] += chances[row, label]

"""The table of familiar n-grams and what novelty is usual, from folded training sentences alone.

A table holds every n-gram of the sentences of its labels. What novelty is usual is measured on the
sentences of `FAMILIAR_SET`, which every label has, each against a table without its tenth of the
articles. Tried, on FLORES-200 devtest with a
filter that takes a fifth of unknown n-grams for known: the share of sentences in other languages
that are believed at 0.4 % of true sentences lost, one limit for all labels:

    trigrams and 5-grams, half of the weight each         1.3 %
    5-grams and 6-grams                                   1.9 %
    4-grams and 5-grams                                   2.3 %
    5-grams alone                                         2.5 %
    the classifier's probability alone                   14.2 %

Leaving out what larger sets have once halves the false positives of the filter and believes more
(1.9 against 1.6 %): what is rare in a language is still in that language.

LIMIT, RELATED_LIMIT and LONE_NOVELTY, and that the labels of RELATIVES have a limit of their own,
are all that was chosen by looking at languages beyond the 119 (84, 40 sentences each). Where the
two limits were chosen on four fifths of them so that 1.0 % were believed, 1.2 % of the left-out
languages were, 1.0 % of left-out sentences and 1.2 % of left-out articles; hence limits that
leave 0.8 % of all.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from annotators.language.familiarity import (
    MAX_EVIDENCE,
    MIN_EVIDENCE,
    Familiarity,
    LabelStatistics,
    insert_keys,
    ngram_keys,
)
from annotators.language.languages import LanguageLabel, language_labels

FAMILIAR_SET: Final = "sib200_floresdev"
BROAD_SET: Final = "lingua_sentences"
"""A label with sentences of this set, from news and the web, knows more registers than one. For it
the limit does not tighten with the length of a line, except where it has RELATIVES: of pages of the
web in English all but 0.1 % are believed (0.9 % where it tightens for all, 2.9 % where windows are
not asked either), at 0.1 points more of sentences in languages beyond the 119."""

NUM_BYTES: Final = 2_100_000
"""Size of the filter: 0.16 of unknown n-grams are taken for known, which costs 0.2 points of
outsiders against a filter of ten times the size."""
LIMIT: Final = 3.3
"""Multiples of the spread that are believed."""
RELATED_LIMIT: Final = 2.4
"""The same for labels of RELATIVES."""
LONE_NOVELTY: Final = 0.5
"""Novelty that is believed of a long line of a label that alone uses its script: Greek with the
accents of before 1982 has up to 0.46, Shan in the script of Burmese 0.74 and more."""
RELATIVES: Final[Mapping[str, str]] = {
    "tur_Latn": "Crimean Tatar",
    "pes_Arab": "South Azerbaijani, Central Kurdish",
    "prs_Arab": "South Azerbaijani, Central Kurdish",
    "urd_Arab": "Kashmiri",
    "gle_Latn": "Scottish Gaelic",
    "lvs_Latn": "Latgalian",
    "tat_Cyrl": "Kyrgyz",
    "sun_Latn": "Acehnese",
    "swh_Latn": "other Bantu languages",
}
"""Labels with near relatives beyond the 119 that are written in the same script."""

_NUM_FOLDS = 10
_SHARED, _ALONE = 5, 3  # characters of the longest n-gram, by whether others use the script
_WITHOUT_TABLE = frozenset({"Hans", "Hant", "Jpan"})
_LEAST_SPREAD = 0.1  # of labels whose few sentences are all alike
_DEFAULT_MEAN, _DEFAULT_SPREAD = 1.0, 1.0  # of labels without sentences: all is believed


class FoldedSentence(NamedTuple):
    """A training sentence as the identifier sees it."""

    line: str
    """Folded, without spaces at its ends."""
    name: str
    """The set it is from."""
    doc_id: str


def train_familiarity(
    sentences: Mapping[str, Sequence[FoldedSentence]],
    *,
    num_bytes: int = NUM_BYTES,
) -> Familiarity:
    """Makes the table.

    Args:
        sentences: Training sentences of each label.
        num_bytes: Size of the filter; a multiple of 8.
    """
    labels = language_labels()
    words = np.zeros(num_bytes // 8, np.uint64)
    tables = np.full(len(labels), -1)
    longest = np.full(len(labels), _SHARED)
    means, spreads = np.full(len(labels), _DEFAULT_MEAN), np.full(len(labels), _DEFAULT_SPREAD)
    measured: dict[int, tuple[float, float]] = {}
    for table, members in enumerate(_tables(labels)):
        rows = [one for member in members for one in sentences.get(labels[member].code, ())]
        if not rows:
            continue
        length = _SHARED if _shares_script(labels, members) else _ALONE
        counted = _Counted(rows, table, length, is_latin=labels[members[0]].script == "Latn")
        insert_keys(words, counted.keys)
        measured[table] = counted.usual()
        for member in members:
            tables[member], longest[member] = table, length
    evidence = np.array([_most_evidence(sentences.get(label.code, ()), label) for label in labels])
    limits = np.full(len(labels), LIMIT)
    statistics = LabelStatistics(tables, longest, means, spreads, limits, evidence)
    known = Familiarity(words, statistics)
    odds = known.false_positive_rate / (1 - known.false_positive_rate)
    for member, table in enumerate(tables.tolist()):
        if table >= 0:
            mean, variance = measured[table]
            # What dividing out the false positives of the filter leaves of noise.
            means[member] = mean
            spreads[member] = max(_LEAST_SPREAD, np.sqrt(variance + mean / 2 * odds))
            if longest[member] == _ALONE:
                room = (LONE_NOVELTY - mean) * np.sqrt(evidence[member])
                statistics.limits[member] = max(LIMIT, room / spreads[member])
            elif labels[member].code in RELATIVES:
                statistics.limits[member] = RELATED_LIMIT
    return known


def _most_evidence(sentences: Sequence[FoldedSentence], label: LanguageLabel) -> int:
    is_broad = any(sentence.name == BROAD_SET for sentence in sentences)
    return MIN_EVIDENCE if is_broad and label.code not in RELATIVES else MAX_EVIDENCE


def _tables(labels: Sequence[LanguageLabel]) -> list[list[int]]:
    """Places of the labels that share a table, in a fixed order; none for Chinese, Japanese."""
    members: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for number, label in enumerate(labels):
        if label.script not in _WITHOUT_TABLE:
            members[label.group, label.script].append(number)
    return list(members.values())


def _shares_script(labels: Sequence[LanguageLabel], members: Sequence[int]) -> bool:
    script = labels[members[0]].script
    return any(
        label.script == script for number, label in enumerate(labels) if number not in members
    )


class _Counted:
    """N-grams of the sentences of one table, counted by fold."""

    def __init__(
        self, rows: Sequence[FoldedSentence], table: int, longest: int, *, is_latin: bool
    ) -> None:
        by_line = [ngram_keys(row.line, table, longest, is_latin=is_latin) for row in rows]
        self._num_short = np.array([line.num_short for line in by_line])
        self._sizes = np.array([len(line.keys) for line in by_line])
        self._folds = np.array([_fold_of(row.doc_id) for row in rows])
        self._is_familiar = np.array([row.name == FAMILIAR_SET for row in rows])
        self.keys, self._places = np.unique(
            np.concatenate([line.keys for line in by_line]), return_inverse=True
        )
        of_line = np.repeat(np.arange(len(self._sizes)), self._sizes)
        cells = self._places * _NUM_FOLDS + self._folds[of_line]
        counts = np.bincount(cells, minlength=len(self.keys) * _NUM_FOLDS)
        self._num_folds = (counts.reshape(-1, _NUM_FOLDS) > 0).sum(axis=1)

    def usual(self) -> tuple[float, float]:
        """Mean of the novelty of left-out sentences, variance of it times the root of trigrams."""
        is_new = self._num_folds == 1  # then that of the sentence itself
        starts = np.cumsum(self._sizes) - self._sizes
        shares, roots = [], []
        measured = self._is_familiar if self._is_familiar.any() else ~self._is_familiar
        for row in np.flatnonzero(measured):
            size, num_short = self._sizes[row], self._num_short[row]
            if num_short == 0:
                continue
            places = self._places[starts[row] : starts[row] + size]
            new = is_new[places]
            share = new[:num_short].mean()
            if size > num_short:
                share = (share + new[num_short:].mean()) / 2
            shares.append(share)
            roots.append(np.sqrt(num_short))
        novelty, root = np.array(shares), np.array(roots)
        mean = float(novelty.mean())
        return mean, float((((novelty - mean) * root) ** 2).mean())


def _fold_of(doc_id: str) -> int:
    return hashlib.blake2b(doc_id.encode(), digest_size=8).digest()[0] % _NUM_FOLDS

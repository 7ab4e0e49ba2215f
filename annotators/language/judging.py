"""From folded lines to languages: candidates, familiarity, dialects, and the shares of a text.

A *part* is what gets one language: a text that is of one piece, the segments of a mixed text that
are in one language, or a paragraph. Parts are judged alike, and `shares` puts them together.

A segment leaves its line only where it is clearly in another family (MIN_SEGMENT_ODDS,
MIN_SEGMENT_LETTERS): a name in a foreign language does not make a text mixed.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from annotators.language.chinese import CANTONESE, CHINESE, MIN_CANTONESE, NEUTRAL, settle_chinese
from annotators.language.dialects import Dialects, is_set
from annotators.language.evidence import MIN_SCORE, has_evidence
from annotators.language.familiarity import ALONE, Familiarity
from annotators.language.folding import Bytes, Counts
from annotators.language.model_file import is_described, load
from annotators.language.paragraphs import paragraphs as cut_paragraphs
from annotators.language.scoring import scorer
from annotators.language.shares import Parts, columns_of
from annotators.language.verdicts import Candidates, LabelTable, scripts_of
from annotators.language.windows import Windows, fold_windows
from annotators.text.utf8 import utf8_texts

MIN_GROUP_SCORE: Final = 0.5
"""Probability of its family below which a language of another maker's model is not believed: where
the family is likelier than everything else together."""
MIN_SEGMENT_ODDS: Final = 50
"""How much likelier than that of its line another family must be for a segment to be in it."""
MIN_SEGMENT_LETTERS: Final = 16
"""Letters from which it may be."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Chances = npt.NDArray[np.float32]


class _Judged(NamedTuple):
    """The language of each line; 119 is `und`."""

    language: Ints
    score: Floats
    second: Ints
    families: Ints
    """int64[num_lines]: the family that was chosen, believed or not; -1 without a candidate."""
    family_scores: Floats
    """float64[num_lines]: of the family, or of all candidates in its set."""


class Judge:
    """A loaded model with all that decides beside it."""

    def __init__(self, path: Path, label_map: Mapping[str, str]) -> None:
        """Loads a model, and with one of this project its familiarity and dialects.

        Raises:
            ValueError: A file is missing or damaged.
        """
        model = load(path)
        self._folds = model.folds
        self._score = scorer(model)
        self._table = LabelTable(model.labels, label_map)
        self._und = self._table.num_known
        if not self._table.names_any:
            raise ValueError(
                f"none of the labels of {path} is one of the 119 languages, so that every text "
                f"would be und; they begin with {', '.join(model.labels[:3])}: give the option "
                "`label_map` for them"
            )
        self._familiarity, self._dialects = None, None
        if is_described(path):
            self._familiarity = Familiarity.load(path.with_name("familiarity.npz"))
            self._dialects = Dialects.load(path.with_name("dialects.npz"))
        codes = self._table.codes.tolist()
        self._decides_alone = np.zeros(len(self._table.family_of) + 1, np.bool_)
        if self._familiarity:
            known = self._familiarity.statistics
            self._decides_alone[: self._und] = (known.tables < 0) | (known.longest == ALONE)
        self._chinese = np.isin(np.arange(len(codes)), [codes.index(code) for code in CHINESE])
        self._members = {
            group: np.array([codes.index(code) for code in members], np.int64)
            for group, members in (self._dialects.groups if self._dialects else {}).items()
        }
        self._set_of = np.full(max(len(codes), len(self._table.family_of)), -1)
        for number, (group, members) in enumerate(self._members.items()):
            if is_set(group):
                self._set_of[members] = number
        self._code_of = {code: number for number, code in enumerate(codes)}
        self._codes = pa.array(codes, pa.string())
        self._groups = pa.array(self._table.groups.tolist(), pa.string())

    def annotate(
        self, texts: pa.LargeStringArray, *, paragraphs: bool, whole: bool
    ) -> list["pa.Array[Any]"]:
        """The columns of `Language.columns`."""
        if paragraphs:
            cut, rows = cut_paragraphs(texts)
            windows = fold_windows(cut, fold=self._folds)
            letters = windows.letters.sum(axis=1, dtype=np.int32)
            per_text = np.zeros((len(texts), letters.shape[1]), np.int32)
            np.add.at(per_text, rows, letters)
            parts = self._of_windows(windows, letters)
            parts = parts._replace(rows=rows[parts.rows])
        else:
            windows = fold_windows(texts, fold=self._folds, whole=whole)
            per_text = windows.letters.sum(axis=1, dtype=np.int32)
            parts = self._of_windows(windows, per_text)
        parts = self._with_dialects(parts, texts)
        found = columns_of(parts, len(texts), self._und)
        shares = pa.ListArray.from_arrays(
            pa.array(found.offsets, pa.int32()),
            pa.StructArray.from_arrays(
                [self._codes.take(pa.array(found.languages)), pa.array(found.shares, pa.float32())],
                fields=_SHARE_FIELDS,
            ),
        )
        return [
            self._codes.take(pa.array(found.language)),
            pa.array(found.score, pa.float32()),
            self._codes.take(pa.array(found.second)),
            self._groups.take(pa.array(found.language)),
            pa.array(scripts_of(per_text), pa.string()),
            shares,
            pa.array(found.share, pa.float32()),
        ]

    def _of_windows(self, windows: Windows, letters: Counts) -> Parts:
        """Parts of texts that were read through windows, or whole."""
        lines, segments = self._score(windows.data, windows.bounds)
        judged = self._judge(windows.data, windows.bounds, lines, letters)
        parts = self._parts(judged, windows.data, windows.spans, letters, np.arange(len(letters)))
        if segments.shape[1] == 1:
            return parts
        families = self._segment_families(segments, windows.letters, judged.families)
        mixed = np.flatnonzero((families != judged.families[:, None]).any(axis=1))
        if not len(mixed):
            return parts
        data, bounds, letters, rows = _joined(windows, families, mixed)
        pieces = self._parts_of(data, bounds, letters, rows)
        return parts.without(mixed).and_then(pieces)

    def _segment_families(self, segments: Chances, letters: Counts, of_line: Ints) -> Ints:
        """int64[num_lines, num_segments]: family of each segment, that of its line in doubt."""
        shape = segments.shape[:2]
        flat = letters.reshape(-1, letters.shape[-1])
        chances = segments.reshape(len(flat), segments.shape[2])
        candidates = self._table.candidates(chances, flat, 1)
        of_segment = np.repeat(of_line, shape[1])
        rest = self._table.family_chances(chances, of_segment)
        clear = (candidates.scores[:, 0] >= MIN_SEGMENT_ODDS * rest) & (
            flat.sum(axis=1) >= MIN_SEGMENT_LETTERS
        )
        own = self._table.family_of[candidates.languages[:, 0]]
        return np.where(clear.reshape(shape), own.reshape(shape), of_line[:, None])

    def _parts_of(self, data: Bytes, bounds: Ints, letters: Counts, rows: Ints) -> Parts:
        """Judges lines of one segment each as parts of texts."""
        lines, _ = self._score(data, bounds)
        judged = self._judge(data, bounds, lines, letters)
        return self._parts(judged, data, bounds, letters, rows)

    def _judge(self, data: Bytes, bounds: Ints, chances: Chances, letters: Counts) -> _Judged:
        candidates = self._table.candidates(chances, letters)
        languages = candidates.languages
        every = np.arange(len(languages))
        if self._familiarity is None:
            columns = np.zeros(len(languages), np.int64)
            believed = candidates.scores[:, 0] >= MIN_GROUP_SCORE
        else:
            columns, believed, _ = self._familiarity.choose(
                data, bounds, languages, candidates.scores
            )
        chosen = languages[every, columns]
        believed = believed & (chosen >= 0) & (chosen < self._und)
        own_set = self._set_of[chosen]
        counted = self._set_of[languages] == own_set[:, None]
        counted &= (own_set[:, None] >= 0) & (languages >= 0)
        counted[every, columns] = True
        family_scores = np.minimum(np.where(counted, candidates.scores, 0.0).sum(axis=1), 1.0)
        if self._familiarity is not None:
            spans = np.ascontiguousarray(bounds[:, [0, -1]])
            decided = self._decides_alone[chosen]
            says_enough = has_evidence(data, spans, family_scores)
            believed &= np.where(decided, family_scores >= MIN_SCORE, says_enough)
        return _Judged(
            np.where(believed, chosen, self._und),
            np.where(believed, candidates.own_scores[every, columns], 0.0),
            self._seconds(candidates, columns, believed),
            np.where(chosen >= 0, self._table.family_of[chosen], -1),
            family_scores,
        )

    def _seconds(self, candidates: Candidates, columns: Ints, believed: npt.NDArray[Any]) -> Ints:
        """The next best guess: another member of the family, or the best of another family."""
        every = np.arange(len(columns))
        inside = (candidates.languages >= 0) & (candidates.languages < self._und)
        scores = np.where(inside, candidates.scores, 0.0)
        # Where nothing is believed the best of all is the second.
        scores[every[believed], columns[believed]] = 0.0
        best = scores.argmax(axis=1)
        other_score = scores[every, best]
        second = np.where(other_score > 0, candidates.languages[every, best], self._und)
        rest = candidates.scores[every, columns] - candidates.own_scores[every, columns]
        siblings = candidates.siblings[every, columns]
        near = believed & (siblings >= 0) & (rest > other_score)
        return np.where(near, siblings, second)

    def _parts(
        self, judged: _Judged, data: Bytes, spans: Ints, letters: Counts, rows: Ints
    ) -> Parts:
        """Judged lines as parts, after the rules of Chinese characters."""
        languages, seconds = judged.language.copy(), judged.second.copy()
        for row in np.flatnonzero(self._chinese[languages]).tolist():
            line = data[spans[row, 0] : spans[row, 1]].tobytes().decode(errors="replace")
            said = str(self._table.codes[languages[row]])
            # Marks alone make Cantonese here: `_with_dialects` looks at what has too few of them.
            if self._dialects and len(line) < MIN_CANTONESE:
                said = NEUTRAL
            code = settle_chinese(
                "zho_Hant" if self._dialects and said == CANTONESE else said, line
            )
            if self._code_of[code] == seconds[row]:
                seconds[row] = languages[row]
            languages[row] = self._code_of[code]
        return Parts(
            rows, languages, judged.score, seconds, judged.family_scores,
            letters.sum(axis=1, dtype=np.int64),
        )  # fmt: skip

    def _with_dialects(self, parts: Parts, texts: pa.LargeStringArray) -> Parts:
        """Settles which member of its group each part is in, by the raw text it stands in."""
        if self._dialects is None:
            return parts
        data, offsets = utf8_texts(texts)
        languages, scores = parts.languages.copy(), parts.scores.copy()
        seconds = parts.seconds.copy()
        # Characters choose among these, so that what is in doubt is whether it is Chinese.
        by_characters = self._chinese[languages]
        scores[by_characters] = parts.family_scores[by_characters]
        for group, members in self._members.items():
            at = self._to_settle(parts, group, members)
            if not len(at):
                continue
            rows, of_part = np.unique(parts.rows[at], return_inverse=True)
            numbers, within = self._dialects.settle(data, offsets, rows, group)
            found = members[numbers][of_part]
            seconds[at] = np.where(seconds[at] == found, languages[at], seconds[at])
            languages[at] = found
            scores[at] = parts.family_scores[at] * within[of_part]
        return parts._replace(languages=languages, scores=scores, seconds=seconds)

    def _to_settle(self, parts: Parts, group: str, members: Ints) -> Ints:
        """int64[num_settled]: the parts whose member of a group or set is to be settled."""
        chosen = np.isin(parts.languages, members)
        if not is_set(group):
            # What is Cantonese by its marks stays so, and few characters without one say nothing.
            if self._code_of[CANTONESE] in members:
                chosen &= parts.letters >= MIN_CANTONESE
            return np.flatnonzero(chosen & (parts.languages != self._code_of[CANTONESE]))
        # Raw text is read whole, so a text that is in two of the languages is left as it is.
        _, of_part, num_parts = np.unique(
            parts.rows[chosen], return_inverse=True, return_counts=True
        )
        at = np.flatnonzero(chosen)[num_parts[of_part] == 1]
        return np.asarray(at[np.isin(parts.seconds[at], members)])


_SHARE_FIELDS: list["pa.Field[Any]"] = [
    pa.field("language", pa.string(), nullable=False),
    pa.field("share", pa.float32(), nullable=False),
]


def _joined(windows: Windows, families: Ints, mixed: Ints) -> tuple[Bytes, Ints, Counts, Ints]:
    """One line for each family of each mixed text, of its segments.

    Returns:
        data uint8[num_bytes], bounds int64[num_lines, 2], letters int32[num_lines, len(SCRIPTS)]
        and rows int64[num_lines] of the texts.
    """
    pieces: list[Bytes] = []
    bounds, letters, rows = [], [], []
    at = 0
    for row in mixed.tolist():
        ends = windows.bounds[row]
        for family in np.unique(families[row, np.diff(ends) > 0]).tolist():
            own = np.flatnonzero((families[row] == family) & (np.diff(ends) > 0))
            begin = at
            for segment in own.tolist():
                piece = windows.data[ends[segment] : ends[segment + 1]]
                pieces.append(piece)
                at += len(piece)
            bounds.append((begin, at))
            letters.append(windows.letters[row, own].sum(axis=0, dtype=np.int32))
            rows.append(row)
    return np.concatenate(pieces), np.array(bounds), np.array(letters), np.array(rows)

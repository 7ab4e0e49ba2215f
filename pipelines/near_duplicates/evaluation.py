"""Near-duplicates on real revisions of real documents: what is found, what is missed, and what for.

`neardup/revision_docs.jsonl.gz` holds versions of documents, `revision_pairs.jsonl.gz` pairs of
them with their Jaccard, given to four decimals, and the shingles that it is over: word 5-grams, or
character 8-grams. Those were chosen by the documents' origin, ours by the share of letters in
scripts without spaces, so the two can differ for tutorials in Chinese and Japanese. Recall is
therefore by the stated Jaccard, and beside it how many stated values ours agree with.

All documents go through the kernels and the buckets of the real jobs. A pair counts as found when
it is a candidate and its exact Jaccard reaches the threshold. Precision asks of every pair that is
found, listed or not, what its Jaccard is by a second implementation over Python strings, of the
kind of shingles that the data states. What is lost where texts share a template and nothing else is
measured in `templated.py`.
"""

import gzip
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from annotators.text.minhash import recall_at
from annotators.text.shingles import (
    CHARACTERS_PER_SHINGLE,
    WORDS_PER_SHINGLE,
    jaccards,
    shingle_sets,
)
from pipelines.near_duplicates.in_memory import search
from pipelines.near_duplicates.near import NearDuplicates
from pipelines.near_duplicates.templated import (
    NUM_PAGES,
    TemplatedEvaluation,
    evaluate_templated,
)

DOCUMENTS: Final = Path("neardup") / "revision_docs.jsonl.gz"
PAIRS: Final = Path("neardup") / "revision_pairs.jsonl.gz"
_FIRST_BIN: Final = 10  # of 20
_NUM_BINS: Final = 20
_ROUNDING: Final = 0.5e-4 * (1 + 1e-6)
_WORD: Final = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class JaccardBin:
    """Pairs whose stated Jaccard is in [low, low + 0.05)."""

    low: float
    pairs: int
    shared_band: int
    """Pairs that have a band in common."""
    found: int
    """Candidates whose exact Jaccard reaches the threshold."""
    expected: float
    """Mean probability of a common band by the formula, at our Jaccard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NearDuplicatesEvaluation:
    """What was measured."""

    threshold: float
    documents: int
    pairs: int
    agreeing: int
    """Stated values that ours round to."""
    bins: tuple[JaccardBin, ...]
    """From 0.5 up; a Jaccard of 1 is in the last."""
    true_pairs: int
    """Listed pairs whose stated Jaccard reaches the threshold ..."""
    true_found: int
    """... and that are found."""
    candidates: int
    """Distinct candidate pairs among all documents."""
    found: int
    """Of those, the ones whose exact Jaccard reaches the threshold ..."""
    found_true: int
    """... and reaches it by the second implementation too."""
    largest_bucket: int
    split_buckets: int
    pairs_skipped: int
    templated: TemplatedEvaluation

    def to_text(self) -> str:
        """A table and the figures below it."""
        lines = [
            "| Jaccard | pairs | share a band | by the formula | found |",
            "|---|---|---|---|---|",
        ]
        for item in self.bins:
            shared, found = item.shared_band / item.pairs, item.found / item.pairs
            lines.append(
                f"| {item.low:.2f} | {item.pairs} | {shared:.3f} | {item.expected:.3f} "
                f"| {found:.3f} |"
            )
        lines += [
            "",
            f"recall at {self.threshold:g}: {self.true_found / self.true_pairs:.4f} "
            f"({self.true_found} of {self.true_pairs} pairs)",
            f"precision at {self.threshold:g}: {self.found_true / self.found:.4f} "
            f"({self.found_true} of {self.found} pairs found among {self.documents} documents)",
            f"candidates: {self.candidates / self.documents:.2f} pairs a document",
            f"stated Jaccard: {self.agreeing} of {self.pairs} are ours to the four decimals given",
            f"largest bucket: {self.largest_bucket} documents; buckets split: "
            f"{self.split_buckets}; pairs skipped: {self.pairs_skipped}",
            "",
            self.templated.to_text(),
        ]
        return "\n".join(lines)


def evaluate_near_duplicates(
    data: Path, near: NearDuplicates | None = None, *, num_pages: int = NUM_PAGES
) -> NearDuplicatesEvaluation:
    """Measures recall by Jaccard and precision on revisions, and losses among templated pages.

    Args:
        data: The folder with `neardup/` and `text/`.
        near: What counts as a near-duplicate; the defaults where None.
        num_pages: Of templates.

    Raises:
        ValueError: The data is not there, its pairs name documents that are not, or the texts are
            too few for so many pages.
    """
    near = near or NearDuplicates()
    documents, pairs = _read(data / DOCUMENTS), _read(data / PAIRS)
    position = {document["id"]: index for index, document in enumerate(documents)}
    try:
        ends = np.array([[position[pair["a"]], position[pair["b"]]] for pair in pairs])
    except KeyError as error:
        raise ValueError(f"{data / PAIRS} names {error}, which {data / DOCUMENTS} lacks") from None
    texts = pa.array([document["text"] for document in documents], pa.large_string())
    sets = shingle_sets(texts)
    left, right = ends.min(axis=1), ends.max(axis=1)
    stated = np.array([pair["jaccard"] for pair in pairs])
    ours = jaccards(sets, left, right)
    searched = search(texts, near)
    similar = searched.jaccard >= near.threshold
    pairs_found = (side[similar].tolist() for side in (searched.left, searched.right))
    found = set(zip(*pairs_found, strict=True))
    bands = searched.signatures.bands
    is_found = np.array([pair in found for pair in zip(left.tolist(), right.tolist(), strict=True)])
    shares = (bands[left] == bands[right]).any(axis=1)
    is_true = stated >= near.threshold
    kinds = {position[pair[end]]: pair["shingle"] for pair in pairs for end in "ab"}
    return NearDuplicatesEvaluation(
        threshold=near.threshold,
        documents=len(documents),
        pairs=len(pairs),
        agreeing=int((np.abs(ours - stated) <= _ROUNDING).sum()),
        bins=_bins(stated, ours, shares, is_found),
        true_pairs=int(is_true.sum()),
        true_found=int((is_true & is_found).sum()),
        candidates=len(searched.left),
        found=len(found),
        found_true=_num_true(documents, kinds, found, near.threshold),
        largest_bucket=searched.largest_bucket,
        split_buckets=searched.counts.split_buckets,
        pairs_skipped=searched.counts.pairs_skipped,
        templated=evaluate_templated(data, near, num_pages),
    )


def _bins(
    stated: npt.NDArray[np.float64],
    ours: npt.NDArray[np.float64],
    shares: npt.NDArray[np.bool_],
    is_found: npt.NDArray[np.bool_],
) -> tuple[JaccardBin, ...]:
    # Four decimals: counting in ten-thousandths keeps 0.8 in its bin.
    number = np.minimum(np.rint(stated * 10_000).astype(int) // 500, _NUM_BINS - 1)
    found = []
    for index in range(_FIRST_BIN, _NUM_BINS):
        some = number == index
        if some.any():
            found.append(
                JaccardBin(
                    low=index / _NUM_BINS,
                    pairs=int(some.sum()),
                    shared_band=int(shares[some].sum()),
                    found=int(is_found[some].sum()),
                    expected=float(np.mean([recall_at(value) for value in ours[some].tolist()])),
                )
            )
    return tuple(found)


def _num_true(
    documents: list[dict[str, Any]],
    kinds: dict[int, str],
    found: set[tuple[int, int]],
    threshold: float,
) -> int:
    """How many pairs reach the threshold by sets of Python strings."""
    made: dict[int, frozenset[tuple[str, ...] | str]] = {}

    def shingles(index: int) -> frozenset[tuple[str, ...] | str]:
        if index not in made:
            made[index] = stated_shingles(documents[index]["text"], kinds[index])
        return made[index]

    true = 0
    for left, right in found:
        one, other = shingles(left), shingles(right)
        true += len(one & other) >= threshold * len(one | other)
    return true


def stated_shingles(text: str, kind: str) -> frozenset[tuple[str, ...] | str]:
    """The shingles of the data's own definition, which reproduces all its values.

    Args:
        text: Any.
        kind: `word5`: lower-cased runs of `\\w`, five at a time. `char8`: the lower-cased text with
            each run of white space one space and none at the ends, eight characters at a time.

    Raises:
        ValueError: Another kind.
    """
    if kind == "word5":
        words = _WORD.findall(text.lower())
        size = WORDS_PER_SHINGLE
        count = max(1, len(words) - size + 1)
        return frozenset(tuple(words[i : i + size]) for i in range(count))
    if kind == "char8":
        plain = " ".join(text.lower().split())
        size = CHARACTERS_PER_SHINGLE
        return frozenset(plain[i : i + size] for i in range(max(1, len(plain) - size + 1)))
    raise ValueError(f"shingle: found {kind!r}; allowed are word5 and char8")


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise ValueError(
            f"{path} is not there; give the folder that holds {DOCUMENTS.parent}/ as --data"
        )
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]

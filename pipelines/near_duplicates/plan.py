"""The plan of one search for near-duplicates: what goes in, and the generations that come out.

All of them follow from the same inputs. The quality labels are among them, for they say which texts
stay, and with which of them those of a crowded bucket are compared; how similar two texts are does
not depend on them, so after a change of quality most pairs are known (`known`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from annotators.text.minhash import NUM_BANDS
from pipelines.near_duplicates.buckets import BAND_BYTES
from pipelines.near_duplicates.near import JOB, NearDuplicates
from pipelines.workspace.fingerprints import Generation

_BAND_PARTITION_BYTES: Final = 64 << 20  # sorted in memory
# A part sends a batch to every partition, and a batch weighs 664 bytes beside its rows: above a
# terabyte of bands partitions grow instead of becoming more, up to what a worker can still sort.
_MAX_PARTITIONS: Final = 1 << 14
_LARGEST_PARTITION_BYTES: Final = 1 << 30
# Fewer are shuffled sooner than looked over; more slots (of two bits) are more than 512 MB.
_MIN_DOCUMENTS: Final = 10_000
_MAX_BITS: Final = 31


@dataclass(frozen=True)
class NearPlan:
    """The search for near-duplicates among the distinct texts."""

    settings: NearDuplicates
    signatures: Mapping[str, Generation]
    """The `signatures` labels of each source."""
    minhash: Mapping[str, Generation]
    """The `minhash` labels of each source."""
    documents: Mapping[str, Generation]
    """The documents of each source."""
    quality: Mapping[str, Generation] | None
    """The `quality` labels of each source; None where there are none."""
    contents: str
    """Hash over the contents of all MinHash parts."""
    clusters: Generation
    """Of exact copies; its payload says by what they collapse and in how many partitions."""
    num_documents: int

    @property
    def sources(self) -> tuple[str, ...]:
        """Sorted; a place names a source by its position here."""
        return tuple(sorted(self.minhash))

    @property
    def num_text_partitions(self) -> int:
        """Partitions of exact clusters, and of the clusters found here."""
        return int(self.clusters.payload["partitions"])

    @property
    def collapse(self) -> str:
        """What exact copies share: `text` or `bytes`."""
        return str(self.clusters.payload["collapse"])

    @property
    def num_partitions(self) -> int:
        """Partitions of band hashes, of at most 64 MB; of up to 1 GB from 1.7 billion documents."""
        num_bytes = self.num_documents * NUM_BANDS * BAND_BYTES
        return num_band_partitions(num_bytes)

    @property
    def repeated_bits(self) -> int:
        """log2 of the slots that say which band hashes occur more than once; 0 for none."""
        bits = (8 * NUM_BANDS * self.num_documents).bit_length()
        is_worth_it = self.num_documents >= _MIN_DOCUMENTS and bits <= _MAX_BITS
        return bits if is_worth_it else 0

    @property
    def repeated(self) -> Generation:
        """Band hashes that occur more than once: one entry."""
        return self._generation("repeated")

    @property
    def bands(self) -> Generation:
        """How many bands of a part were sent, by part."""
        return self._generation("bands")

    @property
    def candidates(self) -> Generation:
        """Pairs to be compared, by partition of the band hash."""
        return self._generation("candidates")

    @property
    def requests(self) -> Generation:
        """Each pair once, with its Jaccard where an earlier run knows it, by part of `lower`."""
        return self._generation("requests")

    @property
    def shingles(self) -> Generation:
        """Sets of the texts in the pairs that nobody has compared, by part."""
        return self._generation("shingles")

    @property
    def pairs(self) -> Generation:
        """Compared pairs, whatever their Jaccard, by part of the text of lower priority."""
        return self._generation("pairs")

    @property
    def texts(self) -> Generation:
        """What clusters need to know of the texts in pairs, by part."""
        return self._generation("texts")

    @property
    def components(self) -> Generation:
        """Similar pairs in groups that share no text: one entry."""
        return self._generation("components")

    @property
    def stars(self) -> Generation:
        """Clusters, by partition of the text hash."""
        return self._generation("clusters")

    @property
    def blocks(self) -> Generation:
        """Which parts a worker of the sweep takes together: one entry."""
        return self._generation("blocks")

    @property
    def ends(self) -> Generation:
        """What each block is told of the texts in its similar pairs, by the block they are in."""
        return self._generation("ends")

    @property
    def arcs(self) -> Generation:
        """Similar pairs from the text of higher priority to the other, by block."""
        return self._generation("arcs")

    @property
    def cuts(self) -> Generation:
        """Where the order of all arcs is cut into runs: one entry."""
        return self._generation("cuts")

    @property
    def runs(self) -> Generation:
        """All arcs in the order of priority, by run."""
        return self._generation("runs")

    @property
    def taken(self) -> Generation:
        """Which arcs join a text to its representative, by run."""
        return self._generation("taken")

    @property
    def sweep_generations(self) -> tuple[Generation, ...]:
        """Made in this order, in the place of `components`, where there are too many pairs for it.

        They decide no result, so nothing that is made of the clusters names them.
        """
        return (self.blocks, self.ends, self.arcs, self.cuts, self.runs, self.taken)

    @property
    def generations(self) -> tuple[Generation, ...]:
        """In the order in which they are made."""
        return (
            self.repeated,
            self.bands,
            self.candidates,
            self.requests,
            self.texts,
            self.shingles,
            self.pairs,
            self.components,
            self.stars,
        )

    def _generation(self, what: str) -> Generation:
        payload = self.payload | {"what": what, "partitions": self.num_partitions}
        return Generation(job=f"{JOB}.{what}", payload=payload)

    @property
    def payload(self) -> dict[str, Any]:
        """All that decides which texts are near-duplicates, and of what."""
        return {
            "near": self.settings.payload,
            "minhash": _full(self.minhash),
            "minhash_contents": self.contents,
            "extract": _full(self.documents),
            "quality": _full(self.quality or {}),
            "exact": self.clusters.name,
            "exact_full": self.clusters.full,
        }


def _full(generations: Mapping[str, Generation]) -> dict[str, str]:
    return {name: made.full for name, made in sorted(generations.items())}


def num_band_partitions(num_bytes: int) -> int:
    """Into how many partitions so many bytes of bands go.

    >>> num_band_partitions(1 << 20), num_band_partitions(1 << 37), num_band_partitions(1 << 43)
    (1, 2048, 16384)
    """
    size = min(max(_BAND_PARTITION_BYTES, num_bytes / _MAX_PARTITIONS), _LARGEST_PARTITION_BYTES)
    return max(1, math.ceil(num_bytes / size))

"""The plan of one search for near-duplicates: what goes in, and the generations that come out."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from annotators.text.minhash import NUM_BANDS
from pipelines.near_duplicates.buckets import BAND_BYTES
from pipelines.near_duplicates.near import JOB, NearDuplicates
from pipelines.workspace.fingerprints import Generation

_BAND_PARTITION_BYTES: Final = 64 << 20  # sorted in memory, in several copies


@dataclass(frozen=True)
class NearPlan:
    """The search for near-duplicates among the distinct texts."""

    settings: NearDuplicates
    minhash: Mapping[str, Generation]
    """Of each source."""
    contents: str
    """Hash over the contents of all its parts."""
    clusters: Generation
    """Of exact copies."""
    num_documents: int

    @property
    def num_partitions(self) -> int:
        """Partitions of band hashes, of at most 64 MB."""
        num_bytes = self.num_documents * NUM_BANDS * BAND_BYTES
        return max(1, math.ceil(num_bytes / _BAND_PARTITION_BYTES))

    @property
    def candidates(self) -> Generation:
        """Pairs to be compared, by partition of the band hash."""
        return self._generation("candidates")

    @property
    def shingles(self) -> Generation:
        """Sets of the texts in those pairs, and each pair once, by part."""
        return self._generation("shingles")

    @property
    def pairs(self) -> Generation:
        """Verified pairs, by part of the text of lower priority."""
        return self._generation("pairs")

    @property
    def stars(self) -> Generation:
        """Clusters, by partition of the text hash."""
        return self._generation("clusters")

    @property
    def generations(self) -> tuple[Generation, ...]:
        """In the order in which they are made."""
        return (self.candidates, self.shingles, self.pairs, self.stars)

    def _generation(self, what: str) -> Generation:
        payload = self.payload | {"what": what, "partitions": self.num_partitions}
        return Generation(job=f"{JOB}.{what}", payload=payload)

    @property
    def payload(self) -> dict[str, Any]:
        """All that decides which texts are near-duplicates."""
        return {
            "near": self.settings.payload,
            "minhash": {name: made.full for name, made in sorted(self.minhash.items())},
            "minhash_contents": self.contents,
            "exact": self.clusters.name,
            "exact_full": self.clusters.full,
        }

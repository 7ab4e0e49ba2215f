"""What breaks first: sizes that grow with a corpus, beside what they may be.

Each limit is a number that one process, one file or one format has to hold. What is said to be done
about it is told in `mend`; a limit that is passed is no error here, for a bill on paper is how one
learns of it.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipelines.scale.units import Units

if TYPE_CHECKING:
    from pipelines.scale.facts import CorpusFacts

_GIB: Final = 2**30
# Of pipelines/deduplicate/exact.py and plan.py, near_duplicates/buckets.py and plan.py; a test
# compares them, for this folder imports nothing that loads Arrow or numba.
MEMBER_BYTES: Final = 64
EXACT_PARTITION_BYTES: Final = 256 << 20
BAND_ROW_BYTES: Final = 32
NUM_BANDS: Final = 20
BAND_PARTITION_BYTES: Final = 64 << 20
MAX_BAND_PARTITIONS: Final = 1 << 14
LARGEST_BAND_PARTITION_BYTES: Final = 1 << 30
COMPONENT_PAIRS: Final = 8 << 20
"""Similar pairs of which one task finds the components (`near_duplicates/transform.py`)."""
BLOCK_ROWS: Final = 2 << 20
"""Pairs and texts of a block of the sweep over more (`near_duplicates/sweep`), arcs of a run."""
MAX_SHARDS: Final = 30_000
"""Of a stage (`mix/plan.py`): Megatron numbers the prefixes of a blend in 16 bits."""
MAX_PARTS: Final = 1 << 24
"""Of a source: 24 bits of a place (`near_duplicates/near.py`)."""
_LIST_NAMES: Final = 1000  # an answer to ListObjectsV2 (S3), to objects.list (Google Cloud Storage)
_MEMORY: Final = 16 * _GIB


@dataclass(frozen=True, slots=True)
class Limit:
    """A number that grows with the corpus."""

    what: str
    value: float
    unit: str
    most: float | None
    """From here on it breaks; None where it only grows."""
    mend: str
    """What is done about it, or is to be done."""

    @property
    def is_passed(self) -> bool:
        """Whether this corpus is too large for it."""
        return self.most is not None and self.value > self.most


def num_exact_partitions(facts: "CorpusFacts") -> float:
    """Partitions of text hashes."""
    return max(1.0, math.ceil(facts.documents * MEMBER_BYTES / EXACT_PARTITION_BYTES))


def num_band_partitions_of(facts: "CorpusFacts") -> float:
    """Partitions of band hashes (`num_band_partitions` of near_duplicates/plan.py)."""
    num_bytes = facts.documents * NUM_BANDS * BAND_ROW_BYTES
    size = min(
        max(BAND_PARTITION_BYTES, num_bytes / MAX_BAND_PARTITIONS), LARGEST_BAND_PARTITION_BYTES
    )
    return max(1.0, math.ceil(num_bytes / size))


def num_sweep_blocks(facts: "CorpusFacts", units: Units) -> float:
    """Blocks of the sweep over similar pairs, as many as runs; 0 where components are found."""
    pairs = facts.documents * units.cost("shuffle.similar_pairs").value
    texts = facts.documents * units.cost("shuffle.similar_texts").value
    return math.ceil((pairs + texts) / BLOCK_ROWS) if pairs > COMPONENT_PAIRS else 0.0


def limits_of(facts: "CorpusFacts", units: Units) -> tuple[Limit, ...]:
    """All limits, in the order in which a run meets them."""
    parts = facts.num_parts
    bands = facts.documents * NUM_BANDS * BAND_ROW_BYTES / num_band_partitions_of(facts)
    entries = parts * units.cost("files.entries").value
    return (
        Limit("parts", parts, "", MAX_PARTS, "larger part_bytes"),
        Limit(
            "driver: listed entries",
            parts * units.cost("memory.entry").value / _GIB,
            "GiB",
            _MEMORY / _GIB,
            "larger part_bytes; a driver with more memory",
        ),
        Limit(
            "listing one labels set",
            parts / _LIST_NAMES,
            "requests, one after another",
            None,
            "larger part_bytes",
        ),
        Limit("ledger entries", entries, "", None, "larger part_bytes; `tokenmill prune`"),
        Limit(
            "partition of text hashes",
            facts.documents * MEMBER_BYTES / num_exact_partitions(facts) / 2**20,
            "MiB",
            None,
            "by construction; a text with n copies adds 64 n bytes to its own",
        ),
        Limit(
            "partition of bands",
            bands / 2**20,
            "MiB",
            LARGEST_BAND_PARTITION_BYTES / 2**20,
            "near-duplicates crawl by crawl",
        ),
        Limit(
            "rows of a batch of bands",
            facts.documents * NUM_BANDS / parts / num_band_partitions_of(facts),
            "of 32 bytes, beside 664 of schema",
            None,
            "larger part_bytes",
        ),
        Limit(
            "sweep of similar pairs, one task",
            facts.documents / 8 / _GIB,
            "GiB",
            _MEMORY / _GIB,
            "near-duplicates crawl by crawl; a bit a document, if all are in pairs",
        ),
        Limit(
            "tokens of one in 30,000 shards",
            facts.written_tokens / max(1, facts.mixtures) / MAX_SHARDS / 1e6,
            "M",
            _MEMORY / units.cost("memory.shard_token").value / 1e6,
            "several stages, or several mixtures",
        ),
    )

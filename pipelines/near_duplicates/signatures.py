"""The `minhash` labels: what the search for near-duplicates compares instead of texts."""

import unicodedata
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from annotators.text.minhash import BAND_BYTES, NUM_BANDS, min_hashes


class MinHash:
    """Signs the set of shingles of each text; texts that share a band may be near-duplicates.

    172 bytes a text, which do not compress. `bands` holds `NUM_BANDS` hashes of 8 bytes,
    little-endian; the number of the band is part of its hash. `further` are eight more minima, a
    byte each, by which buckets that are too large are split.
    """

    name = "minhash"
    version = f"2/unicode-{unicodedata.unidata_version}"
    columns = pa.schema(
        [
            pa.field("bands", pa.binary(NUM_BANDS * BAND_BYTES), nullable=False),
            pa.field("further", pa.uint64(), nullable=False),
            pa.field("num_shingles", pa.int32(), nullable=False),
        ]
    )
    inputs: tuple[str, ...] = ()

    def model_files(self) -> list[Path]:
        """None."""
        return []

    def __call__(
        self, texts: pa.LargeStringArray, labels: Mapping[str, pa.Array]
    ) -> pa.RecordBatch:
        """The bands of each text, its further minima, and how many distinct shingles it has."""
        found = min_hashes(texts)
        data = pa.py_buffer(found.bands.astype("<u8", copy=False))
        bands = pa.Array.from_buffers(self.columns.field("bands").type, len(texts), [None, data])
        columns = [bands, pa.array(found.further), pa.array(found.num_shingles)]
        return pa.RecordBatch.from_arrays(columns, schema=self.columns)

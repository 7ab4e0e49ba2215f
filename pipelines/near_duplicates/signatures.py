"""The `minhash` labels: what the search for near-duplicates compares instead of texts."""

import unicodedata
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from annotators.text.minhash import BAND_BYTES, NUM_BANDS, min_hashes


class MinHash:
    """Signs the set of shingles of each text; texts that share a band may be near-duplicates.

    168 bytes a text, which do not compress. `bands` holds `NUM_BANDS` hashes of 8 bytes,
    little-endian; the number of the band is part of its hash.
    """

    name = "minhash"
    version = f"1/unicode-{unicodedata.unidata_version}"
    columns = pa.schema(
        [
            pa.field("bands", pa.binary(NUM_BANDS * BAND_BYTES), nullable=False),
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
        """The bands of each text, and how many distinct shingles it has."""
        found = min_hashes(texts)
        data = pa.py_buffer(found.bands.astype("<u8", copy=False))
        bands = pa.Array.from_buffers(self.columns.field("bands").type, len(texts), [None, data])
        return pa.RecordBatch.from_arrays(
            [bands, pa.array(found.num_shingles)], schema=self.columns
        )

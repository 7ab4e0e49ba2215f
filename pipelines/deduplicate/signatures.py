"""The `signatures` and `minhash` labels: what deduplication compares instead of texts."""

import unicodedata
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from annotators.text.hashing import text_hashes
from annotators.text.minhash import BAND_BYTES, NUM_BANDS, min_hashes


class Signatures:
    """Hashes each text; equal hashes are taken for equal texts.

    128 bits of blake2b: among 10^12 texts the chance of one false match is below 10^-14.
    """

    name = "signatures"
    version = "1"
    columns = pa.schema([pa.field("text_hash", pa.binary(16), nullable=False)])
    inputs: tuple[str, ...] = ()

    def model_files(self) -> list[Path]:
        """None."""
        return []

    def __call__(
        self, texts: pa.LargeStringArray, labels: Mapping[str, pa.Array]
    ) -> pa.RecordBatch:
        """One hash a text."""
        return pa.RecordBatch.from_arrays([text_hashes(texts)], schema=self.columns)


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

"""The `signatures` labels: what deduplication compares instead of texts."""

import unicodedata
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from annotators.text.hashing import DIGEST_BYTES, normal_hashes, text_hashes

_HASH = pa.binary(DIGEST_BYTES)


class Signatures:
    """Hashes the bytes of each text and its normalised form (`annotators.text.hashing`).

    Equal hashes are taken for equal texts: with 128 bits, the chance of one false match among 10^12
    texts is below 2 x 10^-15.
    """

    name = "signatures"
    version = f"3/unicode-{unicodedata.unidata_version}"
    columns = pa.schema(
        [
            pa.field("text_hash", _HASH, nullable=False),
            # Of a text of punctuation and spaces alone, its text_hash.
            pa.field("normal_hash", _HASH, nullable=False),
        ]
    )
    inputs: tuple[str, ...] = ()

    def model_files(self) -> list[Path]:
        """None."""
        return []

    def __call__(
        self, texts: pa.LargeStringArray, labels: Mapping[str, pa.Array]
    ) -> pa.RecordBatch:
        """Two hashes a text."""
        return pa.RecordBatch.from_arrays(
            [text_hashes(texts), normal_hashes(texts)], schema=self.columns
        )

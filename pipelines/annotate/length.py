"""The `length` labels: tokens of each document, as the tokenizer of the corpus counts them.

Bytes stand beside them, for a plan of what remains of a document when some of its bytes are cut.
"""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from token_shards.tokenizer import Tokenizer, load_tokenizer, tokenizer_file, tokenizer_files


class Length:
    """Counts tokens, without EOD."""

    name = "length"
    version = "2"
    columns = pa.schema(
        [
            pa.field("num_tokens", pa.int64(), nullable=False),
            pa.field("num_bytes", pa.int64(), nullable=False),  # of its UTF-8
        ]
    )
    inputs: tuple[str, ...] = ()

    def __init__(self, tokenizer: str, eod: str = "<|endoftext|>") -> None:
        """Args:
        tokenizer: What `load_tokenizer` takes.
        eod: Text of the token that ends a document; in a document it is ordinary text.
        """
        self._path = tokenizer_file(tokenizer)
        self._eod = eod

    def model_files(self) -> list[Path]:
        """The files of the tokenizer."""
        return tokenizer_files(self._path)

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return load_tokenizer(self._path, eod=self._eod)

    def __call__(
        self, texts: pa.LargeStringArray, labels: Mapping[str, pa.Array]
    ) -> pa.RecordBatch:
        """Two counts a text."""
        tokens = pa.array(self._tokenizer.count(texts), pa.int64())
        num_bytes = pc.binary_length(texts).cast(pa.int64())
        return pa.RecordBatch.from_arrays([tokens, num_bytes], schema=self.columns)

"""MosaicML Streaming's MDS shards: one column `tokens`, int32 arrays of one dimension.

The column is the one that LLM Foundry writes and reads (`scripts/data_prep/convert_dataset_hf.py`
declares `{"tokens": "ndarray:int32"}`). Format as written and read by version 0.13.0 of streaming
(`streaming/base/format/mds/writer.py`, `encodings.py`); everything is little-endian.

A shard of n samples:

    bytes       type            content
    0           uint32          n
    4           uint32[n + 1]   byte at which each sample begins in the file, and its end
    8 + 4n      JSON            version, format, columns: what index.json repeats of the shard
    ...         n samples

A sample, for its one column of variable size:

    bytes       type            content
    0           uint32          bytes that follow
    4           uint8           4 * dimensions + log2 of the bytes of a size: 4, 5 or 6
    5           uint8|16|32     number of tokens
    ...         int32[...]      tokens

A reader is given a folder whose `index.json` names the shards in order. Offsets are uint32, so a
shard is smaller than 4 GiB: about a billion tokens.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

COLUMN: Final = "tokens"
ENCODING: Final = "ndarray:int32"
HASH: Final = "sha256"
"""The hash of each shard in index.json, for the reader's `validate_hash`."""

_VERSION: Final = 2
_CONFIG: Final[Mapping[str, Any]] = {
    "column_encodings": [ENCODING],
    "column_names": [COLUMN],
    "column_sizes": [None],
    "compression": None,
    "format": "mds",
    "hashes": [HASH],
    "size_limit": None,
    "version": _VERSION,
}
_CONFIG_BYTES: Final = json.dumps(_CONFIG, sort_keys=True).encode()
_WORD: Final = 4
_MAX_BYTES: Final = 2**32 - 1
# A number of tokens below the i-th of these takes 2**i bytes.
_SIZES: Final = (1 << 8, 1 << 16, 1 << 32)


class MdsWriter:
    """Streams samples behind a head that is computed from their lengths.

    Args:
        file: Open for binary writing, at its start.
        lengths: int64[num_samples], tokens of all samples that will be added, each 1 or more.

    Raises:
        ValueError: The shard would not fit into 4 GiB.
    """

    def __init__(self, file: BinaryIO, lengths: npt.NDArray[np.int64]) -> None:
        sizes = _WORD + 1 + _size_bytes(lengths) + _WORD * lengths
        head = _WORD * (len(lengths) + 2) + len(_CONFIG_BYTES)
        offsets = head + np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        if offsets[-1] > _MAX_BYTES:
            raise ValueError(
                f"a shard of {lengths.sum()} tokens would have {offsets[-1]} bytes; an MDS shard "
                f"has at most {_MAX_BYTES}: lower shard_tokens in corpus.yaml"
            )
        self._file = file
        file.write(np.uint32(len(lengths)).astype("<u4").tobytes())
        file.write(offsets.astype("<u4").tobytes() + _CONFIG_BYTES)

    def add(
        self,
        ids: npt.NDArray[np.uint16] | npt.NDArray[np.int32],
        lengths: npt.NDArray[np.int64],
        rows: pa.Table,
    ) -> None:
        """Appends samples; see `formats.ShardWriter`."""
        words = ids.astype("<i4", copy=False)
        data: list[bytes | memoryview] = []
        start = 0
        for length in lengths.tolist():
            end = start + length
            data += [_head(length), words[start:end].data.cast("B")]
            start = end
        self._file.write(b"".join(data))

    def finish(self) -> None:
        """Nothing comes last."""


def _size_bytes(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Bytes that the number of tokens takes, int64[num_samples]."""
    return 1 + (lengths >= _SIZES[0]) + 2 * (lengths >= _SIZES[1])


def _head(length: int) -> bytes:
    """What stands before the tokens of a sample."""
    code = next(code for code, limit in enumerate(_SIZES) if length < limit)
    size = length.to_bytes(1 << code, "little")
    following = 1 + len(size) + _WORD * length
    return following.to_bytes(_WORD, "little") + bytes([4 | code]) + size


def index_json(shards: Sequence[tuple[str, int, int, str]]) -> bytes:
    """Gives the index.json of a folder.

    Args:
        shards: (name of the file in the folder, its bytes, its samples, its sha256), in order.
    """
    listed = [
        {
            **_CONFIG,
            "raw_data": {"basename": name, "bytes": size, "hashes": {HASH: digest}},
            "samples": samples,
            "zip_data": None,
        }
        for name, size, samples, digest in shards
    ]
    return json.dumps({"shards": listed, "version": _VERSION}, sort_keys=True).encode()


def read_mds(data: bytes) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Reads and checks the bytes of a shard that this module wrote.

    Returns:
        int32[num_tokens], tokens of all samples; int64[num_samples], tokens of each.

    Raises:
        ValueError: It is not such a shard, or it is damaged.
    """
    if len(data) < 2 * _WORD:
        raise ValueError(f"shard has {len(data)} bytes; the head of an empty one has {2 * _WORD}")
    num_samples = int(np.frombuffer(data, "<u4", 1)[0])
    config_at = _WORD * (num_samples + 2)
    head = config_at + len(_CONFIG_BYTES)
    if data[config_at:head] != _CONFIG_BYTES:
        raise ValueError(f"shard of {num_samples} samples has no column {COLUMN!r} of {ENCODING}")
    offsets = np.frombuffer(data, "<u4", num_samples + 1, _WORD).astype(np.int64)
    if offsets[0] != head or offsets[-1] != len(data):
        raise ValueError(
            f"samples go from byte {offsets[0]} to {offsets[-1]}; the head has {head} bytes and "
            f"the file {len(data)}"
        )
    found = [
        _sample(data, start, end, number)
        for number, (start, end) in enumerate(
            zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
        )
    ]
    ids = np.concatenate([*found, np.zeros(0, "<i4")]).astype(np.int32)
    return ids, np.array([len(one) for one in found], np.int64)


def _sample(data: bytes, start: int, end: int, number: int) -> npt.NDArray[np.int32]:
    following = int.from_bytes(data[start : start + _WORD], "little")
    code = data[start + _WORD] & 3
    count_at = start + _WORD + 1
    count = int.from_bytes(data[count_at : count_at + (1 << code)], "little")
    if start + _WORD + following != end or data[start:count_at] + data[
        count_at : count_at + (1 << code)
    ] != _head(count):
        raise ValueError(f"sample {number} of {end - start} bytes is no array of one dimension")
    return np.frombuffer(data, "<i4", count, count_at + (1 << code))

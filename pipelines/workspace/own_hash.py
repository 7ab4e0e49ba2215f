"""A Parquet file that holds the hash of itself, so that a change of any byte is noticed.

Checksums of Parquet cover pages: of the footer, which says where pages are and what they hold at
least and at most, none does. The hash is that of the file with zeros in the hash's place, and
stands in the footer's key-value metadata, so other readers read the file as any other.
"""

import hashlib
import io
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

_KEY: Final = b"tokenmill.sha256"
_ZEROS: Final = b"0" * 64


class HashError(ValueError):
    """A file whose bytes are not those that were written."""


def to_hashed_parquet(table: pa.Table, rows: int) -> bytes:
    """A table as a file that holds its own hash.

    Args:
        table: Its schema's metadata is left out.
        rows: Of a row group.
    """
    sink = io.BytesIO()
    table = table.replace_schema_metadata(None)
    with pq.ParquetWriter(sink, table.schema, compression="zstd", write_page_checksum=True) as file:
        file.write_table(table, row_group_size=rows)
        file.add_key_value_metadata({_KEY: _ZEROS})
    data = bytearray(sink.getvalue())
    start = _place(data)
    assert data[start : start + 64] == _ZEROS, "the value of a key stands behind it"
    data[start : start + 64] = hashlib.sha256(data).hexdigest().encode()
    return bytes(data)


def check_hash(data: bytes) -> None:
    """Compares a file with the hash that it holds; one that holds none was written without.

    Raises:
        HashError: They differ.
    """
    start = _place(data)
    if start < 0:
        return
    found = data[start : start + 64]
    wanted = hashlib.sha256(data[:start] + _ZEROS + data[start + 64 :]).hexdigest().encode()
    if found != wanted:
        told = found.decode("ascii", "replace")
        raise HashError(f"the hash that it holds is {told}, and its own is {wanted.decode()}")


def _place(data: bytes | bytearray) -> int:
    """Where the digits begin; below zero where there are none.

    Behind the key stand a field header of one byte and the length, 64 (Thrift compact protocol).
    """
    key = data.rfind(_KEY + b"\x18\x40")
    return key + len(_KEY) + 2 if key >= 0 else -1

"""Rows of JSON lines and Parquet files, one dictionary each, with where they stand.

For samples and labelled sets, which are small; a corpus is read by the extract stage. As there,
lone surrogates, which JSON can write and UTF-8 cannot hold, become U+FFFD.
"""

import gzip
import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

ENDINGS: Final = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")

_ROWS_AT_ONCE: Final = 1024
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def list_files(data: Sequence[Path]) -> list[Path]:
    """Files of rows, of folders those below them, sorted; none in a folder called `rejects`.

    Raises:
        ValueError: A path is not there, is of another format, or a folder has no such file.
    """
    found: list[Path] = []
    for path in data:
        if path.is_file() and path.name.endswith(ENDINGS):
            found.append(path)
            continue
        inside = [
            one
            for one in sorted(path.rglob("*"))
            if one.is_file()
            and one.name.endswith(ENDINGS)
            and "rejects" not in one.relative_to(path).parts
        ]
        if not inside:
            raise ValueError(
                f"{path} is no file ending in {', '.join(ENDINGS)}, nor a folder of such"
            )
        found += inside
    return found


def read_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of a file, each with the words that say where it stands.

    Raises:
        ValueError: The file is damaged, or a line is no JSON object.
    """
    try:
        yield from _parquet_rows(path) if path.suffix == ".parquet" else _json_rows(path)
    except (
        OSError, EOFError, UnicodeDecodeError, zstandard.ZstdError, pa.ArrowInvalid,
    ) as error:  # fmt: skip
        raise ValueError(f"{path} cannot be read ({error}); make it again") from None


def without_surrogates(text: str) -> str:
    """The text with U+FFFD for every lone surrogate."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def _json_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with _open(path) as lines:
        for number, line in enumerate(lines, 1):
            where = f"{path} line {number}"
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ValueError(f"{where}: no JSON ({error})") from None
            if not isinstance(row, dict):
                raise ValueError(f"{where}: no JSON object")
            yield (
                where,
                {
                    name: without_surrogates(value) if isinstance(value, str) else value
                    for name, value in row.items()
                },
            )


def _parquet_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with pq.ParquetFile(path) as file:
        columns = [one.name for one in file.schema_arrow if not pa.types.is_nested(one.type)]
        number = 0
        for batch in file.iter_batches(_ROWS_AT_ONCE, columns=columns):
            for row in batch.to_pylist():
                number += 1
                yield f"{path} row {number}", row


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8")
    if path.suffix == ".zst":
        return io.TextIOWrapper(zstandard.open(path, "rb"), encoding="utf-8")
    return path.open(encoding="utf-8")

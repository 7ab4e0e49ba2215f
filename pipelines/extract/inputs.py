"""What is asked of a reader: a range of one input file, and the limits it is read under.

A range is cut so that every record belongs to exactly one range: the one in which it begins. The
cutting itself is in `splits`; a reader needs no knowledge of the other ranges of its file.

Local files are opened by path, not through fsspec, which takes `::` in a name for a chain of URLs.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any, Final

import fsspec

from pipelines.config import ExtractConfig, SourceConfig
from pipelines.extract.code_files import CodeConfig
from pipelines.workspace.storage import locate

FORMATS: Final = (
    "html",
    "text",
    "pdf",
    "image",
    "office",
    "warc",
    "wet",
    "jsonl",
    "parquet",
    "code",
)
RANGED: Final = ("warc", "wet", "jsonl", "parquet")
"""Formats whose files may be cut; of the others each file is one record."""
_FILE_URLS: Final = ("file://", "local://")


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRange:
    """One range of one input file."""

    url: str
    """fsspec URL or local path to open."""
    file: str
    """Path relative to the root of the source; it names records that have no URI."""
    format: str
    """One of `FORMATS`; ARC files are read as `warc`."""
    start: int = 0
    """First byte (warc, wet, jsonl) or row (parquet)."""
    end: int | None = None
    """First byte or row that is not of this range; None is the end of the file."""

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ValueError(
                f"{self.file}: unknown input format {self.format!r}; choose one of "
                f"{', '.join(FORMATS)}"
            )
        if self.start < 0 or (self.end is not None and self.end < self.start):
            raise ValueError(
                f"{self.file}: the range [{self.start}, {self.end}) is empty or negative; "
                "start must be at least 0 and end at least start"
            )
        if self.format not in RANGED and (self.start or self.end is not None):
            raise ValueError(
                f"{self.file}: a file of format {self.format} is one record and has no ranges; "
                "leave start at 0 and end at None"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSettings:
    """How input files are read."""

    text_column: str = "text"
    """Column (JSONL key) that holds the text."""
    url_column: str | None = None
    """Column of the URI; None takes `url` or `uri` where there is one."""
    max_record_bytes: int = 64 << 20
    """A record of more bytes, packed or unpacked, is a reject `too_large`."""
    code: CodeConfig | None = None
    """That the records are source code, and how they name repository and path."""
    storage_options: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the fsspec file system."""

    def __post_init__(self) -> None:
        if self.max_record_bytes < 1:
            raise ValueError(
                f"max_record_bytes is {self.max_record_bytes}; a record needs at least 1 byte"
            )


def read_settings(source: SourceConfig, settings: ExtractConfig) -> ReadSettings:
    """What the readers are told."""
    return ReadSettings(
        text_column=source.text_column,
        url_column=source.url_column,
        max_record_bytes=settings.max_record_bytes,
        code=source.code,
    )


def source_identity(source: SourceConfig) -> dict[str, Any]:
    """What of a source decides its documents; where its files lie does not."""
    told = source.model_dump(
        include={"name", "format", "license", "text_column", "url_column", "provenance"}
    )
    return told | ({"code": source.code.model_dump()} if source.code is not None else {})


def local_path(url: str) -> str | None:
    """The path of a local file or folder, or None where the URL is one for fsspec.

    Args:
        url: A path, a `file://` URL (nothing in it is percent-decoded, as in fsspec) or another
            fsspec URL. `::` makes a relative path a chain of URLs only behind a known protocol,
            and only where no such file exists.
    """
    if os.path.isabs(url):
        return url
    if url.startswith(_FILE_URLS):
        return url.partition("://")[2]
    is_chain = url.partition("::")[0] in fsspec.available_protocols() and "::" in url
    return url if os.path.lexists(url) or not ("://" in url or is_chain) else None


def open_input(url: str, settings: ReadSettings) -> IO[bytes]:
    """Opens a file for reading bytes, as it lies on disk.

    Raises:
        OSError: The file is absent or may not be read.
        ValueError: The protocol of the URL is unknown.
        ImportError: The package of the protocol is not installed.
    """
    path = local_path(url)
    if path is not None:
        return open(path, "rb")
    filesystem, path = locate(url, **settings.storage_options)
    opened: IO[bytes] = filesystem.open(path, "rb")
    return opened


def input_size(url: str, settings: ReadSettings) -> int:
    """Bytes of a file; raises like `open_input`."""
    path = local_path(url)
    if path is not None:
        return os.stat(path).st_size
    filesystem, path = locate(url, **settings.storage_options)
    return int(filesystem.size(path))


def exists(url: str) -> bool:
    """Whether a file, folder or link (a dangling one too) is there; raises like `open_input`."""
    path = local_path(url)
    if path is not None:
        return os.path.lexists(path)
    filesystem, path = locate(url)
    return bool(filesystem.exists(path))

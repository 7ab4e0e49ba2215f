"""Lists of paths, as Common Crawl publishes them: `warc.paths.gz` has a path on each line.

The paths lie below a base, by default the one of Common Crawl; a folder that holds a part of it, or
`s3://commoncrawl/` near its region, serves as well. A path is the name of its file in inventory and
locators, wherever the base is, so the base may change between runs.

Source: https://commoncrawl.org/get-started ("Accessing the data").
"""

import gzip
import os
import zlib
from dataclasses import dataclass
from typing import Final

from pipelines.config import SourceConfig
from pipelines.extract.inputs import ReadSettings, open_input

COMMON_CRAWL: Final = "https://data.commoncrawl.org/"
_GZIP: Final = b"\x1f\x8b"
_MAX_LIST_BYTES: Final = 256 << 20  # packed; the largest of Common Crawl has under 1 MB


class SourceError(ValueError):
    """A source that names nothing readable."""


@dataclass(frozen=True, slots=True)
class Place:
    """A file that a list names."""

    file: str
    """Its line."""
    url: str
    """Where it lies: base and line."""


def read_path_list(source: SourceConfig) -> list[Place]:
    """The files that the list of a source names, each once, in the order of their names.

    Raises:
        SourceError: The list is absent, broken, holds no path, or one that is not below the base.
    """
    base = os.path.expanduser(source.base or COMMON_CRAWL).rstrip("/") + "/"
    lines = sorted(set(filter(None, map(str.strip, _read(source).splitlines()))))
    if not lines:
        raise SourceError(f"source {source.name}: {source.path} is empty; a list has paths in it")
    for line in lines:
        if "://" in line or line.startswith("/") or ".." in line.split("/"):
            raise SourceError(
                f"source {source.name}: {source.path} holds {line[:200]!r}; a list of paths has "
                "one path on each line, relative to `base`"
            )
    return [Place(line, base + line) for line in lines]


def _read(source: SourceConfig) -> str:
    assert source.path is not None, "a list of paths has a path"
    try:
        with open_input(os.path.expanduser(source.path), ReadSettings()) as file:
            data = file.read(_MAX_LIST_BYTES)
        return (gzip.decompress(data) if data.startswith(_GZIP) else data).decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise SourceError(
            f"source {source.name}: {source.path} cannot be read as a list of paths "
            f"({type(error).__name__}: {error}); it is text, or text in gzip, with one path on "
            "each line"
        ) from error

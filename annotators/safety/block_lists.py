"""Block lists of hosts and URLs in the formats in which they are published.

Each line is read by itself, so that a list may mix formats:

- hosts files (hosts(5)): `0.0.0.0 ads.example.com other.example.com`; names without a dot, such as
  localhost, are the file's own and no entries;
- plain lists: `example.com`, `*.example.com`, `.example.com` (Squid's dstdomain), also with a path
  or a scheme: `https://example.com/page`;
- Adblock Plus and EasyList filters, as far as they name a page or host: `||example.com^`,
  `||example.com/path`, with the options `document`, `popup`, `all` or `important`. Filters of other
  things (element hiding, patterns, exceptions `@@`, resources of certain types) are counted as not
  understood;
- dnsmasq: `address=/example.com/0.0.0.0`, `server=/.../`, `local=/.../`;
- folders in the manner of UT1 (dsi.ut-capitole.fr/blacklists): `<category>/domains` and
  `<category>/urls`; also packed as .tar or .tar.gz.

Comments begin with `#`, `!` or `;`; a line in brackets is a header, unless an IPv6 address is in
them. Networks (`10.0.0.0/8`) are counted as not understood. Files may be packed (.gz). Lines are
read a million at a time in Arrow, five million in about ten seconds.
"""

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from annotators.safety.addresses import comparable_entries

_CATEGORY_FILES: Final = ("domains", "urls")
_BLOCK_BYTES: Final = 16 << 20
_NUM_SHOWN: Final = 3

_COMMENT: Final = r"^(?:[#!;].*|\[.*[^0-9a-f:.\[\]].*\])?$"
_NETWORK: Final = r"^(?:[0-9.]+|\[?[0-9a-f]*:[0-9a-f:.]*\]?)/[0-9]{1,3}$"
_TRAILING: Final = r"\s+#.*$"
_HOSTS_LINE: Final = (
    r"^(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9a-f]*:[0-9a-f:.%a-z0-9]*)\s+"
    r"(?P<rest>.+)$"
)
_DNSMASQ: Final = r"^(?:address|server|local)=/(?P<rest>[^/]+)/.*$"
_FILTER: Final = (
    r"^\|\|(?P<rest>[^\s|^*$]+)[\^|]?"
    r"(?:\$(?:document|doc|popup|all|important)(?:,(?:document|doc|popup|all|important))*)?$"
)
_OTHER_FILTER: Final = r"^(?:\||@@)|##|#@#|#\?#|\$"

Strings = Any  # pa.LargeStringArray; pyarrow has no types


class Entries(NamedTuple):
    """What one block list says."""

    keys: Strings
    """large_string: hosts and URLs in the form of `addresses`."""
    categories: Strings
    """dictionary of large_string, of the same length: folder of UT1, else null."""
    num_lines: int
    """Lines that are no comment and not empty."""
    num_unread: int
    """Of these, lines that name no host and no URL."""
    examples: tuple[str, ...]
    """A few of them."""


def read_block_list(path: Path) -> Entries:
    """Reads a list.

    Args:
        path: File, also .gz, .tar or .tar.gz, or a folder in the manner of UT1.

    Raises:
        ValueError: There is no such file, it cannot be unpacked, or no line of it is an entry.
    """
    keys: list[Strings] = []
    categories: list[str | None] = []
    num_lines, num_unread, examples = 0, 0, []
    try:
        for category, data in _files(path):
            for lines in _line_blocks(data):
                found, unread = _entries(lines)
                keys.append(found)
                categories.append(category)
                num_lines += len(found) + len(unread)
                num_unread += len(unread)
                examples += unread.slice(0, _NUM_SHOWN).to_pylist()
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise ValueError(
            f"block list {path} cannot be read ({error}); name a file of hosts, domains, URLs or "
            "filters, also as .gz, or a folder or .tar.gz with <category>/domains files"
        ) from None
    if sum(map(len, keys)) == 0:
        shown = f", such as {examples[0]!r}" if examples else ""
        raise ValueError(
            f"block list {path} has no entry: none of its {num_lines:,} lines{shown} names a host "
            "or URL; allowed are hosts files, plain lists, ||domain^ filters and dnsmasq lines"
        )
    return Entries(
        pa.concat_arrays(keys),
        _repeated(categories, [len(some) for some in keys]),
        num_lines,
        num_unread,
        tuple(examples[:_NUM_SHOWN]),
    )


def _repeated(values: list[str | None], times: list[int]) -> Strings:
    """dictionary<int32, large_string>: each value so many times."""
    names = sorted({value for value in values if value is not None})
    numbers = np.repeat([-1 if one is None else names.index(one) for one in values], times)
    indices = pa.array(numbers.astype(np.int32), mask=numbers < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(names, pa.large_string()))


def _files(path: Path) -> Iterator[tuple[str | None, bytes]]:
    """Category and unpacked content of each file, in the order of their names."""
    if path.is_dir():
        members = sorted(one for one in path.rglob("*") if one.is_file() and _is_list(one.name))
        if not members:
            raise FileNotFoundError("no <category>/domains or <category>/urls in the folder")
        for member in members:
            data = member.read_bytes()
            yield member.parent.relative_to(path).as_posix(), _unpacked(member.name, data)
        return
    if not path.is_file():
        raise FileNotFoundError("no such file")
    if path.name.endswith((".tar", ".tar.gz", ".tgz")):
        with tarfile.open(path) as archive:
            files = [one for one in archive.getmembers() if one.isfile() and _is_list(one.name)]
            for one in sorted(files, key=lambda member: member.name):
                content = archive.extractfile(one)
                data = content.read() if content else b""
                yield Path(one.name).parent.name, _unpacked(one.name, data)
        return
    yield None, _unpacked(path.name, path.read_bytes())


def _is_list(name: str) -> bool:
    return Path(name).name.removesuffix(".gz") in _CATEGORY_FILES


def _unpacked(name: str, data: bytes) -> bytes:
    return gzip.GzipFile(fileobj=io.BytesIO(data)).read() if name.endswith(".gz") else data


def _line_blocks(data: bytes) -> Iterator[Strings]:
    """Lines, some megabytes at a time; bytes that are not UTF-8 become U+FFFD."""
    start = 0
    while start < len(data):
        end = data.find(b"\n", start + _BLOCK_BYTES)
        end = len(data) if end < 0 else end
        block = data[start:end].decode("utf-8-sig" if start == 0 else "utf-8", errors="replace")
        yield pc.list_flatten(pc.split_pattern(pa.array([block], pa.large_string()), "\n"))
        start = end + 1


def _entries(lines: Strings) -> tuple[Strings, Strings]:
    """Entries of some lines in the form that is compared, and the lines that give none."""
    lines = pc.utf8_lower(pc.utf8_trim_whitespace(lines.cast(pa.large_string())))
    lines = pc.replace_substring_regex(lines, _TRAILING, "")
    lines = lines.filter(pc.invert(pc.match_substring_regex(lines, _COMMENT)))
    names = _names(lines, _HOSTS_LINE)
    is_hosts = pc.is_valid(names)
    listed = pc.list_flatten(pc.utf8_split_whitespace(names.filter(is_hosts)))
    listed = listed.filter(pc.match_substring(listed, "."))
    lines = lines.filter(pc.invert(is_hosts))
    named = pc.coalesce(_names(lines, _DNSMASQ), _names(lines, _FILTER))
    is_other = pc.match_substring_regex(lines, _OTHER_FILTER)
    plain = pc.if_else(is_other, pa.scalar(None, pa.large_string()), lines)
    plain = pc.replace_substring_regex(plain, r"^\*?\.", "")
    keys = pc.coalesce(named, plain)
    # A name without a dot is a word of some other format, unless it was given as a domain: `.xxx`.
    is_word = pc.invert(pc.match_substring_regex(lines, r"[./:]."))
    is_network = pc.match_substring_regex(lines, _NETWORK)
    keys = pc.if_else(pc.or_(is_word, is_network), pa.scalar(None, pa.large_string()), keys)
    keys = _comparable(keys)
    hosts = _comparable(listed)
    unread = pa.concat_arrays([lines.filter(pc.is_null(keys)), listed.filter(pc.is_null(hosts))])
    return pa.concat_arrays([keys.drop_null(), hosts.drop_null()]), unread


def _comparable(keys: Strings) -> Strings:
    """The form that is compared; null for null, for white space inside and for wildcards."""
    usable = pc.fill_null(pc.invert(pc.match_substring_regex(keys, r"[\s*^|]")), False)
    return pc.if_else(
        usable, comparable_entries(pc.fill_null(keys, "")), pa.scalar(None, pa.large_string())
    )


def _names(lines: Strings, pattern: str) -> Strings:
    """The group `rest` of a pattern, or null."""
    return pc.struct_field(pc.extract_regex(lines, pattern), "rest").cast(pa.large_string())

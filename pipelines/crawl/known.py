"""Which addresses a crawl knows: two hashes each, in sorted files, never an object each.

An address is known by a hash of its host and one of itself (blake2b, 8 bytes each), and by whether
it is asked for as a page or as a sitemap. Two addresses would have to meet in both hashes, so
within one host: among 10 million addresses of a host with a probability below 3 x 10^-6. A
cryptographic hash, because who writes links must not be able to hide a stranger's page behind one
of his own.

Every round writes one file. Rounds count from 1 within a pass, and the file of round n holds what
was first met in the last `n & -n` rounds (the tree of P. M. Fenwick, 1994): so all that is known
after n rounds stands in at most log2(n) + 1 files, and a key is written again log2(n) times at
most. Files are sorted by host, so a worker reads those row groups that hold its own hosts.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.extract.uris import host_of
from pipelines.workspace.ledger import Entry, FileRef
from pipelines.workspace.parts import open_part
from pipelines.workspace.storage import Storage

KNOWN: Final = pa.schema(
    [
        pa.field("host_key", pa.uint64(), nullable=False),
        pa.field("url_key", pa.uint64(), nullable=False),
        pa.field("is_sitemap", pa.bool_(), nullable=False),
        pa.field("standing", pa.uint8(), nullable=False),
    ]
)
LEFT_OVER: Final = 0
"""Standing of an address that is beyond a limit, and never asked for."""
ADMITTED: Final = 1
"""Of one that is asked for, or will be."""
LED_TO: Final = 2
"""Of one that a redirect led to."""
GROUP_ROWS: Final = 1 << 15
"""Rows of a row group: 17 bytes each, so that a worker reads some 0.5 MB for a host."""
_KEY_BYTES: Final = 8


def address_keys(
    urls: Sequence[str],
) -> tuple[list[str], npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Hosts and hashes of canonical addresses.

    Returns:
        Host of each, its hash as uint64[n], and the hash of the whole address as uint64[n].
    """
    hosts = [_host(url) for url in urls]
    host_keys = np.fromiter((host_key(host) for host in hosts), np.uint64, len(urls))
    return hosts, host_keys, np.fromiter((_hash(url) for url in urls), np.uint64, len(urls))


def _host(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return _host_of_origin(f"{scheme}://{rest.partition('/')[0]}")


@lru_cache(maxsize=1 << 16)
def _host_of_origin(origin: str) -> str:
    return host_of(origin) or ""


@lru_cache(maxsize=1 << 16)
def host_key(host: str) -> int:
    """Hash of a host."""
    return _hash(host)


def _hash(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=_KEY_BYTES).digest()
    return int.from_bytes(digest, "little")


def files_of(number: int) -> list[int]:
    """Rounds whose files together hold what the rounds 1 to `number` of a pass first met.

    >>> files_of(13), files_of(16)
    ([13, 12, 8], [16])
    """
    found = []
    while number:
        found.append(number)
        number -= number & -number
    return found


def merged_rounds(number: int) -> list[int]:
    """Earlier rounds whose files the file of a round takes in.

    >>> merged_rounds(12), merged_rounds(13)
    ([11, 10], [])
    """
    first = number - (number & -number)
    return [earlier for earlier in files_of(number - 1) if earlier > first]


class KnownUrls:
    """Addresses of one host that a crawl asks for, or has come to by a redirect.

    Args:
        keys: uint64[n], ascending: hashes of those that are known already.
    """

    def __init__(self, keys: npt.NDArray[np.uint64]) -> None:
        self._keys = keys
        self._added: set[int] = set()

    def __contains__(self, url: str) -> bool:
        """Whether an address, canonical, is among them."""
        key = _hash(url)
        place = int(np.searchsorted(self._keys, np.uint64(key)))
        is_there = place < len(self._keys) and int(self._keys[place]) == key
        return is_there or key in self._added

    def __len__(self) -> int:
        """Different addresses, where none was added twice."""
        return len(self._keys) + len(self._added)

    def add(self, url: str) -> None:
        """Notes one more."""
        self._added.add(_hash(url))


def known_of_hosts(
    storage: Storage, entries: Sequence[Entry], hosts: Iterable[str]
) -> dict[str, KnownUrls]:
    """Host -> what the crawl knows of it.

    Args:
        storage: The workspace's folder.
        entries: Of the rounds of the pass so far, in their order.
        hosts: Those that are wanted.
    """
    of_host = {host_key(host): host for host in hosts}
    wanted = np.sort(np.fromiter(of_host, np.uint64, len(of_host)))
    tables = [
        table
        for number in files_of(len(entries))
        for table in _of_hosts(storage, entries[number - 1].file("known"), wanted)
    ]
    both = pa.concat_tables([KNOWN.empty_table().select(["host_key", "url_key"]), *tables])
    host_keys, url_keys = (both.column(name).to_numpy() for name in both.column_names)
    order = np.lexsort((url_keys, host_keys))
    host_keys, url_keys = host_keys[order], url_keys[order]
    starts = np.searchsorted(host_keys, wanted)
    ends = np.searchsorted(host_keys, wanted, side="right")
    return {
        of_host[int(key)]: KnownUrls(np.unique(url_keys[start:end]))
        for key, start, end in zip(wanted, starts, ends, strict=True)
    }


def _of_hosts(storage: Storage, ref: FileRef, wanted: npt.NDArray[np.uint64]) -> Iterator[pa.Table]:
    """host_key and url_key of the rows of some hosts that are not left over."""
    with open_part(storage, ref) as file:
        reader = pq.ParquetFile(file, page_checksum_verification=True)
        for number in range(reader.num_row_groups):
            group = reader.metadata.row_group(number).column(0).statistics
            first = np.searchsorted(wanted, np.uint64(group.min))
            if first == len(wanted) or int(wanted[first]) > group.max:
                continue
            table = reader.read_row_group(number, columns=["host_key", "url_key", "standing"])
            is_wanted = np.isin(table.column("host_key").to_numpy(), wanted)
            is_wanted &= table.column("standing").to_numpy() != LEFT_OVER
            yield table.filter(pa.array(is_wanted)).select(["host_key", "url_key"])

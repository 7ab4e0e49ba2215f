"""Takedowns: addresses and hosts that a workspace must forget, for good.

Each call adds one small file to `takedowns/`, created only if absent, as the inventory's are, so
two people cannot overwrite each other; none is ever changed or removed. An entry is a host, which
stands for itself and all hosts below it, or an address, which stands for itself and all addresses
below its path, on hosts below as well. Scheme, port, case and the final slash do not count: they
are compared as the block lists of the annotator `safety` are (`annotators.safety.addresses`,
`entry_index`). Too much is forgotten rather than too little.

Who asks: the crawl before each request, extraction for each document it makes, and the labels set
`takedown`, which exists as soon as there is a takedown and keeps documents made before out of every
plan made after.
"""

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.workspace.storage import Storage

if TYPE_CHECKING:
    from annotators.safety.entry_index import EntryIndex

TAKEN_DOWN: Final = "taken_down"
"""Reason of rejects and of fetches, and the column of the labels set."""
SUPERSEDED: Final = "superseded"
"""Likewise, of documents of which another form is to be drawn."""
PARENT_URI: Final = "parent_uri"
"""Key of `meta`: the address of the page that a made text goes back to."""
_FOLDER: Final = "takedowns"
_BLANKS: Final = " \t\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Takedown:
    """What one call asked for."""

    entries: tuple[str, ...]
    """Hosts and addresses in the form that is compared, sorted."""
    reason: str
    """As a person wrote it; may be empty."""
    at: str
    """When, UTC, ISO 8601."""


@dataclass(frozen=True)
class Takedowns:
    """All takedowns of a workspace."""

    made: tuple[Takedown, ...]
    """In their order."""

    @cached_property
    def keys(self) -> pa.LargeStringArray:
        """All entries, each once, sorted."""
        entries = sorted({entry for one in self.made for entry in one.entries})
        return pa.array(entries, pa.large_string())

    @property
    def fingerprint(self) -> str:
        """64 hex digits over what is forgotten; who asked, when and why do not enter."""
        return hashlib.sha256("\n".join(self.keys.to_pylist()).encode()).hexdigest()

    def cover(self, uris: Any) -> pa.BooleanArray:  # noqa: ANN401 - pyarrow has no types
        """Which addresses are forgotten.

        Args:
            uris: string or large_string, n of them; null where a document has none.

        Returns:
            bool[n], no nulls.
        """
        if not len(self.keys) or not len(uris):
            return pa.array(np.zeros(len(uris), np.bool_))
        from annotators.safety.addresses import comparable_urls
        from annotators.safety.entry_index import find_entries

        whole = uris.combine_chunks() if isinstance(uris, pa.ChunkedArray) else uris
        compared = pc.fill_null(comparable_urls(whole), "")
        return pa.array(find_entries(self._index, compared) >= 0)

    @cached_property
    def _index(self) -> "EntryIndex":
        from annotators.safety.entry_index import build_index  # numba; only where it is needed

        number = len(self.keys)
        return build_index(self.keys, np.zeros(number, np.int16), np.full(number, -1, np.int16))


def origin_uris(documents: pa.Table) -> pa.Array:
    """Addresses that documents stand or stood under: their own, or that of what they go back to.

    Args:
        documents: Column `uri`, and `meta` where texts were made of others.

    Returns:
        string[n], null where there is none.
    """
    if "meta" not in documents.schema.names:
        return documents.column("uri")
    meta = documents.column("meta").to_pylist()
    own = documents.column("uri").to_pylist()
    pairs = zip(own, meta, strict=True)
    return pa.array([u or dict(m or ()).get(PARENT_URI) for u, m in pairs], pa.string())


def entries_of(written: Sequence[str]) -> tuple[str, ...]:
    """Hosts and addresses as people write them, in the form that is compared; sorted, each once.

    Raises:
        ValueError: One that is neither.
    """
    from annotators.safety.addresses import comparable_entries

    found = []
    for text in written:
        bare = text.strip(_BLANKS).lower()
        key = comparable_entries(pa.array([bare], pa.large_string()))[0].as_py()
        host = (key or "").partition("/")[0]
        is_word = "." not in host and not host.startswith("[") and "://" not in bare
        has_user = "@" in bare.rpartition("://")[2].partition("/")[0]
        if key is None or is_word or has_user or any(c in bare for c in "*" + _BLANKS):
            raise ValueError(
                f"found {text!r}; allowed: an address such as https://example.org/page, which "
                "stands for all below it, or a host such as example.org, which stands for all "
                "below it; write it out, without a wildcard"
            )
        found.append(key)
    return tuple(sorted(set(found)))


def is_whole_host(entry: str) -> bool:
    """Whether an entry, in the form that is compared, is a host and not an address."""
    from annotators.safety.addresses import is_host

    return bool(is_host(pa.array([entry], pa.large_string()))[0].as_py())


def read_takedowns(storage: Storage) -> Takedowns:
    """All takedowns of a workspace.

    Raises:
        ValueError: A file is damaged: what must be forgotten is not known, so nothing may go on.
    """
    made = []
    for path in storage.files(_FOLDER):
        try:
            raw = json.load(io.BytesIO(storage.read(path)))
            made.append(Takedown(**{**raw, "entries": tuple(raw["entries"])}))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f"{path} is damaged ({error}), so what must be forgotten is not known; restore it, "
                "or remove it and give `tokenmill forget` again"
            ) from error
    return Takedowns(tuple(made))


def take_down(storage: Storage, entries: Sequence[str], reason: str) -> Takedown:
    """Adds a takedown.

    Args:
        storage: The workspace's folder.
        entries: What `entries_of` gives.
        reason: Of a person, for persons.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    made = Takedown(entries=tuple(sorted(set(entries))), reason=reason, at=now)
    data = json.dumps(asdict(made), sort_keys=True, indent=1, ensure_ascii=False).encode()
    number = len(storage.files(_FOLDER))
    while not storage.create(f"{_FOLDER}/{number:05d}.json", data):
        number += 1
    return made

"""Takedowns: addresses, hosts and documents that a workspace must forget, for good.

Each call adds one small file to `takedowns/`, created only if absent, as the inventory's are, so
two people cannot overwrite each other; none is ever changed or removed. An entry is a host, which
stands for itself and all hosts below it, or an address, which stands for itself and all addresses
below its path, on hosts below as well. Scheme, port, case and the final slash do not count: they
are compared as the block lists of the annotator `safety` are (`annotators.safety.addresses`,
`entry_index`). Too much is forgotten rather than too little.

An id names a record of an input (`schema.document_id`), so the same record that is read again under
other settings has the same one and stays forgotten. What was made of a forgotten document is
forgotten with it: by the ids of its parents, and by the address that it goes back to.

Who asks: the crawl before each request (by address), extraction for each document it makes, recipes
for each seed, and the labels set `takedown`, which exists as soon as there is a takedown and keeps
documents made before out of every plan made after.

Documents that were erased (`pipelines.erasure`) have no address any more, so their ids are read
from the ledger of erasures and count as forgotten. They were forgotten before they were erased, so
they do not enter the fingerprint: an erasure changes no plan.
"""

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.ledger import Ledger
from pipelines.workspace.parts import read_table
from pipelines.workspace.schema import ID, ID_BYTES
from pipelines.workspace.storage import Storage

if TYPE_CHECKING:
    from annotators.safety.entry_index import EntryIndex

TAKEN_DOWN: Final = "taken_down"
"""Reason of rejects and of fetches, and the column of the labels set."""
SUPERSEDED: Final = "superseded"
"""Likewise, of documents of which another form is to be drawn."""
PARENT_URI: Final = "parent_uri"
"""Key of `meta`: the address of the page that a made text goes back to."""
ERASURES: Final = Generation(job="erase", payload={"version": "1"})
"""The ledger of erasures: entry n is the n-th, and its file `erased` holds the ids."""
ERASED_KIND: Final = "erased"
_FOLDER: Final = "takedowns"
_NO_IDS: Final = pa.array([], ID)
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
    ids: tuple[str, ...] = ()
    """Documents, 32 hexadecimal digits each, sorted: those that were named, and all that had been
    made of them by then."""


@dataclass(frozen=True)
class Takedowns:
    """All takedowns of a workspace."""

    made: tuple[Takedown, ...]
    """In their order."""
    erased: pa.FixedSizeBinaryArray = field(default_factory=lambda: _NO_IDS, compare=False)
    """Ids of documents that were erased: fixed_size_binary(16)[n]."""

    @cached_property
    def keys(self) -> pa.LargeStringArray:
        """All entries, each once, sorted."""
        entries = sorted({entry for one in self.made for entry in one.entries})
        return pa.array(entries, pa.large_string())

    @cached_property
    def ids(self) -> pa.FixedSizeBinaryArray:
        """Ids that were asked for, each once, sorted: fixed_size_binary(16)[n]."""
        ids = sorted({bytes.fromhex(id_) for one in self.made for id_ in one.ids})
        return pa.array(ids, ID)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be forgotten."""
        return not len(self.keys) and not len(self.ids)

    @property
    def fingerprint(self) -> str:
        """64 hex digits over what is forgotten; who asked, when and why do not enter."""
        told = [*self.keys.to_pylist(), *(f"id:{id_.hex()}" for id_ in self.ids.to_pylist())]
        return hashlib.sha256("\n".join(told).encode()).hexdigest()

    def cover_documents(self, documents: pa.Table | pa.RecordBatch) -> pa.BooleanArray:
        """Which documents are forgotten: by address, by id, or by what they were made of.

        Args:
            documents: Some columns of DOCUMENT: `id`, `uri`, and of made documents `meta` and
                `provenance` with at least `parents`. One that is not there is not looked at.

        Returns:
            bool[n], no nulls.
        """
        names = documents.schema.names
        if not documents.num_rows:
            return pa.array([], pa.bool_())
        found = np.zeros(documents.num_rows, np.bool_)
        if "uri" in names and len(self.keys):
            found |= self.cover(origin_uris(documents)).to_numpy(zero_copy_only=False)
        ids = self._all_ids
        if not len(ids):
            return pa.array(found)
        found |= pc.is_in(_whole(documents.column("id")), ids).to_numpy(zero_copy_only=False)
        if "provenance" in names:
            provenance = _whole(documents.column("provenance"))
            if "parents" in [one.name for one in provenance.type]:
                parents = pc.struct_field(provenance, "parents")
                known = pc.is_in(pc.list_flatten(parents).cast(ID), ids)
                rows = pc.list_parent_indices(parents).to_numpy()
                found[rows[known.to_numpy(zero_copy_only=False)]] = True
        return pa.array(found)

    @cached_property
    def _all_ids(self) -> pa.FixedSizeBinaryArray:
        return pc.unique(pa.concat_arrays([self.ids, self.erased.cast(ID)]))

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

        compared = pc.fill_null(comparable_urls(_whole(uris)), "")
        return pa.array(find_entries(self._index, compared) >= 0)

    @cached_property
    def _index(self) -> "EntryIndex":
        from annotators.safety.entry_index import build_index  # numba; only where it is needed

        number = len(self.keys)
        return build_index(self.keys, np.zeros(number, np.int16), np.full(number, -1, np.int16))


def _whole(column: Any) -> Any:  # noqa: ANN401 - pyarrow has no types
    """A column as one array."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def origin_uris(documents: pa.Table | pa.RecordBatch) -> pa.Array:
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


def ids_of(written: Sequence[str]) -> tuple[str, ...]:
    """Ids of documents as people write them, in lower case; sorted, each once.

    Raises:
        ValueError: One that is not 32 hexadecimal digits.
    """
    found = set()
    for text in written:
        bare = text.strip(_BLANKS).lower()
        if len(bare) != 2 * ID_BYTES or not set(bare) <= set("0123456789abcdef"):
            raise ValueError(
                f"found the id {text!r}; allowed: the {2 * ID_BYTES} hexadecimal digits of a "
                "document, as `tokenmill trace WORKSPACE URL` shows them"
            )
        found.add(bare)
    return tuple(sorted(found))


def erased_ids(storage: Storage) -> pa.FixedSizeBinaryArray:
    """Ids of all documents that were erased from a workspace: fixed_size_binary(16)[n]."""
    columns = [
        read_table(storage, ref, ["id"]).column("id").combine_chunks()
        for entry in Ledger(storage).entries(ERASURES)
        for ref in entry.files
        if ref.kind == ERASED_KIND
    ]
    return pc.unique(pa.concat_arrays([_NO_IDS, *columns])) if columns else _NO_IDS


def read_takedowns(storage: Storage) -> Takedowns:
    """All takedowns of a workspace.

    Raises:
        ValueError: A file is damaged: what must be forgotten is not known, so nothing may go on.
    """
    made = []
    for path in storage.files(_FOLDER):
        try:
            raw = json.load(io.BytesIO(storage.read(path)))
            listed = {name: tuple(raw.get(name, ())) for name in ("entries", "ids")}
            made.append(Takedown(**{**raw, **listed}))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f"{path} is damaged ({error}), so what must be forgotten is not known; restore it, "
                "or remove it and give `tokenmill forget` again"
            ) from error
    return Takedowns(tuple(made), erased_ids(storage))


def take_down(
    storage: Storage, entries: Sequence[str], reason: str, ids: Sequence[str] = ()
) -> Takedown:
    """Adds a takedown.

    Args:
        storage: The workspace's folder.
        entries: What `entries_of` gives.
        reason: Of a person, for persons.
        ids: What `ids_of` gives, and the ids of what was made of those documents.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    made = Takedown(
        entries=tuple(sorted(set(entries))), reason=reason, at=now, ids=tuple(sorted(set(ids)))
    )
    data = json.dumps(asdict(made), sort_keys=True, indent=1, ensure_ascii=False).encode()
    number = len(storage.files(_FOLDER))
    while not storage.create(f"{_FOLDER}/{number:05d}.json", data):
        number += 1
    return made

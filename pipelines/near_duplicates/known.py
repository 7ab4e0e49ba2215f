"""Each pair once, and what earlier runs know of it, so that a new source adds only its own pairs.

Candidates are made from all texts of a run, for that needs their bands alone. They meet in the part
of their `lower`, where each is kept once. Every run keeps all pairs that it has compared, by the
same part, so what it knows of them stands in one file for each earlier run. Parts and rows never
get other numbers and sources sort by name, so texts keep their order however many sources a run
has: a pair that was (lower, higher) before is so now, in the same part, and both lists are sorted
alike.

An earlier run counts where both sources of a pair have the same MinHash generation and shingles are
made in the same way; its threshold does not matter. A run that came later does not, although it may
know all pairs of this one: an entry that was taken back is made again with what was known when it
was made first. So each entry keeps which runs were earlier, and what names this one came later.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from annotators.text.kernels import kernel
from pipelines.near_duplicates.buckets import PAIR
from pipelines.near_duplicates.candidates import distinct
from pipelines.near_duplicates.near import JOB, Places, parts_at, places_of, sources_and_parts
from pipelines.near_duplicates.plan import NearPlan
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import PARTITIONS, PartKey, entry_of
from pipelines.workspace.ledger import FileRef, Stopwatch
from pipelines.workspace.parts import PartFile, read_batches
from pipelines.workspace.workspace import Workspace

REQUEST: Final = pa.schema([*PAIR, pa.field("jaccard", pa.float64())])
"""A pair, sorted by `lower` and `higher`; the Jaccard is null where nobody has compared it."""

COMPARED: Final = pa.schema([*PAIR, pa.field("jaccard", pa.float64(), nullable=False)])
"""A pair that was compared, sorted likewise."""

_EARLIER: Final = "earlier"  # in the detail of an entry: `job@fp` of each earlier run's pairs
_ROWS: Final = 1 << 18
_SAME: Final = ("version", "words", "characters")  # settings that decide a Jaccard


@dataclass(frozen=True, slots=True)
class EarlierPairs:
    """The compared pairs of an earlier run."""

    generation: str
    """`job@fp`."""
    sources: Mapping[int, int]
    """Position of a source there -> position in this run; others are not to be used."""


def earlier_pairs(workspace: Workspace, near: NearPlan) -> tuple[EarlierPairs, ...]:
    """Which earlier runs have pairs that this one can take over."""
    found = []
    minhash = {name: made.full for name, made in near.minhash.items()}
    for generation, payload in _generations_of_pairs(workspace):
        if generation == near.pairs.name or not _compares_alike(payload, near):
            continue
        if near.pairs.name in _earlier_than(workspace, payload):
            continue
        there = sorted(payload["minhash"])
        sources = {
            there.index(name): near.sources.index(name)
            for name in there
            if payload["minhash"][name] == minhash.get(name)
        }
        if sources:
            found.append(EarlierPairs(generation, sources))
    return tuple(found)


def _compares_alike(payload: Mapping[str, Any], near: NearPlan) -> bool:
    return all(payload["near"].get(name) == near.settings.payload[name] for name in _SAME)


def _earlier_than(workspace: Workspace, payload: Mapping[str, Any]) -> Sequence[str]:
    """The runs that were known when the pairs of a run were listed; none where that is not kept.

    Args:
        workspace: Where it is.
        payload: Of its generation of pairs.
    """
    asked = {name: value for name, value in payload.items() if name != "job"}
    requests = Generation(job=f"{JOB}.requests", payload=asked | {"what": "requests"})
    first = next(iter(workspace.ledger.entry_files(requests.name)), None)
    if first is None:
        return ()
    found: Sequence[str] = workspace.ledger.read_entry(first).detail.get(_EARLIER, ())
    return found


def _generations_of_pairs(workspace: Workspace) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Those that are declared, by one listing of the ledger's own folder."""
    storage = workspace.storage
    storage.fs.invalidate_cache()
    for path in sorted(storage.fs.ls(storage.path("ledger"), detail=False)):
        name = str(path).rstrip("/").rsplit("/", 1)[-1]
        declared = f"ledger/{name}/generation.json"
        if name.startswith(f"{JOB}.pairs@") and storage.exists(declared):
            yield name, json.loads(storage.read(declared))


def candidates_of(workspace: Workspace, near: NearPlan, partition: int) -> Iterator[pa.RecordBatch]:
    """The candidate pairs of one partition of band hashes: PAIR rows."""
    ref = workspace.ledger.get(near.candidates, PARTITIONS, partition).file("candidates")
    yield from read_batches(workspace.storage, ref, batch_rows=_ROWS)


def commit_requests(
    workspace: Workspace,
    near: NearPlan,
    key: PartKey,
    batches: Sequence[pa.RecordBatch],
    earlier: Sequence[EarlierPairs],
) -> None:
    """Commits the pairs of one part, each once, with what is known of them."""
    watch = Stopwatch()
    pairs = distinct(pa.Table.from_batches(batches, schema=PAIR))
    lower, higher = (pairs.column(name).to_numpy() for name in PAIR.names)
    jaccard = known_jaccards(workspace, key, lower, higher, earlier)
    is_known = ~np.isnan(jaccard)
    num_known = int(is_known.sum())
    counts = {"pairs": len(lower), "known": num_known, "new": len(lower) - num_known}
    files: tuple[FileRef, ...] = ()
    if len(lower):
        columns = [lower, higher, pa.array(jaccard, mask=~is_known)]
        table = pa.table(columns, schema=REQUEST)
        folder = f"clusters/{near.requests.name}/{key.source}"
        files = (publish(workspace, table, "requests", folder, key.part),)
    detail = {_EARLIER: sorted(one.generation for one in earlier)} if earlier else {}
    workspace.ledger.commit(
        entry_of(near.requests, key, files=files, counts=counts, watch=watch, detail=detail)
    )


def known_jaccards(
    workspace: Workspace,
    key: PartKey,
    lower: Places,
    higher: Places,
    earlier: Sequence[EarlierPairs],
) -> npt.NDArray[np.float64]:
    """What earlier runs know of the pairs of a part.

    Args:
        workspace: Where their pairs are.
        key: The part of all `lower`.
        lower: Sorted with `higher`, uint64[num_pairs].
        higher: As long.
        earlier: The runs.

    Returns:
        The Jaccard of each pair, NaN where nobody has compared it: float64[num_pairs].
    """
    jaccard = np.full(len(lower), np.nan)
    found = [(workspace.ledger.find(one.generation, key.source, key.part), one) for one in earlier]
    entries = [(entry, one) for entry, one in found if entry is not None and entry.files]
    # The one that has most is likely to know all, and then the others are not read.
    for entry, one in sorted(entries, key=lambda item: -item[0].counts["pairs"]):
        if not np.isnan(jaccard).any():
            break
        after = 0
        for batch in read_batches(workspace.storage, entry.file("pairs"), batch_rows=_ROWS):
            known = _moved(batch, one)
            after = fill_known(
                lower,
                higher,
                known.column("lower").to_numpy(),
                known.column("higher").to_numpy(),
                known.column("jaccard").to_numpy(),
                after,
                jaccard,
            )
    return jaccard


def _moved(batch: pa.RecordBatch, earlier: EarlierPairs) -> pa.RecordBatch:
    """COMPARED rows of an earlier run with the places of this one; others are left out."""
    position = np.full(max(earlier.sources) + 1, -1, np.int64)
    position[list(earlier.sources)] = list(earlier.sources.values())
    lower, higher, jaccard = (column.to_numpy() for column in batch.columns)
    lower, low_is_here = _with_sources(lower, position)
    higher, high_is_here = _with_sources(higher, position)
    here = low_is_here & high_is_here
    columns = [lower[here], higher[here], jaccard[here]]
    return pa.record_batch([pa.array(column) for column in columns], schema=COMPARED)


def _with_sources(
    places: Places, position: npt.NDArray[np.int64]
) -> tuple[Places, npt.NDArray[np.bool_]]:
    """Places with other positions of their sources, and whether there is one."""
    there, _ = sources_and_parts(parts_at(places))
    here = position[np.minimum(there, len(position) - 1)]
    is_here = (here >= 0) & (there < len(position))
    moved = np.where(is_here, here - there, 0).astype(np.uint64)  # modulo 2^64
    return places + moved * places_of(1, 0, np.zeros(1, np.int64)), is_here


@kernel
def fill_known(
    lower: npt.NDArray[np.uint64],
    higher: npt.NDArray[np.uint64],
    known_lower: npt.NDArray[np.uint64],
    known_higher: npt.NDArray[np.uint64],
    known_jaccard: npt.NDArray[np.float64],
    first: int,
    jaccard: npt.NDArray[np.float64],
) -> int:
    """Goes through two sorted lists; gives the position from which the next batch goes on."""
    i = first
    for j in range(len(known_lower)):
        while i < len(lower) and (
            lower[i] < known_lower[j]
            or (lower[i] == known_lower[j] and higher[i] < known_higher[j])
        ):
            i += 1
        if i == len(lower):
            break
        if lower[i] == known_lower[j] and higher[i] == known_higher[j]:
            jaccard[i] = known_jaccard[j]
    return i


def publish(workspace: Workspace, table: pa.Table, kind: str, folder: str, part: int) -> FileRef:
    """Publishes a table as a part file whose bytes depend on its rows alone."""
    with PartFile(workspace.storage, table.schema) as file:
        for batch in table.combine_chunks().to_batches(max_chunksize=_ROWS):
            file.write(batch)
        return file.publish(kind, folder, part)

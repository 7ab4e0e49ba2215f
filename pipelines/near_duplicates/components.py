"""Connected components of the similar pairs: what bounds the work on clusters, and nothing else.

A cluster lies within a component, so components can be clustered apart. They can be as large as a
chain of templates is long, which is why they are not clusters themselves (marin issue 6851). One
task streams the similar pairs, in memory 24 bytes for each text in them: its place, its root, and
the pairs of its root. Whole components then go, in the order of their first text, into groups of
about four million pairs (96 MB); which group a component is in decides no result. That is the
fastest way while all pairs fit into the memory of one worker; more of them are swept (`sweep`).
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from annotators.text.kernels import kernel
from pipelines.near_duplicates.known import COMPARED
from pipelines.near_duplicates.near import Places
from pipelines.near_duplicates.plan import NearPlan
from pipelines.workspace.jobs import PARTITIONS, PartKey, entry_of
from pipelines.workspace.ledger import Entry, FileRef, Stopwatch
from pipelines.workspace.parts import PartFile, read_batches
from pipelines.workspace.workspace import Workspace

_GROUP_PAIRS: Final = 4 << 20
_OPEN_GROUPS: Final = 8  # files written at a time, each with up to 32 MB that wait
_ROWS: Final = 1 << 18


def similar_pairs(workspace: Workspace, near: NearPlan) -> Iterator[pa.RecordBatch]:
    """All pairs that reach the threshold, part by part: COMPARED rows."""
    for entry in workspace.ledger.entries(near.pairs):
        yield from similar_of_part(workspace, near, entry)


def similar_of_part(workspace: Workspace, near: NearPlan, entry: Entry) -> Iterator[pa.RecordBatch]:
    """Those of the part of an entry of `near.pairs`: COMPARED rows."""
    if entry.files and entry.counts["similar"]:
        for batch in read_batches(workspace.storage, entry.file("pairs"), batch_rows=_ROWS):
            is_similar = batch.column("jaccard").to_numpy() >= near.settings.threshold
            yield batch.filter(pa.array(is_similar))


def commit_components(workspace: Workspace, near: NearPlan) -> int:
    """Commits the similar pairs in groups that share no text; gives the number of groups."""
    watch, key = Stopwatch(), PartKey(PARTITIONS, 0)
    done = workspace.ledger.find(near.components, key.source, key.part)
    if done is not None:
        return done.counts["groups"]
    places = _places(workspace, near)
    root = np.arange(len(places), dtype=np.int64)
    num_pairs = np.zeros(len(places), np.int64)
    for batch in similar_pairs(workspace, near):
        join_pairs(places, root, num_pairs, batch.column("lower").to_numpy(), _higher(batch))
    num_components = settle_roots(root, num_pairs)
    total = int(num_pairs.sum())
    largest = int(num_pairs.max(initial=0))
    num_groups = number_groups(root, num_pairs, _GROUP_PAIRS)
    files = _write_groups(workspace, near, places, root, num_groups) if num_groups > 1 else ()
    counts = {
        "texts": len(places),
        "pairs": total,
        "components": num_components,
        "largest": largest,
        "groups": num_groups,
    }
    workspace.ledger.commit(entry_of(near.components, key, files=files, counts=counts, watch=watch))
    return num_groups


def pairs_of_group(workspace: Workspace, near: NearPlan, group: int) -> Iterator[pa.RecordBatch]:
    """The similar pairs of one group of components: COMPARED rows."""
    entry = workspace.ledger.get(near.components, PARTITIONS, 0)
    if entry.files:
        yield from read_batches(workspace.storage, entry.files[group], batch_rows=_ROWS)
    else:  # one group has all of them
        yield from similar_pairs(workspace, near)


def _higher(batch: pa.RecordBatch) -> Places:
    places: Places = batch.column("higher").to_numpy()
    return places


def _places(workspace: Workspace, near: NearPlan) -> Places:
    """The texts in similar pairs, ascending, uint64[num_texts]."""
    places, waiting, num_waiting = np.empty(0, np.uint64), [], 0
    for batch in similar_pairs(workspace, near):
        found = np.unique(np.concatenate([batch.column("lower").to_numpy(), _higher(batch)]))
        waiting.append(found)
        num_waiting += len(found)
        if num_waiting > max(len(places), _ROWS):
            places, waiting, num_waiting = np.unique(np.concatenate([places, *waiting])), [], 0
    return np.unique(np.concatenate([places, *waiting]))


@kernel
def join_pairs(
    places: Places,
    root: npt.NDArray[np.int64],
    num_pairs: npt.NDArray[np.int64],
    lower: Places,
    higher: Places,
) -> None:
    """Joins the two ends of each pair; the smaller position becomes the root of both."""
    for pair in range(len(lower)):
        one, other = np.searchsorted(places, lower[pair]), np.searchsorted(places, higher[pair])
        num_pairs[one] += 1
        while root[one] != one:
            root[one] = root[root[one]]
            one = root[one]
        while root[other] != other:
            root[other] = root[root[other]]
            other = root[other]
        if one < other:
            root[other] = one
        else:
            root[one] = other


@kernel
def settle_roots(root: npt.NDArray[np.int64], num_pairs: npt.NDArray[np.int64]) -> int:
    """Points every text at its root, and adds its pairs to those of the root; counts the roots."""
    count = 0
    for text in range(len(root)):
        # A root stands before all its texts, so what it points at is settled.
        above = root[root[text]]
        root[text] = above
        if above == text:
            count += 1
        else:
            num_pairs[above] += num_pairs[text]
            num_pairs[text] = 0
    return count


@kernel
def number_groups(root: npt.NDArray[np.int64], num_pairs: npt.NDArray[np.int64], most: int) -> int:
    """Replaces each root by the number of its group; gives the number of groups, at least 1."""
    group, filled = 0, 0
    for text in range(len(root)):
        if root[text] == text:
            if filled > 0 and filled + num_pairs[text] > most:
                group, filled = group + 1, 0
            filled += num_pairs[text]
            num_pairs[text] = group
    for text in range(len(root)):
        root[text] = num_pairs[root[text]]
    return group + 1


def _write_groups(
    workspace: Workspace,
    near: NearPlan,
    places: Places,
    group_of: npt.NDArray[np.int64],
    num_groups: int,
) -> tuple[FileRef, ...]:
    """One file for each group; all pairs are read once for every few of them."""
    found: list[FileRef] = []
    folder = f"clusters/{near.components.name}"
    for first in range(0, num_groups, _OPEN_GROUPS):
        some = range(first, min(first + _OPEN_GROUPS, num_groups))
        with ExitStack() as stack:
            files = [stack.enter_context(PartFile(workspace.storage, COMPARED)) for _ in some]
            for batch in similar_pairs(workspace, near):
                _spread(
                    batch, group_of[np.searchsorted(places, batch.column("lower"))], some, files
                )
            found += [
                file.publish(f"group-{group:05d}", folder, group)
                for group, file in zip(some, files, strict=True)
            ]
    return tuple(found)


def _spread(
    batch: pa.RecordBatch,
    group: npt.NDArray[np.int64],
    wanted: Sequence[int],
    files: Sequence[PartFile],
) -> None:
    for number, file in zip(wanted, files, strict=True):
        rows = np.flatnonzero(group == number)
        if len(rows):
            file.write(batch.take(pa.array(rows)))

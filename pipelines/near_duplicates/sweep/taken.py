"""Which arcs join a text to its representative: one pass over all of them in order.

When the pass comes to the arcs of a text it has met all texts above it. If one of them took the
text, nothing follows from its arcs; else it is a representative and takes every text that its arcs
lead to and that nobody has taken. Each text is so decided about by one arc, its own to itself where
it represents itself. What is kept is a bit a text, `joined`; 0.5 GB for 4 billion texts.

A run is committed as soon as it is passed. A pass that was killed reads again what it has passed.

Equations: arcs = taken + passed = texts + pairs; over all runs, taken = texts.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from annotators.text.kernels import kernel
from pipelines.near_duplicates.clusters import ALONE_ROLE, HEAD_ROLE, NEAR_ROLE, decided_texts
from pipelines.near_duplicates.known import publish
from pipelines.near_duplicates.plan import NearPlan
from pipelines.near_duplicates.threads import in_order
from pipelines.workspace.jobs import PARTITIONS, PartKey, entry_of
from pipelines.workspace.ledger import Stopwatch
from pipelines.workspace.parts import read_table
from pipelines.workspace.workspace import Workspace

_READ: Final = ["text", "other", "num_rows"]
_TAKEN: Final = pa.schema([pa.field("taken", pa.bool_(), nullable=False)])
_Texts = npt.NDArray[np.int64]
_FIRST, _LAST = "first", "last"


class _Share(NamedTuple):
    """What one text takes in one run; its arcs may go on in the next."""

    text: int
    texts: int
    rows: int


@kernel
def take_arcs(
    text: _Texts, other: _Texts, joined: npt.NDArray[np.uint8], taken: npt.NDArray[np.bool_]
) -> None:
    """Decides about arcs in their order.

    Args:
        text: Number of the text that each comes from, int64[num_arcs].
        other: Of the one that it goes to, as long.
        joined: A bit for each text: whether another has taken it. uint8[num_texts / 8], added to.
        taken: Whether each arc joins its texts, bool[num_arcs], written.
    """
    for arc in range(len(text)):
        one, two = text[arc], other[arc]
        is_free = joined[one >> 3] >> (one & 7) & 1 == 0 and joined[two >> 3] >> (two & 7) & 1 == 0
        taken[arc] = is_free
        if is_free and one != two:
            joined[two >> 3] |= np.uint8(1 << (two & 7))


def commit_taken(workspace: Workspace, near: NearPlan, num_threads: int) -> int:
    """Commits which arcs are taken, run by run; gives the number of runs."""
    ledger = workspace.ledger
    num_runs = ledger.get(near.cuts, PARTITIONS, 0).counts["runs"]
    done = {part for _, part in ledger.places(near.taken, PARTITIONS)}
    if len(done) == num_runs:
        return num_runs
    num_texts = ledger.get(near.blocks, PARTITIONS, 0).counts["texts"]
    joined = np.zeros(num_texts // 8 + 1, np.uint8)

    def arcs_of(run: int) -> pa.Table:
        ref = ledger.get(near.runs, PARTITIONS, run).file("arcs")
        return read_table(workspace.storage, ref, _READ)

    for run, arcs in enumerate(in_order(arcs_of, range(num_runs), num_threads)):
        text, other, num_rows = (arcs.column(c).to_numpy() for c in _READ)
        taken = np.empty(len(text), np.bool_)
        take_arcs(text, other, joined, taken)
        if run not in done:
            _commit(workspace, near, run, text, other, num_rows, taken)
    return num_runs


def _commit(
    workspace: Workspace,
    near: NearPlan,
    run: int,
    text: _Texts,
    other: _Texts,
    num_rows: npt.NDArray[np.int64],
    taken: npt.NDArray[np.bool_],
) -> None:
    watch = Stopwatch()
    table = pa.table([pa.array(taken)], schema=_TAKEN)
    ref = publish(workspace, table, "taken", f"clusters/{near.taken.name}", run)
    num_taken, num_own = int(taken.sum()), int((text == other).sum())
    counts = {
        "arcs": len(taken),
        "taken": num_taken,
        "passed": len(taken) - num_taken,
        "texts": num_own,
        "pairs": len(taken) - num_own,
    }
    detail = {}
    for name, number in ((_FIRST, text[0]), (_LAST, text[-1])):
        own = taken & (text == number)
        detail[name] = [int(number), int(own.sum()), int(num_rows[own].sum())]
    key = PartKey(PARTITIONS, run)
    workspace.ledger.commit(
        entry_of(near.taken, key, files=(ref,), counts=counts, watch=watch, detail=detail)
    )


def clusters_of_run(
    workspace: Workspace, near: NearPlan, run: int
) -> tuple[pa.Table, npt.NDArray[np.int64]]:
    """What became of the texts that the arcs of a run decide about.

    Returns:
        As `clusters.clusters_of_group`: NEAR rows, and the partition of each.
    """
    ledger, storage = workspace.ledger, workspace.storage
    arcs = read_table(storage, ledger.get(near.runs, PARTITIONS, run).file("arcs"))
    ref = ledger.get(near.taken, PARTITIONS, run).file("taken")
    taken = read_table(storage, ref).column("taken").to_numpy()
    text = arcs.column("text").to_numpy()
    opens = np.r_[True, text[1:] != text[:-1]]
    rows = np.where(taken, arcs.column("num_rows").to_numpy(), 0)
    texts_of, rows_of = (
        np.add.reduceat(x, np.flatnonzero(opens)) for x in (taken.astype(int), rows)
    )
    for at, step in ((0, -1), (-1, 1)):
        for share in _elsewhere(workspace, near, run, int(text[at]), step):
            texts_of[at] += share.texts
            rows_of[at] += share.rows
    cluster = (np.cumsum(opens) - 1)[taken]
    some = arcs.filter(pa.array(taken)).combine_chunks()
    is_own = some.column("text").to_numpy() == some.column("other").to_numpy()
    head_role = np.where(texts_of[cluster] == 1, ALONE_ROLE, HEAD_ROLE)
    decided = decided_texts(
        some.column("place").to_numpy(),
        some.column("id").combine_chunks(),
        some.column("head").combine_chunks(),
        rows_of[cluster],
        np.where(is_own, head_role, NEAR_ROLE),
        some.column("jaccard").to_numpy(),
    )
    return decided, some.column("partition").to_numpy().astype(np.int64)


def _elsewhere(
    workspace: Workspace, near: NearPlan, run: int, text: int, step: int
) -> Iterator[_Share]:
    """What a text takes in the runs before (step -1) or after (1) one that it begins or ends."""
    facing, far = (_LAST, _FIRST) if step < 0 else (_FIRST, _LAST)
    while (entry := workspace.ledger.find(near.taken, PARTITIONS, run + step)) is not None:
        share = _Share(*entry.detail[facing])
        if share.text != text:
            break
        yield share
        if entry.detail[far][0] != text:
            break
        run += step

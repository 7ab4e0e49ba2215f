"""Clusters from similar pairs: one task over components beside the sweep, CPU and memory of a task.

A workspace is made whose compared pairs are a graph of so many edges: cliques of 2 to 12 texts, a
twentieth of all pairs in one star and a twentieth in one chain, their texts anywhere in parts of
20,000. From there on both ways run to what became of each text, without a runner: each step in a
process of its own, one block, run or group after the other, and what is shuffled goes through Arrow
files on disk. Told are its CPU seconds, and the most memory it had resident above a bare start,
which is that of its largest task. That both decide the same is compared by a hash of all rows.

    python benchmarks/scale_components.py --pairs 1000000 10000000 --folder /somewhere/with/space
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from time import process_time
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.deduplicate.exact import key_words
from pipelines.near_duplicates.clusters import clusters_of_group
from pipelines.near_duplicates.components import commit_components
from pipelines.near_duplicates.known import COMPARED, publish
from pipelines.near_duplicates.near import NearDuplicates, places_of
from pipelines.near_duplicates.plan import NearPlan
from pipelines.near_duplicates.sweep.arcs import ARC, ARC_BYTES, commit_arcs
from pipelines.near_duplicates.sweep.blocks import blocks_of, commit_blocks
from pipelines.near_duplicates.sweep.ends import (
    END,
    END_BYTES,
    WANTED,
    WANTED_BYTES,
    commit_ends,
    ends_of_block,
    wanted_by_block,
)
from pipelines.near_duplicates.sweep.runs import arcs_by_run, commit_cuts, commit_run
from pipelines.near_duplicates.sweep.taken import clusters_of_run, commit_taken
from pipelines.near_duplicates.texts import TEXT
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import PARTITIONS, PartKey, entry_of
from pipelines.workspace.ledger import Stopwatch
from pipelines.workspace.workspace import Workspace

_SIZES: Final = {2: 0.6, 3: 0.2, 5: 0.15, 12: 0.05}  # texts of a clique -> share of the cliques
_TEXTS_OF_PART: Final = 20_000
_MADE: Final = {"web": Generation(job="made", payload={"benchmark": "scale_components"})}
_THREADS: Final = 2
_SWEEP: Final = "sweep: "
_ODD: Final = np.uint64(0x9E3779B97F4A7C15)
_Numbers = npt.NDArray[np.int64]
_Cluster = Callable[[Workspace, NearPlan, int], tuple[pa.Table, _Numbers]]


def plan_of(num_texts: int) -> NearPlan:
    """A search of which nothing before the compared pairs is there."""
    exact = Generation(job="deduplicate.clusters", payload={"partitions": 64, "collapse": "text"})
    return NearPlan(
        settings=NearDuplicates(),
        signatures=_MADE,
        minhash=_MADE,
        documents=_MADE,
        quality=None,
        contents="",
        clusters=exact,
        num_documents=num_texts,
    )


def edges_of(num_pairs: int) -> tuple[int, _Numbers, _Numbers]:
    """(number of texts, one end of each pair, the other)."""
    ends, texts = [], 0
    for hub in (True, False):  # a star, then a chain
        number = np.arange(num_pairs // 20)
        ends.append((texts + (0 * number if hub else number), texts + 1 + number))
        texts += num_pairs // 20 + 1
    pairs_a_clique = sum(share * size * (size - 1) / 2 for size, share in _SIZES.items())
    for size, share in _SIZES.items():
        cliques = int(num_pairs * 0.9 / pairs_a_clique * share)
        first = texts + size * np.arange(cliques)
        ends += [(first + i, first + j) for j in range(size) for i in range(j)]
        texts += size * cliques
    one, other = (np.concatenate(side) for side in zip(*ends, strict=True))
    return texts, one, other


def write_graph(workspace: Workspace, num_pairs: int) -> int:
    """Commits what stands before clusters; gives the number of texts."""
    chance = np.random.default_rng(1)
    num_texts, one, other = edges_of(num_pairs)
    near = plan_of(num_texts)
    for generation in (*near.generations, *near.sweep_generations):
        workspace.ledger.declare(generation)
    at = chance.permutation(num_texts)
    lower, higher = np.minimum(at[one], at[other]), np.maximum(at[one], at[other])
    order = np.lexsort([higher, lower])
    lower, higher = lower[order], higher[order]
    sizes = [
        min(_TEXTS_OF_PART, num_texts - first) for first in range(0, num_texts, _TEXTS_OF_PART)
    ]
    places = np.concatenate([places_of(0, part, np.arange(n)) for part, n in enumerate(sizes)])
    for number, size in enumerate(sizes):
        first, key = number * _TEXTS_OF_PART, PartKey("web", number)
        _write_texts(workspace, near, key, size, chance)
        some = slice(*np.searchsorted(lower, [first, first + _TEXTS_OF_PART]).tolist())
        jaccard = 0.8 + 0.2 * chance.random(some.stop - some.start)
        table = pa.table([places[lower[some]], places[higher[some]], jaccard], schema=COMPARED)
        _commit(workspace, near.pairs, key, table, "pairs", {"similar": table.num_rows})
    return num_texts


def _write_texts(
    workspace: Workspace, near: NearPlan, key: PartKey, num_rows: int, chance: np.random.Generator
) -> None:
    ids, keys = (
        pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(16), num_rows, [None, pa.py_buffer(chance.bytes(16 * num_rows))]
        )
        for _ in range(2)
    )
    columns = [
        np.arange(num_rows),
        ids,
        keys,
        chance.integers(20, 2000, num_rows, np.int32),
        np.zeros(num_rows, bool),
        (chance.integers(0, 41, num_rows) / 20).astype(np.float32),
        chance.integers(1, 4, num_rows),
    ]
    table = pa.table([pa.array(column) for column in columns], schema=TEXT)
    _commit(workspace, near.texts, key, table, "texts", {"texts": num_rows})


def _commit(
    workspace: Workspace,
    generation: Generation,
    key: PartKey,
    table: pa.Table,
    kind: str,
    counts: dict[str, int],
) -> None:
    ref = publish(workspace, table, kind, f"clusters/{generation.name}/{key.source}", key.part)
    workspace.ledger.commit(
        entry_of(generation, key, files=(ref,), counts=counts, watch=Stopwatch())
    )


class Shuffle:
    """Batches by number, through one file each."""

    def __init__(self, schema: pa.Schema) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="shuffle-"))
        self._schema = schema
        self._files: dict[int, Any] = {}

    def send(self, sent: Iterable[tuple[int, pa.RecordBatch]]) -> None:
        """Adds batches."""
        for number, batch in sent:
            if number not in self._files:
                path = str(self._folder / str(number))
                self._files[number] = pa.ipc.new_stream(path, self._schema)
            self._files[number].write_batch(batch)

    def groups(self, count: int) -> Iterator[tuple[int, list[pa.RecordBatch]]]:
        """(number, its batches) of all numbers, and then nothing is left."""
        for number in range(count):
            batches: list[pa.RecordBatch] = []
            if number in self._files:
                self._files[number].close()
                path = self._folder / str(number)
                with pa.ipc.open_stream(path.open("rb")) as reader:
                    batches = list(reader)
                path.unlink()
            yield number, batches
        self._folder.rmdir()


def _split(batch: pa.RecordBatch, target: _Numbers) -> Iterator[tuple[int, pa.RecordBatch]]:
    for number in np.unique(target).tolist():
        yield number, batch.take(pa.array(np.flatnonzero(target == number)))


def _hash_of(decided: Iterable[tuple[pa.Table, _Numbers]]) -> str:
    """Over all rows, whatever their order: sums of what their columns hash to, row by row."""
    total = np.zeros(2, np.uint64)
    for table, partition in decided:
        roles = table.column("duplicate_role").combine_chunks().dictionary_encode()
        names = np.array([len(name) for name in roles.dictionary.to_pylist()], np.uint64)
        words = [names[roles.indices.to_numpy()], partition.astype(np.uint64)]
        words += [
            key_words(table.column(name))[:, half] for name in ("cluster", "id") for half in (0, 1)
        ]
        for name in ("source", "part", "row", "cluster_size"):
            words.append(table.column(name).to_numpy().astype(np.uint64))
        words.append(table.column("jaccard").to_numpy().view(np.uint32).astype(np.uint64))
        rows = np.zeros(table.num_rows, np.uint64)
        for word in words:
            rows = (rows ^ word) * _ODD
            rows ^= rows >> np.uint64(29)
        total += np.array([rows.sum(dtype=np.uint64), len(rows)], np.uint64)
    return str(total)


def steps(workspace: Workspace, near: NearPlan) -> dict[str, Callable[[], Any]]:
    """What is measured, in order."""
    ledger = workspace.ledger

    def count(generation: Generation, name: str) -> int:
        return ledger.get(generation, PARTITIONS, 0).counts[name]

    def ends() -> None:
        shuffle, blocks = Shuffle(WANTED), blocks_of(workspace, near)
        number = count(near.blocks, "blocks")
        for block in range(number):
            wanted = wanted_by_block(workspace, near, block)
            shuffle.send(_split(wanted, blocks.of(wanted.column("place").to_numpy())))
        for block, batches in shuffle.groups(number):
            commit_ends(workspace, near, block, batches)

    def arcs() -> None:
        shuffle, number = Shuffle(END), count(near.blocks, "blocks")
        for block in range(number):
            for batch in ends_of_block(workspace, near, block):
                shuffle.send(_split(batch, batch.column("block").to_numpy()))
        for block, batches in shuffle.groups(number):
            commit_arcs(workspace, near, block, batches)

    def runs() -> None:
        shuffle = Shuffle(ARC)
        for block in range(count(near.blocks, "blocks")):
            shuffle.send(arcs_by_run(workspace, near, block))
        for run, batches in shuffle.groups(count(near.cuts, "runs")):
            commit_run(workspace, near, run, batches)

    def all_of(clusters_of: _Cluster, number: int) -> int:
        return sum(len(clusters_of(workspace, near, one)[1]) for one in range(number))

    def same() -> str:
        groups, number = count(near.components, "groups"), count(near.cuts, "runs")
        single = _hash_of(clusters_of_group(workspace, near, one) for one in range(groups))
        swept = _hash_of(clusters_of_run(workspace, near, one) for one in range(number))
        return "the same" if single == swept else f"NOT the same: {single}, {swept}"

    return {
        "nothing": lambda: None,
        "one task: components": lambda: commit_components(workspace, near),
        "one task: clusters of groups": lambda: all_of(
            clusters_of_group, count(near.components, "groups")
        ),
        "sweep: blocks": lambda: commit_blocks(workspace, near),
        "sweep: ends": ends,
        "sweep: arcs": arcs,
        "sweep: cuts": lambda: commit_cuts(workspace, near),
        "sweep: runs": runs,
        "sweep: the pass": lambda: commit_taken(workspace, near, _THREADS),
        "sweep: clusters of runs": lambda: all_of(clusters_of_run, count(near.cuts, "runs")),
        "both decide": same,
    }


def _peak_mb() -> float:
    """Of this process since its start (man 5 proc: VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def measure(folder: Path, num_texts: int, name: str) -> dict[str, Any]:
    """One step in a process of its own: CPU seconds, peak MB, what it gave."""
    command = [sys.executable, __file__, "--folder", str(folder), "--texts", str(num_texts)]
    found = subprocess.run(
        [*command, "--only", name], check=True, stdout=subprocess.PIPE, text=True
    )
    told: dict[str, Any] = json.loads(found.stdout.splitlines()[-1])
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, nargs="+", default=[1_000_000])
    parser.add_argument(
        "--folder", type=Path, required=True, help="where workspaces go, and are deleted"
    )
    parser.add_argument("--write", action="store_true", help="into unit_costs.yaml")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("--texts", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.only:
        workspace = Workspace.open(str(asked.folder))
        run = steps(workspace, plan_of(asked.texts))[asked.only]
        before = process_time()
        gave = run()
        spent = process_time() - before
        print(json.dumps({"cpu_s": spent, "peak_mb": _peak_mb(), "gave": gave}))
        return
    found = [measure_all(asked.folder / f"pairs-{number}", number) for number in asked.pairs]
    if asked.write:
        from scale_costs import cost_range, fixed, write

        cpu, sent = ([one[column] for one in found] for column in range(2))
        on = f"a graph of {max(asked.pairs):,} pairs, benchmarks/scale_components.py"
        unit = "core-seconds / million similar pairs"
        told = {"cpu.sweep": cost_range(cpu[-1], min(cpu), max(cpu), unit, on)}
        write(told | {"shuffle.sweep": fixed(sent[-1], "bytes / similar pair", on)})


def measure_all(folder: Path, num_pairs: int) -> tuple[float, float]:
    """All steps over a graph; of the sweep core-seconds a million pairs, bytes shuffled a pair."""
    workspace = Workspace.create(str(folder))
    num_texts = write_graph(workspace, num_pairs)
    near, swept = plan_of(num_texts), 0.0
    print(f"{num_pairs:,} pairs of {num_texts:,} texts", flush=True)
    bare = measure(folder, num_texts, "nothing")["peak_mb"]
    for name in list(steps(workspace, near))[1:]:
        told = measure(folder, num_texts, name)
        more = told["peak_mb"] - bare
        swept += told["cpu_s"] if name.startswith(_SWEEP) else 0.0
        print(f"{name:32} {told['cpu_s']:9.1f} s {more:9.0f} MB  {told['gave']}", flush=True)
    num_ends = sum(entry.counts["ends"] for entry in workspace.ledger.entries(near.ends))
    num_arcs = sum(entry.counts["arcs"] for entry in workspace.ledger.entries(near.arcs))
    shutil.rmtree(folder)
    num_bytes = num_ends * (WANTED_BYTES + END_BYTES) + num_arcs * ARC_BYTES
    return swept / num_pairs * 1e6, num_bytes / num_pairs


if __name__ == "__main__":
    main()

"""The sweep over sorted arcs gives what one task over components gives, for every graph."""

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from adversary import committed, outcome_of_one_run, outcome_under_attack
from graphs import Graph, Text, workspace_of
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from small_workspace import (
    LIMITS,
    Documents,
    OneAfterTheOther,
    deduplicate,
    in_parts,
    labels,
    plan_of,
    signed_workspace,
    versions,
)

from pipelines.deduplicate.transform import steps
from pipelines.near_duplicates import transform
from pipelines.near_duplicates.check import EQUATIONS, cluster_faults
from pipelines.near_duplicates.plan import NearPlan
from pipelines.near_duplicates.stars import priority_order
from pipelines.near_duplicates.sweep import arcs, blocks, runs
from pipelines.near_duplicates.sweep.blocks import blocks_of
from pipelines.near_duplicates.sweep.ends import priority_words
from pipelines.near_duplicates.sweep.transform import (
    CommitArcs,
    CommitBlocks,
    CommitClusters,
    CommitComponents,
    CommitCuts,
    CommitEnds,
    CommitRun,
    CommitTaken,
    SendArcs,
    SendClusters,
    SendEnds,
    SendWanted,
)
from pipelines.run import run_transform
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import PARTITIONS
from pipelines.workspace.ledger import Entry
from pipelines.workspace.parts import read_table
from pipelines.workspace.workspace import Workspace

DOCUMENTS = in_parts(versions(50, seed=5), [30, 1, 20])


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a few pairs and runs of a few arcs."""
    monkeypatch.setattr(blocks, "_BLOCK_ROWS", 12)
    monkeypatch.setattr(runs, "_RUN_ARCS", 6)
    monkeypatch.setattr(runs, "_ROWS", 5)
    monkeypatch.setattr(arcs, "_SAMPLED", 2)


# Graphs: chains, stars, cliques and chance, one after the other or all in one component.
@st.composite
def shapes(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    """(number of texts, pairs)."""
    size, pairs = 0, []
    for _ in range(draw(st.integers(1, 4))):
        n = draw(st.integers(2, 9))
        shape = draw(st.sampled_from(["chain", "star", "clique", "chance"]))
        some = [(i, j) for j in range(n) for i in range(j)]
        if shape == "chain":
            some = [(i, i + 1) for i in range(n - 1)]
        elif shape == "star":
            centre = draw(st.integers(0, n - 1))
            some = [(centre, i) for i in range(n) if i != centre]
        elif shape == "chance":
            some = draw(st.lists(st.sampled_from(some), min_size=1, unique=True))
        pairs += [(size + i, size + j) for i, j in some]
        if size and draw(st.booleans()):
            pairs.append((draw(st.integers(0, size - 1)), size))
        size += n
    return size, pairs


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    size, pairs = draw(shapes())
    order = draw(st.permutations(range(size)))
    jaccard = st.sampled_from([0.75, 0.8, 0.85, 0.9, 1.0])
    found = {(order[i], order[j]): draw(jaccard) for i, j in dict.fromkeys(pairs)}
    text = st.builds(
        Text,
        name=st.integers(0, 2 * size),
        generated=st.booleans(),
        quality=st.sampled_from([0, 19, 20, 21, 40]),
        num_shingles=st.integers(0, 3),
        num_rows=st.integers(1, 4),
    )
    texts = draw(st.lists(text, min_size=size, max_size=size))
    parts = sorted(draw(st.lists(st.integers(0, 4), min_size=size, max_size=size)))
    return Graph(texts, [(*ends, found[ends]) for ends in found], parts)


def long_chain(size: int) -> Graph:
    """Each text is above the next: none is decided before all above it are."""
    texts = [Text(name=n, num_shingles=size - n) for n in range(size)]
    pairs = [(n, n + 1, 0.9) for n in range(size - 1)]
    return Graph(texts, pairs, [n * 5 // size for n in range(size)])


def star(size: int, centre: int) -> Graph:
    """One text that is similar to all others: its arcs are many times a run."""
    texts = [Text(name=n, quality=2 * (n == centre), num_rows=1 + n % 3) for n in range(size)]
    pairs = [(centre, n, 0.8) for n in range(size) if n != centre]
    return Graph(texts, pairs, [n * 5 // size for n in range(size)])


def grouped(sent: Iterable[tuple[int, Any]], numbers: Iterable[int]) -> list[tuple[int, list[Any]]]:
    found: dict[int, list[Any]] = {number: [] for number in numbers}
    for number, batch in sent:
        found[number].append(batch)
    return list(found.items())


def each(dofn: beam.DoFn, elements: Iterable[Any]) -> Iterator[Any]:
    for element in elements:
        yield from dofn.process(element)


def all_steps(workspace: Workspace, near: NearPlan) -> Iterator[tuple[beam.DoFn, list[Any]]]:
    """Each DoFn that commits, with what it is given; the next when it has committed."""
    yield CommitBlocks(workspace, near), [0]
    some = list(range(workspace.ledger.get(near.blocks, PARTITIONS, 0).counts["blocks"]))
    yield CommitEnds(workspace, near), grouped(each(SendWanted(workspace, near, some), some), some)
    yield CommitArcs(workspace, near), grouped(each(SendEnds(workspace, near, some), some), some)
    yield CommitCuts(workspace, near), [0]
    last = list(range(workspace.ledger.get(near.cuts, PARTITIONS, 0).counts["runs"]))
    yield CommitRun(workspace, near), grouped(each(SendArcs(workspace, near, last), some), last)
    yield CommitTaken(workspace, near, LIMITS), [0]


def run_all(dofn: beam.DoFn, elements: list[Any]) -> list[Any]:
    """Gives the elements back, so that they can be run again."""
    assert len(list(each(dofn, elements))) > 0
    return elements


def decided(
    workspace: Workspace, near: NearPlan, split: beam.DoFn, *, is_swept: bool
) -> list[dict[str, Any]]:
    partitions = list(range(near.num_text_partitions))
    send = SendClusters(workspace, near, partitions, is_swept=is_swept)
    found = [
        {"partition": partition, **row}
        for partition, batch in each(send, split.process(0))
        for row in batch.to_pylist()
    ]
    return sorted(found, key=lambda row: (row["source"], row["part"], row["row"]))


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(graphs())
@example(long_chain(40))
@example(star(40, centre=0))
@example(star(40, centre=39))
def test_every_graph_has_the_clusters_of_the_single_task(graph: Graph) -> None:
    with tempfile.TemporaryDirectory() as folder:
        workspace, near = workspace_of(Path(folder) / "w", graph)
        expected = decided(workspace, near, CommitComponents(workspace, near), is_swept=False)
        for dofn, elements in all_steps(workspace, near) if expected else ():
            run_all(dofn, elements)
        swept = CommitTaken(workspace, near, LIMITS) if expected else None
        found = decided(workspace, near, swept, is_swept=True) if swept else []
        assert found == expected
        made = workspace.ledger.entries(near.taken)
        assert sum(entry.counts["taken"] for entry in made) == len(expected)
        assert faults(workspace) == []


def faults(workspace: Workspace) -> list[str]:
    found = []
    for name in workspace.ledger.generations():
        made = workspace.ledger.entries(name)
        found += list(cluster_faults(workspace, name, list(made)))
        for total, *terms in EQUATIONS.get(name.split("@")[0], ()):
            for entry in made:
                if entry.counts[total] != sum(entry.counts[term] for term in terms):
                    found.append(f"{name}: {entry.counts}")
    return found


def test_a_text_that_many_are_similar_to_spreads_over_blocks_and_runs(tmp_path: Path) -> None:
    workspace, near = workspace_of(tmp_path / "w", star(60, centre=0))
    for dofn, elements in all_steps(workspace, near):
        run_all(dofn, elements)
    made = blocks_of(workspace, near)
    assert (made.part == made.part[0]).sum() == 5  # 59 pairs, at most 12 in each
    sizes = [entry.counts["pairs"] for entry in workspace.ledger.entries(near.arcs)]
    assert sum(sizes) == 59
    assert max(sizes) <= 12
    sizes = [entry.counts["arcs"] for entry in workspace.ledger.entries(near.runs)]
    assert sum(sizes) == 60 + 59
    assert len(sizes) > 15
    assert 1 <= min(sizes) <= max(sizes) < 20
    found = decided(workspace, near, CommitTaken(workspace, near, LIMITS), is_swept=True)
    assert {row["cluster_size"] for row in found} == {20 * (1 + 2 + 3)}
    assert len({row["cluster"] for row in found}) == 1


def test_runs_are_even_where_many_blocks_have_arcs_of_one_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    num_blocks, num_arcs = 64, 39  # 20 texts and the 19 pairs of a chain
    monkeypatch.setattr(blocks, "_BLOCK_ROWS", num_arcs)
    monkeypatch.setattr(arcs, "_SAMPLED", num_arcs)  # one arc of each block
    monkeypatch.setattr(runs, "_RUN_ARCS", num_blocks * num_arcs // 8)
    part_of = [part for part in range(num_blocks) for _ in range(20)]
    pairs = [(n, n + 1, 0.9) for n in range(len(part_of) - 1) if part_of[n] == part_of[n + 1]]
    texts = [Text(name=n) for n in range(len(part_of))]  # in the order of their hashes
    workspace, near = workspace_of(tmp_path / "w", Graph(texts, pairs, part_of))
    for dofn, elements in all_steps(workspace, near):
        run_all(dofn, elements)
    made = workspace.ledger.entries(near.arcs)
    assert [entry.counts["arcs"] for entry in made] == [num_arcs] * num_blocks
    assert {entry.counts["sampled"] for entry in made} == {1}
    sizes = [entry.counts["arcs"] for entry in workspace.ledger.entries(near.runs)]
    assert len(sizes) == 8
    assert sum(sizes) == num_blocks * num_arcs
    assert max(sizes) < 3 * num_blocks * num_arcs / 8


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 40), st.integers(0, 2**31 - 1), st.integers(0, 3)),
        min_size=1,
    )
)
def test_words_of_priority_sort_as_priorities_do(rows: list[tuple[bool, int, int, int]]) -> None:
    generated, steps_, num_shingles, ids = (np.array(column) for column in zip(*rows, strict=True))
    quality = (steps_ / 20).astype(np.float32)
    shingles = num_shingles.astype(np.int32)
    words = priority_words(generated, quality, shingles)
    id_words = np.stack([np.zeros(len(ids)), ids], axis=1).astype(np.uint64)
    expected = priority_order(generated, quality, shingles, id_words)
    assert np.lexsort([ids, words]).tolist() == expected.tolist()


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return signed_workspace(tmp_path_factory.mktemp("signed") / "w", DOCUMENTS)


@pytest.fixture(scope="module")
def single(signed: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """In which one task has found the components."""
    workspace = copy_of(signed, tmp_path_factory.mktemp("single"))
    deduplicate(workspace, DOCUMENTS)
    return workspace


def copy_of(workspace: Workspace, folder: Path) -> Workspace:
    shutil.copytree(workspace.url, folder / "w")
    return Workspace.open(str(folder / "w"))


def results(workspace: Workspace, documents: Documents) -> dict[Any, Any]:
    """What the ledger names, by content, but for what the two ways keep for themselves."""
    near = plan_of(workspace, documents).near
    assert near is not None
    own = {made.name for made in (near.components, *near.sweep_generations)}
    return {
        place: files for place, files in committed(workspace.url).items() if place[0] not in own
    }


@pytest.mark.parametrize("memory_bytes", [1 << 30, 40_000])
def test_a_corpus_is_the_same_either_way(
    signed: Workspace,
    single: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    memory_bytes: int,
) -> None:
    monkeypatch.setattr(transform, "COMPONENT_PAIRS", 0)
    workspace = copy_of(signed, tmp_path)
    plan = deduplicate(workspace, DOCUMENTS, memory_bytes)
    assert plan.near is not None
    assert results(workspace, DOCUMENTS) == results(single, DOCUMENTS)
    assert labels(workspace, plan) == labels(single, plan)
    assert workspace.ledger.entries(plan.near.components) == []
    taken = workspace.ledger.entries(plan.near.taken)
    assert len(taken) > 5
    assert sum(entry.counts["taken"] for entry in taken) > 60
    assert faults(workspace) == []
    left = {path.split("/")[1] for path in workspace.storage.files("clusters")}
    gone = (plan.near.ends, plan.near.arcs, plan.near.runs)
    assert not left & {made.name for made in gone}
    assert plan.near.taken.name in left


def test_a_sweep_that_was_stopped_anywhere_goes_on_to_the_same(
    signed: Workspace, single: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transform, "COMPONENT_PAIRS", 0)
    workspace = copy_of(signed, tmp_path)
    plan = plan_of(workspace, DOCUMENTS)
    assert plan.near is not None
    names = []
    while True:  # one pipeline a start
        step = next(steps(workspace, plan, sorted(DOCUMENTS), LIMITS, 1 << 30), None)
        if step is None:
            break
        names.append(type(step).__name__)
        if names[-1] == "FindClusters" and "SortArcs" in names:  # killed amid the one pass
            half_taken(workspace, plan.near)
        run_transform(step, ())
    assert names[4:] == [
        "MapChain", "Once", "FindEnds", "FindArcs", "Once", "SortArcs", "FindClusters",
        "LabelDuplicates",
    ]  # fmt: skip
    assert results(workspace, DOCUMENTS) == results(single, DOCUMENTS)
    assert faults(workspace) == []


def half_taken(workspace: Workspace, near: NearPlan) -> None:
    """Leaves every other run of a whole pass."""
    for _ in CommitTaken(workspace, near, LIMITS).process(0):
        pass
    for path in workspace.ledger.entry_files(near.taken.name)[::2]:
        workspace.storage.remove(path)


def without(workspace: Workspace, folder: Path, *generations: Generation) -> Workspace:
    """A copy in which some were never made."""
    copy = copy_of(workspace, folder)
    for made in generations:
        for path in copy.ledger.entry_files(made.name):
            copy.storage.remove(path)
    return copy


def test_every_step_of_a_sweep_under_attack_gives_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, near = workspace_of(tmp_path / "w", star(14, centre=7))
    given_ = [(type(dofn), run_all(dofn, elements)) for dofn, elements in all_steps(done, near)]
    partitions = list(range(near.num_text_partitions))
    send = SendClusters(done, near, partitions, is_swept=True)
    last = range(len(done.ledger.entries(near.taken)))
    given_.append((CommitClusters, grouped(each(send, last), partitions)))
    by_number = (near.ends, near.arcs, near.runs, near.taken, near.stars)
    monkeypatch.undo()  # attackers are other processes, with constants of full size
    fresh = without(done, tmp_path / "by number", *by_number)
    dofns = [CommitEnds, CommitArcs, CommitRun, CommitTaken, CommitClusters]
    attack(fresh, near, dofns, given_)
    attack(
        without(done, tmp_path / "once", near.blocks, near.cuts),
        near,
        [CommitBlocks, CommitCuts],
        given_,
    )


def attack(
    workspace: Workspace,
    near: NearPlan,
    chosen: list[type[beam.DoFn]],
    given_: list[tuple[type[beam.DoFn], list[Any]]],
) -> None:
    before = committed(workspace.url)
    dofns = [kind(workspace, near, *([LIMITS] if kind is CommitTaken else [])) for kind in chosen]
    elements = [
        (chosen.index(kind), element) for kind, some in given_ if kind in chosen for element in some
    ]
    clean = outcome_of_one_run(Path(workspace.url), OneAfterTheOther(dofns), elements)
    made = {name.split("@")[0] for name, _, _ in clean.keys() - before.keys()}
    assert len(made) == len(chosen)
    assert outcome_under_attack(Path(workspace.url), OneAfterTheOther(dofns), elements) == clean


def test_check_notices_a_text_that_nothing_decided_about(tmp_path: Path) -> None:
    workspace, near = workspace_of(tmp_path / "w", long_chain(12))
    for dofn, elements in all_steps(workspace, near):
        run_all(dofn, elements)
    assert faults(workspace) == []
    entry = workspace.ledger.entries(near.taken)[0]
    path = Path(workspace.url) / f"ledger/{near.taken.name}/{PARTITIONS}/part-00000.json"
    table = read_table(workspace.storage, entry.file("taken"))
    assert pa.compute.sum(table.column(0)).as_py() == entry.counts["taken"]
    change_counts(path, entry, {"taken": -1, "passed": 1})
    assert faults(workspace) == [f"{near.taken.name}: takes 11 texts, of 12 in similar pairs"]


def change_counts(path: Path, entry: Entry, changes: dict[str, int]) -> None:
    told = path.read_text()
    for name, more in changes.items():
        number = entry.counts[name]
        told = told.replace(f'"{name}": {number}', f'"{name}": {number + more}')
    path.write_text(told)


def test_check_asks_the_sweep_about_texts_only_while_all_its_runs_are_there(tmp_path: Path) -> None:
    workspace, near = workspace_of(tmp_path / "w", long_chain(12))
    for dofn, elements in all_steps(workspace, near):
        run_all(dofn, elements)
    taken = workspace.ledger.entry_files(near.taken.name)
    partitions = list(range(near.num_text_partitions))
    send = SendClusters(workspace, near, partitions, is_swept=True)
    run_all(CommitClusters(workspace, near), grouped(each(send, range(len(taken))), partitions))
    some = workspace.ledger.entries(near.stars)[0]
    path = Path(workspace.url) / f"ledger/{near.stars.name}/{PARTITIONS}/part-00000.json"
    before = path.read_text()
    change_counts(path, some, {"texts_in_pairs": -1, "representative": -1})
    assert faults(workspace) == [
        f"{near.stars.name}: decides about 11 texts, of 12 in similar pairs"
    ]
    path.write_text(before)
    assert faults(workspace) == []
    workspace.storage.remove(taken[0])  # as a repair or a prune that was stopped does
    assert faults(workspace) == []

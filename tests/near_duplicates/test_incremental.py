"""More documents: only the new pairs are compared, and all ends in the bytes of a fresh run."""

import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from small_workspace import (
    LIMITS,
    Documents,
    extract_of,
    generation_of,
    id_of,
    signed_workspace,
    versions,
)

from pipelines.deduplicate.plan import DuplicatesPlan, plan_duplicates
from pipelines.deduplicate.transform import steps
from pipelines.near_duplicates.known import earlier_pairs
from pipelines.near_duplicates.near import NearDuplicates
from pipelines.near_duplicates.plan import NearPlan
from pipelines.run import run_transform
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.parts import read_table
from pipelines.workspace.workspace import Workspace

LEVELS = ("bytes", "text", "near")
TEXTS = versions(90, seed=5)
# The lengths of the last two allow a Jaccard of 0.87 and 0.77 with the text before.
TEXTS[20:60:20] = [TEXTS[19][: len(TEXTS[19]) * 87 // 100], TEXTS[39][: len(TEXTS[39]) * 77 // 100]]
ROWS = [(id_of(number), text) for number, text in enumerate(TEXTS)]
OLD: Documents = {
    PartKey("m", 0): ROWS[:70], PartKey("m", 1): ROWS[70:90], PartKey("n", 0): ROWS[90:140]
}  # fmt: skip
# Files of a source and a source that sorts last; a source that sorts first, half of it known texts
# under ids that come first, so that these represent them from now on.
AFTER: Documents = {PartKey("m", 2): ROWS[140:150], PartKey("z", 0): ROWS[150:]}
FIRST: Documents = {
    PartKey("a", 0): ROWS[140:],
    PartKey("a", 1): [(bytes(15) + bytes([n]), ROWS[n][1]) for n in range(40)],
}


Place = tuple[str, int, int]
"""Source, part, row."""


def search(workspace: Workspace, documents: Documents, threshold: float = 0.8) -> DuplicatesPlan:
    """Runs a deduplication of these documents, as the driver does."""
    sources = sorted({key.source for key in documents})
    signatures, minhash = (
        {source: generation_of(name, source) for source in sources}
        for name in ("signatures", "minhash")
    )
    extract = {source: extract_of(source) for source in sources}
    near = NearDuplicates(threshold=threshold)
    plan = plan_duplicates(workspace, signatures, minhash, near, extract=extract, levels=LEVELS)
    for generation in plan.generations:
        workspace.ledger.declare(generation)
    for transform in steps(workspace, plan, sorted(documents), LIMITS, 1 << 30):
        run_transform(transform, ())
    return plan


def near_plan(plan: DuplicatesPlan) -> NearPlan:
    assert plan.near is not None
    return plan.near


def results(workspace: Workspace, plan: DuplicatesPlan) -> Mapping[object, object]:
    """Content of all pairs, clusters and labels."""
    near = near_plan(plan)
    return {
        (generation.job, entry.source, entry.part): entry.content
        for generation in (near.pairs, near.texts, near.stars, *plan.label_sets.values())
        for entry in workspace.ledger.entries(generation)
    }


def counted(workspace: Workspace, plan: DuplicatesPlan) -> Counter[str]:
    total: Counter[str] = Counter()
    for entry in workspace.ledger.entries(near_plan(plan).pairs):
        total.update(entry.counts)
    return total


def pairs_by_place(workspace: Workspace, plan: DuplicatesPlan) -> set[tuple[Place, ...]]:
    """The ends of each pair, the lower first."""
    near = near_plan(plan)
    found = set()
    for entry in workspace.ledger.entries(near.pairs):
        if entry.files:
            table = read_table(workspace.storage, entry.file("pairs")).to_pydict()
            for pair in zip(table["lower"], table["higher"], strict=True):
                ends = [(near.sources[p >> 52], p >> 28 & 0xFFFFFF, p & 0xFFFFFFF) for p in pair]
                found.add(tuple(ends))
    return found


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace in which all documents are signed, and nothing is deduplicated."""
    every = {**OLD, **AFTER, **FIRST}
    return signed_workspace(tmp_path_factory.mktemp("before") / "w", every)


def of(workspace: Workspace, folder: Path, documents: Documents) -> Workspace:
    """A copy in which only these documents have entries."""
    shutil.copytree(workspace.url, folder)
    for entry in folder.glob("ledger/*/*/part-*.json"):
        key = PartKey(entry.parent.name, int(entry.stem[5:]))
        if key not in documents:
            entry.unlink()
    return Workspace.open(str(folder))


def restore(workspace: Workspace, into: Workspace, documents: Documents) -> None:
    """Gives some documents their entries back."""
    for entry in Path(workspace.url).glob("ledger/*/*/part-*.json"):
        if PartKey(entry.parent.name, int(entry.stem[5:])) in documents:
            target = Path(into.url) / entry.relative_to(workspace.url)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(entry, target)


@pytest.mark.parametrize("added", [AFTER, FIRST], ids=["after", "first and copies"])
def test_added_documents_are_compared_alone(
    before: Workspace, tmp_path: Path, added: Documents
) -> None:
    union = {**OLD, **added}
    scratch = of(before, tmp_path / "scratch", union)
    at_once = search(scratch, union)
    grown = of(before, tmp_path / "grown", OLD)
    first = search(grown, OLD)
    known = pairs_by_place(grown, first)
    restore(before, grown, added)
    plan = search(grown, union)
    assert results(grown, plan) == results(scratch, at_once)
    counts, every = counted(grown, plan), pairs_by_place(grown, plan)
    assert counts["pairs"] == len(every)
    assert counts["known"] == len(every & known) > 30
    assert counts["compared"] == len(every - known) > 30
    new = [pair for pair in every - known if all(PartKey(*end[:2]) in OLD for end in pair)]
    assert new == []
    # A pair is gone where an added copy has taken the place of a text.
    copied = {text for rows in added.values() for _, text in rows}
    gone = [{OLD[PartKey(*end[:2])][end[2]][1] for end in pair} for pair in known - every]
    assert len(gone) > 5
    assert all(texts & copied for texts in gone)
    assert counted(scratch, at_once)["known"] == 0
    sets = [
        [entry.counts["texts"] for entry in workspace.ledger.entries(near_plan(one).shingles)]
        for workspace, one in ((grown, plan), (scratch, at_once))
    ]
    assert sum(sets[0]) == len({end for pair in every - known for end in pair}) < sum(sets[1])


def test_another_threshold_compares_what_it_adds(before: Workspace, tmp_path: Path) -> None:
    workspace = of(before, tmp_path / "w", OLD)
    strict = search(workspace, OLD, 0.9)
    known = pairs_by_place(workspace, strict)
    plan = search(workspace, OLD, 0.75)
    every = pairs_by_place(workspace, plan)
    assert known < every
    counts = counted(workspace, plan)
    assert (counts["known"], counts["compared"]) == (len(known), len(every) - len(known))
    scratch = of(before, tmp_path / "scratch", OLD)
    assert results(scratch, search(scratch, OLD, 0.75)) == results(workspace, plan)
    back = search(scratch, OLD, 0.9)
    assert counted(scratch, back)["compared"] == 0
    assert results(scratch, back) == results(workspace, strict)


def asked(workspace: Workspace, plan: DuplicatesPlan) -> Mapping[object, object]:
    """All that the entries of requests say, but for how long they took."""
    entries = workspace.ledger.entries(near_plan(plan).requests)
    return {(e.source, e.part): (e.files, dict(e.counts), dict(e.detail)) for e in entries}


def take_back(workspace: Workspace, plan: DuplicatesPlan) -> None:
    """As a repair does with a damaged file of requests, and with what makes a run look for it."""
    near = near_plan(plan)
    for name in (near.requests.name, near.stars.name, *(g.name for g in plan.label_sets.values())):
        workspace.storage.remove(workspace.ledger.entry_files(name)[0])


def test_what_a_later_search_knows_does_not_change_an_entry_that_is_made_again(
    before: Workspace, tmp_path: Path
) -> None:
    workspace = of(before, tmp_path / "w", OLD)
    plans = [search(workspace, OLD, threshold) for threshold in (0.9, 0.8, 0.7)]
    entries, found = ([of_all(workspace, p) for p in plans] for of_all in (asked, results))
    for plan in plans:
        take_back(workspace, plan)
    again = [search(workspace, OLD, threshold) for threshold in (0.9, 0.8, 0.7)]
    assert [asked(workspace, plan) for plan in again] == entries
    assert [results(workspace, plan) for plan in again] == found
    known = [sum(counts["known"] for _, counts, _ in one.values()) for one in entries]
    assert known[0] == 0 < known[1] < known[2]


def test_pairs_of_other_signatures_are_not_taken_over(before: Workspace, tmp_path: Path) -> None:
    workspace = of(before, tmp_path / "w", OLD)
    near = near_plan(search(workspace, OLD))
    assert earlier_pairs(workspace, near) == ()
    minhash = dict(near.minhash) | {"n": generation_of("minhash", "another")}
    other = NearPlan(**{**vars(near), "minhash": minhash})
    (found,) = earlier_pairs(workspace, other)
    assert found.sources == {0: 0}
    moved = {"a": minhash["n"], **near.minhash}
    (found,) = earlier_pairs(workspace, NearPlan(**{**vars(near), "minhash": moved}))
    assert found.sources == {0: 1, 1: 2}
    none = {name: generation_of("minhash", "another") for name in near.minhash}
    assert earlier_pairs(workspace, NearPlan(**{**vars(near), "minhash": none})) == ()


def test_pairs_are_sorted_and_each_is_there_once(before: Workspace, tmp_path: Path) -> None:
    workspace = of(before, tmp_path / "w", OLD)
    plan = search(workspace, OLD)
    places = set()
    for entry in workspace.ledger.entries(near_plan(plan).pairs):
        table = pq.read_table(workspace.storage.path(entry.file("pairs").path)).to_pydict()
        pairs = list(zip(table["lower"], table["higher"], strict=True))
        assert pairs == sorted(set(pairs))
        assert {near_plan(plan).sources[p >> 52] for p, _ in pairs} <= {entry.source}
        places |= {tuple(sorted(pair)) for pair in pairs}
        similar = sum(value >= 0.8 for value in table["jaccard"])
        assert entry.counts["similar"] == similar > 0
        assert entry.counts["different"] == len(pairs) - similar
    assert len(places) == counted(workspace, plan)["pairs"]
    assert len(places) > 50

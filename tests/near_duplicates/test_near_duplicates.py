"""The whole search through its Beam pipelines: right, the same however it is cut, and resumable."""

import random
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from adversary import committed, outcome_of_one_run, outcome_under_attack
from signing import sign_again
from small_workspace import (
    LIMITS,
    Documents,
    OneAfterTheOther,
    deduplicate,
    expected_labels,
    id_of,
    in_parts,
    labels,
    plan_of,
    signed_workspace,
    versions,
)

from pipelines.deduplicate import check as exact_check
from pipelines.deduplicate import plan as exact_plan
from pipelines.deduplicate.plan import DuplicatesPlan
from pipelines.deduplicate.transform import steps
from pipelines.near_duplicates import plan as plan_module
from pipelines.near_duplicates.check import EQUATIONS, cluster_faults, label_faults
from pipelines.near_duplicates.compare import ComparePairs
from pipelines.near_duplicates.plan import NearPlan
from pipelines.near_duplicates.texts import forget_shingles
from pipelines.near_duplicates.transform import (
    CommitCandidates,
    CommitClusters,
    CommitComponents,
    CommitRequests,
    CommitTexts,
    SendAsked,
    SendBands,
    SendClusters,
    SendCopies,
    SendPairs,
)
from pipelines.run import run_transform
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.transform import RunPart
from pipelines.workspace.workspace import Workspace

TEXTS = versions(60, seed=2)


@pytest.fixture(scope="module")
def documents() -> Documents:
    parts = dict(in_parts(TEXTS, [40, 1, 25]))
    # One record met twice, in two parts; it is one of a cluster.
    parts[PartKey("b", 9)] = [next(iter(parts.values()))[0], (id_of("copy"), TEXTS[0])]
    return parts


@pytest.fixture(scope="module")
def signed(documents: Documents, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return signed_workspace(tmp_path_factory.mktemp("signed") / "w", documents)


@pytest.fixture(scope="module")
def done(
    signed: Workspace, documents: Documents, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Workspace, DuplicatesPlan]:
    folder = tmp_path_factory.mktemp("done") / "w"
    shutil.copytree(signed.url, folder)
    workspace = Workspace.open(str(folder))
    return workspace, deduplicate(workspace, documents)


def near_plan(plan: DuplicatesPlan) -> NearPlan:
    assert plan.near is not None
    return plan.near


def faults(workspace: Workspace) -> list[str]:
    """What the checks find, and equations that do not hold."""
    found = []
    for name in workspace.ledger.generations():
        entries = workspace.ledger.entries(name)
        found += exact_check.cluster_faults(workspace, name, entries)
        found += cluster_faults(workspace, name, entries)
        found += [fault for entry in entries for fault in label_faults(workspace, entry)]
        for total, *terms in EQUATIONS.get(name.split("@")[0], ()):
            for entry in entries:
                if entry.counts[total] != sum(entry.counts[term] for term in terms):
                    found.append(f"{name}: {entry.counts}")
    return found


def test_labels_are_those_of_all_pairs(
    done: tuple[Workspace, DuplicatesPlan], documents: Documents
) -> None:
    workspace, plan = done
    found = labels(workspace, plan)
    assert found == expected_labels(documents)
    roles = Counter(role for _, role in found)
    assert min(roles.values()) >= 1
    assert set(roles) == {
        "alone", "representative", "duplicate", "near_duplicate", "repeated_record"
    }  # fmt: skip
    near = [row["jaccard"] for (_, role), row in found.items() if role == "near_duplicate"]
    assert len(near) > 20
    assert len(set(near)) > 3
    assert min(near) >= 0.8
    copies = [row["jaccard"] for (_, role), row in found.items() if role == "duplicate"]
    assert min(copies) < 1 == max(copies), "some are copies of a near-duplicate"


def test_labels_do_not_depend_on_parts_partitions_or_memory(
    documents: Documents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row for part in documents.values() for row in part]
    random.Random(8).shuffle(rows)
    other: Documents = {
        PartKey("a", 0): rows[:7], PartKey("a", 3): rows[7:90], PartKey("c", 0): rows[90:]
    }  # fmt: skip
    monkeypatch.setattr(exact_plan, "_PARTITION_BYTES", 4000)
    monkeypatch.setattr(plan_module, "_BAND_PARTITION_BYTES", 30_000)
    workspace = signed_workspace(tmp_path / "w", other)
    plan = deduplicate(workspace, other, memory_bytes=150_000)
    assert plan.num_partitions >= 2
    assert near_plan(plan).num_partitions >= 3
    assert labels(workspace, plan) == expected_labels(documents)
    assert faults(workspace) == []


def test_finished_search_is_sound_and_forgets_its_sets(
    done: tuple[Workspace, DuplicatesPlan], documents: Documents, tmp_path: Path
) -> None:
    shutil.copytree(done[0].url, tmp_path / "w")
    workspace, plan = Workspace.open(str(tmp_path / "w")), done[1]
    assert faults(workspace) == []
    near = near_plan(plan)
    stored = [path for path in workspace.storage.files("clusters") if path.endswith(".u64")]
    assert len(stored) > 2
    workspace.ledger.fold(near.shingles)
    for _ in range(2):
        forget_shingles(workspace, near)
        assert not [p for p in workspace.storage.files("clusters") if near.shingles.name in p]
        assert workspace.ledger.entries(near.shingles) == []
    assert faults(workspace) == []
    assert list(steps(workspace, plan, sorted(documents), LIMITS, 1 << 30)) == []


def rewrite_labels(workspace: Workspace, plan: DuplicatesPlan, column: str, value: object) -> None:
    """Puts another value into one near-duplicate's label, as if it had been committed so."""
    import pyarrow.parquet as pq

    for entry in workspace.ledger.entries(plan.labels):
        path = workspace.storage.path(entry.file("labels").path)
        rows = pq.read_table(path)
        roles = rows.column("duplicate_role").to_pylist()
        if "near_duplicate" in roles:
            values = rows.column(column).to_pylist()
            values[roles.index("near_duplicate")] = value
            index = rows.schema.get_field_index(column)
            field = rows.schema.field(column)
            pq.write_table(rows.set_column(index, field, pa.array(values, field.type)), path)
            sign_again(workspace, entry)
            return


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("jaccard", 0.99, "has a jaccard of 0.99"),
        ("duplicate_role", "representative", "1 clusters without exactly one representative"),
        ("cluster_size", 999, "1 clusters have another number of rows"),
        ("cluster", b"?" * 16, "is in a cluster that was not found"),
    ],
)
def test_check_notices_labels_that_were_changed(
    done: tuple[Workspace, DuplicatesPlan],
    tmp_path: Path,
    column: str,
    value: object,
    message: str,
) -> None:
    shutil.copytree(done[0].url, tmp_path / "w")
    workspace = Workspace.open(str(tmp_path / "w"))
    rewrite_labels(workspace, done[1], column, value)
    assert any(message in fault for fault in faults(workspace))


def test_check_notices_bands_that_were_lost(
    done: tuple[Workspace, DuplicatesPlan], tmp_path: Path
) -> None:
    shutil.copytree(done[0].url, tmp_path / "w")
    workspace = Workspace.open(str(tmp_path / "w"))
    for entry in (tmp_path / "w" / "ledger").glob("near_duplicates.candidates@*/*/part-*.json"):
        members = workspace.ledger.read_entry(entry.relative_to(tmp_path / "w").as_posix()).counts[
            "members"
        ]
        text = entry.read_text().replace(f'"members": {members}', f'"members": {members - 20}')
        entry.write_text(text)
    assert [fault.split(": ")[1].split(" bands")[0] for fault in faults(workspace)] == [
        str(members - 20)
    ]


def test_search_that_was_stopped_anywhere_goes_on_to_the_same(
    done: tuple[Workspace, DuplicatesPlan], signed: Workspace, documents: Documents, tmp_path: Path
) -> None:
    shutil.copytree(signed.url, tmp_path / "w")
    workspace = Workspace.open(str(tmp_path / "w"))
    plan = plan_of(workspace, documents)
    names = []
    while True:  # one pipeline a start
        transform = next(steps(workspace, plan, sorted(documents), LIMITS, 1 << 30), None)
        if transform is None:
            break
        names.append(type(transform).__name__)
        run_transform(transform, ())
    assert names == [
        "FindClusters", "FindCandidates", "ListPairs", "StoreTexts", "MapChain", "FindClusters",
        "LabelDuplicates",
    ]  # fmt: skip
    assert committed(workspace.url) == committed(done[0].url)


def without(done: Workspace, folder: Path, *generations: str) -> Workspace:
    """A copy in which some were never made."""
    shutil.copytree(done.url, folder / "w")
    for generation in (folder / "w" / "ledger").iterdir():
        if generation.name in generations:
            for entry in generation.rglob("part-*.json"):
                entry.unlink()
            (generation / "folded.parquet").unlink(missing_ok=True)
    return Workspace.open(str(folder / "w"))


Sent = dict[int, list[pa.RecordBatch]]


def sent(numbers: int, dofn: beam.DoFn, elements: Iterable[Any]) -> list[tuple[int, Any]]:
    """What a DoFn sends, grouped."""
    found: Sent = {number: [] for number in range(numbers)}
    for element in elements:
        for number, batch in dofn.process(element):
            found[number].append(batch)
    return list(found.items())


def given_to_jobs(workspace: Workspace, near: NearPlan, keys: list[PartKey]) -> list[list[Any]]:
    """What each job that commits is given, from a workspace in which all is done."""
    exact, partitions = range(near.num_text_partitions), list(range(near.num_partitions))
    copies = sent(len(keys), SendCopies(workspace, near, keys), exact)
    bands = SendBands(workspace, near, keys, partitions, False)
    asked = SendAsked(workspace, near, keys, keys)
    clusters = SendClusters(workspace, near, list(exact))
    return [
        copies,
        sent(len(partitions), bands, copies),
        sent(len(keys), SendPairs(workspace, near, keys), partitions),
        sent(len(keys), asked, range(len(keys) + len(exact))),
        list(keys),
        [0],
        sent(len(exact), clusters, [0]),
    ]


def test_every_job_under_attack_gives_the_same(
    done: tuple[Workspace, DuplicatesPlan], documents: Documents, tmp_path: Path
) -> None:
    keys, near = sorted(documents), near_plan(done[1])
    given = given_to_jobs(done[0], near, keys)
    workspace = without(done[0], tmp_path, *(made.name for made in near.generations))
    chain = OneAfterTheOther(
        [
            SendBands(workspace, near, keys, list(range(near.num_partitions)), False),
            CommitCandidates(workspace, near, LIMITS),
            CommitRequests(workspace, near, keys, ()),
            CommitTexts(workspace, near, keys, LIMITS),
            RunPart(workspace, dict.fromkeys(near.sources, ComparePairs(near)), LIMITS),
            CommitComponents(workspace, near),
            CommitClusters(workspace, near),
        ]
    )
    elements = [(number, element) for number, some in enumerate(given) for element in some]
    clean = outcome_of_one_run(Path(workspace.url), chain, elements)
    assert clean == committed(done[0].url)
    assert outcome_under_attack(Path(workspace.url), chain, elements) == clean


def test_pages_of_one_template_are_not_duplicates(tmp_path: Path) -> None:
    chance = random.Random(4)
    vocabulary = [f"{a}{b}" for a in TEXTS[0].split()[:60] for b in ("", "er", "ly", "ness")]
    template = [" ".join(chance.choices(vocabulary, k=40)) for _ in range(9)]  # 60 % of the words
    pages = []
    for _ in range(500):
        own = [" ".join(chance.choices(vocabulary, k=60)) for _ in range(4)]
        blocks = [*template[:2], own[0], *template[2:5], own[1], *template[5:7], *own[2:]]
        pages.append("\n".join([*blocks, *template[7:]]))
    documents = in_parts(pages, [200])
    workspace = signed_workspace(tmp_path / "w", documents)
    plan = deduplicate(workspace, documents)
    found = labels(workspace, plan)
    assert {role for _, role in found} == {"alone"}
    assert len(found) == 500


def test_search_among_texts_without_candidates_needs_no_sets(tmp_path: Path) -> None:
    documents = in_parts([TEXTS[0], "a text of its own", "", TEXTS[0]], [2])
    workspace = signed_workspace(tmp_path / "w", documents)
    plan = deduplicate(workspace, documents)
    assert labels(workspace, plan) == expected_labels(documents)
    stored = workspace.ledger.entries(near_plan(plan).shingles)
    assert [entry.files for entry in stored] == [(), ()]
    assert faults(workspace) == []

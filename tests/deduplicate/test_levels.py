"""The labels sets of all levels, job by job, against what the definitions say."""

import itertools
import random
import shutil
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from adversary import committed, outcome_of_one_run, outcome_under_attack
from signing import sign_again
from small_workspace import (
    LIMITS,
    SENTENCES,
    Documents,
    OneAfterTheOther,
    Row,
    deduplicate,
    expected_labels,
    extract_of,
    generation_of,
    id_of,
    labels,
    normal_form,
    plan_of,
    rows_in,
    rows_of,
    signed_workspace,
)

from pipelines.deduplicate.check import EQUATIONS, cluster_faults, label_faults
from pipelines.deduplicate.plan import LEVELS, DuplicatesPlan, plan_duplicates
from pipelines.deduplicate.signatures import Signatures
from pipelines.deduplicate.transform import (
    CommitLabels,
    CommitPartition,
    SendDecisions,
    SendMembers,
    steps,
)
from pipelines.run import run_transform
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.workspace import Workspace

EXACT = ("bytes", "text", "url")
EMPTY = 30


def day(number: int) -> datetime:
    return datetime(2024, 1, number, tzinfo=UTC)


def rows() -> list[Row]:
    """Copies of texts, in bytes and but for case and punctuation, empty ones, and addresses."""
    made: list[Row] = []
    for number, text in enumerate(SENTENCES):
        for copy, version in enumerate((text, text, text.upper() + "!", f"  {text}", f"  {text}")):
            uri = f"http{'s' * (copy % 2)}://www.a.org/{number}?utm_source={copy}"
            others = {"uri": uri, "fetched_at": day(1 + (copy * 3) % 5)} if copy else {}
            made.append((id_of((number, min(copy, 3))), version, others))
    made += [(id_of(("empty", n)), "") for n in range(EMPTY)]
    made += [(id_of(("marks", n)), mark) for n, mark in enumerate(["...", "---", "...", " ", "\n"])]
    made += [(id_of(("own", n)), f"a text of its own {n}") for n in range(10)]
    return made


def in_order(made: Sequence[Row], seed: int | None) -> Documents:
    """The same rows in two sources, in another order for each seed."""
    made = list(made)
    if seed is not None:
        random.Random(seed).shuffle(made)
    third = len(made) // 3
    keys = (PartKey("a", 0), PartKey("b", 0), PartKey("b", 1))
    return dict(zip(keys, (made[:third], made[third : 2 * third], made[2 * third :]), strict=True))


@pytest.fixture(scope="module")
def documents() -> Documents:
    return in_order(rows(), 0)


@pytest.fixture(scope="module")
def signed(documents: Documents, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return signed_workspace(tmp_path_factory.mktemp("levels") / "w", documents)


@pytest.fixture(scope="module")
def done(
    signed: Workspace, documents: Documents, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Workspace, DuplicatesPlan]:
    workspace = copied(signed, tmp_path_factory.mktemp("done"))
    return workspace, deduplicate(workspace, documents)


def copied(workspace: Workspace, folder: Path) -> Workspace:
    shutil.copytree(workspace.url, folder / "w")
    return Workspace.open(str(folder / "w"))


def faults(workspace: Workspace, plan: DuplicatesPlan) -> list[str]:
    """What the audit says of exact levels."""
    found: list[str] = []
    for generation in plan.generations:
        entries = workspace.ledger.entries(generation)
        found += cluster_faults(workspace, generation.name, entries)
        for entry in entries:
            found += label_faults(workspace, entry)
            for total, *terms in EQUATIONS.get(entry.job, ()):
                sums = sum(entry.counts.get(term, 0) for term in terms)
                found += [] if entry.counts[total] == sums else [f"{entry.job}: {total}"]
    return found


def groups(labelled: Iterable[dict[str, Any]], level: str) -> list[list[bytes]]:
    """Ids of each cluster, its representative first; checks what every cluster must have."""
    by_cluster: dict[bytes, list[dict[str, Any]]] = {}
    for row in labelled:
        if row[f"{level}_cluster"] is None:
            assert (row[f"{level}_cluster_size"], row[f"{level}_role"]) == (1, "alone")
        else:
            by_cluster.setdefault(row[f"{level}_cluster"], []).append(row)
    for cluster, members in by_cluster.items():
        heads = [row["id"] for row in members if row[f"{level}_role"] == "representative"]
        assert heads == [cluster]
        assert {row[f"{level}_cluster_size"] for row in members} == {len(members)}
        kept = [row["id"] for row in members if row[f"{level}_role"] != "repeated_record"]
        assert len(kept) == len(set(kept))
    return sorted(
        [cluster, *sorted(row["id"] for row in members if row[f"{level}_role"] == "duplicate")]
        for cluster, members in by_cluster.items()
    )


def equal(documents: Documents, key: Any) -> list[list[bytes]]:  # noqa: ANN401 - a function
    """Distinct ids of the rows that share a key, where there are two rows or more."""
    found = sorted((key(text), id_) for id_, text in rows_in(documents))
    by_key = ([id_ for _, id_ in some] for _, some in itertools.groupby(found, lambda row: row[0]))
    return sorted(sorted(set(ids)) for ids in by_key if len(ids) > 1)


def test_every_level_labels_what_its_definition_says(
    done: tuple[Workspace, DuplicatesPlan], documents: Documents
) -> None:
    workspace, plan = done
    sets = {name: rows_of(workspace, made) for name, made in plan.label_sets.items()}
    assert list(sets) == ["same_bytes", "same_text", "same_url", "duplicates"]
    ids = [row[0] for key in sorted(documents) for row in documents[key]]
    for labelled in sets.values():
        assert [row["id"] for row in labelled] == ids
    assert groups(sets["same_bytes"], "bytes") == equal(documents, str)
    assert groups(sets["same_text"], "text") == equal(documents, normal_form)
    # Copy 3 is the latest fetch (1 + 9 % 5 = day 5), then 1 (day 4); its id is also that of copy 4.
    pages = [[id_of((n, 3)), *sorted([id_of((n, 1)), id_of((n, 2))])] for n in range(4)]
    assert groups(sets["same_url"], "url") == sorted(pages)
    assert labels(workspace, plan) == expected_labels(documents)


def test_empty_texts_are_one_cluster_and_marks_are_told_apart(
    done: tuple[Workspace, DuplicatesPlan],
) -> None:
    workspace, plan = done
    by_id = {row["id"]: row for row in rows_of(workspace, plan.label_sets["same_text"])}
    empty = [by_id[id_of(("empty", n))] for n in range(EMPTY)]
    assert {row["text_cluster"] for row in empty} == {min(row["id"] for row in empty)}
    assert {row["text_cluster_size"] for row in empty} == {EMPTY}
    marks = [by_id[id_of(("marks", n))]["text_cluster_size"] for n in range(5)]
    assert marks == [2, 1, 2, 1, 1]


def test_audit_finds_nothing(done: tuple[Workspace, DuplicatesPlan]) -> None:
    assert faults(*done) == []


@pytest.mark.parametrize(
    ("levels", "sets", "collapse"),
    [
        ((), ["duplicates"], "bytes"),
        (("bytes",), ["same_bytes", "duplicates"], "bytes"),
        (("near", "bytes"), ["same_bytes", "duplicates"], "bytes"),
        (("text", "boilerplate"), ["same_text", "duplicates"], "text"),
        (("url",), ["same_url", "duplicates"], "bytes"),
    ],
)
def test_levels_not_asked_for_write_no_set(
    signed: Workspace,
    documents: Documents,
    tmp_path: Path,
    levels: tuple[str, ...],
    sets: list[str],
    collapse: str,
) -> None:
    workspace = copied(signed, tmp_path)
    plan = deduplicate(workspace, documents, levels=levels)
    assert (list(plan.label_sets), plan.collapse) == (sets, collapse)
    made = {name.split("@")[0] for name in workspace.ledger.generations()}
    jobs = {f"deduplicate.{name}" for name in sets} - {"deduplicate.duplicates"}
    assert {job for job in made if job.startswith("deduplicate.same")} == jobs
    assert any(job.startswith("near_duplicates") for job in made) == ("near" in levels)
    assert faults(workspace, plan) == []
    found = rows_of(workspace, plan.labels)
    if "near" not in levels:
        key = normal_form if collapse == "text" else str
        known = [{**row, "x_cluster": row["cluster"], "x_cluster_size": row["cluster_size"],
                  "x_role": row["duplicate_role"]} for row in found]  # fmt: skip
        assert groups(known, "x") == equal(documents, key)
    if collapse == "bytes":
        assert "text" not in {row["duplicate_level"] for row in found}
    if "bytes" in levels:
        assert groups(rows_of(workspace, plan.label_sets["same_bytes"]), "bytes") == equal(
            documents, str
        )


def test_plan_refuses_unknown_levels_and_labels_of_other_parts(
    signed: Workspace, documents: Documents, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"levels: found byte; allowed are bytes, text, url, near"):
        plan_of(signed, documents, ("byte",))
    workspace = copied(signed, tmp_path)
    sources = ("a", "b")
    signatures = {source: generation_of("signatures", source) for source in sources}
    extract = {source: extract_of(source) for source in sources}
    for made in (tmp_path / "w" / "ledger").glob("annotate.minhash@*/b/part-00001.json"):
        made.unlink()
    minhash = {source: generation_of("minhash", source) for source in sources}
    with pytest.raises(ValueError, match="signatures of 3 parts and minhash labels of 2"):
        plan_duplicates(workspace, signatures, minhash, extract=extract)
    assert (
        plan_duplicates(workspace, signatures, minhash, extract=extract, levels=EXACT).near is None
    )
    for made in (tmp_path / "w" / "ledger").glob("extract@*/a/part-00000.json"):
        made.unlink()
    with pytest.raises(ValueError, match="signatures of 3 parts and documents of 2"):
        plan_duplicates(workspace, signatures, extract=extract)


@pytest.mark.parametrize("seed", [1])
def test_labels_do_not_depend_on_the_order_of_rows(
    done: tuple[Workspace, DuplicatesPlan], tmp_path: Path, seed: int
) -> None:
    documents = in_order(rows(), seed)
    workspace = signed_workspace(tmp_path / "w", documents)
    plan = deduplicate(workspace, documents)
    for name, made in plan.label_sets.items():
        sides = (rows_of(workspace, made), rows_of(done[0], done[1].label_sets[name]))
        one, other = (sorted(map(repr, side)) for side in sides)
        assert one == other, name


def test_labels_are_the_same_bytes_in_passes_that_fit_into_memory(
    done: tuple[Workspace, DuplicatesPlan], signed: Workspace, documents: Documents, tmp_path: Path
) -> None:
    workspace = copied(signed, tmp_path)
    deduplicate(workspace, documents, memory_bytes=20_000)
    assert committed(workspace.url) == committed(done[0].url)


def test_run_that_was_stopped_anywhere_goes_on_to_the_same(
    done: tuple[Workspace, DuplicatesPlan], signed: Workspace, documents: Documents, tmp_path: Path
) -> None:
    workspace = copied(signed, tmp_path)
    plan = plan_of(workspace, documents, EXACT)
    names = []
    while transform := next(steps(workspace, plan, sorted(documents), LIMITS, 1 << 30), None):
        names.append(type(transform).__name__)
        run_transform(transform, ())
    assert names == ["FindClusters", "LabelDuplicates"]
    for name in ("same_bytes", "same_text", "same_url"):
        whole = done[1].label_sets[name]
        assert plan.label_sets[name] == whole
        assert contents(workspace, whole.name) == contents(done[0], whole.name)
    # A set that is lost is made again, alone, and of addresses without the texts.
    lost = plan.label_sets["same_url"].name
    for made in (tmp_path / "w" / "ledger" / lost).rglob("part-*.json"):
        made.unlink()
    for made in (tmp_path / "w" / "ledger" / plan.clusters.name).rglob("part-*.json"):
        made.unlink()
    (transform,) = steps(workspace, plan, sorted(documents), LIMITS, 1 << 30)
    run_transform(transform, ())
    assert contents(workspace, lost) == contents(done[0], lost)
    assert workspace.ledger.entries(plan.clusters) == []


def contents(workspace: Workspace, generation: str) -> list[str]:
    entries = workspace.ledger.entries(generation)
    assert entries
    return [entry.content for entry in entries]


def sent_members(workspace: Workspace, plan: DuplicatesPlan, keys: list[PartKey]) -> list[Any]:
    sent: dict[int, list[pa.RecordBatch]] = {number: [] for number in plan.all_partitions}
    for key in keys:
        for number, batch in SendMembers(workspace, plan, plan.all_partitions).process(key):
            sent[number].append(batch)
    return list(sent.items())


def sent_decisions(workspace: Workspace, plan: DuplicatesPlan, keys: list[PartKey]) -> list[Any]:
    sent: dict[int, list[pa.RecordBatch]] = {index: [] for index in range(len(keys))}
    for number in plan.all_partitions:
        for index, batch in SendDecisions(workspace, plan, keys).process(number):
            sent[index] += [batch.slice(n, 1) for n in range(batch.num_rows)]
    return list(sent.items())


@pytest.mark.parametrize("order", ["as sent", "turned round"])
def test_every_dofn_under_attack_gives_the_same_whatever_arrives_first(
    done: tuple[Workspace, DuplicatesPlan], documents: Documents, tmp_path: Path, order: str
) -> None:
    plan, keys = done[1], sorted(documents)
    members, decisions = sent_members(done[0], plan, keys), sent_decisions(done[0], plan, keys)
    workspace = copied(done[0], tmp_path)
    for generation in (plan.clusters, plan.url_clusters, *plan.label_sets.values()):
        for made in (tmp_path / "w" / "ledger" / generation.name).rglob("part-*.json"):
            made.unlink()
    dofns = [CommitPartition(workspace, plan), CommitLabels(workspace, plan, keys)]
    elements = [
        (number, (to, batches if order == "as sent" else batches[::-1]))
        for number, given in enumerate((members, decisions))
        for to, batches in given
    ]
    chain, folder = OneAfterTheOther(dofns), Path(workspace.url)
    clean = outcome_of_one_run(folder, chain, elements)
    assert clean == committed(done[0].url)
    if order == "as sent":  # once is enough: it starts three processes
        assert outcome_under_attack(folder, chain, elements) == clean


def rewrite(workspace: Workspace, plan: DuplicatesPlan, name: str, part: int, changed: Any) -> None:  # noqa: ANN401
    """Changes the labels of a part of source b, as if they had been committed so."""
    entry = workspace.ledger.get(plan.label_sets[name], "b", part)
    path = Path(workspace.url) / entry.file("labels").path
    table = pq.read_table(path)
    pq.write_table(pa.Table.from_pylist(changed(table.to_pylist()), schema=table.schema), path)
    sign_again(workspace, entry)


def swapped(column: str, roles: set[str]) -> Any:  # noqa: ANN401 - a function
    """Gives the first two rows of these roles each other's cluster."""

    def change(table: list[dict[str, Any]]) -> list[dict[str, Any]]:
        role = next(name for name in table[0] if name.endswith("role"))
        one = next(row for row in table if row[role] in roles)
        other = next(r for r in table if r[role] in roles and r[column] != one[column])
        one[column], other[column] = other[column], one[column]
        return table

    return change


def with_value(column: str, value: object, role: str) -> Any:  # noqa: ANN401 - a function
    def change(table: list[dict[str, Any]]) -> list[dict[str, Any]]:
        name = next(name for name in table[0] if name.endswith("role"))
        next(row for row in table if row[name] == role)[column] = value
        return table

    return change


COPIES = {"duplicate"}
MEMBERS = {"duplicate", "representative"}


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("same_bytes", swapped("bytes_cluster", MEMBERS), "with one text_hash are in several"),
        ("same_text", swapped("text_cluster", COPIES), "its text is another (normal_hash)"),
        ("same_url", swapped("url_cluster", COPIES), "its representative has the address"),
        ("same_bytes", with_value("bytes_cluster_size", 9, "duplicate"), "another number of rows"),
        ("same_text", with_value("text_cluster", b"?" * 16, "duplicate"), "was not found"),
        ("same_text", with_value("text_cluster", None, "duplicate"), "are labelled alone"),
        ("same_url", with_value("url_role", "representative", "duplicate"), "exactly one repres"),
        ("same_url", with_value("url_role", "alone", "duplicate"), "rows are labelled duplicate"),
        ("same_url", with_value("url_cluster", b"?" * 16, "alone"), "without a web address"),
        ("duplicates", with_value("cluster_size", 1, "duplicate"), "another number of rows"),
        ("duplicates", with_value("id", b"?" * 16, "representative"), "the id of their repres"),
    ],
)
def test_audit_notices_labels_that_were_changed(
    done: tuple[Workspace, DuplicatesPlan],
    tmp_path: Path,
    name: str,
    change: Any,  # noqa: ANN401 - a function
    message: str,
) -> None:
    workspace = copied(done[0], tmp_path)
    rewrite(workspace, done[1], name, 0, change)
    if "rows are labelled" in message:
        edit_counts(workspace, done[1], name)
    assert any(message in fault for fault in faults(workspace, done[1]))


def edit_counts(workspace: Workspace, plan: DuplicatesPlan, name: str) -> None:
    """Makes the counts of an entry follow the changed labels."""
    generation = plan.label_sets[name].name
    path = Path(workspace.url) / "ledger" / generation / "b" / "part-00000.json"
    counts = workspace.ledger.get(generation, "b", 0).counts
    text = path.read_text()
    for role, change in (("duplicate", -1), ("alone", 1)):
        before = counts[f"role.{role}"]
        text = text.replace(f'"role.{role}": {before}', f'"role.{role}": {before + change}')
    path.write_text(text)


def test_audit_notices_texts_that_are_not_those_that_were_signed(
    done: tuple[Workspace, DuplicatesPlan], tmp_path: Path
) -> None:
    workspace = copied(done[0], tmp_path)
    entry = workspace.ledger.get(done[1].label_sets["same_bytes"], "b", 0)
    path = Path(workspace.url) / entry.inputs[0]
    table = pq.read_table(path)
    changed = pa.array([text + "?" for text in table.column("text").to_pylist()], pa.large_string())
    pq.write_table(table.set_column(1, table.schema.field("text"), changed), path)
    found = faults(workspace, done[1])
    assert any("has another text_hash than its signature" in fault for fault in found)


def test_audit_in_passes_finds_the_same(
    done: tuple[Workspace, DuplicatesPlan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.deduplicate.check._MEMORY_BYTES", 500)
    assert faults(*done) == []
    workspace = copied(done[0], tmp_path)
    rewrite(workspace, done[1], "same_text", 0, with_value("text_cluster_size", 9, "duplicate"))
    (fault,) = faults(workspace, done[1])
    assert "1 clusters have another number of rows" in fault


def test_signatures_of_a_large_text_and_of_many_small_ones() -> None:
    large = "Ärger, und " * 300_000  # 3.6 MB, more than is normalised at a time
    texts = ["", large, large.upper(), "x", large + "x"]
    made = Signatures()(pa.array(texts, pa.large_string()), {})
    exact, normal = (made.column(name).to_pylist() for name in ("text_hash", "normal_hash"))
    assert len(set(exact)) == 5
    assert normal[1] == normal[2]
    assert len(set(normal)) == 4
    alone = [Signatures()(pa.array([text], pa.large_string()), {}) for text in texts]
    assert pa.Table.from_batches(alone).combine_chunks() == pa.Table.from_batches([made])


def test_a_cluster_of_20_000_rows_and_as_many_alone(tmp_path: Path) -> None:
    n = 20_000
    same = [(id_of(number), "the same text") for number in range(n)]
    own = [(id_of((number,)), f"text number {number}") for number in range(n)]
    documents = {PartKey("a", 0): same, PartKey("b", 0): own}
    workspace = signed_workspace(tmp_path / "w", documents)
    plan = deduplicate(workspace, documents, levels=EXACT)
    (one, other) = workspace.ledger.entries(plan.labels)
    assert one.counts["role.duplicate"] == one.counts["level.bytes"] == n - 1
    assert one.detail["largest"] == [[min(id_ for id_, _ in same).hex(), n]]
    assert (other.counts["role.alone"], other.detail["largest"]) == (n, [])
    assert set(LEVELS) > set(plan.levels)


@pytest.mark.parametrize(("people", "model"), [("a", "b"), ("b", "a")])
def test_texts_of_people_represent_before_those_that_a_model_wrote(
    people: str, model: str, tmp_path: Path
) -> None:
    texts = [f"{text} {number}" for number, text in enumerate(["harbour", "гавань", "港口"] * 8)]
    spelled = [text.upper() + "." for text in texts]  # the same normalised text
    written = {"provenance": {"kind": "synthetic", "depth": 1, "model": "m", "parents": []}}
    documents = {
        PartKey(people, 0): [(id_of((1, text)), text) for text in texts],
        PartKey(model, 0): [
            *((id_of((2, text)), text, written) for text in texts),
            *((id_of((3, text)), text, written) for text in spelled),
            (id_of(4), "written by a model alone", written),
            (id_of(5), "written by a model alone", written),
        ],
    }
    workspace = signed_workspace(tmp_path / "workspace", documents)
    plan = deduplicate(workspace, documents)
    for name, role in (("same_bytes", "bytes"), ("same_text", "text"), ("duplicates", "duplicate")):
        first = {
            row["id"]
            for row in rows_of(workspace, plan.label_sets[name])
            if row[f"{role}_role"] == "representative"
        }
        alone = min(id_of(4), id_of(5))
        assert first == {*(id_of((1, text)) for text in texts), alone}, name
    assert faults(workspace, plan) == []

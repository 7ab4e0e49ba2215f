"""What is damaged is taken back, what cannot be made again is refused, and a note says so."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.inventory import Inventory, Listed
from pipelines.workspace.jobs import PartKey, entry_of
from pipelines.workspace.ledger import Entry, FileRef, Stopwatch, entry_path
from pipelines.workspace.parts import PartFile
from pipelines.workspace.repair import Repairs, notes_of_repairs, plan_repairs, repair
from pipelines.workspace.takedown import take_down
from pipelines.workspace.workspace import Workspace

INPUT = '{"text": "Η ώρα της παλίρροιας"}\n'


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "0.jsonl").write_text(INPUT, "utf-8")
    workspace = Workspace.create(str(tmp_path / "w"))
    listed = Listed(
        url=str(tmp_path / "0.jsonl"),
        file="0.jsonl",
        format="jsonl",
        bytes=len(INPUT.encode()),
        stamp="1",
        digest=str,
    )
    Inventory(workspace.storage, "notes").extend([listed], 1000)
    return workspace


def commit(
    workspace: Workspace,
    job: str,
    *,
    kind: str = "documents",
    part: int = 0,
    inputs: tuple[str, ...] = (),
    detail: dict[str, Any] | None = None,
    **payload: object,
) -> tuple[Generation, FileRef]:
    generation = Generation(job=job, payload=payload)
    rows = pa.record_batch({"id": [f"{job} {part}".encode()]})
    with PartFile(workspace.storage, rows.schema) as file:
        file.write(rows)
        ref = file.publish(kind, f"{kind}/{generation.name}/notes", part)
    counts = {"records": 1, "documents": 1, "rows": 1, "role.alone": 1}
    workspace.ledger.declare(generation)
    key = PartKey("notes", part)
    made = {"files": (ref,), "counts": counts, "watch": Stopwatch(), "inputs": inputs}
    workspace.ledger.commit(entry_of(generation, key, **made, detail=detail))
    workspace.ledger.fold(generation)
    return generation, ref


def spoil(workspace: Workspace, path: str) -> None:
    file = Path(workspace.url) / path
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def place(generation: Generation, part: int = 0) -> str:
    return entry_path(generation.name, "notes", part)


def mended(workspace: Workspace) -> Repairs:
    plan = plan_repairs(workspace)
    repair(workspace, plan)
    return plan


def files(workspace: Workspace) -> dict[str, bytes]:
    storage = workspace.storage
    return {path: storage.read(path) for path in storage.files("")}


def test_nothing_is_done_where_nothing_is_damaged(workspace: Workspace) -> None:
    commit(workspace, "extract")
    before = files(workspace)
    plan = plan_repairs(workspace)
    assert (plan.steps, plan.generations, repair(workspace, plan)) == ({}, set(), "")
    assert files(workspace) == before


def test_damaged_file_is_taken_back_and_its_neighbours_stay(workspace: Workspace) -> None:
    made, ref = commit(workspace, "annotate.language", kind="labels")
    commit(workspace, "annotate.language", kind="labels", part=1)
    spoil(workspace, ref.path)
    plan = mended(workspace)
    (step,) = plan.steps.values()
    assert (step.entry, step.action) == (place(made), "taken back")
    assert ref.path in step.why
    assert ref.sha256 in step.why
    assert [entry.part for entry in workspace.ledger.entries(made)] == [1]
    assert [entry.part for entry in workspace.ledger.folded(made.name)] == [1]
    assert not workspace.storage.exists(ref.path)
    note = json.loads(workspace.storage.read("repairs/00000.json"))
    assert note["steps"][0]["damages"][0]["sha256"] == ref.sha256
    (told,) = notes_of_repairs(workspace)
    assert "repairs/00000.json" in told
    assert plan_repairs(workspace).steps == {}


def test_last_entry_of_a_generation_leaves_no_fold(workspace: Workspace) -> None:
    made, ref = commit(workspace, "extract")
    spoil(workspace, ref.path)
    mended(workspace)
    assert list(workspace.ledger.folded(made.name)) == []
    assert workspace.ledger.entries(made) == []


@pytest.mark.parametrize("how", ["flip", "remove", "other counts"])
def test_entry_is_written_again_from_its_fold(workspace: Workspace, how: str) -> None:
    made, _ = commit(workspace, "crawl", kind="links")
    path = Path(workspace.url) / place(made)
    before = path.read_bytes()
    if how == "remove":
        path.unlink()
    elif how == "flip":
        path.write_bytes(before.replace(b'"counts"', b'"coun4s"'))
    else:
        raw = json.loads(before)
        raw["files"][0]["sha256"] = "0" * 64
        path.write_text(json.dumps(raw))
    (step,) = mended(workspace).steps.values()
    assert step.action == "written again from its fold"
    assert path.read_bytes() == before


def test_archive_of_a_crawl_is_refused_and_nothing_changes(workspace: Workspace) -> None:
    _, ref = commit(workspace, "crawl", kind="raw")
    spoil(workspace, ref.path)
    before = files(workspace)
    plan = mended(workspace)
    (step,) = plan.refused
    assert "no server gives the same pages twice" in step.why
    assert files(workspace) == before


@pytest.mark.parametrize("what", ["gone", "changed"])
def test_part_whose_input_is_not_what_it_was_is_refused(
    workspace: Workspace, tmp_path: Path, what: str
) -> None:
    _, ref = commit(workspace, "extract")
    spoil(workspace, ref.path)
    assert not plan_repairs(workspace).refused
    if what == "gone":
        (tmp_path / "0.jsonl").unlink()
    else:
        (tmp_path / "0.jsonl").write_text(INPUT * 2, "utf-8")
    (step,) = plan_repairs(workspace).refused
    assert f"0.jsonl, of which it was made, {'is gone' if what == 'gone' else 'has'}" in step.why


def test_answers_of_a_model_are_needed(workspace: Workspace) -> None:
    asked = {"usage": {"requests": 3}}
    _, ref = commit(workspace, "synthesize", detail=asked)
    spoil(workspace, ref.path)
    (step,) = plan_repairs(workspace).refused
    assert "no longer has its answers" in step.why
    workspace.storage.create("answers/m/notes/part-00000/a.jsonl", b"{}")
    assert not plan_repairs(workspace).refused


def test_what_was_made_before_an_erasure_is_refused(workspace: Workspace) -> None:
    commit(workspace, "extract", detail={"erased": {"content": "0", "rows": 1, "records": 1}})
    _, ref = commit(workspace, "annotate.language", kind="labels")
    spoil(workspace, ref.path)
    (step,) = plan_repairs(workspace).refused
    assert "erased since" in step.why


def test_tally_takes_the_plan_that_is_made_of_it_along(workspace: Workspace) -> None:
    tally, ref = commit(workspace, "tally.small", kind="tally")
    plan, kept = commit(workspace, "mix", kind="plan", tally=tally.full)
    spoil(workspace, ref.path)
    steps = mended(workspace).steps
    assert set(steps) == {place(tally), place(plan)}
    assert "so that the next run looks for what it needs" in steps[place(plan)].why
    assert workspace.storage.exists(kept.path)


def test_pairs_take_the_shingles_and_the_labels_along(workspace: Workspace) -> None:
    made = {}
    for job in ("texts", "pairs", "clusters"):
        made[job], ref = commit(workspace, f"near_duplicates.{job}", kind=job)
        if job == "pairs":
            damaged = ref
    more, _ = commit(workspace, "near_duplicates.texts", kind="texts", part=1)
    evidence = [one.name for one in made.values()]
    labels, _ = commit(workspace, "deduplicate", kind="labels", evidence=evidence)
    commit(workspace, "deduplicate", kind="labels", evidence=evidence, part=1)
    spoil(workspace, damaged.path)
    expected = {*map(place, made.values()), place(more, 1), place(labels)}
    assert set(mended(workspace).steps) == expected


def test_generation_file_is_written_by_whoever_makes_a_part_again(workspace: Workspace) -> None:
    made, _ = commit(workspace, "extract")
    spoil(workspace, f"ledger/{made.name}/generation.json")
    assert set(mended(workspace).steps) == {place(made)}
    assert not workspace.storage.exists(f"ledger/{made.name}/generation.json")
    commit(workspace, "extract")
    assert plan_repairs(workspace).steps == {}


def test_after_a_takedown_labels_go_with_their_documents(workspace: Workspace) -> None:
    made, ref = commit(workspace, "extract")
    labels, _ = commit(workspace, "annotate.language", kind="labels", inputs=(ref.path,))
    spoil(workspace, ref.path)
    assert set(plan_repairs(workspace).steps) == {place(made)}
    take_down(workspace.storage, ["site.example"], "")
    assert set(plan_repairs(workspace).steps) == {place(made), place(labels)}


def test_repair_that_was_interrupted_goes_on(workspace: Workspace) -> None:
    made, ref = commit(workspace, "extract")
    spoil(workspace, ref.path)
    plan = plan_repairs(workspace)
    workspace.storage.remove(ref.path)  # killed behind the first of its deletions
    again = mended(workspace)
    assert set(again.steps) == set(plan.steps)
    assert workspace.ledger.entries(made) == []


def test_further_refusals_are_asked(workspace: Workspace) -> None:
    _, ref = commit(workspace, "extract")
    spoil(workspace, ref.path)

    def refuse(_: Workspace, entry: Entry) -> str | None:
        return f"part {entry.part} is dear to me"

    (step,) = plan_repairs(workspace, [refuse]).refused
    assert "part 0 is dear to me" in step.why

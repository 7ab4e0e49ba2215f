"""Some of the faults of `run.py`, on a smaller corpus and always the same ones."""

import pytest
from comparing_workspaces import audit_faults, outcome_of
from damages import cut, damage, emptied, flipped, removed, replaced, victims_of
from fault_bench import Bench, plant_orphans
from surroundings import full_disks

WAYS = {
    "extract documents": replaced,
    "annotate.language labels": flipped,
    "tally.small tally": emptied,
    "mix plan": cut,
    "shards.small bin": cut,
    "ledger entry": flipped,
    "fold": emptied,
    "generation.json": removed,
    "inventory": cut,
}


def test_damaged_files_are_named_and_made_again(bench: Bench) -> None:
    victims = victims_of(str(bench.whole))
    last = {kind: sorted(victims[kind])[-1] for kind in WAYS}
    last["ledger entry"] = sorted(victims["ledger entry"])[0]  # what it names is not told
    chosen = {last[kind]: (kind, way) for kind, way in WAYS.items()}
    assert len(chosen) == len(WAYS)
    row = damage(bench, chosen)
    assert row.is_good, row.note


def test_full_disk_is_told_in_one_line_and_the_run_goes_on(bench: Bench) -> None:
    (row,) = full_disks(bench, 1)
    if not row.injected:
        pytest.skip(row.note)
    assert row.is_good, row.note


def test_comparison_sees_another_byte_a_lost_entry_and_short_labels(bench: Bench) -> None:
    workspace = bench.copy()
    path = victims_of(str(workspace))["extract documents"][0]
    flipped(workspace / path, bench)
    assert outcome_of(str(workspace)).faults == (f"{path} is not what the ledger says",)
    assert audit_faults(str(workspace))
    entry = next((workspace / "ledger").glob("extract@*/notes/part-00000.json"))
    entry.unlink()
    name = entry.parents[1].name
    assert bench.expected.differences(outcome_of(str(workspace))) == [f"{name} notes 0"]


def test_orphans_are_nobodys_data(bench: Bench) -> None:
    workspace = bench.copy()
    before = {path for path in workspace.rglob("*") if path.is_file()}
    plant_orphans(workspace)
    assert {path for path in workspace.rglob("*") if path.is_file()} > before
    assert bench.expected.differences(outcome_of(str(workspace))) == []
    assert audit_faults(str(workspace)) == []

"""An audit names what is damaged, once, and nothing that is whole."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cli import build_app
from pipelines.driver import RunResult
from pipelines.workspace.audit import audit
from pipelines.workspace.repair import plan_repairs
from pipelines.workspace.workspace import Workspace

ALIGNED = ("contamination", "duplicates", "language", "length", "minhash", "signatures")


@pytest.fixture
def root(done: RunResult, tmp_path: Path) -> Path:
    return Path(shutil.copytree(done.workspace.url, tmp_path / "w"))


def damage(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "removed":
        path.unlink()
    elif how == "cut":
        path.write_bytes(data[:-9])
    elif how == "flipped":
        data[40] ^= 255  # in the first page of the ids
        path.write_bytes(data)
    else:
        (other, *_) = (one for one in sorted(path.parent.iterdir()) if one != path)
        path.write_bytes(other.read_bytes())


def told_by(root: Path, *options: str) -> list[str]:
    return (
        CliRunner().invoke(build_app("audit"), ["audit", str(root), *options]).output.splitlines()
    )


@pytest.mark.parametrize("how", ["removed", "cut", "flipped", "replaced"])
def test_damaged_documents_are_the_one_fault(root: Path, how: str) -> None:
    path = sorted(root.glob("documents/notes@*/part-*.parquet"))[0]
    name, committed = str(path.relative_to(root)), hashlib.sha256(path.read_bytes()).hexdigest()
    damage(path, how)
    report = audit(Workspace.open(str(root)))
    (fault,), (note,) = report.faults, report.notes
    assert fault.startswith(f"{name}: ")
    assert committed in fault
    if how != "removed":
        assert hashlib.sha256(path.read_bytes()).hexdigest() in fault
    assert note.startswith(f"not compared, because {name} is damaged: rows of ")
    assert set(ALIGNED) < set(note.partition("rows of ")[2].split(", "))
    assert "labels/" not in note


def test_recounts_that_need_a_damaged_file_are_noted_by_their_jobs(root: Path) -> None:
    path = sorted(root.glob("documents/notes@*/part-*.parquet"))[0]
    damage(path, "replaced")
    lines = told_by(root)
    assert sum(line.startswith("FAULT") for line in lines) == 1
    (note,) = (line for line in lines if line.startswith("note: not compared"))
    counts = note.partition("counts of ")[2].partition(";")[0].split(", ")
    assert {"deduplicate", "tally.small"} < set(counts)


def test_other_faults_are_found_beside_a_damaged_file(root: Path) -> None:
    documents, *_ = sorted(root.glob("documents/notes@*/part-*.parquet"))
    damage(documents, "cut")
    labels, *_ = sorted(root.glob("labels/language@*/pages/part-*.parquet"))
    damage(labels, "flipped")
    entry, *_ = sorted(root.glob("ledger/annotate.length@*/pages/part-*.json"))
    entry.write_text(entry.read_text().replace('"rows": ', '"rows": 1'))
    (entry.parents[1] / "folded.parquet").unlink()
    faults = audit(Workspace.open(str(root))).faults
    for path in (documents, labels):
        assert sum(str(path.relative_to(root)) in fault for fault in faults) == 1
    assert any("rows 1" in fault and "annotate.length@" in fault for fault in faults)


def test_labels_of_other_rows_than_their_documents_are_a_fault(root: Path) -> None:
    """Whole files and true hashes: only the comparison sees that they do not belong together."""
    entry, other, *_ = sorted(root.glob("ledger/annotate.language@*/notes/part-*.json"))
    raw = json.loads(entry.read_text())
    raw["inputs"] = json.loads(other.read_text())["inputs"]
    entry.write_text(json.dumps(raw))
    (entry.parents[1] / "folded.parquet").unlink()
    faults = audit(Workspace.open(str(root))).faults
    assert (
        f"{raw['files'][0]['path']}: its ids are not those of {raw['inputs'][0]}, row by row"
        in (faults)
    )


def test_only_the_sampled_entries_are_hashed(root: Path) -> None:
    path = sorted(root.glob("shards/*/first/*.bin"))[0]
    damage(path, "flipped")
    workspace, name = Workspace.open(str(root)), str(path.relative_to(root))
    whole, none = (audit(workspace, sample=share) for share in (1.0, 0.0))
    assert [fault for fault in whole.faults if name in fault] == whole.faults
    assert (none.faults, none.bytes_hashed, none.recounted) == ([], 0, 0)
    assert none.files == whole.files
    some = audit(workspace, sample=0.5, seed=3)
    assert 0 < some.bytes_hashed < whole.bytes_hashed
    assert audit(workspace, sample=0.5, seed=3).bytes_hashed == some.bytes_hashed


def test_repair_takes_back_the_damaged_file_alone(root: Path) -> None:
    path = sorted(root.glob("documents/notes@*/part-*.parquet"))[0]
    damage(path, "cut")
    (step,) = plan_repairs(Workspace.open(str(root))).steps.values()
    assert step.entry.startswith("ledger/extract@")
    taken = [line for line in told_by(root, "--repair") if line.startswith("taken back: ")]
    assert [step.entry in line for line in taken] == [True]
    assert not path.exists()


def test_the_report_is_the_same_however_many_processes_made_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.workspace.audit._WORTH_PROCESSES", 0)
    assert told_by(root, "--processes", "2") == told_by(root, "--processes", "1")
    damage(sorted(root.glob("documents/notes@*/part-*.parquet"))[0], "replaced")
    damage(sorted(root.glob("labels/language@*/pages/part-*.parquet"))[0], "cut")
    entry, *_ = sorted(root.glob("ledger/annotate.length@*/pages/part-*.json"))
    entry.write_text(entry.read_text().replace('"rows": ', '"rows": 1'))
    lines = told_by(root, "--processes", "2")
    assert lines == told_by(root, "--processes", "1")
    assert sum(line.startswith("FAULT") for line in lines) > 3
    assert sum(line.startswith("note: not compared") for line in lines) == 1

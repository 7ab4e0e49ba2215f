"""`tokenmill shards`, as it is given."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cli import build_app
from pipelines.run_record import read_run_record
from pipelines.workspace.workspace import Workspace


def test_shards_command_writes_tells_and_enters_the_record(copy: Workspace, base: Path) -> None:
    app = build_app("shards")
    args = ["shards", copy.url, str(base / "megatron.yaml"), "--processes", "1"]
    said = CliRunner().invoke(app, args, env={"COLUMNS": "100"}, catch_exceptions=False)
    assert said.exit_code == 0
    rows = [line.split() for line in said.stdout.splitlines()]
    record = read_run_record(copy)
    assert record.mixtures["megatron"].startswith("mixtures/megatron@")
    generation = record.shards["megatron"]
    entries = copy.ledger.entries(generation, "best_fit-part")
    train = [entry for entry in entries if entry.detail["split"] == "train"]
    realised = sum(entry.counts["tokens"] - entry.counts["padding"] for entry in train)
    padding = sum(entry.counts["padding"] for entry in train)
    named = [row for row in rows if row[:1] == ["best_fit-part"] and row[1] != "(validation)"]
    (row,) = [row for row in named if row[-1].endswith("%")]
    assert row[2] == row[3] == f"{realised:,}"
    assert row[-1] == f"{padding / (realised + padding):.2%}"
    assert "small" in record.shards  # of the run before

    again = CliRunner().invoke(app, args, env={"COLUMNS": "100"}, catch_exceptions=False)
    assert "nothing to do: all shards of megatron are committed" in again.stdout
    assert read_run_record(copy) == record


def test_unknown_format_is_refused_before_planning(base: Path) -> None:
    app = build_app("shards")
    args = ["shards", str(base / "w"), str(base / "all.yaml"), "--format", "tar"]
    with pytest.raises(ValueError, match="'tar'; allowed: megatron, mds, parquet, npy"):
        CliRunner().invoke(app, args, catch_exceptions=False)

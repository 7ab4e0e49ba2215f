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
    # expected ± sigma, drawn, written
    assert row[2] == "±"
    assert row[4] == row[5] == f"{realised:,}"
    assert row[6:8] == ["0", "%"]
    assert row[-1] == f"{padding / (realised + padding):.2%}"
    assert "small" in record.shards  # of the run before
    assert list(record.mixtures)[-1] == "megatron"
    place = {2: "2nd", 3: "3rd"}[len(record.mixtures)]
    words = " ".join(said.stdout.split())
    assert f"megatron was added to the last run as its {place} mixture;" in words
    assert "`tokenmill launch` trains it last unless --stages says otherwise." in words

    again = CliRunner().invoke(app, args, env={"COLUMNS": "100"}, catch_exceptions=False)
    assert "nothing to do: all shards of megatron are committed" in again.stdout
    assert "The last run's megatron is this one, as before." in again.stdout
    assert read_run_record(copy) == record


def test_shards_command_says_what_it_put_in_place_of_what(copy: Workspace, base: Path) -> None:
    app = build_app("shards")

    def words(*args: str) -> str:
        given = ["shards", copy.url, str(base / "megatron.yaml"), "--processes", "1", *args]
        said = CliRunner().invoke(app, given, env={"COLUMNS": "80"}, catch_exceptions=False)
        assert max(map(len, said.stdout.split("\nShards: ")[0].splitlines())) <= 80
        return " ".join(said.stdout.split())

    words()
    first = read_run_record(copy)
    told = words("--format", "parquet")
    old = first.shards["megatron"]
    assert f"The last run's shards of megatron are now these (were {old})." in told
    assert "`tokenmill launch` refuses: give it --stages without megatron." in told
    told = words("--tokens", "100")
    plan = read_run_record(copy).mixtures["megatron"]
    assert plan != first.mixtures["megatron"]
    assert (
        f"The last run's megatron is now this one, {plan} (was {first.mixtures['megatron']})."
        in told
    )
    assert "refuses" not in told


def test_unknown_format_is_refused_before_planning(base: Path) -> None:
    app = build_app("shards")
    args = ["shards", str(base / "w"), str(base / "all.yaml"), "--format", "tar"]
    with pytest.raises(ValueError, match="'tar'; allowed: megatron, mds, parquet, npy"):
        CliRunner().invoke(app, args, catch_exceptions=False)

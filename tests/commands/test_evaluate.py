"""`evaluate`: what it says where the data are missing, or are something else."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from pipelines.commands import evaluate


def call(*args: str) -> None:
    app = typer.Typer()
    app.callback()(lambda: None)
    evaluate.register(app)
    CliRunner().invoke(app, ["evaluate", *args], catch_exceptions=False)


@pytest.mark.parametrize("name", ["language", "domain", "stem", "quality", "html", "packing"])
def test_missing_data_are_told_with_what_is_wanted(name: str) -> None:
    with pytest.raises(ValueError, match=r"--data: missing; wanted: Folder .*: name yours"):
        call(name)


def test_a_file_in_place_of_a_folder_is_told(tmp_path: Path) -> None:
    file = tmp_path / "pages.jsonl"
    file.write_text("{}\n")
    with pytest.raises(ValueError, match=r"pages\.jsonl is a file; wanted: Folder of pages whose"):
        call("domain", "--data", str(file))
    with pytest.raises(ValueError, match=r"found no .*nowhere; wanted: .* Or a file\."):
        call("quality", "--data", str(tmp_path / "nowhere"))


def test_command_line_runs_as_a_module() -> None:
    asked = [sys.executable, "-m", "pipelines.cli", "evaluate", "stem"]
    root = Path(__file__).parents[2]
    told = subprocess.run(asked, cwd=root, capture_output=True, text=True, check=False)
    assert told.returncode == 2
    assert "error: --data: missing" in told.stderr

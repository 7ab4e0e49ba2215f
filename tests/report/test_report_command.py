"""`tokenmill report`."""

from pathlib import Path

import typer
from typer.testing import CliRunner

from pipelines.commands import report
from pipelines.workspace.workspace import Workspace


def run(*args: str) -> tuple[int, str]:
    app = typer.Typer()
    report.register(app)
    result = CliRunner().invoke(app, list(args))
    return result.exit_code, result.output


def test_command_writes_the_page_and_says_where(copy: Workspace, tmp_path: Path) -> None:
    code, output = run(copy.url)
    assert code == 0
    assert f"{copy.url}/report/index.html" in output.replace("\n", "")
    elsewhere = tmp_path / "pages" / "tides.html"
    code, _ = run(copy.url, "--output", str(elsewhere), "--samples", "1")
    assert code == 0
    assert elsewhere.read_text().startswith("<!doctype html>")

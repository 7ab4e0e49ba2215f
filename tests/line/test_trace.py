"""`tokenmill trace` and `tokenmill status` over a finished run: complete, and fit for a screen."""

import re

import pytest
import typer
from typer.testing import CliRunner

from pipelines.commands import status, tracing
from pipelines.driver import RunResult
from pipelines.workspace.tracing import find


def run(command: str, *args: str) -> list[str]:
    app = typer.Typer()
    {"trace": tracing, "status": status}[command].register(app)
    result = CliRunner().invoke(app, list(args), catch_exceptions=False)
    return result.output.splitlines()


def test_trace_shows_labels_a_person_reads(done: RunResult) -> None:
    told = run("trace", done.workspace.url, "ja.html")
    text = re.sub(r"\n    ", " ", "\n".join(told))
    labels = [line for line in text.splitlines() if line.startswith("labels ")]
    (language,) = [line for line in labels if "annotate.language@" in line]
    assert re.search(r"language jpn_Jpan, language_score \d\.\d{3}, ", language)
    assert not re.search(r"text_hash|bands|None|null", text)
    assert not re.search(r"[0-9a-f]{33}", text)
    assert max(map(len, (line for line in told if line.startswith(("labels", "   "))))) <= 100
    assert [line for line in told if line.startswith("draw 0: shards/")]


def test_trace_goes_from_a_printed_place_and_token_to_the_same_document(done: RunResult) -> None:
    workspace = done.workspace
    told = run("trace", workspace.url, "ja.html")
    (place,) = [line.split()[1] for line in told if line.startswith("  from: ")]
    assert place == "ja.html:0"
    assert run("trace", workspace.url, place) == told
    draw = next(line.split() for line in told if line.startswith("draw "))
    back = run("trace", workspace.url, f"{draw[2]}.bin:{draw[4]}")
    assert back[0].startswith(f"token {draw[4]} of {draw[2]}.bin belongs to document ")
    assert back[1:] == told


@pytest.mark.parametrize("width", [80, 100])
def test_status_is_one_line_a_generation(
    done: RunResult, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    workspace = done.workspace
    told = run("status", workspace.url)
    ledger = workspace.ledger
    generations = [name for name in ledger.generations() if ledger.entries(name)]
    lines = [line for line in told[1:] if not line.startswith("plan ")]
    assert [line.split()[0] for line in lines] == generations
    assert max(map(len, told)) <= width
    for line in lines:
        job = line.split("@")[0].split(".")[0]
        whole = job in ("extract", "annotate", "deduplicate", "tally", "preview")
        assert bool(re.search(r" (\d+) of \1 ", line)) == (whole and "clusters@" not in line), line


def test_status_counts_are_those_of_the_ledger(
    done: RunResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    workspace = done.workspace
    told = {line.split()[0]: line for line in run("status", workspace.url)[1:]}
    name = next(n for n in told if n.startswith("extract@") and " notes " in told[n])
    entries = workspace.ledger.entries(name)
    sums = [sum(e.counts[c] for e in entries) for c in ("records", "documents", "rejects")]
    assert told[name].endswith("records {}, documents {}, rejects {}".format(*sums))
    assert sums[0] == 10
    assert f" {len(entries)} of {len(entries)} " in told[name]
    assert find(workspace, "notes.jsonl")[1]

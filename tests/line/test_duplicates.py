"""Duplicates in a whole run: an alarm stops it, raised limits let it go on; labels are pinned."""

import io
import json
import re
from collections import Counter
from pathlib import Path

import pytest
import typer
import yaml
from rich.console import Console
from small_corpus import TEXTS, run_small, write_corpus
from typer.testing import CliRunner

from mixtures.errors import MixtureError
from pipelines.commands import shards
from pipelines.deduplicate.alarms import DuplicatesAlarm
from pipelines.deduplicate.check import EQUATIONS as EXACT
from pipelines.driver import RunResult
from pipelines.mix.pinned import pinned_generations
from pipelines.mix.plan import plan_folders
from pipelines.near_duplicates.check import EQUATIONS as NEAR
from pipelines.repeats.check import EQUATIONS as REPEATS
from pipelines.run_record import read_run_record, record_faults
from pipelines.summary import print_summary
from pipelines.workspace.audit_equations import EQUATIONS
from pipelines.workspace.workspace import Workspace

ITEM = (
    "A tide clock gains nine minutes in a week and is set right every third Sunday at noon, so how "
    "many minutes is it wrong by the Saturday before"
)


def edit(corpus: Path, **settings: object) -> None:
    written = yaml.safe_load(corpus.read_text())
    corpus.write_text(yaml.safe_dump({**written, **settings}, sort_keys=False))


def test_an_alarm_stops_a_run_and_raised_limits_let_it_go_on(tmp_path: Path) -> None:
    corpus, url = write_corpus(tmp_path / "in"), str(tmp_path / "w")
    lines = [
        json.dumps({"text": TEXTS["el"] if n % 3 else f"{TEXTS['ru']} {n}"}) for n in range(1200)
    ]
    (tmp_path / "in" / "notes" / "more.jsonl").write_text("\n".join(lines), encoding="utf-8")
    edit(corpus, part_bytes=10_000_000, duplicates={"levels": ["bytes", "url"]})
    with pytest.raises(DuplicatesAlarm, match="notes") as caught:
        run_small(corpus, url)
    assert "duplicates.alarms" in str(caught.value) or "alarms" in str(caught.value)
    workspace = Workspace.open(url)
    labelled = [n for n in workspace.ledger.generations() if n.startswith("deduplicate@")]
    assert len(labelled) == 1
    assert not plan_folders(workspace)
    before = {e.files[0].path for e in workspace.ledger.entries(labelled[0])}
    limits = {"max_cluster": 1.0, "sources": {"notes": 1.0}}
    edit(corpus, duplicates={"levels": ["bytes", "url"], "alarms": limits})
    result = run_small(corpus, url)
    assert {e.files[0].path for e in workspace.ledger.entries(labelled[0])} == before
    assert result.duplicates.labels.name == labelled[0], "limits change no labels"
    assert result.plans


def summary_of(result: RunResult) -> str:
    """What `tokenmill run` prints at its end, on a wide screen."""
    console = Console(file=io.StringIO(), width=200)
    print_summary(console, result, {})
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_summary_tells_levels_passages_emptied_draws_and_what_is_not_covered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, url = write_corpus(tmp_path / "in"), str(tmp_path / "w")
    footer = "Write to the harbour master"
    lines = [
        {"text": f"{text}\n{footer}", "url": f"https://tide.example/{name}"}
        for name, text in TEXTS.items()
    ]
    lines.append({"text": f"{ITEM}\n\u3000\n{ITEM}"})
    written = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "in" / "notes" / "more.jsonl").write_text(written)
    items = [{"id": "tide", "question": ITEM}, {"id": "brief", "question": "At noon?"}]
    (tmp_path / "in" / "riddles.jsonl").write_text("\n".join(map(json.dumps, items)))
    mixture = corpus.parent / "small.yaml"
    asked = yaml.safe_load(mixture.read_text())
    asked["stages"][1]["cut"] = ["contamination"]
    mixture.write_text(yaml.safe_dump(asked, sort_keys=False))
    edit(
        corpus,
        part_bytes=10_000_000,
        duplicates={"levels": ["bytes", "url", "boilerplate"]},
        benchmarks=[{"name": "riddles", "path": "riddles.jsonl"}],
    )
    result = run_small(corpus, url, processes=1)
    said = capsys.readouterr().err
    assert (
        "benchmark riddles (text, roles from all text fields): 2 items, 1 covered, 1 not (1 too "
        "short, 0 too common), such as brief: At noon?"
    ) in said
    assert re.search(r"benchmarks: 1, with 2 items, of which 1 can be found; index of .* MiB", said)
    told = summary_of(result)
    counts: Counter[str] = Counter()
    for entry in result.workspace.ledger.entries(result.duplicates.labels.name):
        counts.update(entry.counts)
    assert counts["level.bytes"] == 1, "the copy of the English text"
    assert re.search(r"^ +by level +bytes 1 *$", told, re.MULTILINE)
    size = sum(
        entry.counts["text_bytes"]
        for entry in result.workspace.ledger.entries(result.labels["boilerplate"].name)
    )
    share = 7 * len(footer.encode()) / size
    found = re.search(r"^boilerplate +7: 7 passages, ([0-9.]+)% of the text *$", told, re.MULTILINE)
    assert found
    assert share <= float(found[1]) / 100 <= 1.2 * share, "line breaks are cut too"
    note = "note: small/second: 1 draw not written, because cuts leave nothing of the text"
    assert note in told
    assert "small/first: 1 draw" not in told
    app = typer.Typer()
    app.callback()(lambda: None)
    shards.register(app)
    again = CliRunner().invoke(app, ["shards", url, str(mixture)], catch_exceptions=False)
    assert "nothing to do" in again.stdout
    assert "second: 1 draw not written, because cuts leave nothing of the text" in again.stdout
    assert "first: 1 draw" not in again.stdout


def test_all_levels_are_made_pinned_and_named_in_run_json(tmp_path: Path) -> None:
    corpus, url = write_corpus(tmp_path / "in"), str(tmp_path / "w")
    levels = ["bytes", "text", "url", "near", "boilerplate", "repeats"]
    mixture = corpus.parent / "small.yaml"
    where = "duplicate_role in ('alone', 'representative')"
    more = f"{where} and repeats_share < 0.9 and boilerplate_share < 0.9 and url_role <> 'x'"
    mixture.write_text(mixture.read_text().replace(where, more))
    edit(corpus, duplicates={"levels": levels})
    result = run_small(corpus, url)
    assert set(result.labels) == {"same_bytes", "same_text", "same_url", "boilerplate", "repeats"}
    workspace = Workspace.open(url)
    record = read_run_record(workspace)
    assert record.labels == {name: made.name for name, made in result.labels.items()}
    assert list(record_faults(workspace)) == []
    pinned = pinned_generations(workspace, plan_folders(workspace))
    assert set(record.labels.values()) <= pinned
    assert any(name.startswith("near_duplicates.pairs@") for name in pinned)
    assert any(name.startswith("deduplicate.clusters@") for name in pinned)
    again = run_small(corpus, url)
    assert again.parts_done == 0


def test_a_column_of_a_level_that_is_not_asked_for_is_unknown(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "in", duplicates={"levels": ["bytes"]})
    mixture = corpus.parent / "small.yaml"
    where = "duplicate_role in ('alone', 'representative')"
    mixture.write_text(mixture.read_text().replace(where, "url_role <> 'duplicate'"))
    with pytest.raises(MixtureError, match="url_role"):
        run_small(corpus, str(tmp_path / "w"))


def test_the_audit_knows_the_equations_of_every_job() -> None:
    for equations in (EXACT, NEAR, REPEATS):
        for job, terms in equations.items():
            assert EQUATIONS[job] == terms, job

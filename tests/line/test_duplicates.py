"""Duplicates in a whole run: an alarm stops it, raised limits let it go on; labels are pinned."""

import json
from pathlib import Path

import pytest
import yaml
from small_corpus import TEXTS, run_small, write_corpus

from mixtures.errors import MixtureError
from pipelines.deduplicate.alarms import DuplicatesAlarm
from pipelines.deduplicate.check import EQUATIONS as EXACT
from pipelines.mix.pinned import pinned_generations
from pipelines.mix.plan import plan_folders
from pipelines.near_duplicates.check import EQUATIONS as NEAR
from pipelines.repeats.check import EQUATIONS as REPEATS
from pipelines.run_record import read_run_record, record_faults
from pipelines.workspace.audit import EQUATIONS
from pipelines.workspace.workspace import Workspace


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

"""The file for Prometheus, read by the parser of its own client."""

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from records import a_run

from pipelines.watching.exposition import exposition, write_exposition
from pipelines.watching.states import FAILED, WatchedRun


def samples(run: WatchedRun) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """(name, labels) -> value; no series may stand twice."""
    found: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for family in text_string_to_metric_families(exposition(run)):
        assert family.documentation
        assert family.type in ("gauge", "counter")
        for one in family.samples:
            assert one.labels.pop("workspace") == run.workspace
            assert (one.name.endswith("_total")) == (family.type == "counter")
            key = (one.name.removeprefix("tokenmill_"), frozenset(one.labels.items()))
            assert key not in found
            found[key] = one.value
    return found


def labelled(**labels: str) -> frozenset[tuple[str, str]]:
    return frozenset(labels.items())


def test_exposition_says_what_the_run_is_at() -> None:
    run = a_run()
    found = samples(run)
    stage = labelled(stage="Extract and annotate")
    rated = labelled(stage="Extract and annotate", of="annotated")
    info = labelled(run=run.run, command="tokenmill run corpus.yaml", host="mill")
    assert found == {
        ("run_info", info): 1,
        ("run_state", labelled(state="running")): 1,
        ("run_state", labelled(state="ended")): 0,
        ("run_state", labelled(state="failed")): 0,
        ("run_start_time_seconds", labelled()): 1_000_000,
        ("run_beat_time_seconds", labelled()): 1_000_100,
        ("stage_parts", stage): 12,
        ("stage_parts_done", stage): 3,
        ("stage_elapsed_seconds", stage): 75,
        ("stage_still_seconds", stage): 0,
        ("stage_left_seconds", stage): 220,
        ("stage_rate", rated): 41.26,
        ("stage_seconds_total", labelled(stage="Crawl site")): 1.5,
        ("parts_total", labelled(job="extract")): 3,
        ("records_total", labelled(job="extract", kind="done")): 1234,
    }


def test_counters_are_sorted_into_metrics_by_their_names() -> None:
    counters = {
        "extract.documents": 5,
        "extract.rejects": 2,
        "extract.rejects:media_type:image/gif": 2,
        "extract.rejects:v1.2 broken": 1,
        "extract.bytes": 900,
        "extract.begun": 4,
        "tally.general.4k.judged": 7,
        "annotate.quality.rows": 3,
    }
    found = samples(a_run(counters=counters, stage=None, stage_seconds={}))
    kept = {key: value for key, value in found.items() if not key[0].startswith("run_")}
    assert kept == {
        ("records_total", labelled(job="extract", kind="documents")): 5,
        ("records_total", labelled(job="extract", kind="rejects")): 2,
        ("rejects_total", labelled(job="extract", reason="media_type:image/gif")): 2,
        ("rejects_total", labelled(job="extract", reason="v1.2 broken")): 1,
        ("written_bytes_total", labelled(job="extract")): 900,
        ("records_total", labelled(job="tally.general.4k", kind="judged")): 7,
        ("records_total", labelled(job="annotate.quality", kind="rows")): 3,
    }


@pytest.mark.parametrize(
    "command", ['say "hello"', "C:\\new", "two\nlines", "a{b=1}", "Ünïcode 港", "\\n is no newline"]
)
def test_labels_come_back_as_they_were(command: str) -> None:
    run = a_run(command=command)
    (info,) = (dict(labels) for name, labels in samples(run) if name == "run_info")
    assert info["command"] == command


def test_write_leaves_one_readable_file_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "metrics" / "tokenmill.prom"
    write_exposition(path, a_run())
    write_exposition(path, a_run(state=FAILED))
    assert path.read_text() == exposition(a_run(state=FAILED))
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(path.parent.iterdir()) == [path]

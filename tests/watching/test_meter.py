"""Counts from any thread reach whoever watches, once."""

import threading

from prometheus_client.parser import text_string_to_metric_families
from records import a_run

from pipelines.watching.exposition import exposition
from pipelines.workspace.meter import Meter, counter_name


def test_entry_is_counted_under_stable_names() -> None:
    meter = Meter()
    counts = {"documents": 3, "rejects": 2, "role.alone": 1, "pages": 0}
    meter.add_entry("extract", counts, {"media_type:image/gif": 1, "empty_file": 1}, 700)
    assert meter.read_all() == {
        "extract.documents": 3,
        "extract.rejects": 2,
        "extract.role_alone": 1,
        "extract.rejects:media_type:image/gif": 1,
        "extract.rejects:empty_file": 1,
        "extract.bytes": 700,
    }


def totals(meter: Meter) -> dict[str, float]:
    """Every counter that Prometheus gets of a meter."""
    families = text_string_to_metric_families(exposition(a_run(counters=meter.read_all())))
    samples = [one for family in families if family.type == "counter" for one in family.samples]
    return {f"{one.name} {sorted(one.labels.items())}": one.value for one in samples}


def test_no_counter_falls_whatever_an_entry_counts() -> None:
    """What cuts change is mostly below zero, and a maximum does not add up."""
    meter = Meter()
    meter.add_entry("shards.web", {"tokens": 90, "document_tokens": 97, "cut_tokens": 3}, None, 0)
    before = totals(meter)
    meter.add_entry("shards.web", {"tokens": 40, "document_tokens": 50, "cut_tokens": -10}, None, 0)
    meter.add_entry("near_duplicates.components", {"pairs": 9, "largest": 8}, None, 0)
    after = totals(meter)
    assert before.keys() < after.keys()
    assert all(after[name] >= value for name, value in before.items())
    assert meter.read_all() == {
        "shards.web.tokens": 130,
        "shards.web.document_tokens": 147,
        "near_duplicates.components.pairs": 9,
    }


def test_bundle_thread_reports_what_all_threads_counted_once() -> None:
    meter = Meter()
    reported: list[tuple[str, int]] = []
    bundle = threading.get_ident()
    meter.report_by(
        lambda: threading.get_ident() == bundle, lambda name, n: reported.append((name, n))
    )
    helper = threading.Thread(target=lambda: [meter.add("extract", 5) for _ in range(4)])
    helper.start()
    helper.join()
    assert reported == []
    meter.add("extract.parts", 1)
    assert reported == [("extract.done", 20), ("extract.parts", 1)]
    meter.report()
    assert reported == [("extract.done", 20), ("extract.parts", 1)]
    assert (meter.read("extract"), meter.read("extract.parts")) == (20, 1)


def test_threads_of_several_bundles_lose_and_double_nothing() -> None:
    meter = Meter()
    taken: list[int] = []
    meter.report_by(lambda: True, lambda name, n: taken.append(n))
    threads = [
        threading.Thread(target=lambda: [meter.add("x", 1) for _ in range(2000)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) == meter.read("x") == 16_000


def test_counts_of_other_processes_are_added() -> None:
    meter = Meter()
    meter.add("extract", 7)
    elsewhere = meter.elsewhere()
    elsewhere.note({"extract.done": 100, "extract.parts": 2})
    assert (meter.read("extract"), meter.read("extract.parts")) == (107, 2)
    elsewhere.note({"extract.done": 90})  # an answer come late
    assert meter.read("extract") == 107
    second = meter.elsewhere()
    second.note({"extract.done": 10})
    assert meter.read("extract") == 117
    assert meter.read_all() == {"extract": 117, "extract.parts": 2}


def test_counts_of_workers_in_this_process_are_not_doubled() -> None:
    meter = Meter()
    meter.add("extract", 50)
    elsewhere = meter.elsewhere()
    meter.add("extract", 30)  # by a worker of environment LOOPBACK
    elsewhere.note({"extract.done": 20})
    assert meter.read("extract") == 80
    elsewhere.note({"extract.done": 35})  # as if 5 more had been done elsewhere
    assert meter.read("extract") == 85


def test_what_an_earlier_pipeline_left_unreported_is_not_told_by_the_next() -> None:
    meter = Meter()
    reported: list[tuple[str, int]] = []
    meter.add("tally", 3)
    meter.report_by(lambda: True, lambda name, n: reported.append((name, n)))
    meter.elsewhere()
    meter.add("shards", 1)
    assert reported == [("shards.done", 1)]


def test_counter_name_tells_live_amounts_from_totals() -> None:
    assert counter_name("annotate") == "annotate.done"
    assert counter_name("annotate.parts") == "annotate.parts"

"""Alarms: what stops a run, what does not, and what the message says."""

from pathlib import Path

import pytest
from small_workspace import Documents, deduplicate, id_of, signed_workspace

from pipelines.deduplicate.alarms import (
    Alarms,
    DuplicatesAlarm,
    check_alarms,
    duplicate_counts,
    largest_clusters,
)
from pipelines.deduplicate.plan import DuplicatesPlan
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.workspace import Workspace

Deduplicated = tuple[Workspace, DuplicatesPlan]


def copies(name: str, number: int) -> list[tuple[bytes, str]]:
    """Every fourth in other punctuation."""
    marks = ("", "", "", "!")
    return [(id_of((name, n)), f"A page of {name}{marks[n % 4]}") for n in range(number)]


def own(name: str, number: int) -> list[tuple[bytes, str]]:
    return [(id_of((name, "own", n)), f"{name} has {n} pages") for n in range(number)]


def smallest(name: str, number: int) -> str:
    return min(id_of((name, n)) for n in range(number)).hex()


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Deduplicated:
    """Source `bad` loses 599 of 1,000, `good` 199 of 2,000, and `tiny` 899 of 900."""
    documents: Documents = {
        PartKey("bad", 0): [*copies("one", 400), *own("bad", 200)],
        PartKey("bad", 1): [*copies("one", 600)[400:], *own("bad", 400)[200:]],
        PartKey("good", 0): [*copies("two", 200), *own("good", 1800)],
        PartKey("tiny", 0): copies("three", 900),
    }
    workspace = signed_workspace(tmp_path_factory.mktemp("alarms") / "w", documents)
    return workspace, deduplicate(workspace, documents, levels=("bytes", "text"))


def alarm(done: Deduplicated, alarms: Alarms) -> list[str]:
    with pytest.raises(DuplicatesAlarm) as raised:
        check_alarms(*done, alarms)
    return str(raised.value).splitlines()


def test_counts_are_those_of_the_labels(done: Deduplicated) -> None:
    bad, good, tiny = duplicate_counts(*done)
    assert (bad.source, bad.documents, bad.representatives) == ("bad", 1000, 1)
    assert (bad.bytes + bad.text, bad.near, bad.repeated, bad.removed) == (599, 0, 0, 599)
    assert {bad.bytes, bad.text} in ({449, 150}, {150 - 1, 450})
    assert (bad.removed_share, good.removed, tiny.removed) == (0.599, 199, 899)
    clusters = largest_clusters(*done)
    expected = [
        (smallest("three", 900), 900),
        (smallest("one", 600), 600),
        (smallest("two", 200), 200),
    ]
    assert [tuple(one) for one in clusters] == expected


def test_nothing_above_its_limit_is_no_alarm(done: Deduplicated) -> None:
    check_alarms(*done, Alarms(max_removed=0.6, max_cluster=0.5))
    check_alarms(*done, Alarms(max_removed=0.599, max_cluster=900 / 3900))  # a limit is allowed
    check_alarms(*done, Alarms(sources={"bad": 1.0}, max_cluster=1.0))


def test_source_that_loses_too_much_stops_with_a_table(done: Deduplicated) -> None:
    lines = alarm(done, Alarms(max_cluster=1.0))
    bad = duplicate_counts(*done)[0]
    assert lines[:7] == [
        "source bad: another stands for 59.9% of its 1,000 documents; its limit is 50.0%",
        "",
        "source  documents  bytes  text  near  another stands for  limit",
        f"bad         1,000    {bad.bytes}   {bad.text}     0               59.9%  50.0%  <-",
        *lines[4:6],
        "",
    ]
    assert lines[4].split()[:2] == ["good", "2,000"]
    assert lines[4].split()[-2:] == ["10.0%", "50.0%"]
    assert lines[5].split()[:2] == ["tiny", "900"]
    examples = [
        line.split()[-1] for line in lines if line.startswith("  tokenmill explain duplicate")
    ]
    removed = {id_.hex() for id_, _ in copies("one", 600)} - {smallest("one", 600)}
    assert len(examples) == len(set(examples) & removed) == 3
    assert "  duplicates.alarms.sources.bad: 0.6" in lines
    assert not any("max_cluster" in line for line in lines)


def test_raising_the_limit_that_the_alarm_names_lets_the_run_pass(done: Deduplicated) -> None:
    alarms = Alarms(max_removed=0.05, max_cluster=0.2)
    lines = alarm(done, alarms)
    limits = {
        name.removeprefix("sources."): float(limit)
        for line in lines
        if line.startswith("  duplicates.alarms.")
        for name, limit in [line.strip().removeprefix("duplicates.alarms.").split(": ")]
    }
    assert limits == {"bad": 0.6, "good": 0.1, "max_cluster": 0.24}
    cluster = limits.pop("max_cluster")
    check_alarms(*done, Alarms(max_removed=0.05, max_cluster=cluster, sources=limits))


def test_cluster_that_holds_too_much_stops_with_a_table(done: Deduplicated) -> None:
    lines = alarm(done, Alarms(max_removed=1.0))
    three, one, two = smallest("three", 900), smallest("one", 600), smallest("two", 200)
    assert lines[:2] == [
        f"cluster {three} holds 900 of all 3,900 documents (23.1%); the limit is 10.0%",
        f"cluster {one} holds 600 of all 3,900 documents (15.4%); the limit is 10.0%",
    ]
    start = next(n for n, line in enumerate(lines) if line.startswith("largest clusters"))
    table = [line.split() for line in lines[start + 1 : start + 4]]
    assert [row[:2] for row in table] == [[three, "900"], [one, "600"], [two, "200"]]
    assert [row[-1] for row in table] == ["<-", "<-", "0"]
    for row, size in zip(table, (900, 600, 200), strict=True):
        assert sum(map(int, row[2:6])) == size - 1
        assert row[4:6] == ["0", "0"]
    assert f"  tokenmill explain duplicate {three}" in lines
    assert "  duplicates.alarms.max_cluster: 0.24" in lines


def test_runs_of_few_documents_never_alarm(tmp_path: Path) -> None:
    documents = {PartKey("a", 0): copies("one", 999)}
    workspace = signed_workspace(tmp_path / "w", documents)
    plan = deduplicate(workspace, documents, levels=("bytes",))
    check_alarms(workspace, plan, Alarms(max_removed=0.0, max_cluster=0.0))
    (counts,) = duplicate_counts(workspace, plan)
    assert counts.removed == 997  # by bytes there are two texts


def test_record_met_twice_is_not_counted_as_removed(tmp_path: Path) -> None:
    documents = {PartKey("a", 0): [*copies("one", 1), *copies("one", 1), *own("a", 1000)]}
    workspace = signed_workspace(tmp_path / "w", documents)
    plan = deduplicate(workspace, documents, levels=("bytes",))
    (counts,) = duplicate_counts(workspace, plan)
    assert (counts.removed, counts.repeated, counts.documents) == (0, 1, 1002)
    check_alarms(workspace, plan, Alarms(max_removed=0.0, max_cluster=0.01))


@pytest.mark.parametrize(
    ("limits", "name"),
    [({"max_removed": 1.5}, "max_removed"), ({"max_cluster": -1}, "max_cluster"),
     ({"sources": {"news": 2}}, "sources.news")],
)  # fmt: skip
def test_limits_are_shares(limits: dict[str, float], name: str) -> None:
    with pytest.raises(
        ValueError, match=rf"duplicates.alarms.{name}: found .*; allowed are shares"
    ):
        Alarms(**limits)  # type: ignore[arg-type]

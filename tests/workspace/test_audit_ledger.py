"""The audit reads each entry from its own file, beside its copy, and holds few at a time."""

import os
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipelines.workspace.audit import audit
from pipelines.workspace.audit_ledger import Listed, ReadEntries, input_faults, read_entries
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.folding import ROWS
from pipelines.workspace.ledger import Entry, FileRef, entry_path
from pipelines.workspace.workspace import Workspace

MADE = Generation(job="extract", payload={"version": "1"})
LABELS = Generation(job="annotate.language", payload={"version": "1"})
SOURCES = ("страницы", "网页")
PARTS = 4


def entry(generation: Generation, source: str, part: int, rows: int = 0) -> Entry:
    documents = f"documents/{source}/part-{part:05d}.parquet"
    kind = "documents" if generation == MADE else "labels"
    path = documents if generation == MADE else documents.replace("documents", "labels")
    return Entry(
        job=generation.job,
        fp=generation.fp,
        source=source,
        part=part,
        files=(FileRef(kind=kind, path=path, sha256="a" * 64, bytes=9, rows=rows),),
        counts={"documents": rows, "rows": rows},
        inputs=() if generation == MADE else (documents,),
    )


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Two generations of the same parts, folded."""
    made = Workspace.create(str(tmp_path / "w"))
    for generation in (MADE, LABELS):
        made.ledger.declare(generation)
        for source in SOURCES:
            for part in range(PARTS):
                made.ledger.replace(entry(generation, source, part))
        made.ledger.fold(generation)
    return made


def file_of(workspace: Workspace, source: str, part: int) -> Path:
    return Path(workspace.storage.path(entry_path(MADE.name, source, part)))


def read(workspace: Workspace, generation: Generation) -> tuple[ReadEntries, Listed]:
    """All entries, and the list that an audit makes of them."""
    ledger = workspace.ledger
    found = read_entries(ledger, list(ledger.beside_fold(generation.name)))
    listed = Listed(ledger, generation.name)
    sound = [(one.source, one.part) for one in found.entries]
    listed.add(sound, found.known, is_copied=found.is_copied)
    return found, listed


def test_every_entry_is_read_once_and_can_be_gone_through_again(workspace: Workspace) -> None:
    found, listed = read(workspace, MADE)
    assert found.entries == [
        entry(MADE, source, part) for source in SOURCES for part in range(PARTS)
    ]
    assert found.faults == []
    assert listed.sound() == listed.known() == found.entries


def test_damage_is_named_and_only_what_was_read_is_gone_through_again(workspace: Workspace) -> None:
    one, other = SOURCES
    file_of(workspace, one, 0).unlink()
    file_of(workspace, one, 2).write_bytes(b"{")
    file_of(workspace, other, 1).write_bytes(b"\xff")
    workspace.ledger.replace(entry(MADE, other, 3, rows=7))
    workspace.ledger.replace(entry(MADE, other, 9))  # not in the fold
    found, listed = read(workspace, MADE)
    places = [(one, 1), (one, 3), (other, 0), (other, 2), (other, 3), (other, 9)]
    assert [(e.source, e.part) for e in found.entries] == places
    assert found.entries[4].counts["rows"] == 7
    assert list(listed.sound()) == found.entries  # the file's, and not the fold's
    assert list(listed.known().places()) == [
        *((one, part) for part in range(PARTS)),
        *((other, part) for part in range(PARTS)),
        (other, 9),
    ]
    paths = [entry_path(MADE.name, *place) for place in ((one, 0), (one, 2), (other, 1))]
    assert [fault.partition(": ")[0] for fault in found.faults] == [
        *paths,
        entry_path(MADE.name, other, 3),
    ]
    assert "missing; its fold has it" in found.faults[0]
    assert "is not what was folded" in found.faults[3]


def test_inputs_that_no_entry_names_are_faults(workspace: Workspace) -> None:
    def faults() -> list[str]:
        lists = [read(workspace, generation)[1] for generation in (MADE, LABELS)]
        return list(input_faults([listed.known() for listed in lists]))

    assert faults() == []
    file_of(workspace, SOURCES[0], 1).unlink()
    assert faults() == []  # the fold tells what it named; that it is gone is said elsewhere
    Path(workspace.storage.path(f"ledger/{MADE.name}/folded.parquet")).unlink()
    path = f"documents/{SOURCES[0]}/part-00001.parquet"
    assert faults() == [f"{path}: labels were made from it, and no ledger entry names it"]


def die_of_one(_: Workspace, one: Entry) -> list[str]:
    if (one.source, one.part) == (SOURCES[1], 2):
        os._exit(9)
    return []


def test_an_entry_whose_check_ends_its_process_is_the_one_that_is_told(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.workspace.audit._WORTH_PROCESSES", 0)
    Path(workspace.storage.path(f"ledger/{MADE.name}/folded.parquet")).unlink()
    report = audit(workspace, deep_checks={"extract": die_of_one}, processes=2)
    missing = [fault for fault in report.faults if ": missing (" in fault]
    (told,) = (fault for fault in report.faults if fault not in missing)
    path = entry_path(MADE.name, SOURCES[1], 2)
    assert told.startswith(f"{path}: its files cannot be checked (crashed: ")
    assert len(missing) == report.entries == 2 * len(SOURCES) * PARTS
    assert report.recounted == len(SOURCES) * PARTS - 1


def test_an_entry_that_goes_away_meanwhile_is_told(workspace: Workspace) -> None:
    Path(workspace.storage.path(f"ledger/{MADE.name}/folded.parquet")).unlink()

    def remove(_: Workspace, generation: str, __: object) -> list[str]:
        if generation == MADE.name:
            file_of(workspace, SOURCES[0], 1).unlink()
        return []

    faults = audit(workspace, across_parts=[remove]).faults
    assert any("cannot be checked (FileNotFoundError: " in fault for fault in faults)


def test_a_fold_in_another_order_is_none(workspace: Workspace) -> None:
    fold = Path(workspace.storage.path(f"ledger/{MADE.name}/folded.parquet"))
    table = pq.read_table(fold)
    pq.write_table(table.take(list(range(table.num_rows))[::-1]), fold)
    assert list(workspace.ledger.folded(MADE.name)) == []
    assert audit(workspace).entries == 2 * len(SOURCES) * PARTS


def test_few_entries_are_held_at_a_time(workspace: Workspace) -> None:
    """Files are read by 4 MB; faults are told of the data files, which are not there."""
    for part in range(PARTS, 5 * ROWS):
        values = {f"語{n}_Latn": 1000 * part + n for n in range(119)}  # 3 KB, 15 in memory
        workspace.ledger.replace(replace(entry(MADE, SOURCES[0], part), detail={"values": values}))
    tracemalloc.start()
    report = audit(workspace)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(report.faults) == report.entries == 5 * ROWS + 3 * PARTS
    assert peak < 32 << 20

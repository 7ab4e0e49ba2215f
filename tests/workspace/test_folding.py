"""Entries are read one after the other, from the fold where it has them; the fold is a copy."""

import itertools
import os
import shutil
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.folding import ROWS, Row, read_fold, write_fold
from pipelines.workspace.ledger import (
    Entry,
    FileRef,
    Ledger,
    LedgerError,
    entry_path,
    entry_to_json,
)
from pipelines.workspace.storage import Storage

GENERATION = Generation(job="annotate.language", payload={"version": "1"})
FOLD = f"ledger/{GENERATION.name}/folded.parquet"
PARTS = {"страницы": 300, "网页": ROWS}
"""Two row groups together, of which the first does not end where a source does."""


def entry(source: str, part: int, rows: int = 1) -> Entry:
    path = f"labels/{source}/part-{part:05d}.parquet"
    return Entry(
        job=GENERATION.job,
        fp=GENERATION.fp,
        source=source,
        part=part,
        files=(FileRef(kind="labels", path=path, sha256="a" * 64, bytes=9, rows=rows),),
        counts={"rows": rows, "documents": rows},
        detail={"values": {"language": {f"語{n}_Latn": part + n for n in range(119)}}},
    )


ENTRIES = [entry(source, part) for source in sorted(PARTS) for part in range(PARTS[source])]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    made = Ledger(Storage(str(folder)))
    for one in ENTRIES:
        made.replace(one)  # a commit would wait for the disk at each
    return folder


@pytest.fixture
def ledger(written: Path, tmp_path: Path) -> Ledger:
    """All entries in their files, which are replaced and never written to; no fold."""
    shutil.copytree(written, tmp_path / "w", copy_function=os.link)
    return Ledger(Storage(str(tmp_path / "w")))


def rows_of(ledger: Ledger) -> list[Row]:
    return list(read_fold(ledger.storage, FOLD))


def as_it_is(path: Path) -> tuple[int, int]:
    return path.stat().st_ino, path.stat().st_mtime_ns


def test_fold_holds_every_entry_once_by_source_and_part(ledger: Ledger) -> None:
    ledger.fold(GENERATION)
    paths = [entry_path(GENERATION.name, one.source, one.part) for one in ENTRIES]
    assert rows_of(ledger) == [(path, ledger.storage.read(path)) for path in paths]
    file = pq.ParquetFile(ledger.storage.path(FOLD))
    assert max(file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)) == ROWS


@pytest.mark.parametrize("source", [None, *PARTS])
def test_entries_are_those_of_fold_and_files_together(ledger: Ledger, source: str | None) -> None:
    ledger.fold(GENERATION)
    for part in (5, 700, 999):
        ledger.storage.remove(entry_path(GENERATION.name, "网页", part))
    late = [entry("网页", ROWS), entry("страницы", 100_000)]
    for one in late:
        ledger.replace(one)
    gone = {("网页", 5), ("网页", 700), ("网页", 999)}
    there = [one for one in (*ENTRIES, *late) if (one.source, one.part) not in gone]
    wanted = sorted(
        (one for one in there if source in (None, one.source)), key=lambda e: (e.source, e.part)
    )
    found = ledger.entries(GENERATION, source)
    assert list(found) == wanted
    assert len(found) == len(wanted)
    assert list(found.places()) == ledger.places(GENERATION, source)
    assert found == wanted
    assert found != wanted[1:]
    assert (found[0], found[-1], found[7:9]) == (wanted[0], wanted[-1], wanted[7:9])


def test_neither_sums_nor_folds_hold_all_entries(tmp_path: Path) -> None:
    """Five row groups of 4 MB are gone through, and at most three are held: old, new, to write."""
    ledger, num_parts = Ledger(Storage(str(tmp_path))), 5 * ROWS
    for part in range(num_parts):
        one = replace(entry("网页", part), detail={"text": "語" * 600})  # 6 bytes each as JSON
        ledger.storage.replace(entry_path(GENERATION.name, "网页", part), entry_to_json(one))

    def peak(call: Callable[[], object]) -> int:
        tracemalloc.start()
        call()
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    def add_up() -> None:
        assert sum(one.counts["rows"] for one in ledger.entries(GENERATION)) == num_parts

    most = {
        "summed from files": peak(add_up),
        "folded": peak(lambda: ledger.fold(GENERATION)),
        "folded again": peak(lambda: ledger.fold(GENERATION, {("网页", 7)})),
        "summed from the fold": peak(add_up),
    }
    assert {what: size for what, size in most.items() if size > 16 << 20} == {}


def test_fold_of_which_nothing_differs_is_left_as_it_is(ledger: Ledger) -> None:
    ledger.fold(GENERATION)
    path = Path(ledger.storage.path(FOLD))
    before = as_it_is(path)
    ledger.fold(GENERATION)
    ledger.fold(GENERATION, {("网页", 3)})
    assert as_it_is(path) == before
    assert ledger.storage.files("tmp") == []


@pytest.mark.parametrize("made", [None, {("网页", 3)}])
def test_fold_takes_up_what_was_made_anew(
    ledger: Ledger, made: set[tuple[str, int]] | None
) -> None:
    ledger.fold(GENERATION)
    ledger.replace(entry("网页", 3, rows=8))
    ledger.fold(GENERATION, made)
    assert dict(rows_of(ledger))[entry_path(GENERATION.name, "网页", 3)].count(b'"rows": 8') == 2
    assert sum(one.counts["rows"] for one in ledger.entries(GENERATION)) == len(ENTRIES) + 7


def test_entry_taken_back_leaves_the_fold(ledger: Ledger) -> None:
    ledger.fold(GENERATION)
    ledger.storage.remove(entry_path(GENERATION.name, "网页", ROWS - 1))
    ledger.fold(GENERATION, set())
    assert [one.part for one in ledger.folded(GENERATION.name)][-1] == ROWS - 2
    assert len(rows_of(ledger)) == len(ENTRIES) - 1


def _in_the_middle(path: Path) -> None:
    data = bytearray(path.read_bytes())
    group = pq.ParquetFile(path).metadata.row_group(1).column(1)
    start = group.dictionary_page_offset or group.data_page_offset
    data[start : start + group.total_compressed_size] = bytes(group.total_compressed_size)
    path.write_bytes(data)


def _at_the_end(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _of_something_else(path: Path) -> None:
    path.write_bytes(b"PAR1 ... PAR1")


@pytest.mark.parametrize("damage", [_in_the_middle, _at_the_end, _of_something_else])
def test_damaged_fold_is_read_from_files_and_written_again(
    ledger: Ledger, damage: Callable[[Path], None]
) -> None:
    ledger.fold(GENERATION)
    whole = rows_of(ledger)
    damage(Path(ledger.storage.path(FOLD)))
    assert len(rows_of(ledger)) <= ROWS
    assert list(ledger.folded(GENERATION.name)) == []
    assert list(ledger.entries(GENERATION)) == ENTRIES
    ledger.fold(GENERATION, set())
    assert rows_of(ledger) == whole


def test_rows_of_a_fold_that_are_no_entries_are_passed_over(ledger: Ledger) -> None:
    path = entry_path(GENERATION.name, "страницы", 0)
    strange = [(path, b'{"job": '), ("ledger/else", b"{}"), ("ledger/a@b/c/part-x.json", b"{}")]
    write_fold(Path(ledger.storage.path(FOLD)), [strange])
    assert list(itertools.islice(ledger.entries(GENERATION), 3)) == ENTRIES[:3]


def test_damaged_entry_is_not_folded(ledger: Ledger) -> None:
    ledger.storage.replace(entry_path(GENERATION.name, "网页", 7), b'{"job": ')
    with pytest.raises(LedgerError, match=r"网页/part-00007\.json is damaged"):
        ledger.fold(GENERATION)
    assert not ledger.storage.exists(FOLD)
    assert ledger.storage.files("tmp") == []


def test_file_under_a_name_that_no_entry_has_is_refused(ledger: Ledger) -> None:
    ledger.storage.replace(f"ledger/{GENERATION.name}/网页/part-7.json", b"{}")
    with pytest.raises(LedgerError, match=r"found .*part-7\.json; .*part-00007\.json"):
        ledger.entries(GENERATION)


def test_entries_of_some_parts_must_all_be_there(ledger: Ledger) -> None:
    entries = ledger.entries(GENERATION)
    assert list(entries.of("网页", [900, 3])) == [entry("网页", 3), entry("网页", 900)]
    with pytest.raises(LookupError, match=f"{GENERATION.name} has no entry for part 301 of стр"):
        entries.of("страницы", [1, 400, 301])


def test_entry_with_some_of_its_detail_is_else_the_same() -> None:
    one = ENTRIES[0]
    assert one.with_detail("values", "spans") == one
    assert one.with_detail("spans").detail == {}
    assert one.with_detail().content == one.content

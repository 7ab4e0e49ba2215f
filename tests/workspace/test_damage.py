"""A file that is not what was committed is never read as if it were, and the error says it all."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from pipelines.workspace import parts
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import PartKey, entry_of
from pipelines.workspace.ledger import FileRef, Stopwatch
from pipelines.workspace.parts import (
    DamagedFile,
    PartFile,
    check_file,
    footer_rows,
    open_part,
    read_batches,
    read_table,
)
from pipelines.workspace.workspace import Workspace

TEXTS = ["The tide clock is wrong.", "Часы у причала спешат.", "港の時計は進んでいる。🙂"]
JOB = Generation(job="extract", payload={"n": 1})


def rows_of(texts: list[str]) -> pa.RecordBatch:
    return pa.record_batch({"id": [b"%016d" % n for n in range(len(texts))], "text": texts})


def committed(workspace: Workspace, part: int, texts: list[str]) -> FileRef:
    rows = rows_of(texts)
    with PartFile(workspace.storage, rows.schema) as file:
        file.write(rows)
        ref = file.publish("documents", f"documents/notes@{JOB.fp}", part)
    key = PartKey("notes", part)
    workspace.ledger.commit(entry_of(JOB, key, files=(ref,), counts={}, watch=Stopwatch()))
    return ref


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(str(tmp_path / "w"))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 4
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def put_another(path: Path) -> None:
    (other,) = [one for one in path.parent.iterdir() if one != path]
    path.write_bytes(other.read_bytes())


READS: dict[str, Callable[[Workspace, FileRef], object]] = {
    "table": lambda w, ref: read_table(w.storage, ref),
    "column": lambda w, ref: read_table(w.storage, ref, ["id"]),
    "batches": lambda w, ref: list(read_batches(w.storage, ref)),
    "batches of a column": lambda w, ref: list(read_batches(w.storage, ref, ["id"])),
    "check": lambda w, ref: check_file(w.storage, ref),
}


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("damage", [flip, cut, empty, put_another])
def test_damaged_file_is_named_with_entry_hashes_and_remedy(
    workspace: Workspace, damage: Callable[[Path], None], read: str
) -> None:
    ref = committed(workspace, 0, TEXTS)
    committed(workspace, 1, TEXTS[::-1])
    path = Path(workspace.url) / ref.path
    damage(path)
    with pytest.raises(DamagedFile) as told:
        READS[read](workspace, ref)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    for word in (ref.path, f"ledger/{JOB.name}/notes/part-00000.json", found, ref.sha256):
        assert word in str(told.value)
    assert f"`tokenmill audit {workspace.url} --repair` takes back" in str(told.value)


@pytest.mark.parametrize("read", READS)
def test_missing_file_is_named_with_its_entry(workspace: Workspace, read: str) -> None:
    ref = committed(workspace, 0, TEXTS)
    (Path(workspace.url) / ref.path).unlink()
    with pytest.raises(OSError, match=rf"{ref.path}") as told:
        READS[read](workspace, ref)
    assert isinstance(told.value, DamagedFile)
    assert f"ledger/{JOB.name}/notes/part-00000.json names it" in str(told.value)


@pytest.mark.parametrize("read", READS)
def test_large_file_is_checked_by_size_rows_and_pages(
    workspace: Workspace, read: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "_HASHED_BYTES", 0)
    ref = committed(workspace, 0, TEXTS)
    READS[read](workspace, ref)
    other = committed(workspace, 1, TEXTS[:1])
    whole = (Path(workspace.url) / ref.path).read_bytes()
    for damage in (cut, empty, put_another):
        damage(Path(workspace.url) / ref.path)
        with pytest.raises(DamagedFile):
            READS[read](workspace, ref)
    (Path(workspace.url) / ref.path).write_bytes(whole)
    assert read_table(workspace.storage, other).num_rows == 1


def test_flipped_bit_in_a_page_of_a_large_file_is_found(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "_HASHED_BYTES", 0)
    ref = committed(workspace, 0, [text * 50 for text in TEXTS])
    path = Path(workspace.url) / ref.path
    whole = path.read_bytes()
    wrong = []
    for place in range(4, len(whole) - 8, 11):
        data = bytearray(whole)
        data[place] ^= 1
        path.write_bytes(data)
        try:
            read = read_table(workspace.storage, ref, ["id", "text"])
        except DamagedFile:
            continue
        if read.column("text").to_pylist() != [text * 50 for text in TEXTS]:
            wrong.append(place)
    assert wrong == []


@pytest.mark.parametrize("read", ["table", "column", "batches", "batches of a column"])
def test_large_file_of_other_rows_than_were_committed_is_refused(
    workspace: Workspace, read: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "_HASHED_BYTES", 0)
    ref = replace(committed(workspace, 0, TEXTS), rows=4)
    with pytest.raises(DamagedFile, match="found 3 rows, and 4 were committed"):
        READS[read](workspace, ref)


def test_footer_of_a_damaged_file_is_damage(workspace: Workspace) -> None:
    ref = committed(workspace, 0, TEXTS)
    assert footer_rows(workspace.storage, ref) == 3
    cut(Path(workspace.url) / ref.path)
    with pytest.raises(DamagedFile):
        footer_rows(workspace.storage, ref)


def test_error_of_a_reader_is_no_damage_of_a_whole_file(workspace: Workspace) -> None:
    ref = committed(workspace, 0, TEXTS)
    with pytest.raises(ValueError, match=r"^mine$"), open_part(workspace.storage, ref):
        raise ValueError("mine")
    with pytest.raises(TimeoutError, match="away"), open_part(workspace.storage, ref):
        raise TimeoutError("the store is away")


def test_whole_file_is_read_as_it_was_written(workspace: Workspace) -> None:
    ref = committed(workspace, 0, TEXTS)
    for read in (read_table(workspace.storage, ref), *read_batches(workspace.storage, ref)):
        assert read.column("text").to_pylist() == TEXTS
    unknown = FileRef(kind="documents", path=ref.path, sha256="", bytes=0, rows=0)
    assert read_table(workspace.storage, unknown, ["text"]).num_rows == 3

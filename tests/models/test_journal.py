"""What was paid for is kept: over SIGKILL, torn lines and garbage, on disk and object stores."""

import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from pipelines.models.chat import Answer
from pipelines.models.journal import Journal, journal_folder, open_journal
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.storage import Storage

PART = PartKey("web", 3)
FOLDER = journal_folder("tiny", PART)
ANSWER = Answer(
    text="Siebzehn.\nTabak 🚬 \u2028 ไทย \x00", reasoning="hm", reason="truncated", message="cut",
    prompt_tokens=7, completion_tokens=9, seconds=0.25, tries=2, answered_by="tiny-1",
)  # fmt: skip


def key(number: int) -> str:
    return f"{number:032x}"


@pytest.fixture(params=["local", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "local":
        return Storage(str(tmp_path))
    return Storage(f"memory://journal-{uuid.uuid4().hex}")


def test_file_answer_comes_back_whole_at_once_and_later(storage: Storage) -> None:
    with open_journal(storage, "tiny", PART) as journal:
        assert journal.find(key(1)) is None
        journal.file(key(1), ANSWER)
        journal.file(key(2), Answer(text=None, reason="empty"))
        now = journal.find(key(1))
    with open_journal(storage, "tiny", PART) as journal:
        later, empty = journal.find(key(1)), journal.find(key(2))
        assert journal.find(key(3)) is None
        assert len(journal) == 2
    assert now == later
    assert later is not None
    assert later.from_journal
    assert [getattr(later, name) for name in ("text", "reasoning", "reason", "message")] == [
        ANSWER.text, "hm", "truncated", "cut",
    ]  # fmt: skip
    assert (later.prompt_tokens, later.completion_tokens, later.seconds) == (7, 9, 0.25)
    assert (later.tries, later.answered_by) == (2, "tiny-1")
    assert empty == Answer(text=None, reason="empty", from_journal=True)


def test_open_parts_models_and_sources_are_apart(storage: Storage) -> None:
    with open_journal(storage, "tiny", PART) as journal:
        journal.file(key(1), ANSWER)
    for model, part in [
        ("tiny-2", PART), ("tiny", PartKey("web", 4)), ("tiny", PartKey("web.x", 3)),
    ]:  # fmt: skip
        with open_journal(storage, model, part) as journal:
            assert journal.find(key(1)) is None


@pytest.mark.parametrize("model", ["..", ".", "a/b", "../x", "Qwen3 8B", "größer", "a%2Fb"])
def test_open_any_name_of_a_model_stays_in_its_folder(tmp_path: Path, model: str) -> None:
    with open_journal(Storage(str(tmp_path)), model, PART) as journal:
        journal.file(key(1), ANSWER)
    (found,) = tmp_path.rglob("*.jsonl")
    parts = found.relative_to(tmp_path).parts
    assert len(parts) == 5
    assert (parts[0], parts[2:4]) == ("answers", ("web", "part-00003"))


def test_open_writes_nothing_until_there_is_an_answer(storage: Storage) -> None:
    with open_journal(storage, "tiny", PART) as journal:
        journal.file(key(1), ANSWER)
    files = storage.files("answers")
    for _ in range(3):
        with open_journal(storage, "tiny", PART) as journal:
            assert journal.find(key(1)) is not None
    assert storage.files("answers") == files


def test_open_torn_and_foreign_lines_are_as_if_not_there(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    with open_journal(storage, "tiny", PART) as journal:
        for number in range(3):
            journal.file(key(number), ANSWER)
    (path,) = tmp_path.rglob("*.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    odd = [
        b"\n", b"[]\n", b"\xff\xfe\n", b'{"key":"zz"}\n',
        b'{"key":"' + key(8).encode() + b'","te}\n',
        json.dumps({"key": key(9), "text": 7}).encode() + b"\n",
        json.dumps({"key": key(9), "text": 7}, separators=(",", ":")).encode() + b"\n",
    ]  # fmt: skip
    path.write_bytes(b"".join([lines[0], *odd, lines[1], lines[2][:-20]]))
    with open_journal(storage, "tiny", PART) as journal:
        kept = [number for number in range(12) if journal.find(key(number)) is not None]
        assert kept == [0, 1]
        journal.file(key(2), ANSWER)  # into another file
    with open_journal(storage, "tiny", PART) as journal:
        assert journal.find(key(2)) is not None
    assert path.read_bytes().endswith(lines[2][:-20])


def test_file_two_journals_of_one_part_do_not_mix(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    with open_journal(storage, "tiny", PART) as one, open_journal(storage, "tiny", PART) as other:
        for number in range(50):
            one.file(key(number), ANSWER)
            other.file(key(number + 50), ANSWER)
        assert one.find(key(50)) is None
    with open_journal(storage, "tiny", PART) as journal:
        assert all(journal.find(key(number)) for number in range(100))


WRITER = """
import sys
from pipelines.models.chat import Answer
from pipelines.models.journal import Journal
from pipelines.workspace.storage import Storage
journal = Journal(Storage(sys.argv[1]), sys.argv[2])
for number in range(10**9):
    journal.file(f"{number:032x}", Answer(text=f"Antwort {number} " * 50))
    sys.stdout.write("x")
    sys.stdout.flush()
"""


def test_file_killed_writer_loses_nothing_that_it_had_written(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path), FOLDER]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        told = writer.stdout.read(2000)
        os.kill(writer.pid, signal.SIGKILL)
        told += writer.stdout.read()
    assert writer.returncode == -signal.SIGKILL
    with open_journal(Storage(str(tmp_path)), "tiny", PART) as journal:
        for number in range(len(told)):
            found = journal.find(key(number))
            assert found is not None
            assert found.text == f"Antwort {number} " * 50
        assert len(journal) in (len(told), len(told) + 1)


def test_file_object_store_gets_segments_while_the_part_goes_on() -> None:
    storage = Storage(f"memory://journal-{uuid.uuid4().hex}")
    journal = Journal(storage, FOLDER, segment_s=1e9)
    long = Answer(text="a" * (3 << 20))
    for number in range(6):  # every third fills a segment
        journal.file(key(number), long)
    journal.close()
    stored = storage.files(FOLDER)
    assert [path[-12:] for path in stored] == [f"-{n:05d}.jsonl" for n in range(len(stored))]
    assert 1 <= len(stored) <= 3
    lines = b"".join(storage.read(path) for path in stored).splitlines()
    assert [json.loads(line)["key"] for line in lines] == [key(number) for number in range(6)]


def test_file_object_store_that_takes_nothing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage(f"memory://journal-{uuid.uuid4().hex}")

    def refuse(*_: object, **__: object) -> bool:
        raise PermissionError("read-only bucket")

    monkeypatch.setattr(type(storage.fs), "pipe_file", refuse)
    journal = Journal(storage, FOLDER, segment_s=1e9)
    journal.file(key(1), ANSWER)
    with pytest.raises(PermissionError, match="read-only bucket"):
        journal.close()


def test_file_full_disk_is_an_error_and_the_line_is_not_there(tmp_path: Path) -> None:
    import resource

    storage = Storage(str(tmp_path))
    journal = Journal(storage, FOLDER)
    journal.file(key(1), ANSWER)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            journal.file(key(2), Answer(text="b" * 1000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert journal.find(key(2)) is None
    journal.file(key(3), ANSWER)
    journal.close()
    with open_journal(storage, "tiny", PART) as again:
        assert [again.find(key(number)) is not None for number in (1, 2, 3)] == [True, False, True]

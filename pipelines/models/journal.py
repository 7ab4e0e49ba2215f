"""The journal of one part: every answer of a model is filed before anything is made of it.

    answers/<model>/<source>/part-00000/<unique>.jsonl     one line an answer, in order of arrival
    {"key":"<32 hexadecimal digits>","text":...,"reasoning":...,"reason":...,...}

Whoever opens a part's journal reads all files of its folder and writes one of its own, so that two
workers that do the same part, or one that was killed and its successor, never write the same file.
A line is one `write` of the operating system: it outlives the process (SIGKILL), though not the
loss of the machine's power. A line without its end, or that is no answer, is as if it were not
there. In memory stands an index of places, not the answers: a part of long thinking has gigabytes.

Object stores cannot append. There the file is written on this machine, and what has been added is
stored every few seconds as `<unique>-00000.jsonl`, `-00001`, ..., each created only if absent; a
kill loses the seconds since the last.

What a model answered is filed, also where it was cut off or refused. Failures of the endpoint are
not: they may pass. Nor is what it would not take (the context, the picture, the form): that costs
no token, and hangs on how the server is set up, which is not part of a request's key.
"""

import json
import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Final
from urllib.parse import quote

from pipelines.models.chat import KEY_DIGITS, Answer
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.storage import Storage

FOLDER: Final = "answers"
FILED: Final = (None, "truncated", "refused", "empty")
"""Reasons of answers that are filed."""

_SEGMENT_S: Final = 5.0
_SEGMENT_BYTES: Final = 8 << 20
_HEAD: Final = b'{"key":"'
_KEY_END: Final = len(_HEAD) + KEY_DIGITS
_FIELDS: Final = {
    "text": (str, type(None)),
    "reasoning": (str, type(None)),
    "reason": (str, type(None)),
    "message": (str, type(None)),
    "prompt_tokens": (int,),
    "completion_tokens": (int,),
    "seconds": (int, float),
    "tries": (int,),
    "answered_by": (str,),
}


def journal_folder(model: str, key: PartKey) -> str:
    """Folder of a part's journal, relative to the workspace.

    Args:
        model: Identity of the model; any characters.
        key: The part.
    """
    name = quote(model, safe=" ")
    if not name.strip("."):
        name = name.replace(".", "%2E")  # else it would be a folder above
    return f"{FOLDER}/{name}/{key.source}/part-{key.part:05d}"


class Journal:
    """Answers of one model to the requests of one part; used by one thread at a time."""

    def __init__(self, storage: Storage, folder: str, *, segment_s: float = _SEGMENT_S) -> None:
        """Args:
        storage: Of the workspace.
        folder: Relative; need not be there.
        segment_s: On object stores: how often what was added is stored.
        """
        self._storage, self._folder = storage, folder
        self._files: list[IO[bytes]] = []
        self._places: dict[bytes, tuple[int, int, int]] = {}  # key -> file, offset, bytes
        self._own: _OwnFile | None = None
        self._segment_s = segment_s
        for file in _old_files(storage, storage.files(folder)):
            self._index(file)

    def find(self, key: str) -> Answer | None:
        """The answer to a request; None where there is none, or what was filed cannot be read."""
        place = self._places.get(bytes.fromhex(key))
        if place is None:
            return None
        number, offset, size = place
        return _read_line(os.pread(self._files[number].fileno(), size, offset))

    def file(self, key: str, answer: Answer) -> None:
        """Files an answer; of several to one key the last counts.

        Raises:
            OSError: It cannot be stored; nothing may be made of it then.
        """
        if self._own is None:
            self._own = _OwnFile(self._storage, self._folder, self._segment_s)
            self._files.append(self._own.file)
        line = _line(key, answer)
        offset = self._own.append(line)
        self._places[bytes.fromhex(key)] = (len(self._files) - 1, offset, len(line))

    def close(self) -> None:
        """Stores what is not yet stored, and closes the files.

        Raises:
            OSError: It cannot be stored.
        """
        try:
            if self._own is not None:
                self._own.close()
        finally:
            for file in self._files:
                file.close()
            self._files, self._places, self._own = [], {}, None

    def __len__(self) -> int:
        return len(self._places)

    def _index(self, file: IO[bytes]) -> None:
        """Notes the places of a file's lines."""
        number, offset = len(self._files), 0
        self._files.append(file)
        for line in file:
            if line.startswith(_HEAD) and line.endswith(b"}\n"):
                key = _key_bytes(line)
                if key is not None:
                    self._places[key] = (number, offset, len(line))
            offset += len(line)


@contextmanager
def open_journal(storage: Storage, model: str, key: PartKey) -> Iterator[Journal]:
    """The journal of a part, closed at the end."""
    journal = Journal(storage, journal_folder(model, key))
    try:
        yield journal
    finally:
        journal.close()


class _OwnFile:
    """The file that one journal appends to."""

    def __init__(self, storage: Storage, folder: str, segment_s: float) -> None:
        self._storage = storage
        self._stem = f"{folder}/{uuid.uuid4().hex[:12]}"
        self._size = 0
        self._segments: _Segments | None = None
        if storage.is_local:
            path = Path(storage.path(f"{self._stem}.jsonl"))
            path.parent.mkdir(parents=True, exist_ok=True)
            self.file: IO[bytes] = path.open("x+b", buffering=0)
        else:
            self.file = _unlinked(storage)
            self._segments = _Segments(storage, self._stem, self.file, segment_s)

    def append(self, line: bytes) -> int:
        """Appends a line; gives its offset."""
        offset, done = self._size, 0
        while done < len(line):
            # In one call, but for a disk that is nearly full; a rest that fails is cut off by the
            # next line, which overwrites it.
            done += os.pwrite(self.file.fileno(), line[done:], offset + done)
        self._size += len(line)
        if self._segments is not None:
            self._segments.note(self._size)
        return offset

    def close(self) -> None:
        """Waits until all is stored."""
        if self._segments is not None:
            self._segments.close()


class _Segments:
    """Stores what is added to a file, in a thread of its own."""

    def __init__(self, storage: Storage, stem: str, file: IO[bytes], every_s: float) -> None:
        self._storage, self._stem, self._file, self._every_s = storage, stem, file, every_s
        self._written = self._stored = self._number = 0
        self._failed: Exception | None = None
        self._closes = False
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def note(self, size: int) -> None:
        """Notes that the file has so many bytes; raises what has failed."""
        if self._failed is not None:
            raise self._failed
        self._written = size
        if size - self._stored >= _SEGMENT_BYTES:
            self._woken.set()

    def close(self) -> None:
        """Stores the rest; raises what has failed."""
        self._closes = True
        self._woken.set()
        self._thread.join()
        if self._failed is not None:
            raise self._failed

    def _run(self) -> None:
        try:
            while True:
                self._woken.wait(self._every_s)
                self._woken.clear()
                is_last = self._closes
                self._store(self._written)
                if is_last:
                    return
        except Exception as error:
            self._failed = error

    def _store(self, end: int) -> None:
        if end == self._stored:
            return
        data = os.pread(self._file.fileno(), end - self._stored, self._stored)
        name = f"{self._stem}-{self._number:05d}.jsonl"
        if not self._storage.create(name, data):
            raise FileExistsError(f"{name} is there, and its name is one of chance")
        self._stored, self._number = end, self._number + 1


def _old_files(storage: Storage, paths: list[str]) -> Iterator[IO[bytes]]:
    """Stored files, opened on this machine; those of an object store copied into one."""
    if storage.is_local:
        for path in paths:
            yield Path(storage.path(path)).open("rb")
    elif paths:
        copy = _unlinked(storage)
        for path in paths:
            copy.write(storage.read(path))
        copy.seek(0)
        yield copy


def _unlinked(storage: Storage) -> IO[bytes]:
    """A file on this machine that is gone when it is closed."""
    path = storage.scratch(".jsonl")
    file = path.open("x+b")
    path.unlink()
    return file


def _key_bytes(line: bytes) -> bytes | None:
    try:
        return bytes.fromhex(line[len(_HEAD) : _KEY_END].decode("ascii"))
    except ValueError:
        return None


def _line(key: str, answer: Answer) -> bytes:
    told = {"key": key, **{name: getattr(answer, name) for name in _FIELDS}}
    text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace") + b"\n"


def _read_line(line: bytes) -> Answer | None:
    try:
        told = json.loads(line)
        fields = {name: told[name] for name in _FIELDS}
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not all(isinstance(fields[name], types) for name, types in _FIELDS.items()):
        return None
    return replace(Answer(text=None), **fields, from_journal=True)

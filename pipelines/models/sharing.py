"""One model server a machine, however many worker processes use it.

A keeper, a process of its own (`pipelines.models.keeper`), owns the server; workers reach it over a
socket in a folder that only their user may open. A worker's open connection is its claim: the first
worker starts the keeper, and when the last connection is closed, by whatever end its process finds,
the keeper ends the server and itself. A worker that dies so takes nothing from the others, and
none leaves a server behind. Should the keeper die, the guardian ends the server, and the next
worker that notices starts another keeper.

Beam has `MultiProcessShared` for such things. It was not taken (2.77): the process that it spawns
ends with the worker that happened to be first, and with it the server of all others; and it listens
on a TCP port with a key that stands in Beam's source and unpickles what comes in, so that every
user of the machine could run code as us. Here both sides speak lines of JSON. As with Beam's, the
processes must see one folder for temporary files: on Dataflow that takes the option
`--experiments=no_use_multiple_sdk_containers`.
"""

import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from hashlib import blake2b
from multiprocessing.util import Finalize
from pathlib import Path
from typing import IO, Any, Final

from pipelines.models.gpus import VISIBLE, locked
from pipelines.models.server import COMMAND_VARIABLE, find_vllm
from pipelines.models.settings import ModelConfig
from pipelines.models.upstream import EndpointError
from pipelines.workspace.fingerprints import canonical_json

_TRIES: Final = 3
_KEEPER: Final = (
    "import json, sys; told = json.loads(sys.argv[1]); sys.path[:] = told['path']; "
    "from pipelines.models.keeper import main; main(told)"
)
_SERVER_KEYS: Final = (
    "name",
    "start_timeout",
    "gpus",
    "tensor_parallel",
    "max_model_len",
    "serve",
)
"""Keys of a model that decide what its server is, beside `model` itself."""


class SharedServer:
    """The server of a model on this machine, as one process sees it.

    Start numbers never come twice, also where a keeper has died and another counts from 0.
    """

    def __init__(self, model: ModelConfig, folder: Path | None = None) -> None:
        """Args:
        model: What is served.
        folder: Of this user, on this machine; None: the usual one.
        """
        self._model = model
        self._folder = folder
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self._reader: IO[str] | None = None
        self._closing = False
        self._base = 0
        """What is added to the numbers of the present keeper."""
        self._highest = -1
        self._answered = 0

    @property
    def url(self) -> str:
        """Base address; waits while the server starts.

        Raises:
            EndpointError: It cannot be started, or was given up.
        """
        with self._lock:
            return str(self._ask({"call": "url"}))

    @property
    def pid(self) -> int | None:
        """Process id of the server; None while there is none."""
        with self._lock:
            pid: int | None = self._ask({"call": "pid"})
            return pid

    def revive(self, seen: int) -> int:
        """Starts a dead server again, once for all who ask; see `VllmServer.revive`."""
        with self._lock:
            number = self._ask({"call": "revive", "seen": seen})
            self._highest = self._base + int(number)
            return self._highest

    def answered(self, start: int) -> None:
        """Notes that a request succeeded on a start; the keeper learns it when that matters."""
        self._answered = max(self._answered, start)

    def close(self) -> None:
        """Gives up this process's claim; where it was the last, returns when the server is gone.

        A call that waits for a start ends with EndpointError. The next call makes a new claim.
        """
        self._closing = True
        if not self._lock.acquire(blocking=False):
            waited_for = self._connection
            if waited_for is not None:
                with suppress(OSError):
                    waited_for.shutdown(socket.SHUT_RDWR)
            self._lock.acquire()
        try:
            if self._connection is not None and self._reader is not None:
                with suppress(OSError):  # the keeper may be gone
                    self._connection.sendall(b'{"call": "leave"}\n')
                    self._reader.readline()
        finally:
            self._drop()
            self._closing = False
            self._lock.release()

    def _ask(self, message: dict[str, Any]) -> Any:  # noqa: ANN401
        """The keeper's reply; another keeper is started where there is none."""
        last: OSError | None = None
        for _ in range(_TRIES):
            try:
                reply = self._exchange(message)
            except OSError as error:
                last = error
                self._drop()
                if self._closing:
                    break
                continue
            if "error" in reply:
                raise EndpointError(reply["error"])
            return reply["value"]
        raise EndpointError(
            f"the keeper of the server of model {self._model.identity} cannot be reached: {last}"
        )

    def _exchange(self, message: dict[str, Any]) -> dict[str, Any]:
        if self._connection is None:
            self._connection = self._connect()
            self._reader = self._connection.makefile("r", encoding="utf-8")
            self._base = self._highest + 1
        told = {**message, "answered": max(0, self._answered - self._base)}
        if "seen" in told:
            told["seen"] -= self._base
        self._connection.sendall(json.dumps(told).encode() + b"\n")
        assert self._reader is not None
        line = self._reader.readline()
        if not line.endswith("\n"):
            raise ConnectionResetError("it hung up")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def _connect(self) -> socket.socket:
        """A connection to the keeper, which is started where there is none.

        Raises:
            EndpointError: It does not start.
        """
        folder = runtime_folder() if self._folder is None else self._folder
        tag = server_tag(self._model)
        address = folder / f"{tag}.sock"
        with locked(folder / f"{tag}.lock"):
            try:
                return _open(address)
            except (FileNotFoundError, ConnectionRefusedError):
                self._start_keeper(folder, tag)
                return _open(address)

    def _start_keeper(self, folder: Path, tag: str) -> None:
        try:
            find_vllm()  # the keeper inherits this environment: what is missing is told at once
        except ValueError as error:
            raise EndpointError(str(error)) from None
        told = {
            "model": self._model.model_dump(mode="json"),
            "folder": str(folder),
            "tag": tag,
            # Not by PYTHONPATH, which the server would inherit: it may be of another environment.
            "path": sys.path,
        }
        log = folder / f"{tag}.keeper.log"
        with log.open("wb") as errors:
            keeper = subprocess.Popen(
                [sys.executable, "-c", _KEEPER, json.dumps(told)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        assert keeper.stdout is not None
        with keeper.stdout:
            ready = keeper.stdout.readline()
        if not ready:
            code = keeper.wait()
            raise EndpointError(
                f"the keeper of the server of model {self._model.identity} ended with exit code "
                f"{code}:\n{log.read_text(errors='replace')[-2000:]}"
            )
        # Reaps the keeper when it ends; it is not waited for.
        threading.Thread(target=keeper.wait, name="keeper's end", daemon=True).start()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._reader is not None:
            self._reader.close()
        self._connection = self._reader = None


_shared: dict[str, SharedServer] = {}
_shared_lock = threading.Lock()


def shared_server(model: ModelConfig) -> SharedServer:
    """The server of a model on this machine; models that differ in price only share one."""
    with _shared_lock:
        tag = server_tag(model)
        if tag not in _shared:
            _shared[tag] = SharedServer(model)
            # Not atexit, which processes started by multiprocessing skip.
            Finalize(None, _shared[tag].close, exitpriority=5)
        return _shared[tag]


def stop_servers() -> None:
    """Gives up all claims of this process: between stages that need the GPUs for other models."""
    with _shared_lock:
        for server in _shared.values():
            server.close()


def server_tag(model: ModelConfig) -> str:
    """16 hexadecimal digits: names what a server is, with the GPUs that it may see."""
    weights = Path(model.model)
    told = {
        **{key: model.model_dump(mode="json")[key] for key in _SERVER_KEYS},
        "model": str(weights.resolve()) if weights.exists() else model.model,
        **{name: os.environ.get(name) for name in (COMMAND_VARIABLE, VISIBLE)},
    }
    return blake2b(canonical_json(told).encode(), digest_size=8).hexdigest()


def runtime_folder() -> Path:
    """A folder of this user on this machine, which nobody else may open.

    Raises:
        EndpointError: The place is somebody else's.
    """
    path = Path(tempfile.gettempdir(), f"tokenmill-{os.getuid()}")
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise EndpointError(
            f"{path} is no folder that only this user may open; remove it, or set TMPDIR to a "
            "folder of your own"
        )
    return path


def _open(address: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(address))
    except BaseException:
        connection.close()
        raise
    return connection

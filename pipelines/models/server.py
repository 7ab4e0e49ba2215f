"""Where the requests of a model go: a foreign endpoint, the echo server, or a vLLM of our own.

`engine: vllm` means `vllm serve` in a process of its own, because vLLM's own server is what its
makers tune: continuous batching over all requests in flight, several API processes, data parallel
copies. Nothing of vLLM is imported here, so its pins bind nobody: any vLLM that can be started as a
command will do, also one in another environment (TOKENMILL_VLLM_COMMAND).

A server is healthy when /health says so and /v1/models lists the model under our name. One that
dies or hangs is started again by the first caller that notices, and the others get the new one;
after `RESTARTS` starts in a row on which no request succeeded it is given up. Every error brings
the last lines of the server's own log, which is where the cause stands.
"""

import importlib.util
import json
import os
import select
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import IO, Final, NoReturn

from pipelines.models import guardian
from pipelines.models.gpus import VISIBLE, Devices, take_devices, visible_devices
from pipelines.models.settings import ECHO_URL, ModelConfig
from pipelines.models.upstream import EndpointError, Upstream

COMMAND_VARIABLE: Final = "TOKENMILL_VLLM_COMMAND"
RESTARTS: Final = 8
"""Restarts in a row without one success until a server is given up. A request that kills servers is
given up by the client after four, and two such requests may follow each other."""
LOG_LINES: Final = 120
"""Of the server's log, in an error."""

OUR_FLAGS: Final = {
    "model": "model",
    "revision": "model, as owner/name@revision",
    "served-model-name": "name",
    "host": "nothing, it is 127.0.0.1",
    "port": "nothing, a free one is taken",
    "tensor-parallel-size": "tensor_parallel",
    "data-parallel-size": "gpus (divided by tensor_parallel)",
    "max-model-len": "max_model_len",
    "api-key": "nothing, the server listens on 127.0.0.1",
}
"""Flags of vLLM that follow from other keys of a model."""

_HOST: Final = "127.0.0.1"
_GRACE_S: Final = 15.0
_LOOK_S: Final = 0.25
_HEALTH_TRIES: Final = 3
_HEALTH_TIMEOUT_S: Final = 20.0
_LOG_BYTES: Final = 1 << 16
_LONGEST_LINE: Final = 500
_ELSEWHERE: Final = "use `engine: endpoint` with the `url` of a server that runs elsewhere"
_INSTALL: Final = (
    "install it into this environment (pip install 'tokenmill[gpu]'; infra/vllm has a way for "
    "machines without network), name your own launcher in the environment variable "
    f"{COMMAND_VARIABLE} (such as 'python3 -m vllm.entrypoints.openai.api_server'), or {_ELSEWHERE}"
)
_NO_PROXY: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Endpoint:
    """A server that is not ours."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        """Base address."""

    def revive(self, seen: int) -> int:
        """Nothing can be done."""
        return 0

    def answered(self, start: int) -> None:
        """Nothing to note."""


class VllmServer:
    """A model server of this process, which ends with it.

    All methods may be called from several threads; callers wait while the server starts.
    """

    def __init__(
        self,
        model: ModelConfig,
        folder: Path,
        *,
        log: Path | None = None,
        command: Sequence[str] | None = None,
    ) -> None:
        """Args:
        model: What it serves.
        folder: Of this user, on this machine: for notes of GPUs taken.
        log: What the server prints is added to it; None: `server.log` in the folder.
        command: Starts vLLM; None: what TOKENMILL_VLLM_COMMAND says, else the vLLM that is found.
        """
        self.log = log or folder / "server.log"
        """What the server prints, of all starts."""
        self.start_number = -1
        """Of the last start, from 0."""
        self.pid: int | None = None
        """Of the server's first process."""
        self._model, self._folder, self._command = model, folder, command
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._devices: Devices | None = None
        self._url = ""
        self._log_start = 0
        self._last_answered = 0
        self._failure: str | None = None

    @property
    def url(self) -> str:
        """Base address; the server starts at the first call.

        Raises:
            EndpointError: It cannot be started, or was given up.
        """
        with self._lock:
            self._raise_failure()
            if self._process is None:
                self._start()
            return self._url

    def revive(self, seen: int) -> int:
        """Starts a dead server again, once for all who ask.

        Args:
            seen: The start whose server the caller found gone.

        Returns:
            Number of the start that is now healthy: `seen`, where nothing was wrong with it.

        Raises:
            EndpointError: It was started in vain too often.
        """
        with self._lock:
            self._raise_failure()
            if self._process is None or (seen >= self.start_number and not self._is_well()):
                if self.start_number - self._last_answered >= RESTARTS:
                    self._give_up(
                        f"died {RESTARTS + 1} times in a row before any request succeeded"
                    )
                self._stop()
                self._start()
            return self.start_number

    def answered(self, start: int) -> None:
        """Notes that a request succeeded on a start: restarts are counted anew."""
        self._last_answered = max(self._last_answered, start)

    def close(self) -> None:
        """Ends the server, and a start that is under way. The next `url` starts it again."""
        self._closing.set()
        with self._lock:
            self._stop()
            self._failure = None
            self._closing.clear()

    def _start(self) -> None:
        port = _free_port()
        command = self._full_command(port)
        self._devices = self._take_devices()
        self.start_number += 1
        self._folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            log.write(f"tokenmill: start {self.start_number}: {shlex.join(command)}\n".encode())
            log.flush()
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", guardian.__file__, str(_GRACE_S), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=server_environment(os.environ, self._devices),
                start_new_session=True,
            )
        assert self._process.stdout is not None
        self.pid = int(self._process.stdout.readline() or 0) or None
        self._await_health(f"http://{_HOST}:{port}")
        with self.log.open("a") as log_text:
            log_text.write(
                f"tokenmill: serving {self._model.identity} at {self._url}, pid {self.pid}\n"
            )

    def _await_health(self, root: str) -> None:
        assert self._process is not None
        began = monotonic()
        while not (_is_healthy(root) and self._model.identity in _models(root)):
            if _exits(self._process, _LOOK_S):
                code = self._process.wait()
                self._give_up(f"ended with exit code {code} before it was ready")
            if monotonic() - began > self._model.start_timeout:
                self._give_up(
                    f"was not ready after {self._model.start_timeout:g} s (`start_timeout`)"
                )
            if self._closing.is_set():
                self._give_up("was told to end before it was ready")
        self._url = f"{root}/v1"

    def _is_well(self) -> bool:
        """Whether the server lives and answers; a busy one gets time."""
        if self._process is None:
            return False
        for _ in range(_HEALTH_TRIES):
            if self._process.poll() is not None:
                return False
            if _is_healthy(self._url.removesuffix("/v1"), _HEALTH_TIMEOUT_S):
                return True
            # The end of a server that has just closed its connections is a moment away.
            _exits(self._process, _LOOK_S)
        return False

    def _stop(self) -> None:
        process, self._process, self.pid = self._process, None, None
        if process is not None:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()
            process.stdout.close()
            process.wait()
        if self._devices is not None:
            self._devices.release()
            self._devices = None

    def _give_up(self, what: str) -> NoReturn:
        tail = self._log_tail()
        hint = f"\n{_INSTALL}" if "No module named 'vllm'" in tail else ""
        self._failure = (
            f"the server of model {self._model.identity} {what}; the end of its log "
            f"{self.log}:\n{tail}{hint}"
        )
        self._stop()
        raise EndpointError(self._failure)

    def _raise_failure(self) -> None:
        """Raises why the server was given up: many wait for one start, and none tries it anew."""
        if self._failure is not None:
            raise EndpointError(self._failure)

    def _log_tail(self) -> str:
        """The last lines of this start."""
        with self.log.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, end - _LOG_BYTES))
            lines = deque(log.read().decode(errors="replace").splitlines(), LOG_LINES)
        return "\n".join(line[:_LONGEST_LINE] for line in lines)

    def _full_command(self, port: int) -> list[str]:
        try:
            return server_command(
                self._model, find_vllm() if self._command is None else self._command, port
            )
        except ValueError as error:
            raise EndpointError(f"model {self._model.identity}: {error}") from None

    def _take_devices(self) -> Devices | None:
        try:
            return take_devices(self._model.gpus, visible_devices(), self._folder / "gpus")
        except ValueError as error:
            raise EndpointError(f"model {self._model.identity}: {error}") from None


def find_vllm(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The command that starts vLLM's server.

    Args:
        environment: Its TOKENMILL_VLLM_COMMAND counts first, then `vllm` on its PATH, then a vLLM
            that this Python can import.

    Raises:
        ValueError: There is none, or this is not Linux.
    """
    if sys.platform != "linux":
        raise ValueError(f"`engine: vllm` needs Linux, and this is {sys.platform}: {_ELSEWHERE}")
    told = shlex.split(environment.get(COMMAND_VARIABLE, ""))
    if told:
        if shutil.which(told[0], path=environment.get("PATH")) is None:
            raise ValueError(f"{COMMAND_VARIABLE} names {told[0]}, which is no command here")
        return tuple(told)
    if shutil.which("vllm", path=environment.get("PATH")) is not None:
        return ("vllm", "serve")
    if importlib.util.find_spec("vllm") is not None:
        return (sys.executable, "-m", "vllm.entrypoints.cli.main", "serve")
    raise ValueError(f"`engine: vllm` needs vLLM, and there is none here: {_INSTALL}")


def server_command(model: ModelConfig, command: Sequence[str], port: int) -> list[str]:
    """The whole command line of a server.

    Flags that a model's `serve` does not name and that are set here: `--generation-config vllm`,
    since a request alone decides how tokens are drawn, not a file beside the weights; and
    `--disable-uvicorn-access-log`, a line for every request otherwise. Of `serve`, true gives the
    bare flag, false gives `--no-flag`, and everything else `--flag=value`.

    Args:
        model: What is served.
        command: Its beginning. One that ends in `serve` gets the model as its argument.
        port: To listen on.

    Raises:
        ValueError: `serve` names a flag that follows from another key.
    """
    name, _, revision = model.model.partition("@")
    flags: dict[str, str | int | float | bool] = {
        "host": _HOST,
        "port": port,
        "served-model-name": model.identity,
        "generation-config": "vllm",
        "disable-uvicorn-access-log": True,
    }
    if revision and not Path(model.model).exists():
        flags["revision"] = revision
    else:
        name = model.model
    if model.tensor_parallel > 1:
        flags["tensor-parallel-size"] = model.tensor_parallel
    if model.gpus > model.tensor_parallel:
        flags["data-parallel-size"] = model.gpus // model.tensor_parallel
    if model.max_model_len is not None:
        flags["max-model-len"] = model.max_model_len
    for key, value in model.serve.items():
        flag = key.lstrip("-").replace("_", "-")
        if flag in OUR_FLAGS:
            raise ValueError(f"serve: {key} is not set there; it follows from {OUR_FLAGS[flag]}")
        flags[flag] = value
    head = [name] if command[-1] == "serve" else ["--model", name]
    return [*command, *head, *(_flag(key, value) for key, value in flags.items())]


def server_environment(inherited: Mapping[str, str], devices: Devices | None) -> dict[str, str]:
    """The environment of a server: that of this process, without reports to vLLM's makers.

    An inherited VLLM_API_KEY is left out: the server would refuse our own requests.
    """
    environment = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", **inherited}
    environment.pop("VLLM_API_KEY", None)
    if devices is not None:
        environment[VISIBLE] = ",".join(devices.names)
    return environment


def upstream(model: ModelConfig) -> Upstream:
    """Where the requests of a model go.

    Args:
        model: `engine: vllm` gives the server that all processes of this machine share.
    """
    if model.engine == "vllm":
        from pipelines.models.sharing import shared_server

        return shared_server(model)
    assert model.url is not None
    if model.url == ECHO_URL:
        from pipelines.models.echo import shared_echo_url

        return Endpoint(shared_echo_url())
    return Endpoint(model.url)


def _flag(key: str, value: str | int | float | bool) -> str:
    if value is True:
        return f"--{key}"
    return f"--no-{key}" if value is False else f"--{key}={value}"


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((_HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def _is_healthy(root: str, timeout_s: float = _HEALTH_TIMEOUT_S) -> bool:
    try:
        with _NO_PROXY.open(f"{root}/health", timeout=timeout_s) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError):  # URLError and HTTPError are OSErrors
        return False


def _models(root: str) -> list[str]:
    """Names that a server lists; empty where it lists none: another program may hold the port."""
    answer: IO[bytes]
    try:
        with _NO_PROXY.open(f"{root}/v1/models", timeout=_HEALTH_TIMEOUT_S) as answer:
            return [str(one["id"]) for one in json.load(answer)["data"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _exits(process: "subprocess.Popen[bytes]", seconds: float) -> bool:
    """Whether a process ends within some seconds; wakes when it does."""
    if process.poll() is not None:
        return True
    watched = os.pidfd_open(process.pid)
    try:
        return bool(select.select([watched], [], [], seconds)[0])
    finally:
        os.close(watched)

"""The process that owns a model server for all worker processes of a machine.

It ends when the last of its workers has hung up; see `pipelines.models.sharing` for why it is
there. Workers send lines of JSON, one call at a time each: `url`, `revive`, `pid`, `leave`.
"""

import json
import os
import signal
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from pipelines.models.gpus import locked
from pipelines.models.server import VllmServer
from pipelines.models.settings import ModelConfig
from pipelines.models.upstream import EndpointError

_FIRST_WORKER_S: Final = 60.0
"""The worker that starts a keeper calls it at once, unless it has died in between."""


class Keeper:
    """Serves workers until none is left."""

    def __init__(self, server: VllmServer, listener: socket.socket) -> None:
        self._server = server
        self._listener = listener
        self._num_workers = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def run(self) -> None:
        """Returns when the last worker has gone and the server has ended."""
        threading.Thread(target=self._accept, daemon=True).start()
        signal.signal(signal.SIGTERM, lambda *_: self._ended.set())
        lonely = threading.Timer(_FIRST_WORKER_S, self._end_if_lonely)
        lonely.daemon = True
        lonely.start()
        self._ended.wait()
        self._server.close()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with self._lock:
                self._num_workers += 1
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        """Reads what a worker asks; reads on while it is answered, to notice that it hangs up."""
        with connection, connection.makefile("r", encoding="utf-8") as lines:
            try:
                for line in lines:
                    asked = json.loads(line)
                    if asked["call"] == "leave":
                        break
                    threading.Thread(
                        target=self._answer, args=[connection, asked], daemon=True
                    ).start()
            except OSError:
                pass  # it has hung up
            with self._lock:
                self._num_workers -= 1
                last = self._num_workers == 0
            if last:
                self._ended.set()
                threading.Event().wait()  # the connection closes with the process: all is gone

    def _answer(self, connection: socket.socket, asked: dict[str, Any]) -> None:
        try:
            reply = {"value": self._value(asked)}
        except EndpointError as error:
            reply = {"error": str(error)}
        except Exception as error:  # a bug; the worker would wait for ever
            reply = {"error": f"the keeper of the server failed: {error!r}"}
        with suppress(OSError):  # the worker may have hung up
            connection.sendall(json.dumps(reply).encode() + b"\n")

    def _value(self, asked: dict[str, Any]) -> str | int | None:
        self._server.answered(asked["answered"])
        if asked["call"] == "url":
            return self._server.url
        if asked["call"] == "revive":
            return self._server.revive(asked["seen"])
        return self._server.pid

    def _end_if_lonely(self) -> None:
        with self._lock:
            if self._num_workers == 0:
                self._ended.set()


def main(told: Mapping[str, Any]) -> None:
    """Keeps one server, and ends the process.

    Args:
        told: `model` (its settings as JSON values), `folder`, and `tag`, which names the socket.
    """
    folder, tag = Path(told["folder"]), told["tag"]
    model = ModelConfig.model_validate(told["model"])
    address = folder / f"{tag}.sock"
    # An earlier keeper of this server may still be ending it.
    with locked(folder / f"{tag}.alive"):
        address.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(address))
            listener.listen()
            log = folder / f"{quote(model.identity, safe='')}-{tag}.log"
            log.unlink(missing_ok=True)
            print("ready", flush=True)
            Keeper(VllmServer(model, folder, log=log), listener).run()
            address.unlink(missing_ok=True)
            os._exit(0)  # threads hold connections that close now, with everything

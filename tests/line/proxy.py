"""A TCP proxy on loopback before an HTTP server, which fails as networks do.

It cuts all connections and refuses new ones, stalls, resets, answers with an error of its own, or
lets a request through and loses its answer; and it writes down every request that passes.
"""

import asyncio
import re
import socket
import struct
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal

Action = Literal["reset", "lose answer", "truncate answer", "stall", "403", "429", "503"]
_HEAD: Final = re.compile(rb"(GET|PUT|POST|HEAD|DELETE|PATCH) (\S+) HTTP/1\.[01]\r\n")
_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_CHUNK: Final = 1 << 16
_ERRORS: Final = {"403": "403 Forbidden", "429": "429 Too Many Requests", "503": "503 Slow Down"}


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that came in."""

    method: str
    target: str
    """Path and query."""


@dataclass(slots=True)
class _Fault:
    action: Action
    when: Callable[[Seen], bool]
    times: int


class Proxy:
    """Forwards to `host:port` from a port of its own; a context manager."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._faults: deque[_Fault] = deque()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.seen: list[Seen] = []
        """All requests, in the order in which they came."""
        self.drop_header = b""
        """A header that servers of another make would not know; requests go on without it."""
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "Proxy":
        self._thread.start()
        self._do(self._listen)
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def fail(
        self, action: Action, when: Callable[[Seen], bool] = lambda _: True, times: int = 1
    ) -> None:
        """Lets the next requests for which `when` holds meet a fault."""
        self._faults.append(_Fault(action, when, times))

    def forget(self) -> None:
        """No more faults, nothing seen."""
        self._faults.clear()
        self.seen.clear()
        self.drop_header = b""

    def cut(self) -> None:
        """Resets all connections and refuses new ones, until `heal`."""
        self._do(self._stop_listening)

    def heal(self) -> None:
        """Accepts connections again, on the same port."""
        self._do(self._listen)

    def _do(self, action: Callable[[], Awaitable[None]]) -> None:
        async def run() -> None:
            await action()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(timeout=30)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._open):
            _reset(writer)

    async def _close(self) -> None:
        await self._stop_listening()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        upstream: asyncio.StreamWriter | None = None
        back: asyncio.Task[None] | None = None
        state = _Exchange()
        try:
            answers, upstream = await asyncio.open_connection(*self._upstream)
            back = asyncio.create_task(_answer(answers, writer, state))
            while chunk := await reader.read(_CHUNK):
                if not self._meet(chunk, state, writer):
                    await _swallow(chunk, reader)
                    await writer.drain()
                    break
                if self.drop_header:
                    chunk = re.sub(rb"(?i)\r\n" + self.drop_header + rb":[^\r]*", b"", chunk)
                if state.action != "stall":
                    upstream.write(chunk)
                    await upstream.drain()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for one in (writer, upstream):
                if one is not None:
                    one.close()
            if back is not None:
                back.cancel()
                await asyncio.gather(back, return_exceptions=True)
            self._open.discard(writer)
            self._tasks.discard(task)

    def _meet(self, chunk: bytes, state: "_Exchange", writer: asyncio.StreamWriter) -> bool:
        """Notes a request that begins, and says whether it goes through."""
        head = _HEAD.match(chunk) if state.expects_request else None
        if head is None:
            return True
        seen = Seen(head[1].decode(), head[2].decode())
        self.seen.append(seen)
        state.expects_request = False
        state.action = self._fault(seen)
        if state.action in _ERRORS:
            status = _ERRORS[state.action]
            answer = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            writer.write(answer.encode())
            return False
        if state.action == "reset":
            _reset(writer)
            return False
        return True

    def _fault(self, seen: Seen) -> Action | None:
        for fault in self._faults:
            if fault.times and fault.when(seen):
                fault.times -= 1
                return fault.action
        return None


@dataclass(slots=True)
class _Exchange:
    """Where a connection is: one request at a time, as HTTP/1.1 clients do."""

    expects_request: bool = True
    action: Action | None = None


async def _answer(
    answers: asyncio.StreamReader, writer: asyncio.StreamWriter, state: _Exchange
) -> None:
    """Passes answers on, or loses them."""
    try:
        while chunk := await answers.read(_CHUNK):
            if not chunk.startswith(b"HTTP/1.1 100"):
                state.expects_request = True
                if state.action == "lose answer":
                    _reset(writer)
                    return
                if state.action == "truncate answer":
                    writer.write(chunk[:-1])
                    await writer.drain()
                    _reset(writer)
                    return
            writer.write(chunk)
            await writer.drain()
        writer.close()  # the server is done with this connection
    except OSError:
        pass


async def _swallow(chunk: bytes, reader: asyncio.StreamReader) -> None:
    """Reads a request to its end, so that its sender reads the answer and meets no reset."""
    head, _, body = chunk.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    if length is None or b"100-continue" in head.lower():
        return
    left = int(length[1]) - len(body)
    while left > 0 and (more := await reader.read(_CHUNK)):
        left -= len(more)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection by RST, as a cut wire or a killed server does."""
    raw = writer.get_extra_info("socket")
    with suppress(OSError):  # closed already
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()

"""A server that answers byte for byte what a test wants, for many host names on one port."""

import socket
import socketserver
import struct
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from types import TracebackType

Reply = bytes | Iterable[bytes]
"""The whole answer, or pieces of it; after a piece that is empty the connection is cut, after RESET
it is reset."""
RESET = b"\x00reset"
RULES = ("/robots.txt", "/ai.txt", "/.well-known/tdmrep.json")
"""What a crawler asks for before it asks for pages."""


def reply(body: bytes | str = b"", status: str = "200 OK", **fields: str) -> bytes:
    """A well-formed answer; `_` in names of fields stands for `-`."""
    data = body.encode() if isinstance(body, str) else body
    given = {"Content_Type": "text/html", "Content_Length": str(len(data)), **fields}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in given.items() if value]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode() + data


class HostileServer:
    """Answers by (host, path); what it does not know is 404.

    `asked` lists (host, path) in the order of requests, `most_at_once` says how many requests of a
    host were ever under way together.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.heads: list[str] = []
        self.most_at_once: Counter[str] = Counter()
        self.together = 0
        self.on_request: Callable[[], None] | None = None
        self.fallback: Callable[[str], Reply] | None = None
        """Answers to paths that nothing else is known of, but the rules."""
        self._replies: dict[tuple[str, str], list[Callable[[], Reply]]] = {}
        self._under_way: defaultdict[str, int] = defaultdict(int)
        self._lock = threading.Lock()

    def on(self, url: str, *replies: Reply | Callable[[], Reply]) -> None:
        """Answers to an address, one after the other; the last one stays."""
        host, _, path = url.removeprefix("http://").partition("/")
        makers = [item if callable(item) else (lambda item=item: item) for item in replies]
        self._replies[host, f"/{path}"] = makers

    def paths(self, host: str) -> list[str]:
        """What a host was asked for, but its rules."""
        return [path for h, path in self.asked if h == host and path not in RULES]

    def __enter__(self) -> "HostileServer":
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            wbufsize = -1
            timeout = 10

            def handle(self) -> None:
                while outer._serve(self):
                    pass

        class Server(socketserver.ThreadingTCPServer):
            def handle_error(self, *_: object) -> None:
                """A client that hangs up is what these tests are about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.01])
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _serve(self, handler: socketserver.StreamRequestHandler) -> bool:
        """Answers one request; False where the connection is over."""
        head = self._read_head(handler)
        if not head:
            return False
        lines = head.split("\r\n")
        path = lines[0].split(" ")[1]
        fields = dict(line.split(": ", 1) for line in lines[1:] if line)
        host = fields["Host"].partition(":")[0]
        with self._lock:
            self.asked.append((host, path))
            self.heads.append(head)
            self._under_way[host] += 1
            self.most_at_once[host] = max(self.most_at_once[host], self._under_way[host])
            self.together = max(self.together, sum(self._under_way.values()))
        try:
            if self.on_request is not None:
                self.on_request()
            return self._send(handler, self._reply(host, path))
        finally:
            with self._lock:
                self._under_way[host] -= 1

    def _read_head(self, handler: socketserver.StreamRequestHandler) -> str:
        head = b""
        try:
            while line := handler.rfile.readline():
                if line == b"\r\n":
                    return head.decode()
                head += line
        except OSError:
            pass
        return ""

    def _reply(self, host: str, path: str) -> Reply:
        makers = self._replies.get((host, path))
        if makers is None and self.fallback is not None and path not in RULES:
            return self.fallback(path)
        if makers is None:
            return reply("nothing here", "404 Not Found")
        with self._lock:
            maker = makers.pop(0) if len(makers) > 1 else makers[0]
        return maker()

    def _send(self, handler: socketserver.StreamRequestHandler, answer: Reply) -> bool:
        try:
            for piece in [answer] if isinstance(answer, bytes) else answer:
                if piece == RESET:
                    linger = struct.pack("ii", 1, 0)  # no wait: close() sends RST
                    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                if not piece or piece == RESET:
                    return False
                handler.wfile.write(piece)
                handler.wfile.flush()
        except OSError:
            return False
        return True

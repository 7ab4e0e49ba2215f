"""A small web server on loopback that serves a folder under the name of a host.

The demo crawls it, and so do tests: a crawl of real HTTP without a network. It gives what is there
and nothing else: no listings, nothing outside the folder (links that lead out included), nothing
under another host's name. Pages are sent without a charset, so that their own `meta` tags count, as
on most servers. Each has an ETag that is a hash of it, and a client that holds it is told that
nothing has changed (304), so that a second pass of a crawl can be tried.
"""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes, urlsplit

LOOPBACK: Final = "127.0.0.1"
_TYPES: Final = {
    ".htm": "text/html",
    ".html": "text/html",
    ".xhtml": "application/xhtml+xml",
    ".txt": "text/plain",
    ".pdf": "application/pdf",
    ".xml": "application/xml",
    ".gz": "application/gzip",
}
_UNKNOWN: Final = "application/octet-stream"
_INDEX: Final = "index.html"
_IDLE_S: Final = 30.0


@contextmanager
def serve_site(folder: Path, host: str) -> Iterator[int]:
    """Serves a folder while the context lasts.

    Args:
        folder: What is served; a folder's own address gives its index.html.
        host: Name under which it is asked for, in lower case and Punycode.

    Yields:
        The port on 127.0.0.1, chosen by the system.

    Raises:
        ValueError: There is no such folder.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; name one that holds the pages of {host}")
    handler = partial(_Handler, folder=folder.resolve(), host=host)
    server = ThreadingHTTPServer((LOOPBACK, 0), handler)
    server.daemon_threads = True
    server.block_on_close = False  # a client may keep its connection open
    thread = threading.Thread(target=server.serve_forever, args=[0.05], daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def find_file(folder: Path, target: str) -> Path | None:
    """The file that a request target names, or None where it names none within the folder.

    Args:
        folder: Absolute, without links.
        target: Path of the request, with escapes and query.
    """
    path = unquote_to_bytes(urlsplit(target).path).decode("utf-8", "surrogateescape")
    if "\x00" in path or not path.startswith("/"):
        return None
    name = path.lstrip("/") + (_INDEX if path.endswith("/") else "")
    try:
        found = (folder / name).resolve()
        return found if found.is_relative_to(folder) and found.is_file() else None
    except (OSError, ValueError):
        return None


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD."""

    protocol_version = "HTTP/1.1"
    timeout = _IDLE_S
    wbufsize = -1  # head and body in one packet: else the client waits 40 ms for the second

    def __init__(self, *args: object, folder: Path, host: str) -> None:
        self._folder = folder
        self._host = host
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Sends a file."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """Sends what would be sent before a file."""
        self._answer(with_body=False)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""

    def _answer(self, *, with_body: bool) -> None:
        asked = urlsplit(f"//{self.headers.get('Host', '')}").hostname
        found = find_file(self._folder, self.path) if asked == self._host else None
        if found is None:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"not found\n", with_body=with_body)
        else:
            media_type = _TYPES.get(found.suffix.lower(), _UNKNOWN)
            body = found.read_bytes()
            etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            if self.headers.get("If-None-Match") == etag:
                self._send(HTTPStatus.NOT_MODIFIED, media_type, b"", with_body=False, etag=etag)
            else:
                self._send(HTTPStatus.OK, media_type, body, with_body=with_body, etag=etag)

    def _send(
        self, status: HTTPStatus, media_type: str, body: bytes, *, with_body: bool, etag: str = ""
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        if status != HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Length", str(len(body)))
        if etag:
            self.send_header("ETag", etag)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

"""The least that passes for a model server: /health, and /v1/models under the name that was told.

`tiny_server.py [--renamed NAME] [--ill FILE] [--never-ready FIFO] FLAGS OF VLLM...`: FILE makes it
ill as long as it is there; at FIFO it says that it is up.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answers."""
        ill = "--never-ready" in sys.argv or ("--ill" in sys.argv and Path(_told("--ill")).exists())
        told = {"data": [{"id": _told("--renamed") or _told("--served-model-name")}]}
        body = json.dumps(told).encode()
        self.send_response(503 if ill and self.path == "/health" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _told(name: str) -> str:
    flags = [
        (*flag.split("=", 1), after)[:2]
        for flag, after in zip(sys.argv, [*sys.argv[1:], ""], strict=True)
    ]
    return next((value for flag, value in flags if flag == name), "")


if __name__ == "__main__":
    with ThreadingHTTPServer((_told("--host"), int(_told("--port"))), _Handler) as server:
        if _told("--never-ready"):
            Path(_told("--never-ready")).write_text("up")
        server.serve_forever()

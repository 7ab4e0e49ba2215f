"""Names of the hub, against a server on loopback that speaks the few routes needed."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from token_shards.hub import pinned_name, resolve_tokenizer
from token_shards.tokenizer import load_tokenizer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
RANKS = "/own/ranks"
SCRIPT = """
import sys
from token_shards.hub import resolve_tokenizer
for spec in sys.argv[1:]:
    try:
        print(resolve_tokenizer(spec))
    except ValueError as error:
        print("refused:", error)
"""


class Hub(ThreadingHTTPServer):
    """Two repositories: one with a tokenizer.json, one with ranks only."""

    def __init__(self, files: dict[str, dict[str, bytes]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = files
        self.paths: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def _answer(self, *, with_body: bool) -> None:
        self.server.paths.append(self.path)
        path = self.path.partition("?")[0]
        if "own/gated" in path:
            return self._refuse("GatedRepo", status=403)
        for name, files in self.server.files.items():
            if path.startswith(f"/api/models/{name}/tree/"):
                tree = [
                    {"type": "file", "path": file, "size": len(data), "oid": sha1(data).hexdigest()}
                    for file, data in files.items()
                ]
                return self._send(json.dumps(tree).encode(), with_body=with_body)
            if path in (f"/api/models/{name}", f"/api/models/{name}/revision/main"):
                siblings = [{"rfilename": file} for file in files]
                about = {"id": name, "sha": COMMIT, "siblings": siblings}
                return self._send(json.dumps(about).encode(), with_body=with_body)
            for revision in ("main", COMMIT, "v1"):
                file = path.removeprefix(f"/{name}/resolve/{revision}/")
                if file in files:
                    return self._send(files[file], with_body=with_body)
                if file != path:
                    return self._refuse("EntryNotFound")
            if path.startswith(f"/{name}/resolve/"):
                return self._refuse("RevisionNotFound")
        return self._refuse("RepoNotFound")

    def _send(self, data: bytes, *, with_body: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Type", "application/json")
        self.send_header("ETag", f'"{sha1(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if with_body:
            self.wfile.write(data)

    def _refuse(self, code: str, status: int = 404) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture
def hub(tokenizer_json: Path) -> Iterator[Hub]:
    said = json.dumps({"pat_str": "qwen2", "special_tokens": {"<|endoftext|>": 256}}).encode()
    ranks = b"".join(b"%s %d\n" % (_base64(byte), byte) for byte in range(256))
    server = Hub(
        {
            "own/model": {"tokenizer.json": tokenizer_json.read_bytes(), "README.md": b"x"},
            "own/ranks": {"own.tiktoken": ranks, "tokenizer_config.json": said, "w.bin": b"x"},
            "own/none": {"README.md": b"x"},
        }
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def _base64(byte: int) -> bytes:
    from base64 import b64encode

    return b64encode(bytes([byte]))


def resolved(endpoint: str, home: Path, *specs: str, offline: bool = False) -> list[str]:
    """What a fresh interpreter resolves; the library reads its settings when it is imported."""
    settings = {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "1" if offline else "0",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "NO_PROXY": "*",
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *specs],
        capture_output=True,
        text=True,
        check=True,
        cwd=home,
        env=os.environ | settings,
    )
    return done.stdout.splitlines()


def test_hub_names_are_fetched_once_and_then_come_from_the_cache(
    hub: Hub, tokenizer_json: Path, tmp_path: Path
) -> None:
    endpoint = f"http://127.0.0.1:{hub.server_port}"
    specs = ("own/model", "own/model@v1", f"own/model@{COMMIT}", "own/ranks")
    found = resolved(endpoint, tmp_path, *specs)
    assert [Path(path).parts[-3:] for path in found] == [
        *([("snapshots", COMMIT, "tokenizer.json")] * 3),
        ("snapshots", COMMIT, "own.tiktoken"),
    ]
    assert Path(found[0]).read_bytes() == tokenizer_json.read_bytes()
    assert not any("README" in path or "w.bin" in path for path in hub.paths)
    assert load_tokenizer(found[0]).fingerprint == load_tokenizer(tokenizer_json).fingerprint
    assert load_tokenizer(found[3]).eod_id == 256
    assert pinned_name(found[0]) == f"own/model@{COMMIT}"

    hub.paths.clear()
    again = resolved(endpoint, tmp_path, *specs, "own/other", offline=True)
    assert again[:4] == found
    assert hub.paths == []
    assert again[4].startswith("refused: there is no file own/other, and own/other could not be")
    assert "without a network give the path of a tokenizer.json" in again[4]


def test_hub_names_that_are_not_there_say_what_was_looked_for(hub: Hub, tmp_path: Path) -> None:
    endpoint = f"http://127.0.0.1:{hub.server_port}"
    specs = ("own/absent", "own/model@v9", "own/none", "own/gated")
    absent, revision, empty, gated = resolved(endpoint, tmp_path, *specs)
    assert absent.startswith("refused: there is no file own/absent, and own/absent could not be")
    assert "(RepositoryNotFoundError: 404" in absent
    assert "own/model@v9 could not be fetched" in revision
    assert "RevisionNotFoundError" in revision
    assert "GatedRepoError" in gated
    assert "for a gated repository HF_TOKEN" in gated
    assert empty.startswith("refused: own/none holds no tokenizer.json and 0 .tiktoken files")


def test_path_that_exists_wins_over_a_name(tokenizer_json: Path, tmp_path: Path) -> None:
    folder = tmp_path / "own" / "model"
    folder.mkdir(parents=True)
    (folder / "tokenizer.json").write_bytes(tokenizer_json.read_bytes())
    assert resolve_tokenizer("own/model", base=tmp_path) == folder / "tokenizer.json"
    assert pinned_name(folder / "tokenizer.json") is None


@pytest.mark.parametrize("spec", ["gpt2", "a/b/c", "own/tokenizer.json", "/own/model", "own/x@"])
def test_what_is_neither_file_nor_name_lists_what_is_allowed(tmp_path: Path, spec: str) -> None:
    with pytest.raises(ValueError, match=r"give a tokenizer.json .* or a name of the hub such as"):
        resolve_tokenizer(spec, base=tmp_path)


def test_folder_with_two_files_of_ranks_is_refused(tmp_path: Path) -> None:
    for name in ("a.tiktoken", "b.tiktoken"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(ValueError, match=r"holds no tokenizer.json and 2 .tiktoken files"):
        resolve_tokenizer(tmp_path)

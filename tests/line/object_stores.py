"""Object stores on loopback: moto's for s3://, fake-gcs-server for gs://, each behind a proxy."""

import json
import logging
import os
import shutil
import socket
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.error import URLError
from urllib.request import Request, urlopen

import fsspec
import pytest
from moto.server import ThreadedMotoServer
from proxy import Proxy

from pipelines.workspace.storage import Storage

FAKE_GCS = os.environ.get("TOKENMILL_FAKE_GCS") or shutil.which("fake-gcs-server")
SECRET = "not-to-be-printed"


class Store:
    """A bucket behind a proxy."""

    def __init__(self, scheme: str, proxy: Proxy) -> None:
        self.scheme, self.proxy = scheme, proxy
        self.url = f"{scheme}://mill-{uuid.uuid4().hex}"

    def storage(self, folder: str = "w") -> Storage:
        return Storage(f"{self.url}/{folder}")

    def put(self, relative: str, data: bytes) -> None:
        """Writes as another process does, of which this one knows nothing."""
        other = fsspec.filesystem(self.scheme, skip_instance_cache=True)
        other.pipe_file(f"{self.url}/{relative}", data)


@contextmanager
def s3_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    # A line for every request would bury what a test that fails has to say.
    monkeypatch.setattr(logging.getLogger("werkzeug"), "disabled", True)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    with Proxy(*server.get_host_and_port()) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        store = Store("s3", proxy)
        with _fresh_file_systems("s3"):
            fsspec.filesystem("s3").mkdir(store.url)
            yield store
    server.stop()


@contextmanager
def gs_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    pytest.importorskip("gcsfs")
    if not FAKE_GCS:
        pytest.skip("needs fake-gcs-server (TOKENMILL_FAKE_GCS, or on PATH)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {"backend": "memory", "scheme": "http", "host": "127.0.0.1", "port": str(port)}
    with Proxy("127.0.0.1", port) as proxy:
        options |= {"external-url": proxy.url, "log-level": "error"}
        words = (word for key, value in options.items() for word in (f"-{key}", value))
        process = subprocess.Popen([FAKE_GCS, *words], stderr=subprocess.DEVNULL)
        try:
            monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
            monkeypatch.setenv("FSSPEC_GS_TOKEN", "anon")  # for children; and for this process:
            monkeypatch.setitem(fsspec.config.conf, "gs", {"token": "anon"})
            store = Store("gs", proxy)
            _make_bucket(f"http://127.0.0.1:{port}", store.url.removeprefix("gs://"))
            with _fresh_file_systems("gs"):
                yield store
        finally:
            process.terminate()
            process.wait()


@contextmanager
def _fresh_file_systems(scheme: str) -> Iterator[None]:
    """File systems remember the endpoint with which they were made."""
    kind = fsspec.get_filesystem_class(scheme)
    kind.clear_instance_cache()
    yield
    kind.clear_instance_cache()


def _make_bucket(url: str, name: str) -> None:
    body = json.dumps({"name": name}).encode()
    request = Request(f"{url}/storage/v1/b?project=p", data=body, method="POST")
    request.add_header("Content-Type", "application/json")
    for attempt in range(200):
        try:
            urlopen(request).close()
            return
        except (URLError, ConnectionError):  # it has not begun to listen
            if attempt == 199:
                raise
            with socket.socket() as wait:
                wait.settimeout(0.05)
                wait.bind(("127.0.0.1", 0))
                wait.listen()
                try:
                    wait.accept()
                except TimeoutError:
                    continue

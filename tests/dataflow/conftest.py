"""A finished run of the small corpus, with every pipeline that it ran, and no way out."""

import ipaddress
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.internal.cloudpickle import cloudpickle
from small_corpus import run_small, write_corpus

import pipelines.run

sys.path.append(str(Path(__file__).parent))

from dataflow_line import Line


@pytest.fixture(scope="session")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    folder = tmp_path_factory.mktemp("line-on-dataflow")
    ran: list[tuple[str, bytes]] = []
    really = pipelines.run.run_transform

    def note_and_run(transform: beam.PTransform, *args: Any, **named: Any) -> Any:  # noqa: ANN401
        ran.append((type(transform).__name__, cloudpickle.dumps(transform)))
        return really(transform, *args, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipelines.run, "run_transform", note_and_run)
        result = run_small(write_corpus(folder / "in"), str(folder / "w"))
    return Line(result, tuple(ran), folder)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every attempt to reach another machine, or to look up its name, fails the test.

    Also one that a library catches: Google's look for a metadata server wherever they run.
    """
    connect, lookup = socket.socket.connect, socket.getaddrinfo
    attempts: list[object] = []

    def is_here(host: object) -> bool:
        try:
            return ipaddress.ip_address(str(host)).is_loopback
        except ValueError:
            return host in (None, "localhost")

    def guarded(self: socket.socket, address: Any) -> None:  # noqa: ANN401
        if self.family != socket.AF_UNIX and not is_here(address[0]):
            attempts.append(address)
            raise OSError(f"no network in this test: {address}")
        connect(self, address)

    def guarded_lookup(host: Any, *args: Any, **named: Any) -> Any:  # noqa: ANN401
        if not is_here(host):
            attempts.append(host)
            raise OSError(f"no network in this test: {host}")
        return lookup(host, *args, **named)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_lookup)
    monkeypatch.setenv("CLOUDSDK_CONFIG", "/nonexistent")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    yield
    assert attempts == []

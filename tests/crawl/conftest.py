"""Test modules that others import by name, and what most tests of the crawl need."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from crawling import Crawled, crawl
from hostile_server import HostileServer

from pipelines.workspace.children import Children, Limits


@pytest.fixture(scope="session")
def children() -> Iterator[Children]:
    children = Children(Limits(processes=1))
    yield children
    children.close()


@pytest.fixture
def server() -> Iterator[HostileServer]:
    with HostileServer() as server:
        yield server


@pytest.fixture
def run_crawl(tmp_path: Path, server: HostileServer, children: Children) -> Callable[..., Crawled]:
    """Crawls hosts of the server to the end; keywords are settings."""

    def run(*seeds: str, **settings: object) -> Crawled:
        return crawl(tmp_path / "workspace", server.port, seeds, children, settings)

    return run

"""One finished run of the small corpus, shared by all tests that only look at it or copy it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from small_corpus import run_small, write_corpus

from pipelines.driver import RunResult


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def done(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunResult]:
    """Which files run beside it on a worker differs by run: one that writes here is found out."""
    made = run_small(corpus, str(tmp_path_factory.mktemp("done") / "w"))
    before = _files(made)
    yield made
    assert _files(made) == before, "a test wrote to the shared workspace; it must copy it"


def _files(made: RunResult) -> dict[str, tuple[int, int]]:
    """File -> its size, and when it was written."""
    folder = Path(made.workspace.url)
    found = ((path, path.stat()) for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (stat.st_size, stat.st_mtime_ns) for path, stat in found}

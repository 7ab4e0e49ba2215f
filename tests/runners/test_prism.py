"""The line on a second engine: Beam's Prism, a portable runner with its own shuffle.

Prism is one binary: `go install github.com/apache/beam/sdks/v2/go/cmd/prism@v2.77.0`; its path goes
into TOKENMILL_PRISM.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from comparing import (
    HANGS_UP,
    NamedWorkers,
    content_of,
    crawl_of,
    demo_inputs,
    duplicates_inputs,
    pages_of,
    run,
    run_and_kill,
    run_demo,
    same,
)
from prism_server import Prism, prism_server
from small_corpus import write_corpus

pytestmark = HANGS_UP

LOOPBACK = "--environment_type=LOOPBACK"
SHORT = {"mixtures": [], "duplicates": {"levels": ["bytes"]}}
"""Settings of a corpus whose run has three pipelines, two of them with a shuffle."""


@pytest.fixture
def prism(tmp_path: Path) -> Iterator[Prism]:
    binary = os.environ.get("TOKENMILL_PRISM")
    if not binary:
        pytest.skip("TOKENMILL_PRISM names no Prism; install it with go (see the file's docstring)")
    with prism_server(Path(binary), tmp_path / "prism") as server:
        yield server


def test_line_on_prism_gives_the_bytes_of_the_in_process_runner(
    prism: Prism, tmp_path: Path
) -> None:
    corpus = write_corpus(tmp_path / "in")
    run(corpus, tmp_path / "local")
    run(corpus, tmp_path / "remote", [*prism.options(), LOOPBACK])
    same(tmp_path / "remote", tmp_path / "local")


def test_demo_on_prism_from_crawl_to_shards(prism: Prism, tmp_path: Path) -> None:
    demo = demo_inputs(tmp_path)
    result = run_demo(demo, tmp_path / "remote", [*prism.options(), LOOPBACK])
    assert len(result.shards) == 3
    run_demo(demo, crawl_of(tmp_path / "remote", tmp_path / "local"))
    same(tmp_path / "remote", tmp_path / "local")
    assert len(pages_of(tmp_path / "remote")) == 112


def test_copies_are_labelled_on_prism_as_in_process(prism: Prism, tmp_path: Path) -> None:
    corpus = duplicates_inputs(tmp_path / "in")
    run(corpus, tmp_path / "remote", [*prism.options(), LOOPBACK])
    run(corpus, tmp_path / "local")
    same(tmp_path / "remote", tmp_path / "local")


def test_run_goes_on_after_a_killed_worker(prism: Prism, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "in", **SHORT)
    run(corpus, tmp_path / "local")
    workers = NamedWorkers(tmp_path)
    options = [*prism.options(), *workers.options]
    ended = run_and_kill(corpus, tmp_path / "remote", options, "extract@", workers.kill)
    left, whole = content_of(tmp_path / "remote"), content_of(tmp_path / "local")
    assert ended == 1
    assert left.items() < whole.items()
    run(corpus, tmp_path / "remote", options)
    same(tmp_path / "remote", tmp_path / "local")

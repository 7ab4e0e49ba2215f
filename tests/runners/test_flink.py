"""The line on a Flink cluster: JobManager, TaskManagers and job server, each a process.

TOKENMILL_FLINK_JARS names the folder that `mvn -f infra/runners/flink/pom.xml
dependency:copy-dependencies -DoutputDirectory=JARS` fills; Java 11 or 17 is needed beside it.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from comparing import (
    HANGS_UP,
    NamedWorkers,
    crawl_of,
    demo_inputs,
    duplicates_inputs,
    pages_of,
    run,
    run_and_kill,
    run_demo,
    same,
)
from flink_cluster import FlinkCluster, flink_cluster
from small_corpus import write_corpus

pytestmark = HANGS_UP

SHORT = {"mixtures": [], "duplicates": {"levels": ["bytes"]}}
"""Settings of a corpus whose run has three pipelines, two of them with a shuffle."""


def _jars() -> Path:
    jars = os.environ.get("TOKENMILL_FLINK_JARS")
    if not jars:
        pytest.skip("TOKENMILL_FLINK_JARS names no folder of jars (see the file's docstring)")
    if shutil.which("java") is None:
        pytest.skip("no java on PATH")
    return Path(jars)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlinkCluster]:
    """Two TaskManagers with one slot each."""
    with flink_cluster(_jars(), tmp_path_factory.mktemp("flink")) as started:
        yield started


@pytest.fixture
def workers(tmp_path: Path) -> NamedWorkers:
    return NamedWorkers(tmp_path)


def test_demo_on_flink_from_crawl_to_shards(
    cluster: FlinkCluster, workers: NamedWorkers, tmp_path: Path
) -> None:
    demo = demo_inputs(tmp_path)
    result = run_demo(demo, tmp_path / "remote", [*cluster.options(), *workers.options])
    assert len(result.shards) == 3
    run_demo(demo, crawl_of(tmp_path / "remote", tmp_path / "local"))
    same(tmp_path / "remote", tmp_path / "local")
    assert len(pages_of(tmp_path / "remote")) == 112


def test_copies_are_labelled_on_flink_as_in_process(
    cluster: FlinkCluster, workers: NamedWorkers, tmp_path: Path
) -> None:
    corpus = duplicates_inputs(tmp_path / "in")
    run(corpus, tmp_path / "remote", [*cluster.options(), *workers.options])
    run(corpus, tmp_path / "local")
    same(tmp_path / "remote", tmp_path / "local")


def test_run_goes_on_after_killed_workers(
    cluster: FlinkCluster, workers: NamedWorkers, tmp_path: Path
) -> None:
    corpus = write_corpus(tmp_path / "in", **SHORT)
    options = [*cluster.options(), *workers.options]
    run_and_kill(corpus, tmp_path / "remote", options, "extract@", workers.kill)
    run(corpus, tmp_path / "remote", options)
    run(corpus, tmp_path / "local")
    same(tmp_path / "remote", tmp_path / "local")


def test_flink_goes_on_with_a_new_task_manager_for_a_killed_one(
    cluster: FlinkCluster, workers: NamedWorkers, tmp_path: Path
) -> None:
    corpus = write_corpus(tmp_path / "in", **SHORT)
    options = [*cluster.options(), *workers.options]

    def replace() -> int:
        cluster.task_managers[-1].kill()
        cluster.add_task_manager()
        return 1

    assert run_and_kill(corpus, tmp_path / "remote", options, "extract@", replace) == 0
    run(corpus, tmp_path / "local")
    same(tmp_path / "remote", tmp_path / "local")


def test_threads_of_the_driver_serve_one_task_manager(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "in", **SHORT)
    with flink_cluster(_jars(), tmp_path / "flink", task_managers=1, slots=2) as cluster:
        options = [*cluster.options(), "--environment_type=LOOPBACK"]
        run(corpus, tmp_path / "remote", options)
    run(corpus, tmp_path / "local")
    same(tmp_path / "remote", tmp_path / "local")

"""The line on a Spark standalone cluster: master, two workers and Beam's job server on loopback.

TOKENMILL_SPARK_HOME names a Spark (the folder `pyspark` of the package of that name will do),
TOKENMILL_SPARK_JARS the folder that `mvn -f infra/runners/spark/pom.xml
dependency:copy-dependencies -DoutputDirectory=JARS` fills; Java 17 is needed beside them.

What is compared with the in-process runner, and why a crawl's archives are not, stands in
comparing.py.
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
    run_demo,
    same,
)
from processes import pathing_jar
from small_corpus import write_corpus
from spark_cluster import JAVA_17, MAIN, Spark, spark_cluster

from pipelines.runners import Machine, choose

pytestmark = HANGS_UP

_JVM = "--job_server_jvm_properties="


def _folder(variable: str, pattern: str) -> Path:
    named = os.environ.get(variable)
    if not named:
        pytest.skip(f"{variable} names no folder (see the file's docstring)")
    if not any(Path(named).glob(pattern)):
        pytest.skip(f"{variable}: no {pattern} in {named}")
    return Path(named)


def _home() -> Path:
    if shutil.which("java") is None:
        pytest.skip("no java on PATH")
    return _folder("TOKENMILL_SPARK_HOME", "jars/spark-core_*.jar")


def _jars() -> Path:
    return _folder("TOKENMILL_SPARK_JARS", "beam-runners-spark-3-*.jar")


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spark]:
    """Two workers of one core each."""
    with spark_cluster(_home(), _jars(), tmp_path_factory.mktemp("spark")) as running:
        yield running


@pytest.fixture
def workers(tmp_path: Path) -> NamedWorkers:
    return NamedWorkers(tmp_path)


def test_demo_on_spark_from_crawl_to_shards(
    spark: Spark, workers: NamedWorkers, tmp_path: Path
) -> None:
    demo = demo_inputs(tmp_path)
    args = choose([*spark.options, *workers.options]).args
    result = run_demo(demo, tmp_path / "remote", args)
    assert len(result.shards) == 3
    run_demo(demo, crawl_of(tmp_path / "remote", tmp_path / "local"))
    same(tmp_path / "remote", tmp_path / "local")
    assert len(pages_of(tmp_path / "remote")) == 112


def test_copies_are_labelled_on_spark_as_in_process(
    spark: Spark, workers: NamedWorkers, tmp_path: Path
) -> None:
    corpus = duplicates_inputs(tmp_path / "in")
    run(corpus, tmp_path / "remote", choose([*spark.options, *workers.options]).args)
    run(corpus, tmp_path / "local")
    same(tmp_path / "remote", tmp_path / "local")


def test_spark_in_its_job_server_serves_a_laptop(tmp_path: Path) -> None:
    """`--runner=SparkRunner` and nothing else: the worker is a thread of this process."""
    home, jars = _home(), _jars()
    both = [*sorted(jars.glob("*.jar")), *sorted((home / "jars").glob("*.jar"))]
    jar = pathing_jar(tmp_path / "job-server.jar", MAIN, both)
    machine = Machine(environ={"TOKENMILL_SPARK_JOB_SERVER": str(jar)})
    choice = choose(["--runner=SparkRunner"], machine=machine)
    assert "--environment_type=LOOPBACK" in choice.args
    corpus = write_corpus(tmp_path / "in")
    run(corpus, tmp_path / "remote", [*choice.args, *(f"{_JVM}{flag}" for flag in JAVA_17)])
    run(corpus, tmp_path / "local")
    same(tmp_path / "remote", tmp_path / "local")

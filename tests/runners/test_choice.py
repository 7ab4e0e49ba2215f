"""Which options a runner gets, for what a user may type; no runner runs here."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.runners import DRIVER_VERSIONS, WORKER, Machine, choose, is_in_process, versions

IN_PROCESS = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
KEPT = "--environment_cache_millis=10000"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Has Java and nothing else."""
    return Machine(
        environ={},
        which=lambda name: "/usr/bin/java" if name == "java" else None,
        host="laptop",
        cores=4,
        scripts=tmp_path,
        is_refused=lambda host, port: False,
    )


def added(typed: str, machine: Machine, workspace: str = "") -> tuple[str, ...]:
    args = typed.split()
    choice = choose(args, workspace=workspace, machine=machine)
    assert choice.args[: len(args)] == tuple(args)
    return choice.args[len(args) :]


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "--runner=DirectRunner",
        "--runner direct",
        "--runner=FnApiRunner --direct_num_workers=2",
        "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner",
    ],
)
def test_a_run_in_this_process_is_left_alone(typed: str, machine: Machine) -> None:
    assert is_in_process(typed.split())
    assert choose(typed.split(), machine=machine).says == ()
    assert added(typed, machine) == ()


def test_spark_alone_runs_in_its_job_server_on_all_cores(machine: Machine) -> None:
    assert not is_in_process(["--runner=spark"])
    assert added("--runner=spark", machine) == (
        "--job_server_jvm_properties=-Dbeam.spark.test.reuseSparkContext=true",
        "--spark_master_url=local[*]",
        "--environment_type=LOOPBACK",
        KEPT,
    )


def test_flink_alone_gets_the_parallelism_of_this_machine(machine: Machine) -> None:
    assert added("--runner=FlinkRunner", machine) == (
        "--flink_master=[local]",
        "--parallelism=4",
        "--environment_type=LOOPBACK",
        KEPT,
    )


@pytest.mark.parametrize(
    "typed",
    [
        "--runner=SparkRunner --job_endpoint=localhost:8099",
        "--runner=PortableRunner --job_endpoint=127.0.0.1:8099",
        "--runner=PortableRunner --job_endpoint=[::1]:8099",
        "--runner=FlinkRunner --job_endpoint localhost:8099 --flink_master=[auto]",
    ],
)
def test_a_cluster_on_loopback_may_use_this_process(typed: str, machine: Machine) -> None:
    assert "--environment_type=PROCESS" in added(typed, machine)
    assert added(f"{typed} --environment_type=LOOPBACK", machine) == (KEPT,)
    says = choose([*typed.split(), "--environment_type=LOOPBACK"], machine=machine).says
    assert "is for one executor or task manager" in says[-1]


@pytest.mark.parametrize(
    "typed",
    [
        "--runner=SparkRunner --spark_master_url=spark://head:7077",
        "--runner=SparkRunner --spark_master_url=yarn",
        "--runner=FlinkRunner --flink_master=http://head:8081",
        "--runner=PortableRunner --job_endpoint=head:8099",
        "--runner=SparkRunner --job_endpoint=localhost:8099 --spark_master_url=spark://head:7077",
    ],
)
def test_nodes_elsewhere_start_their_own_workers(typed: str, machine: Machine) -> None:
    *_, kind, config, kept = added(typed, machine)
    assert kind == "--environment_type=PROCESS"
    assert json.loads(config.partition("=")[2]) == {
        "command": WORKER,
        "env": {DRIVER_VERSIONS: versions()},
    }
    assert kept == KEPT
    says = choose(typed.split(), machine=machine, workspace="/data/run").says
    assert any(WORKER in line for line in says)
    assert any("every node must see the workspace /data/run" in line for line in says)
    far = choose(typed.split(), machine=machine, workspace="s3://bucket/run").says
    assert not any("every node must see" in line for line in far)


def test_a_worker_installed_beside_this_python_is_named_by_its_path(machine: Machine) -> None:
    typed = "--runner=PortableRunner --job_endpoint=localhost:8099 --environment_type=PROCESS"
    (config, _) = added(typed, machine)
    assert json.loads(config.partition("=")[2])["command"] == WORKER
    (machine.scripts / WORKER).touch()
    (config, _) = added(typed, machine)
    assert json.loads(config.partition("=")[2])["command"] == str(machine.scripts / WORKER)


def test_what_the_user_says_of_workers_stands(machine: Machine) -> None:
    base = "--runner=PortableRunner --job_endpoint=head:8099"
    config = '{"command":"/opt/w","env":{"A":"b"},"os":"linux"}'
    (kind, whole, _) = added(f"{base} --environment_config={config}", machine)
    assert kind == "--environment_type=PROCESS"
    assert json.loads(whole.partition("=")[2]) == {
        "command": "/opt/w",
        "env": {"A": "b", DRIVER_VERSIONS: versions()},
        "os": "linux",
    }
    option = "--environment_options=process_command=/opt/w"
    assert added(f"{base} {option}", machine) == ("--environment_type=PROCESS", KEPT)
    image = "--environment_type=DOCKER --environment_config=registry/tokenmill:1"
    assert added(f"{base} {image}", machine) == (KEPT,)
    image = "--environment_options=docker_container_image=registry/tokenmill:1"
    assert added(f"{base} {image}", machine) == ("--environment_type=DOCKER", KEPT)
    pool = "--environment_type=EXTERNAL --environment_config=localhost:50000"
    assert added(f"{base} {pool}", machine) == ()


def test_jars_and_binaries_come_from_the_environment(tmp_path: Path) -> None:
    spark, prism = tmp_path / "spark.jar", tmp_path / "prism"
    spark.touch()
    prism.touch(mode=0o755)
    environ = {
        "TOKENMILL_SPARK_JOB_SERVER": str(spark),
        "TOKENMILL_FLINK_JOB_SERVER": "https://host/flink.jar",
        "TOKENMILL_PRISM": str(prism),
    }
    machine = Machine(environ=environ, which=str, host="laptop", cores=4, scripts=tmp_path)
    assert f"--spark_job_server_jar={spark}" in added("--runner=spark", machine)
    assert "--flink_job_server_jar=https://host/flink.jar" in added("--runner=flink", machine)
    assert added("--runner=prism", machine) == (
        "--environment_type=LOOPBACK",
        f"--prism_location={prism}",
    )
    given = "--runner=prism --prism_location=/own"
    assert added(given, machine) == ("--environment_type=LOOPBACK",)


def test_dataflow_gets_one_process_a_machine(machine: Machine) -> None:
    image = "--runner=DataflowRunner --sdk_container_image=IMAGE"
    both = ("--experiments=no_use_multiple_sdk_containers", "--number_of_worker_harness_threads=2")
    assert added(image, machine, "gs://bucket/run") == both
    own = f"{image} --experiment=use_multiple_sdk_containers --number_of_worker_harness_threads=1"
    assert added(own, machine) == ()
    assert any("no tokenmill in it" in line for line in choose(["--runner=dataflow"]).says)


REMOTE = "--runner=SparkRunner --spark_master_url=spark://head:7077"


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("--runner=", "found no name; allowed are DirectRunner, PrismRunner"),
        ("--runner=Sparkle", r"found Sparkle; allowed are DirectRunner, PrismRunner, SparkRunner"),
        (f"{REMOTE} --environment_type=LOOPBACK", "found a master on another machine"),
        (
            "--runner=PortableRunner --job_endpoint=head:1 --environment_type=loopback",
            "found a job server on another machine",
        ),
        (f"{REMOTE} --environment_type=DOCKER", "found no image"),
        (f"{REMOTE} --environment_type=EXTERNAL", "found no address of a worker pool"),
        (f"{REMOTE} --environment_type=THREAD", "allowed are LOOPBACK, PROCESS, DOCKER, EXTERNAL"),
        (f"{REMOTE} --environment_type=PROCESS --environment_config=worker", "allowed .* is JSON"),
        ("--runner=PortableRunner", "found no --job_endpoint"),
        ("--runner=PortableRunner --job_endpoint=8099", "allowed is host:port"),
        ("--runner=SparkRunner --spark_master_url=head:7077", "allowed are spark://host:7077"),
        ("--runner=SparkRunner --spark_job_server_jar=/no.jar", "found no file /no.jar"),
        ("--runner=spark --job_server_java_launcher=java9", "found no java9 .* Java 11 or 17"),
        ("--runner=DataflowRunner --environment_type=DOCKER", "--sdk_container_image=IMAGE"),
    ],
)
def test_what_can_only_fail_is_refused(typed: str, message: str, machine: Machine) -> None:
    with pytest.raises(ValueError, match=message):
        choose(typed.split(), machine=machine)


@pytest.mark.parametrize(
    ("variable", "runner"),
    [
        ("TOKENMILL_PRISM", "prism"),
        ("TOKENMILL_SPARK_JOB_SERVER", "spark"),
        ("TOKENMILL_FLINK_JOB_SERVER", "flink"),
    ],
)
def test_a_variable_that_names_no_file_is_refused(
    variable: str, runner: str, tmp_path: Path
) -> None:
    missing = tmp_path / "missing"
    machine = Machine(environ={variable: str(missing)}, which=str, host="laptop", cores=4)
    with pytest.raises(ValueError, match=f"{variable}: found no file .*missing"):
        choose([f"--runner={runner}"], machine=machine)
    missing.touch(mode=0o644)
    if runner == "prism":
        with pytest.raises(ValueError, match=f"{variable}: found a file that cannot be executed"):
            choose([f"--runner={runner}"], machine=machine)
    else:
        choose([f"--runner={runner}"], machine=machine)


def test_a_port_of_this_machine_where_nothing_listens_is_refused() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and does not listen: the kernel refuses
        endpoint = f"127.0.0.1:{bound.getsockname()[1]}"
        typed = ["--runner=PortableRunner", f"--job_endpoint={endpoint}"]
        with pytest.raises(ValueError, match=f"found {endpoint}, where nothing listens"):
            choose(typed)
        bound.listen()
        assert choose(typed).args[:2] == tuple(typed)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("--runner=PrismRunner --no_such_option=3", "found --no_such_option, .*nothing allowed"),
        ("--runner=DataflowRunner --max_num_worker=50", "the nearest .* is --max_num_workers;"),
        ("--max_num_worker=50", "the nearest .* is --max_num_workers;"),
        (
            "--runner=SparkRunner --spark_master_ur=spark://head:7077",
            "found --spark_master_ur, .* the nearest .* is --spark_master_url;",
        ),
        ("--runner=FlinkRunner --max_bundle_sise=9", "the nearest .* is --max_bundle_size;"),
        ("--runner=DataflowRunner --max_num_workers=many", "--max_num_workers: invalid int value"),
        ("--runner=DataflowRunner --spark.executor.cores=2", "found --spark.executor.cores,"),
        ("--runner=my.module.Runner", "my.module.Runner, which cannot be imported"),
        ("--runner=apache_beam.SparkRunner", "apache_beam.SparkRunner, which cannot be imported"),
        ("stray", "found stray, an option that neither"),
    ],
)
def test_options_that_would_be_dropped_are_refused(typed: str, message: str) -> None:
    from pipelines.run import check_options

    with pytest.raises(ValueError, match=message):
        check_options(typed.split())


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "--runner direct --direct_num_workers=2",
        f"--runner={IN_PROCESS}",
        "--runner=DataflowRunner --project=p --region r --max_num_workers=5 --experiments=a",
        "--runner=FlinkRunner --max_parallelism=8 --object_reuse --max_bundle_size=9",
        "--runner=SparkRunner --spark_master=local[2] --bundle_size 9",
        "--runner=PortableRunner --job_endpoint=localhost:1 --state_backend=x --storage_level=y",
    ],
)
def test_options_of_beam_and_of_its_job_servers_pass(typed: str) -> None:
    from pipelines.run import check_options

    assert check_options(typed.split()) == ()


def test_options_that_only_a_job_server_may_know_are_told() -> None:
    from pipelines.run import check_options

    typed = ["--runner=SparkRunner", "--hello_world", "3", "--spark.master=x"]
    first, second = check_options(typed)
    assert first.startswith("--hello_world is an option that neither tokenmill nor Beam knows")
    assert second.startswith("--spark.master is")


def test_what_choosing_adds_is_known(machine: Machine) -> None:
    from pipelines.run import check_options

    for runner in ("prism", "spark", "flink", "dataflow"):
        assert check_options(choose([f"--runner={runner}"], machine=machine).args) == ()


def test_a_mistyped_option_ends_a_run_before_any_work(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    (tmp_path / "one.jsonl").write_text('{"text": "Ein Satz."}\n')
    (tmp_path / "corpus.yaml").write_text(
        f"name: small\nsources: [{{name: web, path: {tmp_path}/one.jsonl}}]\n"
        f"tokenizer: {root / 'examples' / 'tokenizer'}\nmixtures: []\n"
    )
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pipelines.cli", "run", str(tmp_path / "corpus.yaml")),
            *("--workspace", str(tmp_path / "run"), "--runner=PrismRunner", "--no_such_option=3"),
        ],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "found --no_such_option" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_workspace_on_this_disk_is_refused_for_dataflow(machine: Machine) -> None:
    with pytest.raises(ValueError, match="found the workspace work/run on this machine's disk"):
        choose(["--runner=DataflowRunner"], workspace="work/run", machine=machine)


def test_loopback_on_a_master_of_this_host_is_the_users_word(machine: Machine) -> None:
    typed = "--runner=SparkRunner --spark_master_url=spark://Laptop:7077"
    assert "--environment_type=PROCESS" in added(typed, machine)
    assert added(f"{typed} --environment_type=LOOPBACK", machine)[-1] == KEPT


def test_a_runner_of_ones_own_is_left_alone(machine: Machine) -> None:
    assert added("--runner=my.own.Runner --anything=1", machine) == ()


def test_choosing_needs_no_beam() -> None:
    code = "import sys, pipelines.runners; print('apache_beam' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


def test_names_are_options_that_beam_knows() -> None:
    """What is read of the user's options, and what is added, is spelt as Beam spells it."""
    from apache_beam.options.pipeline_options import PipelineOptions

    from pipelines.beam_options import parse

    known = set(PipelineOptions([]).get_all_options())
    named = {name for name in vars(parse([])) if name != "jvm_properties"}
    assert named <= known | {"job_server_jvm_properties"}
    typed = "--environment_cache_millis=1 --job_server_jvm_properties=-Da=b --parallelism=2"
    assert set(PipelineOptions(typed.split()).get_all_options(drop_default=True)) == {
        "environment_cache_millis",
        "job_server_jvm_properties",
        "parallelism",
    }

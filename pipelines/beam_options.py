"""Options of Beam that decide what a runner needs, read as Beam reads them, without Beam.

The names are those of `apache_beam.options.pipeline_options`, 2.77; other options pass unread.
"""

import json
import re
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import Any, Final

IN_PROCESS: Final = frozenset({"direct", "fnapi", "bundlebaseddirect"})
"""Runners of this process, as `kind_of` names them."""

KINDS: Final = {
    "prism": "PrismRunner",
    "spark": "SparkRunner",
    "flink": "FlinkRunner",
    "portable": "PortableRunner",
    "dataflow": "DataflowRunner",
}

JOB_SERVER_OPTIONS: Final = {
    "spark": frozenset(
        (
            "batch_interval_millis bundle_size cache_disabled checkpoint_dir "
            "checkpoint_duration_millis enable_spark_metric_sinks max_records_per_batch "
            "min_read_time_millis read_time_percentage spark_master storage_level "
            "streaming_timeout_ms uses_provided_spark_context"
        ).split()
    ),
    "flink": frozenset(
        (
            "allow_non_restored_state attached_mode auto_balance_write_files_sharding_enabled "
            "auto_watermark_interval checkpoint_timeout_millis checkpointing_interval "
            "checkpointing_mode disable_metrics enable_stable_input_drain "
            "execution_mode_for_batch execution_retry_delay externalized_checkpoints_enabled "
            "fail_on_checkpointing_errors faster_copy file_input_split_max_size_m_b "
            "finish_bundle_before_checkpointing flink_conf_dir flink_master "
            "force_unaligned_checkpoint_enabled job_check_interval_in_secs "
            "latency_tracking_interval max_bundle_size max_bundle_time_mills max_parallelism "
            "min_pause_between_checkpoints num_concurrent_checkpoints "
            "number_of_execution_retries object_reuse operator_chaining parallelism "
            "re_iterable_group_by_key_result report_checkpoint_duration "
            "retain_externalized_checkpoints_on_cancellation savepoint_path "
            "shutdown_sources_after_idle_ms state_backend state_backend_factory "
            "state_backend_storage_path unaligned_checkpoint_enabled use_data_stream_for_batch"
        ).split()
    ),
    "all": frozenset(
        (
            "app_name bundle_processor_cache_timeout default_environment_config "
            "default_environment_type default_sdk_harness_log_level enable_heap_dumps "
            "environment_expiration_millis files_to_stage job_server_timeout "
            "load_balance_bundles options_id output_executable_path retain_docker_containers "
            "sdk_harness_log_level_overrides semi_persist_dir stable_unique_names user_agent"
        ).split()
    ),
}
"""Options of Beam's Java job servers that the Python SDK asks them for: kind of runner -> names.

From FlinkPipelineOptions, SparkPipelineOptions, PortablePipelineOptions and what these extend, of
Beam 2.62, in the underscores in which a job server tells them. `all` is of both.
"""


def parse(beam_args: Sequence[str]) -> Namespace:
    """What was typed, by name; None where it was not."""
    asked, _ = _parser().parse_known_args(list(beam_args))
    return asked


def _parser() -> ArgumentParser:
    # As Beam parses them: no abbreviations, the last of two wins.
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    for name in (
        "runner",
        "job_endpoint",
        "environment_type",
        "environment_config",
        "environment_cache_millis",
        "spark_master_url",
        "spark_job_server_jar",
        "spark_rest_url",
        "flink_master",
        "flink_job_server_jar",
        "parallelism",
        "prism_location",
        "job_server_java_launcher",
        "sdk_container_image",
        "number_of_worker_harness_threads",
    ):
        parser.add_argument(f"--{name}")
    for name in ("environment_option", "environment_options"):
        parser.add_argument(f"--{name}", dest="environment_options", action="append", default=[])
    for name in ("experiment", "experiments"):
        parser.add_argument(f"--{name}", dest="experiments", action="append", default=[])
    for name in ("job_server_jvm_properties", "job_server_jvm_property"):
        parser.add_argument(f"--{name}", dest="jvm_properties", action="append", default=[])
    parser.add_argument("--spark_submit_uber_jar", action="store_true")
    parser.add_argument("--flink_submit_uber_jar", action="store_true")
    return parser


def kind_of(runner: str | None) -> str | None:
    """`SparkRunner`, `spark` and the full path of its class are `spark`.

    Returns:
        A key of KINDS, or one of IN_PROCESS; None for the full path of a class that is not Beam's:
        its user knows what it needs.

    Raises:
        ValueError: No such runner.
    """
    if runner is None:
        return "direct"
    package, _, name = runner.rpartition(".")
    kind = name.lower().removesuffix("runner")
    is_beams = not package or package.startswith("apache_beam.")
    if is_beams and (kind in KINDS or kind in IN_PROCESS):
        return kind
    if package:
        return None
    allowed = ", ".join(("DirectRunner", *KINDS.values()))
    raise ValueError(
        f"--runner: found {runner or 'no name'}; allowed are {allowed} or the "
        "full path of a runner's class; see docs/runners.md for which one when"
    )


def host_of(address: str) -> str:
    """The host of `scheme://host:port/path`, all but the host optional."""
    place = re.sub(r"^[a-z0-9]+://", "", address).partition("/")[0]
    host = place if place.endswith("]") else place.rsplit(":", 1)[0]
    return host.strip("[]").lower()


def is_local_path(url: str) -> bool:
    """Whether a workspace stands on a disk of this machine."""
    return "://" not in url or url.startswith("file://")


def image_of(asked: Namespace) -> str | None:
    """The worker's image, wherever it was named."""
    if asked.sdk_container_image is not None:
        return str(asked.sdk_container_image)
    for option in asked.environment_options:
        if option.startswith("docker_container_image="):
            return str(option.partition("=")[2])
    if (asked.environment_type or "").upper() == "DOCKER" and asked.environment_config:
        return str(asked.environment_config)
    return None


def config_of(asked: Namespace) -> dict[str, Any] | None:
    """`--environment_config` of PROCESS.

    Raises:
        ValueError: It is not what Beam can read.
    """
    if asked.environment_config is None:
        return None
    try:
        config = json.loads(asked.environment_config)
    except ValueError:
        config = None
    if not isinstance(config, dict) or not isinstance(config.get("env") or {}, dict):
        raise ValueError(
            f"--environment_config: found {asked.environment_config}; allowed for PROCESS is JSON "
            'such as {"command": "/opt/tokenmill/bin/tokenmill-worker", "env": {"NAME": "VALUE"}}'
        )
    return config


def command_of(asked: Namespace) -> object:
    """The command in `--environment_config`, where that is JSON."""
    text = asked.environment_config or ""
    return (config_of(asked) or {}).get("command") if text.lstrip().startswith("{") else None

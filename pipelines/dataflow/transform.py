"""A job as Beam would submit it to Dataflow, built here without an account, a network or a server.

Beam's own runner takes the pipeline through every step but the last: options are completed, types
and coders of keys made deterministic, the proto built, staged environments merged, combiners
packed. It stops where it would ask for credentials (`dry_run` of Beam's TestOptions). What comes
out is the Job message of the v1b3 API; its environment, which the runner fills in after it has
staged files, is made by the same class of Beam that makes it there. So the sizes are those of a
submission, but for the name of the one file that a job with a container image stages, a list of
the packages that are installed here.

What is missing is replaced by a placeholder for the build, so that one dry run tells everything.
"""

import hashlib
import pickle
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import apache_beam as beam
import pyarrow as pa
from apache_beam import coders
from apache_beam.options.pipeline_options import (
    DebugOptions,
    GoogleCloudOptions,
    PipelineOptions,
    SetupOptions,
    StandardOptions,
    TestOptions,
    WorkerOptions,
)
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor
from apache_beam.typehints import typehints

from pipelines.dataflow.luggage import Luggage
from pipelines.dataflow.machines import GIB, machine_of
from pipelines.dataflow.report import JobRefused, JobReport, Shuffle
from pipelines.dataflow.requirements import Asked, busy_machines, check_options, check_size
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.transform import GroupBatches

__all__ = ["check_job", "inspect_job"]

_PLACEHOLDERS: Final = {
    "project": "missing-project",
    "region": "missing-region1",
    "temp_location": "gs://missing/temp",
    "staging_location": None,
    "job_name": None,
}
_INSTALLS: Final = ("requirements_file", "setup_file", "extra_packages", "files_to_stage")
_SMALL: Final = {int, float, bool, type(None), PartKey}
_WORDS: Final = {"duplicate_role", "level"}  # columns of a few given words each
_NUM_LARGEST: Final = 3
# What Beam raises for types that do not fit, names met twice and steps that do not pickle.
_NOT_BUILT: Final = (ValueError, RuntimeError, TypeError, AttributeError, pickle.PicklingError)


def check_job(transform: beam.PTransform, beam_args: Sequence[str]) -> JobReport:
    """Builds what would be submitted, and refuses what would fail.

    Args:
        transform: Takes a pipeline.
        beam_args: Options for Beam, with `--runner=DataflowRunner`.

    Raises:
        JobRefused: A ValueError with everything that is wrong; its `report` tells the rest.
        ValueError: Another runner, or options that Beam cannot read.
    """
    report = inspect_job(transform, beam_args)
    if report.problems:
        raise JobRefused(report)
    return report


def inspect_job(transform: beam.PTransform, beam_args: Sequence[str]) -> JobReport:
    """Builds what would be submitted, and tells what it is and what is wrong with it.

    Raises:
        ValueError: Another runner, or options that Beam cannot read.
    """
    options = PipelineOptions(list(beam_args))
    runner = _runner(options)
    asked = _asked(options)
    found = _Found()
    known = machine_of(asked.machine_type) if asked.machine_type else None
    _complete(options, asked)
    errors = PipelineOptionsValidator(options, runner).validate()
    job = None if errors else _build(transform, options, runner, found)
    limits = found.luggage.limits
    processes, child_bytes = (limits.processes, limits.memory_bytes) if limits else (0, 0)
    if limits is not None and limits.follows_machine and known is not None:
        processes = known.cores
    checked = check_options(asked, known, processes, child_bytes)
    size = _size(job) if job is not None else _Size()
    return JobReport(
        title=type(transform).__name__,
        name=asked.job_name or "named by Beam",
        project=asked.project or "none",
        region=asked.region or "none",
        image=asked.image or "none",
        machine=_machine(asked, known),
        parts=found.elements,
        machines=busy_machines(asked, found.elements),
        steps=size.steps,
        shuffles=tuple(found.shuffles),
        graph_bytes=size.graph_bytes,
        request_bytes=size.request_bytes,
        problems=(
            *checked.problems,
            *errors,
            *found.problems,
            *found.luggage.problems,
            *check_size(size.graph_bytes, size.request_bytes, size.largest),
        ),
        notes=(*checked.notes, *_notes(found)),
    )


def _runner(options: PipelineOptions) -> Any:  # noqa: ANN401 - Beam's classes have no types
    asked = options.view_as(StandardOptions).runner
    if asked is None or asked.rpartition(".")[2].lower().removesuffix("runner") != "dataflow":
        raise ValueError(
            f"dry run: found --runner={asked}; allowed is --runner=DataflowRunner: other runners "
            "run a small corpus in minutes, which tells more; leave --dry-run out"
        )
    try:
        from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner
        from apache_beam.runners.dataflow.internal import apiclient  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"--runner=DataflowRunner: {error}; Beam's part for Google Cloud is not installed; "
            "install tokenmill[gcp]"
        ) from error
    return DataflowRunner()


def _asked(options: PipelineOptions) -> Asked:
    google, worker = options.view_as(GoogleCloudOptions), options.view_as(WorkerOptions)
    debug, setup = options.view_as(DebugOptions), options.view_as(SetupOptions)
    return Asked(
        project=google.project,
        region=google.region,
        temp_location=google.temp_location,
        staging_location=google.staging_location,
        job_name=google.job_name,
        image=worker.sdk_container_image,
        machine_type=worker.machine_type,
        disk_size_gb=worker.disk_size_gb,
        zone=worker.worker_zone or worker.zone,
        max_workers=worker.max_num_workers,
        harness_threads=debug.number_of_worker_harness_threads,
        experiments=tuple(debug.experiments or ()),
        service_options=tuple(google.dataflow_service_options or ()),
        installs=tuple(f"--{name}" for name in _INSTALLS if getattr(setup, name, None)),
    )


def _complete(options: PipelineOptions, asked: Asked) -> None:
    """Replaces what is missing or malformed, and turns off what would reach a network."""
    options.view_as(TestOptions).dry_run = True
    google, setup = options.view_as(GoogleCloudOptions), options.view_as(SetupOptions)
    bad = " ".join(check_options(asked, None, 0, 0).problems)
    for name, placeholder in _PLACEHOLDERS.items():
        if f"--{name}: " in bad:
            setattr(google, name, placeholder)
    if google.staging_location is None:
        google.staging_location = google.temp_location
    for name in _INSTALLS:
        setattr(setup, name, None)
    # Else a process of pip lists what is installed here, two seconds a job.
    options.view_as(DebugOptions).add_experiment("disable_logging_submission_environment")


def _build(
    transform: beam.PTransform,
    options: PipelineOptions,
    runner: Any,  # noqa: ANN401
    found: "_Found",
) -> Any:  # noqa: ANN401 - Beam's Job
    """The Job message with its pipeline; None where it cannot be made."""
    try:
        pipeline = beam.Pipeline(runner=runner, options=options)
        _ = pipeline | transform  # Beam pickles and unpickles each step as it is applied
        pipeline.visit(found)
        return None if found.problems else pipeline.run().job
    except _NOT_BUILT as error:
        found.problems.append(f"{type(transform).__name__}: cannot be built: {error}")
        return None


class _Found(PipelineVisitor):
    """What the steps of a pipeline are, by looking at each."""

    def __init__(self) -> None:
        self.shuffles: list[Shuffle] = []
        self.problems: list[str] = []
        self.luggage = Luggage()
        self.elements = 0

    def enter_composite_transform(self, node: AppliedPTransform) -> None:
        """Counts what a job starts from."""
        if isinstance(node.transform, beam.Create):
            self.elements = max(self.elements, len(node.transform.values))

    def visit_transform(self, node: AppliedPTransform) -> None:
        """Looks at a step that runs."""
        if isinstance(node.transform, beam.ParDo):
            self.luggage.pack(node.transform.fn)
        elif isinstance(node.transform, beam.GroupByKey):
            self._shuffles(node)

    def _shuffles(self, node: AppliedPTransform) -> None:
        (source,) = node.main_inputs.values()
        coder = coders.registry.get_coder(source.element_type)
        key = coder.key_coder() if coder.is_kv_coder() else coder
        if not (key.is_deterministic() or _is_plain(source.element_type)):
            self.problems.append(
                f"{node.full_label}: found keys of {source.element_type}, whose coder "
                f"{type(key).__name__} may encode one key in two ways; allowed are keys with a "
                "deterministic coder (int, str, bytes); declare with_output_types(tuple[int, ...])"
            )
        carries, is_small = _crossing(node, source.element_type)
        if not is_small:
            self.problems.append(
                f"{node.full_label}: found {carries} in a shuffle; allowed are names, numbers, "
                "sums and Arrow rows of fixed width: text stays in its part"
            )
        self.shuffles.append(Shuffle(node.full_label, carries, type(key).__name__))


def _crossing(node: AppliedPTransform, element: Any) -> tuple[str, bool]:  # noqa: ANN401
    """What crosses a GroupByKey, in words, and whether it is small.

    Returns:
        (words, whether nothing in it can be as large as a text)
    """
    around = list(_enclosing(node))
    for outer in around:
        transform = outer.transform
        if isinstance(transform, beam.Create):
            return f"the names of {len(transform.values):,} elements", True
        if isinstance(transform, GroupBatches):
            return _batches(transform._schema)
        if isinstance(transform, beam.CombinePerKey | beam.CombineGlobally):
            return f"partial sums of {type(transform.fn).__name__}", True
    for outer in around:
        if isinstance(outer.transform, beam.Reshuffle):
            element = next(iter(outer.main_inputs.values())).element_type
            return _named(element), _is_small(element)
    return _named(element), _is_small(element)


def _enclosing(node: AppliedPTransform) -> Iterable[AppliedPTransform]:
    while node.parent is not None:
        node = node.parent
        yield node


def _is_plain(pair: Any) -> bool:  # noqa: ANN401 - Beam's type hints
    """Whether keys are of a type that Beam's general coder writes in one way only."""
    types = list(getattr(pair, "tuple_types", ()))
    return len(types) > 0 and types[0] in {None, type(None), bool, int, str, bytes}


def _batches(schema: pa.Schema) -> tuple[str, bool]:
    """Arrow batches: small where every column has a fixed width."""
    wide = [one.name for one in schema if not _is_fixed(one.type)]
    if texts := sorted(set(wide) - _WORDS):
        return f"Arrow rows with text in {', '.join(texts)}", False
    num_bytes = sum(one.type.bit_width for one in schema if _is_fixed(one.type)) // 8
    return f"Arrow rows of {num_bytes} bytes{f' and {len(wide)} words' if wide else ''}", True


def _is_fixed(kind: pa.DataType) -> bool:
    return bool(pa.types.is_primitive(kind) or pa.types.is_fixed_size_binary(kind))


def _named(hint: Any) -> str:  # noqa: ANN401 - Beam's type hints
    if hint is None or hint is typehints.Any:
        return "elements of no declared type"
    return hint.__name__ if isinstance(hint, type) else f"{hint}".replace("typing.", "")


def _is_small(hint: Any) -> bool:  # noqa: ANN401 - Beam's type hints
    inner = getattr(hint, "tuple_types", None) or getattr(hint, "union_types", None)
    if inner is not None:
        return all(_is_small(one) for one in inner)
    if (one := getattr(hint, "inner_type", None)) is not None:
        return _is_small(one)
    return isinstance(hint, type) and hint in _SMALL


@dataclass(slots=True)
class _Size:
    steps: int = 0
    graph_bytes: int = 0
    request_bytes: int = 0
    largest: list[str] = field(default_factory=list)


def _size(job: Any) -> _Size:  # noqa: ANN401 - Beam's Job
    """Fills in the environment, as the client does after it has staged the pipeline; measures."""
    from apache_beam.runners.dataflow.internal import apiclient

    pipeline = job.proto_pipeline
    staged = pipeline.SerializeToString()
    job.proto.environment = apiclient.Environment(
        packages=[],
        options=job.options,
        environment_version=apiclient._FNAPI_ENVIRONMENT_MAJOR_VERSION,
        proto_pipeline_staged_url=f"{job.google_cloud_options.staging_location}/pipeline.pb",
        proto_pipeline=pipeline,
        pipeline_proto_hash=hashlib.sha256(staged).hexdigest(),
    ).proto
    leaves = [one for one in pipeline.components.transforms.values() if not one.subtransforms]
    by_size = sorted(leaves, key=lambda one: len(one.spec.payload), reverse=True)
    return _Size(
        steps=sum(bool(one.spec.urn) for one in leaves),
        graph_bytes=len(staged),
        request_bytes=len(job.json().encode()),
        largest=[
            f"{one.unique_name} {len(one.spec.payload) / 1e6:.2f} MB"
            for one in by_size[:_NUM_LARGEST]
        ],
    )


def _machine(asked: Asked, known: Any) -> str:  # noqa: ANN401 - Machine or None
    if known is None:
        return asked.machine_type or "Dataflow's choice of machine"
    return f"{known.name} ({known.cores} cores, {known.memory_bytes / GIB:.0f} GiB)"


def _notes(found: _Found) -> list[str]:
    notes = []
    if found.luggage.keys:
        names = ", ".join(sorted(found.luggage.keys))
        notes.append(
            f"workers need the environment variable {names}: name its secret in "
            "TOKENMILL_SECRETS of the image, which the worker reads from Secret Manager "
            "(docs/dataflow.md)"
        )
    if found.luggage.gpus:
        notes.append(
            f"workers start a vLLM of {found.luggage.gpus} GPU(s): they need the image of "
            "infra/dataflow/Dockerfile.gpu and a worker_accelerator"
        )
    return notes

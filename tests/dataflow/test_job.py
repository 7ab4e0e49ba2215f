"""Every pipeline of the line as Dataflow would get it."""

import random
from collections.abc import Iterator
from dataclasses import replace

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.internal.cloudpickle import cloudpickle
from dataflow_line import GOOD, Line

from pipelines.dataflow import requirements
from pipelines.dataflow.report import JobRefused
from pipelines.dataflow.transform import check_job, inspect_job
from pipelines.repeats.plan import plan_repeats
from pipelines.repeats.transform import CountKeys, TakeBack
from pipelines.workspace.children import Limits
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.transform import GroupBatches, Keyed, ListNumbers, ListParts

ROWS = pa.schema([pa.field("key", pa.int64()), pa.field("place", pa.int32())])
TEXTS = pa.schema([pa.field("key", pa.int64()), pa.field("text", pa.large_string())])


def without(option: str, *more: str) -> tuple[str, ...]:
    return (*(one for one in GOOD if not one.startswith(f"--{option}=")), *more)


class Send(beam.DoFn):
    def __init__(self, held: object = None) -> None:
        self.held = held

    def process(self, number: int) -> Iterator[Keyed]:
        yield number, pa.RecordBatch.from_pylist([], schema=ROWS)


class Shuffled(beam.PTransform):
    """Numbers -> batches by number."""

    def __init__(self, schema: pa.Schema = ROWS, held: object = None, count: int = 3) -> None:
        super().__init__()
        self.schema, self.held, self.count = schema, held, count

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        numbers = list(range(self.count))
        sent = (
            pipeline | ListNumbers(numbers) | beam.ParDo(Send(self.held)).with_output_types(Keyed)
        )
        return sent | GroupBatches(numbers, self.schema)


def test_every_pipeline_of_the_line_is_one_that_dataflow_takes(line: Line) -> None:
    seen = set()
    for transform in line.moved():
        title = type(transform).__name__
        if title in seen and title != "MapChain":
            continue
        seen.add(title)
        report = check_job(transform, GOOD)
        assert report.steps > 0
        assert 0 < report.graph_bytes < 200_000
        assert 0 < report.request_bytes < 50_000
        assert report.parts > 0
    assert seen >= {"MapChain", "FindClusters", "FindCandidates", "ListPairs", "StoreTexts"}
    assert seen >= {"LabelDuplicates", "MapGroups", "AddTallies"}


def test_shuffles_of_repeats_carry_rows_of_hashes(line: Line) -> None:
    made = line.result
    keys = [PartKey(name, part) for name in sorted(made.sources) for part in made.sources[name]]
    documents, labels = made.documents, made.duplicates.labels
    plan = plan_repeats(made.workspace, "repeats", documents, labels, keys, 2)
    carried = {}
    for transform in (
        CountKeys(made.workspace, plan, 0, [0]),
        TakeBack(made.workspace, plan, -1, keys),
    ):
        moved = cloudpickle.loads(line.to_bucket(cloudpickle.dumps(transform)))
        report = check_job(moved, GOOD)
        carried[report.title] = report.shuffles[-1].carries
    assert carried == {"CountKeys": "Arrow rows of 24 bytes", "TakeBack": "Arrow rows of 20 bytes"}


def test_a_run_over_local_files_is_refused_and_each_file_is_named(line: Line) -> None:
    first, last = line.transforms()[0], line.transforms()[-1]
    told = "\n".join(inspect_job(first, GOOD).problems)
    assert f"--workspace: found {line.folder}/w on this machine's disk" in told
    assert f"sources.pages.path: found {line.folder}/in/pages on this machine's disk" in told
    assert f"options_json.tokenizer: found {line.folder}/in/tokenizer.json" in told
    told = "\n".join(inspect_job(last, GOOD).problems)
    assert f"tokenizer: found {line.folder}/in/tokenizer.json" in told


def test_a_report_tells_what_would_be_submitted() -> None:
    report = check_job(Shuffled(), GOOD)
    assert (report.title, report.name, report.project) == ("Shuffled", "small-corpus", "my-project")
    assert report.machine == "n2-highmem-8 (8 cores, 64 GiB)"
    assert (report.parts, report.machines) == (3, 2)  # two at a time each
    assert [one.key for one in report.shuffles] == ["VarIntCoder"] * len(report.shuffles)
    assert report.shuffles[-1].carries == "Arrow rows of 12 bytes"
    table = str(report)
    assert "running us-docker.pkg.dev/my-project/images/tokenmill:1" in table
    assert "Arrow rows of 12 bytes" in table
    assert max(map(len, table.splitlines()[:12])) <= 100


def test_children_follow_the_machine_where_nobody_gave_their_number() -> None:
    own = Limits(processes=2)
    (note,) = inspect_job(Shuffled(held=own), GOOD).notes
    assert note.startswith("2 child processes on the 8 cores")
    assert inspect_job(Shuffled(held=replace(own, follows_machine=True)), GOOD).notes == ()
    cheap = without("machine_type", "--machine_type=e2-highcpu-16")
    (problem,) = inspect_job(Shuffled(held=replace(own, follows_machine=True)), cheap).problems
    assert "found 16 child processes on e2-highcpu-16 with 16 GiB" in problem


def test_one_dry_run_tells_everything_that_is_missing() -> None:
    with pytest.raises(JobRefused) as refused:
        check_job(Shuffled(), ["--runner=DataflowRunner", "--job_name=Small_Corpus"])
    told = str(refused.value)
    for option in ("project", "region", "temp_location", "sdk_container_image"):
        assert f"--{option}: found none" in told
    assert "--job_name: found Small_Corpus" in told
    assert refused.value.report.steps > 0, "and what is there was built all the same"


def test_text_in_a_shuffle_is_refused() -> None:
    (problem,) = inspect_job(Shuffled(TEXTS), GOOD).problems
    assert "found Arrow rows with text in text in a shuffle" in problem
    words = beam.Create(["a", "b"]) | beam.Reshuffle()
    (problem,) = [one for one in inspect_job(words, GOOD).problems if "/Reshuffle" in one]
    assert "found str in a shuffle" in problem


def test_names_of_parts_may_be_shuffled() -> None:
    report = check_job(ListParts([PartKey("web", 0), PartKey("web", 1)]), GOOD)
    assert report.shuffles[-1].carries == "PartKey"


def test_keys_without_a_deterministic_coder_are_refused() -> None:
    pairs = beam.Create([(0.5, 1), (0.25, 2)]) | beam.GroupByKey()
    assert not [one for one in inspect_job(pairs, GOOD).problems if "deterministic" in one]
    keyed = (
        beam.Create([1, 2])
        | beam.Map(lambda n: ({"n": n}, n)).with_output_types(tuple[dict[str, int], int])
        | beam.GroupByKey()
    )
    (problem,) = [one for one in inspect_job(keyed, GOOD).problems if "deterministic" in one]
    assert "may encode one key in two ways" in problem


def test_what_cannot_travel_is_named_with_its_step() -> None:
    report = inspect_job(Shuffled(held=(n for n in range(3))), GOOD)
    (problem,) = report.problems
    assert problem.startswith("Shuffled: cannot be built: Unable to pickle fn")
    assert "test_job.Send object" in problem
    assert "cannot pickle 'generator' object" in problem
    assert report.graph_bytes == 0, "there is no job to measure"


def test_a_job_over_the_limits_is_refused_before_it_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noise = random.Random(0).randbytes(60_000)  # in base64 it is a third larger
    whole = check_job(Shuffled(held=noise), GOOD).graph_bytes
    assert 80_000 < whole < 160_000
    monkeypatch.setattr(requirements, "GRAPH_BYTES", whole - 1)
    (problem,) = inspect_job(Shuffled(held=noise), GOOD).problems
    assert problem.startswith("job graph: found 0.1 MB; allowed are 0 MB")
    assert "largest: Shuffled/ParDo(Send) 0.08 MB" in problem


def test_another_runner_is_refused() -> None:
    with pytest.raises(ValueError, match="found --runner=SparkRunner; allowed is"):
        inspect_job(Shuffled(), ["--runner=SparkRunner"])


def test_packages_installed_at_start_are_refused_without_being_fetched() -> None:
    report = inspect_job(Shuffled(), (*GOOD, "--requirements_file=nowhere.txt"))
    (problem,) = report.problems
    assert problem.startswith("found --requirements_file: each worker would install")


def test_the_image_must_be_one_with_tokenmill() -> None:
    image = "apache/beam_python3.11_sdk:2.77.0"
    args = without("sdk_container_image", f"--sdk_container_image={image}")
    (problem,) = inspect_job(Shuffled(), args).problems
    assert f"found Beam's own {image}" in problem

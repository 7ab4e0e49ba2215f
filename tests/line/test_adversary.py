"""Every DoFn of the line, run twice, in two processes at once, with one bundle thrown away."""

import shutil
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
from adversary import Content, committed, outcome_of_one_run, outcome_under_attack

from mixtures.spec import Mixture
from pipelines.annotate.job import AnnotateJob
from pipelines.annotate.registry import specs_of
from pipelines.config import load_corpus
from pipelines.deduplicate.transform import (
    CommitLabels,
    CommitPartition,
    SendDecisions,
    SendMembers,
)
from pipelines.driver import RunResult
from pipelines.extract.job import ExtractJob
from pipelines.mix.judge import columns_to_judge
from pipelines.mix.pins import columns_of
from pipelines.mix.plan import unit_keys
from pipelines.mix.preview import COLUMNS, PreviewJob
from pipelines.mix.tally import TallyJob
from pipelines.mix.transform import CommitHistogram, ReadTally, RunGroup, SumTallies
from pipelines.takedown.job import TakedownJob
from pipelines.workspace.children import Limits
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.transform import RunPart
from pipelines.workspace.workspace import Workspace

LIMITS = Limits(processes=1)


def forget(done: RunResult, folder: Path, *jobs: str) -> Workspace:
    """A copy of a finished workspace in which some jobs were never done."""
    target = folder / "w"
    shutil.copytree(done.workspace.url, target)
    for generation in (target / "ledger").iterdir():
        if generation.name.split("@")[0].split(".")[0] in jobs:
            for entry in generation.rglob("part-*.json"):
                entry.unlink()
            (generation / "folded.parquet").unlink(missing_ok=True)
    return Workspace.open(str(target))


def keys_of(done: RunResult) -> list[PartKey]:
    return [PartKey(source, part) for source in done.sources for part in done.sources[source]]


def check(workspace: Workspace, dofn: beam.DoFn, elements: list[Any], done: RunResult) -> None:
    """The attacked outcome is that of one run, which is that of the whole line."""
    folder = Path(workspace.url)
    clean = outcome_of_one_run(folder, dofn, elements)
    assert outcome_under_attack(folder, dofn, elements) == clean
    whole: Content = committed(done.workspace.url)
    assert clean == whole


def test_extract_under_attack_gives_the_same(done: RunResult, corpus: Path, tmp_path: Path) -> None:
    config = load_corpus(corpus)
    jobs = {source.name: ExtractJob(source, config.extract) for source in config.sources}
    workspace = forget(done, tmp_path, "extract")
    check(workspace, RunPart(workspace, jobs, LIMITS), keys_of(done), done)


def test_annotate_under_attack_gives_the_same(
    done: RunResult, corpus: Path, tmp_path: Path
) -> None:
    specs = specs_of(load_corpus(corpus))
    jobs = {name: AnnotateJob(made, specs) for name, made in done.extract.items()}
    workspace = forget(done, tmp_path, "annotate")
    check(workspace, RunPart(workspace, jobs, LIMITS), keys_of(done), done)


def test_takedown_under_attack_gives_the_same(done: RunResult, tmp_path: Path) -> None:
    workspace = forget(done, tmp_path)
    documents = {name: made.name for name, made in done.extract.items()}
    job = TakedownJob(documents, ("site.example",))
    workspace.ledger.declare(job.generation)
    dofn = RunPart(workspace, dict.fromkeys(documents, job), LIMITS)
    clean = outcome_of_one_run(tmp_path / "w", dofn, keys_of(done))
    assert len(clean) > len(committed(done.workspace.url))
    assert outcome_under_attack(tmp_path / "w", dofn, keys_of(done)) == clean


def test_annotate_with_one_set_missing_makes_only_that_one(
    done: RunResult, corpus: Path, tmp_path: Path
) -> None:
    specs = specs_of(load_corpus(corpus))
    workspace = forget(done, tmp_path)
    for entry in (Path(workspace.url) / "ledger").glob("annotate.language@*/*/part-*.json"):
        entry.unlink()
    for fold in (Path(workspace.url) / "ledger").glob("annotate.language@*/folded.parquet"):
        fold.unlink()
    jobs = {name: AnnotateJob(made, specs) for name, made in done.extract.items()}
    check(workspace, RunPart(workspace, jobs, LIMITS), keys_of(done), done)


def planning_jobs(done: RunResult) -> tuple[TallyJob, PreviewJob]:
    """The jobs that made the first plan of a run."""
    plan, workspace = done.plans[0], done.workspace
    mixture = Mixture(name=plan.mixture, seed=plan.seed, stages=tuple(plan.stages.values()))
    schema = columns_of(workspace, plan.pins)
    columns = tuple(columns_to_judge(mixture.stages, schema))
    tokens = plan.replacement_tokens
    tally = TallyJob(mixture, plan.pins, plan.tokenizer_fingerprint, tokens, columns)
    dimensions = tuple(name for name, column in COLUMNS.items() if column in schema.names)
    draws = workspace.ledger.get(plan.generation, plan.mixture, 0).file("draws")
    preview = PreviewJob(
        mixture, plan.pins, tally.generation, tokens, columns, dimensions, plan.solved, draws
    )
    return tally, preview


def test_planning_under_attack_gives_the_same(done: RunResult, tmp_path: Path) -> None:
    for job in planning_jobs(done):
        name = job.generation.job.split(".")[0]
        workspace = forget(done, tmp_path / name, name)
        jobs = dict.fromkeys(job.pins.sources, job)
        groups = [keys_of(done)[::2], keys_of(done)[1::2]]
        check(workspace, RunGroup(workspace, jobs, LIMITS), groups, done)


def test_sum_of_tallies_under_attack_gives_the_same(done: RunResult, tmp_path: Path) -> None:
    tally, _ = planning_jobs(done)
    workspace = forget(done, tmp_path, "histogram")
    read, adding = ReadTally(workspace, tally.generation), SumTallies()
    sums = adding.create_accumulator()
    for key in keys_of(done):
        for batch in read.process(key):
            sums = adding.add_input(sums, batch)
    table = adding.extract_output(sums)
    check(workspace, CommitHistogram(workspace, tally.generation), [table], done)


def test_shards_under_attack_give_the_same(done: RunResult, tmp_path: Path) -> None:
    workspace = forget(done, tmp_path, "shards")
    jobs = {job.stage: job for job in done.shards}
    check(workspace, RunPart(workspace, jobs, LIMITS), unit_keys(done.plans[0]), done)


def test_deduplicate_under_attack_gives_the_same(done: RunResult, tmp_path: Path) -> None:
    workspace = forget(done, tmp_path, "deduplicate")
    plan, keys = done.duplicates, keys_of(done)
    partitions = list(range(plan.num_partitions + plan.num_url_partitions))  # texts, then URLs
    sent: dict[int, list[pa.RecordBatch]] = {p: [] for p in partitions}
    for key in keys:
        for partition, batch in SendMembers(workspace, plan, partitions).process(key):
            sent[partition].append(batch)
    by_partition = CommitPartition(workspace, plan)
    elements = list(sent.items())
    clean = outcome_of_one_run(Path(workspace.url), by_partition, elements)
    assert outcome_under_attack(Path(workspace.url), by_partition, elements) == clean
    for element in elements:
        list(by_partition.process(element))
    decided: dict[int, list[pa.RecordBatch]] = {index: [] for index in range(len(keys))}
    for partition in partitions:
        for index, batch in SendDecisions(workspace, plan, keys).process(partition):
            decided[index].append(batch)
    check(workspace, CommitLabels(workspace, plan, keys), list(decided.items()), done)

"""One measured run of `scale.py`, in a process of its own: what each pipeline of the line took.

    python benchmarks/scale_run.py '<task as JSON>'

The driver's own stages are called, so that extraction and annotation, which a run fuses, are timed
apart. CPU seconds are user and system time of this process and all below it, read from /proc before
and after each pipeline: of those that live with that of the children they have reaped. Bytes
shuffled are what the batches that are sent to a GroupByKey weigh encoded, schema and all; what a
runner copies on the way is not in it. The last line printed is the result as JSON. Needs Linux.
"""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Final

import apache_beam as beam
import pyarrow as pa

import pipelines.run
from pipelines.annotate.job import AnnotateJob
from pipelines.annotate.registry import specs_of
from pipelines.config import CorpusConfig, load_corpus
from pipelines.driver import run_corpus, with_tokenizer_file
from pipelines.extract.job import ExtractJob
from pipelines.progress import Progress
from pipelines.stages import RunOptions, Stages
from pipelines.workspace import transform
from pipelines.workspace.children import Limits
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.meter import METER
from pipelines.workspace.workspace import Workspace

_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Step:
    """What one pipeline, or the work between two of them, took."""

    name: str
    cpu_s: float = 0.0
    wall_s: float = 0.0
    shuffled_bytes: int = 0
    batches: int = 0


@dataclass(slots=True)
class Told:
    """What a run took."""

    steps: list[Step] = field(default_factory=list)
    cpu_s: float = 0.0
    """Of the whole process tree, starts included."""
    annotators: dict[str, float] = field(default_factory=dict)
    """Labels set -> CPU seconds inside its annotator."""
    counts: dict[str, int] = field(default_factory=dict)
    stored: dict[str, int] = field(default_factory=dict)
    """Folder of the workspace -> bytes of its files."""
    files: dict[str, int] = field(default_factory=dict)


def tree_cpu() -> float:
    """User and system seconds of this process and of all below it, dead or alive."""
    stats: dict[int, list[str]] = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            stats[int(place.name)] = (place / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
    tree, before = {os.getpid()}, 0
    while len(tree) > before:
        before = len(tree)
        tree |= {pid for pid, stat in stats.items() if int(stat[1]) in tree}
    # man 5 proc: utime, stime, cutime, cstime are fields 14 to 17, the third is the first here.
    return sum(int(one) for pid in tree & stats.keys() for one in stats[pid][11:15]) / _TICKS


class Clock:
    """Notes what passes between two looks."""

    def __init__(self) -> None:
        self.told = Told()
        self._seen = (tree_cpu(), monotonic(), 0, 0)

    def note(self, name: str) -> None:
        """Puts what passed since the last look under a name."""
        counts = METER.read("scale.bytes"), METER.read("scale.batches")
        now = (tree_cpu(), monotonic(), *counts)
        cpu, wall, num_bytes, batches = (b - a for a, b in zip(self._seen, now, strict=True))
        self._seen = now
        step = Step(name, round(cpu, 2), round(wall, 3), int(num_bytes), int(batches))
        self.told.steps.append(step)


class Titles(Progress):
    """Knows which stage runs."""

    title = ""

    @contextmanager
    def stage(self, title: str, **shown: Any) -> Iterator[Any]:  # noqa: ANN401 - passed on
        """Shows a stage, and remembers its title."""
        self.title = title
        with super().stage(title, **shown) as watch:
            yield watch


@contextmanager
def counted(clock: Clock, titles: Titles) -> Iterator[None]:
    """Notes every pipeline, and every batch that is sent to a shuffle."""
    run, expand = pipelines.run.run_transform, transform.GroupBatches.expand

    def run_noted(made: Any, *args: Any, **options: Any) -> None:  # noqa: ANN401 - passed on
        clock.note("driver")
        run(made, *args, **options)
        clock.note(f"{titles.title}: {type(made).__module__.split('.')[1]}.{type(made).__name__}")

    def weigh(element: tuple[int, pa.RecordBatch]) -> tuple[int, pa.RecordBatch]:
        # Imported here: Beam pickles this function with its closure, and would count in a copy.
        from pipelines.workspace.meter import METER

        batch = element[1]
        # A stream is the schema, the batch and an end of 8 bytes (Arrow IPC format).
        size = pa.ipc.get_record_batch_size(batch) + batch.schema.serialize().size + 8
        METER.add("scale.bytes", size)
        METER.add("scale.batches", 1)
        return element

    def expand_weighed(group: Any, sent: Any) -> Any:  # noqa: ANN401 - PCollections
        weighed = sent | "Weigh" >> beam.Map(weigh).with_output_types(transform.Keyed)
        return expand(group, weighed)

    setattr(pipelines.run, "run_transform", run_noted)  # noqa: B010 - mypy knows the signature
    setattr(transform.GroupBatches, "expand", expand_weighed)  # noqa: B010
    try:
        yield
    finally:
        setattr(pipelines.run, "run_transform", run)  # noqa: B010
        setattr(transform.GroupBatches, "expand", expand)  # noqa: B010


def measured(config: CorpusConfig, workspace: str, processes: int, *, whole: bool) -> Told:
    """Extracts, annotates, and then does what is left of a run; the same results as `run_corpus`.

    Args:
        config: The corpus.
        workspace: A new one.
        processes: Child processes.
        whole: Whether to go on after the labels.
    """
    clock, progress = Clock(), Titles()
    options = RunOptions(workspace=workspace, limits=Limits(processes=processes))
    config = with_tokenizer_file(config)
    with counted(clock, progress):
        stages = Stages(Workspace.create(workspace), options, progress)
        sources = {one.name: stages.number(one, config.part_bytes) for one in config.sources}
        keys = [PartKey(name, part) for name in sorted(sources) for part in sources[name]]
        extract = {one.name: ExtractJob(one, config.extract, None) for one in config.sources}
        clock.note("start")
        stages.map("Extract", {"extract": "documents"}, [extract], keys)
        clock.note("driver")
        if whole:
            specs = specs_of(config)
            annotate = {name: AnnotateJob(job.generation, specs) for name, job in extract.items()}
            stages.map("Annotate", {"annotate": "documents"}, [annotate], keys)
            clock.note("driver")
            run_corpus(config, options, progress)
            clock.note("driver")
    told = clock.told
    _look(Workspace.open(workspace), Path(workspace), told)
    told.cpu_s = tree_cpu()
    return told


def _look(workspace: Workspace, folder: Path, told: Told) -> None:
    """What the workspace holds, by kind."""
    for generation in workspace.ledger.generations():
        entries = workspace.ledger.entries(generation)
        job = generation.split("@")[0]
        told.counts[f"entries.{job}"] = len(entries)
        for entry in entries:
            for name, count in entry.counts.items():
                told.counts[f"{job}.{name}"] = told.counts.get(f"{job}.{name}", 0) + count
            seconds = entry.detail.get("cpu_seconds")
            if seconds is not None:
                told.annotators[job] = told.annotators.get(job, 0.0) + seconds
            for ref in entry.files:
                kind = f"{job}.{ref.kind}"
                told.stored[kind] = told.stored.get(kind, 0) + ref.bytes
                told.files[kind] = told.files.get(kind, 0) + 1
    ledger = [path for path in (folder / "ledger").rglob("*") if path.is_file()]
    told.stored["ledger"] = sum(path.stat().st_size for path in ledger)
    told.files["ledger"] = len(ledger)


def main(argv: Sequence[str]) -> None:
    """Runs one task: `corpus` (a file), `workspace`, `processes`, `whole`."""
    task = json.loads(argv[0])
    told = measured(
        load_corpus(Path(task["corpus"])),
        task["workspace"],
        int(task["processes"]),
        whole=bool(task["whole"]),
    )
    print(json.dumps(asdict(told)))


if __name__ == "__main__":
    main(sys.argv[1:])

"""Planning a mixture from the labels of a run: two passes with a solve between them.

    tally of each part -> sum, by Beam -> solve -> preview of each part -> plan

Each step is a generation of its own and is done once: an edit of a budget, a share or a cap tallies
nothing again, an edit of the size of a shard draws nothing again, and the same mixture reads its
plan. The driver of a run and the commands that look at a mixture call the same function.
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from mixtures.errors import MixtureError
from mixtures.expressions import check_expressions
from mixtures.solve import StagePlan, solve
from mixtures.spec import Mixture, check_cuts, load_mixture
from pipelines.erasure.swap import refuse_unfinished
from pipelines.mix.judge import columns_to_judge
from pipelines.mix.pins import Pins, check_columns, columns_of, pin
from pipelines.mix.plan import (
    Plan,
    commit_plan,
    draws_table,
    plan_folder,
    plan_generation,
    publish_table,
    read_plan,
    read_previews,
    refuse_changed_parts,
    sum_reasons,
    units_of_stage,
)
from pipelines.mix.planned import count_replacements
from pipelines.mix.preview import COLUMNS, PreviewJob
from pipelines.mix.tally import (
    TallyJob,
    histogram_generation,
    of_stage,
    read_histogram,
    tally_generation,
)
from pipelines.progress import Progress
from pipelines.run_record import RunRecord, read_run_record
from pipelines.takedown.job import JOB as TAKEDOWN
from pipelines.takedown.job import label_here, takedown_job
from pipelines.workspace.children import Limits, default_processes
from pipelines.workspace.jobs import PartJob, pending_keys
from pipelines.workspace.workspace import Workspace

SHIPPED: Final = Path(__file__).parents[2] / "mixtures"
VALIDATION_SET: Final = "validation"

MakeTransform = Callable[[], Any]
"""Makes a PTransform; called where Beam is there, for this module does not import it."""

Run = Callable[[str, Mapping[str, str], MakeTransform, int], None]
"""Runs a transform to its end: (title, meters, what makes it, parts it does)."""


def plan_mixture(
    workspace: Workspace,
    mixture: Mixture,
    pins: Pins,
    *,
    shard_tokens: int,
    tokenizer: str,
    tokenizer_fingerprint: str,
    processes: int,
    run: Run,
    eod: str = "<|endoftext|>",
) -> Plan:
    """Plans a mixture, or reads the plan that is there.

    Args:
        workspace: Where the labels are and the plan goes.
        mixture: Checked against the label columns.
        pins: What it reads.
        shard_tokens: Tokens of a shard, about.
        tokenizer: Counts what stands in place of a cut; as corpus.yaml names it.
        tokenizer_fingerprint: Its fingerprint.
        processes: Parts that one worker reads at a time.
        run: Runs the passes.
        eod: Text of the token that ends a document.

    Raises:
        MixtureError: A stage cannot be filled, or needs too many shards.
        ValueError: A source lacks labels that the mixture reads.
    """
    tallies = tally_generation(mixture, pins, tokenizer_fingerprint)
    generation = plan_generation(tallies, mixture, shard_tokens)
    if workspace.ledger.find(generation, mixture.name, 0) is not None:
        return read_plan(workspace, plan_folder(mixture.name, generation.fp))
    schema = columns_of(workspace, pins)
    columns = tuple(columns_to_judge(mixture.stages, schema))
    check_columns(workspace, pins, columns)
    replacements = _replacements(mixture, tokenizer, eod)
    job = TallyJob(mixture, pins, tokenizer_fingerprint, replacements, columns)
    _map(workspace, f"Plan {mixture.name}", {"tally": "documents"}, job, processes, run)
    _add_up(workspace, job, run)
    histogram = read_histogram(workspace, tallies)
    solved = {stage.name: solve(stage, of_stage(histogram, stage.name)) for stage in mixture.stages}
    folder = plan_folder(mixture.name, generation.fp)
    draws = publish_table(workspace, draws_table(solved), kind="draws", folder=folder)
    dimensions = tuple(name for name, column in COLUMNS.items() if column in schema.names)
    bare = _without_draws(solved)
    preview = PreviewJob(mixture, pins, tallies, replacements, columns, dimensions, bare, draws)
    _map(workspace, f"Preview {mixture.name}", {"preview": "documents"}, preview, processes, run)
    previews = read_previews(workspace, workspace.ledger.entries(preview.generation))
    stages = mixture.stages
    plan = Plan(
        mixture=mixture.name,
        generation=generation,
        seed=mixture.seed,
        stages={stage.name: stage for stage in stages},
        solved=solved,
        reasons=sum_reasons(workspace.ledger.entries(tallies)),
        units=tuple(u for one in stages for u in units_of_stage(one, previews, shard_tokens)),
        pins=pins,
        tokenizer_fingerprint=tokenizer_fingerprint,
        replacement_tokens=replacements,
        preview=previews.table,
    )
    commit_plan(workspace, plan, draws)
    return plan


def _replacements(mixture: Mixture, tokenizer: str, eod: str) -> dict[str, int]:
    redacts = any(stage.redact for stage in mixture.stages)
    return count_replacements(tokenizer, eod=eod) if redacts else {}


def _without_draws(solved: Mapping[str, StagePlan]) -> dict[str, StagePlan]:
    return {name: replace(item, draws=item.draws.slice(0, 0)) for name, item in solved.items()}


def _map(
    workspace: Workspace,
    title: str,
    meters: Mapping[str, str],
    job: TallyJob | PreviewJob,
    processes: int,
    run: Run,
) -> None:
    """Does a job on all pinned parts that it is not done on."""
    jobs: dict[str, PartJob] = dict.fromkeys(job.pins.sources, job)
    pending = pending_keys(workspace, jobs, job.pins.keys())
    if not pending:
        return
    workspace.ledger.declare(job.generation)

    def transform() -> Any:  # noqa: ANN401 - a PTransform
        from pipelines.mix.transform import MapGroups

        return MapGroups(workspace, jobs, pending, Limits(processes=processes))

    run(title, meters, transform, len(pending))
    workspace.ledger.fold(job.generation, {(key.source, key.part) for key in pending})


def _add_up(workspace: Workspace, job: TallyJob, run: Run) -> None:
    """Has Beam add up the tallies of all parts, unless that is done."""
    mixture, tallies = job.mixture.name, job.generation
    if workspace.ledger.find(histogram_generation(tallies), mixture, 0) is not None:
        return

    def transform() -> Any:  # noqa: ANN401 - a PTransform
        from pipelines.mix.transform import AddTallies

        return AddTallies(workspace, tallies, job.pins.keys())

    run(f"Add up {mixture}", {"histogram": "tallies"}, transform, 1)


def local_run(progress: Progress | None = None) -> Run:
    """Runs transforms in this process."""

    def run(
        title: str,
        meters: Mapping[str, str],
        transform: MakeTransform,
        parts: int,
    ) -> None:
        from pipelines.run import run_transform

        shown = progress.stage(title, parts=parts, meters=meters) if progress else nullcontext()
        with shown:
            run_transform(transform(), ())

    return run


def pins_of(record: RunRecord, workspace: Workspace) -> Pins:
    """What the last run made, as its own plans pin it; labels of later takedowns are made here.

    Raises:
        LookupError: A part is missing.
    """
    shared = {"duplicates": record.duplicates, **record.labels}
    if record.validation:
        shared[VALIDATION_SET] = record.validation
    job = takedown_job(workspace, record.documents)
    if job is not None:
        label_here(workspace, job, record.sources)
        shared[TAKEDOWN] = job.generation.name
    labels = {source: {**sets, **shared} for source, sets in record.annotate.items()}
    return pin(workspace, record.documents, labels, record.sources)


def open_plan(
    workspace_url: str, mixture: str, tokens: str | None = None
) -> tuple[Workspace, RunRecord, Plan]:
    """Plans a mixture on the labels of the last run, or reads its plan where there is one.

    Args:
        workspace_url: A workspace in which a run came to its end.
        mixture: Path of a YAML file, the name of a mixture of that run, or of a shipped one.
        tokens: Budget of every stage, in place of the mixture's own.

    Raises:
        MixtureError: The mixture is wrong, or the corpus cannot fill it.
        ValueError: The tokenizer is not that of the run, parts of an old plan have changed, or an
            erasure is unfinished.
        LookupError: No run came to its end here.
    """
    workspace = Workspace.open(workspace_url)
    refuse_unfinished(workspace.storage)
    record = read_run_record(workspace)
    own = record.mixtures.get(mixture)
    planned = read_plan(workspace, own) if own is not None else None
    if planned is not None:
        refuse_changed_parts(workspace, planned)
    # What is forgotten since a plan was made must not be drawn again: then it is planned anew.
    is_current = planned is not None and _knows_takedowns(workspace, planned.pins)
    if planned is not None and is_current and tokens is None:
        return workspace, record, planned
    _check_tokenizer(record)
    found = _mixture_of(planned) if planned is not None else _load(mixture, record)
    pins = planned.pins if planned is not None and is_current else pins_of(record, workspace)
    columns = columns_of(workspace, pins)
    check_expressions(found, columns)
    check_cuts(found, columns.names)
    plan = plan_mixture(
        workspace,
        found if tokens is None else found.with_tokens(tokens),
        pins,
        shard_tokens=record.shard_tokens,
        tokenizer=record.tokenizer,
        tokenizer_fingerprint=record.tokenizer_fingerprint,
        processes=default_processes(),
        run=local_run(Progress()),
        eod=record.eod,
    )
    return workspace, record, plan


def _knows_takedowns(workspace: Workspace, pins: Pins) -> bool:
    """Whether pins hold the labels of all that was taken down, where anything was."""
    documents = {name: source.documents for name, source in pins.sources.items()}
    job = takedown_job(workspace, documents)
    wanted = job.generation.name if job is not None else None
    return all(source.labels.get(TAKEDOWN) == wanted for source in pins.sources.values())


def _mixture_of(plan: Plan) -> Mixture:
    return Mixture(name=plan.mixture, seed=plan.seed, stages=tuple(plan.stages.values()))


def _load(mixture: str, record: RunRecord) -> Mixture:
    if mixture.endswith((".yaml", ".yml")):
        return load_mixture(mixture)
    path = SHIPPED / f"{mixture}.yaml"
    if not path.is_file():
        shipped = sorted(one.stem for one in SHIPPED.glob("*.yaml"))
        raise MixtureError(
            f"found mixture {mixture!r}; allowed: those of the last run "
            f"({', '.join(record.mixtures) or 'none'}), the shipped {', '.join(shipped)}, or the "
            "path of a YAML file; correct the name"
        )
    return load_mixture(path)


def _check_tokenizer(record: RunRecord) -> None:
    """Refuses a tokenizer that does not count as the labels were counted.

    Raises:
        ValueError: It has changed.
    """
    from token_shards.tokenizer import tokenizer_fingerprint

    found = tokenizer_fingerprint(record.tokenizer, eod=record.eod)
    if found != record.tokenizer_fingerprint:
        raise ValueError(
            f"tokenizer {record.tokenizer} has fingerprint {found}, and the run was made with "
            f"{record.tokenizer_fingerprint}; put the old tokenizer back, or give `tokenmill run` "
            "again"
        )

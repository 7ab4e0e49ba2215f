"""The driver: the chain of stages that takes a corpus from input files to token shards.

Between stages it reads the ledger and nothing else, so a run that is started again does what is
missing, and a run with nothing missing imports neither Beam nor a model. Every barrier (the shuffle
of deduplication, the solve of a mixture) ends a Beam pipeline.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from mixtures.errors import MixtureError
from mixtures.spec import Mixture
from pipelines.annotate.job import AnnotateJob
from pipelines.annotate.registry import AnnotatorSpec, specs_of
from pipelines.checks import check_benchmarks, check_items, load_mixtures
from pipelines.config import ConfigError, CorpusConfig
from pipelines.deduplicate.alarms import Advice, Alarms, check_alarms
from pipelines.deduplicate.plan import DuplicatesPlan, plan_duplicates
from pipelines.extract.job import ExtractJob
from pipelines.mix.pins import Pins, pin
from pipelines.mix.plan import Plan
from pipelines.mix.planning import plan_mixture
from pipelines.near_duplicates.near import NearDuplicates
from pipelines.progress import Progress
from pipelines.run_record import RunRecord, read_run_record, write_run_record
from pipelines.shards.job import ShardsJob
from pipelines.shards.writing import ShardSettings, write_shards
from pipelines.stages import RunOptions, Stages
from pipelines.takedown.job import JOB as TAKEDOWN
from pipelines.takedown.job import takedown_job
from pipelines.validation.items import make_items
from pipelines.validation.job import ValidationJob, what_was_held_out
from pipelines.validation.plan import ValidationPlan
from pipelines.validation.texts import TextsJob
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import PartKey, pending_keys
from pipelines.workspace.version import code_version
from pipelines.workspace.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipelines.synthesize.stage import Item, Made

__all__ = ["RunOptions", "RunResult", "run_corpus"]

_DUPLICATES: Final = "duplicates"
_REPEATS: Final = ("boilerplate", "repeats")  # levels that label spans
NO_MODELS: Final = "none is configured, so this run refined, rewrote and synthesized no text"


@dataclass(slots=True)
class RunResult:
    """What a run leaves behind."""

    workspace: Workspace
    sources: dict[str, list[int]]
    """Source -> its parts."""
    documents: dict[str, Generation]
    """Source -> generation of its documents, extracted or made."""
    annotate: dict[str, tuple[Generation, ...]]
    duplicates: DuplicatesPlan
    made: Mapping[str, "Made"] = field(default_factory=dict)
    """Sources that recipes made."""
    labels: dict[str, Generation] = field(default_factory=dict)
    """Further labels sets over all sources: `same_url`, `boilerplate` and the like."""
    validation: Generation | None = None
    """The `validation` labels; None where nothing is held out."""
    plans: list[Plan] = field(default_factory=list)
    shards: list[ShardsJob] = field(default_factory=list)
    refused: dict[str, MixtureError] = field(default_factory=dict)
    """Mixtures that this corpus cannot fill, and why."""
    record: RunRecord | None = None
    """What run.json says."""
    parts_done: int = 0
    """Parts, partitions and shards that this run made; 0 when all was there."""

    @property
    def keys(self) -> list[PartKey]:
        """All parts, by source and number."""
        return [PartKey(n, part) for n in sorted(self.sources) for part in self.sources[n]]

    @property
    def extract(self) -> dict[str, Generation]:
        """Source -> generation of its documents, of sources that were extracted."""
        return {name: made for name, made in self.documents.items() if name not in self.made}


def run_corpus(config: CorpusConfig, options: RunOptions, progress: Progress) -> RunResult:
    """Takes a corpus to shards, or on from where a killed run was.

    Raises:
        ValueError: A mistake in the configuration, the sources or a mixture; before any work.
        DuplicatesAlarm: More was found to be duplicates than `duplicates.alarms` allows.
        WorkspaceHeld: Another run writes into the workspace.
        OSError, RuntimeError: The run failed; what is committed stays.
    """
    config = with_tokenizer_file(config)
    specs = specs_of(config)
    mixtures = load_mixtures(config, specs, options.tokens)
    items = check_items(config, specs)
    check_benchmarks(config, specs, progress)
    with Stages(Workspace.create(options.workspace), options, progress) as stages:
        return _run(stages, config, specs, items, mixtures)


def _run(
    stages: Stages,
    config: CorpusConfig,
    specs: tuple[AnnotatorSpec, ...],
    items: tuple["Item", ...],
    mixtures: Sequence[Mixture],
) -> RunResult:
    """The chain of stages, in a workspace that this run holds."""
    result = read_sources(stages, config, specs)
    if items:
        _synthesize(stages, config, items, specs, result)
    stages.end_servers()
    keys = result.keys
    result.labels |= result.duplicates.label_sets
    del result.labels[_DUPLICATES]
    result.labels |= _repeats(stages, config, result, keys)
    result.validation = _validation(stages, config, result, keys)
    result.labels |= _takedown(stages, result, keys)
    result.labels |= _superseded(stages, result, keys)
    pins = _pin(result)
    for mixture in mixtures:
        try:
            plan = _plan(stages, config, mixture, pins)
        except MixtureError as error:  # the other mixtures do not depend on it
            result.refused[mixture.name] = error
            continue
        result.plans.append(plan)
        result.shards += _shards(stages, config, plan)
    result.parts_done = stages.parts_done
    _finish(stages, config, result)
    return result


def read_sources(
    stages: Stages, config: CorpusConfig, specs: tuple[AnnotatorSpec, ...]
) -> RunResult:
    """Extracts and annotates the sources of a corpus, and labels duplicates among them.

    Raises:
        ValueError, DuplicatesAlarm, OSError, RuntimeError: As of `run_corpus`.
    """
    sources = {one.name: stages.number(one, config.part_bytes) for one in config.sources}
    keys = [PartKey(name, part) for name in sorted(sources) for part in sources[name]]
    pdf = config.extract.pdf
    reader = config.models[pdf.ocr_model or ""] if pdf.ocr == "vl" else None
    extract = {one.name: ExtractJob(one, config.extract, reader) for one in config.sources}
    annotate = {name: AnnotateJob(job.generation, specs) for name, job in extract.items()}
    before = partial(_say_fallback, config, stages.progress)
    stages.per_part(extract, annotate, keys, before=before)
    documents = {name: job.generation for name, job in extract.items()}
    labels = {name: job.generations for name, job in annotate.items()}
    return RunResult(
        workspace=stages.workspace,
        sources=sources,
        documents=documents,
        annotate=labels,
        duplicates=_deduplicate(stages, config, documents, labels, keys),
    )


def _deduplicate(
    stages: Stages,
    config: CorpusConfig,
    documents: Mapping[str, Generation],
    annotate: Mapping[str, tuple[Generation, ...]],
    keys: list[PartKey],
) -> DuplicatesPlan:
    """Labels duplicates over all sources, and looks whether they are too many to be true.

    Raises:
        DuplicatesAlarm: They are.
    """
    asked = config.duplicates
    plan = plan_duplicates(
        stages.workspace,
        _sets_of(annotate, "signatures"),
        _sets_of(annotate, "minhash"),
        NearDuplicates(threshold=asked.threshold),
        extract=documents,
        quality=_sets_of(annotate, "quality") or None,
        levels=asked.levels,
    )
    stages.deduplicate(plan, keys)
    alarms = asked.alarms
    limits = Alarms(
        max_removed=alarms.max_removed, max_cluster=alarms.max_cluster, sources=alarms.sources
    )
    where = f"--workspace {shlex.quote(stages.workspace.url)}"
    check_alarms(stages.workspace, plan, limits, Advice(workspace=where))
    return plan


def _repeats(
    stages: Stages, config: CorpusConfig, result: RunResult, keys: list[PartKey]
) -> dict[str, Generation]:
    """Labels what repeats within hosts and across documents, where that is asked for."""
    asked = config.duplicates
    levels = [level for level in _REPEATS if level in asked.levels]
    if not levels:
        return {}
    from pipelines.repeats.plan import plan_repeats

    made: dict[str, Generation] = {}
    for level in levels:
        plan = plan_repeats(
            stages.workspace,
            level,
            result.documents,
            result.duplicates.labels,
            keys,
            asked.min_documents,
        )
        stages.repeats(plan, keys)
        made[level] = plan.labels
    return made


def _sets_of(annotate: Mapping[str, tuple[Generation, ...]], name: str) -> dict[str, Generation]:
    """Source -> its generation of a labels set, of the sources that have it."""
    return {
        source: generation
        for source, generations in annotate.items()
        for generation in generations
        if generation.job == f"annotate.{name}"
    }


def _validation(
    stages: Stages, config: CorpusConfig, result: RunResult, keys: list[PartKey]
) -> Generation | None:
    """Labels what is held out of training and what is too near to it, where that is asked."""
    if config.validation is None:
        return None
    plan = ValidationPlan(config.validation.share, result.documents, result.duplicates.labels)
    texts = dict.fromkeys(result.sources, TextsJob(plan))
    pending = pending_keys(stages.workspace, texts, keys)
    meters = {"validation": "documents"}
    stages.map("Hold out validation texts", meters, [texts], pending)
    job = ValidationJob(plan, make_items(stages.workspace, plan))
    (labels,) = job.generations
    jobs = dict.fromkeys(result.sources, job)
    pending = pending_keys(stages.workspace, jobs, keys)
    stages.map("Find validation copies", meters, [jobs], pending)
    if pending:
        stages.progress.say(what_was_held_out(stages.workspace, labels))
    return labels


def _takedown(stages: Stages, result: RunResult, keys: list[PartKey]) -> dict[str, Generation]:
    """Labels documents of addresses that were taken down, where there are any."""
    documents = {name: generation.name for name, generation in result.documents.items()}
    job = takedown_job(stages.workspace, documents)
    if job is None:
        return {}
    jobs = dict.fromkeys(result.sources, job)
    pending = pending_keys(stages.workspace, jobs, keys)
    stages.map("Label what was taken down", {TAKEDOWN: "documents"}, [jobs], pending)
    return {TAKEDOWN: job.generation}


def _synthesize(
    stages: Stages,
    config: CorpusConfig,
    items: tuple["Item", ...],
    specs: tuple[AnnotatorSpec, ...],
    result: RunResult,
) -> None:
    """Lets models make documents of those that are there; all are looked at for duplicates anew."""
    from pipelines.synthesize.stage import settings_of, sources_of, synthesize

    known = sources_of(result.sources, result.documents, result.annotate, result.duplicates.labels)
    synthesize(stages, settings_of(config), items, specs, known)
    result.made = known.made
    for name, made in known.made.items():
        result.sources[name] = known.parts[name]
        result.documents[name] = made.job.generation
        result.annotate[name] = made.annotate.generations
    result.duplicates = _deduplicate(stages, config, result.documents, result.annotate, result.keys)


def _superseded(stages: Stages, result: RunResult, keys: list[PartKey]) -> dict[str, Generation]:
    """Labels documents of which a better form was made, where any was."""
    better = {one.parent: name for name, one in result.made.items() if one.supersedes}
    if not better:
        return {}
    from pipelines.synthesize.superseded import JOB, SupersededJob

    documents = {name: generation.name for name, generation in result.documents.items()}
    job = SupersededJob(documents, better)
    jobs = dict.fromkeys(result.sources, job)
    pending = pending_keys(stages.workspace, jobs, keys)
    stages.map("Label what was refined", {JOB: "documents"}, [jobs], pending)
    return {JOB: job.generation}


def _plan(stages: Stages, config: CorpusConfig, mixture: Mixture, pins: Pins) -> Plan:
    """Plans one mixture, or reads its plan where it is there."""
    from token_shards.tokenizer import tokenizer_fingerprint

    def run(
        title: str,
        meters: Mapping[str, str],
        transform: "Callable[[], Any]",
        parts: int,
    ) -> None:
        stages.run(title, meters, [transform()], parts)

    return plan_mixture(
        stages.workspace,
        mixture,
        pins,
        shard_tokens=config.shard_tokens,
        tokenizer=config.tokenizer,
        tokenizer_fingerprint=tokenizer_fingerprint(config.tokenizer, eod=config.eod),
        processes=stages.options.limits.processes,
        run=run,
        eod=config.eod,
    )


def _shards(stages: Stages, config: CorpusConfig, plan: Plan) -> list[ShardsJob]:
    """Writes the shards of all stages of a plan."""
    settings = ShardSettings(tokenizer=config.tokenizer, eod=config.eod, format=config.shard_format)
    return write_shards(stages.workspace, plan, settings, stages.map)


def _say_fallback(config: CorpusConfig, progress: Progress) -> None:
    """Says it where the fast tokenizer engine cannot be used, and why."""
    from token_shards.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(config.tokenizer, eod=config.eod)
    if tokenizer.fallback_reason is not None:
        progress.say(tokenizer.engine_statement)


def _record(stages: Stages, config: CorpusConfig, result: RunResult) -> RunRecord:
    """What this run made, for reports and launch scripts."""
    from token_shards.tokenizer import tokenizer_fingerprint

    return RunRecord(
        corpus=config.name,
        sources=result.sources,
        crawl=stages.crawls,
        extract={n: made.name for n, made in result.documents.items() if n not in result.made},
        synthesize={n: made.name for n, made in result.documents.items() if n in result.made},
        annotate={
            source: {g.job.removeprefix("annotate."): g.name for g in generations}
            for source, generations in result.annotate.items()
        },
        duplicates=result.duplicates.labels.name,
        labels={name: generation.name for name, generation in result.labels.items()},
        validation=result.validation.name if result.validation else "",
        mixtures={plan.mixture: plan.folder for plan in result.plans},
        shards={job.plan.mixture: job.generation.name for job in result.shards},
        tokenizer=config.tokenizer,
        tokenizer_fingerprint=tokenizer_fingerprint(config.tokenizer, eod=config.eod),
        shard_tokens=config.shard_tokens,
        shard_format=config.shard_format,
        eod=config.eod,
        refused={name: str(error) for name, error in result.refused.items()},
        models=_models_line(config),
        settings=config.model_dump(mode="json", exclude_defaults=True),
        code=code_version(),
        **_time_taken(stages),
    )


def _finish(stages: Stages, config: CorpusConfig, result: RunResult) -> None:
    """Writes launch files where a launch is asked for, and the record of the run."""
    result.record = _record(stages, config, result)
    settings = config.launch
    if settings is not None and result.shards:
        from pipelines.launch.write import make_launch, write_launch

        names = [name for name in settings.stages if name not in result.refused]
        launch = make_launch(stages.workspace, result.record, settings.model, stages=names)
        folder = write_launch(stages.workspace, launch)
        result.record = replace(result.record, launch={launch.shape.name: folder})
    write_run_record(stages.workspace, result.record)


def _time_taken(stages: Stages) -> dict[str, Any]:
    """When the last work ended, and seconds by stage, those of earlier runs included."""
    try:
        before = read_run_record(stages.workspace)
    except LookupError:
        before = None
    seconds = dict(before.seconds) if before else {}
    for title, taken in stages.progress.seconds.items():
        seconds[title] = seconds.get(title, 0.0) + taken
    now = datetime.now(UTC).isoformat(timespec="seconds")
    if before and not stages.progress.seconds:
        now = before.finished_at
    return {"seconds": seconds, "finished_at": now}


def with_tokenizer_file(config: CorpusConfig) -> CorpusConfig:
    """The corpus with a local file for its tokenizer, fetched where it is a name of the hub."""
    from token_shards.hub import resolve_tokenizer

    try:
        file = resolve_tokenizer(config.tokenizer)
    except ValueError as error:
        raise ConfigError(f"tokenizer: {error}") from error
    return config.model_copy(update={"tokenizer": str(file)})


def _pin(result: RunResult) -> Pins:
    made = {_DUPLICATES: result.duplicates.labels, **result.labels}
    shared = {name: generation.name for name, generation in made.items()}
    if result.validation is not None:
        shared["validation"] = result.validation.name
    labels = {
        source: {g.job.removeprefix("annotate."): g.name for g in generations} | shared
        for source, generations in result.annotate.items()
    }
    documents = {source: generation.name for source, generation in result.documents.items()}
    return pin(result.workspace, documents, labels, result.sources)


def _models_line(config: CorpusConfig) -> str:
    """Which models write text in a run, and which wrote some before it."""
    given = [
        f"source {source.name} holds {source.provenance.kind} text"
        + (f" of {source.provenance.model}" if source.provenance.model else "")
        for source in config.sources
        if source.provenance is not None and source.provenance.kind != "natural"
    ]
    own = [
        f"{one.output} of {config.models[one.model or next(iter(config.models))].identity}"
        for one in config.synthesize
        if config.models
    ]
    if config.extract.pdf.ocr == "vl" and config.extract.pdf.ocr_model:
        own.append(f"pages read by {config.models[config.extract.pdf.ocr_model].identity}")
    return "; ".join([*(own or [NO_MODELS]), *given])

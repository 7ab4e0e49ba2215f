"""The driver: the chain of stages that takes a corpus from input files to token shards.

Between stages it reads the ledger and nothing else, so a run that is started again does what is
missing, and a run with nothing missing imports neither Beam nor a model. Every barrier (the shuffle
of deduplication, the solve of a mixture) ends a Beam pipeline.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from mixtures.budgets import TokenBudget
from mixtures.errors import MixtureError
from mixtures.expressions import check_expressions
from mixtures.spec import Mixture, check_cuts, load_mixture
from pipelines.annotate.job import AnnotateJob, labels_schema
from pipelines.annotate.registry import AnnotatorSpec, specs_of
from pipelines.config import ConfigError, CorpusConfig
from pipelines.deduplicate.alarms import Advice, Alarms, check_alarms
from pipelines.deduplicate.exact import LABEL_SCHEMAS
from pipelines.deduplicate.plan import DuplicatesPlan, plan_duplicates
from pipelines.extract.job import ExtractJob
from pipelines.mix.columns import DOCUMENT_COLUMNS
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
from pipelines.validation.plan import LABELS as HELD_OUT
from pipelines.validation.plan import ValidationPlan
from pipelines.validation.texts import TextsJob
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import PartKey, pending_keys
from pipelines.workspace.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from annotators.contamination.facts import IndexFacts

__all__ = ["RunOptions", "RunResult", "mixture_path", "run_corpus"]

SHIPPED: Final = Path(__file__).parents[1] / "mixtures"
_DUPLICATES: Final = "duplicates"
_REPEATS: Final = ("boilerplate", "repeats")  # levels that label spans
NO_MODELS: Final = "none is configured, so this run refined, rewrote and synthesized no text"


@dataclass(slots=True)
class RunResult:
    """What a run leaves behind."""

    workspace: Workspace
    sources: dict[str, list[int]]
    """Source -> its parts."""
    extract: dict[str, Generation]
    annotate: dict[str, tuple[Generation, ...]]
    duplicates: DuplicatesPlan
    labels: dict[str, Generation]
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


def run_corpus(config: CorpusConfig, options: RunOptions, progress: Progress) -> RunResult:
    """Takes a corpus to shards, or on from where a killed run was.

    Raises:
        ValueError: A mistake in the configuration, the sources or a mixture; before any work.
        DuplicatesAlarm: More was found to be duplicates than `duplicates.alarms` allows.
        OSError, RuntimeError: The run failed; what is committed stays.
    """
    config = _with_tokenizer_file(config)
    specs = specs_of(config)
    mixtures = _load_mixtures(config, specs, options.tokens)
    _check_benchmarks(config, specs, progress)
    workspace = Workspace.create(options.workspace)
    stages = Stages(workspace, options, progress)
    sources = {one.name: stages.number(one, config.part_bytes) for one in config.sources}
    keys = [PartKey(name, part) for name in sorted(sources) for part in sources[name]]
    extract = {source.name: ExtractJob(source, config.extract) for source in config.sources}
    annotate = {name: AnnotateJob(job.generation, specs) for name, job in extract.items()}
    stages.per_part(extract, annotate, keys, before=lambda: _say_fallback(config, progress))
    documents = {name: job.generation for name, job in extract.items()}
    duplicates = _deduplicate(stages, config, documents, annotate, keys)
    result = RunResult(
        workspace=workspace,
        sources=sources,
        extract=documents,
        annotate={name: job.generations for name, job in annotate.items()},
        duplicates=duplicates,
        labels={n: made for n, made in duplicates.label_sets.items() if n != _DUPLICATES},
    )
    result.labels |= _repeats(stages, config, result, keys)
    result.validation = _validation(stages, config, result, keys)
    result.labels |= _takedown(stages, result, keys)
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


def _deduplicate(
    stages: Stages,
    config: CorpusConfig,
    documents: Mapping[str, Generation],
    annotate: Mapping[str, AnnotateJob],
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
            result.extract,
            result.duplicates.labels,
            keys,
            asked.min_documents,
        )
        stages.repeats(plan, keys)
        made[level] = plan.labels
    return made


def _sets_of(annotate: Mapping[str, AnnotateJob], name: str) -> dict[str, Generation]:
    """Source -> its generation of a labels set, of the sources that have it."""
    return {
        source: generation
        for source, job in annotate.items()
        for generation in job.generations
        if generation.job == f"annotate.{name}"
    }


def _validation(
    stages: Stages, config: CorpusConfig, result: RunResult, keys: list[PartKey]
) -> Generation | None:
    """Labels what is held out of training and what is too near to it, where that is asked."""
    if config.validation is None:
        return None
    plan = ValidationPlan(config.validation.share, result.extract, result.duplicates.labels)
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
    documents = {name: generation.name for name, generation in result.extract.items()}
    job = takedown_job(stages.workspace, documents)
    if job is None:
        return {}
    jobs = dict.fromkeys(result.sources, job)
    pending = pending_keys(stages.workspace, jobs, keys)
    stages.map("Label what was taken down", {TAKEDOWN: "documents"}, [jobs], pending)
    return {TAKEDOWN: job.generation}


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
        extract={name: generation.name for name, generation in result.extract.items()},
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


def _with_tokenizer_file(config: CorpusConfig) -> CorpusConfig:
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
    documents = {source: generation.name for source, generation in result.extract.items()}
    return pin(result.workspace, documents, labels, result.sources)


def _load_mixtures(
    config: CorpusConfig, specs: Sequence[AnnotatorSpec], tokens: TokenBudget | None
) -> list[Mixture]:
    """Loads the mixtures of a corpus and checks their expressions before any work."""
    columns = DOCUMENT_COLUMNS
    made = [labels_schema(spec) for spec in specs]
    for schema in (*made, *_schemas_over_sources(config)):
        for column in list(schema)[1:]:
            columns = columns.append(column)
    mixtures = []
    for name in config.mixtures:
        mixture = load_mixture(mixture_path(name))
        check_expressions(mixture, columns)
        check_cuts(mixture, columns.names, has_benchmarks=bool(config.benchmarks))
        _check_shuffle(config, mixture)
        mixtures.append(mixture if tokens is None else mixture.with_tokens(tokens))
    names = [mixture.name for mixture in mixtures]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ConfigError(f"mixtures: two of them are called {twice[0]!r}; rename one")
    return mixtures


def _schemas_over_sources(config: CorpusConfig) -> list[pa.Schema]:
    """Of the labels sets that are made over all sources at once."""
    levels = config.duplicates.levels
    sets = [_DUPLICATES, *(f"same_{level}" for level in levels)]
    found = [schema for name, schema in LABEL_SCHEMAS.items() if name in sets]
    if any(level in levels for level in _REPEATS):
        from pipelines.repeats.plan import LABEL_SCHEMAS as REPEATS_SCHEMAS

        found += [schema for name, schema in REPEATS_SCHEMAS.items() if name in levels]
    return [*found, HELD_OUT] if config.validation else found


def _check_shuffle(config: CorpusConfig, mixture: Mixture) -> None:
    """Refuses to shuffle over all shards what Megatron shuffles again.

    Raises:
        ConfigError: A stage asks for it.
    """
    for stage in mixture.stages:
        if stage.shuffle == "global" and config.shard_format == "megatron":
            raise ConfigError(
                f"{stage.place}.shuffle: found global with shard_format megatron; allowed: none "
                "or part, for Megatron shuffles the samples of all shards itself; change one of "
                "the two"
            )


def _models_line(config: CorpusConfig) -> str:
    """Which models write text in a run, and which wrote some before it."""
    given = [
        f"source {source.name} holds {source.provenance.kind} text"
        + (f" of {source.provenance.model}" if source.provenance.model else "")
        for source in config.sources
        if source.provenance is not None and source.provenance.kind != "natural"
    ]
    return "; ".join([NO_MODELS, *given])


def _check_benchmarks(
    config: CorpusConfig, specs: Sequence[AnnotatorSpec], progress: Progress
) -> None:
    """Reads the benchmarks before any work, and says what of them cannot be found.

    Raises:
        ValueError: A file is broken, or nothing of it can be found.
    """
    if not config.benchmarks:
        return
    from annotators.contamination.annotator import Contamination

    for spec in specs:
        if isinstance(spec.annotator, Contamination):
            for facts in spec.annotator.index_facts():
                if facts.indexed < facts.items:
                    progress.say(_coverage(facts))
            index = spec.annotator.index()
            progress.say(
                f"benchmarks: {len(index.facts):,}, with {sum(f.items for f in index.facts):,} "
                f"items, of which {sum(f.indexed for f in index.facts):,} can be found; index of "
                f"{index.num_bytes / (1 << 20):,.1f} MiB a process"
            )


def _coverage(facts: "IndexFacts") -> str:
    """One line on a benchmark of which some items cannot be found."""
    return (
        f"benchmark {facts.benchmark} ({facts.kind}, roles from {facts.roles}): "
        f"{facts.items:,} items, {facts.indexed:,} covered, {facts.items - facts.indexed:,} not "
        f"({facts.too_short:,} too short, {facts.common:,} too common), such as "
        f"{facts.not_covered[0]}"
    )


def mixture_path(name: str) -> Path:
    """The file of a mixture named in corpus.yaml."""
    if name.endswith((".yaml", ".yml")):
        return Path(name)
    path = SHIPPED / f"{name}.yaml"
    if not path.is_file():
        shipped = ", ".join(sorted(p.stem for p in SHIPPED.glob("*.yaml")))
        raise ConfigError(
            f"mixtures: found {name!r}; allowed are the shipped {shipped}, or the path of a YAML "
            "file; correct the name"
        )
    return path

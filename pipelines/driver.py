"""The driver: the chain of jobs that takes a corpus from input files to token shards.

Between jobs it reads the ledger and nothing else, so a run that is started again does what is
missing, and a run with nothing missing imports neither Beam nor a model. Every barrier (the shuffle
of deduplication, the solve of a mixture) ends a Beam pipeline.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from mixtures.budgets import TokenBudget
from mixtures.errors import MixtureError
from mixtures.expressions import check_expressions
from mixtures.spec import Mixture, check_redaction, load_mixture
from pipelines.annotate.job import AnnotateJob, labels_schema
from pipelines.annotate.registry import AnnotatorSpec, specs_of
from pipelines.config import ConfigError, CorpusConfig, CrawlConfig
from pipelines.deduplicate.exact import LABELS
from pipelines.deduplicate.plan import DuplicatesPlan, plan_duplicates
from pipelines.extract.job import ExtractJob
from pipelines.extract.sources import list_source
from pipelines.mix.columns import DOCUMENT_COLUMNS
from pipelines.mix.pins import Pins, pin
from pipelines.mix.plan import Plan
from pipelines.mix.planning import plan_mixture
from pipelines.near_duplicates.job import forget_shingles
from pipelines.progress import Progress
from pipelines.run_record import RunRecord, read_run_record, write_run_record
from pipelines.shards.job import ShardsJob
from pipelines.shards.writing import ShardSettings, write_shards
from pipelines.validation.items import make_items
from pipelines.validation.job import ValidationJob, what_was_held_out
from pipelines.validation.plan import LABELS as HELD_OUT
from pipelines.validation.plan import ValidationPlan
from pipelines.validation.texts import TextsJob
from pipelines.workspace.children import Limits
from pipelines.workspace.fingerprints import Generation, canonical_json
from pipelines.workspace.inventory import Inventory, InventoryError, Listed
from pipelines.workspace.jobs import PartJob, PartKey, pending_keys
from pipelines.workspace.workspace import Workspace

SHIPPED: Final = Path(__file__).parents[1] / "mixtures"
NO_MODELS: Final = "none is configured, so this run refined, rewrote and synthesized no text"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Where and how to run; nothing of it changes a result, but the token budget."""

    workspace: str
    limits: Limits
    beam_args: tuple[str, ...] = ()
    tokens: TokenBudget | None = None
    """Budget of every stage, in place of that in the mixtures."""
    connect: Mapping[str, str] = field(default_factory=dict)
    """Host of a crawl -> `address:port` that serves it."""
    shuffle_memory_bytes: int = 1 << 30
    """What a shuffle may take at a time; more data goes in several passes."""


@dataclass(slots=True)
class RunResult:
    """What a run leaves behind."""

    workspace: Workspace
    sources: dict[str, list[int]]
    """Source -> its parts."""
    extract: dict[str, Generation]
    annotate: dict[str, tuple[Generation, ...]]
    duplicates: DuplicatesPlan
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
        OSError, RuntimeError: The run failed; what is committed stays.
    """
    config = _with_tokenizer_file(config)
    specs = specs_of(config)
    mixtures = _load_mixtures(config, specs, options.tokens)
    _check_benchmarks(config, specs, progress)
    workspace = Workspace.create(options.workspace)
    run = _Run(config, options, progress, workspace)
    sources = {source.name: run.number(source.name) for source in config.sources}
    keys = [PartKey(name, part) for name in sorted(sources) for part in sources[name]]
    extract = {source.name: ExtractJob(source, config.extract) for source in config.sources}
    annotate = {name: AnnotateJob(job.generation, specs) for name, job in extract.items()}
    run.per_part(extract, annotate, keys)
    signatures = {name: _set_of(job, "signatures") for name, job in annotate.items()}
    minhash = {name: _set_of(job, "minhash") for name, job in annotate.items()}
    duplicates = run.deduplicate(signatures, keys, minhash)
    result = RunResult(
        workspace=workspace,
        sources=sources,
        extract={name: job.generation for name, job in extract.items()},
        annotate={name: job.generations for name, job in annotate.items()},
        duplicates=duplicates,
    )
    result.validation = run.validation(result, keys)
    pins = _pin(result)
    for mixture in mixtures:
        try:
            plan = run.plan(mixture, pins)
        except MixtureError as error:  # the other mixtures do not depend on it
            result.refused[mixture.name] = error
            continue
        result.plans.append(plan)
        result.shards += run.shards(plan)
    result.parts_done = run.parts_done
    run.finish(result)
    return result


class _Run:
    """The stages of one run, sharing workspace, options and progress."""

    def __init__(
        self, config: CorpusConfig, options: RunOptions, progress: Progress, workspace: Workspace
    ) -> None:
        self.config, self.options, self.progress = config, options, progress
        self.workspace = workspace
        self.parts_done = 0
        self.crawls: dict[str, str] = {}
        """Source -> `crawl@fp`."""
        self.gone: dict[str, set[str]] = {}
        """Source -> numbered files that are no longer there."""

    def number(self, name: str) -> list[int]:
        """Numbers the files of a source; gives all its parts."""
        source = next(source for source in self.config.sources if source.name == name)
        inventory = Inventory(self.workspace.storage, name)
        if source.crawl is None:
            listed = list_source(source, self.config.part_bytes)
            refuse_own_files(self.workspace, name, listed)
            chosen = source.model_dump(include={"path", "format", "include", "exclude"})
        else:
            listed = self.crawl(name, source.crawl)
            chosen = {"crawl": self.crawls[name]}
        inventory.extend(listed, self.config.part_bytes, canonical_json(chosen))
        self.gone[name] = set(inventory.missing(listed))
        if self.gone[name]:
            self.progress.say(
                f"note: {len(self.gone[name])} files of source {name} are no longer there (first: "
                f"{min(self.gone[name])}); what was extracted from them stays"
            )
        return inventory.parts()

    def crawl(self, name: str, settings: CrawlConfig) -> list[Listed]:
        """Crawls a source to its end, or on from where it was; gives its archives."""
        from pipelines.crawl.job import CrawlJob, crawled_files

        job = CrawlJob(name, settings, dict(self.options.connect))
        self.crawls[name] = job.generation.name
        while keys := job.next_round(self.workspace):
            pending = pending_keys(self.workspace, {name: job}, keys)
            self._map(f"Crawl {name}", {"crawl": "pages"}, [{name: job}], pending)
        return crawled_files(self.workspace, job)

    def per_part(
        self,
        extract: Mapping[str, ExtractJob],
        annotate: Mapping[str, AnnotateJob],
        keys: list[PartKey],
    ) -> None:
        """Extracts and annotates, fused: labels are made while a part's text is warm."""
        unread = pending_keys(self.workspace, extract, keys)
        self._refuse_gone(unread)
        pending = sorted({*unread, *pending_keys(self.workspace, annotate, keys)})
        if pending:
            self._say_fallback()
        meters = {"extract": "extracted", "annotate": "annotated"}
        self._map("Extract and annotate", meters, [extract, annotate], pending)

    def _say_fallback(self) -> None:
        """Says it where the fast tokenizer engine cannot be used, and why."""
        from token_shards.tokenizer import load_tokenizer

        tokenizer = load_tokenizer(self.config.tokenizer, eod=self.config.eod)
        if tokenizer.fallback_reason is not None:
            self.progress.say(tokenizer.engine_statement)

    def _refuse_gone(self, unread: Sequence[PartKey]) -> None:
        for key in unread:
            spans = Inventory(self.workspace.storage, key.source).part(key.part)
            lost = sorted({span.file for span in spans} & self.gone[key.source])
            if lost:
                raise InventoryError(
                    f"source {key.source}: part {key.part} is to be extracted, and {lost[0]} of it "
                    "is no longer there; put it back, or give the source another name"
                )

    def deduplicate(
        self,
        signatures: Mapping[str, Generation],
        keys: list[PartKey],
        minhash: Mapping[str, Generation] | None = None,
    ) -> DuplicatesPlan:
        """Finds duplicates over all sources: exact copies, and near ones where texts are signed."""
        plan = plan_duplicates(self.workspace, signatures, minhash)
        ledger = self.workspace.ledger
        for generation in plan.generations:
            ledger.declare(generation)
        labelled = {PartKey(e.source, e.part) for e in ledger.entries(plan.labels)}
        pending = [key for key in keys if key not in labelled]
        if not pending:
            forget_shingles(self.workspace, plan)
            return plan
        from pipelines.deduplicate.transform import steps
        from pipelines.run import run_transform

        options = self.options
        memory = options.shuffle_memory_bytes
        meters = {"deduplicate": "documents"}
        with self.progress.stage("Find duplicates", parts=len(pending), meters=meters):
            for transform in steps(self.workspace, plan, keys, options.limits, memory):
                run_transform(transform, options.beam_args)
        self.parts_done += len(pending)
        for generation in (plan.clusters, plan.labels):
            ledger.fold(generation)
        forget_shingles(self.workspace, plan)
        return plan

    def validation(self, result: RunResult, keys: list[PartKey]) -> Generation | None:
        """Labels what is held out of training and what is too near to it, where that is asked."""
        if self.config.validation is None:
            return None
        plan = ValidationPlan(
            self.config.validation.share, result.extract, result.duplicates.labels
        )
        texts = dict.fromkeys(result.sources, TextsJob(plan))
        pending = pending_keys(self.workspace, texts, keys)
        meters = {"validation": "documents"}
        self._map("Hold out validation texts", meters, [texts], pending)
        job = ValidationJob(plan, make_items(self.workspace, plan))
        (labels,) = job.generations
        jobs = dict.fromkeys(result.sources, job)
        pending = pending_keys(self.workspace, jobs, keys)
        self._map("Find validation copies", meters, [jobs], pending)
        if pending:
            self.progress.say(what_was_held_out(self.workspace, labels))
        return labels

    def plan(self, mixture: Mixture, pins: Pins) -> Plan:
        """Plans one mixture, or reads its plan where it is there."""
        from token_shards.tokenizer import tokenizer_fingerprint

        def run(
            title: str, meters: Mapping[str, str], transform: Callable[[], Any], parts: int
        ) -> None:
            from pipelines.run import run_transform

            with self.progress.stage(title, parts=parts, meters=meters):
                run_transform(transform(), self.options.beam_args)
            self.parts_done += parts

        return plan_mixture(
            self.workspace,
            mixture,
            pins,
            shard_tokens=self.config.shard_tokens,
            tokenizer=self.config.tokenizer,
            tokenizer_fingerprint=tokenizer_fingerprint(self.config.tokenizer, eod=self.config.eod),
            processes=self.options.limits.processes,
            run=run,
            eod=self.config.eod,
        )

    def shards(self, plan: Plan) -> list[ShardsJob]:
        """Writes the shards of all stages of a plan."""
        settings = ShardSettings(
            tokenizer=self.config.tokenizer, eod=self.config.eod, format=self.config.shard_format
        )
        return write_shards(self.workspace, plan, settings, self._map)

    def record(self, result: RunResult) -> RunRecord:
        """What this run made, for reports and launch scripts."""
        from token_shards.tokenizer import tokenizer_fingerprint

        return RunRecord(
            corpus=self.config.name,
            sources=result.sources,
            crawl=self.crawls,
            extract={name: generation.name for name, generation in result.extract.items()},
            annotate={
                source: {g.job.removeprefix("annotate."): g.name for g in generations}
                for source, generations in result.annotate.items()
            },
            duplicates=result.duplicates.labels.name,
            validation=result.validation.name if result.validation else "",
            mixtures={plan.mixture: plan.folder for plan in result.plans},
            shards={job.plan.mixture: job.generation.name for job in result.shards},
            tokenizer=self.config.tokenizer,
            tokenizer_fingerprint=tokenizer_fingerprint(self.config.tokenizer, eod=self.config.eod),
            shard_tokens=self.config.shard_tokens,
            shard_format=self.config.shard_format,
            eod=self.config.eod,
            refused={name: str(error) for name, error in result.refused.items()},
            models=_models_line(self.config),
            **self._time_taken(),
        )

    def finish(self, result: RunResult) -> None:
        """Writes launch files where a launch is asked for, and the record of the run."""
        result.record = self.record(result)
        settings = self.config.launch
        if settings is not None and result.shards:
            from pipelines.launch.write import make_launch, write_launch

            stages = [name for name in settings.stages if name not in result.refused]
            launch = make_launch(self.workspace, result.record, settings.model, stages=stages)
            folder = write_launch(self.workspace, launch)
            result.record = replace(result.record, launch={launch.shape.name: folder})
        write_run_record(self.workspace, result.record)

    def _time_taken(self) -> dict[str, Any]:
        """When the last work ended, and seconds by stage, those of earlier runs included."""
        try:
            before = read_run_record(self.workspace)
        except LookupError:
            before = None
        seconds = dict(before.seconds) if before else {}
        for title, taken in self.progress.seconds.items():
            seconds[title] = seconds.get(title, 0.0) + taken
        now = datetime.now(UTC).isoformat(timespec="seconds")
        if before and not self.progress.seconds:
            now = before.finished_at
        return {"seconds": seconds, "finished_at": now}

    def _map(
        self,
        title: str,
        meters: Mapping[str, str],
        chain: Sequence[Mapping[str, PartJob]],
        pending: list[PartKey],
    ) -> None:
        """Runs the jobs of a chain over the pending parts in one pipeline."""
        if not pending:
            return
        made = [g for jobs in chain for job in jobs.values() for g in job.generations]
        generations = {generation.name: generation for generation in made}.values()
        for generation in generations:
            self.workspace.ledger.declare(generation)
        from pipelines.run import run_transform
        from pipelines.workspace.transform import MapChain

        transform = MapChain(self.workspace, chain, pending, self.options.limits)
        with self.progress.stage(title, parts=len(pending), meters=meters):
            run_transform(transform, self.options.beam_args)
        self.parts_done += len(pending)
        places = {(key.source, key.part) for key in pending}
        for generation in generations:
            self.workspace.ledger.fold(generation, places)


def refuse_own_files(workspace: Workspace, source: str, listed: Sequence[Listed]) -> None:
    """Refuses a source that holds the workspace: a run would read what it writes.

    Raises:
        InventoryError: A listed file stands in the workspace.
    """
    root = workspace.storage.path("").rstrip("/") + "/"
    for item in listed:
        if item.url.split("://")[-1].startswith(root.split("://")[-1]):
            raise InventoryError(
                f"source {source} holds the workspace itself ({item.file}); name another folder "
                "with --workspace, or a narrower path for the source"
            )


def _with_tokenizer_file(config: CorpusConfig) -> CorpusConfig:
    """The corpus with a local file for its tokenizer, fetched where it is a name of the hub."""
    from token_shards.hub import resolve_tokenizer

    try:
        file = resolve_tokenizer(config.tokenizer)
    except ValueError as error:
        raise ConfigError(f"tokenizer: {error}") from error
    return config.model_copy(update={"tokenizer": str(file)})


def _set_of(job: AnnotateJob, name: str) -> Generation:
    return next(g for g in job.generations if g.job == f"annotate.{name}")


def _pin(result: RunResult) -> Pins:
    shared = {"duplicates": result.duplicates.labels.name}
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
    for schema in (*made, LABELS, *([HELD_OUT] if config.validation else [])):
        for column in list(schema)[1:]:
            columns = columns.append(column)
    mixtures = []
    for name in config.mixtures:
        mixture = load_mixture(mixture_path(name))
        check_expressions(mixture, columns)
        check_redaction(mixture, columns.names)
        _check_shuffle(config, mixture)
        mixtures.append(mixture if tokens is None else mixture.with_tokens(tokens))
    names = [mixture.name for mixture in mixtures]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ConfigError(f"mixtures: two of them are called {twice[0]!r}; rename one")
    return mixtures


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
                progress.say(
                    f"benchmark {facts.benchmark}: {facts.indexed} of {facts.items} items can be "
                    f"found ({facts.too_short} are too short, {facts.common} too common)"
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

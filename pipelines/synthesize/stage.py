"""The `synthesize` items of a corpus, as a chain of jobs: which recipe, of what, by which model.

Items are done in their order, and what one makes is annotated at once, so that a later one can take
it for seeds. Only labels that the choice of seeds reads enter the generation of what is made: a
changed annotator that has no say in it costs no model a token.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from mixtures.errors import listed, nearest
from mixtures.expressions import NUM_TOKENS, columns_used
from pipelines.annotate.job import AnnotateJob, labels_schema
from pipelines.annotate.registry import AnnotatorSpec
from pipelines.config import ConfigError, CorpusConfig, ExtractConfig, SourceConfig
from pipelines.deduplicate.exact import LABEL_SCHEMAS
from pipelines.extract.job import ExtractJob
from pipelines.mix.columns import DOCUMENT_COLUMNS
from pipelines.models.settings import ModelConfig
from pipelines.models.thinking import check_thinking
from pipelines.synthesize.job import JOB, ParentSource, SynthesizeJob
from pipelines.synthesize.recipe import Recipe
from pipelines.synthesize.recipes import load_recipe
from pipelines.synthesize.seeds import Choice, check_where, seed_stage
from pipelines.synthesize.settings import SynthesizeConfig
from pipelines.workspace.fingerprints import Generation, canonical_json
from pipelines.workspace.jobs import PartKey, pending_keys

if TYPE_CHECKING:
    from pipelines.stages import Stages

_GENERATED: Final = ("rewritten", "synthetic")
_DUPLICATES: Final = "duplicates"
_ALWAYS: Final = ("duplicate_role", "contaminated", "language")
"""Labels that the choice of seeds reads whatever the condition is."""
_SEEDS_BYTES: Final = 8 << 20


@dataclass(frozen=True, kw_only=True)
class Item:
    """One item, checked."""

    settings: SynthesizeConfig
    recipe: Recipe
    model: ModelConfig | None
    sources: tuple[str, ...]
    """Whose documents are seeds; empty where they come from a file."""

    def output_of(self, source: str) -> str:
        """Name of the source that is made of another."""
        return f"{source}.{self.settings.output}"

    @property
    def outputs(self) -> tuple[str, ...]:
        """All sources that it makes."""
        if self.settings.seeds is not None:
            return (self.settings.output,)
        return tuple(map(self.output_of, self.sources))

    @property
    def where(self) -> str | None:
        """Condition on seeds."""
        if self.settings.seeds is not None:
            return None
        where = self.recipe.where if self.settings.where is None else self.settings.where
        return where or None


@dataclass(slots=True)
class Sources:
    """Sources of a run with what is known of their documents; grows by what items make."""

    parts: dict[str, list[int]]
    documents: dict[str, Generation]
    labels: dict[str, dict[str, Generation]]
    """Source -> labels set -> generation."""
    made: dict[str, "Made"] = field(default_factory=dict)
    """What items made, by source."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """A source that an item made."""

    job: SynthesizeJob
    annotate: AnnotateJob
    parent: str
    kind: str
    supersedes: bool
    """Whether a mixture takes its documents in place of their parents."""


def check_items(config: CorpusConfig, specs: Sequence[AnnotatorSpec]) -> tuple[Item, ...]:
    """Reads the recipes and checks all that can be checked before any work.

    Raises:
        ConfigError: A model, source, recipe or condition that there is not, or a recipe that the
            model cannot do.
    """
    items: list[Item] = []
    known = [source.name for source in config.sources]
    natural = [s.name for s in config.sources if not _is_generated(s)]
    refined: dict[str, str] = {}
    for number, settings in enumerate(config.synthesize):
        place = f"synthesize[{number}]"
        recipe = _recipe(settings, place)
        check_sandbox(recipe, place)
        sources = () if settings.seeds is not None else settings.sources or tuple(natural)
        for name in sources:
            if name not in known:
                raise ConfigError(
                    f"{place}.sources: found {name!r}; {nearest(name, known)}allowed are sources "
                    f"and what items before this one make: {listed(known)}; correct the name"
                )
        item = Item(
            settings=settings,
            recipe=recipe,
            model=_model(config, settings, recipe, place),
            sources=sources,
        )
        for name in item.outputs:
            if name in known:
                raise ConfigError(
                    f"{place}: makes the source {name!r}, which there is already; give the item "
                    "another `name`"
                )
        for name in sources if _supersedes(recipe) else ():
            if name in refined:
                raise ConfigError(
                    f"{place}: takes the place of documents of {name!r}, as {refined[name]} does "
                    "already; a mixture takes one form of a document: leave one of the two out, "
                    "or let the second read what the first makes"
                )
            refined[name] = place
        check_where(item.where, _columns(specs), place)
        known += item.outputs
        items.append(item)
    return tuple(items)


def _is_generated(source: SourceConfig) -> bool:
    return source.provenance is not None and source.provenance.kind in _GENERATED


def _recipe(settings: SynthesizeConfig, place: str) -> Recipe:
    try:
        return load_recipe(settings.recipe, settings.options)
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"{place}: {error}") from error


def _model(
    config: CorpusConfig, settings: SynthesizeConfig, recipe: Recipe, place: str
) -> ModelConfig | None:
    """The model of an item; None where its recipe asks none."""
    if not recipe.needs_model:
        if settings.model is not None:
            raise ConfigError(f"{place}.model: recipe {recipe.name} asks no model; leave it out")
        return None
    names = list(config.models)
    name = settings.model or (names[0] if len(names) == 1 else None)
    if name is None or name not in names:
        found = "nothing" if name is None else repr(name)
        allowed = listed(names) if names else "none, because `models` is empty"
        raise ConfigError(
            f"{place}.model: found {found}; allowed are the keys of `models`: {allowed}; name one"
        )
    model = config.models[name]
    check_model(recipe, model, place)
    return model


def check_model(recipe: Recipe, model: ModelConfig, place: str) -> None:
    """Refuses a model that cannot be asked, or cannot do what a recipe asks of it.

    Raises:
        ConfigError: Its key is not there, it has no switch for thinking, or the recipe says so.
    """
    if model.api_key_env is not None and model.api_key_env not in os.environ:
        raise ConfigError(
            f"{place}: api_key_env of the model names {model.api_key_env}, and there is no such "
            "environment variable; set it, or leave api_key_env out"
        )
    check = getattr(recipe, "check_model", None)
    thinking = getattr(recipe, "thinking", None)
    try:
        if check is not None:
            check(model)
        elif thinking not in (None, "off"):
            check_thinking(model, thinking)
    except ValueError as error:
        raise ConfigError(f"{place}: {error}") from error


def check_sandbox(recipe: Recipe, place: str) -> None:
    """Refuses a recipe that runs code where there is no sandbox to run it in.

    Raises:
        ConfigError: None is to be had, and why.
    """
    if not any(getattr(recipe, name, False) for name in ("runs_code", "runs_programs")):
        return
    from pipelines.models.sandbox import SandboxError, open_sandbox

    try:
        open_sandbox()
    except SandboxError as error:
        raise ConfigError(f"{place}: recipe {recipe.name} runs code, and {error}") from error


def _columns(specs: Sequence[AnnotatorSpec]) -> pa.Schema:
    """Labels that the choice of seeds can read."""
    fields = list(DOCUMENT_COLUMNS)
    for schema in (*map(labels_schema, specs), LABEL_SCHEMAS[_DUPLICATES]):
        fields += list(schema)[1:]
    return pa.schema(fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What of a corpus is looked at beside its items."""

    part_bytes: int = _SEEDS_BYTES
    """Of their parts, at most."""
    validation_share: float | None = None
    """Of texts that are held out, and so are no seeds."""


def settings_of(config: CorpusConfig) -> Settings:
    """What a corpus says."""
    return Settings(
        part_bytes=config.part_bytes,
        validation_share=config.validation.share if config.validation else None,
    )


def sources_of(
    parts: Mapping[str, list[int]],
    documents: Mapping[str, Generation],
    annotate: Mapping[str, tuple[Generation, ...]],
    duplicates: Generation | None = None,
) -> Sources:
    """The sources of a run before anything is made of them."""
    shared = {} if duplicates is None else {_DUPLICATES: duplicates}
    labels = {
        source: {g.job.removeprefix("annotate."): g for g in generations} | shared
        for source, generations in annotate.items()
    }
    return Sources(parts=dict(parts), documents=dict(documents), labels=labels)


def synthesize(
    stages: "Stages",
    settings: Settings,
    items: Sequence[Item],
    specs: tuple[AnnotatorSpec, ...],
    sources: Sources,
) -> None:
    """Makes all items of the documents of `sources`, and adds them to it."""
    rewrites: dict[str, int] = {}
    for item in items:
        parents = _seeds_source(stages, settings, item, sources) or item.sources
        jobs: dict[str, SynthesizeJob] = {}
        for parent in parents:
            output = item.settings.output if item.settings.seeds else item.output_of(parent)
            jobs[output] = _job(settings, item, specs, sources, parent, output, rewrites)
            if item.recipe.kind == "rewritten":
                rewrites[parent] = rewrites.get(parent, 0) + _samples(item.recipe)
        annotate = {name: AnnotateJob(job.generation, specs) for name, job in jobs.items()}
        parts = {name: sources.parts[job.parent.name] for name, job in jobs.items()}
        keys = [PartKey(name, part) for name in sorted(parts) for part in parts[name]]
        pending = sorted(
            {*pending_keys(stages.workspace, jobs, keys)}
            | {*pending_keys(stages.workspace, annotate, keys)}
        )
        title = f"Synthesize {item.settings.output}"
        stages.map_at_once(title, {JOB: "seeds"}, [jobs, annotate], pending, item.model)
        for name, job in jobs.items():
            _add(sources, name, job, annotate[name], parts[name], item)


def _add(
    sources: Sources,
    name: str,
    job: SynthesizeJob,
    annotate: AnnotateJob,
    parts: list[int],
    item: Item,
) -> None:
    sources.parts[name] = parts
    sources.documents[name] = job.generation
    sources.labels[name] = {g.job.removeprefix("annotate."): g for g in annotate.generations}
    sources.made[name] = Made(
        job=job,
        annotate=annotate,
        parent=job.parent.name,
        kind=item.recipe.kind,
        supersedes=_supersedes(item.recipe) and item.settings.seeds is None,
    )


def _seeds_source(
    stages: "Stages", settings: Settings, item: Item, sources: Sources
) -> tuple[str, ...]:
    """Reads the file of seeds, where an item has one, as a source that nothing else sees."""
    if item.settings.seeds is None:
        return ()
    name = f"{item.settings.output}.seeds"
    source = SourceConfig(name=name, path=item.settings.seeds)
    parts = stages.number(source, min(settings.part_bytes, _SEEDS_BYTES))
    job = ExtractJob(source, ExtractConfig())  # lines of text: no page is to be read
    keys = [PartKey(name, part) for part in parts]
    pending = pending_keys(stages.workspace, {name: job}, keys)
    stages.map(f"Read {name}", {"extract": "seeds"}, [{name: job}], pending)
    sources.parts[name], sources.documents[name] = parts, job.generation
    sources.labels[name] = {}
    return (name,)


def _job(
    settings: Settings,
    item: Item,
    specs: Sequence[AnnotatorSpec],
    sources: Sources,
    parent: str,
    output: str,
    rewrites: Mapping[str, int],
) -> SynthesizeJob:
    choice = Choice(
        where=item.where,
        columns=tuple(item.recipe.columns),
        share=item.settings.share,
        validation_share=settings.validation_share,
        is_labelled=item.settings.seeds is None,
    )
    return SynthesizeJob(
        output=output,
        parent=ParentSource(
            name=parent,
            documents=sources.documents[parent],
            labels=_needed(sources.labels[parent], specs, choice),
        ),
        recipe=item.settings.recipe,
        options=canonical_json(item.settings.options),
        model=item.model,
        choice=choice,
        first_rewrite=rewrites.get(parent, 0),
    )


def _needed(
    labels: Mapping[str, Generation], specs: Sequence[AnnotatorSpec], choice: Choice
) -> dict[str, Generation]:
    """The labels sets that choosing seeds reads."""
    if not choice.is_labelled:
        return {}
    wanted = {*_ALWAYS, *choice.columns, *condition_columns(choice.where, _columns(specs))}
    makers = {spec.annotator.name: set(labels_schema(spec).names) for spec in specs}
    makers[_DUPLICATES] = set(LABEL_SCHEMAS[_DUPLICATES].names)
    return {
        name: made for name, made in labels.items() if wanted & (makers.get(name, set()) - {"id"})
    }


def condition_columns(where: str | None, columns: pa.Schema) -> set[str]:
    """Labels that a condition names."""
    if where is None:
        return set()
    found = set(columns_used([seed_stage(where)], columns))
    return found if NUM_TOKENS in where.lower() else found - {NUM_TOKENS}


def _supersedes(recipe: Recipe) -> bool:
    """Whether what a recipe makes takes the place of its seed in mixtures."""
    return bool(getattr(recipe, "supersedes", recipe.kind == "refined"))


def _samples(recipe: Recipe) -> int:
    """Rewrites that a recipe makes of one seed at most."""
    return int(getattr(recipe, "samples", 1))

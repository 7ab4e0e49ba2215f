"""`tokenmill synthesize` over plain files: seeds are labelled, then models make documents of them.

The output folder is a workspace with the files that a run of a corpus would write, less mixtures
and shards. Annotated is what the choice of seeds reads, and the language, which recipes write in;
what comes out gets the same labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import pyarrow as pa

from mixtures.expressions import NUM_TOKENS
from pipelines.annotate.job import labels_schema
from pipelines.annotate.registry import AnnotatorSpec, check_annotators, ordered, spec_of
from pipelines.config import ConfigError
from pipelines.mix.columns import DOCUMENT_COLUMNS
from pipelines.models.settings import ModelConfig
from pipelines.run_record import read_run_record, write_run_record
from pipelines.stages import Stages
from pipelines.standalone import Texts, keep_record, label_texts
from pipelines.synthesize.recipes import load_recipe
from pipelines.synthesize.seeds import check_where
from pipelines.synthesize.settings import SynthesizeConfig
from pipelines.synthesize.stage import (
    Item,
    Settings,
    Sources,
    check_model,
    check_sandbox,
    condition_columns,
    sources_of,
    synthesize,
)

_ALWAYS: Final = ("language",)
# Those that can be had without options; `length` needs a tokenizer, `contamination` benchmarks.
_OFFERED: Final = ("language", "quality", "stem", "domain", "educational")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cooked:
    """What came of a call."""

    texts: Texts
    sources: Sources
    item: Item


def cook(
    stages: Stages,
    inputs: Sequence[str],
    settings: SynthesizeConfig,
    model: ModelConfig | None,
    *,
    text_column: str,
) -> Cooked:
    """Makes documents of the texts of plain files.

    Args:
        stages: Of the output folder.
        inputs: See `standalone.find_inputs`.
        settings: The item; its `sources` are all inputs.
        model: None where the recipe asks none.
        text_column: Of the inputs.

    Raises:
        ValueError: A mistake in the inputs, the recipe, the condition or the model.
        EndpointError: The model cannot be asked; answers so far are kept.
    """
    recipe = load_recipe(settings.recipe, settings.options)
    if recipe.needs_model and model is None:
        raise ConfigError(
            f"recipe {recipe.name} asks a model; name one with --models FILE, or --url URL and "
            "--model NAME (--url echo: is a server of rules for a dry run)"
        )
    check_sandbox(recipe, "--recipe")
    if model is not None:
        check_model(recipe, model, "--model")
    where = (recipe.where if settings.where is None else settings.where) or None
    specs = _specs(where, recipe.columns)
    texts = label_texts(stages, inputs, specs, text_column)
    keep_record(stages, texts)
    item = Item(
        settings=settings,
        recipe=recipe,
        model=model if recipe.needs_model else None,
        sources=tuple(texts.sources),
    )
    sources = sources_of(texts.sources, texts.extract, texts.annotate)
    synthesize(stages, Settings(), (item,), specs, sources)
    _record(stages, sources)
    return Cooked(texts=texts, sources=sources, item=item)


def _specs(where: str | None, columns: Sequence[str]) -> tuple[AnnotatorSpec, ...]:
    """The annotators that the choice of seeds needs.

    Raises:
        ConfigError: It reads a label that none of them gives.
    """
    offered = {name: spec_of(name, {}) for name in _OFFERED}
    makers = {
        column: name
        for name, spec in offered.items()
        for column in labels_schema(spec).names
        if column != "id"
    }
    known = {*makers, *DOCUMENT_COLUMNS.names}
    schema = list(DOCUMENT_COLUMNS)
    for spec in offered.values():
        schema += list(labels_schema(spec))[1:]
    counted = pa.field(NUM_TOKENS, pa.int64())  # the check wants it to be there
    check_where(where, pa.schema([*schema, counted]), "--where")
    asked = {*_ALWAYS, *columns, *condition_columns(where, pa.schema([*schema, counted]))}
    lacking = sorted(asked - known)
    if lacking:
        raise ConfigError(
            f"--where: reads {lacking[0]!r}, which needs a corpus (`tokenmill run`); allowed here "
            f"are the labels of {', '.join(_OFFERED)}; write another --where, or '' to take all"
        )
    specs = ordered([offered[name] for name in sorted({makers[c] for c in asked & set(makers)})])
    check_annotators(specs)
    return specs


def _record(stages: Stages, sources: Sources) -> None:
    """Adds what was made to run.json, and keeps what other calls made of the same inputs."""
    before = read_run_record(stages.workspace)
    made = {name: one.job.generation.name for name, one in sources.made.items()}
    sets = {
        name: {g.job.removeprefix("annotate."): g.name for g in one.annotate.generations}
        for name, one in sources.made.items()
    }
    record = replace(
        before,
        sources={**before.sources, **{name: sources.parts[name] for name in made}},
        synthesize={**before.synthesize, **made},
        annotate={**before.annotate, **sets},
        seconds={**before.seconds, **stages.progress.seconds},
    )
    write_run_record(stages.workspace, record)

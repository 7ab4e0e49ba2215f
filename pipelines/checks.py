"""What a run checks before any work: mixtures, benchmarks, and what models are to make."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from mixtures.budgets import TokenBudget
from mixtures.expressions import check_expressions
from mixtures.spec import Mixture, check_cuts, load_mixture
from pipelines.annotate.job import labels_schema
from pipelines.annotate.registry import AnnotatorSpec
from pipelines.config import ConfigError, CorpusConfig
from pipelines.deduplicate.exact import LABEL_SCHEMAS
from pipelines.mix.columns import DOCUMENT_COLUMNS
from pipelines.progress import Progress
from pipelines.validation.plan import LABELS as HELD_OUT

if TYPE_CHECKING:
    from annotators.contamination.facts import IndexFacts
    from pipelines.synthesize.stage import Item

SHIPPED: Final = Path(__file__).parents[1] / "mixtures"
_DUPLICATES: Final = "duplicates"
_REPEATS: Final = ("boilerplate", "repeats")  # levels that label spans


def check_items(config: CorpusConfig, specs: Sequence[AnnotatorSpec]) -> tuple["Item", ...]:
    """What models are to make, checked before any work."""
    if not config.synthesize:
        return ()
    from pipelines.synthesize.stage import check_items as check

    return check(config, specs)


def load_mixtures(
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


def check_benchmarks(
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

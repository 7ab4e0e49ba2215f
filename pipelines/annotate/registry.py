"""Which annotators there are, and how corpus.yaml names them.

`BUILTIN` maps a name to `module:Class`. A user's own annotator is named the same way in
corpus.yaml, `my_package.my_module:MyAnnotator`, and needs no registration.
"""

import difflib
import importlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from annotators.annotator import Annotator
from pipelines.config import ConfigError, CorpusConfig
from pipelines.workspace.fingerprints import canonical_json, file_fingerprint

BUILTIN: Final = {
    "language": "annotators.language.annotator:Language",
    "quality": "annotators.heuristics.annotator:Heuristics",
    "stem": "annotators.stem.annotator:Stem",
    "domain": "annotators.domain.annotator:Domain",
    "contamination": "annotators.contamination.annotator:Contamination",
    "length": "pipelines.annotate.length:Length",
    "minhash": "pipelines.near_duplicates.signatures:MinHash",
    "pii": "annotators.pii.annotator:Pii",
    "signatures": "pipelines.deduplicate.signatures:Signatures",
}


@dataclass(frozen=True, slots=True)
class AnnotatorSpec:
    """An annotator by class and options; travels to workers, which build it."""

    target: str
    """`module:Class`."""
    options_json: str
    """Its options as canonical JSON."""

    @property
    def annotator(self) -> Annotator:
        """The annotator, built once a process; its model loads at its first use."""
        return _build(self.target, self.options_json)

    @property
    def identity(self) -> dict[str, Any]:
        """What of it enters a fingerprint: options that are model files enter by content."""
        files = [path.resolve() for path in self.annotator.model_files()]
        options = _without_paths(json.loads(self.options_json), files)
        own = {} if self.target in BUILTIN.values() else {"source": _source_hash(self.target)}
        return {
            "target": self.target,
            **own,
            "name": self.annotator.name,
            "version": self.annotator.version,
            "options": options,
            "models": [file_fingerprint(path) for path in files],
        }


def specs_of(config: CorpusConfig) -> tuple[AnnotatorSpec, ...]:
    """The annotators of a corpus, ordered so that each comes after those whose labels it needs.

    Raises:
        ConfigError: An unknown name, options it refuses, or labels nobody makes.
    """
    counted = {"tokenizer": config.tokenizer, "eod": config.eod}
    wanted: list[tuple[str, dict[str, Any]]] = [("length", counted)]
    benchmarks = [one.model_dump(mode="json") for one in config.benchmarks]
    wanted += [("signatures", {}), ("minhash", {}), ("contamination", {"benchmarks": benchmarks})]
    for item in config.annotators:
        wanted += [(item, {})] if isinstance(item, str) else list(item.items())
    specs = [spec_of(name, options) for name, options in wanted]
    names = [spec.annotator.name for spec in specs]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ConfigError(f"annotators: two of them write the labels set {twice[0]!r}; name one")
    return _ordered(specs)


def spec_of(name: str, options: dict[str, Any]) -> AnnotatorSpec:
    """One annotator.

    Raises:
        ConfigError: An unknown name, or options it refuses.
    """
    target = name if ":" in name else BUILTIN.get(name)
    if target is None:
        near = difflib.get_close_matches(name, BUILTIN, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(
            f"annotators: found {name!r}; {hint}allowed are {', '.join(sorted(BUILTIN))}, or "
            "your own as module:Class"
        )
    spec = AnnotatorSpec(target, canonical_json(options))
    try:
        _ = spec.annotator
    except (TypeError, ValueError, ImportError, AttributeError) as error:
        raise ConfigError(f"annotators.{name}: {error}") from error
    return spec


def _ordered(specs: Sequence[AnnotatorSpec]) -> tuple[AnnotatorSpec, ...]:
    made: set[str] = set()
    left, ordered = list(specs), []
    while left:
        ready = [spec for spec in left if set(spec.annotator.inputs) <= made]
        if not ready:
            stuck = left[0].annotator
            raise ConfigError(
                f"annotators: {stuck.name} needs the labels {', '.join(stuck.inputs)}, which no "
                "annotator of this corpus makes before it; add the one that does"
            )
        for spec in ready:
            made |= set(spec.annotator.columns.names)
            left.remove(spec)
        ordered += ready
    return tuple(ordered)


def _source_hash(target: str) -> str:
    """Hash of the module of a user's annotator: its author may forget to raise `version`."""
    module = importlib.import_module(target.partition(":")[0])
    return file_fingerprint(Path(module.__file__)) if module.__file__ else ""


def _without_paths(options: Any, files: Sequence[Path]) -> Any:  # noqa: ANN401 - any JSON
    """Options with "file" in place of the paths of model files, at any depth."""
    if isinstance(options, dict):
        return {key: _without_paths(value, files) for key, value in options.items()}
    if isinstance(options, list):
        return [_without_paths(value, files) for value in options]
    return "file" if isinstance(options, str) and _is_within(options, files) else options


def _is_within(value: str, files: Sequence[Path]) -> bool:
    path = Path(value).resolve()
    return any(path == file or path in file.parents for file in files)


@lru_cache(maxsize=64)
def _build(target: str, options_json: str) -> Annotator:
    module, _, name = target.partition(":")
    annotator: Annotator = getattr(importlib.import_module(module), name)(
        **json.loads(options_json)
    )
    return annotator

"""Which annotators there are, and how corpus.yaml names them.

`BUILTIN` maps a name to `module:Class`. A user's own annotator is named the same way in
corpus.yaml, `my_package.my_module:MyAnnotator` or `my_module:my_function`, and needs no
registration; `datatrove:GopherQualityFilter` is any filter of datatrove (`ADAPTERS`).
"""

import difflib
import importlib
import inspect
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from annotators.annotator import DOCUMENT_COLUMNS, Annotator, Checked, FunctionAnnotator
from pipelines.annotate.options import check_names, check_types, refuse_not_json
from pipelines.config import ConfigError, CorpusConfig
from pipelines.workspace.fingerprints import canonical_json, file_fingerprint

BUILTIN: Final = {
    "language": "annotators.language.annotator:Language",
    "quality": "annotators.heuristics.annotator:Heuristics",
    "stem": "annotators.stem.annotator:Stem",
    "code_syntax": "annotators.code_syntax.annotator:CodeSyntax",
    "domain": "annotators.domain.annotator:Domain",
    "educational": "annotators.quality.annotator:Educational",
    "safety": "annotators.safety.annotator:Safety",
    "license": "annotators.license.annotator:License",
    "contamination": "annotators.contamination.annotator:Contamination",
    "length": "pipelines.annotate.length:Length",
    "minhash": "pipelines.near_duplicates.signatures:MinHash",
    "pii": "annotators.pii.annotator:Pii",
    "signatures": "pipelines.deduplicate.signatures:Signatures",
}
ADAPTERS: Final = {"datatrove": "pipelines.annotate.datatrove_filter:DatatroveFilter"}
"""Prefix of a name -> what makes an annotator of the rest, given as the option `filter`."""
_NEEDED_ATTRIBUTES: Final = ("name", "version", "columns", "inputs", "model_files")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_RESERVED: Final = {"id", "text", "failed", *DOCUMENT_COLUMNS}
"""Names that no label column may have."""


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
    def is_shipped(self) -> bool:
        """Whether it is one of tokenmill's own."""
        return self.target in {*BUILTIN.values(), *ADAPTERS.values()}

    @property
    def identity(self) -> dict[str, Any]:
        """What of it enters a fingerprint: options that are model files enter by content."""
        files = [path.resolve() for path in _model_files(self.annotator)]
        options = _without_paths(json.loads(self.options_json), files)
        own = {} if self.is_shipped else {"source": _source_hash(self.target)}
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
        ConfigError: An unknown name, options it refuses, labels nobody makes, or a model file
            that is missing or damaged.
    """
    counted = {"tokenizer": config.tokenizer, "eod": config.eod}
    wanted: list[tuple[str, dict[str, Any]]] = [("length", counted)]
    benchmarks = [one.model_dump(mode="json") for one in config.benchmarks]
    wanted += [("signatures", {}), ("minhash", {}), ("contamination", {"benchmarks": benchmarks})]
    for item in config.annotators:
        wanted += [(item, {})] if isinstance(item, str) else list(item.items())
    specs = ordered([spec_of(name, options) for name, options in wanted])
    check_annotators(specs)
    return specs


def spec_of(name: str, options: dict[str, Any]) -> AnnotatorSpec:
    """One annotator.

    Raises:
        ConfigError: An unknown name, or options it refuses.
    """
    prefix, colon, rest = name.partition(":")
    target = name if colon else BUILTIN.get(name)
    if colon and prefix in ADAPTERS:
        target, options = ADAPTERS[prefix], {"filter": rest, **options}
    if target is None:
        near = difflib.get_close_matches(name, BUILTIN, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(
            f"annotators: found {name!r}; {hint}allowed are {', '.join(sorted(BUILTIN))}, or "
            "your own as module:Class, or datatrove:Filter"
        )
    try:
        refuse_not_json(options)
        spec = AnnotatorSpec(target, canonical_json(options))
        _check_declarations(spec.annotator)
    except (TypeError, ValueError, ImportError, AttributeError) as error:
        raise ConfigError(f"annotators.{name}: {error}") from error
    except (Exception, SystemExit) as error:  # of whoever wrote it
        raise ConfigError(
            f"annotators.{name}: cannot be made: {type(error).__name__}: {error}; mend it, or "
            "leave it out"
        ) from error
    return spec


def check_annotators(specs: Iterable[AnnotatorSpec]) -> None:
    """Looks, before any work starts, whether each annotator has the files that it needs.

    Raises:
        ConfigError: One is missing or damaged.
    """
    for spec in specs:
        annotator = spec.annotator
        try:
            for path in _model_files(annotator):
                if not path.is_file():
                    raise ValueError(
                        f"found no file {path}, which it needs; put it there, or name another in "
                        "its options (a shipped file comes back with a new installation)"
                    )
            if isinstance(annotator, Checked):
                annotator.check()
        except (ValueError, OSError) as error:
            raise ConfigError(f"annotators.{annotator.name}: {error}") from error
        except (Exception, SystemExit) as error:  # of whoever wrote it, or of a library
            raise ConfigError(
                f"annotators.{annotator.name}: its check failed: {type(error).__name__}: {error}; "
                f"{_files_told(annotator)}mend it, or leave it out"
            ) from error


def _model_files(annotator: Annotator) -> list[Path]:
    """Its files.

    Raises:
        TypeError: `model_files` gives something else than paths.
    """
    files: object = annotator.model_files()
    if not isinstance(files, list | tuple) or not all(isinstance(one, Path) for one in files):
        raise TypeError(
            f"`model_files` gives {files!r}; allowed is a list of pathlib.Path: change it"
        )
    return list(files)


def _files_told(annotator: Annotator) -> str:
    """The files behind a failed check, in words; nothing where there are none, or too many."""
    try:
        files = _model_files(annotator)
    except Exception:  # that is what failed
        return ""
    return f"its files are {', '.join(map(str, files))}: " if 0 < len(files) <= 8 else ""


def with_inputs(
    specs: Sequence[AnnotatorSpec], options: Mapping[str, Mapping[str, Any]]
) -> tuple[tuple[AnnotatorSpec, ...], dict[str, str]]:
    """Adds the shipped annotators whose labels others need.

    Args:
        specs: In any order.
        options: Name in `BUILTIN` -> its options, for what is added.

    Returns:
        All of them, each after those whose labels it needs; and name of what was added -> name of
        the annotator that needs it.

    Raises:
        ConfigError: Labels that nobody makes, or that two make.
    """
    found, added = list(specs), dict[str, str]()
    for spec in found:  # grows on the way
        made = {name for one in found for name in one.annotator.columns.names}
        for column in spec.annotator.inputs:
            if column in made or column in DOCUMENT_COLUMNS:
                continue
            maker = _shipped_maker(column, options)
            if maker is not None:
                found.append(maker)
                made |= set(maker.annotator.columns.names)
                added[maker.annotator.name] = spec.annotator.name
    return ordered(found), added


def _shipped_maker(column: str, options: Mapping[str, Mapping[str, Any]]) -> AnnotatorSpec | None:
    """The shipped annotator that makes a column; None where none does so without options."""
    for name in BUILTIN:
        try:
            spec = spec_of(name, dict(options.get(name, {})))
        except ConfigError:
            continue
        if column in spec.annotator.columns.names:
            return spec
    return None


def ordered(specs: Sequence[AnnotatorSpec]) -> tuple[AnnotatorSpec, ...]:
    """Annotators, each after those whose labels it needs.

    Raises:
        ConfigError: Labels that nobody makes, or that two make.
    """
    _refuse_twice(specs)
    made: set[str] = set(DOCUMENT_COLUMNS)
    left, done = list(specs), []
    while left:
        ready = [spec for spec in left if set(spec.annotator.inputs) <= made]
        if not ready:
            stuck = left[0].annotator
            lacking = [name for name in stuck.inputs if name not in made]
            raise ConfigError(
                f"annotators: {stuck.name} needs the labels {', '.join(lacking)}, which no "
                "annotator of this corpus makes before it; allowed are labels of others and the "
                f"document columns {', '.join(DOCUMENT_COLUMNS)}; add the annotator that makes them"
            )
        for spec in ready:
            made |= set(spec.annotator.columns.names)
            left.remove(spec)
        done += ready
    return tuple(done)


def _refuse_twice(specs: Sequence[AnnotatorSpec]) -> None:
    names = [spec.annotator.name for spec in specs]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ConfigError(f"annotators: two of them write the labels set {twice[0]!r}; name one")
    makers: dict[str, str] = {}
    for spec in specs:
        for column in spec.annotator.columns.names:
            other = makers.setdefault(column, spec.annotator.name)
            if other != spec.annotator.name:
                raise ConfigError(
                    f"annotators: {other} and {spec.annotator.name} both make the column "
                    f"{column!r}; rename that of your own, or leave one of them out"
                )


def _check_declarations(annotator: Annotator) -> None:
    """Refuses what is no annotator before it is asked anything.

    Raises:
        TypeError: It lacks something, or what it declares is of another type.
        ValueError: A column has a reserved name.
    """
    lacking = [name for name in _NEEDED_ATTRIBUTES if not hasattr(annotator, name)]
    if lacking or not callable(annotator):
        raise TypeError(
            f"found a {type(annotator).__name__} without {', '.join(lacking) or '__call__'}; "
            "allowed are a class as annotators.annotator.Annotator says, or a function with the "
            "decorator annotators.annotator.annotator: add what is lacking"
        )
    if not isinstance(annotator.columns, pa.Schema) or not len(annotator.columns):
        raise TypeError(
            f"`columns` is {annotator.columns!r}; allowed is a pyarrow.Schema with one column or "
            "more: write pa.schema([...])"
        )
    if isinstance(annotator.inputs, str):
        raise TypeError(
            f"`inputs` is the text {annotator.inputs!r}; allowed is a tuple of names: write "
            f"({annotator.inputs!r},)"
        )
    names = annotator.columns.names
    wrong = [name for name in names if name in _RESERVED or names.count(name) > 1]
    if wrong:
        raise ValueError(
            f"column {wrong[0]!r}: this name is given already; reserved are "
            f"{', '.join(sorted(_RESERVED))}: rename the column"
        )
    _refuse_not_writable(annotator.columns)
    if not _NAME.fullmatch(annotator.name):
        raise ValueError(
            f"`name` is {annotator.name!r}; allowed are letters, digits, _ and -, because "
            "it names a folder: rename it"
        )


def _refuse_not_writable(columns: pa.Schema) -> None:
    """Refuses columns that no labels file can hold.

    Raises:
        TypeError: Parquet does not have the type.
    """
    for column in columns:
        try:
            pq.ParquetWriter(pa.BufferOutputStream(), pa.schema([column])).close()
        except pa.ArrowException as error:
            raise TypeError(
                f"column {column.name!r} has the type {column.type}, which Parquet cannot hold "
                f"({error}); declare another"
            ) from error


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
    found = getattr(importlib.import_module(module), name)
    options = json.loads(options_json)
    if isinstance(found, FunctionAnnotator):
        made = found.with_options(**options)
        check_types(found.function, options)
        return made
    if inspect.isfunction(found):
        raise TypeError(
            f"{target} is a plain function; write @annotator(columns=...) above it (from "
            "annotators.annotator import annotator)"
        )
    check_names(found, options)
    check_types(found, options)
    annotator: Annotator = found(**options)
    return annotator

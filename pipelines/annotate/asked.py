"""Which annotators a command line asks for: names, a file of options, and single options.

The file is a list as under `annotators` in corpus.yaml, a mapping with that key, or a mapping of
names to options. `--option NAME.KEY=VALUE` goes over it; VALUE is YAML, and KEY may have dots, for
a key within a mapping: `quality.thresholds.gopher_min_words=20`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from mixtures.errors import MixtureError
from mixtures.strict_yaml import read_yaml
from pipelines.annotate.registry import AnnotatorSpec, spec_of, with_inputs
from pipelines.config import ConfigError

Options = dict[str, dict[str, Any]]
"""Annotator -> its options."""


def asked_annotators(
    names: str, config: Path | None, settings: Sequence[str], *, paragraphs: bool
) -> tuple[tuple[AnnotatorSpec, ...], dict[str, str]]:
    """The annotators that are asked for, and those whose labels they need.

    Args:
        names: Separated by commas; empty for all that the file names.
        config: File of options.
        settings: NAME.KEY=VALUE.
        paragraphs: The slow exact mode of `language`.

    Returns:
        Annotators, each after those whose labels it needs; and name of what was added -> name of
        what needs it.

    Raises:
        ConfigError: Nothing is asked for, a name or an option is unknown, or the file is none.
    """
    written = {} if config is None else _read(config)
    asked = list(dict.fromkeys(word.strip() for word in names.split(",") if word.strip()))
    asked = asked or list(written)
    if not asked:
        raise ConfigError(
            "--annotators: found nothing; allowed are names separated by commas, such as "
            "language,quality, your own as module:Class, or --config with a file that names them; "
            "`tokenmill annotate --list` lists all"
        )
    options: Options = {name: dict(written.get(name, {})) for name in asked}
    if paragraphs:
        _refuse_absent("--paragraphs", "language", asked)
        options["language"]["paragraphs"] = True
    for setting in settings:
        _set(options, setting)
    return with_inputs([spec_of(name, options[name]) for name in asked], written)


def _read(path: Path) -> Options:
    """Annotators of a file, in its order.

    Raises:
        ConfigError: It cannot be read, or holds something else.
    """
    try:
        written = read_yaml(path)
    except MixtureError as error:
        raise ConfigError(f"--config {error}") from error
    if isinstance(written, dict) and "annotators" in written:
        written = written["annotators"]
    items = [written] if isinstance(written, dict) else written
    options: Options = {}
    for item in items if isinstance(items, list) else [None]:
        pairs = {item: {}} if isinstance(item, str) else item
        if not isinstance(pairs, dict):
            raise ConfigError(
                f"--config {path}: found {item!r}; allowed is a list of names, or of names with "
                "options, as under `annotators` in corpus.yaml: correct this item"
            )
        for name, given in pairs.items():
            if given is not None and not isinstance(given, dict):
                raise ConfigError(
                    f"--config {path}: {name}: found {given!r}; allowed is a mapping of options: "
                    f"write {name}: {{KEY: VALUE}}"
                )
            if name in options:
                raise ConfigError(f"--config {path}: {name} stands there twice; merge the two")
            options[name] = dict(given or {})
    return options


def _refuse_absent(what: str, name: str, asked: Sequence[str]) -> None:
    if name not in asked:
        raise ConfigError(
            f"{what}: {name} is not among the annotators {', '.join(asked)}; add it to "
            "--annotators, or leave this option out"
        )


def _set(options: Options, setting: str) -> None:
    """Sets one option.

    Raises:
        ConfigError: It is not of the form NAME.KEY=VALUE, or of another annotator.
    """
    place, equals, written = setting.partition("=")
    own = [name for name in options if place.startswith(f"{name}.")]
    keys = place.removeprefix(max(own, key=len) + ".").split(".") if own else []
    if not equals or not own or not all(keys):
        raise ConfigError(
            f"--option {setting!r}: allowed is NAME.KEY=VALUE with a NAME of {', '.join(options)}, "
            "such as quality.rules='[c4]'; correct it, or add NAME to --annotators"
        )
    target: dict[str, Any] = options[max(own, key=len)]
    for key in keys[:-1]:
        inner = target.get(key)
        target[key] = dict(inner) if isinstance(inner, Mapping) else {}
        target = target[key]
    try:
        target[keys[-1]] = yaml.safe_load(written)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or str(error)
        raise ConfigError(
            f"--option {setting!r}: the value is not YAML ({problem}); put it into quotes"
        ) from error

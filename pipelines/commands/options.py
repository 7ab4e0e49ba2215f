"""Options of a command line that are keys of corpus.yaml: `--option pdf.ocr=none`."""

from collections.abc import Sequence
from typing import Any, Final

import yaml

from pipelines.config import ConfigError

_WORDS: Final = ("on", "off", "yes", "no")


def parse_options(words: Sequence[str]) -> dict[str, Any]:
    """KEY=VALUE pairs of a command line as a mapping; a point in a key opens an inner one.

    >>> parse_options(["html_engine=fast", "pdf.max_pages=10"])
    {'html_engine': 'fast', 'pdf': {'max_pages': 10}}
    >>> parse_options(["thinking=off"])
    {'thinking': 'off'}

    Raises:
        ConfigError: One is not of that form, or its value is no YAML.
    """
    found: dict[str, Any] = {}
    for word in words:
        key, is_pair, value = word.partition("=")
        *outer, last = key.split(".")
        if not is_pair or not all([*outer, last]):
            raise ConfigError(
                f"--option: found {word!r}; allowed is KEY=VALUE with a key of corpus.yaml, such "
                "as pdf.ocr=none; correct it"
            )
        inner = found
        for name in outer:
            inner = inner.setdefault(name, {})
        try:
            # YAML 1.1 reads these as truth; files of ours do not, and `thinking=on` is a word.
            inner[last] = value if value in _WORDS else yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(f"--option {key}: found {value!r}, which is no YAML") from error
    return found


def read_quantity(option: str, kind: Any, written: str) -> float:  # noqa: ANN401 - a pydantic type
    """A size, time or share as people write it.

    Args:
        option: Its name, for the message.
        kind: Of `pipelines.quantities`.
        written: What was given.

    Raises:
        ConfigError: It is none.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        return float(TypeAdapter(kind).validate_python(written))
    except ValidationError as error:
        why = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{option}: found {written!r}; {why}; change it") from error

"""What the steps of a job carry to the workers, looked at before they travel.

Steps are pickled with all that they refer to. A path of this machine's disk pickles without an
error and is found missing hours later, on a worker; so is an annotator of the user's own that
stands beside corpus.yaml and not in the image. Both are found by walking what a step holds. Options
of annotators travel as JSON in a string, so such strings are read too.

A source is judged by what it is called, not by what is there: its path may be a glob, or begin with
`~`, and it may be read only by a later job. So corpus.yaml is asked for all of them as well.
"""

import dataclasses
import importlib.util
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pipelines.config import CorpusConfig, SourceConfig, is_path_list
from pipelines.workspace.children import Limits
from pipelines.workspace.workspace import Workspace

IMAGE_FOLDER: Final = "/opt/tokenmill"
"""What stands below it is taken to be in the worker's image: infra/dataflow puts it there."""

_WORKSPACE: Final = "--workspace"
_TARGET: Final = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):[A-Za-z_]\w*")
_OURS: Final = ("pipelines", "annotators", "mixtures", "token_shards")
_ATOMS: Final = (bool, int, float, bytes, type(None))


@dataclasses.dataclass(slots=True)
class Luggage:
    """What steps hold that matters elsewhere."""

    local: dict[str, str] = dataclasses.field(default_factory=dict)
    """Path that only this machine has -> where it was found."""
    modules: dict[str, str] = dataclasses.field(default_factory=dict)
    """Module that is not installed -> the file it is in here."""
    sources: dict[str, SourceConfig] = dataclasses.field(default_factory=dict)
    """Those that steps read, by name."""
    keys: set[str] = dataclasses.field(default_factory=set)
    """Names of environment variables that hold secrets."""
    limits: Limits | None = None
    """Of the children of a worker; the largest where steps differ."""
    gpus: int = 0
    """Of the largest model server that a worker starts itself."""

    @property
    def problems(self) -> list[str]:
        """What a worker would miss."""
        remedy = (
            f"put it into the image below {IMAGE_FOLDER} with infra/dataflow/Dockerfile.corpus, "
            "and run the driver from that image (docs/dataflow.md)"
        )
        found = [
            f"{where}: found {path} on this machine's disk, which no worker can see; "
            + ("give gs://BUCKET/FOLDER" if where == _WORKSPACE else f"{remedy}{_hub(where)}")
            for path, where in sorted(self.local.items())
        ]
        found += [one for _, source in sorted(self.sources.items()) for one in _local(source)]
        return found + [
            f"module {name}: found {file}, which workers do not have; {remedy}"
            for name, file in sorted(self.modules.items())
        ]

    def pack(self, step: object) -> None:
        """Looks through all that a step refers to."""
        seen: dict[int, object] = {}  # holds them, as the id of one that is gone is used again
        waiting: list[tuple[str, object]] = [(type(step).__name__, step)]
        while waiting:
            where, value = waiting.pop()
            if isinstance(value, _ATOMS) or id(value) in seen:
                continue
            seen[id(value)] = value
            if isinstance(value, str):
                waiting += self._text(where, value)
            else:
                self._note(where, value)
                waiting += [(_below(where, name), one) for name, one in _held(value)]

    def _note(self, where: str, value: object) -> None:
        """What is known by its type."""
        if isinstance(value, Limits):
            if self.limits is None or value.processes > self.limits.processes:
                self.limits = value
        elif isinstance(value, Workspace) and _is_local(value.url):
            self.local[value.url] = _WORKSPACE
        elif isinstance(value, SourceConfig):
            self.sources[value.name] = value
        if isinstance(engine := getattr(value, "engine", None), str) and engine == "vllm":
            self.gpus = max(self.gpus, int(getattr(value, "gpus", 1)))
        if isinstance(key := getattr(value, "api_key_env", None), str):
            self.keys.add(key)
        if isinstance(value, os.PathLike):
            self._path(where, os.fspath(value))

    def _text(self, where: str, text: str) -> list[tuple[str, object]]:
        """Reads a string; gives what it holds where it is JSON."""
        if text[:1] in "{[" and len(text) > 1:
            try:
                return [(where, json.loads(text))]
            except ValueError:
                return []
        if target := _TARGET.fullmatch(text):
            self._module(target[1])
        else:
            self._path(where, text)
        return []

    def _path(self, where: str, path: str) -> None:
        plain = path.removeprefix("file://")
        if os.path.isabs(plain) and not _is_in_image(plain) and _exists(plain):
            self.local.setdefault(plain, where)

    def _module(self, name: str) -> None:
        root = name.split(".")[0]
        if root in _OURS or root in sys.stdlib_module_names:
            return
        try:
            found = importlib.util.find_spec(root)
        except (ImportError, ValueError):
            return
        origin = found.origin if found is not None else None
        if origin and not Path(origin).is_relative_to(sys.prefix):
            if not Path(origin).is_relative_to(IMAGE_FOLDER):
                self.modules[root] = origin


def local_sources(config: CorpusConfig) -> list[str]:
    """What is wrong with sources whose files stand on this machine's disk, one line each.

    Args:
        config: As `load_corpus` gives it, with paths resolved.
    """
    return [problem for source in config.sources for problem in _local(source)]


def _local(source: SourceConfig) -> list[str]:
    """A list of paths is read by the driver alone: the place of the files that it names counts."""
    name, place = "path", source.path
    if is_path_list(source.path or ""):
        name, place = "base", source.base
    if place is None or not _is_local(place) or _is_in_image(place):
        return []
    return [
        f"sources.{source.name}.{name}: found {place} on this machine's disk, which no worker can "
        "see; copy the files with `gcloud storage cp --recursive` and give "
        f"{name}: gs://BUCKET/FOLDER"
    ]


def _held(value: Any) -> Iterator[tuple[str, object]]:  # noqa: ANN401 - anything that pickles
    """Names and values that an object refers to; classes, functions and modules are left alone."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield "", key
            yield (key if isinstance(key, str) else ""), one
    elif isinstance(value, list | tuple | set | frozenset):
        yield from (("", one) for one in value)
    elif isinstance(value, SourceConfig):
        held = {**value.__dict__, "path": None, "base": None}  # `_local` looks at these
        yield from held.items()
    elif not isinstance(value, type) and not callable(value):
        yield from _fields(value)


def _fields(value: Any) -> Iterator[tuple[str, object]]:  # noqa: ANN401 - anything that pickles
    if dataclasses.is_dataclass(value):
        names = [one.name for one in dataclasses.fields(value)]
        yield from ((name, getattr(value, name, None)) for name in names)
    else:
        yield from getattr(value, "__dict__", {}).items()


def _below(where: str, name: str) -> str:
    return f"{where}.{name.lstrip('_')}" if name and len(where) < 100 else where


def _hub(where: str) -> str:
    """What else may stand for a tokenizer."""
    is_tokenizer = "tokenizer" in where.lower()
    return "; or name it as on the hub, owner/name, which workers fetch" if is_tokenizer else ""


def _is_local(url: str) -> bool:
    """Of a chain of fsspec, such as `zip://*.txt::gs://...`, the last tells where the file is."""
    last = url.rpartition("::")[2]
    return "://" not in last or last.startswith(("file://", "local://"))


def _is_in_image(place: str) -> bool:
    last = place.rpartition("::")[2]
    return Path(re.sub(r"^(file|local)://", "", last)).is_relative_to(IMAGE_FOLDER)


def _exists(path: str) -> bool:
    try:
        return path != "/" and "\n" not in path and Path(path).exists()
    except (OSError, ValueError):  # longer than a name may be, or NUL in it
        return False

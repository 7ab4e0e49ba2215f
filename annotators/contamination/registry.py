"""The registry of common benchmarks: kind and roles of fields by name, from `registry.yaml`.

Its entries say where a benchmark comes from and which licence its authors state, so that whoever
adds a file knows both. The files themselves are not shipped.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import yaml

REGISTRY: Final = Path(__file__).with_name("registry.yaml")
_SPLITS: Final = ("_test", "_train", "_validation", "_dev")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownBenchmark:
    """One entry."""

    name: str
    origin: str
    """Page or repository of its authors."""
    licence: str
    """SPDX name as its authors state it, or unknown."""
    kind: str
    question: tuple[str, ...]
    options: tuple[str, ...] = ()
    answer: tuple[str, ...] = ()


@functools.cache
def known_benchmarks() -> Mapping[str, KnownBenchmark]:
    """Every entry by its name and its aliases."""
    entries = yaml.safe_load(REGISTRY.read_text(encoding="utf-8"))
    made: dict[str, KnownBenchmark] = {}
    for name, entry in entries.items():
        known = KnownBenchmark(
            name=name,
            origin=entry["from"],
            licence=entry["licence"],
            kind=entry["kind"],
            question=tuple(entry["question"]),
            options=tuple(entry.get("options", ())),
            answer=tuple(entry.get("answer", ())),
        )
        made |= dict.fromkeys((name, *entry.get("aliases", ())), known)
    return MappingProxyType(made)


def known_benchmark(name: str) -> KnownBenchmark | None:
    """Gives the entry of a name, with or without the name of a split at its end."""
    known = known_benchmarks()
    without = next((name.removesuffix(end) for end in _SPLITS if name.endswith(end)), name)
    return known.get(name) or known.get(without)

"""What became of the items of each benchmark: found, too short, all template, with examples.

A benchmark of which little can be found must not pass as a clean one, so a run says this before any
document is read, and the figures stand beside the labels.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotators.contamination.rules import MIN_WEIGHT
from annotators.contamination.words import WORD

if TYPE_CHECKING:
    from annotators.contamination.items import Benchmark, Item

_EXAMPLES: Final = 5
_EXAMPLE_CHARACTERS: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFacts:
    """What became of the items of one benchmark: items = indexed + too_short + common."""

    benchmark: str
    kind: str
    """math, code or text."""
    roles: str
    """Where kind and roles come from: corpus.yaml, registry, or all text fields."""
    items: int
    indexed: int
    """Can be found."""
    too_short: int
    """Weigh less than 6 words, or have none but a short answer; without text included."""
    common: int
    """Have no n-gram but those that too many items share."""
    cut: int
    """Of `indexed`: so long that their end is not compared."""
    common_ngrams: int
    """N-grams that flag nothing."""
    entry_points: int
    """Items that are also found by the name of the function they ask for."""
    parts_not_covered: int
    """Options and answers that cannot be found on their own, though their question can: they are
    short, or all template."""
    not_covered: tuple[str, ...]
    """Up to 5 items that cannot be found, as `id: beginning`."""


class ItemState(NamedTuple):
    """Of every item, `bool[num_items]` each but the last."""

    findable: NDArray[np.bool_]
    has_range: NDArray[np.bool_]
    """Something of it is long enough to be compared."""
    is_cut: NDArray[np.bool_]
    covered: Sequence[AbstractSet[int]]
    """Numbers of the parts of each item that can be found."""


def facts_of(
    benchmarks: Sequence["Benchmark"],
    read: Sequence[Sequence["Item"]],
    state: ItemState,
    common_ngrams: Sequence[int],
) -> tuple[IndexFacts, ...]:
    """Counts what became of the items.

    Args:
        benchmarks: In order.
        read: The items of each.
        state: Of all items, one benchmark after another.
        common_ngrams: Of each benchmark.
    """
    made, start = [], 0
    for number, (benchmark, items) in enumerate(zip(benchmarks, read, strict=True)):
        mine = slice(start, start + len(items))
        start += len(items)
        findable, has_range = state.findable[mine], state.has_range[mine]
        lost = [items[i] for i in np.flatnonzero(~findable)[:_EXAMPLES]]
        made.append(
            IndexFacts(
                benchmark=benchmark.name,
                kind=benchmark.kind,
                roles=benchmark.source,
                items=len(items),
                indexed=int(findable.sum()),
                too_short=int(np.sum(~findable & ~has_range)),
                common=int(np.sum(~findable & has_range)),
                cut=int(np.sum(findable & state.is_cut[mine])),
                common_ngrams=common_ngrams[number] if number < len(common_ngrams) else 0,
                entry_points=sum(bool(item.entry_point) for item in items),
                parts_not_covered=sum(map(_parts_not_covered, items, state.covered[mine])),
                not_covered=tuple(_example(item) for item in lost),
            )
        )
    return tuple(made)


def _parts_not_covered(item: "Item", covered: AbstractSet[int]) -> int:
    if not any(item.parts[number].role == "question" for number in covered):
        return 0
    return sum(p.role != "question" and n not in covered for n, p in enumerate(item.parts))


def _example(item: "Item") -> str:
    text = " ".join(" ".join(part.text for part in item.parts).split())
    return f"{item.id}: {text[:_EXAMPLE_CHARACTERS]}"


def check_found(facts: Sequence[IndexFacts], benchmarks: Sequence["Benchmark"]) -> None:
    """Refuses a benchmark of which nothing can be found: its result would be an empty success.

    Raises:
        ValueError: There is one.
    """
    for one, benchmark in zip(facts, benchmarks, strict=True):
        if not one.indexed:
            raise ValueError(
                f"benchmark {one.benchmark}: of {one.items} items in {benchmark.path}, "
                f"{one.too_short} have less than {MIN_WEIGHT // WORD} words and {one.common} share "
                "all they say with 10 others or more, so none can be found; name more of its "
                "fields in question, options and answer, or leave the benchmark out"
            )

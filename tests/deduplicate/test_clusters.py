"""Clusters are stars around the longest text, whatever the order of the pairs."""

import random

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.deduplicate.clusters import merge_near
from pipelines.deduplicate.exact import DECISION
from pipelines.near_duplicates.stars import NEAR, stars_of


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def stars(sizes: list[int], pairs: list[tuple[int, int, float]]) -> list[tuple[int, float]]:
    """Ids are positions."""
    ids = np.stack([np.zeros(len(sizes)), np.arange(len(sizes))], axis=1).astype(np.uint64)
    left, right = (np.array([pair[end] for pair in pairs], np.int64) for end in (0, 1))
    similarity = np.array([pair[2] for pair in pairs], np.float64)
    found = stars_of(np.array(sizes, np.int32), ids, left, right, similarity)
    return list(zip(found.representative.tolist(), found.jaccard.tolist(), strict=True))


def test_stars_of_a_chain_joins_only_what_is_similar_itself() -> None:
    # 0 - 1 - 2 - 3: 1 joins 0, so 2 has no representative to join and 3 joins 2.
    chain = [(0, 1, 0.9), (1, 2, 0.85), (2, 3, 0.8)]
    assert stars([9, 8, 7, 6], chain) == [(0, 1.0), (0, 0.9), (2, 1.0), (2, 0.8)]


def test_stars_of_longest_text_represents_and_ids_break_ties() -> None:
    assert stars([5, 9, 5], [(0, 1, 0.9), (2, 1, 0.8)]) == [(1, 0.9), (1, 1.0), (1, 0.8)]
    assert stars([5, 5], [(1, 0, 0.9)]) == [(0, 1.0), (0, 0.9)]
    assert stars([], []) == []


@settings(deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 14))
def test_stars_of_any_graph_are_those_of_the_definition(chance: random.Random, n: int) -> None:
    sizes = [chance.randrange(1, 5) for _ in range(n)]
    pairs = [
        (a, b, chance.randrange(80, 101) / 100)
        for a in range(n)
        for b in range(a)
        if chance.random() < 0.3
    ]
    similar = {(a, b): s for a, b, s in pairs} | {(b, a): s for a, b, s in pairs}
    joined: dict[int, int] = {}
    for text in sorted(range(n), key=lambda t: (-sizes[t], t)):
        heads = [head for head in joined if joined[head] == head and (text, head) in similar]
        joined[text] = heads[0] if heads else text
    chance.shuffle(pairs)
    turned = [(b, a, s) if chance.random() < 0.5 else (a, b, s) for a, b, s in pairs]
    expected = [(joined[t], similar.get((t, joined[t]), 1.0)) for t in range(n)]
    assert stars(sizes, turned) == expected


def decision(
    row: int, cluster: int, size: int, role: str, jaccard: float = 1.0
) -> dict[str, object]:
    return {
        "source": 0, "part": row // 10, "row": row % 10, "cluster": key(cluster),
        "cluster_size": size, "duplicate_role": role, "jaccard": jaccard,
    }  # fmt: skip


def test_merge_near_copies_go_with_the_text_that_they_equal() -> None:
    exact = [
        decision(0, 50, 3, "representative"),  # of a text that is near another
        decision(1, 50, 3, "duplicate"),
        decision(2, 50, 3, "repeated_record"),
        decision(3, 60, 2, "representative"),  # of a text that has near ones
        decision(4, 60, 2, "duplicate"),
        decision(5, 70, 2, "representative"),  # of a text that has none
        decision(6, 70, 2, "duplicate"),
        decision(7, 80, 2, "duplicate"),  # its representative is in another part
    ]
    near = [
        decision(0, 60, 6, "near_duplicate", 0.875) | {"id": key(50)},
        decision(3, 60, 6, "representative") | {"id": key(60)},
        decision(8, 60, 6, "near_duplicate", 0.9375) | {"id": key(90)},  # had no copies
        decision(14, 99, 4, "near_duplicate", 0.8125) | {"id": key(80)},  # the other part
    ]
    found = merge_near(
        pa.Table.from_pylist(exact, schema=DECISION), pa.Table.from_pylist(near, schema=NEAR)
    )
    assert found.schema == DECISION
    assert found.to_pylist() == [
        decision(0, 60, 6, "near_duplicate", 0.875),
        decision(1, 60, 6, "duplicate", 0.875),
        decision(2, 60, 6, "repeated_record", 0.875),
        decision(3, 60, 6, "representative"),
        decision(4, 60, 6, "duplicate"),
        decision(5, 70, 2, "representative"),
        decision(6, 70, 2, "duplicate"),
        decision(7, 99, 4, "duplicate", 0.8125),
        decision(8, 60, 6, "near_duplicate", 0.9375),
    ]


def test_merge_near_of_nothing_changes_nothing() -> None:
    exact = pa.Table.from_pylist(
        [decision(0, 1, 2, "representative"), decision(1, 1, 2, "duplicate")], schema=DECISION
    )
    nothing = NEAR.empty_table()
    assert merge_near(exact, nothing).to_pylist() == exact.to_pylist()
    alone = pa.Table.from_pylist(
        [decision(3, 4, 2, "near_duplicate", 0.75) | {"id": key(5)}], schema=NEAR
    )
    assert merge_near(DECISION.empty_table(), alone).to_pylist() == [
        decision(3, 4, 2, "near_duplicate", 0.75)
    ]

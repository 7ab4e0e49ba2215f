"""Clusters are stars around the text of highest priority, whatever the order of the pairs."""

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.near_duplicates.stars import priority_order, quality_of, stars_of


def order_of(
    sizes: list[int],
    quality: list[float] | None = None,
    generated: list[bool] | None = None,
    ids: list[tuple[int, int]] | None = None,
) -> list[int]:
    """Ids are positions where none are given."""
    n = len(sizes)
    words = ids or [(0, position) for position in range(n)]
    return priority_order(
        np.array(generated or [False] * n, bool),
        np.array(quality or [0.0] * n, np.float32),
        np.array(sizes, np.int32),
        np.array(words, np.uint64).reshape(-1, 2),
    ).tolist()


def stars(order: list[int], pairs: list[tuple[int, int, float]]) -> list[tuple[int, float]]:
    left, right = (np.array([pair[end] for pair in pairs], np.int64) for end in (0, 1))
    similarity = np.array([pair[2] for pair in pairs], np.float64)
    found = stars_of(np.array(order, np.int64), left, right, similarity)
    return list(zip(found.representative.tolist(), found.jaccard.tolist(), strict=True))


def test_priority_is_people_then_quality_then_length_then_id() -> None:
    assert order_of([5, 9, 5]) == [1, 0, 2]
    assert order_of([5, 9, 5], quality=[0.5, 0.5, 0.55]) == [2, 1, 0]
    assert order_of([5, 9, 5], quality=[1, 0, 2], generated=[True, False, True]) == [1, 2, 0]
    big = 2**64 - 1
    assert order_of([5] * 4, ids=[(1, 0), (0, big), (big, 0), (0, 7)]) == [3, 1, 0, 2]
    assert order_of([]) == []


def test_stars_of_a_chain_joins_only_what_is_similar_itself() -> None:
    # 0 - 1 - 2 - 3: 1 joins 0, so 2 has no representative to join and 3 joins 2.
    chain = [(0, 1, 0.9), (1, 2, 0.85), (2, 3, 0.8)]
    assert stars([0, 1, 2, 3], chain) == [(0, 1.0), (0, 0.9), (2, 1.0), (2, 0.8)]
    # 2 goes first, so its neighbours join it and nothing is left for 0.
    assert stars([2, 0, 1, 3], chain) == [(0, 1.0), (2, 0.85), (2, 1.0), (2, 0.8)]


def test_stars_of_no_pairs_are_the_texts_themselves() -> None:
    assert stars([1, 0], []) == [(0, 1.0), (1, 1.0)]
    assert stars([], []) == []


@settings(deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 14))
def test_stars_of_any_graph_are_those_of_the_definition(chance: random.Random, n: int) -> None:
    sizes = [chance.randrange(1, 4) for _ in range(n)]
    quality = [chance.randrange(3) / 2 for _ in range(n)]
    generated = [chance.random() < 0.3 for _ in range(n)]
    pairs = [
        (a, b, chance.randrange(80, 101) / 100)
        for a in range(n)
        for b in range(a)
        if chance.random() < 0.3
    ]
    similar = {(a, b): s for a, b, s in pairs} | {(b, a): s for a, b, s in pairs}
    joined: dict[int, int] = {}
    for text in sorted(range(n), key=lambda t: (generated[t], -quality[t], -sizes[t], t)):
        heads = [head for head in joined if joined[head] == head and (text, head) in similar]
        joined[text] = heads[0] if heads else text
    chance.shuffle(pairs)
    turned = [(b, a, s) if chance.random() < 0.5 else (a, b, s) for a, b, s in pairs]
    expected = [(joined[t], similar.get((t, joined[t]), 1.0)) for t in range(n)]
    assert stars(order_of(sizes, quality, generated), turned) == expected


def test_quality_is_kept_and_the_score_in_twentieths() -> None:
    labels = pa.table(
        {
            "quality_keep": pa.array([True, True, True, False, None, True]),
            "quality_score": pa.array([0.52, 0.53, None, 1.0, 0.0, float("nan")], pa.float64()),
        }
    )
    found = quality_of(labels)
    assert found.dtype == np.float32
    assert found.tolist() == pytest.approx([1.5, 1.55, 1.5, 1.0, 0.0, 1.5])
    assert found[0] == found[2] == found[5]
    assert quality_of(labels.select(["quality_keep"])).tolist() == [1.5, 1.5, 1.5, 0.5, 0.5, 1.5]
    assert quality_of(labels.select(["quality_score"])).tolist() == [0.0] * 6
    assert quality_of(labels.select([]).slice(0, 0)).tolist() == []

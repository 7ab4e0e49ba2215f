"""Components only bound the work: however pairs are grouped, the clusters are the same."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_workspace import (
    deduplicate,
    in_parts,
    labels,
    signed_workspace,
    versions,
)

from pipelines.near_duplicates import components
from pipelines.near_duplicates.components import join_pairs, number_groups, settle_roots


def found_components(num_texts: int, pairs: Sequence[tuple[int, int]]) -> list[set[int]]:
    """By merging sets until none meet."""
    found = [{text} for text in range(num_texts)]
    for pair in pairs:
        met = [some for some in found if some & set(pair)]
        found = [some for some in found if not some & set(pair)] + [set.union(*met)]
    return sorted(found, key=min)


@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 14).flatmap(
        lambda n: st.tuples(
            st.just(n),
            st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=20),
        )
    ),
    st.integers(1, 9),
)
def test_components_stay_whole_and_groups_are_bounded(
    graph: tuple[int, list[tuple[int, int]]], most: int
) -> None:
    num_texts, pairs = graph
    pairs = [pair for pair in pairs if pair[0] != pair[1]]
    places = np.arange(num_texts, dtype=np.uint64) * np.uint64(1 << 40)
    root, num_pairs = np.arange(num_texts), np.zeros(num_texts, np.int64)
    for start in range(0, len(pairs), 3):  # in batches
        ends = np.array(pairs[start : start + 3], np.int64)
        join_pairs(places, root, num_pairs, places[ends[:, 0]], places[ends[:, 1]])
    count = settle_roots(root, num_pairs)
    expected = found_components(num_texts, pairs)
    assert count == len(expected)
    assert root.tolist() == [
        min(next(some for some in expected if text in some)) for text in range(num_texts)
    ]
    inside = [sum(pair[0] in some for pair in pairs) for some in expected]
    assert [num_pairs[min(some)] for some in expected] == inside
    num_groups = number_groups(root, num_pairs, most)
    group = [int(root[min(some)]) for some in expected]
    for some, number in zip(expected, group, strict=True):
        assert {int(root[text]) for text in some} == {number}
    assert group == sorted(group)
    assert num_groups == group[-1] + 1
    for number in range(num_groups):
        sizes = [size for size, other in zip(inside, group, strict=True) if other == number]
        assert sum(sizes) <= most or sum(size > 0 for size in sizes) == 1


def test_clusters_do_not_depend_on_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = in_parts(versions(40, seed=9), [50, 20])
    found = []
    for most in (1 << 22, 3):
        monkeypatch.setattr(components, "_GROUP_PAIRS", most)
        monkeypatch.setattr(components, "_OPEN_GROUPS", 4)
        workspace = signed_workspace(tmp_path / f"w{most}", documents)
        plan = deduplicate(workspace, documents)
        assert plan.near is not None
        (entry,) = workspace.ledger.entries(plan.near.components)
        clusters = workspace.ledger.entries(plan.near.stars)
        found.append((entry.counts, [entry.content for entry in clusters], labels(workspace, plan)))
        assert len(entry.files) == (entry.counts["groups"] if most == 3 else 0)
        assert sum(ref.rows for ref in entry.files) in (0, entry.counts["pairs"])
    whole, cut = found
    assert whole[0]["groups"] == 1
    assert cut[0]["groups"] > 9
    assert whole[1:] == cut[1:]
    assert whole[0] | {"groups": 0} == cut[0] | {"groups": 0}

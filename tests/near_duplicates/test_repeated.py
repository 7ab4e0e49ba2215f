"""Bands that occur once are left out of the shuffle, and nothing else is."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_workspace import (
    deduplicate,
    expected_labels,
    in_parts,
    labels,
    signed_workspace,
    versions,
)

from annotators.text.minhash import NUM_BANDS
from pipelines.near_duplicates import plan as plan_module
from pipelines.near_duplicates.check import cluster_faults
from pipelines.near_duplicates.repeated import mark_bands, marked_bands, repeated_bands


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.lists(st.integers(0, 30), min_size=3, max_size=3), st.booleans())),
    st.integers(1, 9),
)
def test_every_hash_that_occurs_againmarked_bands(
    texts: list[tuple[list[int], bool]], cut: int
) -> None:
    bands = np.array([bands for bands, _ in texts], np.uint64).reshape(-1, 3)
    bands = bands * np.uint64(0xD6E8FEB86659FD93)
    is_wanted = np.array([wanted for _, wanted in texts], bool)
    slots = np.zeros(2 << 4, np.uint64)
    again = 0
    for start in range(0, len(texts), cut):
        some = slice(start, start + cut)
        again += mark_bands(bands[some], is_wanted[some], np.uint64(54), slots)
    found = marked_bands(bands, is_wanted, np.uint64(54), slots[1::2].copy())
    occurs = Counter(bands[is_wanted].ravel().tolist())
    is_again = np.array([[occurs[b] > 1 for b in row] for row in bands.tolist()], bool)
    is_again = is_again.reshape(-1, 3) & is_wanted[:, None]
    assert not (is_again & ~found).any()
    assert not found[~is_wanted].any()
    assert int(found.sum()) <= 2 * again


def test_labels_are_the_same_and_what_was_left_out_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_module, "_MIN_DOCUMENTS", 1)
    texts = versions(60, seed=2)
    texts += [texts[0], texts[1], *(f"A text of its own, number {n}, twice." for n in range(40))]
    texts += texts[-40:]  # copies must not make their bands occur again
    documents = in_parts(texts, [50, 30])
    workspace = signed_workspace(tmp_path / "w", documents)
    plan = deduplicate(workspace, documents)
    near = plan.near
    assert near is not None
    assert near.repeated_bits > 10
    assert labels(workspace, plan) == expected_labels(documents)
    total: Counter[str] = Counter()
    for entry in workspace.ledger.entries(near.bands):
        total.update(entry.counts)
    assert total["bands"] == NUM_BANDS * len(set(texts))
    assert 0 < total["sent"] < total["bands"] // 2
    for generation in near.generations:
        entries = workspace.ledger.entries(generation)
        assert list(cluster_faults(workspace, generation.name, entries)) == []
    failed = pa.array([None, bytes(8 * NUM_BANDS)], pa.binary(8 * NUM_BANDS))
    assert not repeated_bands(workspace, near, failed)[0].any()


def test_all_bands_are_sent_where_nobody_looked(tmp_path: Path) -> None:
    documents = in_parts(["One text", "another", "a third"], [3])
    workspace = signed_workspace(tmp_path / "w", documents)
    near = deduplicate(workspace, documents).near
    assert near is not None
    assert near.repeated_bits == 0
    (entry,) = workspace.ledger.entries(near.bands)
    assert entry.counts == {"bands": 3 * NUM_BANDS, "sent": 3 * NUM_BANDS, "single": 0}

"""Candidate pairs are those of the buckets, and large buckets stay small work."""

import itertools
import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotators.text.minhash import NUM_BANDS
from pipelines.near_duplicates import buckets
from pipelines.near_duplicates.buckets import BAND, BucketCounts, band_members, candidate_pairs
from pipelines.near_duplicates.near import (
    MAX_BUCKET,
    NUM_ANCHORS,
    NUM_NEIGHBOURS,
    NearDuplicates,
    number_of_part,
    parts_at,
    places_of,
    rows_at,
    source_and_part,
)

NEAR = NearDuplicates()


def rows_of(members: list[tuple[int, int, int]]) -> pa.Table:
    """(band hash, place, number of shingles); the id follows the place."""
    columns = [[m[0] for m in members], [m[1] for m in members], [m[2] for m in members]]
    prefixes = [place * 7919 % 104_729 for place in columns[1]]
    return pa.table([*columns, prefixes], schema=BAND)


def pairs_of(rows: pa.Table) -> tuple[set[tuple[int, int]], BucketCounts]:
    counts = BucketCounts()
    found = [
        pair
        for batch in candidate_pairs(rows, NEAR, counts)
        for pair in zip(*(column.to_pylist() for column in batch), strict=True)
    ]
    return set(found), counts


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 12), st.integers(1, 12)),
        max_size=40,
        unique_by=lambda member: member[:2],
    ),
    st.randoms(use_true_random=False),
)
def test_candidate_pairs_are_all_of_a_bucket_that_lengths_allow(
    members: list[tuple[int, int, int]], chance: random.Random
) -> None:
    sizes = {place: size for _, place, size in members}
    members = [(band, place, sizes[place]) for band, place, _ in members]
    expected = set()
    for (band, one, _), (other_band, other, _) in itertools.combinations(members, 2):
        if band == other_band and min(sizes[one], sizes[other]) / max(sizes[one], sizes[other]) >= (
            NEAR.threshold
        ):
            key = {p: (-sizes[p], p * 7919 % 104_729, p) for p in (one, other)}
            higher, lower = sorted((one, other), key=key.__getitem__)
            expected.add((lower, higher))
    chance.shuffle(members)
    found, counts = pairs_of(rows_of(members))
    assert found == expected
    assert counts.members == len(members)
    assert counts.pairs_skipped == 0


def test_candidate_pairs_of_a_large_bucket_are_bounded_and_the_rest_is_counted() -> None:
    size = MAX_BUCKET + 1
    found, counts = pairs_of(rows_of([(1, place, 100) for place in range(size)]))
    # In order of priority; what each is compared with.
    order = sorted(range(size), key=lambda place: (place * 7919 % 104_729, place))
    partners: dict[int, list[int]] = {place: [] for place in order}
    for lower, higher in found:
        partners[lower].append(order.index(higher))
    for index in (0, 1, NUM_ANCHORS + NUM_NEIGHBOURS, 500, size - 1):
        anchors = set(range(min(index, NUM_ANCHORS)))
        neighbours = set(range(max(0, index - NUM_NEIGHBOURS), index))
        assert set(partners[order[index]]) == anchors | neighbours
    assert counts.large_buckets == 1
    assert counts.pairs == len(found)
    assert counts.pairs + counts.pairs_skipped == size * (size - 1) // 2
    whole, exact = pairs_of(rows_of([(1, place, 100) for place in range(MAX_BUCKET)]))
    assert len(whole) == MAX_BUCKET * (MAX_BUCKET - 1) // 2
    assert (exact.large_buckets, exact.pairs_skipped) == (0, 0)


def test_candidate_pairs_in_small_chunks_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(1)
    rows = rows_of([(n % 7, n, chance.randrange(80, 100)) for n in range(400)])
    whole, counts = pairs_of(rows)
    monkeypatch.setattr(buckets, "_CHUNK_PAIRS", 50)
    in_chunks, same = pairs_of(rows)
    assert in_chunks == whole
    assert same == counts


def test_band_members_of_a_failed_text_match_nothing() -> None:
    signed = b"".join(bytes([n]) * 8 for n in range(NUM_BANDS))
    bands = pa.array([signed, None, None, signed], pa.binary(8 * NUM_BANDS))
    ids = pa.array([bytes([n]) * 16 for n in range(5)], pa.binary(16)).slice(1)
    sizes = pa.array([5, None, None, 5], pa.int32())
    batch = band_members(bands, sizes, ids, places_of(3, 4, np.arange(4)))
    assert batch.num_rows == 4 * NUM_BANDS
    found, counts = pairs_of(pa.Table.from_batches([batch]))
    lower, higher = (rows_at(np.array([place], np.uint64))[0] for place in next(iter(found)))
    assert (len(found), lower, higher) == (1, 3, 0)
    assert counts.buckets == NUM_BANDS
    cut = band_members(bands.slice(1), sizes.slice(1), ids.slice(1), places_of(0, 0, np.arange(3)))
    hashes = cut.column("band_hash").to_numpy().reshape(NUM_BANDS, 3)
    assert hashes[:, 2].tolist() == [int.from_bytes(bytes([n]) * 8) for n in range(NUM_BANDS)]
    assert len(np.unique(hashes[:, :2])) == 2 * NUM_BANDS
    assert cut.column("id_prefix").to_pylist()[:3] == [
        int.from_bytes(bytes([n]) * 8, "big") for n in (2, 3, 4)
    ]


@given(st.integers(0, 4095), st.integers(0, (1 << 24) - 1), st.integers(0, (1 << 28) - 1))
def test_places_say_source_part_and_row(source: int, part: int, row: int) -> None:
    places = places_of(source, part, np.array([row]))
    assert rows_at(places).tolist() == [row]
    (number,) = parts_at(places).tolist()
    assert source_and_part(number) == (source, part)
    assert number == number_of_part(source, part)


def test_places_beyond_what_they_can_name_are_refused() -> None:
    with pytest.raises(ValueError, match="row 268435456"):
        places_of(0, 0, np.array([1 << 28]))
    with pytest.raises(ValueError, match="source number 4096"):
        places_of(4096, 0, np.array([0]))


@pytest.mark.parametrize("threshold", [0.69, 1.01])
def test_thresholds_that_signatures_cannot_serve_are_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match=r"from 0.7 \(where signatures find 92%"):
        NearDuplicates(threshold=threshold)

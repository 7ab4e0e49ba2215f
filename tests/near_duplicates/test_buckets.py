"""Candidate pairs are those of the buckets, and large buckets stay small work."""

import itertools
import random
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotators.text.minhash import NUM_BANDS, min_hashes
from pipelines.near_duplicates import buckets, large_buckets, pairing
from pipelines.near_duplicates.buckets import (
    BAND,
    BAND_BYTES,
    BucketCounts,
    band_members,
    candidate_pairs,
    distinct_pairs,
)
from pipelines.near_duplicates.near import (
    MAX_BUCKET,
    MAX_LEAF,
    NUM_ANCHORS,
    NUM_NEIGHBOURS,
    NearDuplicates,
    number_of_part,
    parts_at,
    places_of,
    rows_at,
    source_and_part,
)
from pipelines.near_duplicates.stars import priority_order, stars_of

NEAR = NearDuplicates()

Member = tuple[int, int, int, int, int]
"""Band hash, place, number of shingles, order, further."""


def rows_of(members: list[Member]) -> pa.Table:
    return pa.table(
        [list(column) for column in zip(*members, strict=True)] or [[]] * 5, schema=BAND
    )


def pairs_of(rows: pa.Table) -> tuple[Counter[tuple[int, int]], BucketCounts]:
    counts = BucketCounts()
    found = Counter(
        pair
        for batch in candidate_pairs(rows, NEAR, counts)
        for pair in zip(*(column.to_pylist() for column in batch), strict=True)
    )
    return found, counts


def allowed(one: Member, other: Member) -> bool:
    return min(one[2], other[2]) / max(one[2], other[2]) >= NEAR.threshold


def pair(one: Member, other: Member) -> tuple[int, int]:
    """Places, the text with fewer shingles first, then the one that stands later."""
    lower, higher = sorted((one, other), key=lambda member: (member[2], -member[1]))
    return lower[1], higher[1]


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
    drawn: list[tuple[int, int, int]], chance: random.Random
) -> None:
    sizes = {place: size for _, place, size in drawn}
    members = [(band, place, sizes[place], place * 7919 % 31, place) for band, place, _ in drawn]
    expected = {
        pair(one, other)
        for one, other in itertools.combinations(members, 2)
        if one[0] == other[0] and allowed(one, other)
    }
    chance.shuffle(members)
    found, counts = pairs_of(rows_of(members))
    assert set(found) == expected
    assert counts.members == len(members)
    assert counts.pairs_skipped == 0


def by_the_rules(members: list[Member]) -> list[tuple[int, int]]:
    """The pairs of one large bucket, from the description alone; one list entry for each time."""
    bounds = [1]
    while bounds[-1] <= max(m[2] for m in members):
        bounds.append(max(bounds[-1] + 1, int(np.ceil(bounds[-1] / NEAR.threshold))))
    first = members[0][0] >> 32
    made: list[tuple[int, int]] = []

    def visit(node: list[Member], depth: int) -> None:
        classes: dict[int, list[Member]] = {}
        for member in node:
            classes.setdefault(sum(bound <= member[2] for bound in bounds), []).append(member)
        anchors: list[Member] = []
        for some in classes.values():
            some.sort(key=lambda m: (m[3] >> 26, -m[2], m[3] & (1 << 26) - 1, m[1]))
            anchors += some[: large_buckets.NUM_ANCHORS]
        rest = [member for member in node if member not in anchors]
        for one, other in (*itertools.combinations(anchors, 2), *itertools.product(anchors, rest)):
            made.extend([pair(one, other)] if allowed(one, other) else [])
        parts: dict[int, list[Member]] = {}
        for member in rest:
            byte = member[4] >> 8 * ((first + depth) % 8) & 0xFF if depth < 8 else 0
            parts.setdefault(byte, []).append(member)
        for part in parts.values():
            if len(part) > large_buckets.MAX_LEAF and depth < 8:
                visit(part, depth + 1)
                continue
            part.sort(key=lambda m: (-m[2], m[3], m[1]))
            is_large = len(part) > large_buckets.MAX_LEAF
            for index, one in enumerate(part):
                nearest = index - large_buckets.NUM_NEIGHBOURS if is_large else 0
                before = part[max(0, nearest) : index]
                made.extend(pair(one, other) for other in before if allowed(one, other))

    visit(members, 0)
    return made


@settings(max_examples=40, deadline=None)
@given(st.integers(11, 90), st.integers(1, 3), st.integers(1, 40), st.integers(0, 2**32))
def test_candidate_pairs_of_large_buckets_are_those_of_the_rules(
    size: int, num_values: int, spread: int, seed: int
) -> None:
    chance = random.Random(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(buckets, "MAX_BUCKET", 10)
        for name, value in (("MAX_LEAF", 6), ("NUM_ANCHORS", 2), ("NUM_NEIGHBOURS", 3)):
            patch.setattr(large_buckets, name, value)
        large, small = [
            [
                (
                    band,
                    place,
                    100 - chance.randrange(spread),
                    chance.randrange(2) << 26 | chance.randrange(1 << 26),
                    int.from_bytes(bytes(chance.randrange(num_values) for _ in range(8)), "big"),
                )
                for place in chance.sample(range(1000), number)
            ]
            for band, number in ((chance.randrange(1 << 63), size), (5, 10))
        ]
        expected = by_the_rules(large)
        rows = [*large, *small]
        chance.shuffle(rows)
        found, counts = pairs_of(rows_of(rows))
        whole = [pair(*both) for both in itertools.combinations(small, 2) if allowed(*both)]
        assert max(Counter(expected).values()) == 1
        assert found == Counter([*expected, *whole])
        num_allowed = sum(allowed(*both) for both in itertools.combinations(large, 2))
        assert counts.pairs_skipped == num_allowed - len(expected)
        assert (counts.buckets, counts.large_buckets) == (2, 1)


def test_split_buckets_are_counted() -> None:
    def bucket(band: int, values: int) -> list[Member]:
        size = MAX_BUCKET + 1
        return [(band, place, 100, place, place % values << 40) for place in range(size)]

    _, counts = pairs_of(rows_of([*bucket(1, 1), *bucket(2, 2), *bucket(3, 3)]))
    assert (counts.large_buckets, counts.split_buckets) == (3, 2)
    whole, exact = pairs_of(rows_of(bucket(1, 2)[:-1]))
    assert whole.total() == MAX_BUCKET * (MAX_BUCKET - 1) // 2
    assert (exact.large_buckets, exact.split_buckets, exact.pairs_skipped) == (0, 0, 0)


def near_copies(num_texts: int, seed: int) -> pa.LargeStringArray:
    """One text, with another word in one place of each."""
    words = [f"word{number}" for number in range(120)]
    chance = random.Random(seed)
    texts = []
    for number in range(num_texts):
        edited = words.copy()
        edited[chance.randrange(len(words))] = f"edit{number}"
        texts.append(" ".join(edited))
    return pa.array(texts, pa.large_string())


@pytest.mark.parametrize("with_quality", [False, True])
def test_thousands_of_near_copies_make_few_pairs_and_one_cluster(with_quality: bool) -> None:
    num_texts = 3000
    found = min_hashes(near_copies(num_texts, seed=3))
    chance = random.Random(9)
    # Ids are drawn, so that they say nothing about the order of the texts.
    ids = [chance.randbytes(16) for _ in range(num_texts)]
    steps = [round(chance.randrange(41) / 20, 2) if with_quality else 0.0 for _ in range(num_texts)]
    quality = np.array(steps, np.float32)
    batch = band_members(
        pa.array([row.tobytes() for row in found.bands], pa.binary(8 * NUM_BANDS)),
        pa.array(found.further),
        pa.array(found.num_shingles),
        places_of(0, 0, np.arange(num_texts)),
        np.zeros(num_texts, np.uint32),
        pa.array(ids, pa.binary(16)),
        quality,
    )
    counts = BucketCounts()
    batches = list(candidate_pairs(pa.Table.from_batches([batch]), NEAR, counts))
    pairs = pa.Table.from_batches(batches)
    left, right = distinct_pairs(*(column.to_numpy() for column in pairs.columns))
    assert counts.large_buckets >= NUM_BANDS
    assert counts.pairs < num_texts * NUM_BANDS * 9 * (NUM_ANCHORS + NUM_NEIGHBOURS)
    assert len(left) < num_texts * 300
    assert counts.pairs_skipped > num_texts**2
    words = np.frombuffer(b"".join(ids), ">u8").reshape(-1, 2).astype(np.uint64)
    order = priority_order(np.zeros(num_texts, bool), quality, found.num_shingles, words)
    stars = stars_of(order, left.astype(np.int64), right.astype(np.int64), np.ones(len(left)))
    assert set(stars.representative.tolist()) == {int(order[0])}


def test_candidate_pairs_of_large_buckets_do_not_depend_on_places() -> None:
    chance = random.Random(5)
    size = MAX_BUCKET + MAX_LEAF
    texts = [(100, chance.randrange(1 << 26), chance.randrange(2)) for _ in range(size)]
    found = []
    for _ in range(2):
        places = random.Random(len(found)).sample(range(10**6), size)
        members = [(7, place, *text) for place, text in zip(places, texts, strict=True)]
        text_at = dict(zip(places, range(size), strict=True))
        pairs, _ = pairs_of(rows_of(members))
        found.append({frozenset(text_at[place] for place in pair) for pair in pairs})
    assert found[0] == found[1]


def test_candidate_pairs_in_small_chunks_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(1)
    rows = rows_of([(n % 7, n, chance.randrange(80, 100), n, n) for n in range(400)])
    whole, counts = pairs_of(rows)
    monkeypatch.setattr(pairing, "_CHUNK_PAIRS", 50)
    in_chunks, same = pairs_of(rows)
    assert in_chunks == whole
    assert same == counts


def test_candidate_pairs_of_nothing_are_none() -> None:
    assert pairs_of(rows_of([])) == (Counter(), BucketCounts())
    assert pairs_of(rows_of([(1, 2, 3, 4, 5)])) == (Counter(), BucketCounts(members=1))


def sent(
    bands: pa.Array, sizes: pa.Array, ids: pa.Array, groups: list[int] | None = None
) -> pa.RecordBatch:
    n = len(ids)
    return band_members(
        bands,
        pa.array(range(n), pa.uint64()),
        sizes,
        places_of(3, 4, np.arange(n)),
        np.array(groups or [0] * n, np.uint32),
        ids,
    )


def test_band_members_of_a_failed_text_match_nothing() -> None:
    signed = b"".join(bytes([n]) * 8 for n in range(NUM_BANDS))
    bands = pa.array([signed, None, None, signed], pa.binary(8 * NUM_BANDS))
    ids = pa.array([bytes([n]) * 16 for n in range(5)], pa.binary(16)).slice(1)
    sizes = pa.array([5, None, None, 5], pa.int32())
    batch = sent(bands, sizes, ids)
    assert batch.num_rows == 4 * NUM_BANDS
    assert batch.nbytes == batch.num_rows * BAND_BYTES
    found, counts = pairs_of(pa.Table.from_batches([batch]))
    lower, higher = (rows_at(np.array([place], np.uint64))[0] for place in next(iter(found)))
    assert (len(found), lower, higher) == (1, 3, 0)
    assert counts.buckets == NUM_BANDS
    cut = sent(bands.slice(1), sizes.slice(1), ids.slice(1))
    hashes = cut.column("band_hash").to_numpy().reshape(NUM_BANDS, 3)
    assert hashes[:, 2].tolist() == [int.from_bytes(bytes([n]) * 8) for n in range(NUM_BANDS)]
    assert len(np.unique(hashes[:, :2])) == 2 * NUM_BANDS
    assert cut.column("order").to_pylist()[:3] == [
        int.from_bytes(bytes([n]) * 4, "big") >> 6 for n in (2, 3, 4)
    ]


def test_band_members_of_two_groups_share_no_bucket() -> None:
    signed = b"".join(bytes([n]) * 8 for n in range(NUM_BANDS))
    bands = pa.array([signed] * 5, pa.binary(8 * NUM_BANDS))
    ids = pa.array([bytes([n]) * 16 for n in range(5)], pa.binary(16))
    batch = sent(bands, pa.array([5] * 5, pa.int32()), ids, [0, 7, 8, 7, 0])
    found, _ = pairs_of(pa.Table.from_batches([batch]))
    rows = {tuple(rows_at(np.array(pair, np.uint64)).tolist()) for pair in found}
    assert rows == {(3, 1), (4, 0)}


def test_distinct_pairs_are_sorted() -> None:
    lower, higher = (np.array(side, np.uint64) for side in ([5, 1, 5, 5], [2, 9, 1, 2]))
    found = [side.tolist() for side in distinct_pairs(lower, higher)]
    assert found == [[1, 5, 5], [9, 1, 2]]


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

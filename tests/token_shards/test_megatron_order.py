"""Megatron's order of samples, against what Megatron-LM itself gave and against its plain loop.

The numbers named REAL were printed by Megatron-LM core_v0.16.1 (unmodified `GPTDataset`,
`BlendedDataset`, `BlendedMegatronDatasetBuilder` and its compiled `helpers.cpp`, seed 1234,
sequence length 8) over three indexed datasets whose tokens count 0, 1, 2, ...
"""

import hashlib
from itertools import pairwise
from math import ceil

import numpy as np
import numpy.typing as npt
import pytest

from token_shards.megatron_blend import (
    MAX_SAMPLES,
    Blend,
    blend_by_length,
    blend_by_weight,
    exhaustive_blend,
    samples_by_weight,
)
from token_shards.megatron_order import ShardOrder, count_passes

LENGTHS = [[7, 3, 11, 2, 9, 5], [4, 4, 13, 6], [20, 1, 1, 8, 10, 3, 5, 12]]

# --per-split-data-args-path, three prefixes without weights, 9 samples and None.
REAL_DOCUMENTS = [[2, 1, 5, 0, 4, 3], [0, 1, 2, 3], [2, 1, 6, 0, 4, 5, 3, 7]]
REAL_SHUFFLES = [[0, 2, 1, 3], [1, 2, 0], [5, 0, 3, 4, 2, 6, 1]]
REAL_PLACES = [
    [[0, 0], [0, 8], [2, 2], [3, 5], [4, 6]],
    [[0, 0], [2, 0], [2, 8], [3, 3]],
    [[0, 0], [3, 1], [3, 9], [3, 17], [4, 5], [6, 0], [7, 0], [7, 8]],
]
REAL_TOKENS = [  # of the first samples that each shard deals
    [[(10, 19)], [(34, 37), (0, 6)], [(18, 21), (7, 10), (32, 35)]],
    [[(8, 17)], [(16, 25)], [(0, 9)]],
    [[(22, 30), (48, 49)], [(21, 22), (20, 21), (43, 48), (0, 2)], [(17, 20), (30, 36)]],
]
REAL_EXHAUSTIVE = (
    [2, 0, 1, 2, 0, 2, 1, 2, 0, 2, 1, 2, 0, 2],
    [0, 0, 0, 1, 1, 2, 1, 3, 2, 4, 2, 5, 3, 6],
)
# The first shard alone, 11 samples: four epochs, of which the last is shuffled on its own.
REAL_ALONE_DOCUMENTS = [1, 2, 5, 2, 3, 4, 1, 0, 4, 5, 0, 3, 1, 0, 3, 2, 5, 4]
REAL_ALONE_SHUFFLE = [3, 6, 2, 1, 7, 5, 4, 0, 8, 10, 9, 11, 12]
REAL_ALONE_TOKENS = [[(15, 24)], [(4, 7), (23, 29)], [(34, 37), (10, 16)]]
# Weights 3, 0.5, 2 and 20 samples.
REAL_WEIGHTED = (
    [0, 2, 1, 0, 2, 0, 0, 2, 0, 2, 0, 0, 2, 1, 0, 2, 0, 0, 2, 0, 2],
    [0, 0, 0, 1, 1, 2, 3, 2, 4, 3, 5, 6, 4, 1, 7, 5, 8, 9, 6, 10, 7],
)
REAL_WEIGHTED_SIZES = [13, 3, 14]
# sha256 of the dataset index (int16) and the dataset sample index (int64) of 700 shards.
REAL_BY_LENGTH = (63749, "b07c7da6644e121f", "428a302f7e355621")
# Of 3,000 shards of 3,000 sizes.
REAL_BY_MANY_LENGTHS = (60000, "f108e3659c1df983", "477c862c6a5880c7")
REAL_BY_WEIGHT = (30348, "efc0e7d6c1fe16c0", "a116f8196b1e984c")


def order(shard: int, wanted: int | None = None) -> ShardOrder:
    lengths = np.array(LENGTHS[shard], np.int32)
    return ShardOrder(lengths, sequence_length=8, seed=1234, wanted=wanted)


def tokens_of(found: ShardOrder, sample: int) -> list[tuple[int, int]]:
    """Ranges of a sample; those that touch are one."""
    tokens = [t for r in found.ranges(sample) for t in range(r.start, r.end)]
    cuts = [i for i in range(1, len(tokens)) if tokens[i] != tokens[i - 1] + 1]
    bounds = [0, *cuts, len(tokens)]
    return [(tokens[a], tokens[b - 1] + 1) for a, b in pairwise(bounds)]


def digest(array: npt.NDArray[np.generic]) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()[:16]


def plain_loop(
    weights: npt.NDArray[np.float64], size: int, limits: npt.NDArray[np.int64] | None = None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """What helpers.cpp does: looks at all shards for every sample."""
    counts = np.zeros(len(weights), np.int64)
    shards, samples = np.empty(size, np.int64), np.empty(size, np.int64)
    for n in range(size):
        lag = weights * max(float(n), 1.0) - counts
        if limits is not None:
            lag[counts == limits] = -np.inf
        shards[n] = np.argmax(lag)
        samples[n] = counts[shards[n]]
        counts[shards[n]] += 1
    return shards, samples


@pytest.mark.parametrize("shard", [0, 1, 2])
def test_one_epoch_of_a_shard_is_dealt_as_megatron_deals_it(shard: int) -> None:
    found = order(shard)
    assert found.document_index.tolist() == REAL_DOCUMENTS[shard]
    assert found.shuffle_index.tolist() == REAL_SHUFFLES[shard]
    assert found.sample_index().tolist() == REAL_PLACES[shard]
    assert [tokens_of(found, k) for k in range(3)] == REAL_TOKENS[shard]


def test_a_last_epoch_of_which_little_is_needed_is_shuffled_on_its_own() -> None:
    found = order(0, wanted=11)
    assert found.passes.has_own_last_epoch
    assert found.document_index.tolist() == REAL_ALONE_DOCUMENTS
    assert found.shuffle_index.tolist() == REAL_ALONE_SHUFFLE
    assert [tokens_of(found, k) for k in range(3)] == REAL_ALONE_TOKENS
    assert not order(0, wanted=9).passes.has_own_last_epoch


@pytest.mark.parametrize(("wanted", "epochs", "first"), [(4, 1, 4), (6, 2, 4), (7, 2, 9)])
def test_an_epoch_is_apart_below_80_percent(wanted: int, epochs: int, first: int) -> None:
    """37 tokens are 4 samples of 8 and twice 37 are 9: int(0.8 * 4) = 3 of the second count."""
    passes = count_passes(37, 8, wanted)
    assert (passes.num_epochs, passes.first_samples) == (epochs, first)
    assert passes.num_samples == (4 if epochs == 1 else 9)


def test_shards_are_blended_as_megatron_blends_them() -> None:
    held = [order(shard).num_samples for shard in range(3)]
    for blend in (exhaustive_blend(held), blend_by_length(held, 9)):
        shards, samples = blend.draw(0, blend.size)
        assert shards.tolist() == REAL_EXHAUSTIVE[0][: blend.size]
        assert samples.tolist() == REAL_EXHAUSTIVE[1][: blend.size]
    assert blend_by_length(held, 100).size == 14, "no more than one epoch of each"


def test_weights_are_blended_as_megatron_blends_them() -> None:
    weights = [3.0, 0.5, 2.0]
    counted, built = samples_by_weight(weights, 20)
    held = [order(shard, wanted).num_samples for shard, wanted in enumerate(built)]
    assert held == REAL_WEIGHTED_SIZES
    blend = blend_by_weight(weights, 20, held)
    assert blend.size == sum(counted) == 21, "every shard's part is rounded up"
    shards, samples = blend.draw(0, blend.size)
    assert (shards.tolist(), samples.tolist()) == REAL_WEIGHTED


def test_700_shards_are_blended_as_megatron_blends_them() -> None:
    sizes = [40 + (i * i * 7919 + 31 * i) % 97 for i in range(700)]
    for blend in (blend_by_length(sizes, 10**6), exhaustive_blend(sizes)):
        shards, samples = blend.draw(0, blend.size)
        assert (blend.size, digest(shards), digest(samples)) == REAL_BY_LENGTH
    weights = [1 + (i * 37) % 211 / 7 for i in range(700)]
    by_weight = blend_by_weight(weights, 30_000, [10**6] * 700)
    shards, samples = by_weight.draw(0, by_weight.size)
    assert (by_weight.size, digest(shards), digest(samples)) == REAL_BY_WEIGHT


def test_3000_sizes_are_blended_as_megatron_blends_them() -> None:
    """So many that not all of them are looked at, neither at first nor at second sight."""
    blend = blend_by_length([300 + (i * 7919) % 4001 for i in range(3000)], 60_000)
    shards, samples = blend.draw(0, blend.size)
    assert (blend.size, digest(shards), digest(samples)) == REAL_BY_MANY_LENGTHS


def sizes_of_kinds(rng: np.random.Generator) -> list[npt.NDArray[np.int64]]:
    """Sizes that spread, agree, almost agree, have a long tail, or come in two kinds."""
    return [
        rng.integers(1, 200, 150),
        np.full(90, 37, np.int64),
        rng.integers(97, 101, 200),
        np.minimum(1 + rng.pareto(0.7, 250) * 5, 4000).astype(np.int64),
        np.r_[rng.integers(1, 3, 60), rng.integers(300, 400, 20)],
        rng.integers(1, 500, 20),
    ]


@pytest.mark.parametrize("kind", range(6))
def test_looking_at_few_shards_chooses_as_looking_at_all(kind: int) -> None:
    sizes = sizes_of_kinds(np.random.default_rng(kind))[kind]
    total = min(int(sizes.sum()), 12_000)
    by_length = blend_by_length(sizes.tolist(), total)
    shards, samples = by_length.draw(0, total)
    expected = plain_loop(by_length.weights, total)
    np.testing.assert_array_equal(shards, expected[0])
    np.testing.assert_array_equal(samples, expected[1])
    emptied = exhaustive_blend(sizes.tolist())
    shards, samples = emptied.draw(0, total)
    expected = plain_loop(emptied.weights, total, sizes)
    np.testing.assert_array_equal(shards, expected[0])
    np.testing.assert_array_equal(samples, expected[1])


def test_a_blend_can_be_entered_at_any_sample_and_counted() -> None:
    sizes = sizes_of_kinds(np.random.default_rng(9))[3].tolist()
    blend = exhaustive_blend(sizes)
    shards, samples = blend.draw(0, blend.size)
    middle, last = blend.draw(1000, 1300)
    np.testing.assert_array_equal(middle, shards[1000:1300])
    np.testing.assert_array_equal(last, samples[1000:1300])
    counts = blend.counts([0, 1000, blend.size])
    assert counts[0].sum() == 0
    np.testing.assert_array_equal(counts[1], np.bincount(shards[:1000], minlength=len(sizes)))
    assert counts[2].tolist() == sizes


@pytest.mark.parametrize("wanted", [None, 1, 40, 97])
def test_samples_pave_the_shard(wanted: int | None) -> None:
    """Every epoch reads every token once, but for the last that fill no sample."""
    lengths = np.random.default_rng(1).integers(1, 30, 50).astype(np.int32)
    found = ShardOrder(lengths, sequence_length=16, seed=5, wanted=wanted)
    seen = np.zeros(lengths.sum(), np.int64)
    for sample in range(found.num_samples):
        ranges = found.ranges(sample)
        assert sum(one.num_tokens for one in ranges) == 17
        tokens = np.concatenate([np.arange(one.start, one.end) for one in ranges])
        # The extra token is the first of the next sample; one sample may read a document twice.
        np.add.at(seen, tokens[:-1], 1)
        for one in ranges:
            start = int(lengths[: one.sequence].sum())
            assert start <= one.start < one.end <= start + lengths[one.sequence]
    epochs = found.passes.num_epochs
    assert epochs == (1 if wanted is None else ceil((wanted * 16 + 1) / lengths.sum()))
    assert seen.sum() == found.num_samples * 16
    assert seen.max() <= epochs
    assert epochs * lengths.sum() - seen.sum() < 17


def test_what_megatron_would_not_take_is_refused() -> None:
    with pytest.raises(ValueError, match=r"8 tokens gives no sample of 8 \+ 1"):
        count_passes(8, 8)
    with pytest.raises(ValueError, match="shard 1 of the blend gives 0 samples"):
        blend_by_length([3, 0], 2)
    with pytest.raises(ValueError, match="a blend of 40000 shards; Megatron takes 1 to 32,766"):
        exhaustive_blend([1] * 40_000)
    with pytest.raises(ValueError, match=r"found weight 0\.0 of shard 1"):
        blend_by_weight([1.0, 0.0], 4, [4, 4])
    with pytest.raises(ValueError, match="shard 0 for 3 samples, and it gives 1"):
        blend_by_weight([1.0, 1.0], 6, [1, 4]).draw(0, 6)
    with pytest.raises(ValueError, match="found samples 0 to 15; the blend has 14"):
        exhaustive_blend([4, 3, 7]).draw(0, 15)
    with pytest.raises(ValueError, match="found sample 4; this shard gives 4, from 0 on"):
        order(0).ranges(4)


def test_a_sample_too_far_to_replay_is_told_before_work_begins() -> None:
    many = Blend(np.array([1.0]), 10**10, np.array([10**10]))
    with pytest.raises(ValueError, match=f"for at most {MAX_SAMPLES:,} samples"):
        many.counts([MAX_SAMPLES + 1])

"""Which shard Megatron-LM takes each sample of a blend from.

At every sample Megatron takes the shard that lags furthest behind its weight: the greatest
`weight x sample - samples taken`, in doubles, the first of those that are equal. Source:
Megatron-LM core_v0.16.1, `megatron/core/datasets/helpers.cpp` (`build_blending_indices`, and
`build_exhaustive_blending_indices` where each shard is emptied and no total is given);
`blended_megatron_dataset_builder.py` and `blended_dataset.py` for weights and sizes.

That loop looks at every shard for every sample. Ours takes the same choices, to the last bit, and
looks at few:

* Shards of one weight take turns, in order, so one of them stands for all.
* A lag grows by `weight` a sample. So over the next m samples only shards can be taken that are
  within `weight x m` of the level of the last choices, and only those are looked at; that
  the choice was above this level is checked at every sample, and the level is lowered where it was
  not. This is done twice, one selection within the other: about the cube root of the number of
  shards is left to look at.

Choices are replayed from the first sample; nothing is kept but one count a shard and what is asked
for, so memory does not grow with samples. Megatron itself keeps 10 bytes a sample.

The doubles are those of x86-64. Where a compiler fuses multiply and subtract (ARM), ties between
shards can fall differently.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit

SURPLUS: Final = 0.005
"""Share of samples built beyond those that a weight asks for
(`blended_megatron_dataset_config.py`, `mid_level_dataset_surplus`)."""
MAX_SHARDS: Final = 32_766
"""Shards of a blend: their numbers are int16 (`blended_dataset.py`)."""
MAX_SAMPLES: Final = 1_000_000_000
"""Samples that are replayed at most: 4.1T tokens in sequences of 4,096. A sample takes 0.15 to 0.9
microseconds where the blend has 30,000 shards, by how their sizes spread."""
_FEW: Final = 32  # groups of shards that are simply all looked at
_NO_LIMIT: Final = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, eq=False)
class Blend:
    """The samples of a blend, in order.

    Made by `blend_by_length`, `blend_by_weight` or `exhaustive_blend`.
    """

    weights: npt.NDArray[np.float64]
    """float64[num_shards], summing to 1."""
    size: int
    """Samples of the blend."""
    available: npt.NDArray[np.int64]
    """int64[num_shards]: samples that each shard gives."""
    stops_at_empty: bool = False
    """Whether an emptied shard is passed over (exhaustive) and not an error."""

    def draw(self, start: int, stop: int) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int64]]:
        """Samples [start, stop): the shard of each, and which of its samples.

        Returns:
            int16[stop - start] and int64[stop - start]; the second counts samples of the shard as
            they are dealt, from 0 (`megatron_order.ShardOrder`).

        Raises:
            ValueError: Outside the blend, beyond MAX_SAMPLES, or a shard is asked for more than it
                gives.
        """
        state = self._replay()
        shards = np.empty(stop - start, np.int16)
        samples = np.empty(stop - start, np.int64)
        self._check(start, stop)
        state.advance(start)
        state.advance(stop, shards, samples)
        self._check_counts(state.counts())
        return shards, samples

    def counts(self, stops: Sequence[int]) -> npt.NDArray[np.int64]:
        """int64[len(stops), num_shards]: samples taken from each shard before each stop.

        Args:
            stops: Numbers of samples, rising.

        Raises:
            ValueError: As `draw`.
        """
        state = self._replay()
        counts = np.zeros((len(stops), len(self.weights)), np.int64)
        for row, stop in enumerate(stops):
            self._check(state.position, stop)
            state.advance(stop)
            counts[row] = state.counts()
        if len(stops):
            self._check_counts(counts[-1])
        return counts

    def _replay(self) -> "_Replay":
        return _Replay(self.weights, self.available if self.stops_at_empty else None)

    def _check(self, start: int, stop: int) -> None:
        if not 0 <= start <= stop <= self.size:
            raise ValueError(
                f"found samples {start:,} to {stop:,}; the blend has {self.size:,}, from 0 on"
            )
        if stop > MAX_SAMPLES:
            raise ValueError(
                f"found sample {stop:,}; a blend is replayed from its first sample on, which is "
                f"done for at most {MAX_SAMPLES:,} samples: ask for an earlier one"
            )

    def _check_counts(self, counts: npt.NDArray[np.int64]) -> None:
        over = np.flatnonzero(counts > self.available)
        if len(over):
            shard = int(over[0])
            raise ValueError(
                f"the blend asks shard {shard} for {counts[shard]:,} samples, and it gives "
                f"{self.available[shard]:,}; Megatron refuses such a blend: train fewer samples, "
                "or raise --mid-level-dataset-surplus where there are weights"
            )


def blend_by_length(available: Sequence[int], size: int) -> Blend:
    """A blend without weights, of a given size: shards weigh what they give in one epoch.

    Args:
        available: Samples of each shard.
        size: Samples to train (`--train-samples`, of the phase); fewer where there are fewer.

    Raises:
        ValueError: No shard, too many, or one without a sample.
    """
    held = _checked(available)
    return Blend(_normalize(held.astype(np.float64)), min(size, int(held.sum())), held)


def exhaustive_blend(available: Sequence[int]) -> Blend:
    """A blend without weights and without a size: every sample of every shard, once.

    Raises:
        ValueError: No shard, too many, or one without a sample.
    """
    held = _checked(available)
    total = int(held.sum())
    return Blend(held.astype(np.float64) / float(total), total, held, stops_at_empty=True)


def samples_by_weight(
    weights: Sequence[float], size: int, *, surplus: float = SURPLUS
) -> tuple[list[int], list[int]]:
    """What a blend with weights asks of each shard.

    Args:
        weights: Of each shard, above 0; their sum does not matter.
        size: Samples to train.
        surplus: Share to build beyond.

    Returns:
        Samples that count towards the size of the blend, and samples to build of each shard
        (`wanted` of `ShardOrder`).
    """
    shares = _normalize(np.array(weights, np.float64)).tolist()
    counted = [ceil(size * share) for share in shares]
    return counted, [ceil(number * (1 + surplus)) for number in counted]


def blend_by_weight(weights: Sequence[float], size: int, available: Sequence[int]) -> Blend:
    """A blend with weights; its size is a little above what is asked, by rounding up.

    Args:
        weights: Of each shard, above 0.
        size: Samples to train.
        available: Samples of each shard, built as `samples_by_weight` says.

    Raises:
        ValueError: A weight of 0, negative or not a number; or see `blend_by_length`.
    """
    held = _checked(available)
    given = np.array(weights, np.float64)
    bad = np.flatnonzero(~((given > 0) & np.isfinite(given)))
    if len(given) != len(held) or len(bad):
        told = f"weight {given[bad[0]]} of shard {bad[0]}" if len(bad) else f"{len(given)} weights"
        raise ValueError(
            f"found {told}; {len(held)} shards take as many finite weights above 0: leave a shard "
            "out that is not wanted"
        )
    counted, _ = samples_by_weight(weights, size)
    # The builder normalises, and the blend does once more.
    return Blend(_normalize(_normalize(given)), sum(counted), held)


def _checked(available: Sequence[int]) -> npt.NDArray[np.int64]:
    held = np.array(available, np.int64)
    if not 1 <= len(held) <= MAX_SHARDS:
        raise ValueError(
            f"found a blend of {len(held)} shards; Megatron takes 1 to {MAX_SHARDS:,}: raise "
            "shard_tokens, so that there are fewer"
        )
    if held.min() < 1:
        raise ValueError(
            f"shard {int(np.argmin(held))} of the blend gives {held.min()} samples, and Megatron "
            "takes none without one; leave out what is shorter than a sequence"
        )
    return held


def _normalize(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    shares: npt.NDArray[np.float64] = weights / np.sum(weights)
    return shares


class _Replay:
    """Where a blend stands after some samples; shards of equal weight are one group."""

    def __init__(
        self, weights: npt.NDArray[np.float64], limits: npt.NDArray[np.int64] | None
    ) -> None:
        self.position = 0
        self._group_weights, group_of = np.unique(weights, return_inverse=True)
        num_groups = len(self._group_weights)
        self._members = np.argsort(group_of, kind="stable")
        sizes = np.bincount(group_of, minlength=num_groups)
        self._starts = np.r_[0, np.cumsum(sizes)]
        self._rounds = np.zeros(num_groups, np.int64)  # samples of the member whose turn it is
        self._turns = np.zeros(num_groups, np.int64)
        # Equal weights mean equal sizes here, so a group ends as a whole.
        self._limits = np.full(num_groups, _NO_LIMIT)
        if limits is not None:
            self._limits = limits[self._members[self._starts[:-1]]]

    def counts(self) -> npt.NDArray[np.int64]:
        """int64[num_shards]: samples taken so far."""
        sizes = np.diff(self._starts)
        turn = np.arange(len(self._members)) - np.repeat(self._starts[:-1], sizes)
        counts = np.empty(len(self._members), np.int64)
        counts[self._members] = np.repeat(self._rounds, sizes) + (
            turn < np.repeat(self._turns, sizes)
        )
        return counts

    def advance(
        self,
        stop: int,
        shards: npt.NDArray[np.int16] | None = None,
        samples: npt.NDArray[np.int64] | None = None,
    ) -> None:
        """Goes on to a sample; notes the choices on the way where arrays are given."""
        _advance(
            self._group_weights,
            self._members,
            self._starts,
            self._rounds,
            self._turns,
            self._limits,
            self.position,
            stop,
            np.empty(0, np.int16) if shards is None else shards,
            np.empty(0, np.int64) if samples is None else samples,
        )
        self.position = stop


@njit(cache=True, nogil=True)
def _advance(
    weights: npt.NDArray[np.float64],
    members: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    rounds: npt.NDArray[np.int64],
    turns: npt.NDArray[np.int64],
    limits: npt.NDArray[np.int64],
    first: int,
    stop: int,
    shards: npt.NDArray[np.int16],
    samples: npt.NDArray[np.int64],
) -> None:
    """Takes samples [first, stop); changes `rounds` and `turns`, fills `shards` and `samples`.

    The lag of a group at sample n is `weight x max(n, 1) - rounds`. `level` is what a choice must
    reach to be certain: groups left aside stay below it until `end`.
    """
    num_groups = len(weights)
    few = num_groups <= _FEW
    inner_span = 1 << 62 if few else max(16, int(num_groups ** (1 / 3)))
    outer_span = 1 << 62 if few else inner_span * inner_span
    outer = np.empty(num_groups, np.int64)
    inner = np.empty(num_groups, np.int64)
    # What rounding can add to a lag, many times over.
    margin = 1e-15 * (1.0 + weights.max() * stop)
    outer_gap, inner_gap = outer_span / num_groups, inner_span / num_groups
    outer_level = inner_level = -np.inf
    outer_end = inner_end = first
    num_outer = num_inner = 0
    n = first
    while n < stop:
        x = float(max(n, 1))
        if n >= outer_end:
            span = min(outer_span, stop - n)
            num_outer = 0
            for group in range(num_groups):
                lag = weights[group] * (x + span) - rounds[group]
                if lag + margin >= outer_level and rounds[group] < limits[group]:
                    outer[num_outer] = group
                    num_outer += 1
            outer_end, inner_end = n + span, n
        if n >= inner_end:
            span = min(inner_span, outer_end - n)
            num_inner = 0
            for k in range(num_outer):
                group = outer[k]
                lag = weights[group] * (x + span) - rounds[group]
                if lag + margin >= inner_level and rounds[group] < limits[group]:
                    inner[num_inner] = group
                    num_inner += 1
            inner_end = n + span
        best, best_lag, best_shard = -1, -np.inf, 0
        for k in range(num_inner):
            group = inner[k]
            lag = weights[group] * x - rounds[group]
            if lag >= best_lag and rounds[group] < limits[group]:
                shard = members[starts[group] + turns[group]]
                if lag > best_lag or shard < best_shard:
                    best, best_lag, best_shard = group, lag, shard
        if best_lag < inner_level or best < 0:
            # Nobody who is looked at reaches the level: look at more.
            if inner_level > outer_level:
                inner_level, inner_end = outer_level, n
            else:
                outer_level = best_lag - outer_gap if best >= 0 else -np.inf
                inner_level, outer_end = outer_level, n
            continue
        if len(shards):
            shards[n - first] = best_shard
            samples[n - first] = rounds[best]
        turns[best] += 1
        if turns[best] == starts[best + 1] - starts[best]:
            turns[best] = 0
            rounds[best] += 1
        n += 1
        if not few:
            if n >= outer_end:
                outer_level = best_lag - outer_gap
            if n >= inner_end:
                inner_level = max(outer_level, best_lag - inner_gap)

"""Which tokens Megatron-LM puts into training sample k of one shard.

Megatron shuffles twice. It lays the sequences of a `.idx` (documents, in its words) into a stream
in an order of their own, all epochs together; cuts the stream into samples at stride
`sequence_length`, each reading one token more, because labels are the tokens shifted by one; and
deals the samples in a second order. Both orders come from one `numpy.random.RandomState(seed)`,
whose stream numpy keeps for ever, so they can be had without Megatron, torch or its caches.

Source of every rule: Megatron-LM core_v0.16.1, `megatron/core/datasets/gpt_dataset.py`
(`GPTDataset`) and `helpers.cpp` (`build_sample_idx`). A sample starts where the stream reaches
`sample x sequence_length`, so no index of all samples is built: one sum over lengths and a binary
search give the same numbers. Memory is 12 bytes a sequence and epoch, 4 a sample.

Which shard a sample of the blend is taken from, `megatron_blend` says.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

LAST_EPOCH_SHARE: Final = 0.80
"""A last epoch of which less is needed is shuffled on its own (`gpt_dataset.py`, `threshold`)."""
EXTRA_TOKENS: Final = 1
"""Tokens of a sample beyond its sequence length (`add_extra_token_to_sequence`)."""
_MAX_SAMPLES: Final = 2**32 - 3  # of one shard; Megatron counts more in int64


@dataclass(frozen=True, slots=True, kw_only=True)
class Passes:
    """How often a shard is gone through, and what that gives."""

    num_epochs: int
    num_samples: int
    """Samples that the shard gives, in all epochs."""
    first_samples: int
    """Samples that are shuffled together first; the rest, of the last epoch, after them."""

    @property
    def has_own_last_epoch(self) -> bool:
        """Whether the last epoch is shuffled on its own, documents and samples."""
        return self.first_samples < self.num_samples


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRange:
    """A run of tokens of a `.bin` that a sample reads."""

    sequence: int
    """Row of the `.idx`."""
    start: int
    """First token, counted from the start of the `.bin`."""
    end: int
    """One past the last."""

    @property
    def num_tokens(self) -> int:
        """Its length."""
        return self.end - self.start


def count_passes(num_tokens: int, sequence_length: int, wanted: int | None = None) -> Passes:
    """Says how many epochs of a shard Megatron lays out.

    Args:
        num_tokens: Of the shard, EOD included.
        sequence_length: Tokens of a sample, without the extra one.
        wanted: Samples that are asked for; None builds one epoch, as in a blend without weights.

    Raises:
        ValueError: The shard holds no token, no whole sample, or more than 2**32 - 3.
    """
    if num_tokens < 1 or sequence_length < 2:
        raise ValueError(
            f"found {num_tokens} tokens and a sequence length of {sequence_length}; Megatron takes "
            "at least 1 and 2"
        )
    epochs = 1
    if wanted is not None:
        epochs = max(1, -(-(wanted * sequence_length + EXTRA_TOKENS) // num_tokens))
    samples = _samples(epochs * num_tokens, sequence_length)
    if samples < 1:
        raise ValueError(
            f"a shard of {num_tokens:,} tokens gives no sample of {sequence_length:,} + "
            f"{EXTRA_TOKENS}, and Megatron takes no shard without one; leave it out of the blend"
        )
    if samples > _MAX_SAMPLES:
        raise ValueError(
            f"found {samples:,} samples of one shard; {_MAX_SAMPLES:,} are looked up at most"
        )
    if epochs == 1 or wanted is None:
        return Passes(num_epochs=1, num_samples=samples, first_samples=samples)
    before = _samples((epochs - 1) * num_tokens, sequence_length)
    enough = int(LAST_EPOCH_SHARE * _samples(num_tokens, sequence_length))
    is_apart = wanted - before < enough
    return Passes(
        num_epochs=epochs, num_samples=samples, first_samples=before if is_apart else samples
    )


def _samples(num_tokens: int, sequence_length: int) -> int:
    return (num_tokens - EXTRA_TOKENS) // sequence_length


class ShardOrder:
    """The samples of one shard, in the order in which Megatron deals them.

    Args:
        lengths: int32[num_sequences], tokens of each sequence of the `.idx`, at least one in all.
        sequence_length: Tokens of a sample, without the extra one.
        seed: Megatron's `--seed`, 0 to 2**32 - 1; every shard of a blend uses the same.
        wanted: Samples that are asked for; see `count_passes`.

    Raises:
        ValueError: The shard gives no sample.
    """

    def __init__(
        self,
        lengths: npt.NDArray[np.int32],
        *,
        sequence_length: int,
        seed: int,
        wanted: int | None = None,
    ) -> None:
        widths = lengths.astype(np.int64)
        self.sequence_length = sequence_length
        self.passes = count_passes(int(widths.sum()), sequence_length, wanted)
        state = np.random.RandomState(seed)
        self.document_index = _document_index(len(lengths), self.passes, state)
        """int32[num_sequences x num_epochs]: row of the `.idx` at each place of the stream."""
        self.shuffle_index = _shuffle_index(self.passes, state)
        """uint32[num_samples]: place in the stream of each sample dealt."""
        self._starts = np.cumsum(widths) - widths  # of each sequence in the .bin
        self._ends = np.cumsum(widths[self.document_index])  # of each place in the stream

    @property
    def num_samples(self) -> int:
        """Samples that the shard gives."""
        return self.passes.num_samples

    def sample_index(self) -> npt.NDArray[np.int64]:
        """int64[num_samples + 1, 2]: (place in the stream, token in it) where each sample starts.

        The last row is where the last sample's extra token lies. 16 bytes a sample: for checks and
        small shards; `ranges` does without.
        """
        return self._places(np.arange(self.num_samples + 1, dtype=np.int64))

    def ranges(self, number: int) -> list[TokenRange]:
        """What one sample reads, in order: `sequence_length` + 1 tokens.

        Args:
            number: Of the sample as it is dealt, from 0.

        Raises:
            ValueError: There is no such sample.
        """
        if not 0 <= number < self.num_samples:
            raise ValueError(
                f"found sample {number}; this shard gives {self.num_samples:,}, from 0 on"
            )
        place = int(self.shuffle_index[number])
        (first, offset), (last, end) = self._places(np.array([place, place + 1])).tolist()
        ranges = []
        for at in range(first, last + 1):
            row = int(self.document_index[at])
            start = int(self._starts[row])
            length = int(self._ends[at] - (self._ends[at - 1] if at else 0))
            ranges.append(
                TokenRange(
                    sequence=row,
                    start=start + (offset if at == first else 0),
                    end=start + (end + EXTRA_TOKENS if at == last else length),
                )
            )
        return [found for found in ranges if found.num_tokens]

    def _places(self, samples: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        tokens = samples * self.sequence_length
        at = np.searchsorted(self._ends, tokens, side="right")
        before = np.where(at > 0, self._ends[np.maximum(at, 1) - 1], 0)
        return np.stack([at, tokens - before], axis=1)


def _document_index(
    num_sequences: int, passes: Passes, state: np.random.RandomState
) -> npt.NDArray[np.int32]:
    """All epochs are shuffled as one list, but for a last one that is kept apart."""
    rows = np.arange(num_sequences, dtype=np.int32)
    together = passes.num_epochs - (1 if passes.has_own_last_epoch else 0)
    index = np.tile(rows, together)
    state.shuffle(index)
    if not passes.has_own_last_epoch:
        return index
    state.shuffle(rows)
    return np.concatenate([index, rows])


def _shuffle_index(passes: Passes, state: np.random.RandomState) -> npt.NDArray[np.uint32]:
    index = np.arange(passes.num_samples, dtype=np.uint32)
    state.shuffle(index[: passes.first_samples])
    if passes.has_own_last_epoch:
        state.shuffle(index[passes.first_samples :])
    return index

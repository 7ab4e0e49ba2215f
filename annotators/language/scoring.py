"""Probabilities of a model's labels for folded lines and for their segments.

A softmax model is run by `fasttext_kernel` over the bytes as they are. Any other goes through the
library, which takes strings and gives the best few labels of each; all others get zero.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from annotators.language.fasttext_kernel import Network, Sums, probabilities, sum_lines
from annotators.language.model_file import LoadedModel

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

_NUM_PREDICTED: Final = 8  # as many as the largest family, Arabic, has members


class Scores(NamedTuple):
    """Probabilities in the order of the model's labels."""

    lines: npt.NDArray[np.float32]
    """float32[num_lines, num_labels]: of each line read as one."""
    segments: npt.NDArray[np.float32]
    """float32[num_lines, num_segments, num_labels]: of each of its segments; zeros where empty."""


def scorer(model: LoadedModel) -> Callable[[Bytes, Ints], Scores]:
    """A function of `data` uint8[num_bytes] and `bounds` int64[num_lines, num_segments + 1].

    Line i is `data[bounds[i, 0]:bounds[i, -1]]`, segment j of it `data[bounds[i, j]:bounds[i, j +
    1]]`. A line that is empty has whatever the model says of nothing, or zeros.
    """
    network = model.network
    if network is None:
        return lambda data, bounds: _by_library(model, data, bounds)
    return lambda data, bounds: _by_kernel(network, data, bounds)


def _by_kernel(network: Network, data: Bytes, bounds: Ints) -> Scores:
    sums = sum_lines(network, data, bounds)
    line = Sums(
        sums.vectors.sum(axis=1, keepdims=True),
        sums.counts.sum(axis=1, keepdims=True, dtype=np.int32),
    )
    lines = probabilities(network, line)
    if bounds.shape[1] == 2:
        return Scores(lines[:, 0], lines)
    return Scores(lines[:, 0], probabilities(network, sums))


def _by_library(model: LoadedModel, data: Bytes, bounds: Ints) -> Scores:
    number_of = {f"__label__{label}": at for at, label in enumerate(model.labels)}
    buffer = data.tobytes()

    def predicted(starts: Ints, stops: Ints) -> npt.NDArray[np.float32]:
        out = np.zeros((len(starts), len(model.labels)), np.float32)
        rows = np.flatnonzero(stops > starts)
        lines = [
            # fastText takes a line with its end.
            buffer[start:stop].decode(errors="replace") + "\n"
            for start, stop in zip(starts[rows].tolist(), stops[rows].tolist(), strict=True)
        ]
        if not lines:
            return out
        found = model.binding.multilinePredict(lines, _NUM_PREDICTED, 0.0, "strict")
        for row, names, values in zip(rows, *found, strict=True):
            out[row, [number_of[name] for name in names]] = values
        return out

    lines = predicted(bounds[:, 0], bounds[:, -1])
    num_lines, num_segments = len(bounds), bounds.shape[1] - 1
    if num_segments == 1:
        return Scores(lines, lines[:, None])
    segments = predicted(bounds[:, :-1].ravel(), bounds[:, 1:].ravel())
    return Scores(lines, segments.reshape(num_lines, num_segments, -1))

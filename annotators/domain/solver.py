"""Linear separators of sparse rows, one label against the rest.

L2-regularised support vector machines with squared hinge loss, by dual coordinate descent (Hsieh et
al. 2008, "A Dual Coordinate Descent Method for Large-scale Linear SVM", algorithm 1 without
shrinking): for each label

    minimise  |w|^2 / 2 + sum of cost_i * max(0, 1 - y_i w.x_i)^2

where y_i is 1 for rows of the label and -1 for others, and a constant 1 beside x_i makes the bias.
Rows are visited in seeded orders until none would move its dual variable by much, so the same
input gives the same bytes. One pass over a row costs as much as one of AdaGrad on it.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from annotators.domain.terms import TermCounts
from annotators.text.kernels import kernel

MAX_EPOCHS: Final = 60
"""Passes after which a label is left as it is; most need fewer than 20."""
TOLERANCE: Final = 0.02
"""Largest projected gradient at which a label is done (liblinear stops at 0.1)."""

Weights = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def separate(
    rows: TermCounts,
    values: Weights,
    labels: Ints,
    costs: Floats,
    num_labels: int,
    num_terms: int,
    seed: int,
) -> tuple[Weights, Weights]:
    """Fits the separator of each label.

    Args:
        rows: Terms of each row.
        values: float32[num_entries].
        labels: int64[num_rows], which label a row has.
        costs: float64[num_rows], what an error on a row costs; 0 leaves it out.
        num_labels: How many labels.
        num_terms: How many terms.
        seed: Of the orders in which rows are visited.

    Returns:
        float32[num_terms, num_labels] and the bias, float32[num_labels].
    """
    chance = np.random.default_rng(seed)
    orders = np.stack([chance.permutation(len(labels)) for _ in range(MAX_EPOCHS)])
    weights = np.zeros((num_terms, num_labels), np.float32)
    bias = np.zeros(num_labels, np.float32)
    for label in range(num_labels):
        found = np.zeros(num_terms + 1)
        _descend(rows, values, np.where(labels == label, 1.0, -1.0), costs, orders, found)
        weights[:, label], bias[label] = found[:-1], found[-1]
    return weights, bias


@kernel
def _descend(
    rows: TermCounts, values: Weights, signs: Floats, costs: Floats, orders: Ints, found: Floats
) -> None:
    """Fills `found`, float64[num_terms + 1]: the weights and, last, the bias."""
    starts, terms, _ = rows
    duals = np.zeros(len(signs))
    squares = np.ones(len(signs))
    for row in range(len(signs)):
        for entry in range(starts[row], starts[row + 1]):
            squares[row] += values[entry] * values[entry]
    for epoch in range(len(orders)):
        worst = 0.0
        for row in orders[epoch]:
            if costs[row] <= 0:
                continue
            margin = found[-1]
            for entry in range(starts[row], starts[row + 1]):
                margin += found[terms[entry]] * values[entry]
            slack = 0.5 / costs[row]
            slope = signs[row] * margin - 1 + duals[row] * slack
            if duals[row] == 0 and slope >= 0:
                continue
            worst = max(worst, abs(slope))
            dual = max(duals[row] - slope / (squares[row] + slack), 0.0)
            step = (dual - duals[row]) * signs[row]
            duals[row] = dual
            found[-1] += step
            for entry in range(starts[row], starts[row + 1]):
                found[terms[entry]] += step * values[entry]
        if worst < TOLERANCE:
            break

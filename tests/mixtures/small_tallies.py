"""Tallies and stages of a few documents, for the tests of the solve."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from mixtures.bins import bins_of
from mixtures.solve import StagePlan
from mixtures.spec import Stage
from mixtures.tallies import TALLY, combine

Row = tuple[str, int, bool, float, int]  # group, bucket, is_synthetic, value, tokens
BUCKETS = [
    {"name": "long", "min": 100, "max": 200, "share": 75},
    {"name": "short", "min": 0, "max": 100, "share": 25},
]


def stage(**keys: object) -> Stage:
    keys = {"name": "s", "sequence_length": 8, "group_by": "g"} | keys
    return Stage.model_validate(keys)


def tallied(rows: Sequence[Row]) -> pa.Table:
    return combine(
        [
            pa.Table.from_pylist(
                [
                    {
                        "group": group,
                        "bucket": bucket,
                        "is_synthetic": is_synthetic,
                        "bin": int(bins_of(np.array([float(value)]))[0]),
                        "reason": "eligible",
                        "documents": 1,
                        "tokens": tokens,
                    }
                    for group, bucket, is_synthetic, value, tokens in rows
                ],
                schema=TALLY,
            )
        ]
    )


def one_cell(*rows: tuple[float, int]) -> pa.Table:
    return tallied([("a", 0, False, value, tokens) for value, tokens in rows])


def of_bins(plan: StagePlan) -> list[float]:
    return plan.draws["expected_draws"].to_pylist()

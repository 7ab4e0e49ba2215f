"""Shares of groups inside a length bucket, and what is refused about them before the solve."""

from typing import Final

import numpy as np
import pyarrow as pa

from mixtures.errors import MixtureError, listed, nearest
from mixtures.filling import Floats
from mixtures.pool import Pool
from mixtures.spec import OTHERS, Stage, Temperature
from mixtures.tallies import excluded

LEAST: Final = 1e-300
"""Stands for 0 under a fraction line."""


def group_shares(pool: Pool, capacity: Floats) -> Floats:
    """Relative shares of the cells, comparable inside one bucket.

    Natural shares, and those of the groups behind '*', follow what each cell can give at most.
    Mostly that is in proportion to its tokens; but of a group of which little can be drawn (all of
    it synthetic under a small `max_share`, say) less is taken, and with `max` it does not decide
    the size of the stage.

    Args:
        pool: The documents.
        capacity: float64[num_cells], tokens that each cell can give at most.

    Returns:
        float64[num_cells], not negative.
    """
    stage = pool.stage
    if stage.shares == "natural" or (stage.shares == "unimax" and stage.tokens == "max"):
        return capacity
    if stage.shares == "unimax":
        return np.ones(len(capacity))
    if isinstance(stage.shares, Temperature):
        powers: Floats = (pool.tokens / pool.tokens.max()) ** stage.shares.temperature
        return powers
    assert isinstance(stage.shares, dict)
    others = np.array([group not in stage.shares for group in pool.groups])
    shares = np.array([stage.shares.get(group, 0.0) for group in pool.groups])
    for position in np.unique(pool.bucket):
        rest = others & (pool.bucket == position)
        part = capacity[rest] / max(capacity[rest].sum(), LEAST)
        shares[rest] = stage.shares.get(OTHERS, 0.0) * part
    return shares


def bucket_parts(stage: Stage) -> Floats:
    """Parts of the length buckets, float64[num_buckets] of sum 1."""
    shares = np.array([bucket.share for bucket in stage.length_buckets] or [1.0])
    parts: Floats = shares / shares.sum()
    return parts


def check_buckets(pool: Pool, tallied: pa.Table) -> None:
    """Refuses a length bucket without documents.

    Raises:
        MixtureError: With the counts of what is not eligible.
    """
    stage = pool.stage
    for position, one in enumerate(stage.length_buckets):
        if position not in pool.bucket:
            raise MixtureError(
                f"{stage.place}.length_buckets[{position}]: found no eligible document for "
                f"'{one.name}' ({one.min} < tokens <= {one.max}); not eligible: "
                f"{excluded(tallied)}; allowed: a share for a bucket that has documents; remove "
                "the bucket, change its ends, or widen where"
            )


def check_named(pool: Pool, tallied: pa.Table) -> None:
    """Refuses shares for groups that have no documents where these shares must hold.

    Raises:
        MixtureError: With the nearest names that there are.
    """
    stage = pool.stage
    if not isinstance(stage.shares, dict):
        return
    pairs = set(zip(pool.groups, pool.bucket.tolist(), strict=True))
    groups = sorted(set(pool.groups))
    for name in stage.shares:
        if name != OTHERS and name not in groups:
            raise MixtureError(
                f"{stage.place}.shares.{name}: found no eligible document of group {name!r} "
                f"(not eligible: {excluded(tallied, group=name)}); {nearest(name, groups)}"
                f"allowed: {listed(groups)}; remove it, correct its name, or widen where"
            )
        for position, bucket in enumerate(stage.length_buckets):
            if stage.tokens == "max" and name != OTHERS and (name, position) not in pairs:
                raise MixtureError(
                    f"{stage.place}.shares.{name}: found no eligible document of group {name!r} "
                    f"in length bucket '{bucket.name}', so with tokens: max no share of it can "
                    "hold there; give a number of tokens (others then take over), or remove it"
                )

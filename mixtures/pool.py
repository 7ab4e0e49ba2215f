"""The pool of a stage: its eligible documents by cell and bin, as arrays that the solve works on.

A *row* is a (group, bucket, is_synthetic, bin): documents that are drawn alike. A *cell* is a
(group, bucket): what shares and budgets speak of. Rows of a cell stand together.

A weight gives each row two numbers. Its *shape* is how often it wants to be drawn, relative to the
other rows of its cell. Its *room* is the part of the cap on epochs that it may reach: 1, or less
for a bin that a quality curve keeps in part, or 0 where it is not to be drawn at all. Then every
method is the same rule: min(cap * room, level * shape) with the one level that meets the target of
the cell.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mixtures import bins, curves, quadmix
from mixtures.filling import Floats, Rows, fill_each, relative
from mixtures.spec import QuaDMix, QualityCurve, Stage
from mixtures.tallies import eligible

ROW_KEYS = ("group", "bucket", "is_synthetic", "bin")
_HALVINGS: Final = 40
_ROUNDING: Final = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Eligible documents of one stage."""

    stage: Stage

    rows: pa.Table
    """Columns ROW_KEYS, documents and tokens of `tallies.TALLY`, sorted by ROW_KEYS."""

    row_tokens: Floats
    """float64[num_rows]."""

    is_synthetic: npt.NDArray[np.bool_]
    """bool[num_rows]."""

    cell: Rows
    """int64[num_rows]: cell of each row, ascending."""

    groups: list[str]
    """Group of each of the num_cells cells, ascending."""

    bucket: npt.NDArray[np.int16]
    """int16[num_cells]."""

    tokens: Floats
    """float64[num_cells]."""

    start: Floats
    """float64[num_rows]: part of the cell's tokens in lower bins."""

    width: Floats
    """float64[num_rows]: part of the cell's tokens in this bin, natural and synthetic together."""

    room: Floats
    """float64[num_rows] from 0 to 1: the part of the cap that each row may reach."""

    fixed_shape: Floats
    """float64[num_rows]: the shape, where it does not depend on the target."""

    def sums(self, values: Floats) -> Floats:
        """Sums over the rows of each cell, float64[num_cells]."""
        summed: Floats = np.bincount(self.cell, values, len(self.groups)).astype(np.float64)
        return summed

    def capacity(self, synthetic_part: float, *, weighted: bool = True) -> Floats:
        """Tokens that each cell can give at most, float64[num_cells].

        Args:
            synthetic_part: Part of the cap that synthetic documents may reach, from 0 to 1.
            weighted: False: as if the stage had no weight.
        """
        room = self.room if weighted else np.ones(len(self.room))
        return self.sums(self._caps(synthetic_part * self._group_parts(room, synthetic_part), room))

    def shape(self, target: Floats) -> Floats:
        """How often each row wants to be drawn, relative to others of its cell.

        Args:
            target: float64[num_cells], tokens that each cell is to give. Only a quality curve,
                whose exponent depends on how scarce the tokens are, looks at it.

        Returns:
            float64[num_rows], not negative.
        """
        weight = self.stage.weight
        if not isinstance(weight, QualityCurve):
            return self.fixed_shape
        drop = weight.quality_curve.drop
        bin_of = self.rows["bin"].to_numpy()
        starts = np.flatnonzero(np.diff(self.cell, prepend=-1))
        is_top = bin_of == np.maximum.reduceat(bin_of, starts)[self.cell]
        top_width = np.zeros(len(self.groups))
        top_width[self.cell[is_top]] = self.width[is_top]
        rate = np.maximum(target / self.tokens, 1e-300)
        exponent = curves.exponents(rate, top_width, self.stage.max_epochs, drop)
        return curves.bin_means(self.start + self.width, self.width, exponent[self.cell], drop)

    def draws(self, target: Floats, synthetic_part: float) -> Floats:
        """Expected draws of the documents of each row.

        Args:
            target: float64[num_cells], tokens, at most the capacity.
            synthetic_part: As for `capacity`.

        Returns:
            float64[num_rows], at most `max_epochs`.
        """
        parts = synthetic_part * self._group_parts(self.room, synthetic_part)
        # A row with room may fill it, even where its weight is too small for float64.
        shape = relative(self.shape(target), self.cell, self.room > 0) * self.row_tokens
        tokens = fill_each(shape, self._caps(parts, self.room), target, self.cell)
        if self._group_share is not None:
            tokens = self._within_group_share(tokens, shape, target, parts, self._group_share)
        return np.minimum(tokens / self.row_tokens, self.stage.max_epochs)

    @property
    def _group_share(self) -> float | None:
        caps = self.stage.synthetic
        has_any = caps is not None and bool(self.is_synthetic.any())
        return caps.max_share_per_group if caps is not None and has_any else None

    def _group_parts(self, room: Floats, synthetic_part: float) -> Floats:
        """Part of its cap that synthetic text may reach in each cell, float64[num_cells].

        Of a cell that is drawn to its capacity, synthetic text then gives no more than its share:
        s of the whole is s / (1 - s) of the natural text.
        """
        parts = np.ones(len(self.groups))
        share = self._group_share
        if share is None:
            return parts
        tokens = room * self.row_tokens
        natural = self.sums(np.where(self.is_synthetic, 0.0, tokens))
        synthetic = synthetic_part * self.sums(np.where(self.is_synthetic, tokens, 0.0))
        allowed = natural * share / (1 - share)
        over = synthetic > allowed
        parts[over] = allowed[over] / synthetic[over]
        return parts

    def _within_group_share(
        self, tokens: Floats, shape: Floats, target: Floats, parts: Floats, share: float
    ) -> Floats:
        """Tokens of each row, with less synthetic text where a cell has more than its share.

        What is taken from synthetic rows the natural ones of the cell give, up to their caps; the
        capacity was cut so that they can.
        """

        def is_over(drawn: Floats) -> npt.NDArray[np.bool_]:
            synthetic = self.sums(np.where(self.is_synthetic, drawn, 0.0))
            over: npt.NDArray[np.bool_] = synthetic > share * self.sums(drawn) * (1 + _ROUNDING)
            return over

        over = is_over(tokens)
        if not over.any():
            return tokens
        low, high = np.where(over, 0.0, parts), parts.copy()
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            too_much = is_over(fill_each(shape, self._caps(middle, self.room), target, self.cell))
            high = np.where(too_much & over, middle, high)
            low = np.where(too_much | ~over, low, middle)
        return fill_each(shape, self._caps(low, self.room), target, self.cell)

    def _caps(self, synthetic_parts: Floats, room: Floats) -> Floats:
        """Tokens that each row may give, float64[num_rows].

        Args:
            synthetic_parts: float64[num_cells], part of the cap that synthetic rows may reach.
            room: float64[num_rows].
        """
        part = np.where(self.is_synthetic, synthetic_parts[self.cell], 1.0)
        caps: Floats = self.stage.max_epochs * part * room * self.row_tokens
        return caps


def pool_of(stage: Stage, tallied: pa.Table) -> Pool:
    """Takes the eligible documents of a tally.

    Args:
        stage: The stage.
        tallied: Schema `tallies.TALLY`, of the whole corpus.

    Returns:
        The pool; without rows where no document is eligible.
    """
    rows = eligible(tallied).sort_by([(key, "ascending") for key in ROW_KEYS])
    rows = rows.drop_columns(["reason"])
    codes = rows["group"].combine_chunks().dictionary_encode()
    bucket = rows["bucket"].to_numpy()
    changes = np.ones(rows.num_rows, np.bool_)
    code = codes.indices.to_numpy()
    changes[1:] = (np.diff(code) != 0) | (np.diff(bucket) != 0)
    cell = np.cumsum(changes) - 1
    names = codes.dictionary.to_pylist()
    tokens = rows["tokens"].to_numpy()
    of_cell = np.bincount(cell, tokens, int(changes.sum())).astype(np.float64)
    groups = [names[one] for one in code[changes]]
    start, width = _intervals(cell, rows["bin"].to_numpy(), tokens)
    shape = _fixed_shape(stage, rows["bin"].to_numpy(), groups, cell, start, width)
    room = (shape > 0).astype(np.float64)
    if isinstance(stage.weight, QualityCurve):
        room = curves.kept_part(start + width, width, stage.weight.quality_curve.drop)
    return Pool(
        stage=stage,
        rows=rows,
        row_tokens=tokens.astype(np.float64),
        is_synthetic=rows["is_synthetic"].to_numpy(),
        cell=cell,
        groups=groups,
        bucket=bucket[changes],
        tokens=of_cell,
        start=start,
        width=width,
        room=room,
        fixed_shape=shape,
    )


def _fixed_shape(
    stage: Stage,
    bin_of: npt.NDArray[np.int32],
    groups: list[str],
    cell: Rows,
    start: Floats,
    width: Floats,
) -> Floats:
    if isinstance(stage.weight, str):
        return bins.values_of(bin_of)
    shape = np.ones(len(cell))
    if isinstance(stage.weight, QuaDMix):
        row_of = np.searchsorted(cell, np.arange(len(groups) + 1))
        for number, group in enumerate(groups):
            inside = slice(row_of[number], row_of[number + 1])
            sampling = stage.weight.quadmix.of(group)
            assert sampling is not None, group  # select refuses groups without parameters
            shape[inside] = quadmix.mean_repeats(sampling, start[inside], width[inside])
    return shape


def _intervals(
    cell: Rows, bin_of: npt.NDArray[np.int32], tokens: npt.NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """Percentiles of bins inside their cells, from the lowest bin up.

    Returns:
        float64[num_rows] of starts and of widths; the natural and the synthetic row of a bin have
        the same. Sums are of integers, so they are exact.
    """
    order = np.lexsort((bin_of, cell))
    sorted_cell, sorted_bin = cell[order], bin_of[order]
    is_first = np.diff(sorted_cell, prepend=-1) != 0
    is_new = is_first.copy()
    is_new[1:] |= np.diff(sorted_bin) != 0
    number = np.cumsum(is_new) - 1
    before = np.cumsum(tokens[order]) - tokens[order]
    ends = np.append(before[is_new][1:], tokens.sum())
    in_bin = ends - before[is_new]
    cell_start = before[is_first][sorted_cell]
    total = np.append(before[is_first][1:], tokens.sum()) - before[is_first]
    start, width = np.empty(len(cell)), np.empty(len(cell))
    start[order] = (before[is_new][number] - cell_start) / total[sorted_cell]
    width[order] = in_bin[number] / total[sorted_cell]
    return start, width

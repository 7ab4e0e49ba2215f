"""StagePlan: what the solve decided for a stage, and the expected draws of each document by it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mixtures.bins import MOST
from mixtures.budgets import TokenBudget
from mixtures.errors import MixtureError
from mixtures.expressions import Selection
from mixtures.filling import Floats

_CELLS_TYPES: Final[dict[str, pa.DataType]] = {
    "group": pa.string(),
    "bucket": pa.int16(),
    "documents": pa.int64(),
    "tokens": pa.int64(),  # planned, one EOD per document included
    "stated_tokens": pa.float64(),  # by the shares alone
    "expected_tokens": pa.float64(),
    "moved_tokens": pa.float64(),  # expected - stated
    "expected_draws": pa.float64(),  # of one document, mean by tokens
    "epochs": pa.float64(),  # expected_tokens / tokens
    "ran_out": pa.bool_(),  # its share wanted more than it can give
    "synthetic_tokens": pa.float64(),  # of expected_tokens
}
CELLS: Final = pa.schema(_CELLS_TYPES)

_DRAWS_TYPES: Final[dict[str, pa.DataType]] = {
    "group": pa.string(),
    "bucket": pa.int16(),
    "is_synthetic": pa.bool_(),
    "bin": pa.int32(),
    "documents": pa.int64(),
    "tokens": pa.int64(),  # planned, one EOD per document included
    "expected_draws": pa.float64(),  # of each document of the row
}
DRAWS: Final = pa.schema(_DRAWS_TYPES)


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePlan:
    """How often each document of a stage is drawn, and what that was decided by."""

    stage: str
    budget: TokenBudget

    cells: pa.Table
    """Schema CELLS, one row for each group and bucket with eligible documents, sorted by both.

    Where groups ran out, `moved_tokens` is negative in their rows and positive in the rows of the
    groups that took over; inside each bucket it sums to 0.
    """

    draws: pa.Table
    """Schema DRAWS, one row for each group, bucket, is_synthetic and bin with eligible documents,
    sorted by these four."""

    num_tokens: float
    """Expected tokens of the stage, EOD included."""

    attainable_tokens: float
    """Tokens that the caps and the shares that must hold would allow at most."""

    limited_by: str
    """The group or bucket that decides `attainable_tokens`; empty where all reach it together."""

    costs: dict[str, float]
    """Tokens by which `attainable_tokens` would grow without a constraint.

    `shares`: with natural group shares; `length_buckets`: with buckets as large as they are;
    `max_epochs`: with one epoch more; `weight`: with what the weight leaves out; `synthetic_share`:
    with any part of synthetic text.
    """

    def expected_draws(self, selection: Selection) -> Floats:
        """Looks up the expected draws of each document.

        Args:
            selection: What the same stage makes of n documents that were tallied.

        Returns:
            float64[n]: 0 where not eligible.

        Raises:
            MixtureError: An eligible document has a group, bucket or bin that the plan does not
                know.
        """
        groups = pc.unique(self.draws["group"])
        codes = pc.index_in(self.draws["group"], value_set=groups).to_numpy()
        bucket, bins = self.draws["bucket"].to_numpy(), self.draws["bin"].to_numpy()
        num_buckets = int(bucket.max()) + 1
        # Ascending, as the table is sorted by these columns in this order.
        known = _packed(codes, bucket, self.draws["is_synthetic"].to_numpy(), bins, num_buckets)
        rows = np.flatnonzero(selection.eligible)
        of_document = pc.index_in(selection.group.dictionary, value_set=groups).fill_null(-1)
        code = of_document.to_numpy()[selection.group.indices.to_numpy()[rows]]
        asked = _packed(
            code,
            selection.bucket[rows],
            selection.is_synthetic[rows],
            selection.bin[rows],
            num_buckets,
        )
        place = np.minimum(np.searchsorted(known, asked), len(known) - 1)
        is_known = (known[place] == asked) & (selection.bucket[rows] < num_buckets) & (code >= 0)
        if not is_known.all():
            row = int(rows[np.argmin(is_known)])
            raise MixtureError(
                f"stage '{self.stage}': found a document of group "
                f"'{selection.group[row].as_py()}' in bucket {selection.bucket[row]} (synthetic: "
                f"{bool(selection.is_synthetic[row])}, bin {selection.bin[row]}), which the plan "
                "does not know; labels changed after the plan was made; plan again"
            )
        found = np.zeros(len(selection.reason))
        found[rows] = self.draws["expected_draws"].to_numpy()[place]
        return found


def _packed(
    code: npt.NDArray[np.int32],
    bucket: npt.NDArray[np.int16],
    is_synthetic: npt.NDArray[np.bool_],
    bins: npt.NDArray[np.int32],
    num_buckets: int,
) -> npt.NDArray[np.int64]:
    """The four keys in one number, in the order of the four."""
    keys = (code.astype(np.int64) * num_buckets + bucket) * 2 + is_synthetic
    packed: npt.NDArray[np.int64] = keys * (2 * MOST + 1) + (bins + MOST)
    return packed

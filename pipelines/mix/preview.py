"""The second pass over labels: what will be drawn of one part, to the document.

Draws are a function of seed, stage and document id, so a plan need not guess what a shard will
hold: this job draws, writes nothing, and adds up by language, topic, source and so on. What it
counts is what the shards job writes, but for tokens at the edges of a cut (`planned`).

A row is a value of a dimension in a length bucket. Every dimension sums to `all`, but for
`validation`, which counts held-out documents. Equation of an entry, over its stages: eligible =
drawn documents + not drawn.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mixtures.draws import draws, uniform
from mixtures.solve import StagePlan
from mixtures.spec import Mixture, Stage
from pipelines.mix.columns import NULL, codes_of
from pipelines.mix.judge import SPLIT, VALIDATION, Judged, judge
from pipelines.mix.pins import Pins, label_table, read_ids
from pipelines.workspace.children import Children
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import METER, PartKey, entry_of
from pipelines.workspace.ledger import FileRef, Stopwatch
from pipelines.workspace.parts import PartFile, check_file, read_table
from pipelines.workspace.workspace import Workspace

VERSION: Final = "1"
JOB: Final = "preview"
MOST_VALUES: Final = 1000
"""Values of a dimension that have rows of their own; `group_by: host` may have a million."""
REST: Final = "*"
"""All other values of a dimension together."""

ALL: Final = "all"
COLUMNS: Final = {
    "language": "language",
    "topic": "topic",
    "source": "source",
    "kind": "provenance_kind",
    "depth": "depth",
}
"""Dimension -> its column; a dimension whose column no source has is left out."""

_KEYS: Final[dict[str, pa.DataType]] = {
    "stage": pa.string(),
    "dimension": pa.string(),
    "value": pa.string(),
    "bucket": pa.int16(),
}
_SUMS: Final[dict[str, pa.DataType]] = {
    "documents": pa.int64(),  # eligible
    "tokens": pa.int64(),  # planned tokens of those, EOD included
    "expected_tokens": pa.float64(),
    "variance": pa.float64(),  # of tokens drawn, over seeds, in tokens^2
    "drawn_documents": pa.int64(),  # drawn at least once
    "draws": pa.int64(),
    "drawn_tokens": pa.int64(),  # draws times planned tokens
}
PREVIEW: Final = pa.schema({**_KEYS, **_SUMS})

_Codes = tuple[npt.NDArray[np.int64], list[str]]


def preview_generation(tallies: Generation, mixture: Mixture) -> Generation:
    """One for a mixture over the tallies that its draws were solved from."""
    payload = {
        "version": VERSION,
        "tally": tallies.full,
        "mixture": mixture.fingerprint_payload(),
    }
    return Generation(job=f"{JOB}.{mixture.name}", payload=payload)


@dataclass(frozen=True)
class PreviewJob:
    """Draws from the parts of all sources, and counts what comes."""

    mixture: Mixture
    pins: Pins
    tallies: Generation
    replacement_tokens: Mapping[str, int]
    columns: tuple[str, ...]
    """What `columns_to_judge` gives."""
    dimensions: tuple[str, ...]
    """Those of COLUMNS whose column some source has; where a source lacks it, all are null."""
    solved: Mapping[str, StagePlan]
    """Stage -> its plan, without the rows of `draws`: a million bins do not travel with a job."""
    draws: FileRef
    """Where those stand, in schema STAGE_DRAWS."""

    @property
    def generation(self) -> Generation:
        """What it commits."""
        return preview_generation(self.tallies, self.mixture)

    @property
    def generations(self) -> tuple[Generation, ...]:
        """One."""
        return (self.generation,)

    def run(self, workspace: Workspace, key: PartKey, children: Children) -> None:
        """Commits the preview of one part."""
        watch, generation = Stopwatch(), self.generation
        columns = {*self.columns, *(COLUMNS[name] for name in self.dimensions)}
        labels = label_table(workspace, self.pins, key, columns=columns, ids=False)
        ids = read_ids(workspace, self.pins, key)
        tables = []
        for stage in self.mixture.stages:
            judged = judge(stage, labels, self.replacement_tokens)
            tables.append(self._drawn(workspace, stage, judged, ids[judged.rows]))
            if SPLIT in labels.column_names:
                held = judge(stage, labels, self.replacement_tokens, split=VALIDATION)
                tables.append(held_out(stage.name, held))
        table = pa.concat_tables(tables)
        with PartFile(workspace.storage, PREVIEW) as file:
            for batch in table.to_batches():
                file.write(batch)
            folder = f"mixtures/{self.mixture.name}@{generation.fp}/preview/{key.source}"
            ref = file.publish(JOB, folder, key.part)
        METER.add(JOB, labels.num_rows)
        documents = workspace.ledger.get(
            self.pins.sources[key.source].documents, key.source, key.part
        )
        workspace.ledger.commit(
            entry_of(
                generation,
                key,
                files=(ref,),
                counts=preview_counts(table),
                watch=watch,
                inputs=(documents.file("documents").path,),
            )
        )

    def _drawn(
        self, workspace: Workspace, stage: Stage, judged: Judged, ids: npt.NDArray[np.uint8]
    ) -> pa.Table:
        solved = _with_draws(workspace.url, self.draws, stage.name, self.solved[stage.name])
        expected = solved.expected_draws(judged.selection)
        chosen = np.flatnonzero(judged.selection.eligible)
        u = uniform(self.mixture.seed, stage.name, ids[chosen])
        repeats = draws(expected[chosen], u)
        return preview(stage.name, judged, chosen, expected[chosen], repeats, self.dimensions)


def preview(
    stage: str,
    judged: Judged,
    chosen: npt.NDArray[np.int64],
    expected: npt.NDArray[np.float64],
    repeats: npt.NDArray[np.int32],
    asked: Sequence[str],
) -> pa.Table:
    """Adds up what is drawn of some documents.

    Args:
        stage: Name of the stage.
        judged: The documents.
        chosen: int64[n], rows of the eligible ones.
        expected: float64[n], expected draws of each.
        repeats: int32[n], draws of each.
        asked: Dimensions of COLUMNS, beside those that every stage has.

    Returns:
        Schema PREVIEW; rows without documents are left out.
    """
    counted = _Counted(judged, chosen, expected, repeats)
    taken = None if len(chosen) == len(judged.rows) else pa.array(chosen)
    dimensions: dict[str, _Codes] = {
        ALL: (np.zeros(len(chosen), np.int64), [""]),
        "group": _codes(pa.chunked_array([judged.selection.group]), taken),
    }
    for dimension in asked:
        dimensions[dimension] = (dimensions[ALL][0], [NULL])
        if COLUMNS[dimension] in judged.labels.column_names:
            column = judged.labels.column(COLUMNS[dimension])
            dimensions[dimension] = _codes(column, taken)
    most = int(repeats.max(initial=0))
    dimensions["draws"] = (repeats.astype(np.int64), [str(n) for n in range(most + 1)])
    tables = [counted.table(stage, name, *codes) for name, codes in dimensions.items()]
    return pa.concat_tables(tables)


def held_out(stage: str, judged: Judged) -> pa.Table:
    """Adds up the held-out documents that a stage would draw, each once, in schema PREVIEW."""
    chosen = np.flatnonzero(judged.selection.eligible)
    once = np.ones(len(chosen))
    counted = _Counted(judged, chosen, once, once.astype(np.int32))
    return counted.table(stage, VALIDATION, np.zeros(len(chosen), np.int64), [""])


class _Counted:
    """What is added up of n documents, and their length buckets."""

    def __init__(
        self,
        judged: Judged,
        chosen: npt.NDArray[np.int64],
        expected: npt.NDArray[np.float64],
        repeats: npt.NDArray[np.int32],
    ) -> None:
        tokens = judged.tokens[chosen].astype(np.float64)
        fraction = expected - np.floor(expected)
        self.bucket = judged.selection.bucket[chosen].astype(np.int64)
        self.num_buckets = int(self.bucket.max(initial=0)) + 1
        # Sums of float64 are exact for whole numbers below 2^53, and a part has not so many tokens.
        self.weights: dict[str, npt.NDArray[np.float64] | None] = {
            "documents": None,
            "tokens": tokens,
            "expected_tokens": expected * tokens,
            "variance": fraction * (1 - fraction) * tokens**2,
            "drawn_documents": (repeats > 0).astype(np.float64),
            "draws": repeats.astype(np.float64),
            "drawn_tokens": repeats * tokens,
        }

    def table(
        self, stage: str, dimension: str, codes: npt.NDArray[np.int64], values: list[str]
    ) -> pa.Table:
        """Sums by value and bucket, in schema PREVIEW.

        Args:
            stage: Name of the stage.
            dimension: Name of the dimension.
            codes: int64[n], position of each document's value.
            values: The values.
        """
        codes, values = self._few(codes, values)
        size = len(values) * self.num_buckets
        cells = codes * self.num_buckets + self.bucket
        sums = {name: np.bincount(cells, by, size) for name, by in self.weights.items()}
        found = np.flatnonzero(sums["documents"])
        columns = {
            "stage": pa.array([stage] * len(found), pa.string()),
            "dimension": pa.array([dimension] * len(found), pa.string()),
            "value": pa.array(values, pa.string()).take(pa.array(found // self.num_buckets)),
            "bucket": (found % self.num_buckets).astype(np.int16),
            **{name: pa.array(sums[name][found]).cast(_SUMS[name]) for name in sums},
        }
        return pa.table(columns, schema=PREVIEW)

    def _few(self, codes: npt.NDArray[np.int64], values: list[str]) -> _Codes:
        """The values with most tokens; the others become one."""
        if len(values) <= MOST_VALUES:
            return codes, values
        tokens = np.bincount(codes, self.weights["tokens"], len(values))
        order = np.lexsort((np.array(values), -tokens))
        kept = order[: MOST_VALUES - 1]
        place = np.full(len(values), len(kept))
        place[kept] = np.arange(len(kept))
        return place[codes], [*(values[i] for i in kept), REST]


def _codes(column: pa.ChunkedArray, taken: pa.Array | None) -> _Codes:
    return codes_of(column if taken is None else column.take(taken))


def combine_previews(tables: Iterable[pa.Table]) -> pa.Table:
    """Adds up previews; sums of float64, so the caller gives the parts in their order.

    Returns:
        Schema PREVIEW, sorted by stage, dimension, bucket and value.
    """
    whole = pa.concat_tables([PREVIEW.empty_table(), *tables])
    sums = whole.group_by(list(_KEYS), use_threads=False).aggregate([(n, "sum") for n in _SUMS])
    sums = sums.rename_columns({f"{name}_sum": name for name in _SUMS})
    order = [(name, "ascending") for name in ("stage", "dimension", "bucket", "value")]
    return sums.select(PREVIEW.names).cast(PREVIEW).sort_by(order)


def few_values(table: pa.Table) -> pa.Table:
    """A combined preview with at most MOST_VALUES values a dimension; the others are added up."""
    totals = table.group_by(["stage", "dimension", "value"], use_threads=False)
    counted = totals.aggregate([("tokens", "sum")]).to_pylist()
    counted.sort(key=lambda row: (row["value"] == REST, -row["tokens_sum"], row["value"]))
    seen: dict[tuple[str, str], int] = {}
    kept = set()
    for row in counted:
        dimension = (row["stage"], row["dimension"])
        seen[dimension] = seen.get(dimension, 0) + 1
        if seen[dimension] < MOST_VALUES:
            kept.add((*dimension, row["value"]))
    if len(kept) == len(counted):
        return table
    keys = zip(*(table.column(n).to_pylist() for n in ("stage", "dimension", "value")), strict=True)
    values = [key[2] if key in kept else REST for key in keys]
    place = PREVIEW.get_field_index("value")
    return combine_previews([table.set_column(place, PREVIEW.field(place), pa.array(values))])


def preview_counts(table: pa.Table) -> dict[str, int]:
    """The counts of an entry, over its stages; held-out documents are apart."""
    whole = table.filter(pc.equal(table.column("dimension"), ALL))
    held = table.filter(pc.equal(table.column("dimension"), VALIDATION))
    sums = {name: int(pc.sum(whole.column(name)).as_py() or 0) for name in _SUMS}
    return {
        "eligible": sums["documents"],
        "drawn_documents": sums["drawn_documents"],
        "not_drawn": sums["documents"] - sums["drawn_documents"],
        "draws": sums["draws"],
        "drawn_tokens": sums["drawn_tokens"],
        "held_out": int(pc.sum(held.column("documents")).as_py() or 0),
    }


@lru_cache(maxsize=4)
def _draws_by_stage(url: str, ref: FileRef) -> dict[str, pa.Table]:
    storage = Workspace(url).storage
    check_file(storage, ref)
    return split_draws(read_table(storage, ref))


def split_draws(table: pa.Table) -> dict[str, pa.Table]:
    """Stage -> its rows, of a table whose first column names the stage."""
    stages = pc.unique(table.column("stage")).to_pylist()
    return {
        stage: table.filter(pc.equal(table.column("stage"), stage)).drop_columns(["stage"])
        for stage in stages
    }


def _with_draws(url: str, ref: FileRef, stage: str, solved: StagePlan) -> StagePlan:
    return replace(solved, draws=_draws_by_stage(url, ref)[stage])

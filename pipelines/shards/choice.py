"""Which documents a unit draws, from labels alone: the same function that previewed the plan."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mixtures.draws import draws, uniform
from mixtures.spec import Stage
from pipelines.mix.cut_spans import spans_of
from pipelines.mix.judge import Judged, columns_to_judge, judge
from pipelines.mix.pins import Pins, columns_of, label_table
from pipelines.mix.plan import Plan, Unit, expected_draws_of
from pipelines.shards.material import SUMMED, Facts
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.ledger import Entry, FileRef
from pipelines.workspace.workspace import Workspace

_NUM_TOKENS: Final = "num_tokens"


@dataclass(frozen=True, slots=True, eq=False)
class PartRows:
    """Rows of one documents part whose texts are to be read."""

    file: FileRef
    rows: npt.NDArray[np.int64]
    """int64[n], ascending."""
    cuts: pa.ListArray | None
    """What is cut out of each, where the stage redacts or cuts."""


def choose(workspace: Workspace, plan: Plan, unit: Unit) -> tuple[Facts, list[PartRows]]:
    """Decides the draws of a unit.

    Args:
        workspace: Where the labels are.
        plan: The plan.
        unit: One of its units.

    Returns:
        The drawn documents, and where their texts stand, in the same order.

    Raises:
        OSError: A file of a part is not what the plan was made from.
    """
    stage = plan.stages[unit.stage]
    columns = _columns(stage, columns_of(workspace, plan.pins))
    seen: list[_PartFacts] = []
    for source, part in unit.parts:
        seen.append(_choose_in_part(workspace, plan, unit, PartKey(source, part), columns))
    rows = [some.rows for some in seen if len(some.rows.rows)]
    return _joined(seen, stage), rows


@dataclass(frozen=True, slots=True, eq=False)
class _PartFacts:
    keys: npt.NDArray[np.uint8]
    repeats: npt.NDArray[np.int32]
    planned: npt.NDArray[np.int64]
    labels: pa.Table
    redacted: Mapping[str, npt.NDArray[np.int32]]
    variance: float
    rows: PartRows


def _columns(stage: Stage, known: pa.Schema) -> set[str]:
    return {*columns_to_judge([stage], known), *SUMMED, _NUM_TOKENS}


def _choose_in_part(
    workspace: Workspace, plan: Plan, unit: Unit, key: PartKey, columns: Collection[str]
) -> _PartFacts:
    stage = plan.stages[unit.stage]
    documents = check_part(workspace, plan.pins, key)
    try:
        labels = label_table(workspace, plan.pins, key, columns=columns)
    except (OSError, pa.ArrowInvalid) as error:
        raise OSError(
            f"labels of part {key.part} of {key.source} cannot be read ({error}): they are not "
            "what was committed; `tokenmill audit` names the file, restore it or prune its "
            "generation and run again"
        ) from error
    judged = judge(stage, labels, plan.replacement_tokens, split=unit.split)
    expected = expected_draws_of(plan, unit, judged)
    ids = _id_bytes(judged.labels.column("id").combine_chunks())
    repeats = draws(expected, uniform(plan.seed, unit.stage, ids))
    return _part_facts(stage, judged, expected, ids, repeats, documents)


def _part_facts(
    stage: Stage,
    judged: Judged,
    expected: npt.NDArray[np.float64],
    ids: npt.NDArray[np.uint8],
    repeats: npt.NDArray[np.int32],
    documents: Entry,
) -> _PartFacts:
    chosen = np.flatnonzero(repeats)
    labels = judged.labels.take(pa.array(chosen))
    cuts, redacted = None, {}
    if stage.cut_columns and len(chosen):
        from pipelines.shards.redaction import cuts_of  # numba: 0.3 s

        spans = spans_of(stage, labels)
        cuts, redacted = cuts_of(spans), spans.by_kind()
    return _PartFacts(
        keys=ids[chosen],
        repeats=repeats[chosen],
        planned=judged.tokens[chosen],
        labels=labels.select([n for n in (_NUM_TOKENS, *SUMMED) if n in labels.column_names]),
        redacted=redacted,
        variance=_variance(expected, judged.tokens),
        rows=PartRows(documents.file("documents"), judged.rows[chosen], cuts),
    )


def _joined(seen: Sequence[_PartFacts], stage: Stage) -> Facts:
    some = [part for part in seen if len(part.keys)]
    keys = np.concatenate([*(part.keys for part in some), np.zeros((0, 16), np.uint8)])
    counts = [part.labels.column(_NUM_TOKENS).to_numpy().astype(np.int64) for part in some]
    # A label that only some sources have is null in the others.
    known = {name for part in some for name in SUMMED if name in part.labels.column_names}
    return Facts(
        keys=keys,
        repeats=np.concatenate([*(part.repeats for part in some), np.zeros(0, np.int32)]),
        first_draws=np.zeros(len(keys), np.int32),
        num_tokens=np.concatenate([*counts, np.zeros(0, np.int64)]),
        planned=np.concatenate([*(part.planned for part in some), np.zeros(0, np.int64)]),
        labels={name: _texts([part.labels for part in some], name) for name in sorted(known)},
        redacted={
            kind: np.concatenate([*(part.redacted[kind] for part in some), np.zeros(0, np.int32)])
            for kind in (*stage.redact, *stage.cut)
        },
        variance=sum(part.variance for part in seen),
    )


def _texts(tables: Sequence[pa.Table], name: str) -> pa.ChunkedArray:
    """A text column of several tables, as codes where it comes as codes."""
    coded = pa.dictionary(pa.int32(), pa.string())
    chunks = []
    for table in tables:
        if name in table.column_names:
            chunks += [chunk.cast(coded) for chunk in table.column(name).chunks]
        else:
            chunks.append(pa.nulls(table.num_rows, coded))
    return pa.chunked_array(chunks, coded).unify_dictionaries()


def check_part(workspace: Workspace, pins: Pins, key: PartKey) -> Entry:
    """Refuses a part whose files are not those that the ledger names.

    All are hashed, which takes about 4 % of the time that tokenizing the texts takes.

    Returns:
        The entry of its documents.

    Raises:
        OSError: A file is missing or has changed.
    """
    source = pins.sources[key.source]
    documents = workspace.ledger.get(source.documents, key.source, key.part)
    labels = [workspace.ledger.get(name, key.source, key.part) for name in source.labels.values()]
    refs = [documents.file("documents"), *(entry.file("labels") for entry in labels)]
    for ref in refs:
        _check_size(workspace, ref)
    for ref in refs:
        if workspace.storage.sha256(ref.path) != ref.sha256:
            raise _changed(ref, "its checksum (sha256) is not that of the ledger")
    return documents


def _check_size(workspace: Workspace, ref: FileRef) -> None:
    try:
        size = workspace.storage.size(ref.path)
    except FileNotFoundError as error:
        raise _changed(ref, "it is missing") from error
    if size != ref.bytes:
        raise _changed(ref, f"it has {size} bytes, and the ledger says {ref.bytes}")


def _changed(ref: FileRef, found: str) -> OSError:
    return OSError(
        f"{ref.path} has changed since the plan was made: {found}; restore it, or prune its "
        "generation and run the corpus again"
    )


def _variance(expected: npt.NDArray[np.float64], tokens: npt.NDArray[np.int64]) -> float:
    """Tokens^2: a document of n tokens is drawn once more with probability f = frac(E)."""
    fraction = expected - np.floor(expected)
    return float((fraction * (1 - fraction) * tokens.astype(np.float64) ** 2).sum())


def _id_bytes(ids: pa.FixedSizeBinaryArray) -> npt.NDArray[np.uint8]:
    """uint8[n, 16] view of an id column."""
    data = np.frombuffer(ids.buffers()[1] or b"", np.uint8)
    start = 16 * ids.offset
    view: npt.NDArray[np.uint8] = data[start : start + 16 * len(ids)].reshape(-1, 16)
    return view

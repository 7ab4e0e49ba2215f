"""Which documents of a part are seeds, and the reading of their texts.

A condition on labels chooses, in the language of mixtures. Some documents are never seeds, whatever
it says: a duplicate, which would be paid for twice; what quotes a benchmark, or was not looked at;
what is held out of training, for what is made of it would be held out with it; what was taken down.
The share is taken last, by a hash of the id, so that a larger share holds the smaller one.

rows = chosen + not chosen, each of the latter with its reason.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mixtures.errors import MixtureError
from mixtures.expressions import check_expressions, select
from mixtures.spec import Mixture, Stage
from pipelines.config import ConfigError
from pipelines.deduplicate.exact import ALONE, REPRESENTATIVE
from pipelines.mix.columns import id_bytes
from pipelines.mix.pins import Pins, label_table
from pipelines.synthesize.recipe import Seed
from pipelines.validation.roots import is_validation, root_hash_of
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.ledger import FileRef
from pipelines.workspace.parts import read_batches
from pipelines.workspace.takedown import PARENT_URI, TAKEN_DOWN, Takedowns
from pipelines.workspace.workspace import Workspace

DUPLICATE: Final = "duplicate"
CONTAMINATED: Final = "contaminated"
NOT_LABELLED: Final = "not_labelled"
WHERE_FALSE: Final = "where_false"
NOT_IN_SHARE: Final = "not_in_share"
HELD_OUT: Final = "held_out"

_ROLE: Final = "duplicate_role"
_COLUMNS: Final = ("id", "text", "uri", "host", "license", "media_type", "meta")
_READ: Final = (
    *_COLUMNS, "locator.file", "provenance.parents", "provenance.depth", "provenance.root",
)  # fmt: skip
_BATCH_ROWS: Final = 256
_HASH_SEED: Final = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """How seeds are chosen; plain values."""

    where: str | None = None
    columns: tuple[str, ...] = ()
    """Labels that the recipe reads."""
    share: float | None = None
    validation_share: float | None = None
    is_labelled: bool = True
    """False for seeds that come from a file of their own."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The seeds of a part, their texts not yet read."""

    rows: npt.NDArray[np.int64]
    """int64[n]: their rows in the documents part, ascending."""
    labels: pa.Table
    """n rows: `language` and what the recipe reads."""
    reasons: Counter[str]
    """Documents that are no seeds, by reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """What the documents made of a seed inherit."""

    row: int
    """In the documents part."""
    host: str | None
    license: str | None
    depth: int
    root: bytes
    """Hash of the normalised text of its first ancestor."""


def seed_stage(where: str | None) -> Stage:
    """A stage that only has a condition.

    Raises:
        ValueError: It is no expression.
    """
    return Stage.model_validate(
        {"name": "seeds", "sequence_length": 2, "tokens": "max", "where": where}
    )


def check_where(where: str | None, columns: pa.Schema, place: str) -> None:
    """Checks the condition of seeds before any work.

    Raises:
        ConfigError: It is no expression over one document's labels, or reads others.
    """
    if where is None:
        return
    mixture = Mixture.model_construct(name="seeds", seed=0, stages=(seed_stage(where),))
    try:
        check_expressions(mixture, columns)
    except MixtureError as error:
        said = str(error).partition(".where: ")[2] or str(error)
        raise ConfigError(f"{place}.where: {said}") from error


def choose(workspace: Workspace, pins: Pins, key: PartKey, choice: Choice) -> Chosen:
    """Chooses the seeds of a part by labels alone.

    Args:
        workspace: Where they are.
        pins: The parent's documents and labels.
        key: The parent's part.
        choice: How.
    """
    ref = documents_ref(workspace, pins, key)
    reasons: Counter[str] = Counter()
    usable = np.ones(ref.rows, np.bool_)
    labels = pa.table({"_": pa.nulls(ref.rows)}).select([])
    ids = None
    if choice.is_labelled:
        labels = label_table(workspace, pins, key, columns=None, ids=True)
        ids = labels.column("id").combine_chunks()
        usable = _usable(labels, usable, reasons)
        if choice.where is not None:
            nothing = np.ones(labels.num_rows, np.int64)  # no length is asked for
            found = select(seed_stage(choice.where), labels, nothing).eligible
            usable = _keep(usable, found, WHERE_FALSE, reasons)
    else:
        batches = read_batches(workspace.storage, ref, ["id"], batch_rows=1 << 16)
        ids = pa.concat_arrays([pa.array([], pa.binary(16)), *(b.column("id") for b in batches)])
    if choice.share is not None:
        usable = _keep(usable, _in_share(ids, choice.share), NOT_IN_SHARE, reasons)
    rows = np.flatnonzero(usable).astype(np.int64)
    kept = [name for name in ("language", *choice.columns) if name in labels.column_names]
    return Chosen(rows, labels.select(kept).take(pa.array(rows)), reasons)


def documents_ref(workspace: Workspace, pins: Pins, key: PartKey) -> FileRef:
    """The documents part that seeds are read from."""
    made = workspace.ledger.get(pins.sources[key.source].documents, key.source, key.part)
    return made.file("documents")


def read_seeds(
    workspace: Workspace,
    ref: FileRef,
    chosen: Chosen,
    choice: Choice,
    takedowns: Takedowns,
    reasons: Counter[str],
) -> Iterator[tuple[Seed, Parent]]:
    """Texts of the chosen documents, in their order, read as they are asked for.

    Args:
        workspace: Where they are.
        ref: The documents part.
        chosen: Of `choose`.
        choice: How they were chosen.
        takedowns: What must be forgotten.
        reasons: Documents that turn out to be no seeds when their texts are seen are added here.
    """
    start, done = 0, 0
    labels = chosen.labels.to_pylist()
    for batch in read_batches(workspace.storage, ref, list(_READ), batch_rows=_BATCH_ROWS):
        end = int(np.searchsorted(chosen.rows, start + batch.num_rows))
        inside = chosen.rows[done:end] - start
        if len(inside):
            rows = batch.take(pa.array(inside))
            own = labels[done:end]
            yield from _seeds(rows, inside + start, own, choice, takedowns, reasons)
        start, done = start + batch.num_rows, end


def _seeds(
    rows: pa.RecordBatch,
    places: npt.NDArray[np.int64],
    labels: list[dict[str, Any]],
    choice: Choice,
    takedowns: Takedowns,
    reasons: Counter[str],
) -> Iterator[tuple[Seed, Parent]]:
    depth, root = (pc.struct_field(rows.column("provenance"), n) for n in ("depth", "root"))
    roots = root_hash_of(rows.column("text").cast(pa.large_string()), root)
    out = np.zeros(rows.num_rows, np.bool_)
    if choice.validation_share is not None:
        out = is_validation(roots, choice.validation_share)
    gone = takedowns.cover_documents(rows).to_numpy(zero_copy_only=False)
    columns = {name: rows.column(name).to_pylist() for name in _COLUMNS}
    files = pc.struct_field(rows.column("locator"), "file").to_pylist()
    for i, (level, origin) in enumerate(zip(depth.to_pylist(), roots.to_pylist(), strict=True)):
        if gone[i] or out[i]:
            reasons[TAKEN_DOWN if gone[i] else HELD_OUT] += 1
            continue
        told: Mapping[str, Any] = labels[i] if labels else {}
        seed = Seed(
            id=columns["id"][i],
            text=columns["text"][i],
            language=told.get("language"),
            uri=columns["uri"][i] or dict(columns["meta"][i] or ()).get(PARENT_URI),
            meta=dict(columns["meta"][i] or ()),
            labels=told,
            file=files[i],
        )
        yield (
            seed,
            Parent(
                row=int(places[i]),
                host=columns["host"][i],
                license=columns["license"][i],
                depth=level or 0,
                root=origin,
            ),
        )


def _usable(
    labels: pa.Table, usable: npt.NDArray[np.bool_], reasons: Counter[str]
) -> npt.NDArray[np.bool_]:
    """bool[n]: what may be a seed whatever the condition says."""
    if _ROLE in labels.column_names:
        alone = pc.is_in(labels.column(_ROLE), value_set=pa.array([ALONE, REPRESENTATIVE]))
        usable = _keep(usable, alone.to_numpy(), DUPLICATE, reasons)
    if "contaminated" in labels.column_names:
        found = labels.column("contaminated")
        usable = _keep(usable, pc.is_valid(found).to_numpy(), NOT_LABELLED, reasons)
        clean = pc.invert(found.fill_null(True)).to_numpy()
        usable = _keep(usable, clean, CONTAMINATED, reasons)
    return usable


def _keep(
    usable: npt.NDArray[np.bool_],
    found: npt.NDArray[np.bool_],
    reason: str,
    reasons: Counter[str],
) -> npt.NDArray[np.bool_]:
    lost = int((usable & ~found).sum())
    if lost:
        reasons[reason] += lost
    kept: npt.NDArray[np.bool_] = usable & found
    return kept


def _in_share(ids: pa.FixedSizeBinaryArray, share: float) -> npt.NDArray[np.bool_]:
    """bool[n]: by the last 8 bytes of the id, which is a hash already, stirred once more.

    The ids themselves would make the choice that another use of their first bytes makes.
    """
    words = id_bytes(ids)[:, 8:].copy().view("<u8").reshape(-1)
    with np.errstate(over="ignore"):
        mixed = (words ^ (words >> np.uint64(31))) * _HASH_SEED
    mixed ^= mixed >> np.uint64(29)
    chosen: npt.NDArray[np.bool_] = mixed.astype(np.float64) < share * 2.0**64
    return chosen

"""The audit's recount of a shard, of any format and packing: from the bytes of its files.

Every format is read back to the same two arrays, tokens and lengths of sequences; what the document
map says of them, and what the ledger counts, must follow from these. Over all shards of a stage, no
draw of the plan is lost (`draw_faults`).
"""

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.mix.plan import plan_folder, plan_folders, read_plan
from pipelines.shards.material import REJECTED, rejected_of
from pipelines.shards.outcome import planned_sum
from pipelines.workspace.ledger import ERASED, Entry
from pipelines.workspace.parts import read_table
from pipelines.workspace.takedown import erased_ids
from pipelines.workspace.workspace import Workspace
from token_shards.indexed_dataset import read_index
from token_shards.mds import read_mds

_NO_TOKEN: Final = -1


@dataclass(frozen=True, slots=True, eq=False)
class _Shard:
    """A shard as its files say it."""

    tokens: npt.NDArray[np.int64]
    """int64[num_tokens], of all sequences."""
    lengths: npt.NDArray[np.int64] | None
    """int64[num_sequences]; None where the format leaves that to the document map."""


def shard_faults(workspace: Workspace, entry: Entry) -> Iterator[str]:
    """Compares tokens, index, map and ledger of one shard."""
    name = f"{entry.job}@{entry.fp} {entry.source} shard {entry.part}"
    yield from (f"{name}: {fault}" for fault in _rejected_faults(entry))
    if not entry.files:
        if entry.counts["tokens"]:
            yield f"{name}: counts {entry.counts['tokens']} tokens and has no files"
        return
    try:
        shard = _READERS[entry.detail.get("format", "megatron")](workspace, entry)
    except (ValueError, pa.ArrowInvalid) as error:
        yield f"{entry.files[0].path}: {error}"
        return
    mapped = read_table(workspace.storage, entry.file("map"))
    if ERASED in entry.detail:
        gone = pc.is_in(mapped.column("id"), erased_ids(workspace.storage))
        left = _restore_ends(shard, mapped, gone.to_numpy(), entry.detail["eod_id"])
        if left:
            yield f"{entry.files[0].path}: {left} tokens of documents that were erased are there"
            return
    found = _found(shard, mapped, entry.detail["eod_id"])
    for count, number in found.items():
        if number != entry.counts.get(count, number):
            yield f"{name}: {number} {count}, and the ledger says {entry.counts[count]}"
    for fault in _map_faults(shard, mapped, entry):
        yield f"{entry.file('map').path}: {fault}"
    written = {key.tobytes().hex() for key in np.unique(_keys(mapped))}
    for one in rejected_of(entry):
        if one.id in written:
            yield f"{name}: document {one.id} was rejected ({one.reason}), and stands in the shard"


def draw_faults(workspace: Workspace, generation: str, entries: Sequence[Entry]) -> Iterator[str]:
    """Whether the shards of each stage account for all draws of their plan.

    How many draws a unit has, the plan does not say, only those of a stage and split. So stages of
    which shards are missing are left out, and so are entries of releases that did not count
    `emptied`, and shards whose plan was pruned.

    Args:
        workspace: Where the plan is.
        generation: `job@fp`; all but shards are left out.
        entries: All of it.
    """
    if not generation.startswith("shards."):
        return
    full = workspace.ledger.payload(generation)["plan"]
    folder = plan_folder(generation.partition("@")[0].removeprefix("shards."), full[:8])
    if folder not in plan_folders(workspace):
        return
    plan = read_plan(workspace, folder)
    written: dict[tuple[str, str], Counter[str]] = {}
    for entry in entries:
        own = written.setdefault((entry.source, entry.detail["split"]), Counter())
        own.update(entry.counts)
        own.update(shards=1, counted="emptied" in entry.counts)
    for (stage, split), own in sorted(written.items()):
        asked = sum(unit.split == split for unit in plan.units_of(stage))
        if not own["shards"] == own["counted"] == asked:
            continue
        sums = {name: own[name] for name in ("draws", "emptied", REJECTED)}
        planned = planned_sum(plan, stage, split, "draws")
        if sum(sums.values()) != planned:
            told = " + ".join(f"{number} {name}" for name, number in sums.items())
            yield f"{generation} {stage} {split}: {told}, and the plan has {planned} draws"


def _rejected_faults(entry: Entry) -> Iterator[str]:
    """Whether draws and reasons of rejected documents are those that are counted."""
    rejected = rejected_of(entry)
    draws, counted = sum(one.draws for one in rejected), entry.counts.get(REJECTED, 0)
    if draws != counted:
        yield f"rejected documents have {draws} draws, and the ledger counts {counted}"
    reasons, told = Counter(one.reason for one in rejected), entry.detail.get("rejects", {})
    if dict(reasons) != told:
        yield f"documents were rejected for {dict(reasons)}, and the ledger says {told}"


def _restore_ends(shard: _Shard, mapped: pa.Table, gone: npt.NDArray[np.bool_], eod: int) -> int:
    """Gives erased documents, all EOD, the form of others: one EOD, behind the last piece.

    Args:
        shard: Its tokens are changed.
        mapped: Its document map.
        gone: bool[num_pieces], those of erased documents.
        eod: The token that ends a document.

    Returns:
        Tokens of them that are not EOD; 0 where all is erased.
    """
    names = ("draw", "piece", "token_start", "token_end")
    draw, piece, start, end = (mapped.column(name).to_numpy() for name in names)
    documents = np.unique(_keys(mapped), return_inverse=True)[1]
    order = np.lexsort((piece, draw, documents))
    is_last = np.ones(len(order), bool)
    same = (documents[order][1:] == documents[order][:-1]) & (draw[order][1:] == draw[order][:-1])
    is_last[order[:-1]] = ~same
    left = 0
    for row in np.flatnonzero(gone).tolist():
        tokens = shard.tokens[start[row] : end[row]]
        left += int((tokens != eod).sum())
        tokens[: len(tokens) - is_last[row]] = _NO_TOKEN
    return left


def _found(shard: _Shard, mapped: pa.Table, eod: int) -> dict[str, int]:
    """Counts as the files say them."""
    keys = _keys(mapped)
    draw, piece, start, end = (
        mapped.column(n).to_numpy() for n in ("draw", "piece", "token_start", "token_end")
    )
    documents = np.unique(keys, return_inverse=True)[1]
    draws = np.unique(np.stack([documents, draw]), axis=1).shape[1]
    ending = shard.tokens[np.minimum(end, len(shard.tokens)) - 1] == eod
    return {
        "tokens": len(shard.tokens),
        "eod": int(ending.sum()),
        "padding": len(shard.tokens) - int((end - start).sum()),
        "pieces": len(piece),
        "draws": draws,
        "documents": int(documents.max()) + 1,
    }


def _map_faults(shard: _Shard, mapped: pa.Table, entry: Entry) -> Iterator[str]:
    """Whether map and tokens tell the same of every sequence."""
    eod, tokens = entry.detail["eod_id"], shard.tokens
    row, start, end = (mapped.column(n).to_numpy() for n in ("row", "token_start", "token_end"))
    length = entry.detail.get("sequence_length")
    lengths = shard.lengths
    packed = entry.detail.get("packing", "concat") == "best_fit"
    if packed and lengths is not None and (lengths != length).any():
        yield f"a sequence has {lengths[lengths != length][0]} tokens; packed ones have {length}"
        return
    if lengths is None:  # without packing an .npy is one row of tokens
        lengths = end - start
    first = np.cumsum(lengths) - lengths
    if len(lengths) != row[-1] + 1 or (np.diff(row) < 0).any() or (np.diff(row) > 1).any():
        yield f"it knows {row[-1] + 1} sequences, and the shard has {len(lengths)}"
        return
    opens = np.concatenate([[True], row[1:] != row[:-1]])
    begins = np.where(opens, first[row], np.concatenate([[0], end[:-1]]))
    if (start != begins).any() or (end > (first + lengths)[row]).any() or (end <= start).any():
        yield "its token ranges are not those of the sequences"
        return
    inside = np.zeros(len(tokens) + 1, np.int64)
    np.add.at(inside, start, 1)
    np.add.at(inside, end, -1)
    is_padding = np.cumsum(inside[:-1]) == 0
    if (tokens[is_padding] != eod).any():
        yield f"a token of no document is not the EOD {eod}"
    if int((tokens == eod).sum()) != int(is_padding.sum()) + int((tokens[end - 1] == eod).sum()):
        yield f"the EOD {eod} stands inside a document"
    yield from _piece_faults(mapped, tokens[end - 1] == eod, opens)
    if packed:
        yield from _repeat_faults(mapped)


def _repeat_faults(mapped: pa.Table) -> Iterator[str]:
    """A packed sequence holds a document once: no two draws of it, and no two pieces."""
    keys, row = _keys(mapped), mapped.column("row").to_numpy()
    documents = np.unique(keys, return_inverse=True)[1]
    order = np.lexsort((documents, row))
    row, documents = row[order], documents[order]
    again = np.flatnonzero((row[1:] == row[:-1]) & (documents[1:] == documents[:-1])) + 1
    if len(again):
        more = "" if len(again) == 1 else f", and so {len(again) - 1} more times in the shard"
        key = keys[order[again[0]]].tobytes().hex()
        yield f"sequence {row[again[0]]} holds document {key} twice{more}"


def _piece_faults(
    mapped: pa.Table, ends_document: npt.NDArray[np.bool_], opens: npt.NDArray[np.bool_]
) -> Iterator[str]:
    """Every draw is there whole: pieces 0 to k, of which the last alone ends with the EOD."""
    draw, piece = (mapped.column(name).to_numpy() for name in ("draw", "piece"))
    documents = np.unique(_keys(mapped), return_inverse=True)[1]
    order = np.lexsort((piece, draw, documents))
    documents, draw, piece = documents[order], draw[order], piece[order]
    begins = np.ones(len(order), bool)
    begins[1:] = (documents[1:] != documents[:-1]) | (draw[1:] != draw[:-1])
    follows = np.where(begins, 0, np.concatenate([[0], piece[:-1] + 1]))
    if (piece != follows).any():
        yield "pieces of a draw are missing or doubled"
    if (ends_document[order] != np.concatenate([begins[1:], [True]])).any():
        yield "an EOD stands behind a piece that does not end its document, or is missing"
    if not (np.concatenate([opens[1:], [True]]) | ends_document).all():
        yield "a piece that does not end its document is followed by another in its sequence"


def _keys(mapped: pa.Table) -> npt.NDArray[np.void]:
    """V16[num_pieces], ids."""
    ids = pa.concat_arrays(mapped.column("id").chunks)
    data = np.frombuffer(ids.buffers()[1], np.uint8)[16 * ids.offset :][: 16 * len(ids)]
    keys: npt.NDArray[np.void] = data.view("V16")
    return keys


def _read_megatron(workspace: Workspace, entry: Entry) -> _Shard:
    index = read_index(workspace.storage.read(entry.file("idx").path))
    data = workspace.storage.read(entry.file("bin").path)
    if index.num_bytes != len(data):
        raise ValueError(f"{len(data)} bytes, and its index is about {index.num_bytes}")
    tokens = np.frombuffer(data, index.dtype).astype(np.int64)
    if not np.array_equal(index.document_indices, np.arange(len(index.lengths) + 1)):
        raise ValueError("its index has documents of several sequences")
    return _Shard(tokens, index.lengths.astype(np.int64))


def _read_mds_file(workspace: Workspace, entry: Entry) -> _Shard:
    ids, lengths = read_mds(workspace.storage.read(entry.file("mds").path))
    return _Shard(ids.astype(np.int64), lengths)


def _read_npy(workspace: Workspace, entry: Entry) -> _Shard:
    array = np.load(io.BytesIO(workspace.storage.read(entry.file("npy").path)))
    tokens = array.reshape(-1).astype(np.int64)
    if array.ndim == 1:
        return _Shard(tokens, None)
    return _Shard(tokens, np.full(array.shape[0], array.shape[1], np.int64))


def _read_parquet(workspace: Workspace, entry: Entry) -> _Shard:
    with workspace.storage.open(entry.file("parquet").path) as file:
        table = pq.read_table(file, page_checksum_verification=True)
    column = table.column("tokens")
    tokens = [chunk.flatten().to_numpy() for chunk in column.chunks]
    lengths = [np.diff(chunk.offsets.to_numpy()) for chunk in column.chunks]
    mapped = read_table(workspace.storage, entry.file("map"))
    said = mapped.column("token_end").to_numpy() - mapped.column("token_start").to_numpy()
    if "lengths" in table.column_names:
        flat = np.concatenate([c.flatten().to_numpy() for c in table.column("lengths").chunks])
        if not np.array_equal(flat, said):
            raise ValueError("its lengths are not those of the document map")
    elif not table.select(["id", "draw", "piece"]).equals(mapped.select(["id", "draw", "piece"])):
        raise ValueError("its ids are not those of the document map")
    return _Shard(np.concatenate(tokens).astype(np.int64), np.concatenate(lengths).astype(np.int64))


_READERS = {
    "megatron": _read_megatron,
    "mds": _read_mds_file,
    "npy": _read_npy,
    "parquet": _read_parquet,
}

"""The audit's recount of validation: who is held out, by the texts themselves, and the sums."""

import json
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import zstandard

from pipelines.validation.plan import JOB, NEAR_VALIDATION, SPLITS, THRESHOLD, VALIDATION
from pipelines.validation.roots import is_validation, root_hash_of
from pipelines.validation.texts import read_documents
from pipelines.workspace.ledger import Entry, FileRef
from pipelines.workspace.parts import read_table
from pipelines.workspace.workspace import Workspace


def validation_faults(workspace: Workspace, entry: Entry) -> Iterator[str]:
    """Recounts one entry of the jobs of validation from its files and its documents."""
    if entry.job == f"{JOB}.texts":
        yield from _text_faults(workspace, entry)
    elif entry.job == f"{JOB}.items":
        yield from _item_faults(workspace, entry)
    else:
        yield from _label_faults(workspace, entry)


def _text_faults(workspace: Workspace, entry: Entry) -> Iterator[str]:
    """Hashes all documents of the part again."""
    ref = entry.file("texts")
    share = workspace.ledger.payload(f"{entry.job}@{entry.fp}")["share"]
    listed = read_table(workspace.storage, ref, ["row", "root", "text"])
    failed = listed["row"].filter(pc.is_null(listed["root"])).to_numpy()
    if len(failed) != entry.counts["failed"]:
        yield f"{ref.path}: {len(failed)} rows without hash, the ledger {entry.counts['failed']}"
    held_out = _held_out_rows(workspace, entry, share)
    kept = listed.filter(pc.is_valid(listed["root"]))
    wanted = held_out[~np.isin(held_out, failed)]
    if not np.array_equal(kept["row"].to_numpy(), wanted):
        yield f"{ref.path}: holds out {kept.num_rows} documents, and by their texts {len(wanted)}"
    if (pc.sum(pc.binary_length(kept["text"])).as_py() or 0) != entry.counts["text_bytes"]:
        yield f"{ref.path}: its texts have not the {entry.counts['text_bytes']} bytes counted"


def _held_out_rows(workspace: Workspace, entry: Entry, share: float) -> npt.NDArray[np.int64]:
    (path,) = entry.inputs
    documents = FileRef(kind="documents", path=path, sha256="", bytes=0, rows=0)
    found, first = [np.empty(0, np.int64)], 0
    columns = ["text", "provenance.root"]
    for batch in read_documents(workspace.storage, documents, columns):
        roots = pc.struct_field(batch["provenance"], "root")
        chosen = is_validation(root_hash_of(batch["text"], roots), share)
        found.append(first + np.flatnonzero(chosen))
        first += batch.num_rows
    return np.concatenate(found)


def _item_faults(workspace: Workspace, entry: Entry) -> Iterator[str]:
    """Every passage is of a text that is held out."""
    ref = entry.file("items")
    ids = read_table(workspace.storage, entry.file("held_out"), ["id"])["id"].to_pylist()
    known = {id_.hex() for id_ in ids}
    lines = zstandard.decompress(workspace.storage.read(ref.path)).splitlines()
    if len(lines) != entry.counts["items"]:
        yield f"{ref.path}: {len(lines)} lines, and the ledger counts {entry.counts['items']}"
    foreign = {json.loads(line)["id"].partition(":")[0] for line in lines} - known
    if foreign:
        yield f"{ref.path}: has passages of {len(foreign)} documents that are not held out"


def _label_faults(workspace: Workspace, entry: Entry) -> Iterator[str]:
    """Splits are what is counted, are those of the held-out texts, and follow from the scores."""
    ref = entry.file("labels")
    table = read_table(workspace.storage, ref)
    split = table["split"]
    for name in SPLITS:
        number = pc.sum(pc.equal(split, name)).as_py() or 0
        if number != entry.counts[name]:
            yield f"{ref.path}: {number} rows are {name}, and the ledger says {entry.counts[name]}"
    quoting = pc.greater(table["validation_score"], pa.scalar(np.float32(THRESHOLD)))
    wrong = pc.and_(pc.fill_null(quoting, False), pc.not_equal(split, NEAR_VALIDATION))
    if number := pc.sum(wrong).as_py():
        yield f"{ref.path}: {number} rows score above {THRESHOLD} and are not {NEAR_VALIDATION}"
    evidence = workspace.ledger.payload(f"{entry.job}@{entry.fp}")["evidence"]
    texts = workspace.ledger.find(evidence[0], entry.source, entry.part)
    if texts is None:
        return  # pruned
    listed = read_table(workspace.storage, texts.file("texts"), ["row", "root"])
    rows = listed["row"].filter(pc.is_valid(listed["root"])).to_numpy()
    if not np.array_equal(np.flatnonzero(pc.equal(split, VALIDATION).to_numpy()), rows):
        yield f"{ref.path}: its {VALIDATION} rows are not those that {evidence[0]} holds out"

"""The audit's recount of what recipes made: every document goes back to the seed that it names.

A document names its parents by id and the first of them by place; both must be the same row of the
part that it was made from, its depth that of this seed and one more where a model wrote, its root
that of this seed. Seeds with a document and rejects by reason are counted again.
"""

from collections import Counter
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.near_duplicates.groups import are_generated
from pipelines.synthesize.superseded import superseded_ids
from pipelines.validation.roots import root_hash_of
from pipelines.workspace.ledger import Entry, FileRef
from pipelines.workspace.parts import read_batches, read_table
from pipelines.workspace.schema import DOCUMENT
from pipelines.workspace.takedown import SUPERSEDED
from pipelines.workspace.workspace import Workspace

_PROVENANCE = ("kind", "parents", "depth", "root")


def synthesize_faults(workspace: Workspace, entry: Entry) -> Iterator[str]:
    """Recounts one entry from its files and the part that it was made from."""
    ref, (parent_path,) = entry.file("documents"), entry.inputs
    columns = ["locator.file", "locator.offset", *(f"provenance.{name}" for name in _PROVENANCE)]
    made = _columns(workspace, ref, columns)
    place = made.column("locator")
    files = pc.struct_field(place, "file")
    elsewhere = len(files) - (pc.sum(pc.equal(files, parent_path)).as_py() or 0)
    if elsewhere:
        yield f"{ref.path}: {elsewhere} documents name another part than {parent_path}"
        return
    rows = pc.struct_field(place, "offset")
    used = len(pc.unique(rows))
    if used != entry.counts["used"]:
        yield f"{ref.path}: {used} seeds have documents, and the ledger says {entry.counts['used']}"
    yield from _parent_faults(workspace, ref.path, parent_path, made, rows)
    listed = [one for one in entry.files if one.kind == "rejects"]
    reasons = Counter(
        reason
        for one in listed
        for reason in read_table(workspace.storage, one, ["reason"]).column(0).to_pylist()
    )
    if dict(reasons) != entry.detail["rejects"]:
        yield f"{ref.path}: rejects are {dict(reasons)}, the ledger says {entry.detail['rejects']}"


def _parent_faults(
    workspace: Workspace, path: str, parent_path: str, made: pa.Table, rows: pa.ChunkedArray
) -> Iterator[str]:
    """Holds documents against the rows that they name."""
    if not made.num_rows:
        return
    documents = FileRef(kind="documents", path=parent_path, sha256="", bytes=0, rows=0)
    columns = ["id", "text", "provenance.depth", "provenance.root"]
    seeds = _columns(workspace, documents, columns).take(rows)
    provenance = made.column("provenance").combine_chunks()
    parents = pc.struct_field(provenance, "parents")
    chief = pc.list_element(parents, 0).cast(pa.binary(16))
    wrong = pc.invert(pc.equal(chief, seeds.column("id").combine_chunks()))
    if wrong.true_count:
        yield f"{path}: {wrong.true_count} documents name another parent than the row they name"
    before = seeds.column("provenance").combine_chunks()
    one_more = pa.array(are_generated(provenance)).cast(pa.int32())
    depth = pc.struct_field(provenance, "depth")
    shallow = pc.less(depth, pc.add(pc.struct_field(before, "depth"), one_more))
    if shallow.true_count:
        yield f"{path}: {shallow.true_count} documents are less deep than what they were made of"
    texts = seeds.column("text").combine_chunks().cast(pa.large_string())
    roots = root_hash_of(texts, pc.struct_field(before, "root"))
    other = pc.invert(pc.equal(pc.struct_field(provenance, "root").cast(roots.type), roots))
    if other.true_count or pc.struct_field(provenance, "root").null_count:
        yield f"{path}: {other.true_count} documents have another root than their seed"


def _columns(workspace: Workspace, ref: FileRef, columns: list[str]) -> pa.Table:
    """Columns of a documents part, structs as structs."""
    batches = list(read_batches(workspace.storage, ref, columns))
    if batches:
        return pa.Table.from_batches(batches)
    names = {name.split(".")[0] for name in columns}
    return pa.schema([field for field in DOCUMENT if field.name in names]).empty_table()


def superseded_faults(workspace: Workspace, entry: Entry) -> Iterator[str]:
    """Marks the documents of a part again."""
    labels = read_table(workspace.storage, entry.file("labels"))
    payload = workspace.ledger.payload(f"{entry.job}@{entry.fp}")
    ids = superseded_ids(
        workspace, payload["documents"], payload["refined"], entry.source, entry.part
    )
    marks = pc.is_in(labels.column("id"), value_set=ids)
    if marks.combine_chunks() != labels.column(SUPERSEDED).combine_chunks():
        yield f"{entry.file('labels').path}: what it marks is not what has a better form"

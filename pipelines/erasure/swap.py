"""How an erasure puts the new in the place of the old, and goes on after a kill.

    1  new files are written beside the old, under the hashes of their content   (orphans)
    2  `erasing.parquet` is created: all that is to be put in place              (the turning point)
    3  the entry of this erasure is committed, with the ids
    4  each ledger entry is put in the place of the old one, each fold is made anew,
       and the few files that have no hash in their names (inventory, index.json) are replaced
    5  what no entry names any more is deleted: the old files, answers, reports, drafts, orphans
    6  `erasing.parquet` is deleted

Killed before 2, the workspace is as it was, with some orphans that nobody reads, and `erase` begins
anew. Killed after 2, the same command goes on from 3: every step is the same when it is done twice.
Nothing that 4 puts in place needs a file that 5 deletes, and nothing that stands between 2 and 4
lacks one. While `erasing.parquet` is there, an entry may name a file whose documents entry names
another, so nothing but `erase` may work on the workspace (`refuse_unfinished`).

The plan of an erasure holds ids, paths and hashes, no text and no address.
"""

import io
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.workspace.ledger import entry_from_json
from pipelines.workspace.storage import Storage
from pipelines.workspace.takedown import ERASURES
from pipelines.workspace.workspace import Workspace

PLAN: Final = "erasing.parquet"
ERASE: Final = "erase"
ENTRY: Final = "entry"
FILE: Final = "file"
REMOVE: Final = "remove"
_SCHEMA: Final = pa.schema(
    [
        pa.field("action", pa.string(), nullable=False),  # erase | entry | file | remove
        pa.field("path", pa.string(), nullable=False),
        pa.field("data", pa.binary()),  # what is to stand there; null of what is removed
    ]
)
# Folders whose files are part of a result only if an entry names them.
_DATA: Final = (
    "clusters",
    "documents",
    "erasures",
    "fetches",
    "frontier",
    "labels",
    "links",
    "mixtures",
    "pages",
    "raw",
    "rejects",
    "samples",
    "shards",
    "validation",
)
_DRAFTS: Final = "tmp"
_UNNAMED: Final = ("/plan.json",)


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that is put in place, or removed."""

    action: str
    path: str
    data: bytes | None = None


def is_unfinished(storage: Storage) -> bool:
    """Whether an erasure was killed after its turning point."""
    return storage.exists(PLAN)


def refuse_unfinished(storage: Storage) -> None:
    """Refuses to work on a workspace whose erasure was killed half-way.

    Raises:
        ValueError: It was.
    """
    if is_unfinished(storage):
        raise ValueError(
            f"an erasure of this workspace was interrupted ({PLAN} is there); give `tokenmill erase"
            " WORKSPACE --yes` again: it goes on where it was"
        )


def begin(storage: Storage, actions: Sequence[Action]) -> None:
    """Passes the turning point.

    Raises:
        ValueError: Another erasure did.
    """
    columns = [[getattr(one, name) for one in actions] for name in _SCHEMA.names]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, _SCHEMA, strict=True)]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(arrays, schema=_SCHEMA), sink, compression="zstd")
    if not storage.create(PLAN, sink.getvalue()):
        refuse_unfinished(storage)


def finish(workspace: Workspace) -> None:
    """Does what the plan says; as often as it takes."""
    storage, ledger = workspace.storage, workspace.ledger
    actions = list(_read(storage))
    for one in _some(actions, ERASE):
        ledger.declare(ERASURES)
        storage.create(one.path, one.data or b"")
    for one in _some(actions, ENTRY):
        ledger.replace(entry_from_json(one.data or b"", one.path))
    for one in _some(actions, FILE):
        storage.replace(one.path, one.data or b"")
    for name in sorted({one.path.split("/")[1] for one in _some(actions, ENTRY)}):
        ledger.fold(name)
    ledger.fold(ERASURES)
    for one in _some(actions, REMOVE):
        if storage.exists(one.path):
            storage.remove(one.path)
    for path in unnamed_files(workspace):
        storage.remove(path)
    for draft in storage.drafts():
        if draft.is_dir():
            shutil.rmtree(draft)
        else:
            draft.unlink()
    storage.remove(PLAN)


def unnamed_files(workspace: Workspace) -> list[str]:
    """Files that no entry names, drafts among them."""
    storage, ledger = workspace.storage, workspace.ledger
    named = {
        ref.path
        for name in ledger.generations()
        for entry in ledger.entries(name)
        for ref in entry.files
    }
    found = [path for folder in _DATA for path in storage.files(folder)]
    kept = [path for path in found if path in named or path.endswith(_UNNAMED)]
    return sorted({*found, *storage.files(_DRAFTS)} - {*kept})


def _read(storage: Storage) -> Iterator[Action]:
    table = pq.read_table(io.BytesIO(storage.read(PLAN)))
    for row in table.to_pylist():
        yield Action(**row)


def _some(actions: Iterable[Action], kind: str) -> Iterator[Action]:
    return (one for one in actions if one.action == kind)

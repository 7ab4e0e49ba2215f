"""The items: passages of all held-out texts, in one file, and who they are of.

The file is JSON Lines with `id` (of the document, a colon, number of the passage in the file) and
`text`, so it is a benchmark like any other: `benchmarks:` of another corpus.yaml can name it. Of a
cluster of duplicates one held-out text is cut: its representative, else the smallest id. A text
that joins that cluster is a copy already; cutting all its revisions would only make their n-grams
common, which the index leaves out.

Equations: passages = items + too short + repeated + repetitive; items = indexed + common.
"""

import json
import tempfile
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import zstandard

from annotators.contamination.annotator import Contamination
from pipelines.validation.plan import ALL, JOB, ValidationPlan
from pipelines.validation.texts import TEXTS, texts_entries
from pipelines.validation.windows import Windows
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import PartKey, entry_of
from pipelines.workspace.ledger import Entry, FileRef, Stopwatch
from pipelines.workspace.parts import PartFile, publish_file, read_table
from pipelines.workspace.schema import ID
from pipelines.workspace.storage import Storage
from pipelines.workspace.workspace import Workspace

MAX_TEXT_BYTES: Final = 32 << 20
"""Text that may be held out, about 8 million tokens. Every process that searches holds the index of
its passages: 37 bytes a word, so 0.2 GB for English and 0.4 GB for Chinese, and three times that
for the seconds in which it is made."""

HELD_OUT: Final = pa.schema([pa.field("id", ID, nullable=False), pa.field("cluster", ID)])
"""Every held-out document of a corpus, by id."""

_FIELD: Final = "text"
_ZSTD_LEVEL: Final = 3
_ROWS: Final = 256  # texts that are cut at a time


def make_items(workspace: Workspace, plan: ValidationPlan) -> Generation:
    """Cuts all held-out texts into passages and commits them, unless that is done.

    Raises:
        ValueError: More text is held out than can be looked for.
    """
    generation = plan.items(workspace)
    if workspace.ledger.find(generation, ALL, 0) is not None:
        return generation
    watch = Stopwatch()
    entries = texts_entries(workspace, plan)
    _check_size(entries, plan.share)
    table = pa.concat_tables(
        [TEXTS.empty_table()]
        + [read_table(workspace.storage, entry.file("texts")) for entry in entries]
    )
    held_out = table.filter(pc.is_valid(table["text"])).sort_by([("id", "ascending")])
    cut = one_of_each_cluster(held_out)
    windows = Windows()
    for start in range(0, cut.num_rows, _ROWS):
        windows.add(cut["text"].slice(start, _ROWS).combine_chunks(), start)
    ids = cut["id"].to_pylist()
    names = [f"{ids[owner].hex()}:{number}" for number, owner in enumerate(windows.owners)]
    files = (
        _publish_items(workspace.storage, generation, names, windows.texts),
        _publish_held_out(workspace.storage, generation, held_out.select(HELD_OUT.names)),
    )
    counts = {"held_out": held_out.num_rows, "cut": cut.num_rows, "words": windows.words}
    counts |= windows.left_out
    counts["passages"] = len(windows.texts) + sum(windows.left_out.values())
    counts |= _index_counts(workspace.storage, files[0])
    workspace.ledger.declare(generation)
    key = PartKey(ALL, 0)
    workspace.ledger.commit(entry_of(generation, key, files=files, counts=counts, watch=watch))
    workspace.ledger.fold(generation)
    return generation


def one_of_each_cluster(held_out: pa.Table) -> pa.Table:
    """One text of each cluster of duplicates, and each record once.

    Args:
        held_out: TEXTS rows by id.

    Returns:
        Some of them, in the same order.
    """
    ids, clusters = held_out["id"].to_pylist(), held_out["cluster"].to_pylist()
    chosen: dict[bytes, int] = {}
    for row, (id_, cluster) in enumerate(zip(ids, clusters, strict=True)):
        place = cluster or id_
        if place not in chosen or (id_ == cluster and ids[chosen[place]] != cluster):
            chosen[place] = row
    return held_out.take(pa.array(sorted(chosen.values()), pa.int64()))


def _check_size(entries: Iterable[Entry], share: float) -> None:
    num_bytes = sum(entry.counts["text_bytes"] for entry in entries)
    if num_bytes > MAX_TEXT_BYTES:
        fits = share * MAX_TEXT_BYTES / num_bytes * 0.9
        raise ValueError(
            f"validation.share: {share:g} holds out {num_bytes >> 20:,} MiB of text, and at most "
            f"{MAX_TEXT_BYTES >> 20} MiB can be looked for in all others; write {fits:.1g} or less"
        )


def _publish_items(
    storage: Storage, generation: Generation, names: list[str], texts: list[str]
) -> FileRef:
    lines = (
        json.dumps({"id": name, _FIELD: text}, ensure_ascii=False) + "\n"
        for name, text in zip(names, texts, strict=True)
    )
    draft = storage.scratch(".jsonl.zst")
    draft.write_bytes(zstandard.compress("".join(lines).encode(), _ZSTD_LEVEL))
    stem = f"validation/{generation.name}/part-00000"
    return publish_file(storage, draft, kind="items", stem=stem, rows=len(names))


def _publish_held_out(storage: Storage, generation: Generation, table: pa.Table) -> FileRef:
    with PartFile(storage, HELD_OUT) as file:
        for batch in table.cast(HELD_OUT).to_batches():
            file.write(batch)
        return file.publish("held_out", f"validation/{generation.name}", 0)


def _index_counts(storage: Storage, items: FileRef) -> dict[str, int]:
    """What of the items can be found."""
    if not items.rows:
        return {"items": 0, "indexed": 0, "common": 0}
    try:
        (facts,) = _load(storage, items.path).index_facts()
    except ValueError:  # the one way in which a whole file of ours fails: all of it is common
        return {"items": items.rows, "indexed": 0, "common": items.rows}
    return {"items": facts.items, "indexed": facts.indexed, "common": facts.common}


@lru_cache(maxsize=1)
def searcher(url: str, path: str) -> Contamination:
    """The index of all items, made once a process; of one workspace at a time.

    Args:
        url: Of the workspace.
        path: Of the items in it; empty where nothing can be found.
    """
    return _load(Workspace(url).storage, path) if path else Contamination()


def _load(storage: Storage, path: str) -> Contamination:
    """Reads and indexes the items.

    Raises:
        ValueError: Nothing of them can be found.
    """
    if storage.is_local:
        return index_passages(Path(storage.path(path)))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / Path(path).name
        copy.write_bytes(storage.read(path))
        return index_passages(copy)


def index_passages(path: Path) -> Contamination:
    """Indexes a file of passages: JSON Lines with `id` and `text`, plain or packed."""
    option = {"name": JOB, "path": str(path), "kind": "math", "question": [_FIELD]}
    annotator = Contamination(benchmarks=[option])
    annotator.index()
    return annotator

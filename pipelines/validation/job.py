"""The labels job: which split each document of a part belongs to.

- `validation`: held out by the hash of its root ancestor (`roots`), whatever it quotes.
- `near_validation`: quotes more than 0.6 of a passage of a held-out text (`windows`), or is in the
  same cluster of duplicates as one; or its text could not be searched, in which case it is listed
  among the rejects too. It would teach a model what the validation loss is to measure.
- `train`: all others.

Equations: documents = rows = train + validation + near validation, with the ids of the documents in
their order.
"""

import functools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.validation.items import searcher
from pipelines.validation.plan import (
    ALL,
    JOB,
    LABELS,
    NEAR_VALIDATION,
    SPLITS,
    THRESHOLD,
    TRAIN,
    VALIDATION,
    ValidationPlan,
)
from pipelines.validation.texts import cut, publish_rejects, read_documents, rejected
from pipelines.workspace.children import Children
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import METER, PartKey, entry_of
from pipelines.workspace.ledger import Entry, FileRef, Stopwatch
from pipelines.workspace.parts import PartFile, batch_of, labels_folder, read_table
from pipelines.workspace.schema import ID
from pipelines.workspace.workspace import Workspace

_FOUND: Final = pa.schema(
    [
        pa.field("id", ID, nullable=False),
        pa.field("score", pa.float32()),
        pa.field("document", ID),
        pa.field("failed", pa.string()),  # reason and message
    ]
)


class Known(NamedTuple):
    """What is known of the rows of a part before their texts are read."""

    held_out: npt.NDArray[np.bool_]
    """`bool[n]`."""
    unhashed: npt.NDArray[np.bool_]
    """The hash of the text could not be computed: `bool[n]`."""
    relative: pa.Array
    """Held-out document in the same cluster of duplicates, null where there is none: `ID[n]`."""


@dataclass(frozen=True)
class ValidationJob:
    """Labels the documents of a part."""

    plan: ValidationPlan
    items: Generation
    """Passages of all held-out texts."""

    @property
    def generations(self) -> tuple[Generation, ...]:
        """One."""
        return (self.plan.labels(self.items),)

    def run(self, workspace: Workspace, key: PartKey, children: Children) -> None:
        """Searches the texts of a part and commits its labels."""
        watch, (generation,) = Stopwatch(), self.generations
        items = workspace.ledger.get(self.items, ALL, 0)
        generation_of_texts = self.plan.documents[key.source]
        documents = workspace.ledger.get(generation_of_texts, key.source, key.part)
        file = documents.file("documents")
        part = self._known(workspace, key, items)
        path = items.file("items").path if items.counts["indexed"] else ""
        search = functools.partial(search_rows, url=workspace.url, path=path)
        rejects: list[dict[str, Any]] = []
        counts = dict.fromkeys((*SPLITS, "quoting", "same_cluster"), 0)
        start = 0
        with PartFile(workspace.storage, LABELS) as labels:
            batches = _texts_to_search(workspace, file, part)
            for found in children.map(search, batches, _failed_row):
                some = Known(*(column[start : start + found.num_rows] for column in part))
                labels.write(label_rows(found, some, counts))
                rejects += rejected(found)
                start += found.num_rows
                METER.add(JOB, found.num_rows)
            folder = labels_folder(JOB, generation.fp, key.source)
            files = [labels.publish("labels", folder, key.part)]
        files += publish_rejects(workspace.storage, generation, key, rejects)
        counts |= {"documents": documents.counts["documents"], "rows": files[0].rows}
        counts["failed"] = len(rejects)
        workspace.ledger.commit(
            entry_of(
                generation,
                key,
                files=tuple(files),
                counts=counts,
                watch=watch,
                detail={"values": {"split": {name: counts[name] for name in SPLITS}}},
                inputs=(file.path,),
            )
        )

    def _known(self, workspace: Workspace, key: PartKey, items: Entry) -> Known:
        ledger, storage = workspace.ledger, workspace.storage
        duplicates = ledger.get(self.plan.duplicates, key.source, key.part).file("labels")
        clusters = read_table(storage, duplicates, ["cluster"])["cluster"].combine_chunks()
        texts = ledger.get(self.plan.texts, key.source, key.part).file("texts")
        chosen = read_table(storage, texts, ["row", "root"])
        rows = chosen["row"].to_numpy()
        is_hashed = pc.is_valid(chosen["root"]).to_numpy()
        masks = []
        for some in (rows[is_hashed], rows[~is_hashed]):
            mask = np.zeros(len(clusters), np.bool_)
            mask[some] = True
            masks.append(mask)
        held_out = read_table(storage, items.file("held_out"))
        return Known(masks[0], masks[1], _relatives(clusters, held_out))


def what_was_held_out(workspace: Workspace, labels: Generation) -> str:
    """One line of what the labels of all parts say."""
    total: Counter[str] = Counter()
    for entry in workspace.ledger.entries(labels):
        total.update(entry.counts)
    if not total[VALIDATION]:
        return (
            f"note: no text of {total['documents']:,} documents is held out; for a validation set "
            "raise validation.share"
        )
    return (
        f"validation: {total[VALIDATION]:,} of {total['documents']:,} documents are held out, and "
        f"{total[NEAR_VALIDATION]:,} leave training with them ({total['quoting']:,} quote one, "
        f"{total['same_cluster']:,} more are near-duplicates of one)"
    )


def _relatives(clusters: pa.Array, held_out: pa.Table) -> pa.Array:
    """The held-out document of the smallest id in the cluster of each row."""
    some = held_out.filter(pc.is_valid(held_out["cluster"])).combine_chunks()
    # `index_in` gives the first of equal values, and `held_out` is sorted by id.
    found = pc.index_in(clusters, value_set=some["cluster"].combine_chunks())
    return some["id"].combine_chunks().take(found)


def _texts_to_search(
    workspace: Workspace, documents: FileRef, part: Known
) -> Iterator[pa.RecordBatch]:
    """Ids and texts of a part; texts that are held out need no search, and are left empty."""
    start = 0
    empty = pa.scalar("", pa.large_string())
    for batch in read_documents(workspace.storage, documents, ["id", "text"]):
        is_held_out = pa.array(part.held_out[start : start + batch.num_rows])
        texts = pc.if_else(is_held_out, empty, batch["text"])
        start += batch.num_rows
        yield from cut(pa.RecordBatch.from_pydict({"id": batch["id"], "text": texts}))


def search_rows(batch: pa.RecordBatch, *, url: str, path: str) -> pa.RecordBatch:
    """Looks for passages of held-out texts; runs in a child process.

    Args:
        batch: `id` and `text`.
        url: Of the workspace.
        path: Of the items; empty where nothing can be found.

    Returns:
        Rows of `id`, `score` (0 where nothing is shared), and of which `document`.
    """
    found = searcher(url, path)(batch["text"], {})
    names = found["benchmark_item"].to_pylist()
    documents = [name and bytes.fromhex(name.partition(":")[0]) for name in names]
    columns = [batch["id"], found["contamination_score"], pa.array(documents, ID)]
    columns.append(pa.nulls(batch.num_rows, pa.string()))
    return pa.RecordBatch.from_arrays(columns, schema=_FOUND)


def _failed_row(record: pa.RecordBatch, reason: str, message: str) -> pa.RecordBatch:
    return batch_of([{"id": record["id"][0].as_py(), "failed": f"{reason}\n{message}"}], _FOUND)


def label_rows(found: pa.RecordBatch, part: Known, counts: dict[str, int]) -> pa.RecordBatch:
    """Decides, and counts what it decides.

    Args:
        found: What each text quotes.
        part: What is known of the same rows otherwise.
        counts: Added to: rows by split, and why rows are near validation.
    """
    scores = found["score"]
    quotes = pc.fill_null(pc.greater(scores, np.float32(THRESHOLD)), False).to_numpy(False)
    unknown = part.unhashed | pc.is_valid(found["failed"]).to_numpy(False)
    is_relative = pc.is_valid(part.relative).to_numpy(False)
    split = np.full(found.num_rows, TRAIN, object)
    split[quotes | is_relative | unknown] = NEAR_VALIDATION
    split[part.held_out] = VALIDATION
    for name in SPLITS:
        counts[name] += int((split == name).sum())
    counts["quoting"] += int((quotes & ~part.held_out).sum())
    counts["same_cluster"] += int((is_relative & ~quotes & ~part.held_out).sum())
    held_out = pa.array(part.held_out)
    relative = pc.if_else(pa.array(is_relative & ~quotes), part.relative, found["document"])
    return pa.RecordBatch.from_arrays(
        [
            found["id"],
            pa.array(split, pa.string()),
            pc.if_else(held_out, pa.scalar(None, pa.float32()), scores),
            pc.if_else(held_out, pa.scalar(None, ID), relative),
        ],
        schema=LABELS,
    )

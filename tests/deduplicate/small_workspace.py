"""A workspace whose documents are signed, and a duplicate search by brute force beside it.

Documents are written and signed here as the extract and annotate jobs commit them, so that tests of
deduplication choose ids, parts and texts, and run no other stage.
"""

import hashlib
import itertools
import random
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from annotators.annotator import Annotator
from annotators.text.shingles import jaccards, shingle_sets
from pipelines.deduplicate.plan import LEVELS, DuplicatesPlan, plan_duplicates
from pipelines.deduplicate.signatures import Signatures
from pipelines.deduplicate.transform import steps
from pipelines.near_duplicates.signatures import MinHash
from pipelines.run import run_transform
from pipelines.workspace.children import Limits
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import PartKey, entry_of
from pipelines.workspace.ledger import FileRef, Stopwatch
from pipelines.workspace.parts import (
    PartFile,
    batch_of,
    documents_folder,
    labels_folder,
    read_table,
)
from pipelines.workspace.schema import DOCUMENT
from pipelines.workspace.workspace import Workspace

LIMITS = Limits(processes=1)
SENTENCES = (
    "The tide clock in the harbour is wrong by a quarter of an hour and nobody minds at all",
    "Часы у причала спешат на четверть часа и никто на это давно не обращает внимания",
    "Το ρολόι του λιμανιού πάει μπροστά ένα τέταρτο και κανείς δεν ενοχλείται από αυτό",
    "बंदरगाह की घड़ी पंद्रह मिनट आगे चलती है और किसी को फ़र्क नहीं पड़ता",
)
CHINESE = "港口的潮汐钟快了一刻钟但没有人在意渔夫们按太阳和潮水出海回来时看不看它都一样"

Row = tuple[bytes, str] | tuple[bytes, str, dict[str, Any]]
Documents = Mapping[PartKey, Sequence[Row]]
"""Part -> (id, text) of each row, and other columns of DOCUMENT, where they are not null."""


def id_of(name: object) -> bytes:
    return hashlib.blake2b(repr(name).encode(), digest_size=16).digest()


def versions(num_originals: int, seed: int) -> list[str]:
    """Texts in five scripts, some of them copied, some edited a little and some a lot."""
    chance = random.Random(seed)
    texts = []
    for number in range(num_originals):
        if number % 5 == 4:
            units, glue = list(CHINESE * 3), ""
        else:
            units, glue = SENTENCES[number % 5].split() * 8, " "
        chance.shuffle(units)
        texts.append(glue.join(units))
        for edits in chance.choice([[], [0], [1], [1, 1, 2, 0], [3, 6], [12]]):
            edited = units.copy()
            for position in chance.sample(range(len(units)), edits):
                edited[position] = chance.choice(["alpha", "βήτα", "钟"])
            texts.append(glue.join(edited))
    chance.shuffle(texts)
    return texts


def in_parts(texts: Sequence[str], sizes: Sequence[int]) -> Documents:
    """Two sources, whose parts take turns; the id of a row is that of its number."""
    parts: dict[PartKey, list[tuple[bytes, str]]] = {}
    rows = [(id_of(number), text) for number, text in enumerate(texts)]
    places = itertools.cycle(sizes)
    number = itertools.count()
    while rows:
        index, size = next(number), next(places)
        parts[PartKey("ab"[index % 2], index // 2)], rows = rows[:size], rows[size:]
    return parts


def signed_workspace(folder: Path, documents: Documents) -> Workspace:
    """Commits documents, `signatures` and `minhash`."""
    workspace = Workspace.create(str(folder))
    for key, rows in documents.items():
        made = extract_of(key.source)
        table = batch_of([_document(key.source, row) for row in rows], DOCUMENT)
        ref = _publish(workspace, table, "documents", documents_folder(key.source, made.fp), key)
        counts = {"records": len(rows), "documents": len(rows), "rejects": 0, "not_asked": 0}
        _commit(workspace, made, key, ref, counts)
        for annotator in (Signatures(), MinHash()):
            commit_labels_of(workspace, key, annotator, table, ref)
    return workspace


def _document(source: str, row: Row) -> dict[str, Any]:
    id_, text, *others = row
    kept = {"provenance": {"kind": "natural", "depth": 0}, **(others[0] if others else {})}
    known = {"id": id_, "text": text, "source": source, "extractor": "by hand", "locator": {}}
    return {**known, **kept}


def commit_labels_of(
    workspace: Workspace, key: PartKey, annotator: Annotator, table: pa.RecordBatch, ref: FileRef
) -> None:
    """Labels one part as the annotate job does."""
    made = annotator(table.column("text"), {})
    labels = pa.record_batch(
        [table.column("id"), *made.columns],
        schema=pa.schema([table.schema.field("id"), *made.schema]),
    )
    generation = generation_of(annotator.name, key.source)
    folder = labels_folder(annotator.name, generation.fp, key.source)
    signed = _publish(workspace, labels, "labels", folder, key)
    counts = {"documents": table.num_rows, "rows": table.num_rows, "failed": 0}
    _commit(workspace, generation, key, signed, counts, inputs=(ref.path,))


def _commit(
    workspace: Workspace,
    generation: Generation,
    key: PartKey,
    ref: FileRef,
    counts: dict[str, int],
    inputs: tuple[str, ...] = (),
) -> None:
    watch = Stopwatch()
    entry = entry_of(generation, key, files=(ref,), counts=counts, watch=watch, inputs=inputs)
    workspace.ledger.declare(generation)
    workspace.ledger.commit(entry)


def extract_of(source: str) -> Generation:
    return Generation(job="extract", payload={"source": source})


def generation_of(labels: str, source: str) -> Generation:
    return Generation(job=f"annotate.{labels}", payload={"source": source})


def _publish(
    workspace: Workspace, batch: pa.RecordBatch, kind: str, folder: str, key: PartKey
) -> FileRef:
    with PartFile(workspace.storage, batch.schema) as file:
        file.write(batch)
        return file.publish(kind, folder, key.part)


def plan_of(
    workspace: Workspace, documents: Documents, levels: Sequence[str] = LEVELS
) -> DuplicatesPlan:
    sources = sorted({key.source for key in documents})
    signatures, minhash = (
        {source: generation_of(labels, source) for source in sources}
        for labels in ("signatures", "minhash")
    )
    extract = {source: extract_of(source) for source in sources}
    plan = plan_duplicates(workspace, signatures, minhash, extract=extract, levels=levels)
    for generation in plan.generations:
        workspace.ledger.declare(generation)
    return plan


def deduplicate(
    workspace: Workspace,
    documents: Documents,
    memory_bytes: int = 1 << 30,
    levels: Sequence[str] = LEVELS,
) -> DuplicatesPlan:
    """Runs all that is missing, as the driver does."""
    plan = plan_of(workspace, documents, levels)
    for transform in steps(workspace, plan, sorted(documents), LIMITS, memory_bytes):
        run_transform(transform, ())
    return plan


def labels(workspace: Workspace, plan: DuplicatesPlan) -> dict[tuple[bytes, str], dict[str, Any]]:
    """(id, role) -> label, of all parts."""
    rows = rows_of(workspace, plan.labels)
    return {(row["id"], row["duplicate_role"]): row for row in rows}


def rows_of(workspace: Workspace, generation: Generation) -> list[dict[str, Any]]:
    """All rows of a labels set, by source, part and row."""
    return [
        row
        for entry in workspace.ledger.entries(generation)
        for row in read_table(workspace.storage, entry.file("labels")).to_pylist()
    ]


class OneAfterTheOther(beam.DoFn):
    """Several DoFns as one that takes (position of the DoFn, its element)."""

    def __init__(self, dofns: Sequence[beam.DoFn]) -> None:
        self._dofns = list(dofns)

    def __setattr__(self, name: str, value: object) -> None:
        """Moves all of them to another workspace, as the adversary does with one."""
        if name == "_workspace":
            for dofn in self._dofns:
                dofn._workspace = value
        else:
            object.__setattr__(self, name, value)

    def process(self, element: tuple[int, Any]) -> Iterator[object]:
        """Whatever that DoFn gives."""
        number, given = element
        yield from self._dofns[number].process(given)


def normal_form(text: str) -> str:
    """What two copies share that differ in case, spacing or punctuation; else the text itself."""
    kept = [c for c in text if unicodedata.category(c)[0] != "P"]
    folded = [c.casefold() if len(c.casefold()) == 1 else c for c in kept]
    return " ".join("".join(folded).split()) or f"only {text!r}"


def rows_in(documents: Documents) -> list[tuple[bytes, str]]:
    """(id, text) of all rows, sorted."""
    return sorted((row[0], row[1]) for part in documents.values() for row in part)


def expected_labels(
    documents: Documents, threshold: float | None = 0.8
) -> dict[tuple[bytes, str], dict[str, Any]]:
    """What the labels must be, from all pairs of texts; without near-duplicates for None."""
    rows = rows_in(documents)
    first: dict[str, tuple[bytes, str]] = {}  # normalised form -> its first row
    for id_, text in rows:
        first.setdefault(normal_form(text), (id_, text))
    head = _heads(
        [text for _, text in first.values()], [id_ for id_, _ in first.values()], threshold
    )
    sizes: dict[str, int] = {}
    for _, text in rows:
        joined = normal_form(head[first[normal_form(text)][1]][0])
        sizes[joined] = sizes.get(joined, 0) + 1
    expected = {}
    for number, (id_, text) in enumerate(rows):
        own_id, own = first[normal_form(text)]
        joined, jaccard = head[own]
        role, level = ("near_duplicate", "near") if joined != own else ("representative", None)
        if own_id != id_ or rows.index((id_, text)) != number:
            role = "repeated_record" if number and rows[number - 1][0] == id_ else "duplicate"
            level = "bytes" if text == own else "text"
        alone = sizes[normal_form(joined)] == 1
        label = {
            "id": id_,
            "cluster": None if alone else first[normal_form(joined)][0],
            "cluster_size": sizes[normal_form(joined)],
            "duplicate_role": "alone" if alone else role,
            "duplicate_level": None if alone else level,
            "jaccard": None if alone or level == "text" else jaccard,
        }
        expected[id_, str(label["duplicate_role"])] = label
    return expected


def _heads(
    texts: list[str], ids: list[bytes], threshold: float | None
) -> dict[str, tuple[str, float]]:
    """Distinct text -> the one that represents it, and their Jaccard."""
    if threshold is None:
        return {text: (text, 1.0) for text in texts}
    sets = shingle_sets(pa.array(texts, pa.large_string()))
    size = np.diff(sets.offsets)
    order = sorted(range(len(texts)), key=lambda t: (-size[t], ids[t]))
    head: dict[str, tuple[str, float]] = {}
    for text in order:
        heads = np.array(
            [other for other in order if head.get(texts[other], ("",))[0] == texts[other]]
        )
        found = jaccards(sets, heads.astype(np.int64), np.full(len(heads), text))
        similar = np.flatnonzero(found >= threshold)
        if len(similar):
            head[texts[text]] = (texts[heads[similar[0]]], float(np.float32(found[similar[0]])))
        else:
            head[texts[text]] = (texts[text], 1.0)
    return head

"""A workspace whose documents are signed, and a duplicate search by brute force beside it.

Documents are written and signed here as the extract and annotate jobs commit them, so that tests of
deduplication choose ids, parts and texts, and run no other stage.
"""

import hashlib
import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from annotators.text.shingles import jaccards, shingle_sets
from pipelines.deduplicate.plan import DuplicatesPlan, plan_duplicates
from pipelines.deduplicate.signatures import Signatures
from pipelines.deduplicate.transform import steps
from pipelines.near_duplicates.signatures import MinHash
from pipelines.run import run_transform
from pipelines.workspace.children import Limits
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import PartKey, entry_of
from pipelines.workspace.ledger import FileRef, Stopwatch
from pipelines.workspace.parts import PartFile, documents_folder, labels_folder, read_table
from pipelines.workspace.workspace import Workspace

LIMITS = Limits(processes=1)
SENTENCES = (
    "The tide clock in the harbour is wrong by a quarter of an hour and nobody minds at all",
    "Часы у причала спешат на четверть часа и никто на это давно не обращает внимания",
    "Το ρολόι του λιμανιού πάει μπροστά ένα τέταρτο και κανείς δεν ενοχλείται από αυτό",
    "बंदरगाह की घड़ी पंद्रह मिनट आगे चलती है और किसी को फ़र्क नहीं पड़ता",
)
CHINESE = "港口的潮汐钟快了一刻钟但没有人在意渔夫们按太阳和潮水出海回来时看不看它都一样"

Documents = Mapping[PartKey, Sequence[tuple[bytes, str]]]
"""Part -> (id, text) of each row."""


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
        texts = pa.array([text for _, text in rows], pa.large_string())
        ids = pa.array([id_ for id_, _ in rows], pa.binary(16))
        fields = [("id", pa.binary(16)), ("text", pa.large_string())]
        table = pa.record_batch([ids, texts], schema=pa.schema(fields))
        ref = _publish(workspace, table, "documents", documents_folder(key.source, "0" * 8), key)
        for annotator in (Signatures(), MinHash()):
            made = annotator(texts, {})
            labels = pa.record_batch(
                [ids, *made.columns], schema=pa.schema([table.schema.field("id"), *made.schema])
            )
            generation = generation_of(annotator.name, key.source)
            folder_name = labels_folder(annotator.name, generation.fp, key.source)
            signed = _publish(workspace, labels, "labels", folder_name, key)
            counts = {"documents": len(rows), "rows": len(rows), "failed": 0}
            entry = entry_of(
                generation,
                key,
                files=(signed,),
                counts=counts,
                watch=Stopwatch(),
                inputs=(ref.path,),
            )
            workspace.ledger.declare(generation)
            workspace.ledger.commit(entry)
    return workspace


def generation_of(labels: str, source: str) -> Generation:
    return Generation(job=f"annotate.{labels}", payload={"source": source})


def _publish(
    workspace: Workspace, batch: pa.RecordBatch, kind: str, folder: str, key: PartKey
) -> FileRef:
    with PartFile(workspace.storage, batch.schema) as file:
        file.write(batch)
        return file.publish(kind, folder, key.part)


def plan_of(workspace: Workspace, documents: Documents) -> DuplicatesPlan:
    sources = sorted({key.source for key in documents})
    signatures, minhash = (
        {source: generation_of(labels, source) for source in sources}
        for labels in ("signatures", "minhash")
    )
    plan = plan_duplicates(workspace, signatures, minhash)
    for generation in plan.generations:
        workspace.ledger.declare(generation)
    return plan


def deduplicate(
    workspace: Workspace, documents: Documents, memory_bytes: int = 1 << 30
) -> DuplicatesPlan:
    """Runs all that is missing, as the driver does."""
    plan = plan_of(workspace, documents)
    for transform in steps(workspace, plan, sorted(documents), LIMITS, memory_bytes):
        run_transform(transform, ())
    return plan


def labels(workspace: Workspace, plan: DuplicatesPlan) -> dict[tuple[bytes, str], dict[str, Any]]:
    """(id, role) -> label, of all parts."""
    rows = [
        row
        for entry in workspace.ledger.entries(plan.labels)
        for row in read_table(workspace.storage, entry.file("labels")).to_pylist()
    ]
    return {(row["id"], row["duplicate_role"]): row for row in rows}


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


def expected_labels(documents: Documents) -> dict[tuple[bytes, str], dict[str, Any]]:
    """What the labels must be, from all pairs of texts."""
    rows = sorted(row for part in documents.values() for row in part)
    first: dict[str, bytes] = {}
    for id_, text in rows:
        first.setdefault(text, id_)
    texts = list(first)
    sets = shingle_sets(pa.array(texts, pa.large_string()))
    size = np.diff(sets.offsets)
    order = sorted(range(len(texts)), key=lambda t: (-size[t], first[texts[t]]))
    head: dict[str, tuple[str, float]] = {}
    for text in order:
        heads = np.array(
            [other for other in order if head.get(texts[other], ("",))[0] == texts[other]]
        )
        found = jaccards(sets, heads.astype(np.int64), np.full(len(heads), text))
        similar = np.flatnonzero(found >= 0.8)
        if len(similar):
            head[texts[text]] = (texts[heads[similar[0]]], float(np.float32(found[similar[0]])))
        else:
            head[texts[text]] = (texts[text], 1.0)
    sizes: dict[str, int] = {}
    for _, text in rows:
        sizes[head[text][0]] = sizes.get(head[text][0], 0) + 1
    expected = {}
    for number, (id_, text) in enumerate(rows):
        joined, jaccard = head[text]
        role = "near_duplicate" if joined != text else "representative"
        role = role if first[text] == id_ else "duplicate"
        role = "repeated_record" if number and rows[number - 1] == (id_, text) else role
        alone = sizes[joined] == 1
        label = {
            "id": id_,
            "cluster": None if alone else first[joined],
            "cluster_size": sizes[joined],
            "duplicate_role": "alone" if alone else role,
            "jaccard": None if alone else jaccard,
        }
        expected[id_, str(label["duplicate_role"])] = label
    return expected

"""What the audit checks of near-duplicates: no band, pair or text is lost, similarities are true.

`cluster_faults` looks over all parts of one generation, `label_faults` reads texts again and
compares them. Intermediate files that were pruned are not asked for.
"""

import functools
import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from annotators.text.minhash import NUM_BANDS
from annotators.text.shingles import jaccards, shingle_sets
from pipelines.deduplicate.exact import REPRESENTATIVE
from pipelines.deduplicate.plan import JOB as LABELS_JOB
from pipelines.near_duplicates.near import JOB
from pipelines.near_duplicates.stars import NEAR_DUPLICATE
from pipelines.near_duplicates.store import texts_at
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import PARTITIONS
from pipelines.workspace.ledger import Entry, FileRef
from pipelines.workspace.parts import read_table
from pipelines.workspace.takedown import erased_ids
from pipelines.workspace.workspace import Workspace

EQUATIONS: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    f"{JOB}.repeated": (),
    f"{JOB}.bands": (("bands", "sent", "single"),),
    f"{JOB}.candidates": (),
    f"{JOB}.requests": (("pairs", "known", "new"),),
    f"{JOB}.texts": (),
    f"{JOB}.shingles": (),
    f"{JOB}.pairs": (("pairs", "known", "compared"), ("pairs", "similar", "different")),
    f"{JOB}.components": (),
    f"{JOB}.blocks": (),
    f"{JOB}.ends": (),
    f"{JOB}.arcs": (("arcs", "texts", "pairs"),),
    f"{JOB}.cuts": (),
    f"{JOB}.runs": (("arcs", "texts", "pairs"),),
    f"{JOB}.taken": (("arcs", "taken", "passed"), ("arcs", "texts", "pairs")),
    f"{JOB}.clusters": (("texts_in_pairs", "alone", REPRESENTATIVE, NEAR_DUPLICATE),),
}
"""Job -> equations; of the terms of each, the first is the sum of the others, in one entry."""

_Place = tuple[int, int, int]
"""Position of the source, part, row."""

_RECOUNTED: Final = 32  # near-duplicates of one part whose texts are compared again


def cluster_faults(
    workspace: Workspace, generation: str, entries: Sequence[Entry]
) -> Iterator[str]:
    """Checks a whole generation of the search, or of the labels that it leads to.

    Args:
        workspace: Where it is.
        generation: `job@fp`.
        entries: All its entries; faults that an unfinished run would show are not looked for.
    """
    job = generation.split("@")[0]
    if job == f"{JOB}.candidates":
        yield from _band_faults(workspace, generation, entries)
    elif job == f"{JOB}.pairs":
        yield from _pair_faults(workspace, generation, entries)
    elif job == f"{JOB}.taken":
        yield from _sweep_faults(workspace, generation, entries)
    elif job == f"{JOB}.clusters":
        yield from _text_faults(workspace, generation, entries)
    elif job == LABELS_JOB:
        yield from _label_count_faults(workspace, generation, entries)


def _sum(entries: Sequence[Entry]) -> Counter[str]:
    total: Counter[str] = Counter()
    for entry in entries:
        total.update(entry.counts)
    return total


def _sibling(workspace: Workspace, generation: str, what: str) -> Sequence[Entry]:
    """The entries of another job of the same search; none where they were pruned."""
    payload = workspace.ledger.payload(generation) | {"what": what}
    del payload["job"]
    return workspace.ledger.entries(Generation(job=f"{JOB}.{what}", payload=payload))


def _band_faults(workspace: Workspace, generation: str, entries: Sequence[Entry]) -> Iterator[str]:
    """Every band of every distinct text was looked at, and what was sent has arrived."""
    payload = workspace.ledger.payload(generation)
    exact = workspace.ledger.entries(payload["exact"], PARTITIONS)
    if len(entries) != payload["partitions"] or not exact:
        return
    total = _sum(exact)
    distinct = total["members"] - total["duplicate"] - total["repeated_record"]
    bands = _sum(_sibling(workspace, generation, "bands"))
    if bands["bands"] != NUM_BANDS * distinct:
        yield (
            f"{generation}: {bands['bands']} bands were looked at, of {distinct} distinct texts "
            f"with {NUM_BANDS} each"
        )
    members = _sum(entries)["members"]
    if members != bands["sent"]:
        yield f"{generation}: {members} bands went through the shuffle, of {bands['sent']} sent"


def _pair_faults(workspace: Workspace, generation: str, entries: Sequence[Entry]) -> Iterator[str]:
    """Every pair that was asked about was compared, now or earlier."""
    asked = {
        (e.source, e.part): e.counts["pairs"] for e in _sibling(workspace, generation, "requests")
    }
    for entry in entries:
        pairs = entry.counts["pairs"]
        rows = sum(ref.rows for ref in entry.files)
        wanted = asked.get((entry.source, entry.part), pairs)
        if not pairs == rows == wanted:
            yield (
                f"{generation}: part {entry.part} of {entry.source} holds {rows} pairs, counts "
                f"{pairs} and was asked about {wanted}"
            )


def _text_faults(workspace: Workspace, generation: str, entries: Sequence[Entry]) -> Iterator[str]:
    """Every text of a similar pair was decided about, and every similar pair was seen."""
    components = _sibling(workspace, generation, "components") or _all_taken(workspace, generation)
    if not components or len(entries) != _num_text_partitions(workspace, generation):
        return
    seen, decided = _sum(components), _sum(entries)
    if seen["texts"] != decided["texts_in_pairs"]:
        yield (
            f"{generation}: decides about {decided['texts_in_pairs']} texts, of {seen['texts']} in "
            "similar pairs"
        )
    pairs = _sibling(workspace, generation, "pairs")
    if pairs and seen["pairs"] != _sum(pairs)["similar"]:
        yield (
            f"{generation}: was made of {seen['pairs']} similar pairs, of {_sum(pairs)['similar']}"
        )


def _all_taken(workspace: Workspace, generation: str) -> Sequence[Entry]:
    """What the sweep took; none unless all of it is there.

    A repair or a prune that was stopped takes some away, and nothing needs them made again.
    """
    taken = _sibling(workspace, generation, "taken")
    cuts = _sum(_sibling(workspace, generation, "cuts"))
    return taken if len(taken) == cuts["runs"] else ()


def _sweep_faults(workspace: Workspace, generation: str, entries: Sequence[Entry]) -> Iterator[str]:
    """Every text of a similar pair was taken once, and every arc came to its run."""
    cuts, total = _sum(_sibling(workspace, generation, "cuts")), _sum(entries)
    if not cuts or len(entries) != cuts["runs"]:
        return
    if total["taken"] != total["texts"]:
        yield f"{generation}: takes {total['taken']} texts, of {total['texts']} in similar pairs"
    if total["arcs"] != cuts["arcs"]:
        yield f"{generation}: decides about {total['arcs']} arcs, of {cuts['arcs']}"


def _num_text_partitions(workspace: Workspace, generation: str) -> int:
    exact = workspace.ledger.payload(workspace.ledger.payload(generation)["exact"])
    return int(exact["partitions"])


def _label_count_faults(
    workspace: Workspace, generation: str, entries: Sequence[Entry]
) -> Iterator[str]:
    """What the clusters decided arrived in the labels."""
    payload = workspace.ledger.payload(generation)
    stars = _stars(payload)
    made = workspace.ledger.entries(stars, PARTITIONS) if stars else []
    labelled = _sum(entries)
    if made and labelled["documents"] == payload["documents"]:
        found = _sum(made)[NEAR_DUPLICATE]
        if labelled[f"role.{NEAR_DUPLICATE}"] != found:
            yield (
                f"{generation}: {labelled[f'role.{NEAR_DUPLICATE}']} rows are labelled "
                f"near_duplicate, and {stars} found {found}"
            )


def label_faults(workspace: Workspace, entry: Entry) -> Iterator[str]:
    """Reads some near-duplicates of a part and their representatives again and compares them.

    Args:
        workspace: Where they are.
        entry: Of the job `deduplicate`; those of other jobs have nothing to compare.
    """
    if entry.job != LABELS_JOB or not entry.counts.get(f"role.{NEAR_DUPLICATE}"):
        return
    generation = f"{entry.job}@{entry.fp}"
    payload = workspace.ledger.payload(generation)
    heads = _representatives(workspace.url, _stars(payload))
    if not heads:
        return  # pruned
    path = entry.file("labels").path
    labels = read_table(workspace.storage, entry.file("labels"))
    gone = erased_ids(workspace.storage)
    either = pc.or_(*(pc.is_in(labels.column(name), gone) for name in ("id", "cluster")))
    is_near = pc.equal(labels.column("duplicate_role"), NEAR_DUPLICATE).to_numpy()
    rows = np.flatnonzero(is_near & ~either.to_numpy())
    rows = rows[:: max(1, math.ceil(len(rows) / _RECOUNTED))]
    some = labels.take(pa.array(rows)).to_pylist()
    lost = [row for row, label in zip(rows, some, strict=True) if label["cluster"] not in heads]
    for row in lost:
        yield f"{path}: row {row} is in a cluster that was not found"
    if lost:
        return
    places = [heads[label["cluster"]] for label in some]
    texts = [
        *_texts(workspace, entry, rows.tolist()),
        *_texts_at_places(workspace, generation, sorted(payload["inputs"]), places),
    ]
    sets = shingle_sets(pa.array(texts, pa.large_string()))
    half = np.arange(len(rows))
    found = jaccards(sets, half, half + len(rows)).astype(np.float32)
    for row, label, jaccard in zip(rows, some, found.tolist(), strict=True):
        if jaccard != label["jaccard"] or jaccard < np.float32(payload["near"]["threshold"]):
            yield (
                f"{path}: row {row} has a jaccard of {label['jaccard']} with its representative, "
                f"and their texts one of {jaccard}"
            )


def _stars(payload: Mapping[str, Any]) -> str:
    """The generation that decided about near-duplicates; empty where none did."""
    found = [name for name in payload.get("evidence", ()) if name.startswith(f"{JOB}.clusters@")]
    return found[0] if found else ""


def _texts_at_places(
    workspace: Workspace, generation: str, sources: Sequence[str], places: Sequence[_Place]
) -> list[str]:
    """The texts at some places, each part read once."""
    texts: dict[_Place, str] = {}
    for (source, part), some in itertools.groupby(sorted(set(places)), key=lambda place: place[:2]):
        group = list(some)
        entry = workspace.ledger.get(generation, sources[source], part)
        read = _texts(workspace, entry, [place[2] for place in group])
        texts |= zip(group, read, strict=True)
    return [texts[place] for place in places]


def _texts(workspace: Workspace, entry: Entry, rows: Sequence[int]) -> list[str]:
    (path,) = entry.inputs
    documents = FileRef(kind="documents", path=path, sha256="", bytes=0, rows=0)
    batches = texts_at(workspace.storage, documents, np.array(rows))
    return [text for batch in batches for text in batch.to_pylist()]


@functools.lru_cache(maxsize=1)
def _representatives(url: str, generation: str) -> dict[bytes, _Place]:
    """Cluster -> place of its representative."""
    workspace = Workspace(url)
    found = {}
    for entry in workspace.ledger.entries(generation, PARTITIONS):
        columns = ["id", "source", "part", "row", "duplicate_role"]
        table = read_table(workspace.storage, entry.file("near"), columns)
        some = table.filter(pc.equal(table.column("duplicate_role"), REPRESENTATIVE))
        names = columns[:4]
        for id_, *place in zip(*(some.column(name).to_pylist() for name in names), strict=True):
            found[id_] = (place[0], place[1], place[2])
    return found

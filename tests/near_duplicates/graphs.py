"""Workspaces in which pairs are already compared: any graph, however its texts stand in parts."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipelines.near_duplicates.known import COMPARED, publish
from pipelines.near_duplicates.near import NearDuplicates, places_of
from pipelines.near_duplicates.plan import NearPlan
from pipelines.near_duplicates.texts import TEXT
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import PartKey, entry_of
from pipelines.workspace.ledger import Stopwatch
from pipelines.workspace.workspace import Workspace

THRESHOLD = 0.8


class Text(NamedTuple):
    """What decides the priority of a text, and how many rows equal it."""

    name: int
    """Whose hash is the id; equal names give equal ids."""
    generated: bool = False
    quality: int = 0
    """In twentieths."""
    num_shingles: int = 5
    num_rows: int = 1


class Graph(NamedTuple):
    """Texts, in the order of their places, and pairs of them with their Jaccard."""

    texts: Sequence[Text]
    pairs: Sequence[tuple[int, int, float]]
    part_of: Sequence[int]
    """Ascending; even parts are of source a, odd ones of b."""


def plan_of_graph(num_documents: int, num_text_partitions: int = 3) -> NearPlan:
    made = {name: Generation(job="made", payload={"source": name}) for name in ("a", "b")}
    exact = {"partitions": num_text_partitions, "collapse": "text"}
    return NearPlan(
        settings=NearDuplicates(threshold=THRESHOLD),
        signatures=made,
        minhash=made,
        documents=made,
        quality=None,
        contents="",
        clusters=Generation(job="deduplicate.clusters", payload=exact),
        num_documents=num_documents,
    )


def workspace_of(folder: Path, graph: Graph) -> tuple[Workspace, NearPlan]:
    """Commits what `texts` and `pairs` hold of a graph."""
    workspace = Workspace.create(str(folder))
    near = plan_of_graph(len(graph.texts))
    for generation in (near.clusters, *near.generations, *near.sweep_generations):
        workspace.ledger.declare(generation)
    part_of = np.array(graph.part_of)
    firsts = {part: int(np.searchsorted(part_of, part)) for part in graph.part_of}
    # All parts of source a stand before those of b, as places do.
    place = {
        text: int(places_of(part % 2, part // 2, np.array([2 * (text - firsts[part])]))[0])
        for text, part in enumerate(graph.part_of)
    }
    for part in sorted(firsts):
        key = PartKey("ab"[part % 2], part // 2)
        own = [text for text in place if graph.part_of[text] == part]
        _commit_texts(workspace, near, key, [graph.texts[text] for text in own])
        pairs = {tuple(sorted(pair[:2], key=place.get)): pair[2] for pair in graph.pairs}
        some = [
            (place[one], place[two], jaccard) for (one, two), jaccard in pairs.items() if one in own
        ]
        _commit_pairs(workspace, near, key, sorted(some))
    return workspace, near


def _commit_texts(
    workspace: Workspace, near: NearPlan, key: PartKey, texts: Sequence[Text]
) -> None:
    ids = [hashlib.blake2b(b"%d" % text.name, digest_size=16).digest() for text in texts]
    columns = [
        np.arange(len(texts)) * 2,  # rows between them are in no pair
        pa.array(ids, pa.binary(16)),
        pa.array([id_[::-1] for id_ in ids], pa.binary(16)),
        np.array([text.num_shingles for text in texts], np.int32),
        np.array([text.generated for text in texts], bool),
        (np.array([text.quality for text in texts]) / 20).astype(np.float32),
        np.array([text.num_rows for text in texts], np.int64),
    ]
    table = pa.table(columns, schema=TEXT)
    _commit(workspace, near.texts, key, table, "texts", {"texts": len(texts)})


def _commit_pairs(
    workspace: Workspace, near: NearPlan, key: PartKey, pairs: Sequence[tuple[int, int, float]]
) -> None:
    lower, higher, jaccard = ([pair[column] for pair in pairs] for column in range(3))
    table = pa.table([lower, higher, jaccard], schema=COMPARED)
    similar = sum(found >= THRESHOLD for found in jaccard)
    counts = {"pairs": len(pairs), "similar": similar, "different": len(pairs) - similar}
    counts |= {"known": 0, "compared": len(pairs)}
    _commit(workspace, near.pairs, key, table, "pairs", counts)


def _commit(
    workspace: Workspace,
    generation: Generation,
    key: PartKey,
    table: pa.Table,
    kind: str,
    counts: dict[str, int],
) -> None:
    ref = publish(workspace, table, kind, f"clusters/{generation.name}/{key.source}", key.part)
    entry = entry_of(generation, key, files=(ref,), counts=counts, watch=Stopwatch())
    workspace.ledger.commit(entry)

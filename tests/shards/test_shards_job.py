"""Shards of every format, packing and shuffle, against the plan that asked for them."""

import hashlib
import io
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from shards_fixtures import FORMATS, Written

from pipelines.mix.plan import Plan
from pipelines.shards.check import shard_faults
from pipelines.shards.job import ShardsJob
from pipelines.workspace.ledger import Entry
from pipelines.workspace.parts import read_table
from pipelines.workspace.workspace import Workspace
from token_shards.draw_order import order_of_draws
from token_shards.indexed_dataset import read_index
from token_shards.mds import read_mds

Draws = dict[tuple[bytes, int], list[int]]


def tokens_of(workspace: Workspace, entry: Entry) -> list[int]:
    """All tokens of a shard, by the reader of its format."""
    read = workspace.storage.read
    kind = entry.detail["format"]
    if kind == "megatron":
        index = read_index(read(entry.file("idx").path))
        found: list[int] = np.frombuffer(read(entry.file("bin").path), index.dtype).tolist()
    elif kind == "mds":
        found = read_mds(read(entry.file("mds").path))[0].tolist()
    elif kind == "npy":
        found = np.load(io.BytesIO(read(entry.file("npy").path))).reshape(-1).tolist()
    else:
        table = pq.read_table(io.BytesIO(read(entry.file("parquet").path)))
        found = pc.list_flatten(table.column("tokens")).to_pylist()
    return found


def draws_of(workspace: Workspace, job: ShardsJob, split: str = "train") -> Draws:
    """(id, draw) -> its tokens, pieces joined, over all shards of a stage."""
    found: Draws = {}
    for entry in workspace.ledger.entries(job.generation, job.stage):
        if entry.detail["split"] != split or not entry.files:
            continue
        tokens = tokens_of(workspace, entry)
        mapped = read_table(workspace.storage, entry.file("map"))
        for row in mapped.sort_by("piece").to_pylist():
            place = found.setdefault((row["id"], row["draw"]), [])
            place += tokens[row["token_start"] : row["token_end"]]
    return found


def previewed(plan: Plan, stage: str, dimension: str) -> dict[str, int]:
    rows = [
        row
        for row in plan.preview.to_pylist()
        if row["stage"] == stage and row["dimension"] == dimension
    ]
    names = ("draws", "drawn_documents", "drawn_tokens")
    return {name: sum(row[name] for row in rows) for name in names}


@pytest.mark.parametrize("name", FORMATS)
def test_shards_hold_exactly_what_the_plan_previewed(written: Written, name: str) -> None:
    workspace, plan, jobs = written[name]
    for job in jobs:
        entries = workspace.ledger.entries(job.generation, job.stage)
        assert len(entries) == len(plan.units_of(job.stage))
        for split, dimension in (("train", "all"), ("validation", "validation")):
            some = [entry for entry in entries if entry.detail["split"] == split]
            expected = previewed(plan, job.stage, dimension)
            assert expected["draws"] > 0
            assert sum(entry.counts["draws"] for entry in some) == expected["draws"]
            assert sum(e.detail["planned_tokens"] for e in some) == expected["drawn_tokens"]
            drawn = draws_of(workspace, job, split)
            assert len(drawn) == expected["draws"]
            assert len({id_ for id_, _ in drawn}) == expected["drawn_documents"]
            tokens = sum(len(tokens) for tokens in drawn.values())
            assert tokens == sum(e.counts["tokens"] - e.counts["padding"] for e in some)
            assert tokens == expected["drawn_tokens"]


@pytest.mark.parametrize("name", FORMATS)
def test_counts_balance_and_the_recount_finds_no_fault(written: Written, name: str) -> None:
    workspace, _, jobs = written[name]
    for job in jobs:
        for entry in workspace.ledger.entries(job.generation, job.stage):
            counts = entry.counts
            right = ("document_tokens", "eod", "padding", "cut_tokens")
            assert counts["tokens"] == sum(counts[term] for term in right)
            assert list(shard_faults(workspace, entry)) == []
            if entry.detail["packing"] == "best_fit":
                assert counts["tokens"] % entry.detail["sequence_length"] == 0
                is_wide = job.stage.startswith("wide")
                assert counts["pieces"] == counts["draws"] or not is_wide
                assert counts["pieces"] > counts["draws"] or is_wide
            else:
                assert counts["padding"] == 0
                assert counts["pieces"] == counts["draws"]


@pytest.mark.parametrize("name", FORMATS)
def test_no_packed_sequence_holds_a_document_twice(written: Written, name: str) -> None:
    workspace, _, jobs = written[name]
    for job in jobs:
        if not job.stage.startswith("wide"):
            continue
        shared = repeated = 0
        for entry in workspace.ledger.entries(job.generation, job.stage):
            if entry.files:
                rows = read_table(workspace.storage, entry.file("map")).to_pylist()
                places = [(row["row"], row["id"]) for row in rows]
                assert len(set(places)) == len(places)
                shared += len(rows) - len({row["row"] for row in rows})
                repeated += len(rows) - len({row["id"] for row in rows})
        assert shared > 0
        assert repeated > 0


def test_held_out_documents_stand_once_each_and_in_no_training_shard(written: Written) -> None:
    workspace, _, jobs = written["npy"]
    for job in jobs:
        held = draws_of(workspace, job, "validation")
        assert {draw for _, draw in held} == {0}
        assert not {id_ for id_, _ in held} & {id_ for id_, _ in draws_of(workspace, job)}


def test_all_formats_hold_the_same_tokens(written: Written) -> None:
    by_format = {}
    for name, (workspace, _, jobs) in written.items():
        by_format[name] = {job.stage: draws_of(workspace, job) for job in jobs}
    assert by_format["mds"] == by_format["parquet"] == by_format["npy"]
    shared = {stage: by_format["npy"][stage] for stage in by_format["megatron"]}
    assert by_format["megatron"] == shared
    texts = {tuple(tokens) for stage in shared.values() for tokens in stage.values()}
    assert len(texts) > 5


@pytest.mark.parametrize("packing", ["concat", "best_fit"])
def test_global_shuffle_is_one_sort_over_all_shards(written: Written, packing: str) -> None:
    workspace, plan, jobs = written["mds"]
    job = next(job for job in jobs if job.stage == f"{packing}-global")
    entries = workspace.ledger.entries(job.generation, job.stage)
    rows = [
        row
        for entry in entries
        if entry.files and entry.detail["split"] == "train"
        for row in read_table(workspace.storage, entry.file("map")).to_pylist()
    ]
    assert len({entry.part for entry in entries if entry.files}) > 3
    keys = np.frombuffer(b"".join(row["id"] for row in rows), np.uint8).reshape(-1, 16)
    draws = np.array([row["draw"] for row in rows], np.int32)
    if packing == "concat":
        assert order_of_draws(plan.seed, keys, draws).tolist() == list(range(len(rows)))
    sources = Counter(
        entry.detail["scattered_tokens"] for entry in entries if entry.detail["split"] == "train"
    )
    assert len(sources) == 1
    (sealed,) = workspace.ledger.entries(
        next(n for n in workspace.ledger.generations() if n.startswith("sealed.all")), job.stage
    )
    assert sealed.counts["scattered"] == sealed.counts["gathered"] == next(iter(sources))
    assert not [p for p in workspace.storage.files("shards") if p.endswith(".arrow")]


def test_documents_as_they_come_are_not_shuffled(written: Written) -> None:
    workspace, _, jobs = written["parquet"]
    job = next(job for job in jobs if job.stage == "concat-none")
    for entry in workspace.ledger.entries(job.generation, job.stage):
        if entry.files:
            rows = read_table(workspace.storage, entry.file("map")).to_pylist()
            ids = [row["id"] for row in rows]
            first = list(dict.fromkeys(ids))
            assert ids == [id_ for id_ in first for _ in range(ids.count(id_))]


def test_mds_folders_have_an_index_of_their_shards(written: Written) -> None:
    workspace, _, jobs = written["mds"]
    for job in jobs:
        entries = workspace.ledger.entries(job.generation, job.stage)
        for folder, split in ((job.folder, "train"), (f"{job.folder}/validation", "validation")):
            refs = [e.file("mds") for e in entries if e.files and e.detail["split"] == split]
            index = json.loads(workspace.storage.read(f"{folder}/index.json"))
            assert [s["raw_data"]["basename"] for s in index["shards"]] == [
                ref.path.removeprefix(f"{folder}/") for ref in refs
            ]
            for shard, ref in zip(index["shards"], refs, strict=True):
                data = workspace.storage.read(ref.path)
                hashes = {"sha256": hashlib.sha256(data).hexdigest()}
                assert shard["raw_data"]["hashes"] == hashes
                assert shard["samples"] == ref.rows == len(read_mds(data)[1])


def test_shards_name_their_files_by_one_hash(written: Written) -> None:
    workspace, _, jobs = written["megatron"]
    entry = next(e for e in workspace.ledger.entries(jobs[0].generation) if e.files)
    assert {ref.kind for ref in entry.files} == {"bin", "idx", "map"}
    digest = entry.file("bin").sha256
    for ref in entry.files:
        assert Path(ref.path).name.split(".")[0].endswith(f"-{digest[:8]}")
        assert workspace.storage.sha256(ref.path) == ref.sha256
        assert workspace.storage.size(ref.path) == ref.bytes

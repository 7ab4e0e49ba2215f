"""What is refused before work, what stops it, what a kill leaves behind, what the audit finds."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shards_fixtures import FORMATS, Write, Written, map_here, settings_of
from signing import as_it_is

from pipelines.mix.planning import open_plan
from pipelines.shards.check import draw_faults, shard_faults
from pipelines.shards.choice import choose
from pipelines.shards.tokenizing import TokenizerRef, tokenize_rows
from pipelines.shards.writing import ShardSettings, write_shards
from pipelines.workspace.children import Children
from pipelines.workspace.ledger import Entry, Ledger
from pipelines.workspace.workspace import Workspace
from token_shards.training import train_tokenizer


class Killed(RuntimeError):
    """Between the files of a shard and its ledger entry."""


def contents(workspace: Workspace) -> dict[tuple[str, str, int], str]:
    ledger = workspace.ledger
    return {
        (name, entry.source, entry.part): entry.content
        for name in ledger.generations()
        if name.startswith(("shards.", "sealed."))
        for entry in ledger.entries(name)
    }


def flip_text(file: Path) -> None:
    """Changes one bit of the texts of a documents file."""
    group = pq.ParquetFile(file).metadata.row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    text = next(column for column in columns if column.path_in_schema == "text")
    data = bytearray(file.read_bytes())
    begin = text.dictionary_page_offset or text.data_page_offset
    data[begin + text.total_compressed_size - 2] ^= 4
    file.write_bytes(data)


@pytest.mark.parametrize("name", ["megatron", "mds"])
def test_run_killed_between_files_and_entry_ends_in_the_same_bytes(
    written: Written, write: Write, copy: Workspace, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    commit = Ledger.commit
    commits = 0

    def commit_some(ledger: Ledger, entry: Entry) -> bool:
        nonlocal commits
        commits += 1
        if commits % 5 == 0:
            raise Killed
        return commit(ledger, entry)

    monkeypatch.setattr(Ledger, "commit", commit_some)
    kills = 0
    while True:
        try:
            write(copy, name)
            break
        except Killed:
            kills += 1
            named = {
                ref.path
                for generation in copy.ledger.generations()
                for entry in copy.ledger.entries(generation)
                for ref in entry.files
            }
            assert set(copy.storage.files("shards")) - named  # an orphan that nobody reads
    assert kills > 3
    whole = contents(written[name][0])
    found = contents(copy)
    assert found
    assert found == {place: whole[place] for place in found}
    jobs = written[name][2]
    assert {p for p in whole if p[0] == jobs[0].generation.name} <= set(found)
    assert not copy.storage.files("tmp")


def test_what_is_written_is_not_written_again(
    written: Written, base: Path, children: Children
) -> None:
    workspace, plan, _ = written["mds"]
    _, record, _ = open_plan(workspace.url, str(base / "all.yaml"))

    def nothing(*_: Any) -> None:  # noqa: ANN401
        raise AssertionError("there is nothing to do")

    before = contents(workspace)
    write_shards(workspace, plan, settings_of(record, "mds"), nothing)
    assert contents(workspace) == before


def test_another_tokenizer_or_eod_is_refused_with_the_eods_id(
    copy: Workspace, base: Path, children: Children, tmp_path: Path
) -> None:
    _, record, plan = open_plan(copy.url, str(base / "megatron.yaml"))
    train_tokenizer(["other words", "and others"], 300).save(str(tmp_path / "tokenizer.json"))
    settings = ShardSettings(tokenizer=str(tmp_path), eod=record.eod, format="megatron")
    with pytest.raises(ValueError, match=r"EOD '<\|endoftext\|>' \(id \d+\) has fingerprint"):
        write_shards(copy, plan, settings, map_here(copy, children))
    assert not copy.storage.files("shards") or not contents(copy)


def test_ledger_that_names_other_parts_is_refused(
    copy: Workspace, base: Path, children: Children
) -> None:
    _, record, plan = open_plan(copy.url, str(base / "megatron.yaml"))
    generation = plan.pins.sources["notes"].labels["length"]
    path = Path(copy.url) / "ledger" / generation / "notes" / "part-00000.json"
    entry = json.loads(path.read_text())
    entry["files"][0]["sha256"] = "0" * 64
    path.write_text(json.dumps(entry))
    (path.parents[1] / "folded.parquet").unlink()
    with pytest.raises(ValueError, match="made from other contents of its parts"):
        write_shards(copy, plan, settings_of(record, "megatron"), map_here(copy, children))


def test_labels_file_of_another_size_is_refused_by_name(
    copy: Workspace, base: Path, children: Children
) -> None:
    _, record, plan = open_plan(copy.url, str(base / "megatron.yaml"))
    entry = copy.ledger.get(plan.pins.sources["notes"].labels["language"], "notes", 0)
    file = Path(copy.url) / entry.file("labels").path
    table = pq.read_table(file)
    pq.write_table(table, file, compression="none")
    with pytest.raises(OSError, match=rf"{file.name} has changed since the plan was made: it has"):
        write_shards(copy, plan, settings_of(record, "megatron"), map_here(copy, children))
    file.unlink()
    with pytest.raises(OSError, match="has changed since the plan was made: it is missing"):
        write_shards(copy, plan, settings_of(record, "megatron"), map_here(copy, children))


def test_flipped_byte_in_a_text_stops_with_the_files_name(
    copy: Workspace, base: Path, children: Children
) -> None:
    _, record, plan = open_plan(copy.url, str(base / "megatron.yaml"))
    file = (
        Path(copy.url)
        / copy.ledger.entries(plan.pins.sources["notes"].documents)[0].file("documents").path
    )
    flip_text(file)
    with pytest.raises(OSError, match=rf"{file.name} has changed .* checksum"):
        write_shards(copy, plan, settings_of(record, "megatron"), map_here(copy, children))


def test_flipped_byte_that_comes_while_a_child_reads_stops_too(copy: Workspace, base: Path) -> None:
    _, record, plan = open_plan(copy.url, str(base / "megatron.yaml"))
    facts, parts = choose(copy, plan, plan.units[0])
    assert len(facts.keys)
    flip_text(Path(copy.url) / parts[0].file.path)
    tokenizer = TokenizerRef(record.tokenizer, record.tokenizer_fingerprint, record.eod)
    request = pa.record_batch(
        {"path": [parts[0].file.path], "row_group": [0], "row": parts[0].rows[:1]}
    )
    with pytest.raises(OSError, match=r"cannot be read .*not what was committed"):
        tokenize_rows(request, url=copy.url, tokenizer=tokenizer)


def test_global_shuffle_for_megatron_is_refused_before_any_work(
    copy: Workspace, base: Path, children: Children
) -> None:
    _, record, plan = open_plan(copy.url, str(base / "all.yaml"))
    with pytest.raises(ValueError, match="found global with the shard format megatron"):
        write_shards(copy, plan, settings_of(record, "megatron"), map_here(copy, children))
    with pytest.raises(ValueError, match="shard format is 'bin'; allowed: megatron, mds"):
        write_shards(copy, plan, settings_of(record, "bin"), map_here(copy, children))


def faults_after(
    written: Written,
    name: str,
    stage: str,
    tmp_path: Path,
    kind: str,
    change: Any,  # noqa: ANN401
) -> list[str]:
    """What the recount says of a shard, one of whose files was committed so."""
    workspace, _, jobs = written[name]
    job = next(job for job in jobs if job.stage == stage)
    entries = workspace.ledger.entries(job.generation, stage)
    entry = max(entries, key=lambda entry: entry.counts["tokens"])
    other = Workspace(str(tmp_path / "w"))
    for ref in entry.files:
        target = tmp_path / "w" / ref.path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(workspace.url) / ref.path, target)
    assert list(shard_faults(other, entry)) == []
    change(tmp_path / "w" / entry.file(kind).path, entry)
    return list(shard_faults(other, as_it_is(other, entry)))


def first_eod(array: np.ndarray[Any, Any], entry: Entry) -> int:
    return int(np.argmax(array == entry.detail["eod_id"]))


def test_recount_finds_an_eod_that_is_another_token(written: Written, tmp_path: Path) -> None:
    def change(path: Path, entry: Entry) -> None:
        ids = np.fromfile(path, entry.detail["dtype"])
        ids[first_eod(ids, entry)] += 1
        ids.tofile(path)

    found = faults_after(written, "megatron", "concat-part", tmp_path, "bin", change)
    assert any("eod, and the ledger says" in fault for fault in found)


def test_recount_finds_padding_that_is_no_eod(written: Written, tmp_path: Path) -> None:
    def change(path: Path, entry: Entry) -> None:
        array = np.load(path)
        row = int(np.argmax((array[:, -2:] == entry.detail["eod_id"]).all(axis=1)))
        array[row, -1] += 1
        np.save(path, array)

    found = faults_after(written, "npy", "best_fit-part", tmp_path, "npy", change)
    assert any("a token of no document is not the EOD" in fault for fault in found)


def test_recount_finds_a_map_of_other_ranges(written: Written, tmp_path: Path) -> None:
    def change(path: Path, entry: Entry) -> None:
        table = pq.read_table(path)
        ends = table.column("token_end").to_numpy().copy()
        ends[0] -= 1
        position = table.column_names.index("token_end")
        pq.write_table(
            table.set_column(position, table.schema.field(position), pa.array(ends)), path
        )

    for name, stage in (("mds", "concat-global"), ("parquet", "best_fit-none")):
        found = faults_after(written, name, stage, tmp_path / name, "map", change)
        assert found


def test_recount_finds_pieces_that_are_missing(written: Written, tmp_path: Path) -> None:
    def change(path: Path, entry: Entry) -> None:
        table = pq.read_table(path)
        piece = table.column("piece").to_numpy().copy()
        piece[int(np.argmax(piece))] += 1
        position = table.column_names.index("piece")
        pq.write_table(
            table.set_column(position, table.schema.field(position), pa.array(piece)), path
        )

    found = faults_after(written, "mds", "best_fit-part", tmp_path, "map", change)
    assert any("pieces of a draw are missing or doubled" in fault for fault in found)


def test_recount_finds_a_document_twice_in_a_sequence(written: Written, tmp_path: Path) -> None:
    named = []

    def change(path: Path, entry: Entry) -> None:
        table = pq.read_table(path)
        row = table.column("row").to_pylist()  # where one sequence holds two documents
        again = next(n for n in range(1, len(row)) if row[n] == row[n - 1])
        ids = table.column("id").to_pylist()
        ids[again] = ids[again - 1]
        named.append(f"sequence {row[again]} holds document {ids[again].hex()} twice")
        position = table.column_names.index("id")
        column = pa.array(ids, table.schema.field(position).type)
        pq.write_table(table.set_column(position, table.schema.field(position), column), path)

    found = faults_after(written, "mds", "wide-part", tmp_path, "map", change)
    assert any(fault.endswith(named[0]) and ".map." in fault for fault in found)


@pytest.mark.parametrize("name", FORMATS)
def test_shards_account_for_all_draws_of_their_plan(written: Written, name: str) -> None:
    workspace, plan, jobs = written[name]
    generation = jobs[0].generation.name
    entries = list(workspace.ledger.entries(generation))
    assert {entry.detail["split"] for entry in entries} == {"train", "validation"}
    assert len(entries) == len(plan.units)
    assert list(draw_faults(workspace, generation, entries)) == []


@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize(
    ("term", "more"), [("draws", -1), ("draws", 1), ("emptied", 1), ("rejected", 1)]
)
def test_audit_finds_draws_that_no_shard_accounts_for(
    written: Written, split: str, term: str, more: int
) -> None:
    workspace, _, jobs = written["parquet"]
    name = jobs[0].generation.name
    entries = list(workspace.ledger.entries(name))
    one = next(e for e in entries if e.detail["split"] == split and e.counts["draws"])
    others = [entry for entry in entries if entry is not one]
    own = [e for e in entries if (e.source, e.detail["split"]) == (one.source, split)]
    sums = {n: sum(e.counts.get(n, 0) for e in own) for n in ("draws", "emptied", "rejected")}
    planned = sum(sums.values())
    sums[term] += more

    def faults(counts: dict[str, int]) -> list[str]:
        return list(draw_faults(workspace, name, [*others, replace(one, counts=counts)]))

    told = " + ".join(f"{number} {what}" for what, number in sums.items())
    changed = {**one.counts, term: one.counts.get(term, 0) + more}
    assert faults(changed) == [
        f"{name} {one.source} {split}: {told}, and the plan has {planned} draws"
    ]
    del changed["emptied"]  # as an older release wrote it
    assert faults(changed) == []
    assert list(draw_faults(workspace, name, others)) == []  # one is still to be written

"""`tokenmill forget`: what is taken down leaves every later plan, and no new document is made."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import typer
from small_corpus import TEXTS, run_small, write_corpus
from typer.testing import CliRunner

from pipelines.commands import audit, forget
from pipelines.driver import RunResult
from pipelines.extract.tally import Tally
from pipelines.mix.planning import open_plan
from pipelines.takedown.copies import find_copies
from pipelines.takedown.unknown import Unknown, find_unknown
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import PartKey, entry_of
from pipelines.workspace.ledger import Stopwatch
from pipelines.workspace.parts import PartFile, read_table
from pipelines.workspace.schema import DOCUMENT, ID, document_id, payload_digest
from pipelines.workspace.takedown import (
    PARENT_URI,
    Takedown,
    Takedowns,
    entries_of,
    ids_of,
    read_takedowns,
)
from pipelines.workspace.tracing import find_documents
from pipelines.workspace.workspace import Workspace

ADDRESSES = {
    "en": "https://harbour.example/tide/clock",
    "ru": "http://harbour.example/tide/clock?lang=ru",
    "el": "https://harbour.example/tides",
    "ar": "https://www.harbour.example/tide/",
    "hi": "https://sub.other.example/x",
    "ja": "https://bücher.example/時計",
    "th": None,
}


def invoke(*args: str) -> str:
    app = typer.Typer()
    app.callback()(lambda: None)
    for module in (audit, forget):
        module.register(app)
    result = CliRunner().invoke(app, list(args), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def add_notes(folder: Path, name: str, prefix: str = "") -> None:
    lines = [json.dumps({"text": prefix + TEXTS[k], "url": url}) for k, url in ADDRESSES.items()]
    (folder / "notes" / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    sources = [{"name": "notes", "path": "notes"}]
    mixture = [{"name": "first", "sequence_length": 64, "tokens": "max", "max_epochs": 2}]
    corpus = write_corpus(tmp_path, sources=sources, part_bytes=100_000)
    (tmp_path / "small.yaml").write_text(
        json.dumps({"name": "small", "seed": 7, "stages": mixture}), encoding="utf-8"
    )
    (tmp_path / "notes" / "notes.jsonl").unlink()
    add_notes(tmp_path, "one.jsonl")
    return corpus


def drawn(result: RunResult) -> set[str | None]:
    """Addresses of the documents in the shards of a run."""
    storage, ledger = result.workspace.storage, result.workspace.ledger
    (job,) = result.shards
    refs = [e.file("map") for e in ledger.entries(job.generation) if e.files]
    ids = {i for ref in refs for i in read_table(storage, ref).column("id").to_pylist()}
    tables = [
        read_table(storage, entry.file("documents"), ["id", "uri"])
        for entry in ledger.entries(result.extract["notes"])
    ]
    return {row["uri"] for table in tables for row in table.to_pylist() if row["id"] in ids}


def id_of(result: RunResult, uri: str | None) -> str:
    """The document that stands under an address."""
    (id_,) = (
        row["id"]
        for entry in result.workspace.ledger.entries(result.extract["notes"])
        for row in read_table(result.workspace.storage, entry.file("documents")).to_pylist()
        if row["uri"] == uri
    )
    return str(id_.hex())


def test_forgotten_documents_leave_every_later_plan_and_none_is_made_again(folder: Path) -> None:
    workspace = str(folder.parent / "w")
    before = run_small(folder, workspace)
    assert len(drawn(before)) == len(ADDRESSES)
    old_plan = before.plans[0].folder
    told = invoke(
        "forget", "harbour.example/tide", "Other.Example", "--workspace", workspace,
        "--reason", "a letter",
    )  # fmt: skip
    assert "forgotten: address harbour.example/tide and all below it" in told
    assert "forgotten: host other.example and all hosts below it" in told
    assert "4 documents stand under what this call adds" in told
    assert "in all" not in told
    assert "it will be obeyed" not in told
    (shards,) = before.shards
    assert f"in shards/small@{shards.generation.fp}; to remove them" in told
    assert f"--drop {old_plan.removeprefix('mixtures/')} --yes" in told
    unnamed = id_of(before, None)
    told = json.loads(invoke("forget", "--id", unnamed, "--workspace", workspace, "--json"))
    assert told["added"]["ids"] == [unnamed]
    assert told["added"]["unknown_ids"] == []
    assert list(told["added"]["documents"].values()) == [1]
    assert list(told["documents"].values()) == [5]
    assert sum(held["documents"] for held in told["added"]["shards"]) == 1
    assert {held["folder"] for held in told["shards"]} == {f"shards/small@{shards.generation.fp}"}
    assert sum(held["documents"] for held in told["shards"]) == 5
    assert told["copies"] == []
    kept = {
        "https://harbour.example/tides",
        "https://xn--bcher-kva.example/%E6%99%82%E8%A8%88",
    }
    _, _, planned = open_plan(workspace, "small")  # without a run: labels are made on the way
    assert planned.folder != old_plan
    assert planned.reasons["first"]["taken_down"] == 5
    after = run_small(folder, workspace)
    assert drawn(after) == kept
    assert after.plans[0].folder == planned.folder
    text, url = "Το ρολόι σταμάτησε.", "https://late.example/x"
    late = document_id("notes", url, payload_digest(text.encode()), 0).hex()
    asked = ("--id", late, "--url", "HTTPS://mis.spelt.example/Y", "harbour.example")
    told = invoke("forget", *asked, "--workspace", workspace).splitlines()
    assert f"no document has this id; it will be obeyed if one comes: {late}" in told
    nothing = "nothing here stands under mis.spelt.example/y; it will be obeyed if something comes"
    assert nothing in told
    assert sum("it will be obeyed" in line for line in told) == 2
    assert "1 documents stand under what this call adds:" in told
    (told_sum,) = (one for one in told if one.startswith("in all"))
    assert told_sum.startswith("in all, with what was forgotten before: 6 documents, ")
    told = json.loads(invoke("forget", *asked, "--workspace", workspace, "--json"))["added"]
    assert (told["unknown_ids"], told["unknown_entries"]) == ([late], ["mis.spelt.example/y"])
    assert (told["documents"], told["shards"], told["archives"]) == ({}, [], {})
    kept.remove("https://harbour.example/tides")
    add_notes(folder.parent, "two.jsonl", "Again: ")
    with (folder.parent / "notes" / "two.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"text": text, "url": url}) + "\n")
    again = run_small(folder, workspace)
    assert drawn(again) == {*kept, None}  # another record has another id
    entries = again.workspace.ledger.entries(again.extract["notes"])
    rejected = [entry.detail["rejects"] for entry in entries]
    assert rejected == [{}, {"taken_down": 6}]
    assert len(find_documents(again.workspace, "https://sub.other.example/x")) == 1
    assert "0 faults" in invoke("audit", workspace)
    listed = invoke("forget", "--list", "--workspace", workspace)
    assert "host other.example and all hosts below it: a letter" in listed


def commit_rows(workspace: Workspace, job: str, rows: dict[str, list[dict[str, Any]]]) -> None:
    """One entry of a job, with a file of each kind."""
    generation, files = Generation(job=job, payload={}), []
    for kind, some in rows.items():
        table = pa.Table.from_pylist(some)
        if "id" in table.schema.names:
            table = table.set_column(0, "id", table.column("id").cast(ID))
        with PartFile(workspace.storage, table.schema) as file:
            file.write(table.to_batches()[0])
            files.append(file.publish(kind, f"{kind}/s@{generation.fp}", 0))
    entry = entry_of(generation, PartKey("s", 0), files=tuple(files), counts={}, watch=Stopwatch())
    workspace.ledger.commit(entry)
    workspace.ledger.declare(generation)


def test_what_nothing_in_the_workspace_bears_is_found(tmp_path: Path) -> None:
    workspace = Workspace.create(str(tmp_path / "w"))
    document = {"id": b"d" * 16, "uri": "https://бюро.example/час"}
    made = {"id": b"m" * 16, "uri": None, "meta": [(PARENT_URI, "http://seed.example/a")]}
    reject = {"id": b"r" * 16, "uri": "https://a.empty.example/x"}
    fetches = {"url": "https://old.example/", "final_url": "https://new.example/時計/1"}
    nameless = {"id": None, "uri": None}
    pages = [{"id": b"p" * 16}, {"id": None}]
    commit_rows(
        workspace,
        "extract",
        {"documents": [document], "rejects": [reject, nameless], "pages": pages},
    )
    commit_rows(workspace, "crawl", {"fetches": [fetches]})
    commit_rows(workspace, "synthesize", {"documents": [made]})
    there = ["бюро.example/час", "empty.example", "old.example", "new.example/時計", "seed.example"]
    absent = ["empty.example/y", "example.org", "seed.example/b"]
    ids = [(bytes([one]) * 16).hex() for one in b"dmrpx"]
    found = find_unknown(workspace, entries_of([*there, *absent]), ids)
    assert found == Unknown(entries=tuple(absent), ids=((b"x" * 16).hex(),))
    assert find_unknown(workspace, entries_of(there), ids[:4]) == Unknown((), ())


def test_takedowns_are_kept_in_files_that_nobody_overwrites(tmp_path: Path) -> None:
    workspace = str(tmp_path / "w")
    storage = Workspace.create(workspace).storage
    for host in ("a.example", "b.example", "a.example"):
        invoke("forget", host, "--workspace", workspace)
    files = [f"takedowns/{number:05d}.json" for number in range(3)]
    assert storage.files("takedowns") == files
    found = read_takedowns(storage)
    assert found.keys.to_pylist() == ["a.example", "b.example"]
    (tmp_path / "w" / files[1]).write_text("{")
    with pytest.raises(ValueError, match=r"takedowns/00001\.json is damaged"):
        read_takedowns(storage)


@pytest.mark.parametrize("written", ["", "word", "*.example.org", "mailto:x@a.example", "a b.org"])
def test_what_is_no_address_and_no_host_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="write it out, without a wildcard"):
        entries_of([written])


def test_entries_are_compared_without_scheme_case_and_last_slash() -> None:
    written = ["HTTPS://A.Example/Page/", "http://a.example/page", "b.example", "127.0.0.1"]
    assert entries_of(written) == ("127.0.0.1", "a.example/page", "b.example")


def documents(*rows: tuple[bytes, str | None, list[bytes]]) -> pa.Table:
    """Documents of (id, address, parents)."""
    told = [
        {"id": id_ * 16, "uri": uri, "meta": None, "provenance": {"parents": [p * 16 for p in own]}}
        for id_, uri, own in rows
    ]
    provenance = pa.struct([pa.field("parents", pa.list_(ID))])
    kinds = {"id": ID, "uri": pa.string(), "meta": pa.map_(pa.string(), pa.string())}
    return pa.Table.from_pylist(told, schema=pa.schema({**kinds, "provenance": provenance}))


def test_documents_are_forgotten_by_id_by_address_and_by_what_they_were_made_of() -> None:
    table = documents(
        (b"a", "https://a.example/x", []),
        (b"b", "https://b.example/x", []),
        (b"c", None, [b"d", b"b"]),
        (b"d", None, []),
        (b"e", None, [b"f"]),
    )
    made = Takedown(entries=("a.example",), reason="", at="", ids=((b"b" * 16).hex(),))
    by_name = Takedowns((made,))
    assert by_name.cover_documents(table).to_pylist() == [True, True, True, False, False]
    erased = replace(by_name, erased=pa.array([b"f" * 16], ID))
    assert erased.cover_documents(table).to_pylist() == [True, True, True, False, True]
    assert erased.fingerprint == by_name.fingerprint  # erasing changes no plan
    assert by_name.fingerprint != Takedowns((replace(made, ids=()),)).fingerprint


def test_the_same_record_read_again_becomes_a_reject() -> None:
    made = Takedown(entries=(), reason="", at="", ids=((b"b" * 16).hex(),))
    tally = Tally(takedowns=Takedowns((made,)))
    rows = [
        {"id": id_ * 16, "text": "x", "source": "s", "extractor": "e", "locator": {"file": "f"}}
        for id_ in (b"a", b"b")
    ]
    batch = pa.RecordBatch.from_pylist([{**r, "provenance": {}} for r in rows], schema=DOCUMENT)
    assert tally.without_taken_down(batch).column("id").to_pylist() == [b"a" * 16]
    assert [(one["id"], one["reason"]) for one in tally.rejects] == [(b"b" * 16, "taken_down")]


@pytest.mark.parametrize("written", ["", "abc", "0" * 31, "g" * 32])
def test_what_is_no_id_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="the 32 hexadecimal digits of a document"):
        ids_of([written])


def test_a_host_is_a_host(tmp_path: Path) -> None:
    workspace = str(tmp_path / "w")
    storage = Workspace.create(workspace).storage
    with pytest.raises(ValueError, match="give an address as --url"):
        invoke("forget", "--host", "a.example/page", "--workspace", workspace)
    invoke("forget", "--host", "A.example", "--url", "b.example/x", "--workspace", workspace)
    assert read_takedowns(storage).keys.to_pylist() == ["a.example", "b.example/x"]


def test_copies_are_found_by_the_clusters_of_the_last_run(tmp_path: Path) -> None:
    workspace = Workspace.create(str(tmp_path / "w"))
    rows = [
        (b"a", b"a"),  # stands for b and c
        (b"b", b"a"),
        (b"c", b"a"),
        (b"d", None),
        (b"e", b"e"),
        (b"f", b"e"),
    ]
    columns = [[row[i] and row[i] * 16 for row in rows] for i in (0, 1)]
    table = pa.table({"id": pa.array(columns[0], ID), "cluster": pa.array(columns[1], ID)})
    generation = Generation(job="deduplicate", payload={})
    with PartFile(workspace.storage, table.schema) as file:
        file.write(table.to_batches()[0])
        ref = file.publish("labels", "labels/duplicates", 0)
    key = PartKey("s", 0)
    entry = entry_of(generation, key, files=(ref,), counts={}, watch=Stopwatch())
    workspace.ledger.commit(entry)
    workspace.ledger.declare(generation)
    found = find_copies(workspace, pa.array([b"a" * 16, b"f" * 16, b"d" * 16], ID))
    assert found.ids == tuple((one * 16).hex() for one in (b"b", b"c", b"e"))
    assert found.stood_for == 2

"""The main line on a corpus known by heart: exact contents, balance, resume, faults."""

import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from adversary import committed
from small_corpus import TEXTS, run_small
from tokenizers import Tokenizer

from pipelines.deduplicate.check import cluster_faults, label_faults
from pipelines.driver import RunResult
from pipelines.extract.recount import recount_faults
from pipelines.mix.check import histogram_faults, preview_faults, tally_faults
from pipelines.mix.plan import plan_folders, read_plan
from pipelines.shards.check import shard_faults
from pipelines.validation.check import validation_faults
from pipelines.workspace.audit import AuditReport, audit
from pipelines.workspace.inventory import InventoryError
from pipelines.workspace.parts import read_table
from pipelines.workspace.tracing import (
    document_at_token,
    find_documents,
    find_rejects,
    labels_of,
    ranges_of,
)
from pipelines.workspace.workspace import Workspace


@pytest.fixture
def copy(done: RunResult, tmp_path: Path) -> Workspace:
    shutil.copytree(done.workspace.url, tmp_path / "w")
    return Workspace.open(str(tmp_path / "w"))


def full_audit(workspace: Workspace) -> AuditReport:
    checks = {
        "extract": recount_faults,
        "deduplicate": label_faults,
        "tally": tally_faults,
        "histogram": histogram_faults,
        "preview": preview_faults,
        "validation": validation_faults,
        "shards": shard_faults,
    }
    return audit(workspace, deep_checks=checks, across_parts=[cluster_faults])


def documents(done: RunResult) -> pa.Table:
    tables = [
        read_table(done.workspace.storage, entry.file("documents"))
        for source, generation in sorted(done.extract.items())
        for entry in done.workspace.ledger.entries(generation, source)
    ]
    return pa.concat_tables(tables)


def duplicates(done: RunResult) -> dict[bytes, str]:
    labels = [
        row
        for entry in done.workspace.ledger.entries(done.duplicates.labels)
        for row in read_table(done.workspace.storage, entry.file("labels")).to_pylist()
    ]
    roles = {row["id"]: row["duplicate_role"] for row in labels}
    return {id_: role for id_, role in roles.items() if role.endswith("duplicate")}


def shard_documents(workspace: Workspace, stage: str) -> list[list[int]]:
    """All sequences of a stage, read by a reader written from the format's description."""
    found = []
    for name in workspace.ledger.generations():
        if not name.startswith("shards."):
            continue
        for entry in workspace.ledger.entries(name, stage):
            index = workspace.storage.read(entry.file("idx").path)
            magic, version, code, n, m = struct.unpack_from("<9sQBQQ", index)
            assert (magic, version, code, m) == (b"MMIDIDX\0\0", 1, 8, n + 1)
            lengths = struct.unpack_from(f"<{n}i", index, 34)
            pointers = struct.unpack_from(f"<{n}q", index, 34 + 4 * n)
            data = workspace.storage.read(entry.file("bin").path)
            found += [
                list(struct.unpack_from(f"<{length}H", data, pointer))
                for length, pointer in zip(lengths, pointers, strict=True)
            ]
    return found


def test_extract_every_record_is_somewhere(done: RunResult) -> None:
    sums: dict[str, int] = {}
    reasons: dict[str, int] = {}
    for source, generation in done.extract.items():
        for entry in done.workspace.ledger.entries(generation, source):
            for name, count in entry.counts.items():
                sums[name] = sums.get(name, 0) + count
            reasons |= entry.detail["rejects"] | entry.detail["not_asked"]
    assert {name: count for name, count in sums.items() if count} == {
        "records": 19,
        "documents": 15,
        "rejects": 3,
        "not_asked": 1,
    }
    assert reasons == {"empty_file": 1, "invalid_json": 1, "empty_text": 1, "unknown_format": 1}


def test_extract_texts_are_those_that_were_written(done: RunResult) -> None:
    table = documents(done)
    notes = table.filter(pa.compute.equal(table.column("source"), "notes"))
    assert notes.column("text").to_pylist() == [*TEXTS.values(), TEXTS["en"]]
    pages = table.filter(pa.compute.equal(table.column("source"), "pages"))
    by_name = dict(
        zip(
            pa.compute.struct_field(pages.column("locator"), "file").to_pylist(),
            pages.column("text").to_pylist(),
            strict=True,
        )
    )
    assert set(by_name) == {f"{name}.html" for name in TEXTS}
    assert all(TEXTS[name[:2]] in text for name, text in by_name.items())


def test_labels_languages_are_found(done: RunResult) -> None:
    generation = next(g for g in done.annotate["notes"] if g.job == "annotate.language")
    labels = [
        label
        for entry in done.workspace.ledger.entries(generation, "notes")
        for label in read_table(done.workspace.storage, entry.file("labels"))
        .column("language")
        .to_pylist()
    ]
    assert labels[0] == labels[7] == "eng_Latn"
    assert labels[1:3] == ["rus_Cyrl", "ell_Grek"]
    assert labels[4:7] == ["hin_Deva", "jpn_Jpan", "tha_Thai"]


def test_shards_read_back_are_the_tokenized_texts(done: RunResult, corpus: Path) -> None:
    tokenizer = Tokenizer.from_file(str(corpus.parent / "tokenizer.json"))
    eod = tokenizer.token_to_id("<|endoftext|>")
    found = shard_documents(done.workspace, "first")
    left_out = duplicates(done)
    # Of the note that stands twice, and of notes that differ from a page by its heading only.
    assert sorted(set(left_out.values())) == ["duplicate", "near_duplicate"]
    kept = [row for row in documents(done).to_pylist() if row["id"] not in left_out]
    texts = {row["text"] for row in kept}
    assert all(sequence[-1] == eod and eod not in sequence[:-1] for sequence in found)
    decoded = [tokenizer.decode(sequence[:-1]) for sequence in found]
    assert set(decoded) == texts
    assert all(2 <= decoded.count(text) <= 3 for text in texts), "max_epochs 2.5"
    assert sum(TEXTS["en"] in text for text in decoded) <= 3, "a page and two notes, drawn as one"


def test_audit_of_a_finished_run_is_clean(done: RunResult) -> None:
    report = full_audit(done.workspace)
    assert report.faults == []
    assert report.totals["extract"]["records"] == 19
    assert report.recounted > 0


def test_run_again_does_nothing(copy: Workspace, corpus: Path) -> None:
    before = committed(copy.url)
    again = run_small(corpus, copy.url)
    assert again.parts_done == 0
    assert committed(copy.url) == before


def test_run_of_a_finished_workspace_imports_no_beam(copy: Workspace, corpus: Path) -> None:
    code = (
        "import sys; from pipelines.cli import main; "
        f"sys.argv = ['tokenmill', 'run', {str(corpus)!r}, '--workspace', {copy.url!r}]\n"
        "try: main()\n"
        "except SystemExit as e: assert not e.code\n"
        "assert 'apache_beam' not in sys.modules and 'fasttext' not in sys.modules"
    )
    again = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert again.returncode == 0, again.stdout + again.stderr


def test_run_with_other_processes_and_gives_the_same_bytes(
    done: RunResult, corpus: Path, tmp_path: Path
) -> None:
    other = run_small(corpus, str(tmp_path / "w"), processes=1)
    assert committed(other.workspace.url) == committed(done.workspace.url)


@pytest.mark.parametrize("moment", [("before", 2), ("after", 5), ("before", 9), ("after", 20)])
def test_run_killed_and_started_again_ends_in_the_same_bytes(
    done: RunResult, corpus: Path, tmp_path: Path, moment: tuple[str, int]
) -> None:
    workspace, when, number = str(tmp_path / "w"), moment[0], str(moment[1])
    script = Path(__file__).parent / "killed_run.py"
    killed = subprocess.run(
        [sys.executable, str(script), str(corpus), workspace, when, number], capture_output=True
    )
    assert killed.returncode == -9, killed.stderr.decode()
    assert committed(workspace) != committed(done.workspace.url)
    run_small(corpus, workspace)
    assert committed(workspace) == committed(done.workspace.url)
    assert full_audit(Workspace.open(workspace)).faults == []


@pytest.mark.parametrize("folder", ["documents", "labels", "rejects", "shards", "mixtures"])
def test_audit_of_a_flipped_bit_names_the_file(copy: Workspace, folder: str) -> None:
    root = Path(copy.url)
    victim = sorted(p for p in (root / folder).rglob("*") if p.suffix in {".parquet", ".bin"})[-1]
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    faults = full_audit(copy).faults
    assert any(str(victim.relative_to(root)) in fault for fault in faults), faults


def test_audit_of_a_missing_file_names_it(copy: Workspace) -> None:
    victim = sorted((Path(copy.url) / "labels").rglob("*.parquet"))[0]
    victim.unlink()
    assert any(victim.name in fault for fault in full_audit(copy).faults)


def test_audit_of_an_orphan_file_does_not_read_it(copy: Workspace) -> None:
    some = sorted((Path(copy.url) / "documents").rglob("*.parquet"))[0]
    (some.parent / "part-00000-ffffffff.parquet").write_bytes(b"a zombie's draft")
    assert full_audit(copy).faults == []


def test_audit_of_changed_counts_finds_the_broken_equation(copy: Workspace) -> None:
    path = sorted((Path(copy.url) / "ledger").glob("extract@*/notes/part-00000.json"))[0]
    path.write_text(path.read_text().replace('"records": ', '"records": 1'))
    (path.parents[1] / "folded.parquet").unlink()
    faults = full_audit(copy).faults
    assert any("records" in fault and "extract@" in fault for fault in faults), faults


def test_new_file_adds_its_part_and_keeps_the_others(
    done: RunResult, corpus: Path, tmp_path: Path
) -> None:
    shutil.copytree(corpus.parent, tmp_path / "in")
    workspace = str(tmp_path / "w")
    first = run_small(tmp_path / "in" / "corpus.yaml", workspace)
    before = committed(workspace)
    (tmp_path / "in" / "notes" / "more.jsonl").write_text('{"text": "καλημέρα κόσμε"}\n')
    second = run_small(tmp_path / "in" / "corpus.yaml", workspace)
    after = committed(workspace)
    assert {key: after[key] for key in before} == before
    assert second.sources["notes"] == [*first.sources["notes"], len(first.sources["notes"])]
    assert "καλημέρα κόσμε" in documents(second).column("text").to_pylist()
    assert len(plan_folders(second.workspace)) == 2
    assert full_audit(second.workspace).faults == []


def test_changed_input_is_refused_by_name(corpus: Path, tmp_path: Path) -> None:
    shutil.copytree(corpus.parent, tmp_path / "in")
    run_small(tmp_path / "in" / "corpus.yaml", str(tmp_path / "w"))
    page = tmp_path / "in" / "pages" / "en.html"
    page.write_text(page.read_text().replace("harbour", "estuary"))
    with pytest.raises(InventoryError, match=r"source pages: en\.html has changed"):
        run_small(tmp_path / "in" / "corpus.yaml", str(tmp_path / "w"))


def test_plan_read_back_is_the_plan(done: RunResult) -> None:
    (folder,) = plan_folders(done.workspace)
    read, made = read_plan(done.workspace, folder), done.plans[0]
    assert read.units == made.units
    assert read.generation.full == made.generation.full
    assert read.solved["first"].cells == made.solved["first"].cells
    assert read.pins == made.pins


def test_trace_goes_from_path_to_tokens_and_back(done: RunResult) -> None:
    workspace = done.workspace
    (found,) = find_documents(workspace, "ja.html")
    labels = dict(labels_of(workspace, found))
    assert any(row.get("language") == "jpn_Jpan" for row in labels.values())
    ranges = list(ranges_of(workspace, found.id))
    assert ranges
    for prefix, row in ranges:
        for token in (row["token_start"], row["token_end"] - 1):
            assert document_at_token(workspace, prefix, token) == found.id
    assert [r["reason"] for _, r in find_rejects(workspace, "empty.html")] == ["empty_file"]


def damage(path: Path, how: str) -> None:
    """Flips a bit, truncates, or deletes."""
    data = bytearray(path.read_bytes())
    if how == "delete":
        path.unlink()
        return
    if how == "truncate":
        path.write_bytes(data[: len(data) // 2])
        return
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["flip", "truncate", "delete"])
@pytest.mark.parametrize(
    "pattern",
    [
        "ledger/extract@*/notes/part-*.json",
        "ledger/annotate.language@*/pages/part-*.json",
        "ledger/shards.*/*/part-*.json",
        "ledger/*/generation.json",
        "mixtures/*/plan.json",
    ],
)
def test_audit_of_damaged_bookkeeping_names_the_file(
    copy: Workspace, pattern: str, how: str
) -> None:
    victim = sorted(Path(copy.url).glob(pattern))[0]
    damage(victim, how)
    faults = full_audit(copy).faults
    assert any(str(victim.relative_to(copy.url)) in fault for fault in faults), faults


def test_audit_of_a_changed_tally_finds_it(copy: Workspace) -> None:
    for path in sorted((Path(copy.url) / "ledger").glob("tally.*/*/part-*.json")):
        entry = json.loads(path.read_text())
        entry["counts"] = dict.fromkeys(entry["counts"], 0)
        path.write_text(json.dumps(entry))
    for fold in (Path(copy.url) / "ledger").glob("tally.*/folded.parquet"):
        fold.unlink()
    assert any("judged 0" in fault for fault in full_audit(copy).faults)


def test_run_with_a_truncated_fold_goes_on(copy: Workspace, corpus: Path) -> None:
    for fold in (Path(copy.url) / "ledger").glob("*/folded.parquet"):
        damage(fold, "truncate")
    assert run_small(corpus, copy.url).parts_done == 0


def flip_text(victim: Path) -> None:
    """Flips a bit in the middle of the texts of a documents file."""
    metadata = pq.ParquetFile(victim).metadata
    if not metadata.num_rows:
        return
    chunk = metadata.row_group(0).column(metadata.schema.names.index("text"))
    data = bytearray(victim.read_bytes())
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    data[start + chunk.total_compressed_size // 2] ^= 1
    victim.chmod(0o644)
    victim.write_bytes(data)


def test_run_with_a_flipped_text_stops(copy: Workspace, corpus: Path) -> None:
    for victim in (Path(copy.url) / "documents").rglob("part-*.parquet"):
        flip_text(victim)
    shutil.rmtree(next((Path(copy.url) / "ledger").glob("shards.*")))
    with pytest.raises(OSError, match=r"CRC|[Cc]orrupt|checksum|Parquet"):
        run_small(corpus, copy.url)


def test_source_with_another_choice_of_files_is_refused(corpus: Path, tmp_path: Path) -> None:
    shutil.copytree(corpus.parent, tmp_path / "in")
    path = tmp_path / "in" / "corpus.yaml"
    run_small(path, str(tmp_path / "w"))
    written = path.read_text()
    path.write_text(written.replace("path: pages", "path: pages\n  exclude: ['ja.html']"))
    with pytest.raises(InventoryError, match=r"leaves out 1 of its files \(first: ja\.html\)"):
        run_small(path, str(tmp_path / "w"))
    path.write_text(written.replace("path: notes", "path: notes\n  format: text"))
    with pytest.raises(InventoryError, match=r"notes\.jsonl was numbered as jsonl"):
        run_small(path, str(tmp_path / "w"))


def test_source_that_holds_the_workspace_is_refused(corpus: Path, tmp_path: Path) -> None:
    shutil.copytree(corpus.parent, tmp_path / "in")
    path = tmp_path / "in" / "corpus.yaml"
    path.write_text(path.read_text().replace("path: pages", "path: ."))
    with pytest.raises(InventoryError, match="holds the workspace itself"):
        run_small(path, str(tmp_path / "in" / "w"))


def test_input_that_went_away_before_it_was_read_again_is_named(
    corpus: Path, tmp_path: Path
) -> None:
    shutil.copytree(corpus.parent, tmp_path / "in")
    path = tmp_path / "in" / "corpus.yaml"
    run_small(path, str(tmp_path / "w"))
    (tmp_path / "in" / "pages" / "el.html").unlink()
    assert run_small(path, str(tmp_path / "w")).parts_done == 0
    path.write_text(path.read_text() + "extract: {html_engine: resiliparse}\n")
    with pytest.raises(InventoryError, match=r"el\.html of it is no longer there"):
        run_small(path, str(tmp_path / "w"))


def test_inventory_that_is_gone_or_damaged_is_never_made_anew(
    done: RunResult, corpus: Path, tmp_path: Path
) -> None:
    """Numbered anew, a new file could get the number of a part that is committed."""
    shutil.copytree(done.workspace.url, tmp_path / "w")
    file = tmp_path / "w" / "inventory" / "pages" / "from-00000.parquet"
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])
    with pytest.raises(InventoryError, match=r"from-00000\.parquet is damaged .*; restore it"):
        run_small(corpus, str(tmp_path / "w"))
    file.unlink()
    with pytest.raises(InventoryError, match=r"inventory/pages/ is gone, and parts of pages are"):
        run_small(corpus, str(tmp_path / "w"))
    file.write_bytes(data)
    assert run_small(corpus, str(tmp_path / "w")).parts_done == 0

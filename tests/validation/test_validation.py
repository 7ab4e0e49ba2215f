"""Who is held out and what leaves training with it, over two sources, killed or not."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import zstandard
from adversary import committed, outcome_of_one_run, outcome_under_attack
from declarations import DECLARATIONS, SHARE, edited, words_of
from small_corpus import run_small

from pipelines.driver import RunResult
from pipelines.run_record import read_run_record
from pipelines.validation import items
from pipelines.validation import texts as texts_module
from pipelines.validation.check import validation_faults
from pipelines.validation.items import make_items, one_of_each_cluster
from pipelines.validation.job import Known, ValidationJob, label_rows
from pipelines.validation.plan import SPLITS, ValidationPlan
from pipelines.validation.roots import is_validation, root_hash_of
from pipelines.validation.texts import TEXTS, TextsJob
from pipelines.workspace.audit import audit
from pipelines.workspace.children import CRASHED, BatchFunction, Children, FailureRow, Limits
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.parts import read_table
from pipelines.workspace.prune import find_prunable
from pipelines.workspace.storage import Storage
from pipelines.workspace.tracing import find_documents, labels_of
from pipelines.workspace.transform import RunPart
from pipelines.workspace.workspace import Workspace

LIMITS = Limits(processes=1)
EXPECTED = {
    "held out": "validation",
    "dressed": "validation",
    "near copy": "near_validation",
    "quotes half": "train",
    "unrelated": "train",
}


class DyingChildren(Children):
    """Every record kills the process that takes it."""

    def map(
        self,
        function: BatchFunction,
        batches: Iterable[pa.RecordBatch],
        on_failure: FailureRow,
        *,
        extra_s: Callable[[pa.RecordBatch], float] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            rows = [on_failure(batch.slice(n, 1), CRASHED, "exit -11") for n in range(len(batch))]
            yield pa.Table.from_batches(rows).combine_chunks().to_batches()[0]


def labelled(result: RunResult) -> dict[str, dict[str, object]]:
    """Path of its URL -> labels and id of a document."""
    assert result.validation is not None
    found = {}
    for source, generation in result.extract.items():
        for entry in result.workspace.ledger.entries(generation, source):
            storage = result.workspace.storage
            documents = read_table(storage, entry.file("documents"), ["uri", "id"])
            made = result.workspace.ledger.get(result.validation, source, entry.part)
            labels = read_table(storage, made.file("labels"))
            assert labels["id"] == documents["id"]
            names = [uri.removeprefix("https://un.test/") for uri in documents["uri"].to_pylist()]
            found |= dict(zip(names, labels.to_pylist(), strict=True))
    return {name.replace("%20", " "): row for name, row in found.items()}


def plan_of(result: RunResult) -> ValidationPlan:
    return ValidationPlan(SHARE, result.extract, result.duplicates.labels)


def keys_of(result: RunResult) -> list[PartKey]:
    return [PartKey(source, part) for source, parts in result.sources.items() for part in parts]


def without(result: RunResult, folder: Path, *jobs: str) -> Workspace:
    """A copy in which some jobs were never done."""
    shutil.copytree(result.workspace.url, folder)
    for generation in (folder / "ledger").iterdir():
        if generation.name.split("@")[0] in jobs:
            shutil.rmtree(generation)
    return Workspace.open(str(folder))


@pytest.mark.parametrize("language", sorted(DECLARATIONS))
def test_labels_say_which_split(done: RunResult, language: str) -> None:
    rows = labelled(done)
    splits = {what: rows[f"{language}/{what}"]["split"] for what in EXPECTED}
    assert splits == EXPECTED


@pytest.mark.parametrize("language", sorted(DECLARATIONS))
def test_labels_say_how_much_of_which_document_is_quoted(done: RunResult, language: str) -> None:
    rows = {what: labelled(done)[f"{language}/{what}"] for what in EXPECTED}
    texts = edited(language)
    whole = len(words_of(texts["held out"]))
    half = len(words_of(" ".join(DECLARATIONS[language][:2])))
    # The number behind a text may be in both, as one more common word.
    assert rows["quotes half"]["validation_score"] in [
        pytest.approx((half + more) / whole, abs=1e-6) for more in (0, 1)
    ]
    assert 0.6 < float(str(rows["near copy"]["validation_score"])) < 1
    assert rows["unrelated"]["validation_score"] == 0
    assert rows["unrelated"]["validation_document"] is None
    copies = {rows["held out"]["id"], rows["dressed"]["id"]}
    for what in ("near copy", "quotes half"):
        assert rows[what]["validation_document"] in copies
    for what in ("held out", "dressed"):
        assert rows[what]["validation_score"] is None
        assert rows[what]["validation_document"] is None


def test_label_rows_held_out_before_quoting_before_cluster_before_nothing() -> None:
    ids = [bytes([n]) * 16 for n in range(8)]
    quoted, relative = b"q" * 16, b"r" * 16
    rows = [  # score, quoted document, failed, held out, unhashed, relative
        (0.0, None, None, False, False, None),
        (0.59, quoted, None, False, False, None),
        (0.61, quoted, None, False, False, None),
        (0.3, quoted, None, False, False, relative),
        (0.7, quoted, None, False, False, relative),
        (0.9, quoted, None, True, False, relative),
        (None, None, "crashed\nits process ended", False, False, None),
        (0.0, None, None, False, True, None),
    ]
    scores, documents, failed, held_out, unhashed, relatives = zip(*rows, strict=True)
    found = pa.record_batch(
        [
            pa.array(ids, pa.binary(16)),
            pa.array(scores, pa.float32()),
            pa.array(documents, pa.binary(16)),
            pa.array(failed, pa.string()),
        ],
        names=["id", "score", "document", "failed"],
    )
    known = Known(np.array(held_out), np.array(unhashed), pa.array(relatives, pa.binary(16)))
    counts = dict.fromkeys((*SPLITS, "quoting", "same_cluster"), 0)
    labels = label_rows(found, known, counts)
    near = "near_validation"
    assert labels["split"].to_pylist() == ["train"] * 2 + [near] * 3 + ["validation"] + [near] * 2
    expected = [None, quoted, quoted, relative, quoted, None, None, None]
    assert labels["validation_document"].to_pylist() == expected
    assert labels["validation_score"].is_valid().to_pylist() == [True] * 5 + [False] * 2 + [True]
    assert counts == {
        "train": 2,
        "validation": 1,
        near: 5,
        "quoting": 2,
        "same_cluster": 1,
    }


def test_page_of_a_long_text_leaves_training(done: RunResult) -> None:
    rows = labelled(done)
    assert rows["whole"]["split"] == "validation"
    assert rows["page"]["split"] == "near_validation"
    assert rows["page"]["validation_document"] == rows["whole"]["id"]


def test_seeds_are_refused_by_the_function_that_made_the_labels(done: RunResult) -> None:
    rows = labelled(done)
    for language in DECLARATIONS:
        texts = edited(language)
        held_out = is_validation(root_hash_of(pa.array(texts.values(), pa.large_string())), SHARE)
        for what, is_refused in zip(texts, held_out.tolist(), strict=True):
            assert is_refused == (rows[f"{language}/{what}"]["split"] == "validation")


def test_key_added_later_makes_new_labels_and_leaves_the_rest(
    plain: RunResult, done: RunResult
) -> None:
    before, after = committed(plain.workspace.url), committed(done.workspace.url)
    assert plain.validation is None
    assert not [name for name, _, _ in before if name.startswith("validation")]
    assert read_run_record(plain.workspace).validation == ""
    new = {place: files for place, files in after.items() if place not in before}
    assert {place: after[place] for place in before} == before
    assert {name.split("@")[0] for name, _, _ in new} == {
        "validation",
        "validation.items",
        "validation.texts",
    }
    assert done.validation is not None
    assert read_run_record(done.workspace).validation == done.validation.name


def test_run_again_does_nothing(done: RunResult, corpus: Path) -> None:
    before = committed(done.workspace.url)
    again = run_small(corpus, done.workspace.url)
    assert again.parts_done == 0
    assert again.validation == done.validation
    assert committed(done.workspace.url) == before


def test_run_killed_among_the_labels_ends_in_the_same_bytes(
    plain: RunResult, done: RunResult, corpus: Path, tmp_path: Path
) -> None:
    workspace = str(tmp_path / "w")
    shutil.copytree(plain.workspace.url, workspace)
    commits = len(keys_of(done)) + 2  # texts, items, labels of one part
    script = Path(__file__).parents[1] / "line" / "killed_run.py"
    arguments = [sys.executable, str(script), str(corpus), workspace, "after", str(commits)]
    killed = subprocess.run(arguments, capture_output=True)
    assert killed.returncode == -9, killed.stderr.decode()
    assert len(committed(workspace)) == len(committed(plain.workspace.url)) + commits
    run_small(corpus, workspace, processes=1)
    assert committed(workspace) == committed(done.workspace.url)


def test_labels_under_attack_are_the_same(done: RunResult, tmp_path: Path) -> None:
    workspace = without(done, tmp_path / "w", "validation")
    job = ValidationJob(plan_of(done), plan_of(done).items(workspace))
    dofn = RunPart(workspace, dict.fromkeys(done.sources, job), LIMITS)
    clean = outcome_of_one_run(tmp_path / "w", dofn, keys_of(done))
    assert outcome_under_attack(tmp_path / "w", dofn, keys_of(done)) == clean
    assert clean == committed(done.workspace.url)


def test_labels_do_not_depend_on_how_a_part_is_cut_into_batches(
    done: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = without(done, tmp_path / "w", "validation.texts", "validation")
    monkeypatch.setattr(texts_module, "BATCH_ROWS", 1)
    children, plan = Children(LIMITS), plan_of(done)
    jobs = (TextsJob(plan), ValidationJob(plan, plan.items(done.workspace)))
    for job, kind in zip(jobs, ("texts", "labels"), strict=True):
        (generation,) = job.generations
        workspace.ledger.declare(generation)
        for key in keys_of(done):
            job.run(workspace, key, children)
            made, other = (
                one.ledger.get(generation, key.source, key.part)
                for one in (workspace, done.workspace)
            )
            assert made.counts == other.counts
            assert not list(validation_faults(workspace, made))
            assert read_table(workspace.storage, made.file(kind)) == read_table(
                done.workspace.storage, other.file(kind)
            )
    children.close()


def test_items_are_a_benchmark_of_one_text_a_cluster(done: RunResult) -> None:
    made = plan_of(done).items(done.workspace)
    entry = done.workspace.ledger.get(made, "all", 0)
    data = zstandard.decompress(done.workspace.storage.read(entry.file("items").path))
    lines = [json.loads(line) for line in data.decode().splitlines()]
    ids = {bytes.fromhex(line["id"].split(":")[0]) for line in lines}
    rows = labelled(done)
    held_out = {name: row["id"] for name, row in rows.items() if row["split"] == "validation"}
    assert ids <= set(held_out.values())
    assert held_out["whole"] in ids
    for language in DECLARATIONS:
        copies = {held_out[f"{language}/{what}"] for what in ("held out", "dressed")}
        assert len(copies) == 2
        assert len(copies & ids) == 1
    assert entry.counts["held_out"] == 9
    assert entry.counts["items"] == entry.counts["indexed"] == 8


def test_items_on_a_remote_storage_are_searched_as_those_on_a_disk(done: RunResult) -> None:
    entry = done.workspace.ledger.get(plan_of(done).items(done.workspace), "all", 0)
    path = entry.file("items").path
    storage = Storage("memory://declarations")
    storage.fs.pipe_file(storage.path(path), done.workspace.storage.read(path))
    texts = pa.array(edited("hi").values(), pa.large_string())
    found = items.searcher("memory://declarations", path)(texts, {})
    assert found.equals(items.searcher(done.workspace.url, path)(texts, {}))
    assert found["contamination_score"].to_pylist()[:2] == [1, 1]


def test_one_of_each_cluster_takes_the_representative_or_the_smallest_id() -> None:
    ids = [bytes([n]) * 16 for n in range(6)]
    clusters = [None, ids[3], ids[4], ids[3], None, ids[4]]
    rows = [
        {"row": n, "id": id_, "cluster": cluster, "root": id_, "text": str(n)}
        for n, (id_, cluster) in enumerate(zip(ids, clusters, strict=True))
    ]
    # The document 4 is alone here, and only names the cluster of 2 and 5.
    kept = one_of_each_cluster(pa.Table.from_pylist([*rows[:4], rows[5]], TEXTS))
    assert kept["row"].to_pylist() == [0, 2, 3]
    assert one_of_each_cluster(TEXTS.empty_table()).num_rows == 0


def test_too_much_held_out_is_refused_with_a_share_that_fits(
    done: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = without(done, tmp_path / "w", "validation.items", "validation")
    monkeypatch.setattr(items, "MAX_TEXT_BYTES", 4096)
    with pytest.raises(
        ValueError, match=r"validation.share: 0.45 holds out .* write 0.\d+ or less"
    ):
        make_items(workspace, plan_of(done))


def test_audit_is_clean_and_recounts(done: RunResult) -> None:
    report = audit(done.workspace, deep_checks={"validation": validation_faults})
    assert report.faults == []
    assert report.recounted == 2 * len(keys_of(done)) + 1
    totals = report.totals["validation"]
    assert (totals["validation"], totals["near_validation"], totals["train"]) == (9, 5, 8)


def test_audit_of_a_label_that_was_changed_names_it(done: RunResult) -> None:
    entry = next(
        entry
        for entry in done.workspace.ledger.entries(str(done.validation and done.validation.name))
        if entry.counts["validation"] and entry.counts["train"]
    )
    assert not list(validation_faults(done.workspace, entry))
    moved = dict(entry.counts) | {"train": 0, "validation": entry.counts["rows"]}
    faults = [*validation_faults(done.workspace, replace(entry, counts=moved))]
    assert len(faults) == 2
    assert all(entry.file("labels").path in fault for fault in faults)
    texts = done.workspace.ledger.get(plan_of(done).texts, entry.source, entry.part)
    wrong = replace(texts, counts=dict(texts.counts) | {"text_bytes": 1})
    assert "bytes" in " ".join(validation_faults(done.workspace, wrong))


def test_trace_shows_the_split(done: RunResult) -> None:
    (found,) = find_documents(done.workspace, "https://un.test/page")
    labels = {name.split("@")[0]: row for name, row in labels_of(done.workspace, found)}
    assert labels["validation"]["split"] == "near_validation"
    assert "validation.texts" not in labels


def test_prune_keeps_what_is_named_and_takes_the_items_when_they_are_not(
    done: RunResult,
) -> None:
    everything = done.workspace.ledger.generations()
    assert find_prunable(done.workspace, everything).orphans == ()
    rest = [name for name in everything if not name.startswith("validation")]
    pruning = find_prunable(done.workspace, rest)
    assert len(pruning.generations) == 3
    assert any(path.startswith("validation/") and "items" in path for path in pruning.orphans)


def test_text_that_kills_its_process_is_listed_and_not_trained_on(
    done: RunResult, tmp_path: Path
) -> None:
    workspace = without(done, tmp_path / "w", "validation.texts", "validation.items", "validation")
    plan = plan_of(done)
    workspace.ledger.declare(plan.texts)
    children = Children(LIMITS)
    first, *others = keys_of(done)
    TextsJob(plan).run(workspace, first, DyingChildren(LIMITS))
    for key in others:
        TextsJob(plan).run(workspace, key, children)
    job = ValidationJob(plan, make_items(workspace, plan))
    workspace.ledger.declare(job.generations[0])
    job.run(workspace, first, children)
    children.close()
    texts = workspace.ledger.get(plan.texts, first.source, first.part)
    documents = texts.counts["documents"]
    assert texts.counts["failed"] == documents > 0
    rejects = read_table(workspace.storage, texts.file("rejects"))
    assert rejects["reason"].to_pylist() == [CRASHED] * documents
    labels = workspace.ledger.get(job.generations[0], first.source, first.part)
    assert labels.counts["near_validation"] == documents
    assert not [*validation_faults(workspace, texts), *validation_faults(workspace, labels)]


def test_no_text_held_out_still_makes_labels(done: RunResult, tmp_path: Path) -> None:
    workspace = without(done, tmp_path / "w")
    plan = ValidationPlan(1e-9, done.extract, done.duplicates.labels)
    children = Children(LIMITS)
    workspace.ledger.declare(plan.texts)
    for key in keys_of(done):
        TextsJob(plan).run(workspace, key, children)
    job = ValidationJob(plan, make_items(workspace, plan))
    for key in keys_of(done):
        job.run(workspace, key, children)
    children.close()
    entries = workspace.ledger.entries(job.generations[0])
    assert sum(entry.counts["train"] for entry in entries) == 22
    tables = [read_table(workspace.storage, entry.file("labels")) for entry in entries]
    assert pc.max(pa.concat_tables(tables)["validation_score"]).as_py() == 0

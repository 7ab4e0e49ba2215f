"""Facts of a finished run: equal to the ledger's, and honest where sums do not add up."""

import dataclasses
import json
from collections import Counter
from pathlib import Path

import pytest
from labelled_corpus import NEAR, PERSONAL

from pipelines.mix.plan import read_plan
from pipelines.report.facts import Check, OriginFacts, count_bins, score_bins
from pipelines.report.gather import gather
from pipelines.report.stages import MAX_GROUPS, num_sequences, stage_facts
from pipelines.run_record import read_run_record, write_run_record
from pipelines.workspace.ledger import Entry
from pipelines.workspace.parts import read_table
from pipelines.workspace.workspace import Workspace


def test_counts_are_those_of_the_ledger_and_of_the_files(rich: Workspace) -> None:
    facts, record = gather(rich), read_run_record(rich)
    entries = [e for s, g in record.extract.items() for e in rich.ledger.entries(g, s)]
    rows = sum(read_table(rich.storage, e.file("documents"), ["id"]).num_rows for e in entries)
    assert facts.documents == rows == 14
    counts = {"records": 17, "documents": 14, "rejects": 3, "not_asked": 0}
    assert counts.items() <= facts.intake.counts.items()
    assert facts.intake.reasons["rejects"] == {"empty_file": 1, "empty_text": 1, "invalid_json": 1}
    assert facts.tokens == sum(
        entry.counts["tokens"] for entry in rich.ledger.entries(record.shards["small"])
    )
    bins = sum(
        ref.bytes
        for e in rich.ledger.entries(record.shards["small"])
        for ref in e.files
        if ref.kind == "bin"
    )
    assert bins == 2 * facts.tokens == sum(stage.bin_bytes for stage in facts.stages)


def test_labels_are_summed_over_parts(rich: Workspace) -> None:
    labels = gather(rich).labels
    assert labels.values["topic"] == {"harbour <life>": 5, "other_things": 9}
    assert labels.spans["pii"] == {"email": 4, "key": 2}
    assert labels.known("benchmark") == {"riddles": 1}
    assert labels.values["quality_keep"] == {"true": 13, "false": 1}
    assert sum(labels.values["language"].values()) == 14
    assert labels.types["num_tokens"] == "count"
    assert labels.types["quality_score"] == "score"
    assert labels.sets["topic"] == "subjects"
    assert not labels.incomplete


def test_crawl_duplicates_and_refused_mixtures_are_there(rich: Workspace) -> None:
    facts = gather(rich)
    assert facts.crawl is not None
    assert facts.crawl.left == 8, "over a limit in any round; none waits in the last"
    assert facts.crawl.reasons["reasons"] == {"robots": 1, "http_status": 3, "timeout": 1}
    assert facts.duplicates["near_duplicate"] == 2, "one that was found, one that was added"
    assert not facts.exact_only
    assert list(facts.refused) == ["impossible"]
    assert [stage.title for stage in facts.stages] == ["small / first", "small / second"]


def test_all_sums_of_a_finished_run_add_up(rich: Workspace) -> None:
    facts = gather(rich)
    assert facts.failed_checks == ()
    checked = {(check.step, check.total[0]) for check in facts.checks}
    assert {("intake", "records"), ("crawl", "asked"), ("duplicates", "documents")} <= checked
    assert {("small / first", "tokens"), ("small / first", "documents")} <= checked


@pytest.mark.parametrize(
    ("job", "count", "total"),
    [
        ("extract", "documents", "records"),
        ("crawl@", "fetched", "asked"),
        ("shards", "eod", "tokens"),
        ("shards", "documents", "eligible"),
        ("annotate.language", "rows", "documents"),
    ],
)
def test_a_changed_count_is_found(copy: Workspace, job: str, count: str, total: str) -> None:
    folders = Path(copy.url, "ledger").glob(f"{job}*")
    path = sorted(p for f in folders for p in f.rglob("part-*.json"))[0]
    entry = json.loads(path.read_text())
    entry["counts"][count] += 100
    path.write_text(json.dumps(entry))
    for fold in Path(copy.url, "ledger").rglob("folded.parquet"):
        fold.unlink()
    faults = gather(copy).failed_checks
    assert total in {check.total[0] for check in faults}
    assert 100 in {abs(check.missing) for check in faults}


def change_entries(workspace: Workspace, folder: str, **details: object) -> None:
    """Changes the details of all entries of a job; None takes one away."""
    for path in Path(workspace.url).glob(f"ledger/{folder}@*/*/part-*.json"):
        entry = json.loads(path.read_text())
        entry["detail"] |= details
        entry["detail"] = {k: v for k, v in entry["detail"].items() if v is not None}
        path.write_text(json.dumps(entry))
    for fold in Path(workspace.url, "ledger").rglob("folded.parquet"):
        fold.unlink()


def test_kinds_of_texts_are_summed_and_must_be_all_documents(copy: Workspace) -> None:
    change_entries(copy, "extract", kinds={"natural": 1, "synthetic": 1})
    facts, record = gather(copy), read_run_record(copy)
    parts = sum(len(copy.ledger.entries(g, s)) for s, g in record.extract.items())
    assert facts.kinds == {"natural": parts, "synthetic": parts}
    faults = [check for check in facts.failed_checks if check.where == "kinds"]
    assert [check.total for check in faults] == ([("documents", 14)] if 2 * parts != 14 else [])
    change_entries(copy, "extract", kinds=None)
    facts = gather(copy)
    assert facts.kinds == {}
    assert not [check for check in facts.checks if check.where == "kinds"]


def test_tokens_by_kind_of_older_entries_are_no_fault(copy: Workspace) -> None:
    change_entries(copy, "shards.small", tokens_by_kind=None)
    facts = gather(copy)
    assert facts.failed_checks == ()
    assert all("kind" not in stage.tokens_by for stage in facts.stages)


def test_origins_are_what_the_extract_generation_says_of_its_source(copy: Workspace) -> None:
    assert gather(copy).origins == ()
    record = read_run_record(copy)
    path = Path(copy.url, "ledger", record.extract["notes"], "generation.json")
    payload = json.loads(path.read_text())
    payload["source"]["provenance"] = {"kind": "rewritten", "model": "m/7b", "recipe": None}
    path.write_text(json.dumps(payload))
    found = OriginFacts(source="notes", kind="rewritten", model="m/7b", recipe="")
    assert gather(copy).origins == (found,)


@pytest.mark.parametrize(
    ("tokens", "wanted"), [(0, 0), (1, 0), (64, 0), (65, 1), (128, 1), (129, 2)]
)
def test_a_sequence_needs_one_token_more_than_its_length(tokens: int, wanted: int) -> None:
    assert num_sequences(tokens, 64) == wanted


def test_sequences_are_counted_shard_by_shard(rich: Workspace) -> None:
    record = read_run_record(rich)
    plan = read_plan(rich, record.mixtures["small"])
    one = next(e for e in rich.ledger.entries(record.shards["small"]) if e.source == "first")
    sizes = (65, 128, 64, 20, 0)
    entries = [dataclasses.replace(one, counts={**one.counts, "tokens": size}) for size in sizes]
    facts = stage_facts(plan, "first", entries)
    assert (facts.sequences, facts.short_shards, facts.short_tokens) == (2, 2, 84)
    assert facts.redact == ("email", "key")


def test_tokens_are_told_by_what_all_shards_that_have_any_count_them_by(rich: Workspace) -> None:
    record = read_run_record(rich)
    plan = read_plan(rich, record.mixtures["small"])
    one = next(e for e in rich.ledger.entries(record.shards["small"]) if e.source == "first")

    def shard(tokens: int, **told: dict[str, int]) -> Entry:
        kept = {key: v for key, v in one.detail.items() if not key.startswith("tokens_by")}
        told = {f"tokens_by_{name}": sums for name, sums in told.items()}
        return dataclasses.replace(one, counts={"tokens": tokens}, detail={**kept, **told})

    entries = [
        shard(3, language={"kaa_Latn": 2, "khk_Cyrl": 1}, kind={"natural": 3}, topic={}),
        shard(0),
        shard(4, language={"kaa_Latn": 4}, topic={}),
    ]
    found = stage_facts(plan, "first", entries).tokens_by
    assert found == {"language": {"kaa_Latn": 6, "khk_Cyrl": 1}}


def test_missing_is_what_the_terms_lack() -> None:
    check = Check(step="s", where="w", total=("records", 5), terms=(("a", 1), ("b", 2)))
    assert (check.holds, check.missing) == (False, 2)


def test_a_column_with_too_many_values_in_one_part_is_not_passed_off_as_whole(
    copy: Workspace,
) -> None:
    path = sorted(Path(copy.url).glob("ledger/annotate.subjects@*/*/part-*.json"))[0]
    entry = json.loads(path.read_text())
    del entry["detail"]["values"]["topic"]
    path.write_text(json.dumps(entry))
    for fold in Path(copy.url, "ledger").rglob("folded.parquet"):
        fold.unlink()
    facts = gather(copy)
    assert facts.labels.incomplete == {"topic"}
    assert not [check for check in facts.checks if check.where == "topic"]


def test_work_of_one_annotating_pass_counts_once(rich: Workspace) -> None:
    facts, record = gather(rich), read_run_record(rich)
    longest: Counter[tuple[str, int]] = Counter()
    for source, sets in record.annotate.items():
        for generation in sets.values():
            for entry in rich.ledger.entries(generation, source):
                key = (entry.source, entry.part)
                longest[key] = max(longest[key], entry.seconds)
    annotate = next(job for job in facts.jobs if job.name == "annotate")
    assert annotate.seconds == pytest.approx(sum(longest.values()))
    assert annotate.text_bytes == sum(source.text_bytes for source in facts.sources)


def test_a_run_without_labels_or_mixtures_has_facts(copy: Workspace) -> None:
    record = read_run_record(copy)
    bare = dataclasses.replace(
        record, annotate={}, duplicates="", mixtures={}, shards={}, refused={}, crawl={}
    )
    write_run_record(copy, bare)
    facts = gather(copy)
    assert (facts.stages, facts.duplicates, facts.crawl, facts.tokens) == ((), {}, None, 0)
    assert facts.failed_checks == ()


def test_workspace_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match=r"run\.json"):
        gather(Workspace.create(str(tmp_path / "w")))


def test_benchmarks_are_those_that_were_looked_for(copy: Workspace) -> None:
    assert gather(copy).benchmarks == ("riddles",)
    for path in Path(copy.url).glob("ledger/annotate.contamination@*/generation.json"):
        payload = json.loads(path.read_text())
        payload["annotator"]["options"]["benchmarks"] = []
        path.write_text(json.dumps(payload))
    assert gather(copy).benchmarks == ()


def test_groups_beyond_the_limit_share_one_row(
    rich: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = read_run_record(rich)
    plan = read_plan(rich, record.mixtures["small"])
    whole = stage_facts(plan, "second", [])
    assert len(whole.groups) < MAX_GROUPS
    monkeypatch.setattr("pipelines.report.stages.MAX_GROUPS", 2)
    cut = stage_facts(plan, "second", [])
    assert (len(cut.groups), cut.groups[-1].rows) == (3, len(whole.groups) - 2)
    for name in ("documents", "tokens", "planned"):
        sums = [sum(getattr(group, name) for group in stage.groups) for stage in (whole, cut)]
        assert sums[0] == pytest.approx(sums[1])


def test_bins_have_no_gaps() -> None:
    assert count_bins({-1: 2, 1: 3}) == [(0, 0, 2), (1, 1, 0), (2, 3, 3)]
    assert count_bins({}) == []
    assert [n for *_, n in score_bins({0: 1, 19: 2})] == [1, *[0] * 18, 2]


def test_texts_of_this_corpus_are_what_the_counts_say() -> None:
    assert PERSONAL.count("@") == 2
    assert NEAR[0] != NEAR[1]

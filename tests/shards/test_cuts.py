"""Cuts: what shards hold of texts whose benchmarks, boilerplate and repeats a stage leaves out."""

import math
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from cut_workspace import (
    AGAIN,
    ALL_CUT,
    BLANK,
    DOCUMENTS,
    FIRST,
    FOOTER,
    LETTER,
    MIXED,
    PAGE,
    PLAIN,
    QUOTED,
    decoded,
    entries_of,
    plan_of,
    reasons_of,
    rows_of,
    write,
    write_labels,
)
from label_workspace import TOKENIZER, generation
from test_shards_job import draws_of

from pipelines.mix.explanation import Explanation, explain
from pipelines.mix.judge import judge
from pipelines.mix.pins import label_table
from pipelines.mix.plan import Plan
from pipelines.shards.check import shard_faults
from pipelines.shards.job import ShardsJob
from pipelines.shards.outcome import outcomes
from pipelines.shards.redaction import CUTS, encode_cut
from pipelines.workspace.children import Children
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.tracing import Found
from pipelines.workspace.workspace import Workspace
from token_shards.tokenizer import load_tokenizer

ALL = ["contamination", "boilerplate", "repeats"]
STAGE = {"sequence_length": 64, "tokens": "max", "max_epochs": 2}
STAGES = [
    {**STAGE, "name": "whole"},
    {**STAGE, "name": "all", "redact": ["email"], "cut": ALL},
    {**STAGE, "name": "redacted", "redact": ["email"]},
    {**STAGE, "name": "quotes", "cut": ["contamination"]},
    {**STAGE, "name": "repeats", "cut": ["repeats"]},
    {**STAGE, "name": "hosts", "cut": ["boilerplate"]},
    {**STAGE, "name": "packed", "redact": ["email"], "cut": ALL, "packing": "best_fit"},
]
TEXTS = [one["text"] for one in DOCUMENTS]

Done = tuple[Workspace, Plan, list[ShardsJob]]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, children: Children) -> Done:
    workspace = write_labels(str(tmp_path_factory.mktemp("cuts") / "w"), rows_of())
    plan = plan_of(workspace, *STAGES)
    return workspace, plan, write(workspace, plan, children)


def texts_of(done: Done, stage: str) -> Counter[str]:
    """What a trainer reads, decoded, by how often."""
    workspace, _, jobs = done
    (job,) = [job for job in jobs if job.stage == stage]
    drawn = draws_of(workspace, job)
    eod = entries_of(workspace, jobs, stage)[0].detail["eod_id"]
    assert all(tokens[-1] == eod for tokens in drawn.values())
    return Counter(decoded(tokens[:-1]) for tokens in drawn.values())


def twice(*texts: str) -> Counter[str]:
    return Counter(dict.fromkeys(texts, 2))


def num_tokens(*texts: str) -> int:
    counts = load_tokenizer(TOKENIZER).count(pa.array(texts, pa.large_string()))
    return int(counts.sum())


@pytest.mark.parametrize("stage", ["all", "packed"])
def test_shards_hold_what_the_cuts_leave_and_nothing_empty(done: Done, stage: str) -> None:
    assert texts_of(done, stage) == twice(*ALL_CUT.values())


def test_stage_without_cuts_leaves_every_text_as_it_is(done: Done) -> None:
    assert texts_of(done, "whole") == twice(*TEXTS)


def test_each_kind_is_cut_alone(done: Done) -> None:
    emails = ("ann.lee@mail.example", "bob@mail.example")
    redacted = [text.replace(emails[0], "<email>").replace(emails[1], "<email>") for text in TEXTS]
    assert texts_of(done, "redacted") == twice(*redacted)
    quotes = {QUOTED: ALL_CUT[QUOTED]}
    assert texts_of(done, "quotes") == twice(*(quotes.get(text, text) for text in TEXTS))
    hosts = {text: ALL_CUT[text] for text in (PAGE, LETTER)}
    kept = [hosts.get(text, text) for text in TEXTS if text not in (FOOTER, BLANK)]
    assert texts_of(done, "hosts") == twice(*kept)


def test_first_copy_of_a_repeat_stays(done: Done) -> None:
    repeats = {
        AGAIN: ALL_CUT[AGAIN],
        MIXED: "Write to ann.lee@ the notice at the quay.",
    }
    found = texts_of(done, "repeats")
    assert found == twice(*(repeats.get(text, text) for text in TEXTS))
    assert found[FIRST] == 2


def test_counts_balance_and_say_what_was_cut(done: Done) -> None:
    workspace, _, jobs = done
    (entry,) = entries_of(workspace, jobs, "all")
    before, after = num_tokens(*TEXTS) - num_tokens(FOOTER), num_tokens(*ALL_CUT.values())
    assert entry.counts == {
        "tokens": 2 * (after + len(ALL_CUT)),
        "document_tokens": 2 * before,
        "eod": 2 * len(ALL_CUT),
        "padding": 0,
        "cut_tokens": 2 * (after - before),
        "draws": 2 * len(ALL_CUT),
        "documents": len(ALL_CUT),
        "emptied": 2,  # BLANK
        "pieces": 2 * len(ALL_CUT),
    }
    assert entry.detail["redacted"] == {
        "email": 2 * 3,
        "contamination": 2 * 2,
        "boilerplate": 2 * (2 + 1 + 2),
        "repeats": 2 * 2,
    }
    assert sum(entry.detail["tokens_by_language"].values()) == entry.counts["tokens"]


@pytest.mark.parametrize("stage", [str(stage["name"]) for stage in STAGES])
def test_equation_and_recount_hold_after_cuts(done: Done, stage: str) -> None:
    workspace, plan, jobs = done
    for entry in entries_of(workspace, jobs, stage):
        terms = ("document_tokens", "eod", "padding", "cut_tokens")
        assert entry.counts["tokens"] == sum(entry.counts[term] for term in terms)
        assert list(shard_faults(workspace, entry)) == []
        drawn = sum(
            row["draws"]
            for row in plan.preview.to_pylist()
            if row["stage"] == stage and row["dimension"] == "all"
        )
        assert entry.counts["draws"] + entry.counts["emptied"] == drawn


def test_document_without_a_byte_left_is_out_with_its_reason(done: Done) -> None:
    _, plan, _ = done
    assert reasons_of(plan, "all") == {"cut_to_nothing": 1, "eligible": len(TEXTS) - 1}
    assert reasons_of(plan, "hosts") == {"cut_to_nothing": 1, "eligible": len(TEXTS) - 1}
    assert reasons_of(plan, "repeats") == {"eligible": len(TEXTS)}


def test_planned_tokens_follow_the_cuts_and_the_outcome_says_how_far(done: Done) -> None:
    workspace, plan, jobs = done
    for outcome in outcomes(workspace, plan, jobs):
        (entry,) = entries_of(workspace, jobs, outcome.stage)
        assert outcome.planned == entry.detail["planned_tokens"]
        assert outcome.realised == entry.counts["tokens"] - entry.counts["padding"]
        assert outcome.emptied == (2 if outcome.stage in ("all", "hosts", "packed") else 0)
        uncut = 2 * num_tokens(*TEXTS)
        if outcome.stage == "whole":
            assert outcome.planning_error == 0
        elif outcome.stage == "all":
            assert outcome.planned < 0.7 * uncut
            assert math.isclose(outcome.planned, outcome.realised, rel_tol=0.1)
    labels = label_table(workspace, plan.pins, PartKey("notes", 0))
    judged = judge(plan.stages["hosts"], labels, {})
    for text, planned in zip(TEXTS, judged.tokens.tolist(), strict=True):
        kept = ALL_CUT[text] if text in (PAGE, LETTER) else text
        if text == FOOTER:
            assert planned == 1
        elif text != BLANK:
            share = len(kept.encode()) / len(text.encode())
            assert planned == round(num_tokens(text) * share) + 1


def test_text_is_emptied_by_its_cuts_and_not_by_being_empty() -> None:
    tokenizer = load_tokenizer(TOKENIZER)
    texts: pa.LargeStringArray = pa.array(["नाव", "a b", "", " ", "ab"], pa.large_string())
    places = [[(0, 9)], [(0, 1), (2, 3)], [], [], [(0, 1)]]
    cuts = [[{"start": a, "end": b, "replacement": ""} for a, b in row] for row in places]
    batch, uncut, is_emptied = encode_cut(tokenizer, texts, pa.array(cuts, CUTS))
    assert is_emptied.tolist() == [True, True, False, False, False]
    assert uncut.tolist() == tokenizer.count(texts).tolist()
    wanted = tokenizer.encode(pa.array(["", "", "", " ", "b"], pa.large_string()))
    assert batch.ids.tolist() == wanted.ids.tolist()
    assert batch.offsets.tolist() == wanted.offsets.tolist()


def test_explanation_names_the_cuts_of_a_document(done: Done) -> None:
    workspace, plan, _ = done
    entry = workspace.ledger.get(generation("extract"), "notes", 0)

    def told(text: str) -> dict[str, Explanation]:
        row = TEXTS.index(text)
        key = rows_of()[row]["id"]
        found = Found(entry=entry, row=row, id=key, uri=None, locator={})
        return {one.stage.name: one for one in explain(workspace, plan, found)}

    page, footer, blank = told(PAGE), told(FOOTER), told(BLANK)
    assert page["all"].cuts == {"email": 1, "boilerplate": 2}
    assert page["hosts"].cuts == {"boilerplate": 2}
    assert page["whole"].cuts == page["repeats"].cuts == {}
    assert (footer["all"].reason, footer["all"].draws) == ("cut_to_nothing", 0)
    assert footer["all"].cuts == {"boilerplate": 1}
    assert (blank["all"].reason, blank["all"].draws, blank["all"].written) == ("eligible", 2, ())
    assert len(blank["whole"].written) == 2


@pytest.mark.parametrize("packing", ["concat", "best_fit"])
def test_stage_shuffled_as_a_whole_leaves_out_what_is_emptied(
    tmp_path: Path, children: Children, packing: str
) -> None:
    workspace = write_labels(str(tmp_path / "w"), rows_of())
    keys = {"redact": ["email"], "cut": ALL, "shuffle": "global", "packing": packing}
    plan = plan_of(workspace, {**STAGE, "name": "all", **keys}, shard_tokens=60)
    done = (workspace, plan, write(workspace, plan, children, "parquet"))
    assert texts_of(done, "all") == twice(*ALL_CUT.values())
    entries = entries_of(workspace, done[2], "all")
    assert sum(entry.counts["emptied"] for entry in entries) == 2
    for entry in entries:
        terms = ("document_tokens", "eod", "padding", "cut_tokens")
        assert entry.counts["tokens"] == sum(entry.counts[term] for term in terms)
        assert list(shard_faults(workspace, entry)) == []


def test_shard_of_which_nothing_is_left_has_no_files(tmp_path: Path, children: Children) -> None:
    rows = rows_of([one for one in DOCUMENTS if one["text"] == BLANK])
    workspace = write_labels(str(tmp_path / "w"), rows)
    for packing in ("concat", "best_fit"):
        plan = plan_of(
            workspace, {**STAGE, "name": "s", "cut": ["boilerplate"], "packing": packing}
        )
        jobs = write(workspace, plan, children)
        (entry,) = entries_of(workspace, jobs, "s")
        assert entry.files == ()
        assert entry.counts["emptied"] == 2
        assert entry.counts["tokens"] == entry.counts["draws"] == entry.counts["eod"] == 0
        assert entry.counts["document_tokens"] == -entry.counts["cut_tokens"] > 0
        assert list(shard_faults(workspace, entry)) == []


def test_mixture_chooses_between_dropping_a_document_and_cutting_it(
    tmp_path: Path, children: Children
) -> None:
    workspace = write_labels(str(tmp_path / "w"), rows_of())
    stages = [
        {**STAGE, "name": "dropped", "where": "not contaminated"},
        {**STAGE, "name": "cut", "cut": ["contamination"]},
        {
            **STAGE,
            "name": "either",
            "where": "not contaminated or list_sum(list_transform(list_filter(contamination_spans, "
            'lambda s: s.contaminated), lambda s: s."end" - s.start)) < 0.7 * num_bytes',
            "cut": ["contamination"],
        },
    ]
    plan = plan_of(workspace, *stages)
    done = (workspace, plan, write(workspace, plan, children))
    others = [text for text in TEXTS if text != QUOTED]
    assert texts_of(done, "dropped") == twice(*others)
    assert texts_of(done, "cut") == twice(*others, ALL_CUT[QUOTED])
    assert texts_of(done, "either") == twice(*others, ALL_CUT[QUOTED])


def test_document_whose_labels_failed_is_neither_written_uncut_nor_passed(
    tmp_path: Path, children: Children
) -> None:
    failed = {"contaminated": None, "contamination_spans": None}
    rows = rows_of([{**one, **(failed if one["text"] == PLAIN else {})} for one in DOCUMENTS])
    workspace = write_labels(str(tmp_path / "w"), rows)
    stages = [
        {**STAGE, "name": "dropped", "where": "not contaminated"},
        {**STAGE, "name": "cut", "cut": ["contamination"]},
    ]
    plan = plan_of(workspace, *stages)
    done = (workspace, plan, write(workspace, plan, children))
    assert PLAIN not in texts_of(done, "dropped")
    assert PLAIN not in texts_of(done, "cut")
    assert reasons_of(plan, "dropped") == {"eligible": len(TEXTS) - 2, "where_false": 2}
    assert reasons_of(plan, "cut") == {"eligible": len(TEXTS) - 1, "not_labelled": 1}

"""Documents that kill the tokenizer while shards are made: each costs its own draws alone.

The labels are made in this process, as on a machine where nothing dies; in the children gigatoken
dies of texts that say so (`deadly_libraries`). One text says so only after its cuts.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import typer
from cut_workspace import (
    DOCUMENTS,
    FOOTER,
    SOURCE,
    decoded,
    entries_of,
    line,
    plan_of,
    rows_of,
    write,
    write_labels,
)
from label_workspace import CUT_SETS, SETS, generation, make_plan, mixture_of, write_part
from test_shards_job import draws_of
from typer.testing import CliRunner

from pipelines.commands import tracing
from pipelines.mix.pins import pin
from pipelines.mix.plan import Plan
from pipelines.shards.check import shard_faults
from pipelines.shards.job import ShardsJob
from pipelines.shards.outcome import outcomes
from pipelines.shards.tokenizing import Failures
from pipelines.workspace.audit_equations import equation_faults
from pipelines.workspace.children import Children, Limits
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.ledger import Entry
from pipelines.workspace.workspace import Workspace
from token_shards.indexed_dataset import read_index

PLAIN = "poison: segfault — 渡し船は今日は出ません。"
SPLIT = f"Паром poi{FOOTER}son: abort сегодня не ходит."  # poison when the footer is cut
GREEDY = "poison: memory — लंबी प्रतीक्षा के बाद नाव आई।"
STUCK = "poison: hang — ลองอีกครั้งพรุ่งนี้"
POISON = [
    {"text": PLAIN},
    {"text": SPLIT, "boilerplate": [line(SPLIT, FOOTER)]},
]
# Nothing but what hangs takes longer than a busy machine; and to what hangs nothing else is given.
LIMITS = Limits(processes=1, batch_timeout_s=240, record_timeout_s=0, memory_bytes=2 << 30)
SHORT = replace(LIMITS, batch_timeout_s=5)
CUT = ["contamination", "boilerplate", "repeats"]
STAGE = {"sequence_length": 64, "tokens": "max", "max_epochs": 2}
STAGES = [
    {**STAGE, "name": "whole"},
    {**STAGE, "name": "cut", "redact": ["email"], "cut": CUT},
    {**STAGE, "name": "packed", "redact": ["email"], "cut": CUT, "packing": "best_fit"},
]
GLOBAL = {**STAGE, "name": "global", "cut": CUT, "shuffle": "global", "packing": "best_fit"}
SEGFAULT = ("crashed", "its process ended with exit code -11")
ABORT = ("crashed", "its process ended with exit code -6")

Done = tuple[Workspace, Plan, list[ShardsJob]]


def dying_children(limits: Limits) -> Iterator[Children]:
    """Children whose tokenizer dies of poison."""
    folder = Path(__file__).parents[1] / "line"
    with pytest.MonkeyPatch.context() as patch:
        paths = [folder / "deadly_libraries", folder]
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, paths)))
        children = Children(limits)
        yield children
        children.close()


@pytest.fixture(scope="module")
def deadly() -> Iterator[Children]:
    yield from dying_children(LIMITS)


@pytest.fixture
def impatient() -> Iterator[Children]:
    yield from dying_children(SHORT)


def made(folder: Path, documents: list[dict[str, Any]], children: Children) -> Done:
    workspace = write_labels(str(folder / "w"), rows_of(documents))
    plan = plan_of(workspace, *STAGES)
    return workspace, plan, write(workspace, plan, children)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, deadly: Children) -> Done:
    return made(tmp_path_factory.mktemp("poison"), [*DOCUMENTS, *POISON], deadly)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory, deadly: Children) -> Done:
    """The same without the documents that kill."""
    return made(tmp_path_factory.mktemp("clean"), DOCUMENTS, deadly)


def id_of(text: str) -> bytes:
    """Of a document of `done`."""
    found = (row["id"] for row in rows_of([*DOCUMENTS, *POISON]) if row["text"] == text)
    id_: bytes = next(found)
    return id_


def told(entries: list[Entry]) -> dict[str, tuple[int, str, str]]:
    """What entries say of rejected documents: id -> (draws, reason, message)."""
    return {
        one["id"]: (one["draws"], one["reason"], one["message"])
        for entry in entries
        for one in entry.detail.get("rejected", ())
    }


def texts_of(done: Done, stage: str) -> Counter[str]:
    workspace, _, jobs = done
    (job,) = [job for job in jobs if job.stage == stage]
    return Counter(decoded(tokens[:-1]) for tokens in draws_of(workspace, job).values())


def previewed(plan: Plan, stage: str, column: str) -> int:
    rows = plan.preview.to_pylist()
    return sum(r[column] for r in rows if (r["stage"], r["dimension"]) == (stage, "all"))


def test_each_document_that_kills_is_told_with_draws_and_reason(done: Done) -> None:
    workspace, _, jobs = done
    plain, split = (id_of(text).hex() for text in (PLAIN, SPLIT))
    for stage, found in {
        "whole": {plain: (2, *SEGFAULT)},
        "cut": {plain: (2, *SEGFAULT), split: (2, *ABORT)},
        "packed": {plain: (2, *SEGFAULT), split: (2, *ABORT)},
    }.items():
        (entry,) = entries_of(workspace, jobs, stage)
        assert told([entry]) == found
        assert entry.detail["rejects"] == {"crashed": len(found)}
        assert entry.counts["rejected"] == 2 * len(found)


def test_all_others_are_written_byte_for_byte_as_without_them(done: Done, clean: Done) -> None:
    for stage in ("cut", "packed"):
        (entry,), (other,) = (entries_of(some[0], some[2], stage) for some in (done, clean))
        assert [(ref.kind, ref.sha256) for ref in entry.files] == [
            (ref.kind, ref.sha256) for ref in other.files
        ]
        assert {ref.kind for ref in entry.files} == {"bin", "idx", "map"}
        counts = dict(entry.counts)
        assert counts.pop("rejected") == 4
        assert counts == other.counts
        assert "rejected" not in other.detail
    uncut = Counter({text: 2 for text in (SPLIT, *(str(one["text"]) for one in DOCUMENTS))})
    assert texts_of(done, "whole") == uncut


@pytest.mark.parametrize("stage", [str(stage["name"]) for stage in STAGES])
def test_counts_balance_and_follow_the_plan(done: Done, stage: str) -> None:
    workspace, plan, jobs = done
    (entry,) = entries_of(workspace, jobs, stage)
    assert list(equation_faults(entry)) == []
    assert list(shard_faults(workspace, entry)) == []
    drawn = sum(entry.counts[name] for name in ("draws", "emptied", "rejected"))
    assert drawn == previewed(plan, stage, "draws") > 0
    assert entry.detail["planned_tokens"] == previewed(plan, stage, "drawn_tokens")
    (outcome,) = (one for one in outcomes(workspace, plan, jobs) if one.stage == stage)
    assert outcome.rejected == entry.counts["rejected"]
    index = read_index(workspace.storage.read(entry.file("idx").path))
    assert index.num_bytes == entry.file("bin").bytes
    assert int(index.lengths.sum()) == entry.counts["tokens"]
    assert stage != "packed" or set(index.lengths.tolist()) == {64}


def test_recount_finds_rejects_that_do_not_fit(done: Done) -> None:
    workspace, _, jobs = done
    (entry,) = entries_of(workspace, jobs, "cut")
    (one, two) = entry.detail["rejected"]
    written = id_of(str(DOCUMENTS[0]["text"])).hex()

    def faults(counts: dict[str, int], **detail: object) -> str:
        changed = replace(
            entry, counts={**entry.counts, **counts}, detail={**entry.detail, **detail}
        )
        return "\n".join(shard_faults(workspace, changed))

    assert "rejected documents have 4 draws, and the ledger counts 3" in faults({"rejected": 3})
    assert "rejected documents have 2 draws, and the ledger counts 4" in faults({}, rejected=[one])
    assert "for {'crashed': 2}, and the ledger says {}" in faults({}, rejects={})
    found = faults({}, rejected=[one, {**two, "id": written}])
    assert f"document {written} was rejected (crashed), and stands in the shard" in found


def test_trace_says_which_shard_lacks_a_document_and_why(done: Done) -> None:
    workspace, _, jobs = done
    app = typer.Typer()
    tracing.register(app)
    args = [workspace.url, id_of(SPLIT).hex()]
    lines = CliRunner().invoke(app, args, catch_exceptions=False).output.splitlines()
    generation = jobs[0].generation.name
    assert [text for text in lines if text.startswith("rejected by ")] == [
        f"rejected by {generation}: {stage} shard 0, 2 of its draws, {': '.join(ABORT)}"
        for stage in ("cut", "packed")
    ]
    assert [text.split(": ")[0] for text in lines if "/whole/" in text] == ["draw 0", "draw 1"]


def test_stage_shuffled_as_a_whole_tells_what_its_units_could_not_tokenize(
    tmp_path: Path, deadly: Children
) -> None:
    rows = rows_of([*DOCUMENTS, *POISON])
    workspace = write_labels(str(tmp_path / "w"), rows[:5])
    write_part(workspace, PartKey(SOURCE, 1), rows[5:], [*SETS, *CUT_SETS])
    names = {name: generation(name).name for name in (*SETS, *CUT_SETS)}
    pins = pin(workspace, {SOURCE: generation("extract").name}, {SOURCE: names}, {SOURCE: (0, 1)})
    plan = make_plan(workspace, mixture_of(GLOBAL), pins, shard_tokens=60)
    jobs = write(workspace, plan, deadly, "parquet")
    entries = entries_of(workspace, jobs, "global")
    assert [len(entry.detail.get("rejected", ())) for entry in entries] == [0, 2]
    plain, split = (id_of(text).hex() for text in (PLAIN, SPLIT))
    assert told(entries) == {plain: (2, *SEGFAULT), split: (2, *ABORT)}
    for entry in entries:
        assert list(equation_faults(entry)) == []
        assert list(shard_faults(workspace, entry)) == []
    counted = sum(
        entry.counts.get(name, 0) for entry in entries for name in ("draws", "emptied", "rejected")
    )
    assert counted == previewed(plan, "global", "draws")
    assert PLAIN not in texts_of((workspace, plan, jobs), "global")


@pytest.mark.parametrize("text", [GREEDY, STUCK])
def test_unit_of_which_no_document_can_be_tokenized_has_no_files(
    tmp_path: Path, deadly: Children, impatient: Children, text: str
) -> None:
    rows = rows_of([{"text": text}])
    workspace = write_labels(str(tmp_path / "w"), rows)
    plan = plan_of(workspace, {**STAGE, "name": "s"})
    jobs = write(workspace, plan, deadly if text == GREEDY else impatient)
    (entry,) = entries_of(workspace, jobs, "s")
    assert entry.files == ()
    # For its tokens it has more time than any batch has; so long texts have enough.
    allowed = SHORT.batch_timeout_s + rows[0]["num_tokens"] * 16 / (1 << 20)
    expected = {
        GREEDY: ("out_of_memory", f"needed more than {LIMITS.memory_bytes} bytes"),
        STUCK: ("timed_out", f"took longer than {allowed:g} s"),
    }[text]
    assert told([entry]) == {rows[0]["id"].hex(): (2, *expected)}
    assert entry.detail["rejects"] == {expected[0]: 1}
    zeros = ("tokens", "document_tokens", "eod", "draws", "documents")
    assert {name: entry.counts[name] for name in zeros} == dict.fromkeys(zeros, 0)
    assert entry.counts["rejected"] == previewed(plan, "s", "draws") == 2
    assert list(shard_faults(workspace, entry)) == []


def test_unit_ends_with_an_error_where_nothing_can_be_tokenized(
    tmp_path: Path, deadly: Children
) -> None:
    rows = rows_of([{"text": f"{GREEDY} {number}"} for number in range(12)])
    workspace = write_labels(str(tmp_path / "w"), rows)
    plan = plan_of(workspace, {**STAGE, "name": "s"})
    last = rows[10]["id"].hex()
    said = (
        f"of the first 11 documents of a unit, 11 could not .* {last} .out_of_memory: .* 10, or 1"
    )
    with pytest.raises(RuntimeError, match=said):
        write(workspace, plan, deadly)
    shards = [name for name in workspace.ledger.generations() if name.startswith("shards.")]
    assert [entry for name in shards for entry in workspace.ledger.entries(name)] == []


def test_one_in_a_hundred_of_those_asked_so_far_may_be_lost() -> None:
    keys = np.arange(16 * 1300, dtype=np.uint32).view(np.uint8)[: 16 * 1300].reshape(-1, 16)
    failures = Failures(keys, np.uint16)

    def fail(number: int) -> pa.RecordBatch:
        request = pa.RecordBatch.from_pydict({"number": [number]})
        return failures.row(request, "crashed", "its process ended with exit code -6")

    for number in [*range(10), 1099, 1199]:
        row = fail(number).to_pydict()
        assert (row["tokens"], row["uncut_tokens"]) == ([[]], [0])
        assert row["failed"] == ["crashed\nits process ended with exit code -6"]
    with pytest.raises(RuntimeError, match="of the first 1,299 documents of a unit, 13 could not"):
        fail(1298)

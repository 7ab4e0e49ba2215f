"""Plans of a small workspace: exact draws, order, reuse, units, and what the audit finds."""

import random
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from label_workspace import (
    PARTS,
    ROWS,
    STAGES,
    Run,
    make_plan,
    mixture_of,
    pins_for,
    rows_of,
    write_labels,
)

from mixtures.draws import draws, uniform
from mixtures.spec import Mixture
from pipelines.mix.check import histogram_faults, preview_faults, tally_faults, unfinished
from pipelines.mix.judge import VALIDATION, judge
from pipelines.mix.pinned import pinned_generations
from pipelines.mix.pins import label_table, read_ids
from pipelines.mix.plan import (
    Plan,
    expected_draws_of,
    part_preview,
    plan_folders,
    read_plan,
)
from pipelines.mix.preview import PREVIEW, combine_previews, few_values
from pipelines.mix.tally import TallyJob, add_up, read_histogram, tally_generation
from pipelines.mix.transform import SumTallies
from pipelines.workspace.audit import audit
from pipelines.workspace.children import Children, Limits
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.parts import read_table
from pipelines.workspace.workspace import Workspace

KEYS = [PartKey(source, part) for source, parts in PARTS.items() for part in parts]
CHECKS = {"tally": tally_faults, "histogram": histogram_faults, "preview": preview_faults}


@pytest.fixture
def copy(planned: tuple[Workspace, Plan], tmp_path: Path) -> Workspace:
    shutil.copytree(planned[0].url, tmp_path / "w")
    return Workspace.open(str(tmp_path / "w"))


def files_of(workspace: Workspace) -> dict[str, dict[str, str]]:
    """What planning committed, by content."""
    ledger = workspace.ledger
    names = [n for n in ledger.generations() if n.startswith(("tally", "hist", "prev", "mix"))]
    return {
        f"{name} {entry.source} {entry.part}": {ref.kind: ref.sha256 for ref in entry.files}
        for name in names
        for entry in ledger.entries(name)
    }


def drawn_rows(plan: Plan, workspace: Workspace, stage: str) -> Iterator[dict[str, Any]]:
    """Every eligible document of a stage with what is drawn of it, worked out one by one."""
    for key in KEYS:
        labels = label_table(workspace, plan.pins, key)
        judged = judge(plan.stages[stage], labels, plan.replacement_tokens)
        ids = read_ids(workspace, plan.pins, key)[judged.rows]
        assert [bytes(one) for one in ids] == judged.labels.column("id").to_pylist()
        expected = plan.solved[stage].expected_draws(judged.selection)
        repeats = draws(expected, uniform(plan.seed, stage, ids))
        rows = judged.labels.to_pylist()
        for i in np.flatnonzero(judged.selection.eligible).tolist():
            yield {
                **rows[i],
                "group": judged.selection.group[i].as_py(),
                "bucket": int(judged.selection.bucket[i]),
                "planned": int(judged.tokens[i]),
                "expected": float(expected[i]),
                "repeats": int(repeats[i]),
            }


@pytest.mark.parametrize("stage", ["first", "second"])
def test_preview_is_what_drawing_document_by_document_gives(
    planned: tuple[Workspace, Plan], stage: str
) -> None:
    workspace, plan = planned
    wanted: dict[tuple[str, str, int], Counter[str]] = defaultdict(Counter)
    for row in drawn_rows(plan, workspace, stage):
        of = {
            "all": "",
            "group": row["group"],
            "language": row["language"],
            "topic": row["topic"] or "null",
            "source": row["source"],
            "kind": "natural",
            "depth": "0",
            "draws": str(row["repeats"]),
        }
        chance = row["expected"] % 1
        for dimension, value in of.items():
            wanted[dimension, value, row["bucket"]].update(
                documents=1,
                tokens=row["planned"],
                expected_tokens=row["expected"] * row["planned"],
                variance=chance * (1 - chance) * row["planned"] ** 2,
                drawn_documents=int(row["repeats"] > 0),
                draws=row["repeats"],
                drawn_tokens=row["repeats"] * row["planned"],
            )
    found = {
        (row["dimension"], row["value"], row["bucket"]): row
        for row in plan.preview.to_pylist()
        if row["stage"] == stage and row["dimension"] != VALIDATION
    }
    assert found.keys() == wanted.keys()
    for place, sums in wanted.items():
        for name in PREVIEW.names[4:]:
            assert found[place][name] == pytest.approx(sums[name], rel=1e-9), (place, name)
    assert sum(row["draws"] for row in found.values() if row["dimension"] == "all") > 100


def test_preview_meets_the_budget_and_what_chance_allows(planned: tuple[Workspace, Plan]) -> None:
    plan = planned[1]
    for stage, solved in plan.solved.items():
        rows = [
            row
            for row in plan.preview.to_pylist()
            if row["stage"] == stage and row["dimension"] == "all"
        ]
        expected = sum(row["expected_tokens"] for row in rows)
        drawn = sum(row["drawn_tokens"] for row in rows)
        sigma = sum(row["variance"] for row in rows) ** 0.5
        assert expected == pytest.approx(solved.num_tokens, rel=1e-9)
        assert abs(drawn - expected) <= max(0.005 * expected, 3 * sigma)


def test_previews_of_parts_add_up_to_that_of_the_plan(planned: tuple[Workspace, Plan]) -> None:
    workspace, plan = planned
    parts = [part_preview(workspace, plan, key.source, key.part) for key in KEYS]
    assert combine_previews(parts).equals(plan.preview)


def test_held_out_documents_leave_training_and_get_units_of_their_own(
    planned: tuple[Workspace, Plan],
) -> None:
    workspace, plan = planned
    held = {row["id"] for key in KEYS for row in rows_of(*_place(key)) if row["split"] != "train"}
    for stage in plan.stages:
        assert not held & {row["id"] for row in drawn_rows(plan, workspace, stage)}
        (*_, unit) = plan.units_of(stage)
        assert (unit.split, unit.bucket, unit.bucket_name) == (VALIDATION, -1, VALIDATION)
        once = 0
        for source, part in unit.parts:
            labels = label_table(workspace, plan.pins, PartKey(source, part))
            judged = judge(plan.stages[stage], labels, plan.replacement_tokens, split=VALIDATION)
            expected = expected_draws_of(plan, unit, judged)
            assert set(expected.tolist()) <= {0.0, 1.0}
            once += int((expected * judged.tokens).sum())
        units = [u for u in plan.units_of(stage) if u.split == VALIDATION]
        assert len(units) > 1 or once == unit.expected_tokens
        (row,) = combine_rows(plan, stage, VALIDATION)
        assert row["drawn_tokens"] == sum(u.expected_tokens for u in units)


def _place(key: PartKey) -> tuple[str, int]:
    return key.source, key.part


def combine_rows(plan: Plan, stage: str, dimension: str) -> list[dict[str, Any]]:
    """Rows of a dimension, buckets added up."""
    sums: Counter[str] = Counter()
    for row in plan.preview.to_pylist():
        if (row["stage"], row["dimension"]) == (stage, dimension):
            sums.update({name: row[name] for name in PREVIEW.names[4:]})
    return [dict(sums)]


def test_units_take_every_expected_token_once(planned: tuple[Workspace, Plan]) -> None:
    plan = planned[1]
    for stage, solved in plan.solved.items():
        units = plan.units_of(stage)
        assert [unit.number for unit in units] == list(range(len(units)))
        train = [unit for unit in units if unit.split == "train"]
        tokens = sum(unit.expected_tokens for unit in train)
        assert tokens == pytest.approx(solved.num_tokens, rel=1e-9)
        places = [(unit.bucket, place) for unit in train for place in unit.parts]
        assert len(places) == len(set(places))
    assert {u.bucket_name for u in plan.units_of("first")} == {"short", "long", VALIDATION}
    assert {(u.bucket, u.bucket_name) for u in plan.units_of("second")} == {
        (-1, "all"),
        (-1, VALIDATION),
    }


def test_draws_of_a_unit_are_those_of_its_bucket(planned: tuple[Workspace, Plan]) -> None:
    workspace, plan = planned
    for unit in plan.units:
        tokens = 0.0
        for source, part in unit.parts:
            labels = label_table(workspace, plan.pins, PartKey(source, part))
            stage = plan.stages[unit.stage]
            judged = judge(stage, labels, plan.replacement_tokens, split=unit.split)
            tokens += float((expected_draws_of(plan, unit, judged) * judged.tokens).sum())
        assert tokens == pytest.approx(unit.expected_tokens, rel=1e-9)


def test_plan_read_back_is_the_plan(planned: tuple[Workspace, Plan]) -> None:
    workspace, made = planned
    (folder,) = plan_folders(workspace)
    read = read_plan(workspace, folder)
    assert read.units == made.units
    assert read.reasons == made.reasons
    assert read.pins == made.pins
    assert read.preview.equals(made.preview)
    assert read.generation.full == made.generation.full
    assert (read.replacement_tokens, read.seed) == (made.replacement_tokens, made.seed)
    for stage, solved in made.solved.items():
        assert read.solved[stage].cells.equals(solved.cells)
        assert read.solved[stage].draws.equals(solved.draws)
        assert read.solved[stage].costs == solved.costs


def test_plan_does_not_depend_on_threads_or_the_order_of_parts(
    planned: tuple[Workspace, Plan], mixture: Mixture, tmp_path: Path
) -> None:
    workspace = write_labels(str(tmp_path / "w"))
    pins = pins_for(workspace)
    job = TallyJob(
        mixture,
        pins,
        planned[1].tokenizer_fingerprint,
        planned[1].replacement_tokens,
        columns=("num_tokens", "num_bytes", "language", "topic", "pii", "duplicate_role", "split"),
    )
    workspace.ledger.declare(job.generation)
    for key in reversed(KEYS):
        job.run(workspace, key, Children(Limits(processes=1)))
    run = Run()
    make_plan(workspace, mixture, pins, processes=1, run=run)
    assert run.titles == ["Add up small: 1", "Preview small: 3"]
    assert files_of(workspace) == files_of(planned[0])


def test_two_workers_that_plan_at_once_make_one_plan(
    planned: tuple[Workspace, Plan], mixture: Mixture, tmp_path: Path
) -> None:
    workspace = write_labels(str(tmp_path / "w"))
    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(make_plan, Workspace(workspace.url), mixture) for _ in range(2)]
        first, second = (one.result() for one in asked)
    assert first.units == second.units
    assert files_of(workspace) == files_of(planned[0])


@pytest.mark.parametrize(
    "edit",
    [
        {"tokens": "200_000", "shares": "natural", "max_epochs": 3.0},
        {"packing": "best_fit"},
    ],
)
def test_edit_of_what_is_solved_tallies_nothing_again(
    copy: Workspace, planned: tuple[Workspace, Plan], edit: dict[str, object]
) -> None:
    edited = mixture_of({**STAGES[0], **edit}, STAGES[1])
    run = Run()
    plan = make_plan(copy, edited, run=run)
    assert run.titles == ["Preview small: 3"]
    assert plan.generation.payload["tally"] == planned[1].generation.payload["tally"]
    assert plan.generation.full != planned[1].generation.full
    assert plan.solved["second"].cells.equals(planned[1].solved["second"].cells)
    assert len(plan_folders(copy)) == 2


def test_edit_of_what_is_selected_tallies_again(copy: Workspace) -> None:
    run = Run()
    make_plan(copy, mixture_of({**STAGES[0], "redact": ["email"]}, STAGES[1]), run=run)
    assert run.titles == ["Plan small: 3", "Add up small: 1", "Preview small: 3"]


def test_another_size_of_shards_draws_nothing_again(
    copy: Workspace, mixture: Mixture, planned: tuple[Workspace, Plan]
) -> None:
    run = Run()
    plan = make_plan(copy, mixture, shard_tokens=1 << 30, run=run)
    assert run.titles == []
    assert [unit.name for unit in plan.units] == [
        "short-00000",
        "long-00001",
        "validation-00002",
        "all-00000",
        "validation-00001",
    ]
    assert plan.preview.equals(planned[1].preview)


def test_another_seed_draws_other_documents(
    copy: Workspace, planned: tuple[Workspace, Plan]
) -> None:
    run = Run()
    plan = make_plan(copy, mixture_of(*STAGES, seed=8), run=run)
    assert run.titles == ["Preview small: 3"]
    exact = ["documents", "tokens"]
    whole, before = (_all(one.preview) for one in (plan, planned[1]))
    assert whole.select(exact).equals(before.select(exact))
    assert not whole.column("drawn_tokens").equals(before.column("drawn_tokens"))


def _all(preview: pa.Table) -> pa.Table:
    return preview.filter(pa.compute.equal(preview.column("dimension"), "all"))


def test_tallies_add_up_in_any_order_and_grouping(planned: tuple[Workspace, Plan]) -> None:
    workspace, plan = planned
    mixture = Mixture(name="small", seed=plan.seed, stages=tuple(plan.stages.values()))
    tallies = tally_generation(mixture, plan.pins, plan.tokenizer_fingerprint)
    entries = workspace.ledger.entries(tallies)
    tables = [read_table(workspace.storage, entry.file("tally")) for entry in entries]
    whole = read_histogram(workspace, tallies)
    assert add_up(tables).equals(whole)
    chance, adding = random.Random(3), SumTallies()
    coder = adding.get_accumulator_coder()
    for _ in range(5):
        batches = [batch for table in tables for batch in table.to_batches(max_chunksize=7)]
        chance.shuffle(batches)
        sums = [adding.create_accumulator() for _ in range(3)]
        for batch in batches:
            at = chance.randrange(3)
            sums[at] = adding.add_input(sums[at], batch)
            if chance.random() < 0.2:
                sums[at] = coder.decode(coder.encode(adding.compact(sums[at])))
        chance.shuffle(sums)
        assert adding.extract_output(adding.merge_accumulators(sums)).equals(whole)
    empty = adding.create_accumulator()
    assert coder.decode(coder.encode(empty)).num_rows == 0


def test_histogram_counts_every_document_once(planned: tuple[Workspace, Plan]) -> None:
    workspace, plan = planned
    (name,) = [n for n in workspace.ledger.generations() if n.startswith("histogram.small")]
    (entry,) = workspace.ledger.entries(name)
    documents = ROWS * len(KEYS) * len(plan.stages)
    aside = ("repeated_record", "not_labelled", "validation", "near_validation")
    set_aside = sum(reasons.get(why, 0) for reasons in plan.reasons.values() for why in aside)
    assert entry.counts["documents"] == documents - set_aside
    assert set_aside > 0
    assert sum(sum(reasons.values()) for reasons in plan.reasons.values()) == documents


def test_audit_of_a_plan_is_clean(planned: tuple[Workspace, Plan]) -> None:
    workspace, plan = planned
    report = audit(workspace, deep_checks=CHECKS)
    assert [fault for fault in report.faults if "validation@" not in fault] == []
    assert report.recounted == 2 * len(KEYS) + 1
    assert plan.units
    assert list(unfinished(workspace)) == []  # a plan that was only looked at lacks no shard


@pytest.mark.parametrize(
    "pattern",
    [
        "small@*/draws-*.parquet",
        "small@*/preview-*.parquet",
        "small@*/plan.json",
        "small@*/histogram/part-*.parquet",
        "small@*/preview/notes/part-*.parquet",
        "small@*/tally/pages/part-*.parquet",
    ],
)
def test_audit_finds_a_flipped_bit(copy: Workspace, pattern: str) -> None:
    victim = sorted(Path(copy.url, "mixtures").glob(pattern))[0]
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    faults = audit(copy, deep_checks=CHECKS).faults
    assert any(str(victim.relative_to(copy.url)) in fault for fault in faults), faults


def test_recount_finds_counts_that_are_not_those_of_the_files(
    planned: tuple[Workspace, Plan],
) -> None:
    workspace = planned[0]
    for name, check in CHECKS.items():
        job = next(n for n in workspace.ledger.generations() if n.startswith(f"{name}.small"))
        entry = workspace.ledger.entries(job)[0]
        assert list(check(workspace, entry)) == []
        object.__setattr__(entry, "counts", {**entry.counts, "eligible": 1})
        assert any("eligible 1" in fault for fault in check(workspace, entry))


def test_everything_of_a_plan_is_pinned_and_nothing_of_another(
    copy: Workspace, planned: tuple[Workspace, Plan]
) -> None:
    other = make_plan(copy, mixture_of({**STAGES[0], "redact": []}, STAGES[1]))
    both = set(copy.ledger.generations())
    first = pinned_generations(copy, [planned[1].folder])
    second = pinned_generations(copy, [other.folder])
    assert first | second == both
    own = {name for name in first if name.split("@")[0].endswith("small") or "mix@" in name}
    assert sorted(name.split("@")[0] for name in own) == [
        "histogram.small",
        "mix",
        "preview.small",
        "tally.small",
    ]
    assert not own & second


def test_rare_values_of_a_dimension_share_one_row() -> None:
    rows = [
        {"stage": "s", "dimension": "group", "value": f"host-{i}", "bucket": 0}
        | dict.fromkeys(PREVIEW.names[4:], 1)
        | {"tokens": 2 + (i % 7)}
        for i in range(1500)
    ]
    few = few_values(combine_previews([pa.Table.from_pylist(rows, schema=PREVIEW)]))
    assert few.num_rows == 1000
    assert sum(few.column("documents").to_pylist()) == 1500
    assert sum(few.column("tokens").to_pylist()) == sum(row["tokens"] for row in rows)
    (rest,) = [row for row in few.to_pylist() if row["value"] == "*"]
    assert rest["documents"] == 501
    assert min(r["tokens"] for r in few.to_pylist()) >= max(
        row["tokens"] for row in rows if row["value"] not in few.column("value").to_pylist()
    )

"""Opening a plan as the commands do, and what is refused."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from label_workspace import (
    PARTS,
    SETS,
    STAGES,
    generation,
    make_plan,
    mixture_of,
    pins_for,
    rows_of,
    write_labels,
    write_part,
    write_run,
)

from mixtures.errors import MixtureError
from pipelines.mix.pins import columns_of, label_table
from pipelines.mix.plan import Plan, plan_folders
from pipelines.mix.planning import open_plan, pins_of
from pipelines.run_record import read_run_record
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.workspace import Workspace


@pytest.fixture
def finished(planned: tuple[Workspace, Plan], tmp_path: Path) -> Workspace:
    """A copy of the planned workspace with a run.json."""
    shutil.copytree(planned[0].url, tmp_path / "w")
    workspace = Workspace.open(str(tmp_path / "w"))
    write_run(workspace, {"small": planned[1].folder})
    return workspace


def write_mixture(folder: Path, *stages: dict[str, object]) -> str:
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump({"name": "small", "seed": 7, "stages": list(stages)}))
    return str(path)


def test_pins_of_a_run_are_those_of_its_plans(finished: Workspace) -> None:
    assert pins_of(read_run_record(finished), finished) == pins_for(finished)


def test_mixture_of_the_run_is_opened_by_name(
    finished: Workspace, planned: tuple[Workspace, Plan]
) -> None:
    _, record, plan = open_plan(finished.url, "small")
    assert record.mixtures == {"small": plan.folder}
    assert plan.generation.full == planned[1].generation.full
    assert len(plan_folders(finished)) == 1


def test_the_same_mixture_by_path_is_the_same_plan(
    finished: Workspace, planned: tuple[Workspace, Plan], tmp_path: Path
) -> None:
    _, _, plan = open_plan(finished.url, write_mixture(tmp_path, *STAGES))
    assert plan.generation.full == planned[1].generation.full


def test_another_budget_is_another_plan_over_the_same_tallies(
    finished: Workspace, planned: tuple[Workspace, Plan]
) -> None:
    _, _, plan = open_plan(finished.url, "small", "100K")
    for solved in plan.solved.values():
        assert solved.num_tokens == pytest.approx(100_000, rel=0.001)
    assert plan.generation.payload["tally"] == planned[1].generation.payload["tally"]


def test_unknown_mixture_names_those_there_are(finished: Workspace) -> None:
    with pytest.raises(MixtureError, match=r"'smal'; allowed: those of the last run \(small\)"):
        open_plan(finished.url, "smal")


def test_unknown_column_is_named(finished: Workspace, tmp_path: Path) -> None:
    path = write_mixture(tmp_path, {**STAGES[1], "where": "topik = 'law'"})
    with pytest.raises(MixtureError, match=r"unknown column 'topik'; did you mean 'topic'"):
        open_plan(finished.url, path)


def test_budget_beyond_the_caps_says_by_how_much(finished: Workspace) -> None:
    with pytest.raises(MixtureError, match="raise max_epochs to"):
        open_plan(finished.url, "small", "1B")


def test_another_tokenizer_is_refused(finished: Workspace) -> None:
    path = Path(finished.url) / "run.json"
    raw = json.loads(path.read_text())
    path.write_text(json.dumps({**raw, "tokenizer_fingerprint": "0" * 32}))
    with pytest.raises(ValueError, match=r"the run was made with 0{32}; put the old tokenizer"):
        open_plan(finished.url, "small", "100K")


def test_changed_part_under_an_old_plan_is_refused(finished: Workspace) -> None:
    key = PartKey("notes", 1)
    name = generation("language").name
    for old in (Path(finished.url) / "ledger" / name).rglob("*"):
        if old.name in ("part-00001.json", "folded.parquet") and old.parent.name != "pages":
            old.unlink()
    rows = rows_of(key.source, key.part)
    rows[0]["language"] = "fra_Latn"
    write_part(finished, key, rows, ["language"])
    with pytest.raises(ValueError, match="have changed since"):
        open_plan(finished.url, "small")


def test_labels_that_one_source_lacks_are_named(tmp_path: Path) -> None:
    lacking = {"pages": "domain"}
    workspace = write_labels(str(tmp_path / "w"), lacking=lacking, rows=20)
    pins = pins_for(workspace, lacking=lacking)
    with pytest.raises(ValueError, match=r"source pages has no labels 'topic'.* set domain"):
        make_plan(workspace, mixture_of(*STAGES), pins)
    plan = make_plan(workspace, mixture_of({**STAGES[1], "where": "language <> 'x'"}), pins)
    rows = [row for row in plan.preview.to_pylist() if row["dimension"] in ("all", "topic")]
    documents = {row["value"]: row["documents"] for row in rows}
    assert documents[""] == documents["null"] + documents["law"] + documents["art"]
    (source,) = [r for r in plan.preview.to_pylist() if r["value"] == "pages"]
    assert documents["null"] >= source["documents"] > 0


def test_labels_without_bytes_stop_a_plan_that_cuts(tmp_path: Path) -> None:
    sets = [name for name in SETS if name != "pii"]
    workspace = write_labels(str(tmp_path / "w"), sets, rows=20)
    with pytest.raises(MixtureError, match="no column 'pii'"):
        make_plan(workspace, mixture_of(STAGES[0]), pins_for(workspace, sets))


def test_stage_that_cuts_what_some_source_has_no_labels_of_is_refused(tmp_path: Path) -> None:
    stage = {"name": "s", "sequence_length": 64, "tokens": "max", "cut": ["boilerplate"]}
    sets, lacking = [*SETS, "boilerplate"], {"pages": "boilerplate"}
    workspace = write_labels(str(tmp_path / "w"), sets, lacking=lacking, rows=20)
    with pytest.raises(MixtureError, match="no column 'boilerplate'"):
        make_plan(workspace, mixture_of(stage), pins_for(workspace))
    pins = pins_for(workspace, sets, lacking=lacking)
    with pytest.raises(ValueError, match=r"source pages has no labels 'boilerplate'"):
        make_plan(workspace, mixture_of(stage), pins)


def test_opening_a_mixture_that_cuts_what_the_run_did_not_label_is_refused(
    finished: Workspace, tmp_path: Path
) -> None:
    stage = {"name": "s", "sequence_length": 64, "tokens": "max", "cut": ["repeats"]}
    with pytest.raises(MixtureError, match=r"cut: found repeats .* add repeats to duplicates\.lev"):
        open_plan(finished.url, write_mixture(tmp_path, stage))


def test_weight_by_cluster_size_draws_what_has_many_copies_more_often(tmp_path: Path) -> None:
    workspace = Workspace.create(str(tmp_path / "w"))
    for source, parts in PARTS.items():
        for part in parts:
            rows = rows_of(source, part, 100)
            sizes = [1, 3, 7] * 34
            some = [{**row, "cluster_size": size} for row, size in zip(rows, sizes, strict=False)]
            write_part(workspace, PartKey(source, part), some, list(SETS))
    stage = {"name": "s", "sequence_length": 64, "tokens": "one_epoch", "max_epochs": 9}
    plan = make_plan(workspace, mixture_of({**stage, "weight": "ln(1 + cluster_size)"}))
    rows = plan.solved["s"].draws.sort_by("bin").to_pylist()
    often = [row["expected_draws"] for row in rows]
    assert [often[size] / often[0] for size in (0, 1, 2)] == pytest.approx([1, 2, 3], rel=1 / 256)


def test_columns_are_read_alone_and_as_codes(planned: tuple[Workspace, Plan]) -> None:
    workspace, plan = planned
    key = PartKey("pages", 0)
    whole = label_table(workspace, plan.pins, key)
    assert whole.column_names == ["id", *columns_of(workspace, plan.pins).names]
    names = ["source", "language", "pii", "depth", "provenance_kind"]
    some = label_table(workspace, plan.pins, key, columns=names, ids=False)
    assert sorted(some.column_names) == sorted(names)
    for name in names:
        assert some.column(name).to_pylist() == whole.column(name).to_pylist()
    assert str(some.schema.field("language").type).startswith("dictionary")
    with_ids = label_table(workspace, plan.pins, key, columns=["language"])
    assert with_ids.column_names == ["id", "language"]
    assert with_ids.column("id").equals(whole.column("id"))


@pytest.mark.parametrize("ids", [True, False])
def test_labels_of_other_rows_are_refused(tmp_path: Path, ids: bool) -> None:
    workspace = write_labels(str(tmp_path / "w"), ["length"], rows=20)
    made = generation("language")
    key, rows = PartKey("notes", 0), rows_of("notes", 0, 20)
    write_part(workspace, PartKey("else", 0), rows[:19] if not ids else rows[::-1], ["language"])
    entry = workspace.ledger.get(made, "else", 0)
    documents = workspace.ledger.get(generation("extract"), key.source, key.part)
    moved = {"source": key.source, "inputs": (documents.file("documents").path,)}
    for name, value in moved.items():
        object.__setattr__(entry, name, value)
    workspace.ledger.commit(entry)
    sources = pins_for(workspace, ["length"]).sources
    labels = {**sources["notes"].labels, "language": made.name}
    object.__setattr__(sources["notes"], "labels", labels)
    object.__setattr__(sources["notes"], "parts", PARTS["notes"][:1])
    from pipelines.mix.pins import Pins

    with pytest.raises(ValueError, match="is not aligned with"):
        label_table(workspace, Pins(sources, ""), key, columns=["language"], ids=ids)

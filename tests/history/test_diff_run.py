"""Two runs beside each other: which step a change comes from, and what it is laid to."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from small_corpus import run_small, write_corpus
from typer.testing import CliRunner

from pipelines.cli import build_app
from pipelines.history.causes import _leaves
from pipelines.history.comparison import RunComparison, compare_runs, sentence, step_causes
from pipelines.history.moves import moves_of
from pipelines.history.runs import open_pair, open_run
from pipelines.run_record import read_run_record, run_numbers
from pipelines.workspace.parts import read_table
from pipelines.workspace.takedown import ids_of, take_down
from pipelines.workspace.workspace import Workspace


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A corpus, and the workspace of its run."""
    folder = tmp_path_factory.mktemp("history")
    corpus = write_corpus(folder / "in")
    run_small(corpus, str(folder / "w"))
    return corpus, folder / "w"


def edited(corpus: Path, target: Path, **settings: object) -> Path:
    """A copy of a corpus with other settings."""
    shutil.copytree(corpus.parent, target)
    path = target / corpus.name
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **settings}))
    return path


def compared(one: Path, other: Path) -> RunComparison:
    return compare_runs(open_run(str(one)), open_run(str(other)))


def test_run_beside_itself_differs_in_nothing(first: tuple[Path, Path]) -> None:
    assert compared(first[1], first[1]).is_nothing


def test_lost_file_is_told_by_the_language_that_it_was_in(
    first: tuple[Path, Path], tmp_path: Path
) -> None:
    corpus = edited(first[0], tmp_path / "in")
    (corpus.parent / "pages" / "th.html").unlink()
    run_small(corpus, str(tmp_path / "w"))
    found = compared(first[1], tmp_path / "w")
    (thai,) = found.changes["language"]
    assert thai.value == "tha_Thai"
    assert thai.where == "labelled"
    (labelled, *_) = thai.steps
    assert (labelled.before.documents, labelled.after.documents) == (2, 1)
    runs = open_run(str(first[1])), open_run(str(tmp_path / "w"))
    moves = moves_of(*runs, "language", "tha_Thai")
    assert (moves.went, moves.came, moves.to, moves.since) == ({"pages": 1}, {}, {}, {})
    assert "fewer documents" in sentence(thai)


def test_texts_that_a_new_rule_refuses_are_told_by_the_step_and_its_reason(
    first: tuple[Path, Path], tmp_path: Path
) -> None:
    loose = edited(first[0], tmp_path / "loose", annotators=["language", "quality"])
    run_small(loose, str(tmp_path / "w"))
    strict = [{"quality": {"rules": ["gopher_quality"]}}, "language"]
    rule = edited(first[0], tmp_path / "strict", annotators=strict)
    run_small(rule, str(tmp_path / "v"))
    runs = open_run(str(first[1])), open_run(str(tmp_path / "v"))
    found = compare_runs(*runs)
    assert {change.where for change in found.changes["language"]} == {"quality"}
    assert found.totals.kept[1].documents == 0
    (english,) = (one for one in found.changes["language"] if one.value == "eng_Latn")
    assert sentence(english) == "quality takes more of it, first of all as gopher_too_few_words"
    rules = compare_runs(open_run(str(tmp_path / "w")), runs[1])
    quality = [cause for cause in rules.causes if cause.step == "quality"]
    assert any("annotate.quality" in cause.what and "rules" in cause.what for cause in quality)


def test_edited_mixture_is_told_as_the_cause_and_history_keeps_both(
    first: tuple[Path, Path], tmp_path: Path
) -> None:
    corpus, workspace = first
    shutil.copytree(workspace, tmp_path / "w")
    copy = edited(corpus, tmp_path / "in")
    shutil.copy(corpus.parent / "tokenizer.json", copy.parent / "tokenizer.json")
    mixture = yaml.safe_load((copy.parent / "small.yaml").read_text())
    mixture["stages"][0]["where"] = "language != 'tha_Thai'"
    (copy.parent / "small.yaml").write_text(yaml.safe_dump(mixture, sort_keys=False))
    for source in ("pages", "notes"):  # the same files, so that nothing is read again
        shutil.rmtree(copy.parent / source)
    settings = yaml.safe_load(copy.read_text())
    for source in settings["sources"]:
        source["path"] = str(corpus.parent / source["path"])
    copy.write_text(yaml.safe_dump(settings))
    run_small(copy, str(tmp_path / "w"))
    assert run_numbers(Workspace.open(str(tmp_path / "w"))) == [1, 2]
    found = compare_runs(*open_pair(str(tmp_path / "w"), None))
    thai = next(one for one in found.changes["language"] if one.value == "tha_Thai")
    assert thai.where == ""
    before, after = thai.drawn["small, first"]
    assert before.documents == 1  # of two copies
    assert after.documents == 0
    causes = step_causes(thai, found.causes)
    assert any(cause.step == "drawn" and "where" in cause.what for cause in causes)


def test_command_prints_the_way_of_a_language_and_writes_json(
    first: tuple[Path, Path], tmp_path: Path
) -> None:
    corpus = edited(first[0], tmp_path / "in", duplicates={"levels": ["url"]})
    run_small(corpus, str(tmp_path / "w"))
    app = build_app("diff")
    words = ["diff", "run", str(first[1]), str(tmp_path / "w"), "--language", "eng_Latn"]
    shown = CliRunner().invoke(app, [*words, "--json", str(tmp_path / "all.json")])
    assert shown.exit_code == 0, shown.output
    assert "eng_Latn, step by step" in shown.output
    said = " ".join(shown.output.split())
    assert "duplicates takes less of it, first of all as near_duplicate. What differs" in said
    assert "corpus.yaml duplicates.levels: none -> ['url']" in said
    written = json.loads((tmp_path / "all.json").read_text())
    assert written["format"] == "tokenmill-run-comparison"
    values = [change["value"] for change in written["changes"]["language"]]
    assert len(values) == 6
    assert "eng_Latn" in values


def test_what_cannot_be_compared_is_said(first: tuple[Path, Path]) -> None:
    with pytest.raises(LookupError, match=r"keeps 1 run; two are needed"):
        open_pair(str(first[1]), None)
    with pytest.raises(LookupError, match=r"has no run 7; kept are 1"):
        open_run(f"{first[1]}#7")


def test_annotators_are_compared_by_name() -> None:
    before = dict(_leaves(["language", "quality"], "annotators"))
    after = dict(_leaves(["language", {"quality": {"rules": ["c4"]}}], "annotators"))
    differing = {key for key in before | after if before.get(key) != after.get(key)}
    assert differing == {"annotators.quality.rules"}


def test_what_is_forgotten_is_told_as_set_aside(first: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(first[1], tmp_path / "w")
    workspace = Workspace.open(str(tmp_path / "w"))
    record = read_run_record(workspace)
    entries = workspace.ledger.entries(record.extract["pages"], "pages")
    rows = [
        row
        for entry in entries
        for row in read_table(workspace.storage, entry.file("documents")).to_pylist()
    ]
    thai = next(row["id"].hex() for row in rows if "นาฬิกา" in row["text"])
    take_down(workspace.storage, (), "asked for", ids=ids_of([thai]))
    run_small(first[0], str(tmp_path / "w"))
    found = compare_runs(*open_pair(str(tmp_path / "w"), None))
    assert [change.value for change in found.changes["language"]] == ["tha_Thai"]
    assert found.changes["language"][0].where == "set aside"
    assert found.changes["language"][0].steps[1].reasons == (("taken_down", 0, 1),)

"""Which annotators there are, and what is refused before any work."""

import shutil
import sys
from datetime import date
from pathlib import Path

import pytest

from annotators.language import model_file
from pipelines.annotate.asked import asked_annotators
from pipelines.annotate.listing import licence_of, registered
from pipelines.annotate.registry import (
    BUILTIN,
    check_annotators,
    ordered,
    spec_of,
    specs_of,
    with_inputs,
)
from pipelines.config import ConfigError, CorpusConfig, SourceConfig

sys.path.append(str(Path(__file__).parent))
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("langauge", {}, r"did you mean 'language'"),
        ("labellers:plain", {}, r"plain is a plain function; write @annotator"),
        ("labellers:Path", {}, r"PosixPath without version, columns, inputs, model_files"),
        ("labellers:clash", {}, r"column 'url': this name is given already"),
        ("labellers:Nobody", {}, r"Nobody"),
        ("labellers:marks", {"mrk": "."}, r"allowed are \['mark'\]"),
        ("quality", {"ruls": ["c4"]}, r"ruls.*allowed are .*rules.*thresholds"),
        ("quality", {"rules": "c4"}, r'rules: found "c4"; allowed is a list .*: write \[c4\]'),
        ("quality", {"thresholds": 5}, r"thresholds: found 5; allowed is a mapping \{NAME: a num"),
        ("quality", {"score_model": date(2024, 1, 1)}, r"the date 2024-01-01; .*into quotes"),
        ("quality", {"thresholds": {"a": float("nan")}}, r"the number nan; allowed are finite"),
        ("language", {"label_map": [1]}, r"label_map: found \[1\]; allowed is a path or a map"),
        ("language", {"paragraphs": "maybe"}, r'paragraphs: found "maybe"; allowed is true or fal'),
        ("safety", {"block_lists": ["/nope"]}, r'block_lists: found \["/nope"\]; allowed is a map'),
        ("labellers:marks", {"mark": 1}, r"mark: found 1; allowed is a text: .* into quotes"),
        ("labellers:Odd", {"kind": None}, r"kind: found null; allowed is a text"),
    ],
)
def test_annotator_that_cannot_be_is_refused(
    name: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=rf"annotators.*{message}"):
        spec_of(name, options)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("init", r"labellers:Failing: cannot be made: SystemExit: nothing here"),
        ("columns", r"labellers:Failing: column 'odd' has the type month_day.*declare another"),
        ("check", r"odd: its check failed: SystemExit: nothing here; mend it"),
        ("memory", r"odd: its check failed: MemoryError"),
        ("files", r"odd: .*`model_files` gives 'model\.bin'; allowed is a list of pathlib\.Path"),
    ],
)
def test_annotator_that_fails_is_named(place: str, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"annotators\.{message}"):
        check_annotators([spec_of("labellers:Failing", {"place": place})])


def test_two_that_make_one_column_or_set_are_refused() -> None:
    marks = spec_of("labellers:marks", {})
    with pytest.raises(ConfigError, match=r"two of them write the labels set 'marks'"):
        ordered([marks, spec_of("labellers:marks", {"mark": "."})])


def test_missing_inputs_are_added_and_named() -> None:
    specs, added = with_inputs([spec_of("quality", {})], {})
    assert [spec.annotator.name for spec in specs] == ["language", "quality"]
    assert added == {"language": "quality"}
    with pytest.raises(ConfigError, match=r"after needs the labels survived, num_marks, which no"):
        with_inputs([spec_of("labellers:after", {})], {})


def test_every_registered_annotator_can_be_listed() -> None:
    listed = {one.name: one for one in registered()}
    assert set(listed) == set(BUILTIN)
    language = listed["language"]
    assert language.columns is not None
    assert language.columns.names[0] == "language"
    assert language.models
    assert all(one.num_bytes > 0 and one.licence == "CC-BY-SA-4.0" for one in language.models)
    assert {field.name for one in listed.values() for field in one.columns or ()} >= {
        *("topic", "quality_keep", "pii", "code_share", "contaminated", "num_tokens"),
    }
    assert listed["quality"].inputs[0] == "language"
    assert listed["length"].models is None


def test_licence_of_a_card() -> None:
    assert licence_of("# Card\n\nLicence: CC-BY-4.0 (LICENSE)\n") == "CC-BY-4.0"
    assert licence_of("trained on text.\nThe model is under CC-BY-SA-4.0 (`LICENSE`).") == (
        "CC-BY-SA-4.0"
    )
    assert licence_of("nothing is said") == ""


def test_missing_file_is_refused_by_path() -> None:
    spec = spec_of("labellers:Odd", {"file": "nowhere.bin"})
    with pytest.raises(ConfigError, match=r"annotators\.odd: found no file nowhere\.bin.*put it"):
        check_annotators([spec])


@pytest.mark.parametrize("kept", [0, 1000, 4_000_000])
def test_damaged_model_is_refused_with_its_path(tmp_path: Path, kept: int) -> None:
    folder = tmp_path / f"model{kept}"
    shutil.copytree(model_file.SHIPPED.parent, folder)
    copy = folder / model_file.SHIPPED.name
    copy.write_bytes(copy.read_bytes()[:kept])
    spec = spec_of("language", {"model": str(copy)})
    with pytest.raises(ConfigError, match=rf"annotators\.language: .*{copy.name}"):
        check_annotators([spec])


def test_damaged_model_of_a_corpus_is_refused(tmp_path: Path) -> None:
    copy = tmp_path / "damaged.ftz"
    copy.write_bytes(b"no model")
    config = CorpusConfig(
        name="corpus",
        sources=(SourceConfig(name="pages", path="pages"),),
        tokenizer=str(ROOT / "examples" / "tokenizer"),
        annotators=({"language": {"model": str(copy)}},),
    )
    with pytest.raises(ConfigError, match=r"annotators\.language: .*damaged\.ftz"):
        specs_of(config)


def test_whole_copy_of_a_model_is_taken(tmp_path: Path) -> None:
    shutil.copytree(model_file.SHIPPED.parent, tmp_path / "model")
    check_annotators([spec_of("language", {"model": str(tmp_path / "model" / "language.ftz")})])


def test_options_of_a_file_go_under_those_of_the_line(tmp_path: Path) -> None:
    file = tmp_path / "annotators.yaml"
    file.write_text(
        "annotators:\n- language\n- quality: {rules: [c4], thresholds: {gopher_min_words: 9}}\n"
    )
    settings = ["quality.thresholds.gopher_max_words=50", "labellers:marks.mark='?'"]
    specs, added = asked_annotators("labellers:marks,quality", file, settings, paragraphs=False)
    assert added == {"language": "quality"}
    by_name = {spec.annotator.name: spec.options_json for spec in specs}
    assert by_name["quality"] == (
        '{"rules":["c4"],"thresholds":{"gopher_max_words":50,"gopher_min_words":9}}'
    )
    assert by_name["marks"] == '{"mark":"?"}'
    alone, _ = asked_annotators("", file, [], paragraphs=False)
    assert [spec.annotator.name for spec in alone] == ["language", "quality"]


@pytest.mark.parametrize(
    ("names", "settings", "paragraphs", "message"),
    [
        ("", [], False, "--annotators: found nothing"),
        ("pii", ["quality.rules=[c4]"], False, "with a NAME of pii"),
        ("quality", ["quality.rules"], False, "NAME.KEY=VALUE"),
        ("quality", ["quality.rules=[c4"], False, "the value is not YAML"),
        ("pii", [], True, "--paragraphs: language is not among"),
    ],
)
def test_command_line_mistakes(
    names: str, settings: list[str], paragraphs: bool, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        asked_annotators(names, None, settings, paragraphs=paragraphs)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("- 3", "found 3; allowed is a list of names"),
        ("quality: [c4]", "quality: found"),
        ("- pii\n- pii", "pii stands there twice"),
        ("nothing", "allowed is a list of names"),
    ],
)
def test_config_mistakes(tmp_path: Path, written: str, message: str) -> None:
    file = tmp_path / "annotators.yaml"
    file.write_text(written)
    with pytest.raises(ConfigError, match=message):
        asked_annotators("", file, [], paragraphs=False)

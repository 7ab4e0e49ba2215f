"""Mixture files: what is read, and what an author is told when it cannot be."""

import json
from pathlib import Path

import pytest

import mixtures
from mixtures.budgets import parse_tokens
from mixtures.spec import (
    CUT_LABELS,
    CUTTABLE,
    REDACTABLE,
    Mixture,
    MixtureError,
    Stage,
    Temperature,
    check_cuts,
    json_schema,
    load_mixture,
)
from mixtures.strict_yaml import read_yaml

GOOD = """
name: general_4k
seed: 1
stages:
  - name: general
    sequence_length: 4096
    tokens: 2M
    where: quality_keep and language <> 'und'
    group_by: language
    shares: {eng_Latn: 3, no: 1.5, null: 1, '*': 2}
    max_epochs: 2.5
    redact: [phone, email]
    cut: [repeats, contamination]
    length_buckets:
      - {name: long, min: 16384, max: 32768, share: 75}
      - {name: short, min: 4096, max: 16384, share: 25}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "mix.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def message(folder: Path, text: str) -> str:
    with pytest.raises(MixtureError) as caught:
        load_mixture(write(folder, text))
    return str(caught.value)


def test_file_is_read_as_it_is_written(tmp_path: Path) -> None:
    mixture = load_mixture(write(tmp_path, GOOD))
    (stage,) = mixture.stages
    assert (mixture.name, mixture.seed, stage.tokens, stage.max_epochs) == (
        "general_4k",
        1,
        2_000_000,
        2.5,
    )
    assert stage.shares == {"eng_Latn": 3, "no": 1.5, "null": 1, "*": 2}
    assert [bucket.share for bucket in stage.length_buckets] == [75, 25]
    assert stage.redact == ("email", "phone")
    assert stage.cut == ("contamination", "repeats")
    assert stage.cut_columns == ("pii", "contamination_spans", "repeats")
    assert stage.place == f"{tmp_path / 'mix.yaml'}: stages[0]"


def test_short_stage_takes_documented_defaults() -> None:
    stage = Stage(name="a", sequence_length=8, tokens="max")
    assert (stage.where, stage.group_by, stage.shares) == (None, None, "natural")
    assert (stage.max_epochs, stage.length_buckets) == (4, ())
    assert stage.redact == stage.cut == stage.cut_columns == ()


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("eng_Latn: 3", "eng_Latn: -1", ["stages[0].shares.eng_Latn: ", "-1", "above 0"]),
        ("eng_Latn: 3", "eng_Latn: .nan", ["stages[0].shares.eng_Latn: ", "nan", "above 0"]),
        ("eng_Latn: 3", "eng_Latn: '3'", ["stages[0].shares.eng_Latn: ", "'3'", "number"]),
        ("eng_Latn: 3", "eng_Latn: 0", ["stages[0].shares.eng_Latn: ", "found 0", "above 0"]),
        ("eng_Latn: 3", "eng_Latn: 3, eng_Latn: 4", ["line 10", "'eng_Latn' a second time"]),
        ("max_epochs", "max_epoch", ["stages[0].max_epoch: ", "did you mean 'max_epochs'?"]),
        ("min: 4096", "mim: 4096", ["length_buckets[1].mim: ", "did you mean 'min'", "share"]),
        ("min: 4096", "min: 16384", ["length_buckets[1]: ", "min 16384 and max 16384"]),
        ("min: 16384", "min: 16000", ["stages[0].length_buckets: ", "'short' up to 16384"]),
        ("name: short", "name: long", ["stages[0].length_buckets: ", "two buckets named 'long'"]),
        ("seed: 1", "sed: 1", ["sed: unknown key", "did you mean 'seed'?", "seed: missing"]),
        ("seed: 1", "seed: true", ["seed: found True", "whole number"]),
        ("tokens: 2M", "tokens: 2X", ["stages[0].tokens: ", "'2X'", "300B", "one_epoch"]),
        ("2.5", "0", ["stages[0].max_epochs: found 0", "above 0"]),
        ("2.5", ".inf", ["stages[0].max_epochs: found inf", "above 0"]),
        ("general\n", "../evil\n", ["stages[0].name: found '../evil'", "letters"]),
        ("    group_by: language\n", "", ["stages[0]: found shares but no group_by"]),
        ("{eng_Latn: 3, no: 1.5, null: 1, '*': 2}", "unimx", ["stages[0].shares: ", "unimax"]),
        ("{eng_Latn: 3, no: 1.5, null: 1, '*': 2}", "[1]", ["stages[0].shares: ", "temperature"]),
        ("{eng_Latn: 3, no: 1.5, null: 1, '*': 2}", "{}", ["stages[0].shares: found {}"]),
        (
            "{eng_Latn: 3, no: 1.5, null: 1, '*': 2}",
            "{temperature: 3.33}",
            ["stages[0].shares.temperature: found 3.33", "from 0", "to 1", "is written 0.3"],
        ),
        (
            "[phone, email]",
            "[phone, emial]",
            ["stages[0].redact: found 'emial'; did you mean 'email'?", "iban, national_id, key"],
        ),
        ("[phone, email]", "email", ["stages[0].redact: found 'email'", "a list out of email"]),
        ("[phone, email]", "[7]", ["stages[0].redact: found 7", "allowed: email, ip"]),
        ("[phone, email]", "[key, key]", ["stages[0].redact: ", "two kinds named 'key'"]),
        (
            "[repeats, contamination]",
            "[repeat]",
            [
                "stages[0].cut: found 'repeat'; did you mean 'repeats'?",
                "contamination, boilerplate",
            ],
        ),
        (
            "[repeats, contamination]",
            "repeats",
            ["stages[0].cut: found 'repeats'", "a list out of"],
        ),
        ("[repeats, contamination]", "[email]", ["stages[0].cut: found 'email'", "boilerplate"]),
        ("[repeats, cont", "[repeats, repeats, cont", ["cut: ", "two kinds named 'repeats'"]),
        ("  - name: general", "  - name: [general", ["line 6", "not YAML"]),
    ],
)
def test_wrong_file_is_refused_with_path_found_and_allowed(
    tmp_path: Path, old: str, new: str, wanted: list[str]
) -> None:
    assert old in GOOD
    text = message(tmp_path, GOOD.replace(old, new, 1))
    assert str(tmp_path / "mix.yaml") in text
    for part in wanted:
        assert part in text


def test_two_mistakes_are_told_in_one_go(tmp_path: Path) -> None:
    lines = message(tmp_path, GOOD.replace("seed: 1", "seed: x").replace("2M", "2X")).splitlines()
    assert len(lines) == 2


@pytest.mark.parametrize("text", ["", "- a\n", "hello\n"])
def test_file_without_a_mapping_is_refused(tmp_path: Path, text: str) -> None:
    assert "allowed: a mapping with the keys name, seed, stages" in message(tmp_path, text)


def test_absent_and_undecodable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MixtureError, match=r"nowhere\.yaml: cannot be read"):
        load_mixture(tmp_path / "nowhere.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9\n")
    with pytest.raises(MixtureError, match=r"latin\.yaml: byte 9 is not UTF-8"):
        load_mixture(tmp_path / "latin.yaml")


def test_anchors_and_merges_are_kept(tmp_path: Path) -> None:
    text = """
name: two
seed: 0
stages:
  - &base {name: one, sequence_length: 8, tokens: max, max_epochs: 2}
  - {<<: *base, name: other, tokens: 5K}
"""
    one, other = load_mixture(write(tmp_path, text)).stages
    assert (one.name, one.tokens, one.max_epochs) == ("one", "max", 2)
    assert (other.name, other.tokens, other.max_epochs) == ("other", 5000, 2)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("1e-12", 1e-12),
        ("1e12", 1e12),
        ("4E9", 4e9),
        ("-2e+3", -2000.0),
        ("+.5e1", 5.0),
        ("1.e2", 100.0),
        ("1.5e3", 1500.0),
        ("1.5", 1.5),
        ("12", 12),
        ("1e3x", "1e3x"),
        ("1e", "1e"),
        ("e5", "e5"),
        ("1e5e5", "1e5e5"),
        ("0b3e1-4e9", "0b3e1-4e9"),
        ("1_0e5", "1_0e5"),
        ("٣e5", "٣e5"),
        ("'1e5'", "1e5"),
        ("no", "no"),
        ("true", True),
    ],
)
def test_scalars_are_read_by_yaml_1_2(tmp_path: Path, written: str, read: object) -> None:
    found = read_yaml(write(tmp_path, f"a: {written}\n1e3: [{written}]\n"))
    assert found == {"a": read, "1e3": [read]}
    assert type(found["a"]) is type(read)


def test_numbers_without_a_dot_are_taken_in_a_mixture(tmp_path: Path) -> None:
    text = GOOD.replace("eng_Latn: 3", "eng_Latn: 1e-12").replace("2M", "4e9")
    (stage,) = load_mixture(write(tmp_path, text)).stages
    assert stage.tokens == 4_000_000_000
    assert stage.shares == {"eng_Latn": 1e-12, "no": 1.5, "null": 1, "*": 2}


@pytest.mark.parametrize("deep", ["[" * 5000, "[" * 5000 + "]" * 5000, "{a: " * 5000 + "}" * 5000])
def test_deep_nesting_is_refused_with_the_name_of_the_file(tmp_path: Path, deep: str) -> None:
    text = message(tmp_path, f"name: {deep}\n")
    assert text.startswith(f"{tmp_path / 'mix.yaml'}: lists or mappings inside one another")


def test_mixture_without_stages_is_refused(tmp_path: Path) -> None:
    assert "stages: found no stage" in message(tmp_path, "name: a\nseed: 0\nstages: []\n")


def test_stages_with_one_name_are_refused() -> None:
    stage = {"name": "a", "sequence_length": 8, "tokens": "max"}
    with pytest.raises(ValueError, match="two stages named 'a'"):
        Mixture.model_validate({"name": "m", "seed": 0, "stages": [stage, stage]})


@pytest.mark.parametrize(
    ("written", "tokens"),
    [
        ("2M", 2_000_000),
        ("300B", 300_000_000_000),
        ("30T", 30_000_000_000_000),
        ("1.5b", 1_500_000_000),
        ("4 K", 4_000),
        ("1_500_000", 1_500_000),
        (7, 7),
        ("0.001K", 1),
        ("max", "max"),
        ("one_epoch", "one_epoch"),
        ("MAX", "max"),
        ("max ", "max"),
        (" One_Epoch", "one_epoch"),
        (4e9, 4_000_000_000),
        ("4e9", 4_000_000_000),
    ],
)
def test_budget_is_parsed(written: object, tokens: int | str) -> None:
    assert parse_tokens(written) == tokens


@pytest.mark.parametrize(
    "written",
    [
        "",
        "M",
        "-2M",
        "0",
        0,
        -1,
        2.5,
        True,
        None,
        "1.5",
        "2MB",
        "٣M",
        "inf",
        "0.0001K",
        "m ax",
        "1e-3",
        "e9",
        -4e9,
        float("inf"),
        float("nan"),
    ],
)
def test_wrong_budget_is_refused(written: object) -> None:
    with pytest.raises(MixtureError, match="allowed: a whole number of tokens above 0"):
        parse_tokens(written)


def test_with_tokens_replaces_every_budget_and_nothing_else(tmp_path: Path) -> None:
    mixture = load_mixture(write(tmp_path, GOOD))
    other = mixture.with_tokens("3M")
    assert [stage.tokens for stage in other.stages] == [3_000_000]
    assert other.with_tokens("2M") == mixture
    assert other.stages[0].place == mixture.stages[0].place
    with pytest.raises(MixtureError, match="'lots'"):
        mixture.with_tokens("lots")


def test_cuts_without_labels_are_refused_before_any_work(tmp_path: Path) -> None:
    mixture = load_mixture(write(tmp_path, GOOD.replace("repeats,", "repeats, boilerplate,")))
    labels = ["language", "pii", *CUT_LABELS.values()]
    check_cuts(mixture, labels)
    with pytest.raises(MixtureError) as caught:
        check_cuts(mixture, ["language"])
    place = f"{tmp_path / 'mix.yaml'}: stages[0]"
    found = str(caught.value).splitlines()
    assert [line.split("; ")[0] for line in found] == [
        f"{place}.redact: found email, phone and no label column 'pii' that says where they stand",
        f"{place}.cut: found contamination and no label column 'contamination_spans' that says "
        "where it stands",
        f"{place}.cut: found boilerplate and no label column 'boilerplate' that says where it "
        "stands",
        f"{place}.cut: found repeats and no label column 'repeats' that says where it stands",
    ]
    for line, what in zip(
        found,
        [
            "add 'pii' to the annotators of the corpus, or remove redact",
            "under benchmarks of the corpus, or remove contamination from cut",
            "add boilerplate to duplicates.levels of the corpus, or remove boilerplate from cut",
            "add repeats to duplicates.levels of the corpus, or remove repeats from cut",
        ],
        strict=True,
    ):
        assert line.endswith(what)
    nothing = GOOD.replace("[phone, email]", "[]").replace("[repeats, contamination]", "[]")
    check_cuts(load_mixture(write(tmp_path, nothing)), [])


def test_cutting_quotations_of_no_benchmark_is_refused(tmp_path: Path) -> None:
    mixture = load_mixture(write(tmp_path, GOOD))
    labels = ["pii", *CUT_LABELS.values()]
    with pytest.raises(MixtureError) as caught:
        check_cuts(mixture, labels, has_benchmarks=False)
    (line,) = str(caught.value).splitlines()
    assert "cut: found contamination and no benchmarks that could be quoted; list" in line
    without = load_mixture(write(tmp_path, GOOD.replace(", contamination", "")))
    check_cuts(without, labels, has_benchmarks=False)


def test_every_kind_that_can_be_cut_has_labels_of_its_own() -> None:
    assert set(CUT_LABELS) == set(CUTTABLE)
    assert len({"pii", *CUT_LABELS.values()}) == 1 + len(CUTTABLE)


def test_shipped_mixtures_redact_every_kind_that_there_is() -> None:
    for path in SHIPPED:
        assert [stage.redact for stage in load_mixture(path).stages] == [REDACTABLE]


def test_fingerprint_follows_what_decides_the_draws(tmp_path: Path) -> None:
    def payload(text: str) -> str:
        mixture = load_mixture(write(tmp_path, text))
        return json.dumps(mixture.fingerprint_payload(), sort_keys=True)

    base = payload(GOOD)
    assert payload(GOOD.replace("general_4k", "renamed")) == base
    assert payload(GOOD.replace("name: short", "name: shorter")) == base
    assert payload(GOOD.replace("2M", "2000K") + "# comment\n") == base
    assert payload(GOOD.replace("[phone, email]", "[email, phone]")) == base
    assert payload(GOOD.replace("[repeats, contamination]", "[contamination, repeats]")) == base
    assert payload(GOOD.replace("eng_Latn: 3, no: 1.5", "no: 1.5, eng_Latn: 3.0")) == base
    for old, new in [
        ("seed: 1", "seed: 2"),
        ("2M", "3M"),
        ("2.5", "2"),
        ("name: general\n", "name: g\n"),
        ("[phone, email]", "[phone]"),
        ("[repeats, contamination]", "[repeats]"),
    ]:
        assert payload(GOOD.replace(old, new)) != base


def test_tallies_follow_what_is_redacted_and_cut(tmp_path: Path) -> None:
    def payload(text: str) -> dict[str, object]:
        (stage,) = load_mixture(write(tmp_path, text)).stages
        return stage.selection_payload()

    base = payload(GOOD)
    swapped = GOOD.replace("[repeats, contamination]", "[contamination, repeats]")
    assert payload(swapped.replace("2M", "9M")) == base
    assert payload(GOOD.replace("[repeats, contamination]", "[boilerplate]")) != base
    assert payload(GOOD.replace("[phone, email]", "[email]")) != base


def test_mixture_is_frozen() -> None:
    stage = Stage(name="a", sequence_length=8, tokens="max")
    with pytest.raises(ValueError, match="frozen"):
        stage.tokens = 5


def test_json_schema_knows_every_key_and_refuses_others() -> None:
    schema = json_schema()
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == {"name", "seed", "stages"}
    assert set(schema["$defs"]["Stage"]["properties"]) == set(Stage.model_fields)
    json.dumps(schema)


SHIPPED = sorted(Path(mixtures.__file__).parent.glob("*.yaml"))


def test_three_mixtures_are_shipped() -> None:
    assert [path.stem for path in SHIPPED] == ["general_4k", "long_32k", "stem_4k"]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_mixture_bears_its_file_name_and_report_lengths(path: Path) -> None:
    mixture = load_mixture(path)
    assert mixture.name == path.stem
    lengths = {"general_4k": 4096, "stem_4k": 4096, "long_32k": 32768}
    assert [stage.sequence_length for stage in mixture.stages] == [lengths[path.stem]]


def test_temperature_mapping_is_told_from_groups() -> None:
    def stage(shares: object) -> Stage:
        return Stage.model_validate(
            {"name": "a", "sequence_length": 8, "tokens": 9, "group_by": "g", "shares": shares}
        )

    assert stage({"temperature": 0.3}).shares == Temperature(temperature=0.3)
    assert stage({"temperature": 3, "humidity": 1}).shares == {"temperature": 3, "humidity": 1}

"""Weights: what a file may say, what each document becomes, and bins that keep the order."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mixtures
from mixtures.bins import MOST, bins_of, values_of
from mixtures.expressions import check_expressions, columns_used, select
from mixtures.spec import Mixture, MixtureError, Stage, json_schema, load_mixture
from mixtures.tallies import tally

MIXTURE = """
name: m
seed: 1
stages:
  - name: s
    sequence_length: 8
    tokens: max
    group_by: language
    weight: 1 + quality_score
    synthetic: {max_share: 0.3, max_depth: 2, max_rewrites_per_seed: 4}
    bucket_shares_in: tokens
"""
QUADMIX = """
scores:
  edu: {score: educational, better: larger, center: 2.0, scale: 0.5}
  loss: {score: loss, better: smaller}
groups:
  eng_Latn: {alpha: {edu: 0.75, loss: 0.25}, lambda: 900, omega: 0.1, eta: 1, epsilon: 0.001}
  '*': {alpha: {edu: 1, loss: 0}, lambda: 100, omega: 0.2, eta: 0.5, epsilon: 0}
"""


LOSS = {"score": "loss", "better": "smaller"}


def write(folder: Path, text: str, name: str = "mix.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def message(folder: Path, old: str, new: str) -> str:
    assert old in MIXTURE
    with pytest.raises(MixtureError) as caught:
        load_mixture(write(folder, MIXTURE.replace(old, new)))
    return str(caught.value)


def stage(**keys: object) -> Stage:
    return Stage.model_validate({"name": "s", "sequence_length": 8, "tokens": "max"} | keys)


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("1 + quality_score", "1", ["stages[0].weight: found 1;", "as text", "quality_curve"]),
        ("1 + quality_score", "0", ["stages[0].weight: found 0;", "as text"]),
        ("1 + quality_score", "-1", ["stages[0].weight: found -1;", "as text"]),
        ("1 + quality_score", ".nan", ["stages[0].weight: found nan;", "as text"]),
        ("1 + quality_score", "{curve: 1}", ["stages[0].weight: found {'curve': 1};", "quadmix"]),
        (
            "1 + quality_score",
            "{quality_curve: {score: q, drop: 1}}",
            ["stages[0].weight.quality_curve.drop: found 1;", "to below 1"],
        ),
        (
            "1 + quality_score",
            "{quality_curve: {scor: q}}",
            ["weight.quality_curve.scor: unknown key", "did you mean 'score'?", "score: missing"],
        ),
        (
            "1 + quality_score",
            "{quadmix: nowhere.yaml}",
            ["stages[0].weight.quadmix: ", "nowhere.yaml: cannot be read"],
        ),
        ("max_share: 0.3", "max_share: 0", ["synthetic.max_share: found 0;", "max_depth: 0"]),
        ("max_share: 0.3", "max_share: 30", ["synthetic.max_share: found 30;", "up to 1"]),
        ("max_share: 0.3", "max_share: .nan", ["synthetic.max_share: found nan;", "up to 1"]),
        ("max_depth: 2", "max_depth: -1", ["synthetic.max_depth: found -1;", "from 0"]),
        ("max_depth", "max_dept", ["synthetic.max_dept: unknown key", "'max_depth'?"]),
        ("in: tokens", "in: documents", ["bucket_shares_in: found 'documents';", "tokens: the"]),
    ],
)
def test_wrong_weight_or_cap_is_refused_with_path_found_and_allowed(
    tmp_path: Path, old: str, new: str, wanted: list[str]
) -> None:
    text = message(tmp_path, old, new)
    for part in wanted:
        assert part in text


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("scores:", "score:", ["score: unknown key 'score'; did you mean 'scores'?"]),
        ("omega: 0.1", "omega: 2", ["groups.eng_Latn.omega: found 2;", "from 0 to 1"]),
        ("lambda: 900", "lambda: -1", ["groups.eng_Latn.lambda: found -1;", "how steeply"]),
        ("lambda: 900", "lamda: 1", ["did you mean 'lambda'?", "groups.eng_Latn.lambda: missing"]),
        ("edu: 0.75, loss: 0.25", "edu: 0, loss: 0", ["alpha", "at least one number above 0"]),
        ("edu: 0.75, loss", "edu: .inf, loss", ["alpha.edu: found inf;", "numbers from 0"]),
        ("edu: 1, loss: 0", "edu: 1", ["groups.*.alpha: found the scores edu;", "edu, loss"]),
        ("better: smaller", "better: higher", ["scores.loss.better: found 'higher';", "larger or"]),
        ("scale: 0.5", "scale: 0", ["scores.edu.scale: found 0;", "above 0"]),
        ("omega: 0.2, eta", "omega: 0, eta", ["omega 0 and epsilon 0, which draw nothing"]),
    ],
)
def test_wrong_quadmix_file_is_refused_with_its_own_path(
    tmp_path: Path, old: str, new: str, wanted: list[str]
) -> None:
    assert old in QUADMIX
    write(tmp_path, QUADMIX.replace(old, new), "quadmix.yaml")
    text = message(tmp_path, "1 + quality_score", "{quadmix: quadmix.yaml}")
    for part in [str(tmp_path / "quadmix.yaml"), *wanted]:
        assert part in text


def test_stage_survives_being_written_and_read(tmp_path: Path) -> None:
    write(tmp_path, QUADMIX, "quadmix.yaml")
    for weight in ["1 + q", "{quality_curve: {score: q}}", "{quadmix: quadmix.yaml}"]:
        text = MIXTURE.replace("1 + quality_score", weight)
        (one,) = load_mixture(write(tmp_path, text)).stages
        written = one.model_dump(mode="json")
        again = Stage.model_validate(json.loads(json.dumps(written)))
        assert again.model_dump(mode="json") == written
        assert again.weight == one.weight


def test_fingerprint_follows_the_content_of_a_quadmix_file_and_not_its_path(
    tmp_path: Path,
) -> None:
    def payload(name: str, text: str) -> dict[str, object]:
        write(tmp_path, text, name)
        mixture = MIXTURE.replace("1 + quality_score", f"{{quadmix: {name}}}")
        return load_mixture(write(tmp_path, mixture)).fingerprint_payload()

    base = payload("one.yaml", QUADMIX)
    assert payload("two.yaml", "# moved\n" + QUADMIX) == base
    assert payload("two.yaml", QUADMIX.replace("omega: 0.1", "omega: 0.2")) != base


CURVE = {"quality_curve": {"score": "q", "drop": 0.4}}


@pytest.mark.parametrize(
    ("change", "is_same"),
    [
        ({"tokens": 5}, True),
        ({"shares": "unimax"}, True),
        ({"max_epochs": 2}, True),
        ({"packing": "best_fit", "shuffle": "none", "sequence_length": 9}, True),
        ({"synthetic": {"max_share": 0.9, "max_depth": 1}}, True),
        ({"weight": {"quality_curve": {"score": "q", "drop": 0.1}}}, True),
        ({"length_buckets": [{"name": "x", "min": 1, "max": 9, "share": 2}]}, True),
        ({"length_buckets": [{"name": "x", "min": 1, "max": 8, "share": 2}]}, False),
        ({"weight": {"quality_curve": {"score": "q + 1"}}}, False),
        ({"weight": "q"}, False),
        ({"synthetic": {"max_depth": 2}}, False),
        ({"synthetic": {"max_depth": 1, "max_rewrites_per_seed": 1}}, False),
        ({"redact": ["email"]}, False),
        ({"where": "q > 0"}, False),
        ({"group_by": "h"}, False),
    ],
)
def test_selection_payload_follows_what_the_tally_follows(
    change: dict[str, object], is_same: bool
) -> None:
    keys = {
        "group_by": "g",
        "weight": CURVE,
        "synthetic": {"max_depth": 1},
        "length_buckets": [{"name": "a", "min": 1, "max": 9, "share": 1}],
    }
    payload, base = stage(**keys | change).selection_payload(), stage(**keys).selection_payload()
    assert (payload == base) is is_same
    assert json.loads(json.dumps(payload)) == payload


def test_selection_payload_of_quadmix_holds_what_merges_and_not_what_samples(
    tmp_path: Path,
) -> None:
    def payload(text: str) -> dict[str, object]:
        path = write(tmp_path, text, "quadmix.yaml")
        return stage(weight={"quadmix": str(path)}).selection_payload()

    base = payload(QUADMIX)
    assert payload(QUADMIX.replace("lambda: 900", "lambda: 9")) == base
    for old, new in [("0.75", "0.7"), ("center: 2.0", "center: 1"), ("smaller", "larger")]:
        assert payload(QUADMIX.replace(old, new)) != base


def test_json_schema_describes_every_method() -> None:
    schema = json_schema()
    weight, *_ = schema["$defs"]["Stage"]["properties"]["weight"]["anyOf"]
    shapes = weight["oneOf"]
    assert [shape.get("type", shape.get("$ref")) for shape in shapes] == [
        "string",
        "#/$defs/QualityCurve",
        "#/$defs/QuaDMix",
    ]
    path, mapping = schema["$defs"]["QuaDMix"]["properties"]["quadmix"]["anyOf"]
    assert (path["type"], mapping["$ref"]) == ("string", "#/$defs/Parameters")
    assert "lambda" in schema["$defs"]["Sampling"]["properties"]
    for name in ("SyntheticCaps", "Curve", "Score", "Sampling", "Parameters"):
        for key, one in schema["$defs"][name]["properties"].items():
            assert one["description"], (name, key)


def test_schema_file_for_editors_is_up_to_date() -> None:
    path = Path(mixtures.__file__).parent / "mixture.schema.json"
    written = json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"
    assert path.read_text(encoding="utf-8") == written, (
        "write json.dumps(mixtures.spec.json_schema(), indent=1, ensure_ascii=False) and a newline"
    )


LABELS = pa.table(
    {
        "language": ["a", "a", "b", "b", "a", "b"],
        "num_tokens": [3, 4, 5, 6, 7, 99],
        "q": pa.array([0.5, None, 0.0, 2.0, -1.0, 1.0], pa.float32()),
        "keep": [True, True, True, True, False, True],
        "depth": pa.array([0, 1, None, 2, 1, 3], pa.int32()),
        "rewrite_index": pa.array([None, 0, 1, 2, 3, 0], pa.int32()),
    }
)
TOKENS = LABELS["num_tokens"].to_numpy() + 1
BUCKET = [{"name": "all", "min": 0, "max": 50, "share": 1}]


def reasons(one: Stage, labels: pa.Table = LABELS) -> dict[str, int]:
    counts = select(one, labels, TOKENS).counts()
    return {reason: rows for reason, rows in counts.items() if rows}


def test_document_without_weight_is_not_drawn_and_counted() -> None:
    one = stage(where="keep", weight="q", length_buckets=BUCKET)
    selection = select(one, LABELS, TOKENS)
    assert selection.reason.tolist() == [0, 3, 3, 0, 1, 2]
    # 0.5 and 2 are powers of two: their bins are multiples of 256.
    assert selection.bin.tolist() == [1022 * 256, 0, 0, 1024 * 256, 0, 0]
    assert reasons(one) == {
        "eligible": 2,
        "where_false": 1,
        "outside_length_buckets": 1,
        "no_weight": 2,
    }


def test_score_may_be_zero_and_negative_and_null_is_not_drawn() -> None:
    selection = select(stage(weight={"quality_curve": {"score": "q"}}), LABELS, TOKENS)
    assert selection.reason.tolist() == [0, 3, 0, 0, 0, 0]
    order = np.argsort(selection.bin[selection.eligible])
    assert np.flatnonzero(selection.eligible)[order].tolist() == [4, 2, 0, 5, 3]


def test_synthetic_caps_count_by_depth_and_rewrite_index() -> None:
    assert reasons(stage(synthetic={"max_depth": 1})) == {"eligible": 4, "too_deep": 2}
    assert reasons(stage(synthetic={"max_depth": 0})) == {"eligible": 2, "too_deep": 4}
    assert reasons(stage(synthetic={"max_rewrites_per_seed": 2})) == {
        "eligible": 4,
        "too_many_rewrites": 2,
    }
    assert reasons(stage(synthetic={"max_rewrites_per_seed": 0})) == {
        "eligible": 1,
        "too_many_rewrites": 5,
    }
    selection = select(stage(), LABELS, TOKENS)
    assert selection.is_synthetic.tolist() == [False, True, False, True, True, True]
    without = select(stage(), LABELS.drop_columns(["depth"]), TOKENS)
    assert not without.is_synthetic.any()


@pytest.mark.parametrize(
    ("weight", "found"),
    [
        ("q", "'q' gives -1.0 (in 1 of 5 rows of these labels); allowed: finite numbers from 0"),
        ("case when q < 0 then 'nan'::double else q end", "gives nan (in 1 of 5"),
        ("case when q >= 0 then 'inf'::double else 1 end", "gives inf (in 4 of 6"),
    ],
)
def test_weight_that_is_no_weight_stops_the_stage(weight: str, found: str) -> None:
    with pytest.raises(MixtureError) as caught:
        select(stage(weight=weight), LABELS, TOKENS)
    for part in ["stage 's'.weight: ", found, "guard it"]:
        assert part in str(caught.value)


def test_weight_is_asked_only_where_the_stage_takes_a_document() -> None:
    assert reasons(stage(where="keep", weight="q"))["eligible"] == 3
    guarded = stage(where="q > 0", weight="case when q > 0 then sqrt(q) else error('asked') end")
    assert reasons(guarded) == {"eligible": 3, "where_false": 3}


def test_score_that_is_not_finite_is_refused_and_a_negative_one_is_not() -> None:
    with pytest.raises(MixtureError, match=r"quality_curve\.score: .*gives inf .*null is not"):
        select(stage(weight={"quality_curve": {"score": "1 / (q * 0.0)"}}), LABELS, TOKENS)


COLUMNS = LABELS.schema


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ({"weight": "keep"}, [".weight: 'keep' gives BOOLEAN", "cast(... as double)"]),
        ({"weight": "language"}, [".weight: 'language' gives VARCHAR"]),
        ({"weight": "1 + qq"}, [".weight: found unknown column 'qq'; did you mean 'q'?"]),
        ({"weight": "q / sum(q)"}, [".weight: duckdb refuses"]),
        ({"weight": "-1"}, [".weight: '-1' gives -1.0 for every document; allowed: a finite"]),
        ({"weight": "0"}, ["gives 0.0 for every document"]),
        ({"weight": "'nan'::float"}, ["gives nan for every document"]),
        ({"weight": "null::int"}, ["gives null for every document"]),
        ({"weight": {"quality_curve": {"score": "dept"}}}, ["quality_curve.score: ", "'depth'?"]),
        ({"weight": {"quality_curve": {"score": "keep"}}}, ["score: 'keep' gives BOOLEAN"]),
    ],
)
def test_weight_is_checked_before_any_work(keys: dict[str, object], wanted: list[str]) -> None:
    with pytest.raises(MixtureError) as caught:
        check_expressions(Mixture(name="m", seed=0, stages=(stage(**keys),)), COLUMNS)
    for part in wanted:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "weight", ["1", "q", "num_tokens", "q::decimal(9, 3)", "num_tokens::hugeint"]
)
def test_every_kind_of_number_is_a_weight(weight: str) -> None:
    check_expressions(Mixture(name="m", seed=0, stages=(stage(weight=weight),)), COLUMNS)


def test_caps_need_the_columns_that_they_count_by() -> None:
    capped = stage(synthetic={"max_share": 0.5, "max_rewrites_per_seed": 1})
    mixture = Mixture(name="m", seed=0, stages=(capped,))
    check_expressions(mixture, COLUMNS)
    with pytest.raises(MixtureError) as caught:
        check_expressions(mixture, pa.schema([COLUMNS.field("num_tokens")]))
    lines = str(caught.value).splitlines()
    assert ["'depth'" in line for line in lines] == [True, False]
    assert ["'rewrite_index'" in line for line in lines] == [False, True]
    assert columns_used([capped], COLUMNS) == ["num_tokens", "depth", "rewrite_index"]
    assert columns_used([stage(weight="q")], COLUMNS) == ["num_tokens", "q", "depth"]


def test_merged_score_turns_round_scales_and_sums_by_group(tmp_path: Path) -> None:
    path = write(tmp_path, QUADMIX, "quadmix.yaml")
    labels = pa.table(
        {
            "language": ["eng_Latn", "deu_Latn", "eng_Latn", "deu_Latn"],
            "educational": [3.0, 3.0, 2.0, None],
            "loss": [4.0, 4.0, 1.0, 4.0],
        }
    )
    one = stage(group_by="language", weight={"quadmix": str(path)})
    selection = select(one, labels, np.full(4, 9))
    # eng: 0.75 * -(3 - 2) / 0.5 + 0.25 * 4 = -0.5 and 0 + 0.25; deu: -(3 - 2) / 0.5 = -2.
    assert values_of(selection.bin).tolist() == [-0.5, -2.0, 0.25, 0.0]
    assert selection.reason.tolist() == [0, 0, 0, 3]


def test_scores_may_have_any_names() -> None:
    scores = {'a "b"': {"score": "q", "better": "smaller"}, "A 'b'": LOSS, 'a "B"': LOSS}
    sampling = {"lambda": 1, "omega": 1, "eta": 1, "epsilon": 1}
    groups = {"*": {"alpha": dict.fromkeys(scores, 1)} | sampling}
    one = stage(weight={"quadmix": {"scores": scores, "groups": groups}})
    selection = select(one, pa.table({"q": [0.5, 3.0], "loss": [1.0, 2.0]}), np.full(2, 9))
    assert values_of(selection.bin).tolist() == [2.5, 7.0]


def test_group_without_quadmix_parameters_is_named(tmp_path: Path) -> None:
    only = QUADMIX[: QUADMIX.index("  '*'")]
    path = write(tmp_path, only, "quadmix.yaml")
    one = stage(group_by="language", where="language <> 'fra'", weight={"quadmix": str(path)})
    labels = pa.table(
        {"language": ["eng_Latn", "deu", "fra"], "educational": [1.0] * 3, "loss": [1.0] * 3}
    )
    with pytest.raises(MixtureError, match=r"no parameters for deu; .*add '\*'"):
        select(one, labels, np.full(3, 9))
    assert select(one, labels.take([0, 2]), np.full(2, 9)).eligible.tolist() == [True, False]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=50))
def test_bins_keep_the_order_and_nine_digits(values: list[float]) -> None:
    numbers: npt.NDArray[np.float64] = np.sort(np.array(values, np.float64))
    found = bins_of(numbers)
    assert (np.diff(found) >= 0).all()
    assert (np.abs(found) <= MOST).all()
    again = values_of(found)
    assert bins_of(again).tolist() == found.tolist()
    is_normal = (np.abs(numbers) > 1e-300) & (np.abs(numbers) < 1e308)
    assert (np.abs(again - numbers) <= np.abs(numbers) / 512)[is_normal].all()


def test_least_and_largest_weight_keep_a_bin() -> None:
    labels = pa.table({"w": [5e-324, 1.7976931348623157e308], "num_tokens": [1, 1]})
    assert select(stage(weight="w"), labels, np.full(2, 2)).bin.tolist() == [1, MOST]


def test_tally_counts_every_key_exactly_whatever_the_parts() -> None:
    rng = np.random.default_rng(3)
    num = 3000
    labels = pa.table(
        {
            "language": rng.choice(["a", "β", ""], num),
            "q": rng.integers(0, 4, num),
            "depth": rng.integers(0, 3, num).astype(np.int32),
        }
    )
    tokens = rng.integers(1, 100, num)
    one = stage(group_by="language", weight="q", synthetic={"max_depth": 1}, length_buckets=BUCKET)
    selection = select(one, labels, tokens)
    found = {
        tuple(row.values())[:5]: (row["documents"], row["tokens"])
        for row in tally(selection, tokens).to_pylist()
    }
    counted: dict[tuple[object, ...], tuple[int, int]] = {}
    for row in range(num):
        language, q, depth = (labels[name][row].as_py() for name in ("language", "q", "depth"))
        long, deep = tokens[row] > 50, depth > 1
        why = "outside_length_buckets" if long else "no_weight" if q == 0 else "eligible"
        if why == "eligible" and deep:
            why = "too_deep"
        bin_ = int(bins_of(np.array([float(q)]))[0]) if why == "eligible" else 0
        key = (language, -1 if long else 0, depth > 0, bin_, why)
        before = counted.get(key, (0, 0))
        counted[key] = (before[0] + 1, before[1] + int(tokens[row]))
    assert found == counted

"""The quality score: its features, its signs, its figures, and what it says of known pages."""

import gzip
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from annotators.heuristics import signals as s
from annotators.heuristics.annotator import Heuristics
from annotators.heuristics.languages import languages
from annotators.heuristics.score import (
    COEFFICIENTS,
    FEATURES,
    apply,
    features_of,
    load_coefficients,
    quality_scores,
)
from annotators.heuristics.score_training import (
    JudgedPages,
    auc,
    choose_penalty,
    evaluate_score,
    fit,
    read_judged_pages,
)
from annotators.language.annotator import Language
from pipelines.cli import build_app
from pipelines.extract.texts import read_texts

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("TOKENMILL_DATA", ROOT.parent / "shared" / "data"))
CODES = list(languages())
ANNOTATOR = Heuristics()

PROSE = (
    "The river rises in the hills and runs to the sea, and the people of the valley have lived "
    "with it for centuries. In spring it floods the meadows; in summer it is hardly a stream.\n"
    "Farmers built low walls that still stand today. Their children learned to read the sky, and "
    "to be ready when the clouds came over the western ridge.\nNobody knows who built the bridge.\n"
)
LINKS = "Cheap shoes | Buy now\nSale -50% >>\nHome | Contact | Login\nBuy now\n* * *\n" * 8


def scores(texts: Sequence[str], codes: Sequence[str | None]) -> list[float | None]:
    labels = {"language": pa.array(codes, pa.string())}
    found = ANNOTATOR(pa.array(texts, pa.large_string()), labels)
    return list(found.column("quality_score").to_pylist())


def row_of(**values: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Signals of a page of ordinary English prose, with some of them changed."""
    row = np.zeros((1, len(s.SIGNALS)))
    names = [name for name, _ in s.SIGNALS]
    usual = {
        "gopher_num_characters": 3000, "gopher_num_words": 500, "gopher_alpha_words": 0.87,
        "gopher_stop_words": 7, "fineweb_num_lines": 12, "fineweb_line_punct_ratio": 0.8,
        "fineweb_new_line_ratio": 0.04,
    }  # fmt: skip
    for name, value in (usual | values).items():
        row[0, names.index(name)] = value
    return row


def test_prose_is_above_links_and_only_an_empty_text_has_no_score() -> None:
    texts = [PROSE, LINKS, "", " \n", "!", "a", "中", "\ufffd" * 99]
    found = scores(texts, ["eng_Latn"] * len(texts))
    assert found[2] is None
    known = [value for at, value in enumerate(found) if at != 2]
    assert all(value is not None and 0 <= value <= 1 for value in known)
    assert found[0] is not None
    assert found[1] is not None
    assert found[0] > 0.7 > 0.2 > found[1]


@settings(deadline=None, max_examples=60)  # the first call compiles
@given(st.lists(st.text(max_size=60), min_size=1, max_size=4), st.sampled_from([*CODES, None]))
def test_any_text_in_any_language_has_a_score_of_its_own(
    texts: list[str], code: str | None
) -> None:
    together = scores(texts, [code] * len(texts))
    for text, value in zip(texts, together, strict=True):
        assert (value is None) == (text == "")
        assert value is None or 0 <= value <= 1
        assert scores([text], [code]) == [value]


@pytest.mark.parametrize(
    ("signal", "worse"),
    [
        ("gopher_num_words", 40),
        ("gopher_alpha_words", 0.6),
        ("gopher_stop_words", 1),
        ("gopher_top_4_gram", 0.2),
        ("gopher_dup_10_gram", 0.2),
        ("gopher_dup_line_frac", 0.4),
        ("gopher_hash_ratio", 0.1),
        ("gopher_bullet_lines", 0.9),
        ("gopher_ellipsis_lines", 0.5),
        ("fineweb_line_punct_ratio", 0.05),
        ("fineweb_new_line_ratio", 0.5),
    ],
)
@pytest.mark.parametrize("code", ["eng_Latn", "rus_Cyrl", "zho_Hans", "hin_Deva"])
def test_each_fault_alone_lowers_the_score(signal: str, worse: float, code: str) -> None:
    number = np.array([CODES.index(code)])
    good = quality_scores(row_of(), number)[0]
    assert quality_scores(row_of(**{signal: worse}), number)[0] < good


def test_a_ratio_at_the_threshold_of_its_language_is_one_half_and_unknown_is_nan() -> None:
    names = [feature.name for feature in FEATURES]
    numbers = np.array([CODES.index(code) for code in ("eng_Latn", "deu_Latn")])
    limits = [0.2, languages()["deu_Latn"].thresholds["gopher_max_top_2_gram"]]
    assert limits[1] is not None
    assert limits[1] != limits[0]
    rows = np.concatenate([row_of(gopher_top_2_gram=limit or 0) for limit in limits])
    assert features_of(rows, numbers)[:, names.index("top_2_gram")].tolist() == [0.5, 0.5]

    unknown = features_of(row_of(gopher_stop_words=-1), np.array([CODES.index("und")]))[0]
    assert np.isnan(unknown).tolist() == [name in ("stop_words", "line_punct") for name in names]
    told = np.where(np.isnan(unknown), load_coefficients().mean, unknown)
    assert apply(load_coefficients(), unknown[None]) == apply(load_coefficients(), told[None])


def test_no_text_is_better_for_being_longer_than_2500_words() -> None:
    english = np.array([CODES.index("eng_Latn")])
    at, above = (
        quality_scores(row_of(gopher_num_words=n, fineweb_num_lines=n / 40), english)[0]
        for n in (2500, 200_000)
    )
    assert at == above


def test_shipped_coefficients_have_the_signs_of_their_features() -> None:
    found = load_coefficients()
    assert all(
        weight * feature.sign >= 0 for weight, feature in zip(found.weights, FEATURES, strict=True)
    )
    assert np.count_nonzero(found.weights) >= 10
    assert COEFFICIENTS in Heuristics().model_files()


def test_coefficients_of_other_features_are_refused(tmp_path: Path) -> None:
    told = json.loads(COEFFICIENTS.read_text(encoding="utf-8"))
    del told["features"]["hashes"]
    path = tmp_path / "score.json"
    path.write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(ValueError, match="tokenmill train quality"):
        load_coefficients(path)


def test_auc_is_the_share_of_pairs_in_order_with_ties_as_half() -> None:
    chance = np.random.default_rng(1)
    values = chance.integers(0, 6, 40).astype(float)
    labels = chance.integers(0, 2, 40)
    pairs = [
        (good > bad) + (good == bad) / 2
        for good in values[labels == 1]
        for bad in values[labels == 0]
    ]
    assert auc(values, labels) == pytest.approx(float(np.mean(pairs)))


def test_fit_finds_the_signs_it_may_and_zero_where_it_may_not() -> None:
    chance = np.random.default_rng(2)
    features = chance.normal(size=(400, len(FEATURES)))
    signs = np.array([feature.sign for feature in FEATURES])
    features[::7, 5] = np.nan
    # The first two push as they may, the third against its sign, the others not at all.
    push = 2 * signs[0] * features[:, 0] + signs[1] * features[:, 1] - signs[2] * features[:, 2]
    labels = (push + chance.logistic(size=400) > 0).astype(np.int64)
    found = fit(features, labels, 0.01)
    assert found.weights[0] * signs[0] > 1
    assert 0.4 < found.weights[1] * signs[1] < 1.5
    assert found.weights[2] == 0
    assert (np.abs(found.weights[3:]) < 0.4).all()
    # The gradient of the penalised loss vanishes where a weight is free.
    inputs = (features - found.mean) / found.scale
    errors = apply(found, features) - labels
    slope = np.nan_to_num(np.clip(inputs, -2, 2)).T @ errors / 400 + 0.01 * found.weights
    assert np.abs(slope[found.weights != 0]).max() < 1e-4
    assert choose_penalty(features, labels) <= 0.1


def test_pages_in_two_files_count_once_and_contradictions_are_told(tmp_path: Path) -> None:
    one = {"text": "a", "quality_label": 1, "doc_id": "1"}
    two = {"text": "b", "quality_label": 0, "doc_id": "2"}

    def write(name: str, *rows: dict[str, object]) -> None:
        with gzip.open(tmp_path / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)

    write("dclm_majority", one, two)
    write("dclm_agreement", two)
    pages = read_judged_pages(tmp_path)
    assert pages.texts == ["a", "b"]
    assert pages.labels.tolist() == [1, 0]
    assert pages.all_agree.tolist() == [False, True]
    write("dclm_agreement", two | {"quality_label": 1})
    with pytest.raises(ValueError, match="has label 1, before 0"):
        read_judged_pages(tmp_path)
    write("dclm_agreement", {"text": "c"})
    with pytest.raises(ValueError, match=r"line 1: a line needs `text` and `quality_label`"):
        read_judged_pages(tmp_path)
    with pytest.raises(ValueError, match="holds none of dclm_majority"):
        read_judged_pages(tmp_path / "nowhere")


def test_nested_figures_are_high_on_clear_pages_and_chance_on_none() -> None:
    texts = [f"{PROSE} Nr. {at}" if at % 2 else f"{LINKS}{at}" for at in range(40)]
    clear = JudgedPages(texts, np.arange(40) % 2, np.arange(40) < 20)
    majority, agreed = evaluate_score(clear).sets
    assert majority.auc == 1.0
    assert (majority.num_pages, agreed.num_pages, agreed.num_good) == (40, 20, 10)
    same = JudgedPages([PROSE] * 40, np.arange(40) % 2, np.zeros(40, np.bool_))
    only = evaluate_score(same).sets[0]
    assert only.auc_interval[0] <= 0.5
    assert only.auc < 0.6


def test_spam_of_the_examples_is_below_every_article() -> None:
    site = ROOT / "examples" / "site"
    articles = [
        text
        for code in ("en", "de", "ja", "zh", "th", "km", "hi", "fa", "ru")
        for text in read_texts(str(site / code))
    ]
    spam = list(read_texts(str(site / "spam")))
    texts = pa.array([*articles, *spam], pa.large_string())
    found = scores(texts.to_pylist(), Language()(texts, {}).column("language").to_pylist())
    of_articles, of_spam = found[: len(articles)], found[len(articles) :]
    assert len(of_spam) == 3
    assert len(of_articles) > 15
    assert max(filter(None, of_spam)) < min(filter(None, of_articles))
    assert None not in found


def test_command_trains_what_is_shipped(tmp_path: Path) -> None:
    if not (DATA / "labels").is_dir():
        pytest.skip(f"no real data at {DATA}/labels; set TOKENMILL_DATA to the folder of labels/")
    output = tmp_path / "score.json"
    made = CliRunner().invoke(
        build_app("train"), ["train", "quality", "--data", str(DATA), "--output", str(output)]
    )
    assert made.exit_code == 0, made.output
    # Not by bytes: sums of floating point differ from processor to processor.
    assert load_coefficients(output).weights == pytest.approx(load_coefficients().weights, abs=1e-4)
    row = made.output.splitlines()[1].split()
    # Measured: AUC 0.844 (0.795-0.892) of 244 pages.
    assert row[:3] == ["majority", "244", "127"]
    assert float(row[3]) > 0.82

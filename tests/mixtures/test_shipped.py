"""The shipped mixtures, planned over a small corpus that has every label they name."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import mixtures
from mixtures.expressions import check_expressions, columns_used, select
from mixtures.solve import StagePlan, solve
from mixtures.spec import load_mixture
from mixtures.tallies import tally

FOLDER = Path(mixtures.__file__).parent


def corpus() -> pa.Table:
    """10,000 documents of four languages, the first with nine tenths of them."""
    rng = np.random.default_rng(1)
    num = 10_000
    languages = ["eng_Latn", "jpn_Jpan", "arb_Arab", "und"]
    roles = ["alone", "representative", "duplicate", "repeated_record"]
    return pa.table(
        {
            "language": rng.choice(languages, num, p=[0.9, 0.06, 0.03, 0.01]),
            "num_tokens": rng.integers(0, 50_000, num),
            "quality_score": rng.random(num).astype(np.float32),
            "depth": rng.choice([0, 1, 2], num, p=[0.7, 0.2, 0.1]).astype(np.int32),
            "rewrite_index": rng.choice([None, 0, 1, 2, 7], num),
            "quality_keep": rng.random(num) < 0.7,
            "duplicate_role": rng.choice(roles, num),
            "code_share": rng.choice([0, 0.5], num, p=[0.8, 0.2]).astype(np.float32),
            "math_share": rng.choice([0, 0.3], num, p=[0.9, 0.1]).astype(np.float32),
            "contaminated": rng.choice([False, True, None], num, p=[0.94, 0.05, 0.01]),
        }
    )


def plan(name: str) -> StagePlan:
    mixture, labels = load_mixture(FOLDER / f"{name}.yaml"), corpus()
    check_expressions(mixture, labels.schema)
    labels = labels.select(columns_used(mixture.stages, labels.schema))
    (stage,) = mixture.stages
    tokens = labels["num_tokens"].to_numpy() + 1
    return solve(stage, tally(select(stage, labels, tokens), tokens))


def by_group(found: StagePlan, column: str) -> dict[str, float]:
    rows = found.cells.to_pylist()
    return {row["group"]: row[column] for row in rows}


def test_general_mixture_raises_small_languages_at_one_epoch_in_all() -> None:
    found = plan("general_4k")
    epochs = by_group(found, "epochs")
    assert set(epochs) == {"eng_Latn", "jpn_Jpan", "arb_Arab"}  # not und
    assert epochs["eng_Latn"] < 1 < epochs["jpn_Jpan"] < epochs["arb_Arab"] <= 4
    assert found.num_tokens == pytest.approx(sum(found.cells["tokens"].to_pylist()))


def test_stem_mixture_holds_its_shares_and_names_the_scarcest_group() -> None:
    found = plan("stem_4k")
    tokens = by_group(found, "expected_tokens")
    parts = {group: count / found.num_tokens for group, count in tokens.items()}
    assert parts == pytest.approx({"code": 0.4, "math": 0.3, "text": 0.3})
    assert found.limited_by == "group 'math'"
    assert by_group(found, "epochs")["math"] == pytest.approx(4)


def test_long_mixture_draws_three_quarters_from_long_documents() -> None:
    found = plan("long_32k")
    rows = found.cells.to_pylist()
    assert [row["bucket"] for row in rows] == [0, 1]
    assert rows[0]["expected_tokens"] == pytest.approx(0.75 * found.num_tokens)
    assert found.num_tokens == pytest.approx(found.attainable_tokens)


@pytest.mark.parametrize("name", ["general_4k", "stem_4k", "long_32k"])
def test_shipped_mixture_takes_no_document_that_is_or_may_be_contaminated(name: str) -> None:
    (stage,) = load_mixture(FOLDER / f"{name}.yaml").stages
    labels = corpus()
    taken = select(stage, labels, labels["num_tokens"].to_numpy() + 1).eligible
    contaminated = labels["contaminated"].to_pylist()
    assert set(contaminated) == {False, True, None}
    assert {contaminated[row] for row in np.flatnonzero(taken)} == {False}


@pytest.mark.parametrize(("name", "most"), [("general_4k", 0.3), ("stem_4k", 0.5)])
def test_shipped_mixture_keeps_synthetic_text_within_its_share(name: str, most: float) -> None:
    found = plan(name)
    synthetic = sum(found.cells["synthetic_tokens"].to_pylist())
    assert 0 < synthetic <= most * found.num_tokens * (1 + 1e-9)


def test_general_mixture_draws_better_documents_more_often() -> None:
    by_bin = plan("general_4k").draws.to_pylist()
    natural = [
        row["expected_draws"]
        for row in by_bin
        if row["group"] == "eng_Latn" and not row["is_synthetic"]
    ]
    assert natural == sorted(natural)
    assert natural[-1] == pytest.approx(3 * natural[0], rel=0.01)

"""Training of `quality_score`: by pages whose order is known without a judge, or by labels.

The shipped coefficients have seen no label. They are fitted on two kinds of evidence that weigh the
same: a web page is better than itself after damage (`damage`), and edited prose is better than web
pages (`score_pages`). The first is a pair, so only the difference of its features counts; the
second a plain two-class problem. Both are one logistic regression whose rows are differences or
features, whose coefficients may not push against the rules that the features come from, and whose
size is penalised. Neither kind says where good begins, so the bias is set last: 0.5 is the score of
the median web page.

The penalty is the largest whose cross-validated loss lies within one standard error of the least
(Breiman et al. 1984): features that say nearly the same then share their weight. Human labels, as
those of the DCLM paper, are for `score_evaluation` alone. `fit_labelled` fits the same regression
to labels of your own.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from annotators.heuristics.annotator import Heuristics
from annotators.heuristics.damage import damaged
from annotators.heuristics.languages import ENGLISH
from annotators.heuristics.score import FEATURES, Coefficients, Floats, standardised
from annotators.heuristics.score_evaluation import auc
from annotators.heuristics.score_pages import read_pages

PENALTIES: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
NUM_FOLDS: Final = 10

_STEPS: Final = 400
_SIGNS: Final = np.array([*(feature.sign for feature in FEATURES), 0])  # the bias is free

Labels = NDArray[np.int64]


class Evidence(NamedTuple):
    """What a fit is made of."""

    rows: Floats
    """float64[num_rows, num_features + 1]: each should have a positive sum with the weights."""
    shares: Floats
    """float64[num_rows], how much each counts; their sum is 1."""
    folds: Labels
    """int64[num_rows]: fold of each; what comes of one page is in one fold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedScore:
    """What the training of the default left behind, and what it can do on pages held out."""

    num_edited: int
    num_web: int
    penalty: float
    pairs_in_order: float
    """Share of held-out web pages that stand above themselves after damage."""
    auc_damaged: float
    """Of held-out web pages over damaged ones."""
    auc_edited: float
    """Of held-out edited prose over web pages."""
    auc_news: float | None
    """Of edited text of today, on which nothing was trained, over held-out web pages."""


def train_default_score(data: Path, output: Path, *, seed: int = 1) -> TrainedScore:
    """Trains the default coefficients, without any label, and writes them.

    Args:
        data: See `score_pages.read_pages`.
        output: JSON to write.
        seed: Decides how pages are damaged and where books are cut.

    Raises:
        ValueError: A file of pages is missing.
    """
    chance = np.random.default_rng(seed)
    pages = read_pages(data, chance)
    edited, web = page_features(pages.edited), page_features(pages.web)
    worse = page_features([damaged(text, chance) for text in pages.web])
    start = scaled(web)
    evidence = _evidence(*(standardised(start, one) for one in (web, worse, edited)))
    penalty = choose_penalty(evidence)
    weights = fit_evidence(evidence, penalty)
    of_folds = [
        fit_evidence(_of(evidence, evidence.folds != fold), penalty) for fold in range(NUM_FOLDS)
    ]

    def held_out(features: Floats) -> Floats:
        inputs = _with_one(standardised(start, features))
        folds = np.arange(len(inputs)) % NUM_FOLDS
        return np.asarray(
            np.einsum("ij,ij->i", inputs, np.stack([of_folds[fold] for fold in folds]))
        )

    above, below, prose = held_out(web), held_out(worse), held_out(edited)
    found = TrainedScore(
        num_edited=len(edited),
        num_web=len(web),
        penalty=penalty,
        pairs_in_order=float((above > below).mean()),
        auc_damaged=_auc_over(above, below),
        auc_edited=_auc_over(prose, above),
        auc_news=_auc_over(held_out(page_features(pages.news)), above) if pages.news else None,
    )
    centre = float(np.median(standardised(start, web) @ weights[:-1]))
    trained = start._replace(weights=weights[:-1], bias=-centre)
    training = {"edited": found.num_edited, "web": found.num_web, "penalty": penalty, "seed": seed}
    write_coefficients(output, trained, training)
    return found


def fit_labelled(
    features: Floats, labels: Labels, kin: Sequence[str]
) -> tuple[Coefficients, float]:
    """Fits the regression to labels.

    Args:
        features: Of English pages, float64[num_pages, num_features].
        labels: int64[num_pages], 1 good or 0 bad.
        kin: Pages with the same one stand in the same fold.

    Returns:
        The coefficients, and the penalty that cross-validation chose.
    """
    start = scaled(features)
    rows = _with_one(standardised(start, features)) * (2 * labels - 1)[:, None]
    _, groups = np.unique(np.array(kin), return_inverse=True)
    order = np.random.default_rng(0).permutation(groups.max() + 1)
    evidence = Evidence(rows, np.full(len(rows), 1 / len(rows)), order[groups] % NUM_FOLDS)
    penalty = choose_penalty(evidence)
    weights = fit_evidence(evidence, penalty)
    return start._replace(weights=weights[:-1], bias=float(weights[-1])), penalty


def fit_evidence(evidence: Evidence, penalty: float) -> Floats:
    """Fits weights and bias with signs and an L2 penalty, by accelerated projected gradients.

    The method is FISTA (Beck and Teboulle 2009); after 400 steps the weights stand still to four
    decimals.

    Args:
        evidence: Rows that should be positive.
        penalty: Added to the mean log loss: penalty / 2 * the sum of squared weights.

    Returns:
        float64[num_features + 1], the bias last.
    """
    rows, shares, _ = evidence
    penalties = np.where(_SIGNS != 0, penalty, 0.0)
    # The log loss curves by at most a quarter of the largest eigenvalue of the rows' products.
    rate = 1 / (np.linalg.eigvalsh((rows * shares[:, None]).T @ rows)[-1] / 4 + penalty)
    weights = ahead = np.zeros(rows.shape[1])
    momentum = 1.0
    for _ in range(_STEPS):
        errors = -shares / (1 + np.exp(rows @ ahead))
        stepped = ahead - rate * (errors @ rows + penalties * ahead)
        stepped = np.where(stepped * _SIGNS < 0, 0.0, stepped)
        grown = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = stepped + (momentum - 1) / grown * (stepped - weights)
        weights, momentum = stepped, grown
    return weights


def choose_penalty(evidence: Evidence) -> float:
    """The largest penalty whose held-out loss is within one standard error of the least."""
    means, errors = [], []
    for penalty in PENALTIES:
        losses = np.array(_held_out_losses(evidence, penalty))
        means.append(losses.mean())
        errors.append(losses.std(ddof=1) / np.sqrt(len(losses)))
    least = int(np.argmin(means))
    limit = means[least] + errors[least]
    return max(penalty for penalty, mean in zip(PENALTIES, means, strict=True) if mean <= limit)


def scaled(features: Floats) -> Coefficients:
    """Coefficients with the mean and deviation of features and no weights yet."""
    deviation = np.nanstd(features, axis=0)
    deviation[deviation < 1e-9] = 1
    return Coefficients(
        np.nanmean(features, axis=0), deviation, np.zeros(features.shape[1]), 0.0
    )  # fmt: skip


def page_features(texts: Sequence[str]) -> Floats:
    """Features of English pages: float64[num_pages, num_features]."""
    labels: Mapping[str, pa.Array[Any]] = {"language": pa.array([ENGLISH] * len(texts))}
    return Heuristics().features(pa.array(texts, pa.large_string()), labels)


def write_coefficients(
    output: Path, found: Coefficients, training: Mapping[str, float | int]
) -> None:
    """Writes coefficients as `score.load_coefficients` reads them."""
    told = {
        "features": {
            feature.name: {"mean": mean, "scale": scale, "weight": weight}
            for feature, mean, scale, weight in zip(
                FEATURES, *(column.round(6).tolist() for column in found[:3]), strict=True
            )
        },
        "bias": round(found.bias, 6),
        "training": dict(training),
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def render_training(found: TrainedScore) -> str:
    """A table of what the default can do on pages held out of its training."""
    news = "-" if found.auc_news is None else f"{found.auc_news:.3f}"
    return (
        f"{found.num_web:,} web pages, {found.num_edited:,} chunks of edited prose, "
        f"penalty {found.penalty}\n"
        f"{'held out, 10 folds':<52}{'AUC':>8}\n"
        f"{'web pages over the same after damage':<52}{found.auc_damaged:>8.3f}\n"
        f"{'  of them in order, page by page':<52}{found.pairs_in_order:>8.3f}\n"
        f"{'edited prose over web pages':<52}{found.auc_edited:>8.3f}\n"
        f"{'news and encyclopedias (not trained on) over web':<52}{news:>8}"
    )


def _evidence(web: Floats, worse: Floats, edited: Floats) -> Evidence:
    """Differences of pairs, edited prose, and web pages from the other side."""
    pairs = np.column_stack([web - worse, np.zeros(len(web))])
    sizes = (len(web), len(edited), len(web))
    return Evidence(
        np.concatenate([pairs, _with_one(edited), -_with_one(web)]),
        np.concatenate(
            [np.full(n, share / n) for n, share in zip(sizes, (0.5, 0.25, 0.25), strict=True)]
        ),
        np.concatenate([np.arange(n) % NUM_FOLDS for n in sizes]),
    )


def _with_one(inputs: Floats) -> Floats:
    return np.column_stack([inputs, np.ones(len(inputs))])


def _of(evidence: Evidence, chosen: NDArray[np.bool_]) -> Evidence:
    shares = evidence.shares[chosen]
    return Evidence(evidence.rows[chosen], shares / shares.sum(), evidence.folds[chosen])


def _held_out_losses(evidence: Evidence, penalty: float) -> list[float]:
    """Mean log loss of each fold by weights that were fitted on the others."""
    losses = []
    for fold in np.unique(evidence.folds):
        weights = fit_evidence(_of(evidence, evidence.folds != fold), penalty)
        inside = _of(evidence, evidence.folds == fold)
        losses.append(float(np.logaddexp(0, -(inside.rows @ weights)) @ inside.shares))
    return losses


def _auc_over(above: Floats, below: Floats) -> float:
    labels = np.repeat(np.array([1, 0]), [len(above), len(below)])
    return auc(np.concatenate([above, below]), labels)

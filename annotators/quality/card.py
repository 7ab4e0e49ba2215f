"""The card beside a trained model: what it was learnt from, under what licence, how good it is."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from annotators.quality.figures import CategoryFigures, EducationalFigures, Interval, QualityFigures
from annotators.quality.labelled import Labelled

CARD: Final = "CARD.md"

_MEANING: Final = {
    "quality": "the probability, in [0, 1], that a document would have been labelled good",
    "educational": "the points, from 0 to 5, that a document would have got",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What is known of a model when it is written."""

    kind: str
    """`quality`, `educational`, or the column of categories."""
    features: str
    """What was written: `words` or `signals`."""
    licence: str
    documents: Labelled
    num_terms: int
    """Of a model of words; 0 of one of signals."""
    seed: int
    figures: Mapping[str, QualityFigures | EducationalFigures | CategoryFigures]
    """Features -> held-out figures; those of `features` are the model's."""


def render_card(card: Card) -> str:
    """The figures as plain lines, and a warning where they say that nothing was learnt."""
    lines = [f"{'held out by host, 5 folds':<30}{'value':>9}{'95 % interval':>18}"]
    for name, figures in card.figures.items():
        lines += [
            f"{f'{name}: {what}':<30}{_number(value):>9}{_between(interval):>18}"
            for what, value, interval in figures.rows()
        ]
    return "\n".join(lines + _warnings(card))


def _warnings(card: Card) -> list[str]:
    """That the figures are no better than none, if so."""
    said = card.figures[card.features].warning()
    few = "more, or more alike, labelled documents may help"
    return [] if said is None else ["", f"Warning: do not use it as it is: {said}; {few}."]


def write_card(folder: Path, card: Card) -> None:
    """Writes CARD.md."""
    found = card.documents
    lines = [
        f"# Card of a model of {card.kind}",
        "",
        f"Licence: {card.licence}",
        "",
        _meaning(card),
        _made_of(card),
        "",
        "## Data and licence",
        "",
        "The licence above was stated by whoever trained the model.",
        "",
        f"{len(found.texts):,} documents of {len(set(found.kin)):,} hosts with a label in "
        f"`{found.column}`; {found.num_without_label:,} without one and {found.num_twice:,} that "
        "came twice were left out.",
        "",
        "| file | sha256 |",
        "|---|---|",
        *(f"| {path.name} | {_sha256(path)} |" for path in found.files),
        "",
        "| label | documents |",
        "|---|---|",
        *(f"| {label} | {count:,} |" for label, count in _histogram(found)),
        "",
        "## Figures",
        "",
        "Five folds by host: each document was scored by a model that has not seen its host. "
        "Intervals are of 1,000 resamples of documents.",
        "",
        "| features | figure | value | 95 % interval |",
        "|---|---|---|---|",
        *(
            f"| {name} | {what} | {_number(value)} | {_between(interval)} |"
            for name, figures in card.figures.items()
            for what, value, interval in figures.rows()
        ),
        *_warnings(card),
        "",
        "What it is worth in languages and kinds of text that the documents above do not have is "
        "not known: measure it there before relying on it.",
    ]
    (folder / CARD).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _meaning(card: Card) -> str:
    if card.documents.names:
        return (
            f"It names one of {len(card.documents.names)} categories; the score is its share of "
            "what all categories got, one against the rest."
        )
    return f"The score is {_MEANING[card.kind]}."


def _made_of(card: Card) -> str:
    if card.features == "signals":
        return "It is a logistic regression over the signals of the quality annotator."
    return (
        f"It is a linear model of {card.num_terms:,} words and pairs of words, trained with the "
        f"seed {card.seed}."
    )


def _histogram(found: Labelled) -> list[tuple[str, int]]:
    labels, counts = np.unique(np.round(found.labels), return_counts=True)
    told = [found.names[int(one)] if found.names else f"{one:g}" for one in labels]
    return list(zip(told, counts.tolist(), strict=True))


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"


def _between(interval: Interval | None) -> str:
    if interval is None or np.isnan(interval[0]):
        return "-"
    return f"{interval[0]:.3f}-{interval[1]:.3f}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

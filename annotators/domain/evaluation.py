"""How good the topics and formats are, on pages and sentences that were not trained on.

Three questions, on the sets of a folder that are there:

* Pages labelled by WebOrganizer's classifiers (a model's labels, not a person's): how many does the
  default name, how many of those names are theirs, at several thresholds and topic by topic.
* SIB-200 (Adelani et al. 2024, arXiv:2309.07445; a person's labels): sentences of one topic and
  language, joined by tens into documents. English shows whether the default is right, the other
  languages whether it stays silent where it has no words.
* The same pages in five folds by host: what `train domain` learns from four of them, on the fifth,
  from texts alone and with the words of addresses.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from annotators.domain.annotator import TASKS, Domain, has_own_labels
from annotators.domain.examples import Example, fold_of, read_examples
from annotators.domain.linear import Floats
from annotators.domain.training import DomainSettings, fit_model, texts_of, urls_of
from annotators.domain.word_lists import MIN_SCORE

PAGES: Final = "weborganizer_examples"
SENTENCES: Final = "sib200_topic"
NUM_FOLDS: Final = 5
NUM_RESAMPLES: Final = 1000
NUM_BINS: Final = 15
THRESHOLDS: Final = (0.0, 0.3, MIN_SCORE, 0.7, 0.9)
SENTENCE_TOPICS: Final = {
    "entertainment": "Entertainment",
    "health": "Health",
    "politics": "Politics",
    "science/technology": "Science & Tech.",
    "sports": "Sports & Fitness",
    "travel": "Travel",
}
"""Topics of SIB-200 by those of WebOrganizer; geography has no counterpart there."""

_SENTENCES_JOINED = 10
_SEED = 0

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What share of documents got a label, and what share of those labels is right."""

    what: str
    num_documents: int
    coverage: float
    precision: float | None
    """None where nothing was named."""
    macro_f1: float
    """Over the labels of the documents; one without a name is a miss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Learnt:
    """How well `train domain` learns a task, cross-validated."""

    task: str
    uses_url: bool
    num_pages: int
    num_labels: int
    macro_f1: float
    macro_f1_interval: Interval
    """95 %, by resamples of pages."""
    accuracy: float
    calibration_error: float
    """Mean distance of score and accuracy over 15 bins of equal width (ECE, Guo et al. 2017)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainFigures:
    """All figures that the sets of a folder allow."""

    thresholds: tuple[Named, ...]
    topics: tuple[Named, ...]
    """The default, page by page of one topic: coverage is the share that got this very topic."""
    sentences: tuple[Named, ...]
    learnt: tuple[Learnt, ...]


def evaluate_domain(data: Path, *, model: Path | None = None, learn: bool = True) -> DomainFigures:
    """Measures the default (or a model) and what `train domain` learns.

    Args:
        data: Folder of `weborganizer_examples.jsonl.gz` and `sib200_topic.jsonl.gz`, itself or in
            its subfolder `labels`; either may be absent.
        model: Folder of a model to measure instead of the word lists.
        learn: Whether to train on folds of the pages.

    Raises:
        ValueError: The folder holds neither set.
    """
    pages, sentences = _find(data, PAGES), _find(data, SENTENCES)
    if pages is None and sentences is None:
        raise ValueError(
            f"{data} holds neither {PAGES}.jsonl.gz nor {SENTENCES}.jsonl.gz, itself or in its "
            "subfolder labels; name the folder that does with --data"
        )
    own_labels = model is not None and has_own_labels(model)
    examples = list(read_examples(pages, own_labels=own_labels)) if pages else []
    return DomainFigures(
        thresholds=_by_threshold(examples, model) if examples else (),
        topics=_by_topic(examples, model) if examples else (),
        sentences=_of_sentences(list(read_examples(sentences, own_labels=True)), model)
        if sentences
        else (),
        learnt=tuple(
            cross_validate(examples, task, uses_url=uses_url)
            for task in TASKS
            for uses_url in (False, True)
            if any(task in one.labels for one in examples)
        )
        if examples and learn
        else (),
    )


def cross_validate(
    examples: Sequence[Example],
    task: str,
    *,
    uses_url: bool = False,
    num_folds: int = NUM_FOLDS,
    seed: int = 1,
) -> Learnt:
    """Trains on all folds but one and labels that one, for each fold.

    Args:
        examples: The pages; those without a label of the task are left out.
        task: `topic` or `format`.
        uses_url: Whether the words of addresses are terms, too.
        num_folds: Folds, by host.
        seed: Of the training.
    """
    pages = [one for one in examples if task in one.labels]
    labels = sorted({one.labels[task] for one in pages})
    told = np.array([labels.index(one.labels[task]) for one in pages])
    found, scores = np.full(len(pages), -1), np.zeros(len(pages))
    settings = (DomainSettings.with_urls() if uses_url else DomainSettings()).tasks[task]
    folds = np.array([fold_of(one, num_folds) for one in pages])
    for fold in range(num_folds):
        inside = np.flatnonzero(folds == fold)
        others = [pages[at] for at in np.flatnonzero(folds != fold)]
        trained = fit_model(others, task, seed=seed, settings=settings)
        unseen = [pages[at] for at in inside]
        of_label = trained.scores(texts_of(unseen), urls_of(unseen))
        found[inside] = [labels.index(trained.labels[one]) for one in of_label.argmax(axis=1)]
        scores[inside] = of_label.max(axis=1)
    chance = np.random.default_rng(_SEED)
    draws = chance.integers(0, len(pages), (NUM_RESAMPLES, len(pages)))
    spread = [_macro_f1(told[draw], found[draw], len(labels)) for draw in draws]
    low, high = np.quantile(spread, [0.025, 0.975])
    return Learnt(
        task=task,
        uses_url=uses_url,
        num_pages=len(pages),
        num_labels=len(labels),
        macro_f1=_macro_f1(told, found, len(labels)),
        macro_f1_interval=(float(low), float(high)),
        accuracy=float((told == found).mean()),
        calibration_error=expected_calibration_error(scores, told == found),
    )


def expected_calibration_error(scores: Floats, is_right: npt.NDArray[np.bool_]) -> float:
    """Mean distance of score and accuracy over bins, weighed by what is in them.

    Args:
        scores: float64[num_pages] in [0, 1].
        is_right: bool[num_pages].
    """
    bins = np.minimum((scores * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    distance = np.bincount(bins, scores - is_right, NUM_BINS)
    return float(np.abs(distance).sum() / max(len(scores), 1))


def render_domain(figures: DomainFigures) -> str:
    """Plain tables of what was measured."""
    head = f"{'documents':>11}{'named':>8}{'right':>8}{'macro-F1':>10}"
    lines = []
    if figures.thresholds:
        lines += [f"{'pages, least score':<26}{head}", *map(_row, figures.thresholds)]
        lines += ["", f"{'topic':<26}{'documents':>11}{'found':>8}{'right':>8}"]
        lines += [_row(one)[:53] for one in figures.topics]
    if figures.sentences:
        lines += ["", f"{'SIB-200, ten sentences':<26}{head}", *map(_row, figures.sentences)]
    if figures.learnt:
        lines += ["", f"{'trained on four of 5 folds':<26}{'pages':>11}{'labels':>8}"]
        lines[-1] += f"{'accuracy':>10}{'macro-F1':>10}{'95 % interval':>16}{'ECE':>8}"
    for learnt in figures.learnt:
        low, high = learnt.macro_f1_interval
        lines.append(
            f"{learnt.task + (', with URL' if learnt.uses_url else ''):<26}"
            f"{learnt.num_pages:>11,}{learnt.num_labels:>8}"
            f"{learnt.accuracy:>10.3f}{learnt.macro_f1:>10.3f}{f'{low:.3f}-{high:.3f}':>16}"
            f"{learnt.calibration_error:>8.3f}"
        )
    return "\n".join(lines)


def _row(one: Named) -> str:
    right = "-" if one.precision is None else f"{one.precision:.3f}"
    return (
        f"{one.what:<26}{one.num_documents:>11,}{one.coverage:>8.3f}{right:>8}{one.macro_f1:>10.3f}"
    )


def _find(data: Path, name: str) -> Path | None:
    places = [folder / f"{name}.jsonl.gz" for folder in (data, data / "labels")]
    return next((path for path in places if path.is_file()), None)


def _topics_of(
    examples: Sequence[Example], model: Path | None, min_score: float
) -> list[str | None]:
    annotator = Domain(model=model, min_score=min_score)
    found = annotator(texts_of(examples), {"url": urls_of(examples)})
    topics: list[str | None] = found.column("topic").to_pylist()
    return topics


def _by_threshold(examples: Sequence[Example], model: Path | None) -> tuple[Named, ...]:
    pages = [one for one in examples if "topic" in one.labels]
    told = [one.labels["topic"] for one in pages]
    return tuple(
        _named(f"{score:.1f}", told, _topics_of(pages, model, score)) for score in THRESHOLDS
    )


def _by_topic(examples: Sequence[Example], model: Path | None) -> tuple[Named, ...]:
    pages = [one for one in examples if "topic" in one.labels]
    told = [one.labels["topic"] for one in pages]
    found = _topics_of(pages, model, MIN_SCORE)
    figures = []
    for topic in sorted(set(told)):
        of_topic = [guess == topic for guess, right in zip(found, told, strict=True)
                    if right == topic]  # fmt: skip
        named = [right == topic for guess, right in zip(found, told, strict=True) if guess == topic]
        figures.append(
            Named(
                what=topic,
                num_documents=len(of_topic),
                coverage=sum(of_topic) / len(of_topic),
                precision=sum(named) / len(named) if named else None,
                macro_f1=2 * sum(of_topic) / (len(of_topic) + len(named)),
            )
        )
    return tuple(figures)


def _of_sentences(sentences: Sequence[Example], model: Path | None) -> tuple[Named, ...]:
    """English and all other languages; documents are ten sentences of one language and topic."""
    groups: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for one in sentences:
        if one.labels["topic"] in SENTENCE_TOPICS:
            groups[one.language, SENTENCE_TOPICS[one.labels["topic"]]].append(one.text)
    documents = [
        (language, topic, "\n".join(texts[start : start + _SENTENCES_JOINED]))
        for (language, topic), texts in sorted(groups.items())
        for start in range(0, len(texts), _SENTENCES_JOINED)
    ]
    joined = [Example(text, {}, {}, "", language) for language, _, text in documents]
    found = _topics_of(joined, model, MIN_SCORE)
    figures = []
    for what, is_english in (("English", True), ("other languages", False)):
        rows = [at for at, one in enumerate(documents) if (one[0] == "eng_Latn") == is_english]
        if rows:
            told = [documents[at][1] for at in rows]
            figures.append(_named(what, told, [found[at] for at in rows]))
    return tuple(figures)


def _named(what: str, told: Sequence[str], found: Sequence[str | None]) -> Named:
    labels = sorted({*told, *(one for one in found if one is not None)})
    number = {label: at for at, label in enumerate(labels)}
    right = np.array([number[one] for one in told])
    guess = np.array([-1 if one is None else number[one] for one in found])
    named = guess >= 0
    present = np.unique(right)
    return Named(
        what=what,
        num_documents=len(told),
        coverage=float(named.mean()),
        precision=float((right == guess)[named].mean()) if named.any() else None,
        macro_f1=float(_f1(right, guess, len(labels))[present].mean()),
    )


def _f1(
    told: npt.NDArray[np.int64], found: npt.NDArray[np.int64], num_labels: int
) -> npt.NDArray[np.float64]:
    """float64[num_labels], 0 for a label that neither has; -1 in `found` is no label."""
    hits = np.bincount(told[told == found], minlength=num_labels)
    total = np.bincount(told, minlength=num_labels)
    total = total + np.bincount(found[found >= 0], minlength=num_labels)
    return np.asarray(2 * hits / np.maximum(total, 1))


def _macro_f1(told: npt.NDArray[np.int64], found: npt.NDArray[np.int64], num_labels: int) -> float:
    return float(_f1(told, found, num_labels)[np.unique(told)].mean())

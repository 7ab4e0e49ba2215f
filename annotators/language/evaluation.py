"""How well languages are told apart, on sentences that no model was trained on.

Three sets: FLORES-200 devtest (all 119, and outsiders), the held-out articles of NTREX-128 and the
Universal Declaration of Human Rights. The score is macro-F1 over the labels that a set has; a
sentence called `und` is a miss. Its 95 % interval resamples articles (`doc_id`), 1,000 times, since
sentences of one article and their translations are not independent (percentile bootstrap, Efron
1979). Outsiders are sentences in languages beyond the 119; the share of them that gets one of the
119 is the false positive rate, told by script and by the labels that take them.

`figures.json` beside the shipped model holds what this gave for it, label by label. What short
texts, sampling and mixed documents cost is measured in `evaluation_documents`.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from annotators.annotator import Annotator
from annotators.language.annotator import Language
from annotators.language.confusion import Confusion, count_confusions
from annotators.language.languages import UNDETERMINED, language_labels
from annotators.language.sentences import (
    EVALUATION_SETS,
    Sentence,
    has_set,
    is_held_out,
    read_sentences,
)

NUM_RESAMPLES: Final = 1000
FIGURES: Final = Path(__file__).parent / "model" / "figures.json"
"""What `write_figures` wrote of the shipped model."""

_SEED = 0

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetFigures:
    """Figures of one evaluation set."""

    name: str
    num_sentences: int
    """Sentences in one of the 119."""
    f1: dict[str, float]
    """F1 of each label of the set, in [0, 1]."""
    precision: dict[str, float]
    """Among the sentences of the 119; 1 where a label was never given."""
    recall: dict[str, float]
    macro_f1: float
    macro_f1_interval: Interval
    group_macro_f1: float
    """With dialects merged into their groups."""
    undetermined_rate: float
    """Share of `num_sentences` called `und`."""
    num_outsiders: int
    false_positive_rate: float | None
    """Share of outsiders that got one of the 119; None where the set has no outsiders."""
    false_positives_by_script: dict[str, tuple[int, int]]
    """Script of outsiders to how many got one of the 119, and how many there are."""
    takers: dict[str, int]
    """Label to the outsiders that it took, the most first."""
    confusion: Confusion


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageFigures:
    """Figures of a model on the sets that a folder holds."""

    sets: tuple[SetFigures, ...]


def evaluate_language(
    data: Path, *, annotator: Annotator | None = None, num_resamples: int = NUM_RESAMPLES
) -> LanguageFigures:
    """Runs an identifier over the evaluation sets of a folder.

    Args:
        data: Folder of the sets (see `annotators.language.sentences`); absent ones are left out.
        annotator: What gives the columns `language` and `language_group`; the shipped one if None.
        num_resamples: Resamples of articles behind the interval.

    Raises:
        ValueError: The folder holds none of the sets, or one has no sentence of the 119.
    """
    present = [name for name in EVALUATION_SETS if has_set(data, name)]
    if not present:
        raise ValueError(
            f"{data} holds none of the evaluation sets {', '.join(EVALUATION_SETS)} as .jsonl.gz, "
            "itself or in its subfolder langid; name the right folder with --data"
        )
    identifier = Language() if annotator is None else annotator
    return LanguageFigures(
        sets=tuple(_evaluate_set(data, name, identifier, num_resamples) for name in present)
    )


def render_language(figures: LanguageFigures, *, num_worst: int = 12) -> str:
    """A plain table of the sets, and below it the labels of each with the lowest F1."""
    lines = [
        f"{'set':<20}{'labels':>7}{'sentences':>11}{'macro-F1':>10}{'95 % interval':>18}"
        f"{'groups':>8}{'und':>7}{'outsiders':>11}{'false pos.':>12}"
    ]
    for one in figures.sets:
        low, high = one.macro_f1_interval
        rate = "-" if one.false_positive_rate is None else f"{one.false_positive_rate:.3f}"
        lines.append(
            f"{one.name:<20}{len(one.f1):>7}{one.num_sentences:>11}{one.macro_f1:>10.4f}"
            f"{f'{low:.4f}-{high:.4f}':>18}{one.group_macro_f1:>8.4f}"
            f"{one.undetermined_rate:>7.4f}{one.num_outsiders:>11}{rate:>12}"
        )
    for one in figures.sets:
        if one.num_outsiders:
            lines += _render_outsiders(one, num_worst)
        worst = sorted(one.f1.items(), key=lambda item: item[1])[:num_worst]
        lines.append(f"\nlowest on {one.name}: ")
        lines += [f"  {label} {value:.3f}" for label, value in worst]
    return "\n".join(lines)


def _render_outsiders(one: SetFigures, num_worst: int) -> list[str]:
    by_script = ", ".join(
        f"{script} {taken} of {total}"
        for script, (taken, total) in sorted(one.false_positives_by_script.items())
        if taken
    )
    takers = ", ".join(f"{label} {taken}" for label, taken in list(one.takers.items())[:num_worst])
    return [
        f"\noutsiders of {one.name} called one of the 119, by script: {by_script or 'none'}",
        f"taken by: {takers or 'none'}",
    ]


def write_figures(figures: LanguageFigures, path: Path) -> None:
    """Writes F1, precision and recall of each label in each set as JSON."""
    told = {
        one.name: {
            "sentences": one.num_sentences,
            "macro_f1": round(one.macro_f1, 4),
            "macro_f1_interval": [round(bound, 4) for bound in one.macro_f1_interval],
            "group_macro_f1": round(one.group_macro_f1, 4),
            "undetermined_rate": round(one.undetermined_rate, 4),
            "outsiders": one.num_outsiders,
            "false_positive_rate": one.false_positive_rate,
            "labels": {
                label: {
                    "f1": round(value, 4),
                    "precision": round(one.precision[label], 4),
                    "recall": round(one.recall[label], 4),
                }
                for label, value in sorted(one.f1.items())
            },
        }
        for one in figures.sets
    }
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def shipped_figures() -> Mapping[str, Mapping[str, float]]:
    """F1 of the shipped model: label to evaluation set to F1; sets without a label are left out.

    Raises:
        ValueError: The file beside the model is missing or damaged.
    """
    try:
        told = json.loads(FIGURES.read_text(encoding="utf-8"))
        found: dict[str, dict[str, float]] = {label.code: {} for label in language_labels()}
        for name, figures in told.items():
            for label, values in figures["labels"].items():
                found[label][name] = float(values["f1"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as damage:
        raise ValueError(
            f"the figures of the language model, {FIGURES}, are missing or damaged ({damage}); "
            "reinstall tokenmill, or measure them again: tokenmill evaluate language --figures"
        ) from damage
    return found


def _evaluate_set(data: Path, name: str, annotator: Annotator, num_resamples: int) -> SetFigures:
    sentences = [
        sentence
        for sentence in read_sentences(data, name)
        if name != "ntrex128" or is_held_out(sentence.doc_id)
    ]
    found = annotator(pa.array([one.text for one in sentences], pa.large_string()), {})
    languages = [str(one) for one in found.column("language").to_pylist()]
    groups = [str(one) for one in found.column("language_group").to_pylist()]
    inside = [row for row, one in enumerate(sentences) if not one.is_outsider]
    outside = [row for row, one in enumerate(sentences) if one.is_outsider]
    if not inside:
        raise ValueError(f"{name} in {data} has no sentence in one of the 119 languages")
    group_of = {label.code: label.group for label in language_labels()}
    told = [sentences[row].language for row in inside]
    counts = _Counts(told, [languages[row] for row in inside], [sentences[row] for row in inside])
    by_group = _Counts(
        [group_of[code] for code in told],
        [groups[row] for row in inside],
        [sentences[row] for row in inside],
    )
    taken = [row for row in outside if languages[row] != UNDETERMINED]
    scripts = Counter(sentences[row].language[-4:] for row in outside)
    taken_scripts = Counter(sentences[row].language[-4:] for row in taken)
    precision, recall = counts.precision_and_recall()
    return SetFigures(
        name=name,
        num_sentences=len(inside),
        f1=dict(zip(counts.labels, counts.f1().tolist(), strict=True)),
        precision=precision,
        recall=recall,
        macro_f1=float(counts.f1().mean()),
        macro_f1_interval=counts.interval(num_resamples),
        group_macro_f1=float(by_group.f1().mean()),
        undetermined_rate=sum(languages[row] == UNDETERMINED for row in inside) / len(inside),
        num_outsiders=len(outside),
        false_positive_rate=len(taken) / len(outside) if outside else None,
        false_positives_by_script={
            script: (taken_scripts[script], total) for script, total in scripts.items()
        },
        takers=dict(Counter(languages[row] for row in taken).most_common()),
        confusion=count_confusions([one.language for one in sentences], languages),
    )


class _Counts:
    """Hits, misses and false alarms of each label, article by article."""

    def __init__(
        self, told: Sequence[str], found: Sequence[str], sentences: Sequence[Sentence]
    ) -> None:
        self.labels = sorted(set(told))
        number = {label: at for at, label in enumerate(self.labels)}
        articles = {doc: at for at, doc in enumerate(dict.fromkeys(s.doc_id for s in sentences))}
        shape = (len(articles), len(self.labels))
        self._hits, self._missed, self._alarms = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        for right, guess, sentence in zip(told, found, sentences, strict=True):
            article = articles[sentence.doc_id]
            if right == guess:
                self._hits[article, number[right]] += 1
                continue
            self._missed[article, number[right]] += 1
            if guess in number:
                self._alarms[article, number[guess]] += 1

    def f1(self, weights: npt.NDArray[np.float64] | None = None) -> npt.NDArray[np.float64]:
        """F1 of each label, with each article counted `weights` times (once if None)."""
        if weights is None:
            weights = np.ones(len(self._hits))
        hits, wrong = 2 * (weights @ self._hits), weights @ (self._missed + self._alarms)
        # A label that a resample lacks is left out of its mean.
        return np.divide(hits, hits + wrong, out=np.full_like(hits, np.nan), where=hits + wrong > 0)

    def precision_and_recall(self) -> tuple[dict[str, float], dict[str, float]]:
        """Of each label; precision is 1 where a label was never given."""
        hits, missed, alarms = (
            counts.sum(axis=0) for counts in (self._hits, self._missed, self._alarms)
        )
        given = hits + alarms
        precision = np.divide(hits, given, out=np.ones_like(hits), where=given > 0)
        recall = hits / (hits + missed)
        return (
            dict(zip(self.labels, precision.tolist(), strict=True)),
            dict(zip(self.labels, recall.tolist(), strict=True)),
        )

    def interval(self, num_resamples: int) -> Interval:
        """95 % percentile interval of macro-F1 over resampled articles."""
        chance = np.random.default_rng(_SEED)
        num_articles = len(self._hits)
        draws = chance.multinomial(
            num_articles, np.full(num_articles, 1 / num_articles), size=num_resamples
        )
        means = np.nanmean(self.f1(draws.astype(np.float64)), axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        return float(low), float(high)

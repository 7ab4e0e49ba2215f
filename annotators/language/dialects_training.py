"""Training of the classifiers that settle a member of a group: few parallel sentences, used well.

Each label of a group has 240 sentences of the dev part of FLORES-200 (Levantine Arabic twice that),
translations of each other. A multinomial naive Bayes classifier (McCallum and Nigam 1998) over the
different features of a text is fitted to them: features that all translations share have equal
shares and weigh nothing, so that what a sentence is about cancels out. News, conversation and web
sentences (OTHER_SETS) count a small part of those, since they are unbalanced in domain and most
labels have none; and so does every word of `dialect_words.csv`: spellings, names, months and
function words in which the members differ. Sum of F1 over the labels of a group, by five-fold
cross-validation over articles of the parallel set, then on FLORES-200 devtest:

                             ara         fas         hbs         msa         zho
    parallel set alone       4.90 4.91   1.66 1.74   1.27 1.29   1.78 1.81   1.16 1.23
    with the other sets      4.86 4.88   1.72 1.76   1.31 1.39   1.84 1.82   1.14 1.17
    with words               4.90 4.86   1.74 1.78   1.39 1.40   1.83 1.85   1.16 1.17
    with offsets             5.00 4.90

Arabic and Chinese would do better on FLORES without the other sets. But its Cantonese is written
Mandarin, and 366 of 521 of its Najdi sentences are the very strings of Standard Arabic: without
other sets 0.56 of the held-out Standard Arabic of NTREX-128 is called so (longer n-grams, fewer
buckets), now 0.88; of its traditional Mandarin 0.63, now 0.86. Logistic
regression (AdaGrad) on the same features was no better (hbs 1.31 1.40, msa 1.79 1.77), on
differences between translations worse.

Groups of more than two labels get an offset a label, found by coordinate ascent on the scores of
sentences that were left out: the sum of F1 in the parallel set and half the recall of labels that
are frequent in the other sets. With two labels such offsets gained nothing. The softmax is
sharpened so that the log loss of those scores is least.
"""

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from annotators.language.dialects import Dialects, GroupModel, quantised
from annotators.language.dialects_features import FeatureSettings, text_features
from annotators.language.sentences import has_set, is_held_out_of, read_sentences
from annotators.text.kernels import kernel

WORDS: Final = Path(__file__).with_name("dialect_words.csv")
"""Words by which a member differs from the others: columns code, words (parted by spaces)."""

PARALLEL_SET: Final = "sib200_floresdev"
OTHER_SETS: Final = ("ntrex128", "tatoeba", "lingua_sentences")

NUM_FOLDS: Final = 5
_MIN_OTHER: Final = 400  # sentences of a label in other sets from which on its recall counts there
_STEPS: Final = (0.5, 0.25, 0.12, 0.06, 0.03)  # of the coordinate ascent, in spreads of the scores
_SHARPNESS: Final = tuple(0.25 * 1.25**step for step in range(32))

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSettings:
    """Everything but the data and the seed that decides the classifier of a group."""

    labels: tuple[str, ...]
    features: FeatureSettings
    other_weight: float
    """Weight of a sentence of OTHER_SETS beside one of PARALLEL_SET."""
    word_weight: float
    """Weight of a word of WORDS; a sentence of n features gives each of them 1 / sqrt(n)."""
    smoothing: float
    """Added to each count."""


GROUPS: Final = {
    "ara": GroupSettings(
        labels=(
            "arb_Arab", "ars_Arab", "apc_Arab", "arz_Arab", "ary_Arab", "acm_Arab", "acq_Arab",
            "aeb_Arab",
        ),
        features=FeatureSettings(1, 4, True, 18),
        other_weight=0.02, word_weight=0.05, smoothing=0.05,
    ),
    "fas": GroupSettings(
        labels=("pes_Arab", "prs_Arab"), features=FeatureSettings(1, 5, True, 18),
        other_weight=0.1, word_weight=0.05, smoothing=0.05,
    ),
    "hbs": GroupSettings(
        labels=("bos_Latn", "hrv_Latn"), features=FeatureSettings(1, 5, True, 18),
        other_weight=0.2, word_weight=0.1, smoothing=0.02,
    ),
    "msa": GroupSettings(
        labels=("ind_Latn", "zsm_Latn"), features=FeatureSettings(1, 5, True, 18),
        other_weight=0.2, word_weight=0.2, smoothing=0.02,
    ),
    "zho": GroupSettings(
        labels=("zho_Hant", "yue_Hant"), features=FeatureSettings(1, 3, False, 17),
        other_weight=0.05, word_weight=0.1, smoothing=0.1,
    ),
}  # fmt: skip
"""The groups of the shipped model."""


class Rows(NamedTuple):
    """Sentences as sparse rows; each row's features are different ones."""

    starts: Ints
    """int64[num_rows + 1]"""
    features: npt.NDArray[np.int32]
    """int32[num_entries]"""
    labels: Ints
    """int64[num_rows]: places in the group's labels."""
    weights: Floats
    """float64[num_rows]: 1 in the parallel set."""
    folds: Ints
    """int64[num_rows]: by article, below NUM_FOLDS."""
    words: Floats
    """float64[2 ** bits, labels]: how many words of WORDS have a feature."""


def train_dialects(data: Path, output: Path, seed: int) -> dict[str, int]:
    """Fits the classifier of each group all of whose labels the training sets have.

    Args:
        data: Folder of the training sets (see `annotators.language.sentences`).
        output: File to write, by custom `.npz`; replaced where it exists.
        seed: Decides the folds of the cross-validation.

    Returns:
        Group to number of sentences.

    Raises:
        ValueError: No group has sentences of all its labels.
    """
    models, sizes = {}, {}
    for group, settings in GROUPS.items():
        rows = read_rows(data, settings, seed)
        if len(np.unique(rows.labels)) == len(settings.labels):
            models[group] = fit_group(rows, settings)
            sizes[group] = len(rows.labels)
    if not models:
        raise ValueError(
            f"{data} has no group of dialects with sentences of all its labels, such as "
            f"{' and '.join(GROUPS['hbs'].labels)} in {PARALLEL_SET}.jsonl.gz; name the folder "
            "of the training sets with --data"
        )
    Dialects(models).save(output)
    return sizes


def fit_group(rows: Rows, settings: GroupSettings) -> GroupModel:
    """Fits one classifier, its offsets and its sharpness."""
    left_out = np.zeros((len(rows.labels), len(settings.labels)))
    for fold in range(NUM_FOLDS):
        weights, scale = quantised(log_ratios(rows, settings, rows.folds != fold))
        here = np.flatnonzero(rows.folds == fold)
        restored: Floats = weights.astype(np.float64) * scale
        left_out[here] = row_scores(rows, here, both_columns(restored, settings))
    offsets = np.zeros(len(settings.labels))
    if len(settings.labels) > 2:
        offsets = find_offsets(left_out, rows)
    weights, scale = quantised(log_ratios(rows, settings, np.ones(len(rows.labels), np.bool_)))
    sharpness = _find_sharpness(left_out + offsets, rows)
    return GroupModel(settings.labels, settings.features, weights, scale, offsets, sharpness)


def read_rows(data: Path, settings: GroupSettings, seed: int) -> Rows:
    """Training sentences of a group, without the articles of NTREX-128 that are held out."""
    number = {label: place for place, label in enumerate(settings.labels)}
    found, labels, weights, folds = [], [], [], []
    for name in (PARALLEL_SET, *OTHER_SETS):
        weight = 1.0 if name == PARALLEL_SET else settings.other_weight
        for sentence in read_sentences(data, name) if has_set(data, name) else ():
            held_out = is_held_out_of(name, sentence.doc_id)
            if sentence.language not in number or held_out:
                continue
            found.append(_different_features(sentence.text, settings.features))
            labels.append(number[sentence.language])
            weights.append(weight)
            folds.append(_fold(sentence.doc_id, seed))
    return Rows(
        np.cumsum([0, *map(len, found)]),
        np.concatenate(found) if found else np.zeros(0, np.int32),
        np.array(labels, np.int64), np.array(weights), np.array(folds, np.int64),
        _word_counts(settings),
    )  # fmt: skip


def log_ratios(rows: Rows, settings: GroupSettings, used: npt.NDArray[np.bool_]) -> Floats:
    """float64[2 ** bits, labels]: log P(feature | label) less its mean over the labels.

    Args:
        rows: All sentences.
        settings: Of the group.
        used: bool[num_rows]: sentences to fit to; each label counts the same in sum.
    """
    num_labels = len(settings.labels)
    shares = np.where(used, rows.weights, 0)
    totals = np.bincount(rows.labels, shares, num_labels)
    shares *= totals.sum() / num_labels / np.maximum(totals, 1e-9)[rows.labels]
    counts = np.zeros((1 << settings.features.bits, num_labels))
    _count(rows.starts, rows.features, rows.labels, shares, counts)
    seen = (counts.sum(axis=1) > 0) | (rows.words.sum(axis=1) > 0)
    # Words are a hint of direction and no part of a text: they stay out of the totals.
    totals = (counts[seen] + settings.smoothing).sum(axis=0)
    logs = np.log((counts + settings.word_weight * rows.words + settings.smoothing) / totals)
    logs -= logs.mean(axis=1, keepdims=True)
    logs[~seen] = 0
    return np.asarray(logs)


def both_columns(weights: Floats, settings: GroupSettings) -> Floats:
    """float64[2 ** bits, labels] also where two labels share one column."""
    if weights.shape[1] == len(settings.labels):
        return weights
    return np.concatenate([-weights / 2, weights / 2], axis=1)


def row_scores(rows: Rows, chosen: Ints, weights: Floats) -> Floats:
    """float64[num_chosen, labels]: sums of weights over the root of the number of features."""
    sums = np.zeros((len(chosen), weights.shape[1]))
    for place, row in enumerate(chosen.tolist()):
        features = rows.features[rows.starts[row] : rows.starts[row + 1]]
        sums[place] = weights[features].sum(axis=0) / np.sqrt(max(1, len(features)))
    return sums


def find_offsets(scores: Floats, rows: Rows) -> Floats:
    """float64[labels]: what to add to scores of left-out sentences so that most come out right.

    Args:
        scores: float64[num_rows, labels].
        rows: Their labels, and which stand in the parallel set.
    """
    offsets = np.zeros(scores.shape[1])
    best = _worth(scores, rows)
    for step in np.array(_STEPS) * scores.std():
        for label in 3 * list(range(scores.shape[1])):
            for change in (-step, step):
                trial = offsets.copy()
                trial[label] += change
                worth = _worth(scores + trial, rows)
                if worth > best + 1e-9:
                    best, offsets = worth, trial
    return np.asarray(offsets - offsets.mean())


def _worth(scores: Floats, rows: Rows) -> float:
    """Sum of F1 in the parallel set and half the recall of frequent labels of the others."""
    num_labels = scores.shape[1]
    pairs = rows.labels * num_labels + scores.argmax(axis=1)
    parallel = rows.weights == 1
    worth = 0.0
    for chosen, is_parallel in ((parallel, True), (~parallel, False)):
        table = np.bincount(pairs[chosen], minlength=num_labels**2).reshape(num_labels, -1)
        right, true, said = np.diag(table), table.sum(axis=1), table.sum(axis=0)
        if is_parallel:
            worth += float(np.sum(2 * right / np.maximum(1, true + said)))
        else:
            frequent = true >= _MIN_OTHER
            worth += float(np.sum(right[frequent] / true[frequent])) / 2
    return worth


def _find_sharpness(scores: Floats, rows: Rows) -> float:
    """What to multiply scores of left-out parallel sentences by: the least log loss."""
    chosen = rows.weights == 1
    scores, labels = scores[chosen], rows.labels[chosen]

    def loss(sharpness: float) -> float:
        logits = sharpness * scores
        logits -= logits.max(axis=1, keepdims=True)
        true = np.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
        return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - true))

    return min(_SHARPNESS, key=loss)


def _different_features(text: str, settings: FeatureSettings) -> npt.NDArray[np.int32]:
    data = np.frombuffer(text.encode(), np.uint8)
    return np.unique(text_features(data, 0, len(data), settings))


def _fold(doc_id: str, seed: int) -> int:
    digest = hashlib.blake2b(f"{seed} {doc_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") % NUM_FOLDS


def _word_counts(settings: GroupSettings) -> Floats:
    counts = np.zeros((1 << settings.features.bits, len(settings.labels)))
    with WORDS.open(encoding="utf-8", newline="") as lines:
        for line in csv.DictReader(lines):
            if line["code"] in settings.labels:
                label = settings.labels.index(line["code"])
                for word in line["words"].split():
                    counts[_different_features(word, settings.features), label] += 1
    return counts


@kernel
def _count(
    starts: Ints, features: npt.NDArray[np.int32], labels: Ints, weights: Floats, counts: Floats
) -> None:
    """Adds 1 / sqrt(number of features) times its weight for each feature of each row."""
    for row in range(len(labels)):
        value = weights[row] / np.sqrt(max(1, starts[row + 1] - starts[row]))
        for entry in range(starts[row], starts[row + 1]):
            counts[features[entry], labels[row]] += value

"""Training of the classifiers that settle a member of a group: few parallel sentences, used well.

Each label of a group has 240 sentences of the dev part of FLORES-200 (Levantine Arabic twice that),
translations of each other. Two linear classifiers over the different features of a text are fitted
to them, and their scores, each scaled to unit spread, are added, which makes one table of weights:

* multinomial naive Bayes (McCallum and Nigam 1998): features that all translations share have equal
  shares and weigh nothing, so that what a sentence is about cancels out;
* for each label a support vector machine over features multiplied by their log ratios of naive
  Bayes (Wang and Manning 2012, "Baselines and Bigrams"): it sees which features come together.

News, conversation and web sentences (OTHER_SETS) count a part of those, since they are unbalanced
in domain and most labels have none; and so does in naive Bayes every word of `dialect_words.csv`:
spellings, names, months and function words in which the members differ. Which label the scores
amount to, `dialects_rule` says. Sum of F1 over the labels, by five-fold cross-validation over
articles of the parallel set, and mean recall of labels with 400 sentences or more in the others:

                                     ara   fas   hbs   msa   zho   hindi danish
    naive Bayes, parallel set        4.89  1.66  1.26  1.78  1.20  5.93  2.88
      with the other sets and words  4.81  1.72  1.39  1.83  1.15  5.93  2.92
    separators                       4.93  1.74  1.42  1.84  1.12  5.94  2.93
    both                             5.00  1.77  1.42  1.85  1.18  5.96  2.93
    both, with the rule              5.14                          5.96  2.94

    others: naive Bayes, parallel    0.34  0.78  0.57  0.70  0.56  0.91  0.89
      with the other sets and words  0.79  0.88  0.69  0.84  0.90  0.97  0.93
    both, with the rule              0.80  0.90  0.70  0.84  0.91  0.97  0.94

Chinese would do better on FLORES without the other sets, but its Cantonese is written Mandarin; of
the Najdi sentences of FLORES devtest 366 of 521 are the very strings of Standard Arabic. Plain
support vector machines (tf-idf, rows of length one) reach 4.92 in Arabic with offsets, 5.02 added
to naive Bayes, and less than naive Bayes in the groups of two labels. Logistic regression (AdaGrad)
was no better than naive Bayes.

Of sets beyond groups Hindi with its neighbours and Norwegian with Danish are settled. Spanish,
Portuguese, Galician, Asturian, Catalan and Occitan, or Javanese, Sundanese and Balinese gained too
little to pay for a table: what goes wrong there is called `und`.
"""

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from annotators.domain.solver import separate
from annotators.domain.terms import TermCounts
from annotators.language.dialects import Dialects, GroupModel, quantised
from annotators.language.dialects_features import FeatureSettings, text_features
from annotators.language.dialects_rule import choosing_rule
from annotators.language.sentences import has_set, is_held_out_of, read_sentences
from annotators.text.kernels import kernel

WORDS: Final = Path(__file__).with_name("dialect_words.csv")
"""Words by which a member differs from the others: columns code, words (parted by spaces)."""

PARALLEL_SET: Final = "sib200_floresdev"
OTHER_SETS: Final = ("ntrex128", "tatoeba", "lingua_sentences")

NUM_FOLDS: Final = 5
_COST: Final = 1.0  # of an error of a separator

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
    margin_weight: float
    """Weight of the separators beside the log ratios, both scaled to unit spread."""


GROUPS: Final = {
    "ara": GroupSettings(
        labels=(
            "arb_Arab", "ars_Arab", "apc_Arab", "arz_Arab", "ary_Arab", "acm_Arab", "acq_Arab",
            "aeb_Arab",
        ),
        features=FeatureSettings(1, 4, True, 18),
        other_weight=0.05, word_weight=0.05, smoothing=0.05, margin_weight=1.0,
    ),
    "fas": GroupSettings(
        labels=("pes_Arab", "prs_Arab"), features=FeatureSettings(1, 5, True, 18),
        other_weight=0.3, word_weight=0.05, smoothing=0.05, margin_weight=1.0,
    ),
    "hbs": GroupSettings(
        labels=("bos_Latn", "hrv_Latn"), features=FeatureSettings(1, 5, True, 18),
        other_weight=0.2, word_weight=0.1, smoothing=0.02, margin_weight=2.0,
    ),
    "msa": GroupSettings(
        labels=("ind_Latn", "zsm_Latn"), features=FeatureSettings(1, 5, True, 18),
        other_weight=0.2, word_weight=0.2, smoothing=0.02, margin_weight=0.5,
    ),
    "zho": GroupSettings(
        labels=("zho_Hant", "yue_Hant"), features=FeatureSettings(1, 2, False, 17),
        other_weight=0.1, word_weight=0.1, smoothing=0.1, margin_weight=0.5,
    ),
    "hindi": GroupSettings(
        labels=("hin_Deva", "awa_Deva", "bho_Deva", "hne_Deva", "mag_Deva", "mai_Deva"),
        features=FeatureSettings(1, 4, True, 16),
        other_weight=0.1, word_weight=0.0, smoothing=0.05, margin_weight=1.0,
    ),
    "danish": GroupSettings(
        labels=("nob_Latn", "nno_Latn", "dan_Latn"), features=FeatureSettings(1, 4, True, 17),
        other_weight=0.2, word_weight=0.0, smoothing=0.05, margin_weight=1.0,
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
            models[group] = fit_group(rows, settings, seed)
            sizes[group] = len(rows.labels)
    if not models:
        raise ValueError(
            f"{data} has no group of dialects with sentences of all its labels, such as "
            f"{' and '.join(GROUPS['hbs'].labels)} in {PARALLEL_SET}.jsonl.gz; name the folder "
            "of the training sets with --data"
        )
    Dialects(models).save(output)
    return sizes


def fit_group(rows: Rows, settings: GroupSettings, seed: int) -> GroupModel:
    """Fits one classifier and the rule by which it chooses."""
    parallel = rows.weights == 1
    shape = (len(rows.labels), len(settings.labels))
    bayes, margins = np.zeros(shape), np.zeros(shape)
    for fold in range(NUM_FOLDS):
        used, here = rows.folds != fold, np.flatnonzero(rows.folds == fold)
        ratios = log_ratios(rows, settings, used)
        weights, biases = separators(rows, ratios, used, seed)
        bayes[here] = row_scores(rows, here, ratios)
        margins[here] = row_scores(rows, here, weights) + biases
    # Both parts are put on the scale that they have on sentences that were left out.
    share = settings.margin_weight / margins[parallel].std()
    unit = 1 / bayes[parallel].std()
    everything = np.ones(len(rows.labels), np.bool_)
    ratios = log_ratios(rows, settings, everything)
    weights, biases = separators(rows, ratios, everything, seed)
    table, scale = quantised(unit * ratios + share * weights)
    chosen = choosing_rule(unit * bayes + share * margins, rows.labels, parallel)
    return GroupModel(
        settings.labels, settings.features, table, scale, share * biases + chosen.offsets,
        chosen.sharpness, chosen.gains, chosen.cuts,
    )  # fmt: skip


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


def separators(
    rows: Rows, ratios: Floats, used: npt.NDArray[np.bool_], seed: int
) -> tuple[Floats, Floats]:
    """One linear separator a label over features that its log ratios scale.

    Args:
        rows: All sentences.
        ratios: float64[2 ** bits, labels], of `log_ratios`.
        used: bool[num_rows]: sentences to fit to; each label counts the same in sum.
        seed: Of the orders in which sentences are visited.

    Returns:
        float64[2 ** bits, labels] and float64[labels], as for `row_scores` and to add to it.
    """
    num_labels = ratios.shape[1]
    shares = np.where(used, rows.weights, 0)
    totals = np.bincount(rows.labels, shares, num_labels)
    costs = shares * (_COST * totals.sum() / num_labels / totals)[rows.labels]
    sizes = np.diff(rows.starts)
    counts = TermCounts(rows.starts, rows.features, np.ones(len(rows.features), np.int32))
    roots = np.repeat(1 / np.sqrt(np.maximum(sizes, 1)), sizes)
    weights, biases = np.zeros(ratios.shape), np.zeros(num_labels)
    for label in range(num_labels):
        if num_labels == 2 and label == 0:
            continue  # the other one, turned round
        # Against all others, not against the mean of all.
        factors = ratios[:, label] * (num_labels / (num_labels - 1))
        values = factors[rows.features] * roots
        # Rows of length one on average, so that a cost means the same in every group.
        unit = np.sqrt(len(sizes) / np.sum(values**2))
        found, bias = separate(
            counts, (values * unit).astype(np.float32),
            (rows.labels != label).astype(np.int64), costs, 1, len(ratios), seed,
        )  # fmt: skip
        weights[:, label] = found[:, 0] * factors * unit
        biases[label] = bias[0]
    if num_labels == 2:
        weights[:, 1] /= 2
        biases[1] /= 2
        weights[:, 0], biases[0] = -weights[:, 1], -biases[1]
    return weights, biases


def row_scores(rows: Rows, chosen: Ints, weights: Floats) -> Floats:
    """float64[num_chosen, labels]: sums of weights over the root of the number of features."""
    sums = np.zeros((len(chosen), weights.shape[1]))
    for place, row in enumerate(chosen.tolist()):
        features = rows.features[rows.starts[row] : rows.starts[row + 1]]
        sums[place] = weights[features].sum(axis=0) / np.sqrt(max(1, len(features)))
    return sums


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

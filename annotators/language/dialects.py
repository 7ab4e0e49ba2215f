"""Which member of a group a text is: Arabic varieties, Bosnian or Croatian, Persian or Dari, ...

The language classifier knows the group of a text far better than its member, since it folds away
what tells members apart and has few vectors for them. Here each group has a linear classifier of
its own over raw text (`dialects_features`), fitted to translations of the same sentences
(`dialects_training`): int8 weights of hashed n-grams and words, one column a label. For a text with
n different features

    score[label] = sum of weights[feature, label] * scale / sqrt(n) + offset[label]

and the softmax of `sharpness` times the scores is a probability. The label with the largest
gain * (probability - cut) is chosen. A group of two labels keeps one column, the difference.

Besides groups there are *sets*: languages of their own that the language classifier confuses most,
such as Hindi and its neighbours (`is_set`). They are settled the same way, but only where the two
best guesses of the language classifier are both in the set.

On disk, `dialects.npz` holds `header` (JSON as uint8: labels, settings) and for each group
`<group>_weights` int8[2 ** bits, columns] and `<group>_rule` float32[3, labels]: offsets, gains and
cuts.
"""

import json
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from annotators.language.dialects_features import (
    NUM_WINDOWS,
    FeatureSettings,
    feature_scratch,
    list_features,
    read_points,
    text_features,
)
from annotators.language.dialects_rule import probabilities
from annotators.language.languages import MACROLANGUAGES, codes
from annotators.text.kernels import kernel

SHIPPED_DIALECTS: Final = Path(__file__).parent / "model" / "dialects.npz"

FORMAT_VERSION: Final = 2
_LARGEST: Final = 127
_PROBE: Final = "Šta je to? ٤٢ می\u200cروم; 咁樣。 Apakah?"

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]
Weights = npt.NDArray[np.int8]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def is_set(group: str) -> bool:
    """Whether one of `Dialects.groups` is a set of languages and no macrolanguage."""
    return group not in MACROLANGUAGES


class GroupModel(NamedTuple):
    """The classifier of one group."""

    labels: tuple[str, ...]
    settings: FeatureSettings
    weights: Weights
    """int8[2 ** bits, len(labels)], or one column, second minus first label, where there are two.
    """
    scale: float
    """What one unit of a weight is."""
    offsets: Floats
    """float64[len(labels)]: added to the scores."""
    sharpness: float
    """What scores are multiplied by before the softmax."""
    gains: Floats
    """float64[len(labels)]: what a right guess is worth."""
    cuts: Floats
    """float64[len(labels)]: probability at which guessing a label begins to pay."""


class Dialects:
    """The classifiers of all groups."""

    def __init__(self, models: dict[str, GroupModel]) -> None:
        """Takes a classifier for each group."""
        self._models = models
        self.groups: dict[str, tuple[str, ...]] = {
            group: model.labels for group, model in models.items()
        }
        """Group, or set, to the codes that it settles."""

    @classmethod
    def load(cls, path: Path = SHIPPED_DIALECTS) -> Self:
        """Reads a file that `save` wrote; kept in memory for the next call.

        Raises:
            ValueError: It is missing, damaged or made with other features.
        """
        return cls(_read(path.resolve()))

    def save(self, path: Path) -> None:
        """Writes the file; the same content gives the same bytes."""
        header = {
            "format": FORMAT_VERSION,
            "probe": _probe(),
            "groups": {
                group: {
                    "labels": list(model.labels),
                    "settings": model.settings._asdict(),
                    "scale": model.scale,
                    "sharpness": model.sharpness,
                }
                for group, model in self._models.items()
            },
        }
        arrays: dict[str, npt.NDArray[Any]] = {
            "header": np.frombuffer(json.dumps(header).encode(), np.uint8)
        }
        for group, model in self._models.items():
            arrays[f"{group}_weights"] = model.weights
            arrays[f"{group}_rule"] = np.stack([model.offsets, model.gains, model.cuts]).astype(
                np.float32
            )
        with path.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # takes allow_pickle first

    def settle(self, data: Bytes, offsets: Offsets, rows: Ints, group: str) -> tuple[Ints, Floats]:
        """Finds the member of a group that each of some texts is written in.

        Args:
            data: uint8[num_bytes]: raw UTF-8, not folded.
            offsets: int64[num_texts + 1]: text i is `data[offsets[i]:offsets[i + 1]]`.
            rows: int64[num_rows]: which texts.
            group: One of `groups`.

        Returns:
            int64[num_rows], places in `groups[group]`, and float64[num_rows], their probabilities
            within the group. A text without any feature gets the first label.
        """
        model = self._models[group]
        shares = self.shares(data, offsets, rows, group)
        numbers = (model.gains * (shares - model.cuts)).argmax(axis=1)
        return numbers, np.take_along_axis(shares, numbers[:, None], axis=1)[:, 0]

    def shares(self, data: Bytes, offsets: Offsets, rows: Ints, group: str) -> Floats:
        """Probabilities of all members: float64[num_rows, len(groups[group])], rows sum to 1."""
        model = self._models[group]
        logits = model.sharpness * scores(model, data, offsets, rows)
        return probabilities(logits)


def scores(model: GroupModel, data: Bytes, offsets: Offsets, rows: Ints) -> Floats:
    """float64[num_rows, labels]: what the softmax is taken of; arguments as for `settle`."""
    points, features = feature_scratch(model.settings)
    sums = np.zeros((len(rows), model.weights.shape[1]), np.int64)
    counts = np.zeros(len(rows), np.int64)
    seen = np.zeros(len(model.weights), np.uint8)
    _add_up(
        data, offsets, np.ascontiguousarray(rows, np.int64), *model.settings, model.weights,
        points, features, seen, sums, counts,
    )  # fmt: skip
    values = sums * (model.scale / np.sqrt(np.maximum(counts, 1)))[:, None]
    if values.shape[1] < len(model.labels):
        values = np.concatenate([-values / 2, values / 2], axis=1)
    return np.asarray(values + model.offsets)


def quantised(weights: Floats) -> tuple[Weights, float]:
    """int8 weights and their common scale."""
    if weights.shape[1] == 2:
        weights = weights[:, 1:] - weights[:, :1]
    largest = float(np.abs(weights).max(initial=0)) or 1.0
    scale = largest / _LARGEST
    return np.clip(np.rint(weights / scale), -_LARGEST, _LARGEST).astype(np.int8), scale


@kernel
def _add_up(
    data: Bytes,
    offsets: Offsets,
    rows: Ints,
    shortest: int,
    longest: int,
    has_words: bool,
    bits: int,
    weights: Weights,
    points: npt.NDArray[np.int32],
    features: npt.NDArray[np.int32],
    seen: Bytes,
    sums: Ints,
    counts: Ints,
) -> None:
    """Sums the weights of the different features of each row; `seen` is zero before and after."""
    ranges = np.empty((NUM_WINDOWS, 2), np.int64)
    num_columns = weights.shape[1]
    for row in range(len(rows)):
        start, stop = offsets[rows[row]], offsets[rows[row] + 1]
        num_points = read_points(data, start, stop, ranges, points)
        num = list_features(points, num_points, shortest, longest, has_words, bits, features)
        num_different = 0
        for at in range(num):
            feature = features[at]
            if seen[feature]:
                continue
            seen[feature] = 1
            num_different += 1
            for column in range(num_columns):
                sums[row, column] += weights[feature, column]
        for at in range(num):
            seen[features[at]] = 0
        counts[row] = num_different


def _probe() -> list[int]:
    """Features of a short text: others mean that the weights have to be fitted again."""
    data = np.frombuffer(_PROBE.encode(), np.uint8)
    found = text_features(data, 0, len(data), FeatureSettings(1, 5, True, 16))
    return [len(found), int(np.bitwise_xor.reduce(found))]


def _rule(array: npt.NDArray[Any], num_labels: int) -> Floats:
    if array.shape != (3, num_labels) or not np.isfinite(array).all():
        raise ValueError(f"a rule is {list(array.shape)}, not finite [3, {num_labels}]")
    return array.astype(np.float64)


@lru_cache(maxsize=2)
def _read(path: Path) -> dict[str, GroupModel]:
    remedy = "train it again: tokenmill train language"
    try:
        with np.load(path, allow_pickle=False) as file:
            header = json.loads(file["header"].tobytes())
            if header["format"] != FORMAT_VERSION or header["probe"] != _probe():
                raise ValueError("it was made by another version of this program")
            models = {
                group: GroupModel(
                    tuple(told["labels"]), FeatureSettings(**told["settings"]),
                    file[f"{group}_weights"], float(told["scale"]), rule[0],
                    float(told["sharpness"]), rule[1], rule[2],
                )
                for group, told in header["groups"].items()
                for rule in [_rule(file[f"{group}_rule"], len(told["labels"]))]
            }  # fmt: skip
    except FileNotFoundError:
        raise ValueError(f"no file {path}; reinstall tokenmill, or {remedy}") from None
    except (OSError, KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is damaged or too old ({error}); {remedy}") from None
    known = frozenset(codes())
    for group, model in models.items():
        columns = 1 if len(model.labels) == 2 else len(model.labels)
        shape = (1 << model.settings.bits, columns)
        if model.weights.shape != shape or model.weights.dtype != np.int8:
            raise ValueError(
                f"{path} is damaged: weights of {group} are {model.weights.dtype}"
                f"{list(model.weights.shape)}, not int8{list(shape)}; {remedy}"
            )
        if not known.issuperset(model.labels):
            raise ValueError(f"{path} is damaged: {group} has labels {model.labels}; {remedy}")
    return models

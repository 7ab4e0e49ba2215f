"""fastText's own probabilities, from the arrays of its model files."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotators.language.fasttext_kernel import Network, probabilities, sum_lines
from annotators.language.model_file import SHIPPED, load
from annotators.language.scoring import scorer

fasttext = pytest.importorskip("fasttext")

# Article 1 of the Universal Declaration of Human Rights.
TEXTS = {
    "eng": "All human beings are born free and equal in dignity and rights.",
    "fra": "Tous les êtres humains naissent libres et égaux en dignité et en droits.",
    "rus": "Все люди рождаются свободными и равными в своем достоинстве и правах.",
    "ell": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια.",
    "hin": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता प्राप्त है।",
    "tha": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ",
    "kor": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    "zho": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心。",
    "ara": "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق.",
}
LINES = [
    *TEXTS.values(),
    *(text[: len(text) // 3] for text in TEXTS.values()),
    "a",
    "unseen wörds 𠮷野家 😀",
    "  two\tkinds\x0bof  space ",
    "zero\x00byte",
    "__label__eng free",
    "x" * 3000 + TEXTS["rus"] * 40,
    "",
]
SETTINGS: dict[str, dict[str, Any]] = {
    "subwords": {"minn": 1, "maxn": 5, "word_ngrams": 2},
    "long word n-grams": {"minn": 2, "maxn": 3, "word_ngrams": 4},
    "words alone": {"minn": 0, "maxn": 0, "word_ngrams": 1},
    "words and pairs": {"minn": 0, "maxn": 0, "word_ngrams": 2},
    "wide vectors": {"minn": 3, "maxn": 4, "word_ngrams": 1, "dim": 21},
    "quantised": {"minn": 1, "maxn": 4, "word_ngrams": 2, "quantised": {"qnorm": True, "dsub": 2}},
    "without norms": {"minn": 1, "maxn": 4, "word_ngrams": 1, "quantised": {"dsub": 4}},
    "output quantised": {
        "minn": 1, "maxn": 3, "word_ngrams": 1, "num_labels": 300, "quantised": {"qout": True},
    },
    "pruned": {
        "minn": 1, "maxn": 4, "word_ngrams": 2, "quantised": {"qnorm": True, "cutoff": 400},
    },
}  # fmt: skip
_SOFTMAX, _TREE = 3, 1  # src/args.h loss_name


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def _write(
    folder: Path,
    *,
    minn: int,
    maxn: int,
    word_ngrams: int,
    dim: int = 16,
    num_labels: int = 9,
    loss: int = _SOFTMAX,
    quantised: dict[str, Any] | None = None,
) -> Path:
    """A model with random vectors, in the layout of fastText 0.9.2; quantised by the library."""
    bucket = 5000 if maxn or word_ngrams > 1 else 0
    words = ["</s>", *dict.fromkeys(word for text in TEXTS.values() for word in text.split())]
    labels = [f"__label__{number}" for number in range(num_labels)]
    parts = [struct.pack("<ii", 793712314, 12)]
    parts.append(
        struct.pack("<12id", dim, 5, 1, 1, 5, word_ngrams, loss, 3, bucket, minn, maxn, 100, 1e-4)
    )
    num_entries = len(words) + len(labels)
    parts.append(struct.pack("<iiiqq", num_entries, len(words), len(labels), 1000, -1))
    for kind, entries in enumerate((words, labels)):
        for at, entry in enumerate(entries):
            parts.append(entry.encode() + b"\0" + struct.pack("<qb", 500 - at, kind))
    chance = np.random.default_rng(1)
    for num_rows in (len(words) + bucket, len(labels)):
        matrix = chance.normal(0, 0.7, (num_rows, dim)).astype(np.float32)
        parts.append(struct.pack("<?qq", False, num_rows, dim) + matrix.tobytes())
    path = folder / f"model_{len(list(folder.iterdir()))}.bin"
    path.write_bytes(b"".join(parts))
    if quantised is not None:
        model = fasttext.load_model(str(path))
        model.quantize(thread=1, **quantised)
        model.save_model(str(path))
    return path


def _network(path: Path) -> tuple[Network, tuple[str, ...]]:
    model = load(path)
    assert model.network is not None
    return model.network, model.labels


def _probabilities(network: Network, lines: list[str]) -> np.ndarray:
    encoded = [line.encode() for line in lines]
    ends = np.cumsum([0, *(len(line) for line in encoded)])
    data = np.frombuffer(b"".join(encoded), np.uint8)
    sums = sum_lines(network, data, np.stack([ends[:-1], ends[1:]], axis=1))
    return probabilities(network, sums)[:, 0]


def _of_library(path: Path, labels: tuple[str, ...], lines: list[str]) -> np.ndarray:
    binding = fasttext.load_model(str(path)).f
    found = np.zeros((len(lines), len(labels)))
    for row, line in enumerate(lines):
        for chance, label in binding.predict(line + "\n", -1, 0.0, "strict"):
            found[row, labels.index(label.removeprefix("__label__"))] = chance
    return found


@pytest.mark.parametrize("name", SETTINGS)
def test_probabilities_are_those_of_the_library(folder: Path, name: str) -> None:
    path = _write(folder, **SETTINGS[name])
    network, labels = _network(path)
    expected = _of_library(path, labels, LINES)
    found = _probabilities(network, LINES)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert len({tuple(row.round(3)) for row in expected}) > 10  # the lines do differ


def test_shipped_model_gives_what_the_library_gives() -> None:
    network, labels = _network(SHIPPED)
    lines = [line.lower().strip(".。।") for line in LINES]
    expected = _of_library(SHIPPED, labels, lines)
    np.testing.assert_allclose(_probabilities(network, lines), expected, atol=1e-4)


def test_segments_add_up_to_their_line() -> None:
    network, _ = _network(SHIPPED)
    data = np.frombuffer(" ".join(TEXTS.values()).encode(), np.uint8)
    stops = np.flatnonzero(data == 32)[[3, 3, 20, 40]] + 1
    whole = sum_lines(network, data, np.array([[0, len(data)]]))
    parts = sum_lines(network, data, np.array([[0, *stops, len(data)]]))
    assert parts.counts.sum() == whole.counts.sum()
    assert parts.counts[0].tolist() == [*parts.counts[0, :1], 0, *parts.counts[0, 2:]]
    assert (parts.counts[0, [0, 2, 3, 4]] > 20).all()
    np.testing.assert_allclose(parts.vectors.sum(axis=1), whole.vectors[:, 0], rtol=1e-4, atol=1e-2)


def test_lines_do_not_depend_on_their_neighbours() -> None:
    network, _ = _network(SHIPPED)
    together = _probabilities(network, LINES)
    for line, row in zip(LINES, together, strict=True):
        assert np.array_equal(_probabilities(network, [line])[0], row)


def test_written_line_end_does_not_end_a_line(folder: Path) -> None:
    network, _ = _network(_write(folder, **SETTINGS["words and pairs"]))
    data = np.frombuffer(b"free and </s> equal", np.uint8)
    sums = sum_lines(network, data, np.array([[0, 0, len(data)]]))
    assert sums.counts.tolist() == [[0, 9]]  # four words, the end, and four pairs


def test_other_losses_go_through_the_library(folder: Path) -> None:
    path = _write(folder, minn=1, maxn=3, word_ngrams=1, loss=_TREE)
    loaded = load(path)
    assert loaded.network is None
    data = np.frombuffer((TEXTS["ell"] + " " + TEXTS["kor"]).encode(), np.uint8)
    middle = len(TEXTS["ell"].encode()) + 1
    scores = scorer(loaded)(data, np.array([[0, middle, middle, len(data)]]))
    lines = [TEXTS["ell"] + " " + TEXTS["kor"], TEXTS["ell"] + " ", TEXTS["kor"]]
    expected = _of_library(path, loaded.labels, lines)
    expected[expected < np.sort(expected, axis=1)[:, -8:-7]] = 0  # the best eight of nine
    np.testing.assert_allclose(scores.lines, expected[:1], atol=1e-6)
    np.testing.assert_allclose(scores.segments[0, [0, 2]], expected[1:], atol=1e-6)
    assert scores.segments[0, 1].sum() == 0

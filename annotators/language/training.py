"""Training of the language identifier: three files and the description that names them.

*language.ftz* is fastText's classifier (Joulin et al. 2016, arXiv:1607.01759): words, word pairs
and character n-grams of 1 to 5 hashed into 16-dimensional vectors, averaged, one softmax; then
quantised to one byte for two dimensions (Joulin et al. 2016, arXiv:1612.03651). *familiarity.npz*
corrects it among near candidates and says whether it is believed (`familiarity`), *dialects.npz*
settles Arabic, Chinese, Persian, Bosnian and Croatian, Indonesian and Malay, Hindi and its
neighbours, Norwegian and Danish (`dialects`).

What was tried for the classifier; macro-F1 on FLORES-200 devtest over the labels outside of the
five groups of `languages`, by the classifier alone, after quantisation:

    earlier: 2,200 lines, 20 epochs, 700,000 buckets, one pass, noise as `und`    0.9918
    2,600 lines, 3 passes, 17 epochs, 530,000 buckets, words from 8 on            0.9938
      the same before quantisation                                                0.9943
      the same, quantised to one byte for four dimensions                         0.9881
    3,000 lines, 4 passes, 15 epochs, 400,000 buckets, words from 15 on           0.9935
    3,600 lines, 4 passes, 18 epochs (these settings, words from 20 on)           0.9947
    4,800 lines, 5 passes, 22 epochs, words from 25 on                            0.9950
    2,600 lines, 4 passes, 18 epochs, without word pairs                          0.9929

With `familiarity` these settings give 0.9971 and the longest training 0.9972.

Every label gets the same number of lines, because the sets are unequal by a factor of fifteen and a
prior learnt from them would say nothing of the web. SIB-200, the one set that every label has, is
passed over several times; what has been passed over returns as fragments, so that labels without
conversation or single words learn short texts. An earlier model learnt `und` from lines with
permuted letters; the familiarity of n-grams does that better without taking true sentences.
"""

import ctypes
import json
import random
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import count, islice
from pathlib import Path
from typing import Final

import pyarrow as pa

from annotators.language.dialects_training import train_dialects
from annotators.language.familiarity import SHIPPED_FAMILIARITY
from annotators.language.familiarity_training import (
    FAMILIAR_SET,
    FoldedSentence,
    train_familiarity,
)
from annotators.language.model_file import SHIPPED, describe, description_path, fasttext_library
from annotators.language.sentences import (
    TRAINING_SETS,
    has_set,
    is_held_out_of,
    read_sentences,
)
from annotators.language.windows import fold_windows

DIALECTS_NAME: Final = "dialects.npz"

_PERTURB = -6  # glibc malloc.h M_PERTURB


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """Everything but the data and the seed that decides the classifier."""

    lines_per_label: int = 3600
    passes: int = 4
    """Times that the set of all labels is passed over for once of the others."""
    dim: int = 16
    buckets: int = 400_000
    """Rows of hashed n-grams; a row takes 9 bytes of the model after quantisation."""
    epochs: int = 18
    learning_rate: float = 0.5
    min_count: int = 20
    """Lines-weighted occurrences below which a word has no row of its own."""
    max_ngram: int = 5
    """Characters of the longest n-gram; the shortest is one, which Chinese needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedModel:
    """What a training left behind."""

    folder: Path
    num_lines: int
    num_labels: int
    num_bytes: int
    """Of all files that the annotator reads, without their description."""


def train_language(
    data: Path,
    output: Path,
    *,
    seed: int = 1,
    threads: int = 1,
    settings: TrainingSettings | None = None,
) -> TrainedModel:
    """Trains the three parts and writes them with `model.json`, which describes them.

    Args:
        data: Folder of the training sets (see `annotators.language.sentences`); sets that are
            absent are left out, but one must be there.
        output: Folder to write to; files of a former model there are replaced.
        seed: Decides the order and cutting of lines and the start vectors.
        threads: With one, the same data and seed give the same bytes; with more they do not,
            since fastText's threads write into one matrix without locks.
        settings: Size and length of the training; the defaults make the shipped model.

    Returns:
        Where the model is and how large.

    Raises:
        ValueError: No training set is there, output is a file, or threads is not positive.
    """
    if threads < 1:
        raise ValueError(f"threads is {threads}; give 1 (reproducible) or more")
    if output.is_file():
        raise ValueError(f"{output} is a file; name a folder for the model with --output")
    settings = settings or TrainingSettings()
    sentences = folded_sentences(data)
    lines = training_lines(sentences, seed=seed, settings=settings)
    output.mkdir(parents=True, exist_ok=True)
    _train_classifier(lines, output / SHIPPED.name, seed, threads, settings)
    train_familiarity(sentences).save(output / SHIPPED_FAMILIARITY.name)
    train_dialects(data, output / DIALECTS_NAME, seed)
    told = describe(output)
    made_with = {"seed": seed, "threads": threads, "lines": len(lines), **asdict(settings)}
    description_path(output / SHIPPED.name).write_text(
        json.dumps(told | {"training": made_with}, indent=2) + "\n", encoding="utf-8"
    )
    return TrainedModel(
        folder=output,
        num_lines=len(lines),
        num_labels=len(sentences),
        num_bytes=sum(file["bytes"] for file in told["files"].values()),
    )


def _train_classifier(
    lines: Sequence[tuple[str, str]],
    output: Path,
    seed: int,
    threads: int,
    settings: TrainingSettings,
) -> None:
    with tempfile.TemporaryDirectory() as folder, _zeroed_memory():
        listing = Path(folder) / "lines.txt"
        with listing.open("w", encoding="utf-8") as file:
            file.writelines(f"__label__{label} {line}\n" for label, line in lines)
        model = fasttext_library().train_supervised(
            str(listing), dim=settings.dim, bucket=settings.buckets, epoch=settings.epochs,
            lr=settings.learning_rate, minCount=settings.min_count, minn=1,
            maxn=settings.max_ngram, wordNgrams=2, loss="softmax", thread=threads, seed=seed,
            verbose=0,
        )  # fmt: skip
    model.quantize(qnorm=True, dsub=2, thread=threads)
    model.save_model(str(output))


@contextmanager
def _zeroed_memory() -> Iterator[None]:
    """Makes the C library hand out memory that is filled with zeros.

    fastText 0.9.2 fills a tenth of the start vectors for each thread (src/matrix.cc uniformThread)
    and leaves the rest as malloc gave it. What was in that memory before would make every run
    another model, and small ones often met a NaN. With M_PERTURB glibc fills what it hands out with
    the complement of a byte (mallopt(3)).

    Raises:
        ValueError: This C library cannot.
    """
    library = ctypes.CDLL(None)
    if not (hasattr(library, "mallopt") and library.mallopt(_PERTURB, 0xFF)):
        raise ValueError(
            "training needs the GNU C library, by which fastText's vectors can be made to start "
            "from zeros; train on Linux with glibc (a trained model runs everywhere)"
        )
    try:
        yield
    finally:
        library.mallopt(_PERTURB, 0)


def folded_sentences(data: Path) -> dict[str, list[FoldedSentence]]:
    """Training sentences of each label, folded; labels and lines in a fixed order.

    Raises:
        ValueError: The folder holds none of TRAINING_SETS.
    """
    present = [name for name in TRAINING_SETS if has_set(data, name)]
    if not present:
        raise ValueError(
            f"{data} holds none of the training sets {', '.join(TRAINING_SETS)} as .jsonl.gz, "
            "itself or in its subfolder langid; name the right folder with --data"
        )
    found: defaultdict[str, list[FoldedSentence]] = defaultdict(list)
    for name in present:
        rows = [
            one
            for one in read_sentences(data, name)
            if not (one.is_outsider or is_held_out_of(name, one.doc_id))
        ]
        windows = fold_windows(pa.array([one.text for one in rows], pa.large_string()), whole=True)
        for one, line in zip(rows, windows.lines, strict=True):
            if line:
                found[one.language].append(FoldedSentence(line.strip(), name, one.doc_id))
    return {label: found[label] for label in sorted(found)}


def training_lines(
    sentences: Mapping[str, Sequence[FoldedSentence]], *, seed: int, settings: TrainingSettings
) -> list[tuple[str, str]]:
    """Gives label and folded line, balanced and shuffled."""
    balanced: list[tuple[str, str]] = []
    for label, rows in sentences.items():
        chance = random.Random(f"{seed} {label}")
        lines = islice(_passes(rows, settings.passes, chance), settings.lines_per_label)
        balanced += [(label, line) for line in lines]
    random.Random(f"{seed}").shuffle(balanced)
    return balanced


def _passes(
    rows: Sequence[FoldedSentence], num_passes: int, chance: random.Random
) -> Iterator[str]:
    """Endless lines of one label: whole, as fragments, whole again."""
    common = [row.line for row in rows if row.name == FAMILIAR_SET]
    others = [row.line for row in rows if row.name != FAMILIAR_SET]
    for turn in count():
        for number in range(num_passes):
            chance.shuffle(common)
            # Where a turn is nothing but these lines, it goes on where the last one ended.
            at = turn + number if others else turn * num_passes + number
            yield from (_fragment(line, chance) if at % 2 else line for line in common)
            if number == 0:
                chance.shuffle(others)
                yield from (_fragment(line, chance) if turn % 2 else line for line in others)


def _fragment(line: str, chance: random.Random) -> str:
    """Two words up to half of a line, or four letters up to half where words are not spaced."""
    words = line.split(" ")
    if len(words) >= 4:
        size = chance.randint(2, max(3, len(words) // 2))
        start = chance.randint(0, len(words) - size)
        return " ".join(words[start : start + size])
    if len(line) >= 12:
        size = chance.randint(4, len(line) // 2)
        start = chance.randint(0, len(line) - size)
        return line[start : start + size]
    return line

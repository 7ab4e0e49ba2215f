"""Sentences whose language is known, from the gzipped JSON lines of a folder, and how they split.

A folder holds some of the sets below; each line has `lang` (FLORES-200 code), `text` and `doc_id`.
The sets and their licences:

* sib200_floresdev: SIB-200, the dev part of FLORES-200, CC-BY-SA 4.0;
* flores200_devtest: its devtest part, of other articles, CC-BY-SA 4.0, evaluation only;
* ntrex128: NTREX-128 news, CC-BY-SA 4.0, split by article;
* tatoeba: conversation, CC-BY 2.0 FR;
* lingua_*: Leipzig corpora collection as chosen for the tests of lingua, CC-BY;
* udhr: Universal Declaration of Human Rights, evaluation only.
"""

import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from annotators.language.languages import codes

TRAINING_SETS: Final = (
    "sib200_floresdev",
    "ntrex128",
    "tatoeba",
    "lingua_sentences",
    "lingua_word_pairs",
    "lingua_single_words",
)
EVALUATION_SETS: Final = ("flores200_devtest", "ntrex128", "udhr")

HELD_OUT_SHARE: Final = 0.2
"""Share of the articles of NTREX-128 that no model is trained on."""

SPLIT_SETS: Final = frozenset({"ntrex128", "lingua_word_pairs", "lingua_single_words"})
"""Sets of which the share HELD_OUT_SHARE is for evaluation: by article, or by the text itself."""

_SAME_LABEL: Final = {"ajp_Arab": "apc_Arab"}
"""FLORES-200 splits Levantine Arabic in two; ISO 639-3 merged them in 2023 (change 2022-006)."""


class Sentence(NamedTuple):
    """A text and its language."""

    language: str
    text: str
    doc_id: str
    """Sentences of one article, or translations of one, share it."""
    is_outsider: bool
    """Whether the language is none of the 119."""


def read_sentences(data: Path, name: str) -> Iterator[Sentence]:
    """Reads one set.

    Args:
        data: Folder that holds `<name>.jsonl.gz`, itself or in its subfolder `langid`.
        name: One of TRAINING_SETS or EVALUATION_SETS.

    Raises:
        ValueError: The folder has no such file, or a line lacks a field.
    """
    path = _find(data, name)
    known = frozenset(codes())
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            row = json.loads(line)
            try:
                language = _SAME_LABEL.get(row["lang"], row["lang"])
                yield Sentence(language, row["text"], row["doc_id"], language not in known)
            except KeyError as missing:
                raise ValueError(
                    f"{path} line {number} has no field {missing}; a line needs lang, text and "
                    "doc_id"
                ) from None


def has_set(data: Path, name: str) -> bool:
    """Whether the folder holds a set."""
    return any(path.is_file() for path in _places(data, name))


def is_held_out(doc_id: str) -> bool:
    """Whether an article of a set that is split stays out of training, by the hash of its name."""
    digest = hashlib.blake2b(doc_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64 < HELD_OUT_SHARE


def is_held_out_of(name: str, doc_id: str) -> bool:
    """Whether a sentence of a training set stays out of training: see SPLIT_SETS."""
    return name in SPLIT_SETS and is_held_out(doc_id)


def _places(data: Path, name: str) -> list[Path]:
    return [folder / f"{name}.jsonl.gz" for folder in (data, data / "langid")]


def _find(data: Path, name: str) -> Path:
    for path in _places(data, name):
        if path.is_file():
            return path
    raise ValueError(
        f"no {name}.jsonl.gz in {data} nor in its subfolder langid; name the folder that holds the "
        "sets with --data"
    )

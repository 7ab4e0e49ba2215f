"""The pages that the default quality score is learnt from: edited prose, and web pages as they are.

Nobody judged any of them. Edited prose (novels and speeches in the public domain) was written and
corrected by people who meant it to be read; a web page is whatever it is. That the first is better
on average is all that is assumed, beside the damage of `damage`. Books are cut into chunks as long
as web pages are, and blank lines are dropped from both, so that neither length nor the layout of a
file tells which is which.

Files are JSON lines (.gz) with `text`; of several languages in one file, `lang` names each line's.
"""

import gzip
import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

EDITED: Final = {
    "text/nltk-public-domain": 600,
    "text/eltec-eng": 600,
    "text/long-singles": 60,
}
"""File of books and speeches in the public domain -> at most so many chunks of it."""
WEB: Final = "labels/weborganizer_examples"
"""Web pages; their labels are not read."""
NEWS: Final = ("langid/ntrex128", "langid/sib200_floresdev")
"""Edited text of today, by sentence: a check only, nothing is learnt from it."""

_MEAN_LOG_WORDS: Final = 5.9  # of the web pages, as is the deviation
_DEVIATION_LOG_WORDS: Final = 0.95
_LEAST_WORDS: Final = 40
_SENTENCES: Final = 8
_ENGLISH: Final = ("en", "eng_Latn")
_PARAGRAPH: Final = re.compile(r"\n\s*\n")
_LINE_BREAK: Final = re.compile(r"\s*\n\s*")

Chance = np.random.Generator


class Pages(NamedTuple):
    """Texts without labels, English, without blank lines."""

    edited: list[str]
    web: list[str]
    news: list[str]
    """For a check; may be empty."""


def read_pages(data: Path, chance: Chance) -> Pages:
    """Reads the pages.

    Args:
        data: Folder of text/, labels/ and, where the check is wanted, langid/.
        chance: Decides where books are cut and which chunks stay.

    Raises:
        ValueError: A file of EDITED or WEB is missing, or holds no text.
    """
    edited = []
    for name, most in EDITED.items():
        chunks = [
            chunk
            for row in _rows(data, name)
            if row.get("lang", _ENGLISH[0]) in _ENGLISH
            for chunk in _chunks(row["text"], chance)
        ]
        order = np.sort(chance.permutation(len(chunks))[:most])
        edited += [chunks[at] for at in order]
    web = [_without_blank_lines(row["text"]) for row in _rows(data, WEB)]
    news = [text for name in NEWS if _path(data, name).is_file() for text in _news(data, name)]
    return Pages(edited, web, news)


def _chunks(text: str, chance: Chance) -> list[str]:
    """Paragraphs in a row, their lines joined, until as long as a web page drawn by chance."""
    out, kept = list[str](), list[str]()
    words, wanted = 0, 0.0
    for paragraph in _PARAGRAPH.split(text):
        line = _LINE_BREAK.sub(" ", paragraph.strip())
        if not line:
            continue
        if not kept:
            wanted = float(np.exp(chance.normal(_MEAN_LOG_WORDS, _DEVIATION_LOG_WORDS)))
        kept.append(line)
        words += len(line.split())
        if words >= wanted:
            out.append("\n".join(kept))
            kept, words = [], 0
    return [chunk for chunk in out if len(chunk.split()) > _LEAST_WORDS]


def _news(data: Path, name: str) -> list[str]:
    """English sentences of one article, or of some short ones, three to a line."""
    articles: defaultdict[str, list[str]] = defaultdict(list)
    for row in _rows(data, name):
        if row.get("lang") in _ENGLISH:
            articles[row["doc_id"]].append(row["text"])
    texts, waiting = [], list[str]()
    for sentences in articles.values():
        waiting += sentences
        if len(waiting) >= _SENTENCES:
            lines = [" ".join(waiting[at : at + 3]) for at in range(0, len(waiting), 3)]
            texts.append("\n".join(lines))
            waiting = []
    return texts


def _without_blank_lines(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if line.strip())


def _path(data: Path, name: str) -> Path:
    return data / f"{name}.jsonl.gz"


def _rows(data: Path, name: str) -> list[dict[str, Any]]:
    path = _path(data, name)
    if not path.is_file():
        raise ValueError(f"there is no {path}; name the folder of text/ and labels/ with --data")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    if not rows or not all(isinstance(row.get("text"), str) for row in rows):
        raise ValueError(f"{path} holds a line without `text`, or none")
    return rows

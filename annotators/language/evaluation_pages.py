"""Pages of the web that people wrote in a language of the table and that are called `und`.

Sentences of news and encyclopaedias say little about pages: those are full of names, menus and
product numbers, so that a text in plain English may look unfamiliar. A folder may hold

* `labels/weborganizer_examples.jsonl.gz` (`text`): pages of a crawl that was filtered for English,
  so that nearly all are English;
* `html/aeb.gold.jsonl.gz` (`gold_text`): the full text of article pages;
* `html/trafilatura.gold.jsonl.gz` (`with`): passages of pages, mostly German.

The languages of the last two are not told; all that is counted is what gets none. Against it stand
documents of DOCUMENT_SENTENCES sentences of FLORES-200 devtest in languages beyond the 119.
"""

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from annotators.annotator import Annotator
from annotators.language.languages import UNDETERMINED
from annotators.language.sentences import has_set, read_sentences

DOCUMENT_SENTENCES: Final = 5

_PAGES: Final = (
    ("web pages in English", "labels/weborganizer_examples.jsonl.gz", "text", "eng_Latn"),
    ("article pages", "html/aeb.gold.jsonl.gz", "gold_text", ""),
    ("passages of pages", "html/trafilatura.gold.jsonl.gz", "with", ""),
)
_SENTENCES: Final = "flores200_devtest"


def evaluate_pages(
    data: Path, annotator: Annotator
) -> Iterator[tuple[str, int, float | None, float | None, float]]:
    """Runs an identifier over the pages that a folder holds, and over documents of outsiders.

    Yields:
        Name, number of texts, and the shares in [0, 1] that are called by their language, by
        another of the 119, and `und`; None where the language is not told.
    """
    for name, path, field, language in _PAGES:
        if (data / path).is_file():
            with gzip.open(data / path, "rt", encoding="utf-8") as lines:
                texts = [_text(json.loads(line)[field]) for line in lines]
            found = _languages(texts, annotator)
            missed = sum(code == UNDETERMINED for code in found) / len(found)
            right = sum(code == language for code in found) / len(found) if language else None
            wrong = None if right is None else 1 - right - missed
            yield name, len(found), right, wrong, missed
    if has_set(data, _SENTENCES):
        texts = _outsiders(data)
        if texts:
            found = _languages(texts, annotator)
            missed = sum(code == UNDETERMINED for code in found) / len(found)
            yield f"outsiders, {DOCUMENT_SENTENCES} sentences", len(found), None, 1 - missed, missed


def _languages(texts: list[str], annotator: Annotator) -> list[Any]:
    found: list[Any] = (
        annotator(pa.array(texts, pa.large_string()), {}).column("language").to_pylist()
    )
    return found


def _text(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "\n".join(value)


def _outsiders(data: Path) -> list[str]:
    by_language: defaultdict[str, list[str]] = defaultdict(list)
    for one in read_sentences(data, _SENTENCES):
        if one.is_outsider:
            by_language[one.language].append(one.text)
    return [
        " ".join(sentences[start : start + DOCUMENT_SENTENCES])
        for sentences in by_language.values()
        for start in range(0, len(sentences) - DOCUMENT_SENTENCES + 1, DOCUMENT_SENTENCES)
    ]

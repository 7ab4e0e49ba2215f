"""How well and how fast the engines find the main text of real pages.

- `aeb`: pages with the full text as a human sees it. Precision and recall are counted per page over
  4-word shingles with multiplicity and averaged over pages; F1 is of the two means. Method:
  evaluate.py of scrapinghub/article-extraction-benchmark.
- `trafilatura`: pages with snippets that a human says must, or must not, be in the text; accuracy
  is the share of right decisions over all snippets. Method: tests/comparison of adbar/trafilatura.
  White space and Markdown marks are not compared, since engines set them differently.

Speed is pages a second of one process, decoding and page facts included, reading excluded.
"""

import gzip
import json
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipelines.config import ExtractConfig
from pipelines.extract.engines import check_engine
from pipelines.extract.markup import extract_records
from pipelines.extract.rows import Record, to_batches
from pipelines.workspace.schema import ASKED

_SHINGLE: Final = 4
_WORD: Final = re.compile(r"\w+")
_MARKS: Final = re.compile(r"[*_`#|>]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class HtmlScore:
    """Result of one engine on one set of pages."""

    engine: str
    pages_of: str
    """aeb or trafilatura."""
    num_pages: int
    num_rejects: int
    """Pages of which the engine gave no text; they count as empty texts."""
    precision: float
    recall: float
    f1: float
    accuracy: float | None
    """Of snippets; None for aeb."""
    pages_per_s: float


def evaluate_html(data: Path, engines: Sequence[str], sample: int | None = None) -> list[HtmlScore]:
    """Scores engines on both sets of pages.

    Args:
        data: Folder that holds `html/aeb.gold.jsonl.gz`, `html/trafilatura.gold.jsonl.gz` and the
            pages that they name.
        engines: Names of `engines.ENGINES`.
        sample: At most so many pages of each set, spread evenly; None takes all.

    Returns:
        One row for each set and engine.

    Raises:
        ValueError: The folder does not hold the sets, an engine is unknown or sample is below 1.
    """
    if sample is not None and sample < 1:
        raise ValueError(f"sample is {sample}; at least 1 page is needed")
    for engine in engines:
        check_engine(engine)
    scores = []
    for name in ("aeb", "trafilatura"):
        gold = _spread(list(_gold(data / "html" / f"{name}.gold.jsonl.gz")), sample)
        pages = [_page(data / "html", row["file"]) for row in gold]
        scores += [_score(name, engine, gold, pages) for engine in engines]
    return scores


def _gold(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        raise ValueError(f"{path} is absent; give the folder that holds html/{path.name}")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _spread(rows: list[dict[str, Any]], sample: int | None) -> list[dict[str, Any]]:
    if sample is None or sample >= len(rows):
        return rows
    return [rows[i * len(rows) // sample] for i in range(sample)]


def _page(folder: Path, file: str) -> Record:
    payload = gzip.decompress((folder / file).read_bytes())
    return Record(
        file=file,
        offset=0,
        length=len(payload),
        outcome=ASKED,
        media_type="text/html",
        payload=payload,
    )


def _score(name: str, engine: str, gold: list[dict[str, Any]], pages: list[Record]) -> HtmlScore:
    batches = list(to_batches(pages))
    settings = ExtractConfig.model_validate({"html_engine": engine})
    begin = time.perf_counter()
    found = [
        text
        for batch in batches
        for text in extract_records(batch, settings=settings)["text"].to_pylist()
    ]
    duration_s = time.perf_counter() - begin
    texts = [text or "" for text in found]
    if name == "aeb":
        precision, recall = score_articles(texts, [row["gold_text"] for row in gold])
        accuracy = None
    else:
        precision, recall, accuracy = score_snippets(texts, gold)
    return HtmlScore(
        engine=engine,
        pages_of=name,
        num_pages=len(pages),
        num_rejects=found.count(None),
        precision=precision,
        recall=recall,
        f1=2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        accuracy=accuracy,
        pages_per_s=len(pages) / duration_s,
    )


def score_articles(texts: Sequence[str], gold: Sequence[str]) -> tuple[float, float]:
    """Mean precision and mean recall of texts against the full texts of a human.

    >>> score_articles(["one two three four five"], ["one two three four"])
    (0.5, 1.0)
    """
    precisions, recalls = [], []
    for text, truth in zip(texts, gold, strict=True):
        found, wanted = _shingles(text), _shingles(truth)
        num_right = (found & wanted).total()
        precisions.append(num_right / found.total() if found else float(not wanted))
        recalls.append(num_right / wanted.total() if wanted else 1.0)
    return sum(precisions) / len(precisions), sum(recalls) / len(recalls)


def _shingles(text: str) -> Counter[tuple[str, ...]]:
    words = _WORD.findall(text)
    num_shingles = max(1, len(words) - _SHINGLE + 1) if words else 0
    return Counter(tuple(words[i : i + _SHINGLE]) for i in range(num_shingles))


def score_snippets(
    texts: Sequence[str], gold: Sequence[dict[str, Any]]
) -> tuple[float, float, float]:
    """Precision, recall and accuracy over the snippets of all pages.

    Args:
        texts: Texts of the pages.
        gold: For each page the snippets `with` and `without`.
    """
    right = Counter[str]()
    total = Counter[str]()
    for text, row in zip(texts, gold, strict=True):
        plain = _plain(text)
        for kind in ("with", "without"):
            total[kind] += len(row[kind])
            right[kind] += sum((_plain(s) in plain) == (kind == "with") for s in row[kind])
    num_wrong_kept = total["without"] - right["without"]
    precision = right["with"] / max(1, right["with"] + num_wrong_kept)
    recall = right["with"] / max(1, total["with"])
    return precision, recall, right.total() / max(1, total.total())


def _plain(text: str) -> str:
    return " ".join(_MARKS.sub(" ", text).split())

"""How well and how fast engines find the main text of pages, and what structure they keep.

- **articles** (`html/aeb`): pages with the full text as a human sees it. Precision and recall are
  counted per page over 4-word shingles with multiplicity and averaged over pages; F1 is of the two
  means. Method: evaluate.py of scrapinghub/article-extraction-benchmark.
- **snippets** (`html/trafilatura`): pages with snippets that a human says must, or must not, be in
  the text; accuracy is the share of right decisions over all snippets. Method: tests/comparison of
  adbar/trafilatura. White space, Markdown marks and soft hyphens are not compared: engines set or
  drop them as they like.
- **structure**: code, tables and formulas of the pages in `structure`, as `structure.scoring` says.

Our engines are measured through `extract_records` with everything it does (charset, facts, tidying
up), peers through their own call on the bytes (`html_peers`). Speed is articles and snippet pages a
second of CPU time; the engines take turns every few pages, so that whatever else the machine does
slows all of them, and the ratio holds.

Differences are paired over pages: 10,000 times the pages are drawn anew with replacement, and both
engines are scored on what was drawn. The interval holds 95 % of the differences.
"""

import gzip
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.config import ExtractConfig
from pipelines.extract.engines import ENGINES
from pipelines.extract.html_peers import PEERS, read_by_peer
from pipelines.extract.markup import extract_records
from pipelines.extract.rows import Record, to_batches
from pipelines.extract.structure.fixtures import Answers, read_answers, read_page
from pipelines.extract.structure.scoring import PageScore, StructureScore, score_page, summed
from pipelines.workspace.schema import ASKED

BASELINE: Final = "trafilatura-fast"
"""The peer that our engines are compared with."""
_SHINGLE: Final = 4
_TURN_PAGES: Final = 8
_RESAMPLES: Final = 10_000
_SEED: Final = 20250301
_WORD: Final = re.compile(r"\w+")
_MARKS: Final = re.compile(r"[*_`#|>]+")
_SOFT_HYPHEN: Final = "\u00ad"


@dataclass(frozen=True, slots=True, kw_only=True)
class HtmlScore:
    """Result of one engine."""

    engine: str
    num_rejects: int
    """Pages of all sets of which the engine gave no text; they count as empty texts."""
    precision: float
    """Of articles; recall and f1 too."""
    recall: float
    f1: float
    accuracy: float
    """Of snippets."""
    structure: StructureScore
    pages_per_s: float
    """Pages a second of CPU time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One of our engines minus the baseline, in one measure."""

    engine: str
    measure: str
    difference: float
    low: float
    """2.5th percentile of the resampled differences."""
    high: float
    """97.5th percentile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HtmlEvaluation:
    """Results of all engines on the same pages."""

    num_articles: int
    num_snippet_pages: int
    scores: tuple[HtmlScore, ...]
    differences: tuple[Difference, ...]
    """Empty where no engine of ours, or not the baseline, was asked for."""


@dataclass(frozen=True, slots=True)
class _Run:
    """What one engine gave, set by set, in the order of the pages."""

    articles: list[str | None]
    snippets: list[str | None]
    structure: list[str | None]
    cpu_s: float  # without the structure pages


_T = TypeVar("_T")
_Numbers = NDArray[np.float64]
_Measure = Callable[[_Numbers], _Numbers]
"""Weights of pages, float64[resamples, pages] -> the score under each, float64[resamples]."""


def evaluate_html(data: Path, engines: Sequence[str], sample: int | None = None) -> HtmlEvaluation:
    """Scores engines on articles, snippets and structure.

    Args:
        data: Folder that holds `html/aeb.gold.jsonl.gz`, `html/trafilatura.gold.jsonl.gz` and the
            pages that they name.
        engines: Names of `engines.ENGINES`; those of `html_peers.PEERS` are measured as peers.
        sample: At most so many pages of each set, spread evenly; None takes all.

    Returns:
        One score for each engine, in their order, and the differences to `BASELINE`.

    Raises:
        ValueError: The folder does not hold the sets, an engine is unknown or sample is below 1.
    """
    if sample is not None and sample < 1:
        raise ValueError(f"sample is {sample}; at least 1 page is needed")
    known = tuple(dict.fromkeys((*ENGINES, *PEERS)))
    for engine in engines:
        if engine not in known:
            raise ValueError(f"unknown HTML engine {engine!r}; choose one of {', '.join(known)}")
    articles = _spread(list(_gold(data / "html" / "aeb.gold.jsonl.gz")), sample)
    snippets = _spread(list(_gold(data / "html" / "trafilatura.gold.jsonl.gz")), sample)
    answers = _spread(read_answers(), sample)
    sets = [
        [_page(data / "html", row["file"]) for row in articles],
        [_page(data / "html", row["file"]) for row in snippets],
        [read_page(one.page) for one in answers],
    ]
    runs = _run_engines(engines, sets)
    pages = {e: _structure(run, answers) for e, run in runs.items()}
    return HtmlEvaluation(
        num_articles=len(articles),
        num_snippet_pages=len(snippets),
        scores=tuple(_score(e, run, articles, snippets, pages[e]) for e, run in runs.items()),
        differences=tuple(_differences(runs, articles, snippets, pages)),
    )


def _gold(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        raise ValueError(f"{path} is absent; give the folder that holds html/{path.name}")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _spread(rows: list[_T], sample: int | None) -> list[_T]:
    if sample is None or sample >= len(rows):
        return rows
    return [rows[i * len(rows) // sample] for i in range(sample)]


def _page(folder: Path, file: str) -> bytes:
    return gzip.decompress((folder / file).read_bytes())


def page_batch(pages: Sequence[bytes]) -> pa.RecordBatch:
    """RECORD rows of pages, as a reader would give them.

    Args:
        pages: At least one page, together below the limit of a batch.
    """
    records = (
        Record(
            file=str(number),
            offset=0,
            length=len(page),
            outcome=ASKED,
            media_type="text/html",
            payload=page,
        )
        for number, page in enumerate(pages)
    )
    return pa.Table.from_batches(list(to_batches(records))).combine_chunks().to_batches()[0]


def _run_engines(engines: Sequence[str], sets: Sequence[Sequence[bytes]]) -> dict[str, _Run]:
    """Runs every engine on every page; they take turns."""
    found: dict[str, list[list[str | None]]] = {e: [[] for _ in sets] for e in engines}
    spent = dict.fromkeys(engines, 0.0)
    for engine in found:  # compiles, loads and fills caches outside of what is timed
        _texts(engine, sets[-1][:1], page_batch(sets[-1][:1]), for_structure=True)
    for number, pages in enumerate(sets):
        is_timed = number < len(sets) - 1
        for begin in range(0, len(pages), _TURN_PAGES):
            turn = pages[begin : begin + _TURN_PAGES]
            batch = page_batch(turn)
            for engine in found:
                start = time.process_time()
                found[engine][number] += _texts(engine, turn, batch, for_structure=not is_timed)
                cpu_s = time.process_time() - start
                spent[engine] += cpu_s if is_timed else 0.0
    return {e: _Run(texts[0], texts[1], texts[2], spent[e]) for e, texts in found.items()}


def _texts(
    engine: str, pages: Sequence[bytes], batch: pa.RecordBatch, *, for_structure: bool
) -> list[str | None]:
    if engine in PEERS:
        found = (read_by_peer(page, engine, for_structure=for_structure) for page in pages)
        return [text or None for text in found]
    settings = ExtractConfig.model_validate({"html_engine": engine})
    texts: list[str | None] = extract_records(batch, settings=settings)["text"].to_pylist()
    return texts


def _structure(run: _Run, answers: Sequence[Answers]) -> list[PageScore]:
    pairs = zip(run.structure, answers, strict=True)
    return [score_page(text or "", one) for text, one in pairs]


def _score(
    engine: str,
    run: _Run,
    articles: Sequence[dict[str, Any]],
    snippets: Sequence[dict[str, Any]],
    pages: Sequence[PageScore],
) -> HtmlScore:
    texts = [text or "" for text in run.articles]
    precision, recall = score_articles(texts, [row["gold_text"] for row in articles])
    _, _, accuracy = score_snippets([text or "" for text in run.snippets], snippets)
    return HtmlScore(
        engine=engine,
        num_rejects=sum(part.count(None) for part in (run.articles, run.snippets, run.structure)),
        precision=precision,
        recall=recall,
        f1=2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        accuracy=accuracy,
        structure=summed(pages),
        pages_per_s=(len(articles) + len(snippets)) / run.cpu_s,
    )


def _differences(
    runs: dict[str, _Run],
    articles: Sequence[dict[str, Any]],
    snippets: Sequence[dict[str, Any]],
    pages: dict[str, list[PageScore]],
) -> Iterator[Difference]:
    own = [engine for engine in runs if engine not in PEERS]
    if not own or BASELINE not in runs:
        return
    measures = {e: _measures(runs[e], articles, snippets, pages[e]) for e in (*own, BASELINE)}
    for engine in own:
        for name, (num_pages, score) in measures[engine].items():
            _, baseline = measures[BASELINE][name]
            weights = np.random.default_rng(_SEED).multinomial(
                num_pages, np.full(num_pages, 1 / num_pages), _RESAMPLES
            )
            drawn = score(weights.astype(np.float64)) - baseline(weights.astype(np.float64))
            once = np.ones((1, num_pages))
            low, high = np.quantile(drawn, (0.025, 0.975))
            yield Difference(
                engine=engine,
                measure=name,
                difference=float((score(once) - baseline(once))[0]),
                low=float(low),
                high=float(high),
            )


def _measures(
    run: _Run,
    articles: Sequence[dict[str, Any]],
    snippets: Sequence[dict[str, Any]],
    pages: Sequence[PageScore],
) -> dict[str, tuple[int, _Measure]]:
    """Number of pages and score under weights of pages, by name of the measure."""
    texts = [text or "" for text in run.articles]
    gold = [row["gold_text"] for row in articles]
    precision, recall = np.array([_shares(*pair) for pair in zip(texts, gold, strict=True)]).T
    decided = [_decided(text or "", row) for text, row in zip(run.snippets, snippets, strict=True)]
    kinds = ("code", "tables", "formulas", "must")
    return {
        "article F1": (len(articles), _f1_of(precision, recall)),
        "snippet accuracy": (len(snippets), _share_of(decided)),
    } | {kind: (len(pages), _share_of([getattr(page, kind) for page in pages])) for kind in kinds}


def _f1_of(precision: _Numbers, recall: _Numbers) -> _Measure:
    """F1 of the mean precision and the mean recall of the pages drawn."""

    def score(weights: _Numbers) -> _Numbers:
        p, r = weights @ precision / len(precision), weights @ recall / len(recall)
        return 2 * p * r / np.maximum(p + r, 1e-12)

    return score


def _share_of(values: Sequence[Sequence[float]]) -> _Measure:
    """The mean over all values of the pages drawn."""
    sums = np.array([float(sum(some)) for some in values])
    counts = np.array([float(len(some)) for some in values])
    return lambda weights: (weights @ sums) / np.maximum(weights @ counts, 1)


def score_articles(texts: Sequence[str], gold: Sequence[str]) -> tuple[float, float]:
    """Mean precision and mean recall of texts against the full texts of a human.

    >>> score_articles(["one two three four five"], ["one two three four"])
    (0.5, 1.0)
    """
    shares = [_shares(text, truth) for text, truth in zip(texts, gold, strict=True)]
    return sum(p for p, _ in shares) / len(shares), sum(r for _, r in shares) / len(shares)


def _shares(text: str, truth: str) -> tuple[float, float]:
    """Precision and recall of one text."""
    found, wanted = _shingles(text), _shingles(truth)
    num_right = (found & wanted).total()
    precision = num_right / found.total() if found else float(not wanted)
    return precision, num_right / wanted.total() if wanted else 1.0


def _shingles(text: str) -> Counter[tuple[str, ...]]:
    words = _WORD.findall(text.replace(_SOFT_HYPHEN, ""))
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
    kept = removed = num_wanted = num_other = 0
    for text, row in zip(texts, gold, strict=True):
        decisions = _decided(text, row)
        kept += sum(decisions[: len(row["with"])])
        removed += sum(decisions[len(row["with"]) :])
        num_wanted += len(row["with"])
        num_other += len(row["without"])
    num_wrong_kept = num_other - removed
    precision = kept / max(1, kept + num_wrong_kept)
    accuracy = (kept + removed) / max(1, num_wanted + num_other)
    return precision, kept / max(1, num_wanted), accuracy


def _decided(text: str, row: dict[str, Any]) -> list[bool]:
    """Right decisions on the snippets `with`, then on those `without`."""
    plain = _plain(text)
    kept = [_plain(snippet) in plain for snippet in row["with"]]
    return kept + [_plain(snippet) not in plain for snippet in row["without"]]


def _plain(text: str) -> str:
    return " ".join(_MARKS.sub(" ", text.replace(_SOFT_HYPHEN, "")).split())


def render_html(evaluation: HtmlEvaluation) -> str:
    """The tables that `tokenmill evaluate html` prints."""
    scores = evaluation.scores
    num_structure = scores[0].structure.num_pages if scores else 0
    baseline = next((one.pages_per_s for one in scores if one.engine == BASELINE), None)
    lines = [
        f"{evaluation.num_articles} articles, {evaluation.num_snippet_pages} pages with snippets, "
        f"{num_structure} pages with known structure",
        "",
        f"{'engine':<18}{'rejects':>8}{'precision':>11}{'recall':>8}{'F1':>8}{'accuracy':>10}"
        f"{'pages/s':>9}{'ratio':>8}",
    ]
    for one in scores:
        ratio = f"{one.pages_per_s / baseline:.2f}" if baseline else "-"
        lines.append(
            f"{one.engine:<18}{one.num_rejects:>8}{one.precision:>11.4f}{one.recall:>8.4f}"
            f"{one.f1:>8.4f}{one.accuracy:>10.4f}{one.pages_per_s:>9.1f}{ratio:>8}"
        )
    lines += ["", *_render_structure(scores)]
    if evaluation.differences:
        lines += ["", *_render_differences(evaluation.differences)]
    return "\n".join(lines)


def _render_structure(scores: Sequence[HtmlScore]) -> Iterator[str]:
    yield (
        f"{'structure':<18}{'code':>8}{'exact':>8}{'marked':>8}{'named':>8}{'tables':>9}"
        f"{'exact':>8}{'formulas':>10}{'marked':>8}{'sentences':>11}"
    )
    for engine, one in ((score.engine, score.structure) for score in scores):
        yield (
            f"{engine:<18}{one.code:>8.3f}{one.code_exact:>8.3f}{one.code_marked:>8.3f}"
            f"{one.code_language:>8.3f}{one.tables:>9.3f}{one.tables_exact:>8.3f}"
            f"{one.formulas:>10.3f}{one.formulas_marked:>8.3f}{one.must:>11.3f}"
        )


def _render_differences(differences: Sequence[Difference]) -> Iterator[str]:
    yield f"{'minus ' + BASELINE:<24}{'measure':<18}{'difference':>11}   95 % interval"
    for one in differences:
        yield (
            f"{one.engine:<24}{one.measure:<18}{one.difference:>+11.4f}   "
            f"{one.low:+.4f} .. {one.high:+.4f}"
        )

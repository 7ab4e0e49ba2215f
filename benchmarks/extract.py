"""Pages to text: our engines beside trafilatura and resiliparse, on the same pages.

The pages are those of `html/aeb` and `html/trafilatura`, as fetched. Each engine runs in a process
of its own, one process at a time, and the processes take turns for some rounds; of each engine the
best round counts, in CPU time, so that a busy machine does not decide. Ours do all that
`tokenmill extract` does with a page (charset, facts, selection, Markdown, tidying up); peers are
called on the bytes. A speed counts only at the peer's quality, so F1 on `aeb` stands beside it.

    python benchmarks/extract.py --data DATA
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from time import process_time

from inputs import Page, read_pages

from pipelines.config import ExtractConfig
from pipelines.extract.evaluation import page_batch, score_articles
from pipelines.extract.html_peers import PEERS, peer_name, read_by_peer
from pipelines.extract.markup import extract_records

ENGINES = "fast,auto,trafilatura-fast,trafilatura,resiliparse"
WARM_UP_PAGES = 24
BATCH_PAGES = 64


def texts_of(engine: str, pages: list[Page]) -> tuple[list[str], float]:
    """The texts of pages, and the seconds of CPU time that it took."""
    payloads = [page.payload for page in pages]
    if engine in PEERS:
        start = process_time()
        texts = [read_by_peer(payload, engine) or "" for payload in payloads]
        return texts, process_time() - start
    settings = ExtractConfig.model_validate({"html_engine": engine})
    batches = [
        page_batch(payloads[begin : begin + BATCH_PAGES])
        for begin in range(0, len(payloads), BATCH_PAGES)
    ]
    start = process_time()
    columns = [extract_records(batch, settings=settings)["text"] for batch in batches]
    took_s = process_time() - start
    return [text or "" for column in columns for text in column.to_pylist()], took_s


def run_engine(engine: str, data: Path) -> None:
    """Runs one engine over all pages and prints its figures as JSON."""
    pages = read_pages(data)
    texts_of(engine, pages[:WARM_UP_PAGES])  # compiles and loads
    texts, took_s = texts_of(engine, pages)
    judged = [(text, page.article) for text, page in zip(texts, pages, strict=True)]
    articles = [(text, article) for text, article in judged if article is not None]
    precision, recall = score_articles([t for t, _ in articles], [a for _, a in articles])
    figures = {
        "pages": len(pages),
        "bytes": sum(len(page.payload) for page in pages),
        "seconds": took_s,
        "f1": 2 * precision * recall / (precision + recall),
    }
    print(json.dumps(figures))


def measure(engine: str, data: Path) -> dict[str, float]:
    """Runs an engine in a process of its own."""
    command = [sys.executable, __file__, "--data", str(data), "--one", engine]
    root = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": str(root)}
    told = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, float] = json.loads(told.stdout)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    root = os.environ.get("TOKENMILL_DATA", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(root), help="holds html/")
    parser.add_argument("--engines", default=ENGINES, help="separated by commas")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        run_engine(asked.one, asked.data)
        return
    engines = asked.engines.split(",")
    best: dict[str, dict[str, float]] = {}
    for _ in range(asked.rounds):
        for engine in engines:
            figures = measure(engine, asked.data)
            if engine not in best or figures["seconds"] < best[engine]["seconds"]:
                best[engine] = figures
    baseline = best.get("trafilatura-fast")
    print(f"{'engine':<26}{'pages/s':>9}{'MB/s':>8}{'ms/page':>9}{'ratio':>8}{'F1 (aeb)':>10}")
    for engine, one in best.items():
        rate = one["pages"] / one["seconds"]
        ratio = f"{rate * baseline['seconds'] / baseline['pages']:.2f}" if baseline else "-"
        name = peer_name(engine) if engine in PEERS else f"tokenmill {engine}"
        print(
            f"{name:<26}{rate:>9.1f}{one['bytes'] / one['seconds'] / 1e6:>8.1f}"
            f"{1000 / rate:>9.2f}{ratio:>8}{one['f1']:>10.4f}"
        )


if __name__ == "__main__":
    main()

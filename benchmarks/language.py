"""Documents labelled with their language in a second, by the clock, in several processes at once.

Documents are sentences of NTREX-128 joined to 4,096 bytes in each of its 81 languages. Processes
wait for each other before they start, so that they share the machine for all of the time.

    python benchmarks/language.py --data DATA --processes 2
"""

import argparse
import gzip
import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from threading import Barrier
from time import perf_counter
from typing import Final

import pyarrow as pa

BYTES: Final = 4096
ROUNDS: Final = 6


def documents(data: Path) -> pa.LargeStringArray:
    """Texts of BYTES bytes of one language each."""
    sentences: dict[str, list[str]] = {}
    with gzip.open(data / "langid" / "ntrex128.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            sentences.setdefault(row["lang"], []).append(row["text"])
    texts = []
    for _, some in sorted(sentences.items()):
        joined = " ".join(some).encode()
        cuts = range(0, len(joined) - BYTES, BYTES)
        texts += [joined[cut : cut + BYTES].decode(errors="ignore") for cut in cuts]
    return pa.array(texts, pa.large_string())


def label(data: Path, together: Barrier) -> tuple[int, float, float]:
    """Labels all documents ROUNDS times; gives their number, and when it started and ended."""
    from annotators.language.annotator import Language

    texts, annotator = documents(data), Language()
    annotator(texts.slice(0, 64), {})
    together.wait()
    start = perf_counter()
    for _ in range(ROUNDS):
        annotator(texts, {})
    return ROUNDS * len(texts), start, perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    root = os.environ.get("TOKENMILL_DATA", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(root), help="holds langid/")
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(asked.processes, context) as pool:
        together = manager.Barrier(asked.processes)
        runs = [pool.submit(label, asked.data, together) for _ in range(asked.processes)]
        done = [run.result() for run in runs]
    seconds = max(end for *_, end in done) - min(start for _, start, _ in done)
    count = sum(number for number, *_ in done)
    print(f"{count:,} documents of {BYTES:,} bytes, {asked.processes} processes: {seconds:.2f} s")
    print(f"{count / seconds:,.0f} documents/s")


if __name__ == "__main__":
    main()

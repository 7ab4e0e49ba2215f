"""Decontamination speed: documents of 4 KB a second against all benchmark sets of a folder at once.

Documents are pieces of 4,096 bytes (cut back to whole characters) of the texts in `text/` (novels,
LaTeX, specifications, code in 39 languages, Chinese) and of the web pages in `labels/`, taken
in turn from each file, as long as there are any; the first so many are used. Each process builds
its own index, as a worker does, waits for the others, and labels its documents in batches of 512
several times over; the time is that from the common start to the end of the last process, so the
building of the index is not in it and is printed apart. Processor time is printed too: where others
use the machine, it says what the cores would do alone.

Beside it stands what Ai2 reports for decon (github.com/allenai/decon, README): 5.16 million
documents (30 GB) in 175.7 s, 34 microseconds a document of 5.8 KB, with about 14 GB of memory for
its full set of evaluations. It says nothing of the cores, its documents are larger and its
set of benchmarks is another, so that the two figures can only be put side by side.

    python benchmarks/decontaminate.py --data ../shared/data
"""

import argparse
import gzip
import json
import resource
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import chain, islice, zip_longest
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, Final, NamedTuple

import pyarrow as pa

from annotators.contamination.annotator import Contamination

PIECE_BYTES: Final = 4096
BATCH: Final = 512
_LABELS: Final = ("weborganizer_examples", "dclm_majority", "dclm_agreement")
_DECON_MICROSECONDS: Final = 34.0
_start: Barrier


class Measured(NamedTuple):
    """What one process did."""

    begin: float
    end: float
    index_seconds: float
    index_bytes: int
    num_items: int
    num_contaminated: int
    peak_bytes: int
    processor_seconds: float


def pieces_of(path: Path) -> Iterator[str]:
    """Cuts the texts of a file, one after another, into pieces of `PIECE_BYTES`."""
    left = b""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            left += json.loads(line)["text"].encode() + b"\n\n"
            while len(left) >= PIECE_BYTES:
                yield left[:PIECE_BYTES].decode(errors="ignore")
                left = left[PIECE_BYTES:]


def documents_of(data: Path, count: int) -> list[str]:
    """Takes pieces of every file in turn.

    Raises:
        ValueError: There are none.
    """
    paths = sorted((data / "text").glob("*.jsonl.gz"))
    paths += [path for name in _LABELS if (path := data / "labels" / f"{name}.jsonl.gz").is_file()]
    turns = zip_longest(*(pieces_of(path) for path in paths))
    documents = list(islice((one for one in chain.from_iterable(turns) if one), count))
    if not documents:
        raise ValueError(f"{data} holds no texts; name the folder above text/ with --data")
    return documents


def _remember(start: Barrier) -> None:
    global _start  # a barrier reaches a worker only when it is made
    _start = start


def measure(documents: Sequence[str], options: Sequence[dict[str, Any]], rounds: int) -> Measured:
    """Labels documents in this process, when all processes are ready."""
    watch = perf_counter()
    annotator = Contamination(benchmarks=options)
    index = annotator.index()
    index_seconds = perf_counter() - watch
    batches = [
        pa.array(documents[at : at + BATCH], pa.large_string())
        for at in range(0, len(documents), BATCH)
    ]
    annotator(batches[0], {})  # compiles, or loads what was compiled
    _start.wait()
    begin, processor = perf_counter(), process_time()
    contaminated = 0
    for _ in range(rounds):
        contaminated = sum(
            sum(annotator(batch, {})["contaminated"].to_pylist()) for batch in batches
        )
    return Measured(
        begin=begin,
        end=perf_counter(),
        index_seconds=index_seconds,
        index_bytes=index.num_bytes,
        num_items=sum(one.items for one in index.facts),
        num_contaminated=contaminated,
        peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10,
        processor_seconds=process_time() - processor,
    )


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of text/ and the sets")
    parser.add_argument("--documents", type=int, default=24_000, help="of all processes")
    parser.add_argument("--rounds", type=int, default=5, help="times that each is labelled")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    paths = sorted((given.data / "decontamination").glob("*.jsonl.gz"))
    options = [{"name": path.name.removesuffix(".jsonl.gz"), "path": str(path)} for path in paths]
    documents = documents_of(given.data, given.documents)
    num_bytes = sum(len(one.encode()) for one in documents)
    context = get_context("spawn")
    start = context.Barrier(given.processes)
    with ProcessPoolExecutor(given.processes, context, _remember, (start,)) as pool:
        futures = [
            pool.submit(measure, documents[n :: given.processes], options, given.rounds)
            for n in range(given.processes)
        ]
        made = [future.result() for future in futures]
    seconds = max(one.end for one in made) - min(one.begin for one in made)
    labelled = len(documents) * given.rounds
    first = made[0]
    print(
        f"{len(documents):,} documents of {num_bytes / len(documents):,.0f} bytes x {given.rounds} "
        f"rounds, {len(paths)} benchmarks with {first.num_items:,} items, "
        f"{given.processes} processes"
    )
    print(f"index: {first.index_bytes / 1e6:.1f} MB, made in {first.index_seconds:.1f} s")
    print(f"peak memory of a process: {max(one.peak_bytes for one in made) / 1e6:.0f} MB")
    print(f"contaminated: {sum(one.num_contaminated for one in made)}")
    print(f"documents a second:           {labelled / seconds:>10,.0f}")
    print(f"MB a second:                  {num_bytes * given.rounds / seconds / 1e6:>10,.1f}")
    print(f"microseconds a document:      {seconds / labelled * 1e6:>10.1f}")
    processor = sum(one.processor_seconds for one in made)
    print(f"  of processor time:          {processor / labelled * 1e6:>10.1f}")
    print(f"Ai2's decon, as it reports:   {_DECON_MICROSECONDS:>10.1f}")


if __name__ == "__main__":
    main()

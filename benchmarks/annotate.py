"""Annotators on one core, beside datatrove's filters: the same English documents, one run.

Documents are the English ones of `text/` and all of `labels/dclm_*` and
`labels/weborganizer_examples` of TOKENMILL_DATA, in random order, those of more than 20,000
characters cut there. Speed is documents over CPU seconds of one process on one thread, after a
warm-up, without reading files.

- Filters: `Heuristics` measures the signals of all filters at once, whichever decide, so its rate
  stands against each filter of datatrove alone and against all together (which share words there).
  Agreement: of the documents that datatrove keeps, how many do we keep; of those it drops, how many
  do we drop. Differences are listed by reason.
- Annotators: the rate of each shipped one. datatrove's LanguageFilter loads its model from the
  network and so has no place here.

    python -m venv VENV
    VENV/bin/pip install 'datatrove[io,processing]==0.10.*' 'xxhash<4' 'spacy>=3.8,<4'
    BENCH_PYTHON=VENV/bin/python python benchmarks/annotate.py

Without BENCH_PYTHON, tokenmill's side alone.
"""

import argparse
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any, Final

import pyarrow as pa
from rich.console import Console
from rich.table import Table

from annotators.annotator import DOCUMENT_COLUMNS, Annotator
from pipelines.annotate.registry import spec_of

ROOT: Final = Path(__file__).resolve().parents[1]
ENGLISH: Final = "eng_Latn"
FILTERS: Final = ("gopher_quality", "gopher_repetition", "c4", "fineweb", "c4_paragraph")
TOGETHER: Final = ("gopher_quality", "gopher_repetition", "c4", "fineweb")
ANNOTATORS: Final = ("language", "quality", "stem", "pii", "domain", "safety")
_MAX_CHARACTERS: Final = 20_000
_ALONE: Final = 800
_BATCH: Final = 512
_SECONDS: Final = 3.0
"""A rate is measured over so many CPU seconds at least."""

Answer = tuple[bool, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """What datatrove answered, and how long it took."""

    answers: list[dict[str, Answer]]
    together: float
    """CPU seconds of all filters over all documents."""
    alone: dict[str, float]
    """CPU seconds of each over the first `num_alone`."""
    num_alone: int
    versions: dict[str, str]


def read_documents(data: Path) -> list[str]:
    """The English texts, in random order.

    Raises:
        ValueError: There are none.
    """
    texts = [text[:_MAX_CHARACTERS] for text in _texts(data)]
    if not texts:
        raise ValueError(
            f"there are no English texts in {data}; set TOKENMILL_DATA to the folder with text/ "
            "and labels/"
        )
    random.Random(1).shuffle(texts)
    return texts


def _texts(data: Path) -> Iterator[str]:
    for pattern in ("text/*.jsonl.gz", "labels/dclm_*.jsonl.gz", "labels/weborg*.jsonl.gz"):
        for path in sorted(data.glob(pattern)):
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                for line in lines:
                    row = json.loads(line)
                    if row.get("lang", "en") in ("en", "eng", ENGLISH):
                        yield row["text"]


def ask_peer(python: str, texts: list[str], work: Path) -> Peer:
    """Runs datatrove's filters in their own interpreter.

    Raises:
        ValueError: They did not run.
    """
    source, output = work / "documents.jsonl", work / "datatrove"
    with source.open("w", encoding="utf-8") as lines:
        lines.writelines(json.dumps({"text": text}) + "\n" for text in texts)
    num_alone = min(_ALONE, len(texts))
    task = {"input": str(source), "output": str(output), "alone": num_alone}
    script = Path(__file__).with_name("datatrove_filters.py")
    try:
        done = subprocess.run(
            [python, str(script), json.dumps(task)], capture_output=True, text=True
        )
    except OSError as error:
        raise ValueError(f"BENCH_PYTHON: {python} does not run ({error})") from error
    if done.returncode:
        raise ValueError(
            f"{python} cannot run datatrove ({done.stderr.strip()[-200:]}); make a venv as the "
            "head of this file says, and name its interpreter in BENCH_PYTHON"
        )
    told = json.loads((output / "result.json").read_text())
    with (output / "answers.jsonl").open(encoding="utf-8") as lines:
        answers = [{name: tuple(one) for name, one in json.loads(x).items()} for x in lines]
    return Peer(
        answers=answers,
        together=told["together"],
        alone=told["alone"],
        num_alone=num_alone,
        versions=told["versions"],
    )


def rate_of(annotator: Annotator, texts: pa.LargeStringArray, labels: dict[str, Any]) -> float:
    """Documents per CPU second."""
    needed = {name: labels[name] for name in annotator.inputs}

    def annotate(start: int) -> int:
        part = texts.slice(start, _BATCH)
        annotator(part, {name: array.slice(start, _BATCH) for name, array in needed.items()})
        return len(part)

    annotate(0)
    count, begin = 0, process_time()
    while process_time() - begin < _SECONDS:
        count += sum(annotate(start) for start in range(0, len(texts), _BATCH))
    return count / (process_time() - begin)


def quality(rules: Sequence[str]) -> Annotator:
    """The heuristics with some sets of rules."""
    return spec_of("quality", {"rules": list(rules)}).annotator


def answers_of(texts: pa.LargeStringArray, name: str) -> list[Answer]:
    """What our rules of one filter say."""
    labels: dict[str, pa.Array[Any]] = {"language": pa.array([ENGLISH] * len(texts))}
    made = quality([name])(texts, labels)
    keeps = made.column("quality_keep").to_pylist()
    return list(zip(keeps, made.column("quality_reason").to_pylist(), strict=True))


def labels_for(texts: pa.LargeStringArray) -> dict[str, Any]:
    """What annotators ask for: English, and of a document what is known of a plain text."""
    labels: dict[str, Any] = {
        name: pa.nulls(len(texts), type_) for name, type_ in DOCUMENT_COLUMNS.items()
    }
    labels["language"] = pa.array([ENGLISH] * len(texts))
    return labels


def compare(texts: pa.LargeStringArray, peer: Peer, console: Console) -> None:
    """Prints speed and agreement of each filter, and what differs."""
    table = Table(title="Filters", title_justify="left")
    for name in ("filter", "datatrove, docs/s", "tokenmill, docs/s", "ratio"):
        table.add_column(name, justify="left" if name == "filter" else "right")
    for name in ("kept", "agreed", "dropped", "agreed "):
        table.add_column(name, justify="right")
    labels = labels_for(texts)
    differences: dict[str, Counter[tuple[str, str]]] = {}
    for name in FILTERS:
        ours, theirs = answers_of(texts, name), [row[name] for row in peer.answers]
        rate = rate_of(quality([name]), texts, labels)
        their_rate = peer.num_alone / peer.alone[name]
        cells = [f"{their_rate:,.0f}", f"{rate:,.0f}", f"{rate / their_rate:,.1f}"]
        for side in (True, False):
            same = [
                mine[0] == side for mine, his in zip(ours, theirs, strict=True) if his[0] == side
            ]
            cells += [f"{len(same):,}", f"{sum(same) / max(1, len(same)):.2%}"]
        table.add_row(name, *cells)
        differences[name] = Counter(
            (str(his[1]), str(mine[1]))
            for mine, his in zip(ours, theirs, strict=True)
            if mine[0] != his[0]
        )
    table.add_section()
    rate = rate_of(quality(TOGETHER), texts, labels)
    together = len(texts) / peer.together
    table.add_row("all of them", f"{together:,.0f}", f"{rate:,.0f}", f"{rate / together:,.1f}")
    console.print(table)
    for name, counts in differences.items():
        for (his, mine), count in counts.most_common():
            console.print(f"{name}: {count} x datatrove {his}, tokenmill {mine}")
    console.print(", ".join(f"{package} {number}" for package, number in peer.versions.items()))


def speeds(texts: pa.LargeStringArray, console: Console) -> None:
    """Prints the rate of each annotator."""
    table = Table(title="Annotators, one core", title_justify="left")
    for name in ("annotator", "docs/s", "MB/s"):
        table.add_column(name, justify="left" if name == "annotator" else "right")
    labels, size = labels_for(texts), texts.nbytes / len(texts)
    for name in ANNOTATORS:
        annotator = spec_of(name, {}).annotator
        rate = rate_of(annotator, texts, labels)
        table.add_row(name, f"{rate:,.0f}", f"{rate * size / 1e6:,.0f}")
    console.print(table)


def main() -> None:
    """Runs the benchmark; exit 2 for a user's mistake."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    data = os.environ.get("TOKENMILL_DATA", ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=data, help="holds text/ and labels/")
    parser.add_argument("--peer-python", default=os.environ.get("BENCH_PYTHON"))
    parser.add_argument("--documents", type=int, help="only so many")
    args = parser.parse_args()
    console = Console(width=max(110, Console().width), highlight=False)
    try:
        texts = read_documents(Path(args.data))[: args.documents]
        array = pa.array(texts, pa.large_string())
        console.print(f"{len(texts):,} documents of {array.nbytes / len(texts):,.0f} bytes")
        if args.peer_python:
            with tempfile.TemporaryDirectory() as folder:
                peer = ask_peer(args.peer_python, texts, Path(folder))
            compare(array, peer, console)
        speeds(array, console)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()

"""Token shards beside datatrove and Megatron-LM: the same documents, tokenizer, cores, one run.

- tokenmill: `tokenmill shards`, in a workspace that `tokenmill run` has filled before (documents
  and labels, not clocked): plan, every document drawn once, shuffle, .bin, .idx, map, hashes.
- datatrove: JsonlReader and MegatronDocumentTokenizer, as many tasks and workers as cores.
- preprocess_data: Megatron-LM's tools/preprocess_data.py, `tokenizers` in a pool of processes.
- preprocess_data_fast: Megatron-LM's tools/preprocess_data_fast.py, gigatoken on all cores over one
  JSONL file, all tokens of it in memory.

The peers read JSONL and keep its order; tokenmill reads Parquet and labels and shuffles. All four
must give the same documents: every document's tokens are hashed, and the multisets compared.

What is clocked: the whole command; and the work, which is the time beyond that of the same command
over a few documents. For Megatron's tools the work is by a clock around their `main`, which leaves
their imports out (20 s, whose jitter exceeds the work of the fast one). CPU seconds are counted
the same way, over the whole process tree. Memory is the largest sum of proportional set
sizes over the tree. tokenmill runs over a quarter and a half of the documents too, to show how its
memory grows. A ratio above 1 speaks for tokenmill. Needs Linux.

    python -m venv VENV && VENV/bin/pip install 'datatrove[io,processing]==0.10.*' 'xxhash<4'
    git clone https://github.com/NVIDIA/Megatron-LM && python3.12 -m venv MEGATRON_VENV
    MEGATRON_VENV/bin/pip install torch awkward 'gigatoken==0.10.*' transformers einops regex
    BENCH_PYTHON=VENV/bin/python MEGATRON=Megatron-LM MEGATRON_PYTHON=MEGATRON_VENV/bin/python \\
        python benchmarks/shards.py

A peer that is not named is left out.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from itertools import count, islice
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from end_to_end import ROOT, TOKENIZER, Usage, measure
from inputs import write_texts
from rich.console import Console
from rich.table import Table

from token_shards.indexed_dataset import read_index

EOD: Final = "<|endoftext|>"
DOCUMENTS: Final = 80_000
"""At scale 1: 260 MB, so that the fastest takes seconds beyond its start."""
FEW: Final = 2048
_SHARES: Final = (1, 2, 4)
"""Parts of the input, in quarters, over which tokenmill runs."""
_MIXTURE: Final = """\
name: all
seed: 1
stages:
  - {name: all, sequence_length: 4096, tokens: max, max_epochs: 1}
"""
# A quarter of the defaults, so that a quarter of the input has a whole unit, and all of it several.
_CORPUS: Final = {"name": "bench", "annotators": [], "part_bytes": 1 << 26, "shard_tokens": 1 << 25}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The settings of one run."""

    work: Path
    processes: int
    console: Console
    datatrove_python: str | None
    megatron: Path | None
    megatron_python: str | None

    def say(self, line: str) -> None:
        """A line of progress, with the load of the machine."""
        self.console.print(f"[{os.getloadavg()[0]:.1f} load] {line}", markup=False, highlight=False)

    def fill(self, name: str) -> None:
        """Documents and labels of an input, in a workspace."""
        corpus = self.work / f"{name}.yaml"
        config = _CORPUS | {
            "sources": [{"name": "web", "path": str(self.work / f"raw-{name}")}],
            "tokenizer": str(self.work / "tokenizer"),
            "mixtures": [],
        }
        corpus.write_text(json.dumps(config))
        command = [_tokenmill(), "run", str(corpus), "--workspace", str(self.work / f"ws-{name}")]
        command += ["--processes", str(self.processes)]
        usage = measure(command, corpus.with_suffix(".log"), {})
        self.say(f"{name}: documents and labels in {usage.seconds:.1f} s")

    def tokenmill(self, name: str) -> "Clocked":
        """`tokenmill shards`."""
        workspace = self.work / f"ws-{name}"
        command = [_tokenmill(), "shards", str(workspace), str(self.work / "all.yaml")]
        command += ["--processes", str(self.processes)]
        usage = measure(command, self.work / f"tokenmill-{name}.log", {})
        return _by_command(usage, sorted(workspace.glob("shards/all@*/all/*.bin")))

    def datatrove(self, name: str) -> "Clocked":
        """JsonlReader, MegatronDocumentTokenizer."""
        output = self.work / f"datatrove-{name}"
        task = {
            "kind": "shards",
            "input": str(self.work / name),
            "output": str(output),
            "processes": self.processes,
            "tokenizer": str(self.work / "tokenizer" / TOKENIZER.name),
        }
        script = str(Path(__file__).with_name("datatrove_side.py"))
        command = [self.datatrove_python or "", script, json.dumps(task)]
        usage = measure(command, output.with_suffix(".log"), {"HF_HUB_OFFLINE": "1"})
        return _by_command(usage, sorted(output.glob("shards/*.bin")))

    def preprocess(self, name: str, *, fast: bool) -> "Clocked":
        """A tool of Megatron-LM, over all documents in one file."""
        tool = "preprocess_data_fast" if fast else "preprocess_data"
        output = self.work / f"{tool}-{name}"
        output.mkdir()
        arguments = ["--input", f"{self.work / name}.jsonl", "--output-prefix", f"{output}/all"]
        arguments += ["--tokenizer-type", "HuggingFaceTokenizer", "--append-eod"]
        arguments += ["--tokenizer-model", str(self.work / "tokenizer")]
        arguments += ["--use-gigatoken"] if fast else ["--workers", str(self.processes)]
        task = {
            "tool": tool,
            "checkout": str(self.megatron),
            "output": str(output),
            "arguments": arguments,
        }
        script = str(Path(__file__).with_name("megatron_side.py"))
        command = [self.megatron_python or "", script, json.dumps(task)]
        usage = measure(command, output.with_suffix(".log"), {"HF_HUB_OFFLINE": "1"})
        clock = json.loads((output / "result.json").read_text())
        bins = sorted(output.glob("*.bin"))
        return Clocked(usage, clock["seconds"], clock["cpu_seconds"], bins)

    def sides(self) -> dict[str, Callable[[str], "Clocked"]]:
        """Name -> runs it over an input; those that are there."""
        found: dict[str, Callable[[str], Clocked]] = {"tokenmill": self.tokenmill}
        if self.datatrove_python:
            found["datatrove"] = self.datatrove
        if self.megatron and self.megatron_python:
            found["preprocess_data"] = partial(self.preprocess, fast=False)
            found["preprocess_data_fast"] = partial(self.preprocess, fast=True)
        return found


@dataclass(frozen=True, slots=True)
class Clocked:
    """One command over one input."""

    usage: Usage
    seconds: float
    """By the clock from which the time over few documents is taken away."""
    cpu_seconds: float
    """By the same clock."""
    bins: list[Path]
    """The token files that it wrote; each has its .idx beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One side over few documents and over all."""

    few: Clocked
    whole: Clocked

    @property
    def work_s(self) -> float:
        """Seconds beyond the start."""
        return self.whole.seconds - self.few.seconds

    @property
    def cpu_s(self) -> float:
        """CPU seconds beyond the start."""
        return self.whole.cpu_seconds - self.few.cpu_seconds


def _by_command(usage: Usage, bins: list[Path]) -> Clocked:
    return Clocked(usage, usage.seconds, usage.cpu_seconds, bins)


def _tokenmill() -> str:
    return str(Path(sys.executable).with_name("tokenmill"))


def hash_documents(bins: list[Path]) -> tuple[npt.NDArray[np.uint64], int]:
    """Hashes the tokens of each document, EOD included.

    Returns:
        uint64[num_documents], sorted; and the number of tokens.
    """
    hashes, num_tokens = [], 0
    for path in bins:
        index = read_index(path.with_suffix(".idx").read_bytes())
        tokens = np.memmap(path, index.dtype, "r").astype(np.int32)
        num_tokens += len(tokens)
        ends = np.cumsum(index.lengths)
        for start, end in zip(ends - index.lengths, ends, strict=True):
            hashes.append(blake2b(tokens[start:end].tobytes(), digest_size=8).digest())
    return np.sort(np.frombuffer(b"".join(hashes), np.uint64)), num_tokens


def check_equal(timings: Mapping[str, Timing], num_documents: int) -> int:
    """Compares what the sides wrote; gives the number of tokens.

    Raises:
        RuntimeError: A side wrote other documents or other tokens than tokenmill.
    """
    expected, num_tokens = hash_documents(timings["tokenmill"].whole.bins)
    if len(expected) != num_documents:
        raise RuntimeError(f"tokenmill wrote {len(expected)} of {num_documents} documents")
    for name, timing in timings.items():
        found, _ = hash_documents(timing.whole.bins)
        if not np.array_equal(found, expected):
            different = len(np.setxor1d(found, expected))
            raise RuntimeError(f"{name} wrote other tokens in {different} documents")
    return num_tokens


def make_inputs(bench: Bench, data: Path, num_documents: int) -> dict[str, int]:
    """Writes the inputs, as two files and as one; gives their bytes of text."""
    tokenizer = bench.work / "tokenizer"
    tokenizer.mkdir()
    shutil.copy(TOKENIZER, tokenizer)
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": EOD}
    (tokenizer / "tokenizer_config.json").write_text(json.dumps(config))
    (bench.work / "all.yaml").write_text(_MIXTURE)
    sizes = {}
    shares = {f"x{share}": num_documents * share // _SHARES[-1] for share in _SHARES}
    for name, number in {"few": FEW, **shares}.items():
        sizes[name] = write_texts(data, number, bench.work / f"raw-{name}", bench.processes)
        bench.fill(name)
        _write_jsonl(bench, name, number)
    return sizes


def _write_jsonl(bench: Bench, name: str, num_documents: int) -> None:
    """The texts of a workspace for the peers: in a file for each process, and in one.

    They are read back, because extraction takes out characters that are no text (zero-width marks,
    control characters), which would then be tokenized on one side alone.
    """
    folder = bench.work / name
    folder.mkdir()
    lines = map(_jsonl, count(), _texts(bench.work / f"ws-{name}"))
    with folder.with_suffix(".jsonl").open("wb") as whole:
        for number in range(bench.processes):
            first, end = (n * num_documents // bench.processes for n in (number, number + 1))
            data = b"".join(islice(lines, end - first))
            (folder / f"part-{number}.jsonl").write_bytes(data)
            whole.write(data)


def _texts(workspace: Path) -> Iterator[str]:
    for path in sorted(workspace.glob("documents/web@*/part-*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(FEW, columns=["text"]):
            yield from batch.column(0).to_pylist()


def _jsonl(number: int, text: str) -> bytes:
    return json.dumps({"id": str(number), "text": text}, ensure_ascii=False).encode() + b"\n"


def time_sides(bench: Bench) -> dict[str, Timing]:
    """Runs each side over the few and over all documents."""
    timings = {}
    for name, side in bench.sides().items():
        few = side("few")
        bench.say(f"{name}: few documents in {few.usage.seconds:.1f} s")
        whole = side(f"x{_SHARES[-1]}")
        bench.say(f"{name}: all documents in {whole.usage.seconds:.1f} s")
        timings[name] = Timing(few=few, whole=whole)
    return timings


def speed_table(timings: Mapping[str, Timing], num_bytes: int, title: str) -> Table:
    """One row a side."""
    table = Table(title=title, title_justify="left")
    table.add_column("side")
    for column in ("whole, s", "work, s", "MB/s", "times", "CPU s", "times", "peak MB"):
        table.add_column(column, justify="right")
    ours = timings["tokenmill"]
    for name, timing in timings.items():
        table.add_row(
            name,
            f"{timing.whole.usage.seconds:.1f}",
            f"{timing.work_s:.2f}",
            f"{num_bytes / 1e6 / timing.work_s:.1f}",
            f"{timing.work_s / ours.work_s:.2f}",
            f"{timing.cpu_s:.1f}",
            f"{timing.cpu_s / ours.cpu_s:.2f}",
            f"{timing.whole.usage.peak_bytes / 1e6:,.0f}",
        )
    return table


def run(bench: Bench, data: Path, num_documents: int) -> None:
    """Makes the inputs, clocks all sides, compares what they wrote, prints the tables."""
    sizes = make_inputs(bench, data, num_documents)
    smaller = {f"x{share}": bench.tokenmill(f"x{share}") for share in _SHARES[:-1]}
    timings = time_sides(bench)
    num_tokens = check_equal(timings, num_documents)
    largest = f"x{_SHARES[-1]}"
    title = (
        f"{num_documents:,} documents, {sizes[largest] / 1e6:,.0f} MB, {num_tokens:,} tokens with "
        f"EOD, equal on all sides; {bench.processes} cores"
    )
    console = Console(width=max(100, Console().width))
    console.print(speed_table(timings, sizes[largest], title))
    memory = {**smaller, largest: timings["tokenmill"].whole}
    grown = Table(title="tokenmill as the input grows", title_justify="left")
    for column in ("MB of text", "whole, s", "shards", "peak MB"):
        grown.add_column(column, justify="right")
    for name, clocked in memory.items():
        peak = f"{clocked.usage.peak_bytes / 1e6:,.0f}"
        text = f"{sizes[name] / 1e6:,.0f}"
        grown.add_row(text, f"{clocked.usage.seconds:.1f}", str(len(clocked.bins)), peak)
    console.print(grown)
    for result in sorted(bench.work.glob("*-few/result.json")):
        versions = json.loads(result.read_text())["versions"]
        line = ", ".join(f"{name} {number}" for name, number in versions.items())
        console.print(f"{result.parent.name.removesuffix('-few')}: {line}", highlight=False)
    if len(timings) < 4:
        console.print("left out, because not named: see --help", highlight=False)


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    data = os.environ.get("TOKENMILL_DATA", ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=data, help="holds text/ and labels/")
    parser.add_argument(
        "--datatrove-python",
        default=os.environ.get("BENCH_PYTHON"),
        help="interpreter with datatrove",
    )
    megatron = os.environ.get("MEGATRON")
    parser.add_argument(
        "--megatron",
        type=Path,
        default=megatron,
        help="checkout of Megatron-LM, core 0.19 or newer",
    )
    parser.add_argument(
        "--megatron-python",
        default=os.environ.get("MEGATRON_PYTHON"),
        help="interpreter with torch, transformers and gigatoken",
    )
    parser.add_argument("--scale", type=float, default=1.0, help=f"times {DOCUMENTS:,} documents")
    parser.add_argument("--processes", type=int, default=2, help="cores of every side")
    parser.add_argument("--keep", type=Path, help="an empty folder for inputs, outputs and logs")
    args = parser.parse_args()
    if DOCUMENTS * args.scale / _SHARES[-1] < FEW:
        parser.error(f"--scale {args.scale}; at least {_SHARES[-1] * FEW / DOCUMENTS:.2f}")
    for python in (args.datatrove_python, args.megatron_python):
        if python and not shutil.which(python):
            parser.error(f"there is no interpreter {python}")
    tool = args.megatron and args.megatron / "tools" / "preprocess_data_fast.py"
    if tool and not tool.is_file():
        parser.error(f"there is no {tool}; take a checkout of core 0.19 or newer")
    return args


def main() -> None:
    """Runs the benchmark; exit 2 for a user's mistake."""
    args = parse_args()
    cores = sorted(os.sched_getaffinity(0))[: args.processes]
    os.sched_setaffinity(0, cores)  # all sides inherit it, and size their pools by it
    with tempfile.TemporaryDirectory() as folder:
        if args.keep:
            args.keep.mkdir(parents=True, exist_ok=True)
        bench = Bench(
            work=args.keep.resolve() if args.keep else Path(folder),
            processes=len(cores),
            console=Console(stderr=True),
            datatrove_python=args.datatrove_python,
            megatron=args.megatron and args.megatron.resolve(),
            megatron_python=args.megatron_python,
        )
        try:
            run(bench, args.data, int(DOCUMENTS * args.scale))
        except ValueError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)


if __name__ == "__main__":
    main()

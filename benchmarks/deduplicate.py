"""Near-duplicates beside datatrove and rensa: the same JSONL files, the same cores, one run.

- tokenmill: `tokenmill deduplicate`, from JSONL to labels: ids, Parquet documents, exact copies by
  bytes, normalised text and URL, near-duplicates compared exactly, a ledger of all of it.
- datatrove: its four MinHash steps, from JSONL to JSONL of what is kept (`datatrove_minhash.py`).
- rensa: signatures, bands and union-find in a script around it, from JSONL to a list of ids
  (`rensa_side.py`), in the manner of its README (`strings`) and as fast as it goes (`hashes`).

What the documents are, and how many are copies, is written in `deduplicate_inputs.py`; how found
and wrongly removed is judged, in the same way for all sides, in `deduplicate_truth.py`.

What is timed is a command from its start to its end, on all sides. Each runs twice on a few
documents first, so that caches are warm; the faster of the two is the `start`, and rates are of the
documents beyond the few over the time beyond the start, but in `with start`. CPU seconds are of the
process tree, sampled. Memory is the largest sum over the tree of proportional set sizes (PSS:
shared pages count once) and of resident set sizes (RSS: shared pages count once a process). A ratio
above 1 speaks for tokenmill. Needs Linux.

    python -m venv VENV
    VENV/bin/pip install 'datatrove[io,processing]==0.10.*' 'xxhash<4' 'spacy>=3.8,<4'
    python -m venv VENV2 && VENV2/bin/pip install 'rensa==0.5.*' numpy
    BENCH_PYTHON=VENV/bin/python RENSA_PYTHON=VENV2/bin/python python benchmarks/deduplicate.py

A peer that is not named is left out. With `--scale` tokenmill runs alone over inputs of several
sizes, each deleted before the next; `--plot` writes the picture of time and memory over size.

    python benchmarks/deduplicate.py --scale 125000,250000,500000,1000000,2000000 --plot scale.svg
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deduplicate_inputs import clusters_of, write_documents
from deduplicate_plot import Line, Panel, picture
from deduplicate_truth import Quality, Truth, judge, truth_of
from end_to_end import ROOT, Timing, Usage, measure
from rich.console import Console
from rich.table import Table

FEW: Final = 512
NUM_FILES: Final = 8
"""Of an input; every side reads them side by side."""
SCALE: Final = "125000,250000,500000,1000000,2000000"
MEMORY_LIMIT: Final = 6 << 30
"""Bytes that the run over the largest input is to stay below, drawn in the picture."""
_STAYING: Final = ("alone", "representative")
_CLUSTERS: Final = 3000

Kept = npt.NDArray[np.bool_]
Side = Callable[[Path, Path], Usage]
"""(input folder, output folder) -> what it took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The settings of one run."""

    data: Path
    processes: int
    work: Path
    console: Console

    def inputs(self, name: str, num_documents: int) -> int:
        """Writes documents into a folder; gives the bytes of their texts."""
        folder = self.work / name
        num_bytes = write_documents(self.data, num_documents, folder, NUM_FILES, self.processes)
        self.say(f"{num_documents:,} documents, {num_bytes / 1e6:,.0f} MB of text")
        return num_bytes

    def tokenmill(self, source: Path, output: Path) -> Usage:
        """`tokenmill deduplicate` over the files of a folder."""
        command = [str(Path(sys.executable).with_name("tokenmill")), "deduplicate"]
        command += ["--input", str(source), "--output", str(output)]
        command += ["--processes", str(self.processes)]
        return measure(command, output.with_suffix(".log"), {})

    def peer(
        self, source: Path, output: Path, *, python: str, script: str, shingles: str = ""
    ) -> Usage:
        """A script of a peer, in its own interpreter, over the files of a folder."""
        task = {"input": str(source), "output": str(output), "processes": self.processes}
        if shingles:
            task["shingles"] = shingles
        place = Path(__file__).with_name(script)
        settings = {
            "HF_HUB_OFFLINE": "1",
            "RAYON_NUM_THREADS": "1",  # rensa's threads; the processes have the cores
            "PYTHONHASHSEED": "0",
        }
        command = [python, str(place), json.dumps(task)]
        return measure(command, output.with_suffix(".log"), settings)

    def say(self, line: str) -> None:
        """A line of progress, with the load of the machine."""
        self.console.print(f"[{os.getloadavg()[0]:.1f} load] {line}", markup=False, highlight=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One side."""

    name: str
    timing: Timing
    quality: Quality


def run_side(
    bench: Bench, name: str, side: Side, num_documents: int, kept: Callable[[Path, int], Kept]
) -> tuple[Timing, Kept]:
    """Runs one side over the few documents, twice, and over all; gives what it kept."""
    few = [side(bench.work / "few", bench.work / f"{name}-few-{number}") for number in range(2)]
    start = min(few, key=lambda usage: usage.seconds)
    bench.say(f"{name}: {FEW} documents in {few[0].seconds:.1f} s, {start.seconds:.1f} s")
    output = bench.work / name
    whole = side(bench.work / "all", output)
    bench.say(f"{name}: {num_documents:,} documents in {whole.seconds:.1f} s")
    timing = Timing(num_records=num_documents, few=FEW, start=start, whole=whole)
    return timing, kept(output, num_documents)


def kept_by_tokenmill(output: Path, num_documents: int) -> Kept:
    """What no other document stands for.

    Raises:
        ValueError: Not every document is in the output once.
    """
    numbers, stay = [], []
    (labels,) = {path.parents[1] for path in output.glob("labels/duplicates@*/*/part-*.parquet")}
    for documents in sorted(output.glob("documents/*/part-*.parquet")):
        source = documents.parent.name.rpartition("@")[0]
        (part,) = (labels / source).glob(f"{documents.name[:10]}-*.parquet")
        metas = pq.read_table(documents, columns=["meta"])["meta"]
        numbers += [int(dict(meta)["id"]) for meta in metas.to_pylist()]
        roles = pq.read_table(part, columns=["duplicate_role"])["duplicate_role"]
        is_kept = pc.is_in(roles, value_set=pa.array(_STAYING))
        stay += np.array(numbers[-len(roles) :])[is_kept.to_numpy()].tolist()
    if sorted(numbers) != list(range(num_documents)):
        raise ValueError(f"{output} holds {len(numbers)} documents of {num_documents}, or other")
    return _mask(stay, num_documents)


def kept_by_peer(output: Path, num_documents: int) -> Kept:
    """The ids that a peer's script listed."""
    listed = (path.read_text().split() for path in output.glob("kept-*.txt"))
    return _mask((int(number) for some in listed for number in some), num_documents)


def _mask(numbers: Iterable[int], num_documents: int) -> Kept:
    kept = np.zeros(num_documents, bool)
    kept[np.fromiter(numbers, np.int64)] = True
    return kept


def compare(bench: Bench, num_documents: int, peers: dict[str, Side]) -> None:
    """Runs all sides over the same documents and prints the table."""
    num_bytes = bench.inputs("all", num_documents)
    bench.inputs("few", FEW)
    truth = truth_of(bench.work / "all", clusters_of(bench.work / "all"), _CLUSTERS)
    results = []
    for name, side in {"tokenmill": bench.tokenmill, **peers}.items():
        reader = kept_by_tokenmill if name == "tokenmill" else kept_by_peer
        timing, kept = run_side(bench, name, side, num_documents, reader)
        results.append(Result(name=name, timing=timing, quality=judge(truth, kept)))
    console = Console(width=max(120, Console().width))
    console.print(comparison(results, num_bytes))
    for line in _remarks(bench, truth, peers):
        console.print(line, highlight=False)


def comparison(results: list[Result], num_bytes: int) -> Table:
    """The sides beside each other, and tokenmill's ratio to each peer."""
    ours, *others = results
    count = ours.timing.num_records
    title = f"{count:,} documents of {num_bytes / count:,.0f} bytes"
    table = Table(title=title, title_justify="left")
    table.add_column("what")
    table.add_column(ours.name, justify="right")
    for other in others:
        table.add_column(other.name, justify="right")
        table.add_column("ratio", justify="right")

    def add(
        what: str, value: Callable[[Result], float], form: str = ",.0f", is_better: str = ""
    ) -> None:
        mine = value(ours)
        row = [what, format(mine, form)]
        for other in others:
            theirs = value(other)
            row.append(format(theirs, form))
            pair = {"more": (mine, theirs), "less": (theirs, mine)}.get(is_better)
            row.append(f"{_over(*pair):.2f}" if pair else "")
        table.add_row(*row)

    add("documents/s", lambda r: r.timing.rate, is_better="more")
    add("documents/s with start", lambda r: count / r.timing.whole.seconds, is_better="more")
    add("documents per CPU second", lambda r: r.timing.cpu_rate, is_better="more")
    add(f"start and {FEW} documents, s", lambda r: r.timing.start.seconds, ",.1f")
    add("peak memory (PSS), MB", lambda r: r.timing.whole.peak_bytes / 1e6, is_better="less")
    add(
        "peak memory (RSS), MB",
        lambda r: r.timing.whole.peak_resident_bytes / 1e6,
        is_better="less",
    )
    table.add_section()
    add("documents removed", lambda r: r.quality.removed)
    add("true pairs found", lambda r: r.quality.recall, ".2%")
    add("of Jaccard 0.80 to 0.85", lambda r: r.quality.recall_lowest, ".2%")
    add("removed, like none that is kept", lambda r: r.quality.wrong, ".2%")
    add("removed, but alone", lambda r: r.quality.removed_alone)
    return table


def _over(value: float, other: float) -> float:
    return value / other if other else float("nan")


def _remarks(bench: Bench, truth: Truth, peers: dict[str, Side]) -> list[str]:
    lines = [
        f"{bench.processes} processes a side. Rates leave out the start of the command, except "
        "'with start'. nan: too few documents to tell.",
        f"true pairs: {truth.num_true_pairs:,} of {len(truth.clusters):,} sampled clusters, by "
        "exact Jaccard of 0.8 or more; found: not both are kept.",
    ]
    for name in peers:
        told = json.loads((bench.work / name / "result.json").read_text())
        steps = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in told["seconds"].items())
        versions = ", ".join(f"{package} {number}" for package, number in told["versions"].items())
        lines.append(f"{name}: {steps} ({versions})")
    return lines


def scale(bench: Bench, sizes: list[int], plot: Path | None) -> None:
    """Runs tokenmill over inputs of several sizes; prints the table, draws the picture."""
    bench.inputs("few", FEW)
    for number in range(2):  # the first warms the caches
        start = bench.tokenmill(bench.work / "few", bench.work / f"few-{number}")
    bench.say(f"start and {FEW} documents: {start.seconds:.1f} s")
    table = Table(title="tokenmill deduplicate over size", title_justify="left")
    names = ("documents", "text, MB", "s", "documents/s", "CPU s", "PSS, MB", "RSS, MB", "removed")
    for name in names:
        table.add_column(name, justify="right")
    runs = []
    for size in sizes:
        num_bytes = bench.inputs("sized", size)
        output = bench.work / "output"
        usage = bench.tokenmill(bench.work / "sized", output)
        removed = int((~kept_by_tokenmill(output, size)).sum())
        bench.say(f"{size:,} documents in {usage.seconds:.1f} s")
        runs.append(usage)
        cells = [
            *(size, num_bytes / 1e6, usage.seconds, size / usage.seconds, usage.cpu_seconds),
            *(usage.peak_bytes / 1e6, usage.peak_resident_bytes / 1e6, removed),
        ]
        table.add_row(*(f"{cell:,.0f}" for cell in cells))
        shutil.rmtree(output)
        shutil.rmtree(bench.work / "sized")
    Console(width=max(100, Console().width)).print(table)
    if plot:
        plot.write_text(_picture(sizes, runs, bench.processes), encoding="utf-8")


def _picture(sizes: list[int], runs: list[Usage], processes: int) -> str:
    times = (
        Line(name="by the clock", values=[usage.seconds for usage in runs]),
        Line(name="CPU", values=[usage.cpu_seconds for usage in runs]),
    )
    memory = (
        Line(name="PSS", values=[usage.peak_bytes / 2**30 for usage in runs]),
        Line(name="RSS", values=[usage.peak_resident_bytes / 2**30 for usage in runs]),
        Line(name="limit", values=[MEMORY_LIMIT / 2**30] * len(runs), limit=True),
    )
    panels = [
        Panel(title="Time, s", lines=times),
        Panel(title="Peak memory of all processes, GiB", lines=memory),
    ]
    caption = (
        f"tokenmill deduplicate, documents of 2 KB, --processes {processes}; start included. "
        "PSS: shared pages once; RSS: once a process."
    )
    return picture(sizes, panels, caption)


def peers_of(bench: Bench, args: argparse.Namespace) -> dict[str, Side]:
    """The peers that are named, and can be run.

    Raises:
        ValueError: A named interpreter lacks the peer.
    """
    peers: dict[str, Side] = {}
    if args.peer_python:
        _check(args.peer_python, "datatrove.pipeline.dedup, spacy", "datatrove")
        peers["datatrove"] = partial(
            bench.peer, python=args.peer_python, script="datatrove_minhash.py"
        )
    if args.rensa_python:
        _check(args.rensa_python, "rensa, numpy", "rensa")
        for shingles in ("strings", "hashes"):
            peers[f"rensa-{shingles}"] = partial(
                bench.peer, python=args.rensa_python, script="rensa_side.py", shingles=shingles
            )
    return peers


def _check(python: str, modules: str, peer: str) -> None:
    tried = shutil.which(python)
    if tried:
        done = subprocess.run([python, "-c", f"import {modules}"], capture_output=True, text=True)
        if not done.returncode:
            return
        tried = done.stderr.strip()[-200:]
    raise ValueError(
        f"{python} cannot run {peer} ({tried or 'not found'}); make a venv as the head of this "
        "file says, and name its interpreter"
    )


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    data = os.environ.get("TOKENMILL_DATA", ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=data, help="holds text/")
    parser.add_argument("--peer-python", default=os.environ.get("BENCH_PYTHON"))
    parser.add_argument("--rensa-python", default=os.environ.get("RENSA_PYTHON"))
    parser.add_argument("--documents", type=int, default=80_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--scale", metavar="SIZES", nargs="?", const=SCALE, help="tokenmill alone")
    parser.add_argument("--plot", type=Path, help="with --scale: where the SVG goes")
    parser.add_argument("--keep", type=Path, help="an empty folder for inputs, outputs and logs")
    args = parser.parse_args()
    if args.documents < 2 * FEW:
        parser.error(f"{args.documents} documents; at least {2 * FEW}")
    return args


def run(args: argparse.Namespace, work: Path) -> None:
    """Runs what was asked for in a folder."""
    console = Console(stderr=True)
    bench = Bench(data=args.data, processes=args.processes, work=work, console=console)
    if args.scale:
        scale(bench, sorted(int(size) for size in args.scale.split(",")), args.plot)
    else:
        compare(bench, args.documents, peers_of(bench, args))


def main() -> None:
    """Runs the benchmark; exit 2 for a user's mistake."""
    args = parse_args()
    try:
        if args.keep:
            args.keep.mkdir(parents=True, exist_ok=True)
            run(args, args.keep.resolve())
        else:
            with tempfile.TemporaryDirectory() as folder:
                run(args, Path(folder))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()

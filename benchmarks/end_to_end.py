"""tokenmill beside datatrove 0.10: the same files, the same number of processes, one run.

A. WARC of real pages -> text, language, quality. tokenmill: `tokenmill run` without mixtures, that
   is extract, the labels language, quality, length and signatures, and exact deduplication.
   datatrove: WarcReader, Trafilatura, LanguageFilter, Gopher repetition and quality, C4, FineWeb,
   JsonlWriter. Beside speed stands the F1 of the text of `html/aeb` articles, by one function.
B. JSONL of real documents of about 4 KB -> labels -> Megatron shards. tokenmill: `tokenmill run`
   with one mixture of all documents that pass the rules. datatrove: JsonlReader, LanguageFilter,
   the same filters without C4, MegatronDocumentTokenizer with the same tokenizer.json.

What is timed is a command, from its start to its end, on both sides: interpreter, imports, child
processes and model loading are in `with start`. Each command runs twice on a few records first, so
that caches are warm, and the faster of the two is the `start`; the other rates and ratios are of
the records beyond the few, over the time beyond the start. CPU seconds are of the whole process
tree, sampled; they tell a busy machine from a slow program. Memory is the largest sum of
proportional set sizes over the tree (shared pages count once). A ratio above 1 speaks for
tokenmill in every row. Needs Linux.

What each side does differently is written in `datatrove_side.py`. datatrove needs its own venv:

    python -m venv VENV
    VENV/bin/pip install 'datatrove[io,processing]==0.10.*' 'xxhash<4' 'spacy>=3.8,<4' \\
        lxml_html_clean
    BENCH_PYTHON=VENV/bin/python python benchmarks/end_to_end.py
"""

import argparse
import gzip
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from time import monotonic
from typing import Any, Final

import pyarrow.parquet as pq
from inputs import read_pages, write_pages, write_texts
from rich.console import Console
from rich.table import Table

from annotators.language.model_file import SHIPPED
from pipelines.extract.evaluation import evaluate_html, score_articles

ROOT: Final = Path(__file__).resolve().parents[1]
TOKENIZER: Final = ROOT / "examples" / "tokenizer" / "tokenizer.json"
IS_FAST: Final = {"trafilatura": False, "trafilatura-fast": True, "resiliparse": True}
"""Engine of tokenmill -> whether it stands beside the fast mode of datatrove's Trafilatura."""
FEW: Final = {"html": 64, "text": 2048}
"""Records of the run that measures the start; enough that every child process gets some."""
_MIN_SECONDS: Final = 3.0
"""Time beyond the start under which no rate is told: starts differ by up to a second."""
_SAMPLE_S: Final = 0.2
_MEMORY_EVERY: Final = 3  # samples; the kernel walks all page tables of a process to tell its share
_MIXTURE: Final = """\
name: all
seed: 1
stages:
  - {name: all, sequence_length: 4096, tokens: max, where: quality_keep, max_epochs: 1}
"""


@dataclass(slots=True)
class Usage:
    """What a command and all processes below it took."""

    seconds: float = 0.0
    """Wall clock."""
    peak_bytes: int = 0
    """Largest sum of proportional set sizes."""
    peak_resident_bytes: int = 0
    """Largest sum of resident set sizes, in which shared pages count once a process."""
    _ticks: dict[tuple[int, str], int] = field(default_factory=dict)
    """(pid, start time) -> CPU time when it was last seen."""
    _num_samples: int = 0

    @property
    def cpu_seconds(self) -> float:
        """User and system time of all processes that were seen."""
        return sum(self._ticks.values()) / os.sysconf("SC_CLK_TCK")

    def sample(self, root: int) -> None:
        """Looks at the processes at and below `root`."""
        stats = _read_stats()
        tree, before = {root}, 0
        while len(tree) > before:
            before = len(tree)
            tree |= {pid for pid, stat in stats.items() if int(stat[1]) in tree}
        for pid in tree & stats.keys():
            stat = stats[pid]
            self._ticks[pid, stat[19]] = int(stat[11]) + int(stat[12])
        if self._num_samples % _MEMORY_EVERY == 0:
            sizes = [_memory(pid) for pid in tree]
            self.peak_bytes = max(self.peak_bytes, sum(pss for pss, _ in sizes))
            self.peak_resident_bytes = max(self.peak_resident_bytes, sum(rss for _, rss in sizes))
        self._num_samples += 1


def _read_stats() -> dict[int, list[str]]:
    """Pid -> fields of /proc/<pid>/stat from the third on (man 5 proc)."""
    stats = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            stats[int(place.name)] = (place / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
    return stats


def _memory(pid: int) -> tuple[int, int]:
    """Proportional and resident bytes of a process (man 5 proc: smaps_rollup)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0, 0  # it has just ended
    sizes = {line.split(":")[0]: int(line.split()[1]) << 10 for line in lines[1:]}
    return sizes.get("Pss", 0), sizes.get("Rss", 0)


def measure(command: list[str], log: Path, environment: dict[str, str]) -> Usage:
    """Runs a command to its end.

    Raises:
        RuntimeError: It failed; the message ends with the end of its log.
    """
    usage, begin = Usage(), monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=os.environ | environment
        )
        while process.returncode is None:
            usage.sample(process.pid)
            try:
                process.wait(_SAMPLE_S)
            except subprocess.TimeoutExpired:
                continue
    usage.seconds = monotonic() - begin
    if process.returncode:
        tail = log.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{command[:3]} ended with {process.returncode}:\n{tail}")
    return usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The settings of one run."""

    data: Path
    peer_python: str
    processes: int
    work: Path
    console: Console

    def tokenmill(self, source: Path, output: Path, *, engine: str, mixtures: list[str]) -> Usage:
        """`tokenmill run` over the files of a folder; the workspace is `output`."""
        config = {
            "name": "bench",
            "sources": [{"name": "web", "path": str(source)}],
            "extract": {"html_engine": engine},
            "tokenizer": str(self.work / TOKENIZER.name),
            "annotators": ["language", "quality"],
            "mixtures": mixtures,
        }
        corpus = output.with_suffix(".yaml")
        corpus.write_text(json.dumps(config))
        command = [str(Path(sys.executable).with_name("tokenmill")), "run", str(corpus)]
        command += ["--workspace", str(output), "--processes", str(self.processes)]
        return measure(command, output.with_suffix(".log"), {})

    def datatrove(self, source: Path, output: Path, *, kind: str, fast: bool = False) -> Usage:
        """A pipeline of `datatrove_side.py` over the files of a folder."""
        task = {
            "kind": kind,
            "input": str(source),
            "output": str(output),
            "processes": self.processes,
            "fast": fast,
            "model": str(SHIPPED),
            "tokenizer": str(self.work / TOKENIZER.name),
        }
        script = Path(__file__).with_name("datatrove_side.py")
        command = [self.peer_python, str(script), json.dumps(task)]
        cache = {"HF_ASSETS_CACHE": str(self.work / "assets"), "HF_HUB_OFFLINE": "1"}
        return measure(command, output.with_suffix(".log"), cache)

    def say(self, line: str) -> None:
        """A line of progress, with the load of the machine."""
        self.console.print(f"[{os.getloadavg()[0]:.1f} load] {line}", markup=False, highlight=False)


Side = Callable[[Path, Path], Usage]
"""(input folder, output folder) -> what it took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One side on one input."""

    num_records: int
    few: int
    start: Usage
    """Of the run over a few records."""
    whole: Usage

    @property
    def rate(self) -> float:
        """Records a second beyond the start; NaN where that is too short to tell."""
        return self._rate(self.whole.seconds - self.start.seconds)

    @property
    def cpu_rate(self) -> float:
        """Records a CPU second beyond the start; NaN likewise."""
        return self._rate(self.whole.cpu_seconds - self.start.cpu_seconds)

    def _rate(self, seconds: float) -> float:
        return (self.num_records - self.few) / seconds if seconds >= _MIN_SECONDS else math.nan


def time_side(bench: Bench, name: str, side: Side, kind: str, num_records: int) -> Timing:
    """Runs one side over the few of `<kind>-few`, twice, and over all records of `<kind>`."""
    few = bench.work / f"{kind}-few"
    starts = [side(few, bench.work / f"{name}-few-{number}") for number in range(2)]
    start = min(starts, key=lambda usage: usage.seconds)
    bench.say(f"{name}: {FEW[kind]:,} records in {starts[0].seconds:.1f} s, {start.seconds:.1f} s")
    whole = side(bench.work / kind, bench.work / name)
    bench.say(f"{name}: {num_records:,} records in {whole.seconds:.1f} s")
    return Timing(num_records=num_records, few=FEW[kind], start=start, whole=whole)


def add_timings(table: Table, what: str, ours: Timing, theirs: Timing) -> None:
    """The rows of a comparison that are about speed and memory."""

    def add(
        label: str, mine: float, other: float, form: str = ",.1f", *, over: bool = False
    ) -> None:
        ratio = other / mine if over else mine / other
        table.add_row(label, format(mine, form), format(other, form), f"{ratio:.1f}")

    table.add_section()
    table.add_row(what, style="bold")
    add("records/s", ours.rate, theirs.rate)
    mine, other = (t.num_records / t.whole.seconds for t in (ours, theirs))
    add("records/s with start", mine, other)
    add("records per CPU second", ours.cpu_rate, theirs.cpu_rate)
    starts = [f"{timing.start.seconds:.1f}" for timing in (ours, theirs)]
    table.add_row(f"start and {ours.few:,} records, s", *starts)
    add("peak memory, MB", ours.whole.peak_bytes / 1e6, theirs.whole.peak_bytes / 1e6, over=True)


def compare_html(bench: Bench, num_records: int, engines: list[str], table: Table) -> None:
    """Part A."""
    pages = read_pages(bench.data)
    write_pages(pages, num_records, bench.work / "html", bench.processes)
    write_pages(pages, FEW["html"], bench.work / "html-few", bench.processes)
    articles = {one.engine: one.f1 for one in evaluate_html(bench.data, engines).scores}
    peers: dict[bool, tuple[Timing, float, int]] = {}
    for engine in engines:
        ours_name, fast = f"tokenmill-{engine}", IS_FAST[engine]
        side = partial(bench.tokenmill, engine=engine, mixtures=[])
        ours = time_side(bench, ours_name, side, "html", num_records)
        if fast not in peers:
            peers[fast] = _time_peer_html(bench, num_records, fast=fast)
        theirs, peer_f1, peer_kept = peers[fast]
        mode = "no_fallback=True" if fast else "defaults"
        add_timings(table, f"html, {engine} beside Trafilatura({mode})", ours, theirs)
        table.add_row("article F1 (aeb)", f"{articles[engine]:.3f}", f"{peer_f1:.3f}")
        kept = sum(keep for keep, _ in decisions(bench.work / ours_name).values())
        table.add_row(f"kept of {num_records:,}", f"{kept:,}", f"{peer_kept:,}")


def _time_peer_html(bench: Bench, num_records: int, *, fast: bool) -> tuple[Timing, float, int]:
    """Timing, F1 of articles, documents kept."""
    name = "datatrove-fast" if fast else "datatrove"
    side = partial(bench.datatrove, kind="html", fast=fast)
    timing = time_side(bench, name, side, "html", num_records)
    pages = read_pages(bench.data, ("aeb",))
    output = bench.work / f"{name}-articles"
    write_pages(pages, len(pages), output.with_suffix(".warc"), bench.processes)
    bench.datatrove(output.with_suffix(".warc"), output, kind="articles", fast=fast)
    found = {row["metadata"]["url"]: row["text"] for row in _documents(output)}
    texts = [found.get(page.url, "") for page in pages]
    precision, recall = score_articles(texts, [page.article or "" for page in pages])
    f1 = 2 * precision * recall / (precision + recall)
    return timing, f1, len(_kept_ids(bench.work / name))


def compare_text(bench: Bench, num_documents: int, table: Table) -> None:
    """Part B."""
    num_bytes = write_texts(bench.data, num_documents, bench.work / "text", bench.processes)
    write_texts(bench.data, FEW["text"], bench.work / "text-few", bench.processes)
    mixture = bench.work / "all.yaml"
    mixture.write_text(_MIXTURE)
    ours_side = partial(bench.tokenmill, engine="resiliparse", mixtures=[str(mixture)])
    ours = time_side(bench, "tokenmill-text", ours_side, "text", num_documents)
    theirs_side = partial(bench.datatrove, kind="text")
    theirs = time_side(bench, "datatrove-text", theirs_side, "text", num_documents)
    size = num_bytes / num_documents
    add_timings(table, f"text of {size:,.0f} bytes a document to shards", ours, theirs)
    decided = decisions(bench.work / "tokenmill-text")
    kept = {id_ for id_, (keep, _) in decided.items() if keep}
    peer_kept = _kept_ids(bench.work / "datatrove-text")
    table.add_row(f"kept of {num_documents:,}", f"{len(kept):,}", f"{len(peer_kept):,}")
    table.add_row("kept by one alone", f"{len(kept - peer_kept):,}", f"{len(peer_kept - kept):,}")
    tokens = _num_tokens(bench.work)
    table.add_row("tokens written, EOD included", *(f"{number:,}" for number in tokens))
    share = _language_share(bench.work / "datatrove-text")
    table.add_row("language step, part of its time", "", f"{share:.1%}")
    english = {id_ for id_, (_, language) in decided.items() if language == "eng_Latn"}
    for label, ids in (("English", english), ("all", decided.keys())):
        same = sum((id_ in kept) == (id_ in peer_kept) for id_ in ids) / max(1, len(ids))
        table.add_row(f"same decision, {label} ({len(ids):,})", f"{same:.1%}")


def decisions(workspace: Path) -> dict[str, tuple[bool, str]]:
    """Id of the input (or the row) -> quality_keep and language, from the labels of a workspace."""
    found: dict[str, tuple[bool, str]] = {}
    for documents in sorted(workspace.glob("documents/web@*/part-*.parquet")):
        part = f"web/{documents.name[:10]}-*.parquet"
        (quality,) = workspace.glob(f"labels/quality@*/{part}")
        (language,) = workspace.glob(f"labels/language@*/{part}")
        metas = pq.read_table(documents, columns=["meta"])["meta"].to_pylist()
        keeps = pq.read_table(quality, columns=["quality_keep"])["quality_keep"].to_pylist()
        languages = pq.read_table(language, columns=["language"])["language"].to_pylist()
        for row, (meta, *labels) in enumerate(zip(metas, keeps, languages, strict=True)):
            found[dict(meta).get("id", f"{documents.name}:{row}")] = labels[0], labels[1]
    return found


def _kept_ids(output: Path) -> set[str]:
    return set(chain.from_iterable(p.read_text().split() for p in output.glob("*.ids")))


def _documents(output: Path) -> list[dict[str, Any]]:
    lines = chain.from_iterable(
        gzip.open(path, "rt", encoding="utf-8") for path in output.glob("documents/*.jsonl.gz")
    )
    return [json.loads(line) for line in lines]


def _language_share(output: Path) -> float:
    seconds = json.loads((output / "result.json").read_text())["seconds"]
    language = sum(took for name, took in seconds.items() if "Language" in name)
    return float(language / sum(seconds.values()))


def _num_tokens(work: Path) -> tuple[int, int]:
    entries = (work / "tokenmill-text").glob("ledger/shards.all@*/*/part-*.json")
    ours = sum(json.loads(entry.read_text())["counts"]["tokens"] for entry in entries)
    counts = json.loads((work / "datatrove-text" / "result.json").read_text())["counts"]
    return ours, sum(step.get("tokens", 0) for step in counts.values())


def check_peer(python: str | None) -> str:
    """The interpreter of datatrove's venv.

    Raises:
        ValueError: There is none, or it lacks what the other side imports.
    """
    remedy = (
        "make one: python -m venv VENV && VENV/bin/pip install 'datatrove[io,processing]==0.10.*' "
        "'xxhash<4' 'spacy>=3.8,<4' lxml_html_clean; then name it: --peer-python VENV/bin/python "
        "(or BENCH_PYTHON)"
    )
    if not python or not shutil.which(python):
        raise ValueError(f"found {python!r} as the interpreter with datatrove; {remedy}")
    wanted = "import datatrove, trafilatura, spacy, warcio, cchardet, magic, fasttext"
    tried = subprocess.run([python, "-c", wanted], capture_output=True, text=True)
    if tried.returncode:
        raise ValueError(f"{python} cannot run datatrove ({tried.stderr.strip()[-200:]}); {remedy}")
    return python


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    data = os.environ.get("TOKENMILL_DATA", ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=data, help="holds html/, text/ and labels/")
    parser.add_argument("--peer-python", default=os.environ.get("BENCH_PYTHON"))
    parser.add_argument(
        "--records", type=int, default=3000, help="pages of part A; 0 leaves it out"
    )
    parser.add_argument("--documents", type=int, default=20_000, help="of part B; 0 leaves it out")
    parser.add_argument("--engines", default=",".join(IS_FAST), help="of tokenmill in part A")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="an empty folder for inputs, outputs and logs")
    args = parser.parse_args()
    for kind, number in (("html", args.records), ("text", args.documents)):
        if 0 != number < 2 * FEW[kind]:
            parser.error(f"{number} {kind} records; at least {2 * FEW[kind]}, or 0 for none")
    unknown = set(args.engines.split(",")) - IS_FAST.keys()
    if unknown:
        parser.error(f"unknown engines {sorted(unknown)}; choose of {', '.join(IS_FAST)}")
    return args


def run(args: argparse.Namespace, work: Path) -> None:
    """Runs both parts in a folder and prints the table."""
    bench = Bench(
        data=args.data,
        peer_python=check_peer(args.peer_python),
        processes=args.processes,
        work=work,
        console=Console(stderr=True),
    )
    shutil.copy(TOKENIZER, work)  # one and the same for all commands, whatever is edited meanwhile
    table = Table(title="tokenmill beside datatrove", title_justify="left")
    table.add_column("what")
    for name in ("tokenmill", "datatrove", "ratio"):
        table.add_column(name, justify="right")
    if args.records:
        compare_html(bench, args.records, args.engines.split(","), table)
    if args.documents:
        compare_text(bench, args.documents, table)
    versions = json.loads(next(work.glob("datatrove*/result.json")).read_text())["versions"]
    console = Console(width=max(100, Console().width))
    console.print(table)
    for line in (
        f"{args.processes} processes a side. Rates leave out the start of the command on both "
        "sides; 'with start' is the whole command. nan: too few records to tell.",
        "datatrove's venv: " + ", ".join(f"{name} {number}" for name, number in versions.items()),
        "datatrove's LanguageFilter reads tokenmill's model file; its words are those of spaCy's "
        "blank en; no NLTK data is used.",
    ):
        console.print(line, highlight=False)


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

"""Unit costs of the whole line at three sizes, on real data: `pipelines/scale/unit_costs.yaml`.

Texts (`scale_inputs.py`) of 66 MB a unit go through all stages at 1x, 4x and 16x, in parts of 8 MB,
so that memory over the number of parts is seen; pages, PDFs and scans go through extraction alone.
Every run is `scale_run.py` in a process of its own, watched from outside for memory. What is fixed
(interpreter, models, compiled kernels) is what a run over 512 documents takes.

A unit cost is the cost of one size less that of a smaller one, over the difference in what drives
it: gigabytes of text, millions of documents or pages, thousands of parts. `value` is that of the
smallest and the largest run, `low` and `high` are the extremes over all pairs of sizes that differ,
repeats included. The exponent of a stage is e of cost = a + b * size ** e through the three sizes:
1 is linear. CPU seconds are told because the clock of a shared machine says nothing.

    python benchmarks/scale.py --data ../shared/data --write

Runs are kept in `--folder` (`results.jsonl`) and not done again. Needs 5 GB of disk and, on two
free cores, half an hour. `scale_ledger.py` and `scale_store.py` measure the driver and the object
store.
"""

import argparse
import itertools
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Final

import yaml
from deduplicate_plot import Line, Panel, picture
from end_to_end import measure
from inputs import read_pages, write_pages
from scale_inputs import copy_files, write_texts

ROOT: Final = Path(__file__).resolve().parents[1]
OUTPUT: Final = ROOT / "pipelines" / "scale" / "unit_costs.yaml"
PLOT: Final = ROOT / "docs" / "scale.svg"
DOCUMENTS: Final = 16_000
FEW: Final = 512
PART_BYTES: Final = 8 << 20
SHARD_TOKENS: Final = 16_000_000
PROCESSES: Final = 2
RUNS: Final = ((0, 1), (1, 3), (4, 2), (16, 1))
"""Size and how often."""
KINDS: Final = {"html": 576, "pdf": 1, "ocr": 1}
"""What goes through extraction alone -> records of 1x; of PDFs the files of `_pdfs`, each once."""
SETS: Final = ("gsm8k_test", "math_test", "mmlu_test", "humaneval", "mbpp")
_SCANS: Final = ("skew", "multipage", "kcs", "jbig2", "epson")
_MIXTURE: Final = """\
name: all
seed: 1
stages:
  - {name: all, sequence_length: 4096, tokens: max, where: quality_keep, max_epochs: 1}
"""
_STAGES: Final[dict[str, Callable[[str], bool]]] = {
    "extract_text": lambda name: name.startswith("Extract"),
    "annotate": lambda name: name.startswith("Annotate"),
    "exact": lambda name: name.startswith("Find duplicates: deduplicate."),
    "near": lambda name: (
        name.startswith("Find duplicates") and not name.startswith("Find duplicates: deduplicate.")
    ),
    "plan": lambda name: name.split()[0] in ("Plan", "Add", "Preview"),
    "shards": lambda name: name.startswith("Write"),
    "driver": lambda name: name == "driver",
}
Result = dict[str, Any]


class Bench:
    """Where runs are made and kept."""

    def __init__(self, data: Path, folder: Path) -> None:
        self.data, self.folder = data.resolve(), folder
        self.file = folder / "results.jsonl"
        folder.mkdir(parents=True, exist_ok=True)

    def results(self) -> list[Result]:
        """All runs so far."""
        return [json.loads(line) for line in self.file.open()] if self.file.exists() else []

    def run(self, kind: str, size: int, repeat: int) -> None:
        """Makes one run, unless it was made before."""
        known = {(r["kind"], r["size"], r["repeat"]) for r in self.results()}
        if (kind, size, repeat) in known:
            return
        source = self.folder / f"{kind}{size}"
        text_bytes = self._write(kind, size, source)
        workspace = self.folder / "workspace"
        shutil.rmtree(workspace, ignore_errors=True)
        corpus = self._corpus(kind, source)
        task = {"corpus": str(corpus), "workspace": str(workspace), "processes": PROCESSES}
        script = str(Path(__file__).with_name("scale_run.py"))
        command = [sys.executable, script, json.dumps(task | {"whole": kind == "text"})]
        log = self.folder / "log"
        usage = measure(command, log, {})
        told = json.loads(log.read_text().splitlines()[-1])
        told |= {"kind": kind, "size": size, "repeat": repeat, "text_bytes": text_bytes}
        told |= {"pss": usage.peak_bytes, "rss": usage.peak_resident_bytes, "wall": usage.seconds}
        if kind == "text" and not repeat:
            command = [sys.executable, "-m", "pipelines.cli", "audit", str(workspace)]
            usage = measure(command, self.folder / "log.audit", {})
            told |= {"audit_s": usage.cpu_seconds, "audit_pss": usage.peak_bytes}
        with self.file.open("a") as file:
            file.write(json.dumps(told) + "\n")
        print(f"{kind} {size}x: {told['cpu_s']:.0f} CPU s, {told['wall']:.0f} s", flush=True)
        shutil.rmtree(workspace)

    def _corpus(self, kind: str, source: Path) -> Path:
        mixture = self.folder / "all.yaml"
        mixture.write_text(_MIXTURE)
        folder = self.data / "decontamination"
        sets = [{"name": name, "path": str(folder / f"{name}.jsonl.gz")} for name in SETS]
        config = {
            "name": "scale",
            "sources": [{"name": "web", "path": str(source)}],
            "tokenizer": str(ROOT / "examples" / "tokenizer"),
            "part_bytes": PART_BYTES,
            "shard_tokens": SHARD_TOKENS,
            "mixtures": [str(mixture)],
            "benchmarks": sets if kind == "text" else [],
            "extract": {"pdf": {"ocr": "rapidocr" if kind == "ocr" else "none"}},
        }
        corpus = self.folder / f"{kind}.yaml"
        corpus.write_text(json.dumps(config))
        return corpus

    def _write(self, kind: str, size: int, source: Path) -> int:
        """Writes the input unless it is there; gives bytes of text where these are known."""
        said = source.with_suffix(".bytes")
        if said.exists():
            return int(said.read_text())
        num_bytes = 0
        if kind == "text":
            half = (size * DOCUMENTS or FEW) // 2
            for first in (0, half):
                num_bytes += write_texts(self.data, first, first + half, source)
        elif kind == "html":
            write_pages(read_pages(self.data), size * KINDS["html"] or 16, source, 2)
        else:
            copy_files(_pdfs(self.data, kind)[: None if size else 2], max(1, size), source)
        said.write_text(str(num_bytes))
        return num_bytes


def _pdfs(data: Path, kind: str) -> list[Path]:
    """Real files: with text layers, or scans."""
    if kind == "ocr":
        found = [data / "documents" / "ocrmypdf" / f"{name}.pdf" for name in _SCANS]
        found = [file for file in found if file.exists()]
    else:
        found = sorted((data / "documents" / "docling").rglob("*.pdf"))
    if not found:
        raise ValueError(f"{data} holds no documents/; name the folder with --data")
    return found


def stage_cost(result: Result, stage: str) -> float:
    """CPU seconds of a stage in one run."""
    chosen = _STAGES[stage]
    return float(sum(step["cpu_s"] for step in result["steps"] if chosen(step["name"])))


def slopes(points: Sequence[tuple[float, float]]) -> list[float]:
    """Cost over driver between all pairs of points of different size, the widest first."""
    pairs = [
        (b[0] - a[0], (b[1] - a[1]) / (b[0] - a[0]))
        for a, b in itertools.combinations(sorted(points), 2)
        if b[0] > a[0] * 1.5
    ]
    return [slope for _, slope in sorted(pairs, reverse=True)]


def cost_of(points: Sequence[tuple[float, float]], unit: str, on: str) -> dict[str, Any]:
    """One figure from (driver, cost) of several runs."""
    found = [max(0.0, one) for one in slopes(points)]
    largest = max(size for size, _ in points)
    smallest = min(size for size, _ in points)
    ends = [
        statistics.fmean(cost for size, cost in points if size == end)
        for end in (smallest, largest)
    ]
    value = max(0.0, (ends[1] - ends[0]) / (largest - smallest))
    low, high = min([value, *found]), max([value, *found])
    return {
        "value": _round(value),
        "low": _round(low),
        "high": _round(high),
        "unit": unit,
        "on": on,
    }


def fixed(value: float, unit: str, on: str) -> dict[str, Any]:
    """A figure that does not vary: bytes of a schema, files of a part."""
    return cost_range(value, value, value, unit, on)


def cost_range(value: float, low: float, high: float, unit: str, on: str) -> dict[str, Any]:
    """One figure with its bounds."""
    told = {"value": _round(value), "low": _round(low), "high": _round(high)}
    return told | {"unit": unit, "on": on}


def exponent(small: float, middle: float, large: float) -> float:
    """e of cost = a + b * size ** e through the costs of three sizes, each four times the last.

    The difference of the upper two over that of the lower two is 4 ** e, whatever is fixed.
    """
    if not small < middle < large:
        return math.nan
    return math.log((large - middle) / (middle - small), 4)


def _round(value: float) -> float:
    """Three digits that count."""
    return float(f"{value:.3g}")


def points_of(
    results: Sequence[Result], driver: Callable[[Result], float], cost: Callable[[Result], float]
) -> list[tuple[float, float]]:
    """(driver, cost) of runs."""
    return [(driver(one), cost(one)) for one in results]


def _start(results: Sequence[Result], on: str) -> dict[str, Any]:
    """What a run takes before its first document: where the line through all runs meets 0."""
    sizes, seconds = zip(
        *[(float(one["size"]), float(one["cpu_s"])) for one in results], strict=True
    )
    found = statistics.linear_regression(sizes, seconds).intercept
    bounds = [found, *(s for n, s in zip(sizes, seconds, strict=True) if not n)]
    unit = f"core-seconds / run with {PROCESSES} children"
    return cost_range(found, min(bounds), max(bounds), unit, on)


def _inside(result: Result, name: str) -> float:
    """CPU seconds inside one annotator."""
    return float(result["annotators"].get(name, 0.0))


def text_costs(results: Sequence[Result]) -> dict[str, Any]:
    """Unit costs of the runs over texts."""

    def gigabytes(one: Result) -> float:
        return float(one["text_bytes"]) / 1e9

    def million(one: Result) -> float:
        return float(one["counts"]["extract.documents"]) / 1e6

    def parts(one: Result) -> float:
        return float(one["counts"]["entries.extract"])

    def drawn(one: Result) -> float:
        return gigabytes(one) * float(one["counts"]["shards.all.draws"]) / (million(one) * 1e6)

    largest = max(results, key=lambda one: int(one["size"]))
    on = (
        f"{largest['counts']['extract.documents']:,} documents, {gigabytes(largest):.2f} GB of text"
    )
    per_gb, per_million = "core-seconds / GB of text", "core-seconds / million documents"
    drivers = {
        "extract_text": (gigabytes, per_gb),
        "exact": (million, per_million),
        "near": (million, per_million),
        "plan": (million, f"{per_million} and mixture"),
        "shards": (drawn, "core-seconds / GB of text that is drawn"),
        "driver": (lambda one: parts(one) / 1000, "core-seconds / thousand parts"),
    }
    costs = {
        f"cpu.{stage}": cost_of(
            points_of(results, driver, partial(stage_cost, stage=stage)), unit, on
        )
        for stage, (driver, unit) in drivers.items()
    }
    names = sorted(largest["annotators"])
    for name in names:
        seen = points_of(results, gigabytes, partial(_inside, name=name))
        costs[f"cpu.{name}"] = cost_of(seen, per_gb, on)
    rest = points_of(
        results,
        gigabytes,
        lambda one: stage_cost(one, "annotate") - sum(one["annotators"].values()),
    )
    costs["cpu.annotate.reading_and_writing"] = cost_of(rest, per_gb, on)
    costs["cpu.start"] = _start(results, on)
    audits = [one for one in results if "audit_s" in one]
    if len({one["size"] for one in audits}) > 1:
        seen = points_of(audits, gigabytes, lambda one: float(one["audit_s"]))
        costs["cpu.audit"] = cost_of(seen, per_gb, on)
    return costs | _sizes(results, largest, on)


def _sizes(results: Sequence[Result], largest: Result, on: str) -> dict[str, Any]:
    """Bytes stored and shuffled, files and entries, from the largest run."""
    counts, stored, files = largest["counts"], largest["stored"], largest["files"]
    documents, parts = counts["extract.documents"], counts["entries.extract"]
    a_document = "bytes / document"
    made: dict[str, Any] = {
        "stored.documents": fixed(
            stored["extract.documents"] / largest["text_bytes"], "bytes / byte of text", on
        ),
        "stored.token": fixed(
            sum(n for k, n in stored.items() if k in ("shards.all.idx", "shards.all.map"))
            / counts["shards.all.tokens"],
            "bytes of index and map / token, beside its id",
            on,
        ),
        "stored.ledger": fixed(stored["ledger"] / parts, "bytes / part, all jobs", on),
    }
    for kind, num_bytes in stored.items():
        if kind.startswith("annotate.") and kind.endswith(".labels"):
            name = kind.removeprefix("annotate.").removesuffix(".labels")
            made[f"stored.labels.{name}"] = fixed(num_bytes / documents, a_document, on)
    for group, prefix in (("exact", "deduplicate"), ("near", "near_duplicates")):
        num_bytes = sum(n for kind, n in stored.items() if kind.startswith(prefix))
        made[f"stored.{group}"] = fixed(num_bytes / documents, a_document, on)
        of_parts = sum(n for kind, n in files.items() if kind.startswith(prefix) and n >= parts)
        of_jobs = [n for name, n in counts.items() if name.startswith(f"entries.{prefix}")]
        entries = sum(n for n in of_jobs if n >= parts)  # others are by partition
        made[f"files.{group}"] = fixed((of_parts + entries) / parts, "files and entries / part", on)
    for group, prefix in (("extract", "extract"), ("annotate", "annotate"), ("plan", "tally")):
        own = sum(n for kind, n in files.items() if kind.startswith(f"{prefix}."))
        entries = sum(n for k, n in counts.items() if k.startswith(f"entries.{prefix}"))
        twice = 2 if group == "plan" else 1  # tallies and previews
        made[f"files.{group}"] = fixed(
            twice * (own + entries) / parts, "files and entries / part", on
        )
    entries = sum(n for name, n in counts.items() if name.startswith("entries."))
    made["files.entries"] = fixed(entries / parts, "ledger entries / part", on)
    return made | _shuffles(largest, documents, on)


def _shuffles(largest: Result, documents: int, on: str) -> dict[str, Any]:
    """Bytes of rows a document, less what the schemas of the batches weigh."""
    overhead = 900.0  # of the schemas in the mean: 664 of bands, 848 of members, 1,152 of decisions

    def rows(kinds: tuple[str, ...]) -> float:
        chosen = [s for s in largest["steps"] if s["name"].rpartition(".")[2] in kinds]
        return float(sum(max(0.0, s["shuffled_bytes"] - overhead * s["batches"]) for s in chosen))

    steps = [s for s in largest["steps"] if s["name"].startswith("Find duplicates: deduplicate.")]
    exact = sum(max(0.0, s["shuffled_bytes"] - overhead * s["batches"]) for s in steps)
    near = ("ListPairs", "StoreTexts")
    joined = [
        s for s in largest["steps"] if s["name"] == "Find duplicates: near_duplicates.FindClusters"
    ]
    pairs = rows(near) + sum(float(s["shuffled_bytes"]) for s in joined)
    counts = largest["counts"]
    bands = counts["near_duplicates.bands.bands"]
    a_document = "bytes / document"
    similar = counts["near_duplicates.clusters.texts_in_pairs"] / documents
    similar_pairs = counts["near_duplicates.pairs.similar"] / documents
    return {
        "shuffle.exact": fixed(exact / documents, a_document, on),
        # All bands, as of 13 million documents; fewer go where those that occur once are known.
        "shuffle.near": fixed(32 * bands / documents, a_document, on),
        "shuffle.near_pairs": fixed(pairs / documents, a_document, on),
        "shuffle.similar_pairs": fixed(similar_pairs, "similar pairs / document", on),
        "shuffle.similar_texts": fixed(similar, "texts in similar pairs / document", on),
        "shuffle.batch": fixed(
            overhead, "bytes of schema / batch", "the schemas that are shuffled"
        ),
    }


def page_costs(results: Sequence[Result], kind: str) -> dict[str, Any]:
    """The unit cost of pages of one kind."""
    name = {"html": "cpu.html", "pdf": "cpu.pdf", "ocr": "cpu.ocr"}[kind]

    def pages(one: Result) -> float:
        counts = one["counts"]
        own = {"html": "documents", "pdf": "pages_text", "ocr": "pages_ocr"}[kind]
        return float(counts[f"extract.{own}"]) / 1e6

    largest = max(results, key=lambda one: int(one["size"]))
    on = f"{pages(largest) * 1e6:,.0f} pages of real files, amplified"
    seen = points_of(results, pages, lambda one: stage_cost(one, "extract_text"))
    return {name: cost_of(seen, "core-seconds / million pages", on)}


def summary(results: Sequence[Result]) -> str:
    """Costs at three sizes, exponents, CPU shares and memory, as docs/scale.md has them."""
    texts = [one for one in results if one["kind"] == "text"]
    largest = max(texts, key=lambda one: int(one["size"]))
    lines = [
        "| stage | CPU s at 1x | 4x | 16x | exponent | cores busy of 2 |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for stage, chosen in _STAGES.items():
        costs = [
            statistics.fmean(stage_cost(one, stage) for one in texts if one["size"] == size)
            for size in (1, 4, 16)
        ]
        steps = [s for s in largest["steps"] if chosen(s["name"])]
        busy = sum(s["cpu_s"] for s in steps) / max(1e-9, sum(s["wall_s"] for s in steps))
        cells = " | ".join(f"{cost:.1f}" for cost in costs)
        lines.append(f"| {stage} | {cells} | {exponent(*costs):.2f} | {busy:.2f} |")
    lines.append("")
    for one in sorted(texts, key=lambda one: int(one["size"])):
        lines.append(
            f"{one['size']}x: {one['counts']['entries.extract']} parts, RSS "
            f"{one['rss'] / 1e6:,.0f} MB, PSS {one['pss'] / 1e6:,.0f} MB, "
            f"{one['cpu_s']:.0f} CPU s, {one['wall']:.0f} s"
        )
    return "\n".join(lines)


def plot(results: Sequence[Result]) -> str:
    """Memory and CPU seconds over the number of documents."""
    texts = [one for one in results if one["kind"] == "text" and one["size"]]
    sizes = sorted({one["size"] for one in texts})

    def mean(what: Callable[[Result], float]) -> list[float]:
        return [statistics.fmean(what(one) for one in texts if one["size"] == n) for n in sizes]

    documents = [round(n) for n in mean(lambda one: one["counts"]["extract.documents"])]
    memory = [
        Line(name="PSS", values=mean(lambda one: one["pss"] / 2**20)),
        Line(name="RSS", values=mean(lambda one: one["rss"] / 2**20)),
    ]
    seconds = [Line(name="all stages", values=mean(lambda one: one["cpu_s"]))]
    panels = [
        Panel(title="Peak memory of all processes, MiB", lines=memory),
        Panel(title="CPU seconds", lines=seconds),
    ]
    return picture(
        documents, panels, "Parts of 8 MB of text, two child processes, in-process runner."
    )


def machine() -> str:
    """Which processor, and how many."""
    info = Path("/proc/cpuinfo").read_text()
    name = next((line.partition(": ")[2] for line in info.splitlines() if "model name" in line), "")
    return f"{os.cpu_count()} cores of {name or 'an unnamed processor'}, shared"


def cited() -> dict[str, Any]:
    """Figures that are not measured here, and where they stand."""
    # 11.2 pages/s of Qwen2.5-VL-7B's geometry, 36.4 of a small model, on one H200.
    pages = cost_range(1 / 11.2, 1 / 36.4, 1 / 11.2, "GPU-seconds / page", "docs/gpu.md")
    # Output tokens a second and GPU: Qwen3-8B 6,443, 32B 2,078 on one H100; 8B 13,262 on one H200.
    source = (
        "Qwen3-8B and, high, 32B on H100 (datatrove, examples/inference/benchmark/README.md); "
        "low: 8B, H200 (docs/gpu.md)"
    )
    tokens = cost_range(1e6 / 6443, 1e6 / 13262, 1e6 / 2078, "GPU-seconds / M tokens", source)
    shard = fixed(8, "bytes of memory / token of a shard", "4 bytes, twice: pipelines/config.py")
    return {"gpu.page": pages, "gpu.tokens": tokens, "memory.shard_token": shard}


def write(told: dict[str, Any]) -> None:
    """Writes unit costs; those that other benchmarks measured are kept."""
    costs = yaml.safe_load(OUTPUT.read_text())["costs"] if OUTPUT.exists() else {}
    costs |= cited() | told
    asked = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(asked, capture_output=True, text=True)
    data = {
        "machine": machine(),
        "date": date.today().isoformat(),
        "command": f"python benchmarks/scale.py --write (at {commit.stdout.strip()})",
        "costs": dict(sorted(costs.items())),
    }
    head = "# Measured; see benchmarks/scale.py. Change nothing by hand that it measures.\n"
    OUTPUT.write_text(head + yaml.safe_dump(data, sort_keys=False, width=100))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    default = os.environ.get("TOKENMILL_DATA", ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--folder", type=Path, help="keep runs here, and take them from here")
    parser.add_argument("--kinds", default="text,html,pdf,ocr")
    parser.add_argument("--write", action="store_true", help="write unit_costs.yaml and the plot")
    asked = parser.parse_args()
    bench = Bench(asked.data, asked.folder or Path(tempfile.mkdtemp(prefix="scale-")))
    for kind in filter(None, asked.kinds.split(",")):
        for size, times in RUNS:
            if kind == "ocr" and size > 4:
                continue  # seconds a page
            for repeat in range(times):
                bench.run(kind, size, repeat)
    results = bench.results()
    told: dict[str, Any] = {}
    for kind in sorted({one["kind"] for one in results}):
        chosen = [one for one in results if one["kind"] == kind]
        told |= text_costs(chosen) if kind == "text" else page_costs(chosen, kind)
    print(summary(results))
    print(yaml.safe_dump(told, sort_keys=True, width=100))
    if asked.write:
        write(told)
        PLOT.write_text(plot(results))


if __name__ == "__main__":
    main()

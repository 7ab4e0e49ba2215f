"""Unit costs of the whole line at three sizes, on real data: `pipelines/scale/unit_costs.yaml`.

Texts (`scale_inputs.py`) of 66 MB a unit go through all stages at 1x, 4x and 16x, in parts of 8 MB,
so that memory over the number of parts is seen; pages, PDFs and scans go through extraction alone.
Every run is `scale_run.py` in a process of its own, watched from outside for memory. What is fixed
(interpreter, models, compiled kernels) is what a run over 512 documents takes.

A unit cost is a slope over all runs of a kind (`scale_costs.py`): `value` is that of the smallest
and the largest run, `low` and `high` are the extremes over all pairs of sizes that differ, repeats
included. The exponent of a stage is e of cost = a + b * size ** e through three sizes: 1 is linear.
CPU seconds are told because the clock of a shared machine says nothing.

    python benchmarks/scale.py --data ../shared/data --write

Runs are kept in `--folder` (`results.jsonl`) and not done again. Needs 5 GB of disk and, on two
free cores, half an hour. `scale_ledger.py` and `scale_store.py` measure the driver and the object
store.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import yaml
from deduplicate_plot import Line, Panel, picture
from end_to_end import measure
from inputs import read_pages, write_pages
from scale_costs import (
    PROCESSES,
    STAGES,
    Result,
    audit_costs,
    exponent,
    page_costs,
    pages_of,
    stage_cost,
    text_costs,
    write,
)
from scale_inputs import copy_files, write_texts

ROOT: Final = Path(__file__).resolve().parents[1]
PLOT: Final = ROOT / "docs" / "scale.svg"
DOCUMENTS: Final = 16_000
FEW: Final = 512
PART_BYTES: Final = 8 << 20
LARGE_PART_BYTES: Final = 64 << 20
SHARD_TOKENS: Final = 16_000_000
RUNS: Final = ((0, 1), (1, 3), (4, 2), (16, 1))
"""Size and how often; ..."""
OCR_RUNS: Final = ((0, 1), (1, 2), (2, 1), (4, 1))
"""... of scans, which take seconds a page."""
LARGE_RUNS: Final = ((4, 1),)
"""... of texts in large parts, for what the audit takes a part and what it takes a gigabyte."""
KINDS: Final = {"html": 576, "pdf": 1, "ocr": 1}
"""What goes through extraction alone -> records of 1x; of PDFs the files of `_pdfs`, each once."""
SETS: Final = ("gsm8k_test", "math_test", "mmlu_test", "humaneval", "mbpp")
_TYPESET: Final = ("docling", "pdfjs", "pypdf-sample-files", "unstructured")
_SCANS: Final = ("skew", "multipage", "kcs", "jbig2", "epson")
_MIXTURE: Final = """\
name: all
seed: 1
stages:
  - {name: all, sequence_length: 4096, tokens: max, where: quality_keep, max_epochs: 1}
"""


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
        is_text = kind in ("text", "large")
        command = [sys.executable, script, json.dumps(task | {"whole": is_text})]
        log = self.folder / "log"
        usage = measure(command, log, {})
        told = json.loads(log.read_text().splitlines()[-1])
        told |= {
            "commit": _commit(),
            "kind": kind,
            "size": size,
            "repeat": repeat,
            "text_bytes": text_bytes,
        }
        told |= {"pss": usage.peak_bytes, "rss": usage.peak_resident_bytes, "wall": usage.seconds}
        if is_text and not repeat:
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
            "part_bytes": LARGE_PART_BYTES if kind == "large" else PART_BYTES,
            "shard_tokens": SHARD_TOKENS,
            "mixtures": [str(mixture)],
            "benchmarks": sets if kind in ("text", "large") else [],
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
        if kind in ("text", "large"):
            half = (size * DOCUMENTS or FEW) // 2
            for first in (0, half):
                num_bytes += write_texts(self.data, first, first + half, source)
        elif kind == "html":
            write_pages(read_pages(self.data), size * KINDS["html"] or 16, source, 2)
        else:
            copy_files(_pdfs(self.data, kind)[: None if size else 2], max(1, size), source)
        said.write_text(str(num_bytes))
        return num_bytes


def _commit() -> str:
    """Of this checkout."""
    asked = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


def _pdfs(data: Path, kind: str) -> list[Path]:
    """Real files: with text layers, or scans."""
    if kind == "ocr":
        found = [data / "documents" / "ocrmypdf" / f"{name}.pdf" for name in _SCANS]
        found = [file for file in found if file.exists()]
    else:
        found = sorted(f for one in _TYPESET for f in (data / "documents" / one).rglob("*.pdf"))
    if not found:
        raise ValueError(f"{data} holds no documents/; name the folder with --data")
    return found


def summary(results: Sequence[Result]) -> str:
    """Costs at three sizes, exponents, CPU shares and memory, as docs/scale.md has them."""
    texts = [one for one in results if one["kind"] == "text"]
    return "\n".join([*_of_texts(texts), "", *_of_pages(results), "", *_memory(texts)])


def _at(runs: Sequence[Result], size: int, cost: Callable[[Result], float]) -> float:
    """The mean over all runs of a size."""
    return statistics.fmean(cost(one) for one in runs if one["size"] == size)


def _of_texts(texts: Sequence[Result]) -> list[str]:
    largest = max(texts, key=lambda one: int(one["size"]))
    audits = [one for one in texts if "audit_s" in one]
    rows: dict[str, list[float]] = {
        stage: [_at(texts, size, partial(stage_cost, stage=stage)) for size in (1, 4, 16)]
        for stage in STAGES
    }
    rows["all"] = [_at(texts, size, lambda one: float(one["cpu_s"])) for size in (1, 4, 16)]
    rows["audit"] = [_at(audits, size, lambda one: float(one["audit_s"])) for size in (1, 4, 16)]
    lines = [
        "| stage | CPU s at 1x | 4x | 16x | exponent | cores busy of 2 |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name, costs in rows.items():
        steps = [s for s in largest["steps"] if name in STAGES and STAGES[name](s["name"])]
        wall = sum(s["wall_s"] for s in steps)
        busy = f"{sum(s['cpu_s'] for s in steps) / wall:.2f}" if wall else ""
        cells = " | ".join(f"{cost:.1f}" for cost in costs)
        lines.append(f"| {name} | {cells} | {exponent(*costs, ratio=4):.2f} | {busy} |")
    return lines


def _of_pages(results: Sequence[Result]) -> list[str]:
    lines = ["| pages of | pages, CPU s | | | exponent |", "|---|--:|--:|--:|--:|"]
    for kind in ("html", "pdf", "ocr"):
        runs = [one for one in results if one["kind"] == kind]
        sizes = (1, 2, 4) if kind == "ocr" else (1, 4, 16)
        if {one["size"] for one in runs}.issuperset(sizes):
            pages = [_at(runs, size, partial(pages_of, kind=kind)) for size in sizes]
            costs = [_at(runs, size, lambda one: stage_cost(one, "extract_text")) for size in sizes]
            told = " | ".join(f"{n:,.0f}, {c:.1f}" for n, c in zip(pages, costs, strict=True))
            lines.append(f"| {kind} | {told} | {exponent(*costs, ratio=sizes[1]):.2f} |")
    return lines


def _memory(texts: Sequence[Result]) -> list[str]:
    return [
        f"{one['size']}x: {one['counts']['entries.extract']} parts, RSS "
        f"{one['rss'] / 2**20:,.0f} MiB, PSS {one['pss'] / 2**20:,.0f} MiB, "
        f"{one['cpu_s']:.0f} CPU s, {one['wall']:.0f} s"
        + (f"; audit PSS {one['audit_pss'] / 2**20:,.0f} MiB" if "audit_pss" in one else "")
        for one in sorted(texts, key=lambda one: int(one["size"]))
    ]


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    default = os.environ.get("TOKENMILL_DATA", ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--folder", type=Path, help="keep runs here, and take them from here")
    parser.add_argument("--kinds", default="text,large,html,pdf,ocr")
    parser.add_argument("--write", action="store_true", help="write unit_costs.yaml and the plot")
    asked = parser.parse_args()
    bench = Bench(asked.data, asked.folder or Path(tempfile.mkdtemp(prefix="scale-")))
    for kind in filter(None, asked.kinds.split(",")):
        for size, times in {"ocr": OCR_RUNS, "large": LARGE_RUNS}.get(kind, RUNS):
            for repeat in range(times):
                bench.run(kind, size, repeat)
    results = bench.results()
    told: dict[str, Any] = {}
    for kind in sorted({one["kind"] for one in results}):
        chosen = [one for one in results if one["kind"] == kind]
        if kind == "text":
            told |= text_costs(chosen)
        elif kind != "large":
            told |= page_costs(chosen, kind)
    told |= audit_costs([one for one in results if "audit_s" in one])
    print(summary(results))
    print(yaml.safe_dump(told, sort_keys=True, width=100))
    if asked.write:
        write(told, sorted({one["commit"] for one in results}))
        PLOT.write_text(plot(results))


if __name__ == "__main__":
    main()

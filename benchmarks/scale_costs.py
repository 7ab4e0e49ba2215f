"""Unit costs from the runs of `scale.py`: what each is a slope of, and over what.

A unit cost is the cost of one size less that of a smaller one, over the difference in what drives
it: gigabytes of text, millions of documents or pages, thousands of parts.
"""

import itertools
import math
import os
import statistics
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import yaml

OUTPUT: Final = Path(__file__).resolve().parents[1] / "pipelines" / "scale" / "unit_costs.yaml"
PROCESSES: Final = 2
_OCR_SPREAD: Final = (800_000.0, 12_100_000.0)
"""Core-seconds a million pages of single lines, and of dense pages; docs/quality.md."""
STAGES: Final[dict[str, Callable[[str], bool]]] = {
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


def stage_cost(result: Result, stage: str) -> float:
    """CPU seconds of a stage in one run."""
    chosen = STAGES[stage]
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


def exponent(small: float, middle: float, large: float, *, ratio: float) -> float:
    """e of cost = a + b * size ** e through the costs of three sizes.

    Args:
        small: Cost of the smallest, ...
        middle: ... of one `ratio` times as large, ...
        large: ... and of one `ratio` times as large again.
        ratio: The difference of the upper two over that of the lower two is `ratio ** e`, whatever
            is fixed.
    """
    if not small < middle < large:
        return math.nan
    return math.log((large - middle) / (middle - small), ratio)


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

    def million(one: Result) -> float:
        return float(one["counts"]["extract.documents"]) / 1e6

    def parts(one: Result) -> float:
        return float(one["counts"]["entries.extract"])

    def drawn(one: Result) -> float:
        return _gigabytes(one) * float(one["counts"]["shards.all.draws"]) / (million(one) * 1e6)

    largest = max(results, key=lambda one: int(one["size"]))
    documents = largest["counts"]["extract.documents"]
    on = f"{documents:,} documents, {_gigabytes(largest):.2f} GB of text"
    per_gb, per_million = "core-seconds / GB of text", "core-seconds / million documents"
    drivers = {
        "extract_text": (_gigabytes, per_gb),
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
        seen = points_of(results, _gigabytes, partial(_inside, name=name))
        costs[f"cpu.{name}"] = cost_of(seen, per_gb, on)
    rest = points_of(
        results,
        _gigabytes,
        lambda one: stage_cost(one, "annotate") - sum(one["annotators"].values()),
    )
    costs["cpu.annotate.reading_and_writing"] = cost_of(rest, per_gb, on)
    costs["cpu.start"] = _start(results, on)
    return costs | _sizes(results, largest, on)


def audit_costs(results: Sequence[Result]) -> dict[str, Any]:
    """What the audit takes a gigabyte and, as it samples each part, what it takes a part.

    Least squares over runs of several sizes, one of them in large parts; the spread is that of the
    fits that leave one of the others out.
    """
    large = [one for one in results if one["kind"] == "large"]
    others = [one for one in results if one["kind"] == "text"]
    if not large or len(others) < 4:
        return {}
    smallest = min(others, key=_gigabytes)  # a start, and little else
    start = float(smallest["audit_s"])
    others.remove(smallest)
    fits = [_audit_fit([*large, *others], start)]
    fits += [_audit_fit([*large, *(b for b in others if b is not a)], start) for a in others]
    on = f"{len(others) + len(large)} audits of up to {max(_gigabytes(a) for a in others):.2f} GB"
    units = {"cpu.audit": "core-seconds / GB of text", "cpu.audit_part": "core-seconds / part"}
    costs = {
        name: cost_range(column[0], min(column), max(column), unit, on)
        for (name, unit), column in zip(units.items(), np.stack(fits, axis=1), strict=True)
    }
    on = f"an audit of {_gigabytes(smallest) * 1000:.0f} MB"
    return costs | {"cpu.audit_start": fixed(start, "core-seconds / audit", on)}


def _audit_fit(results: Sequence[Result], start: float) -> npt.NDArray[np.float64]:
    """Core-seconds of a gigabyte and of a part, by least squares, neither below zero."""
    drivers = np.array([[_gigabytes(one), one["counts"]["entries.extract"]] for one in results])
    seconds = np.array([float(one["audit_s"]) - start for one in results])
    found, *_ = np.linalg.lstsq(drivers, seconds, rcond=None)
    if (found >= 0).all():
        return np.asarray(found, np.float64)
    alone = (drivers * seconds[:, None]).sum(0) / np.square(drivers).sum(0)  # each by itself
    left = np.square(seconds[:, None] - drivers * alone).sum(0)
    return np.where(left == left.min(), alone, 0.0)


def _gigabytes(result: Result) -> float:
    return float(result["text_bytes"]) / 1e9


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


def pages_of(result: Result, kind: str) -> float:
    """Pages that a run extracted: of HTML each is a document, of PDFs those that were read so."""
    own = {"html": "documents", "pdf": "pages_text", "ocr": "pages_ocr"}[kind]
    return float(result["counts"][f"extract.{own}"])


def page_costs(results: Sequence[Result], kind: str) -> dict[str, Any]:
    """The unit cost of pages of one kind."""
    name = {"html": "cpu.html", "pdf": "cpu.pdf", "ocr": "cpu.ocr"}[kind]
    largest = max(results, key=lambda one: int(one["size"]))
    on = f"{pages_of(largest, kind):,.0f} pages of real files, amplified"
    seen = points_of(
        results,
        lambda one: pages_of(one, kind) / 1e6,
        lambda one: stage_cost(one, "extract_text"),
    )
    cost = cost_of(seen, "core-seconds / million pages", on)
    if kind == "ocr":
        low, high = min(cost["low"], _OCR_SPREAD[0]), max(cost["high"], _OCR_SPREAD[1])
        cost |= {"low": low, "high": high}
        cost["on"] += "; low: lines, high: dense pages (docs/quality.md)"
    return {name: cost}


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


def write(told: dict[str, Any], commits: Sequence[str] = ()) -> None:
    """Writes unit costs; those that other benchmarks measured are kept.

    Args:
        told: By name.
        commits: Of the runs over the line; without any, what is said of those runs is kept.
    """
    data = yaml.safe_load(OUTPUT.read_text())
    if commits:
        command = f"python benchmarks/scale.py --write (at {', '.join(commits)})"
        data |= {"machine": machine(), "date": date.today().isoformat(), "command": command}
    data["costs"] = dict(sorted((data["costs"] | cited() | told).items()))
    head = "# Measured; see benchmarks/scale.py. Change nothing by hand that it measures.\n"
    OUTPUT.write_text(head + yaml.safe_dump(data, sort_keys=False, width=100))

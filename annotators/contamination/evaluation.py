"""How many planted quotations are found, and what is flagged where none was planted.

Texts of real benchmark items are put into the middle of real documents (4,000 characters each), as
they are and changed as quotations change (`planting`). What is planted is a *range*: the question,
the options, a field of the answer, whatever is compared with a rule on its own (`rules`). So recall
is by rule and by length in words. It is found where its document is contaminated, and named where
a contaminated span names its item. Ranges that cannot be found (under 6 words; all template) are
counted apart and not planted. Names of functions (`entry_point`) are planted as a call.

That a run of 10 or 13 words is required bounds the recall of changed quotations; paraphrases are
beyond the rules and not measured.

Documents in which nothing was planted may yet hold real quotations, so all that are flagged are
listed to be read, and their share is an upper bound of the false positive rate.
"""

import gzip
import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from annotators.contamination.annotator import ENTRY_POINT_FIELD, Contamination
from annotators.contamination.index import BenchmarkIndex
from annotators.contamination.items import Benchmark, Item, read_items
from annotators.contamination.planting import EDITS, plant
from annotators.contamination.rules import RuleNumber
from annotators.contamination.words import WORD

DOCUMENT_CHARACTERS: Final = 4000
BINS: Final = ((0, 6), (6, 13), (13, 26), (26, 51), (51, 101), (101, 1 << 30))
"""Lengths in words (of weight), [from, to)."""
_UNTOUCHED: Final = (
    "labels/weborganizer_examples",
    "labels/dclm_majority",
    "labels/dclm_agreement",
)
_BATCH = 512
_EXCERPT = 240
_MAX_PLANTED_CHARACTERS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Figures of one kind and rule, one bin of lengths and one edit."""

    kind: str
    """Of the benchmark."""
    rule: str
    bin: int
    """Number in `BINS`; -1 for names of functions, which have no length."""
    edit: str
    planted: int
    found: int
    """Documents that are contaminated."""
    named: int
    """Documents of which a contaminated span names the planted item."""
    overlap: float
    """Median, over these, of bytes in both span and quotation / bytes in either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flagged:
    """A contaminated document in which nothing was planted."""

    document: str
    benchmark: str
    item: str
    rule: str
    field: str
    score: float
    excerpt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanFigures:
    """Figures of documents in which nothing was planted."""

    documents_of: str
    num_documents: int
    num_sharing: int
    """Share an n-gram with an item."""
    flagged: tuple[Flagged, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecontaminationFigures:
    """Figures of the annotator on the sets of a folder."""

    num_benchmarks: int
    num_items: int
    num_findable: int
    """Of `num_items`."""
    index_bytes: int
    not_covered: dict[str, int]
    """Why -> ranges of the drawn items that cannot be found."""
    cells: tuple[Cell, ...]
    clean: tuple[CleanFigures, ...]

    def recall(self, edit: str) -> float:
        """Found / planted over all rules and lengths, of one edit."""
        cells = [cell for cell in self.cells if cell.edit == edit and cell.bin >= 0]
        return sum(cell.found for cell in cells) / max(sum(cell.planted for cell in cells), 1)


@dataclass(frozen=True, slots=True)
class _Unit:
    """A range that is planted."""

    benchmark: str
    item: str
    kind: str
    rule: str
    bin: int
    text: str

    @property
    def place(self) -> tuple[str, str, int]:
        """Kind, rule and length, by which recall is reported."""
        return self.kind, self.rule, self.bin


def evaluate_decontamination(
    data: Path, *, items_per_benchmark: int = 50, seed: int = 0
) -> DecontaminationFigures:
    """Plants items in documents and looks for them.

    Args:
        data: Folder with `decontamination/*.jsonl.gz` (benchmarks), `text/*.jsonl.gz` (documents
            with `text` and perhaps `id`) and, where they are there, web pages in `labels/`.
        items_per_benchmark: Items drawn from each benchmark.
        seed: Of the draws and the changes.

    Raises:
        ValueError: There are no benchmarks or no documents.
    """
    paths = sorted((data / "decontamination").glob("*.jsonl.gz"))
    documents = [pair for path in sorted((data / "text").glob("*.jsonl.gz")) for pair in _cut(path)]
    if not paths or not documents:
        raise ValueError(
            f"{data} holds {len(paths)} files decontamination/*.jsonl.gz and {len(documents)} "
            "documents in text/*.jsonl.gz; both are needed: name the right folder with --data"
        )
    options = [{"name": path.name.removesuffix(".jsonl.gz"), "path": str(path)} for path in paths]
    annotator = Contamination(benchmarks=options)
    clean = [_clean_figures("text", documents, annotator)]
    for name in _UNTOUCHED:
        path = data / f"{name}.jsonl.gz"
        if path.is_file():
            clean.append(_clean_figures(name.partition("/")[2], list(_cut(path)), annotator))
    hosts = _untouched(documents, annotator)
    units, not_covered = _draw(annotator, items_per_benchmark, random.Random(seed))
    facts = annotator.index_facts()
    cells = [
        cell
        for edit in EDITS
        for cell in _cells(edit, units, hosts, annotator, random.Random(seed))
    ]
    return DecontaminationFigures(
        num_benchmarks=len(facts),
        num_items=sum(one.items for one in facts),
        num_findable=sum(one.indexed for one in facts),
        index_bytes=annotator.index().num_bytes,
        not_covered=not_covered,
        cells=tuple(cells),
        clean=tuple(clean),
    )


def render_decontamination(figures: DecontaminationFigures) -> str:
    """A plain table of recall, one of the untouched documents, and the flagged ones to read."""
    lines = [
        f"{figures.num_benchmarks} benchmarks, {figures.num_items:,} items, "
        f"{figures.num_findable:,} of them can be found; the index takes "
        f"{figures.index_bytes / 1e6:.0f} MB",
        "not planted, because they cannot be found: "
        + (", ".join(f"{n} {why}" for why, n in figures.not_covered.items()) or "none"),
        "",
        "recall (and share whose item is named) by kind, rule and length",
        f"{'kind':<6}{'rule':<12}{'words':<9}{'planted':>8}"
        + "".join(f"{edit:>16}" for edit in EDITS),
    ]
    rows = {(cell.kind, cell.rule, cell.bin): cell.planted for cell in figures.cells}
    by_place = {(cell.kind, cell.rule, cell.bin, cell.edit): cell for cell in figures.cells}
    for (kind, rule, number), planted in sorted(rows.items()):
        shown = [_shown(by_place.get((kind, rule, number, edit))) for edit in EDITS]
        lines.append(f"{kind:<6}{rule:<12}{_bin_name(number):<9}{planted:>8}" + "".join(shown))
    total = "".join(f"{figures.recall(edit):>16.4f}" for edit in EDITS)
    lines.append(f"{'all lengths':<35}{total}")
    exact = [c.overlap for c in figures.cells if c.edit == "verbatim" and c.found and c.bin >= 0]
    if exact:
        lines.append(f"verbatim: lowest median overlap of span and quotation {min(exact):.3f}")
    lines += ["", f"{'untouched':<24}{'documents':>10}{'sharing':>9}{'flagged':>9}{'rate':>11}"]
    for clean in figures.clean:
        rate = len(clean.flagged) / max(clean.num_documents, 1)
        lines.append(
            f"{clean.documents_of:<24}{clean.num_documents:>10,}{clean.num_sharing:>9}"
            f"{len(clean.flagged):>9}{rate:>11.6f}"
        )
    for one in (one for clean in figures.clean for one in clean.flagged):
        lines.append(
            f"  {one.document}  {one.benchmark}/{one.item} {one.field} by {one.rule}, "
            f"score {one.score:.2f}: {one.excerpt}"
        )
    return "\n".join(lines)


def _shown(cell: Cell | None) -> str:
    if cell is None or not cell.planted:
        return f"{'-':>16}"
    return f"{cell.found / cell.planted:>8.4f} ({cell.named / cell.planted:.3f})"


def _bin_name(number: int) -> str:
    if number < 0:
        return "-"
    low, high = BINS[number]
    return f"{low}-{high - 1}" if number < len(BINS) - 1 else f">{low - 1}"


def _bin_of(weight: int) -> int:
    return next(i for i, (_, high) in enumerate(BINS) if weight < high * WORD)


def _cut(path: Path) -> Iterator[tuple[str, str]]:
    """Gives pieces of documents, named by file, line or id, and first character."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            record = json.loads(line)
            name = record.get("id", f"{path.name.partition('.')[0]}:{number}")
            text = record["text"]
            for start in range(0, len(text), DOCUMENT_CHARACTERS):
                yield f"{name}@{start}", text[start : start + DOCUMENT_CHARACTERS]


def _labels(annotator: Contamination, texts: Sequence[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for start in range(0, len(texts), _BATCH):
        batch = pa.array(texts[start : start + _BATCH], pa.large_string())
        rows += annotator(batch, {}).to_pylist()
    return rows


def _clean_figures(
    name: str, documents: Sequence[tuple[str, str]], annotator: Contamination
) -> CleanFigures:
    labels = _labels(annotator, [text for _, text in documents])
    flagged = []
    for (document, text), row in zip(documents, labels, strict=True):
        if not row["contaminated"]:
            continue
        span = max(
            (one for one in row["contamination_spans"] if one["item"] == row["benchmark_item"]),
            key=lambda one: (one["contaminated"], float(one["score"])),
        )
        quoted = text.encode()[span["start"] : span["end"]].decode()
        one = Flagged(
            document=document,
            benchmark=row["benchmark"],
            item=row["benchmark_item"],
            rule=row["contamination_rule"],
            field=span["field"],
            score=row["contamination_score"],
            excerpt=" ".join(quoted.split())[:_EXCERPT],
        )
        flagged.append(one)
    return CleanFigures(
        documents_of=name,
        num_documents=len(documents),
        num_sharing=sum(row["benchmark"] is not None for row in labels),
        flagged=tuple(flagged),
    )


def _untouched(documents: Sequence[tuple[str, str]], annotator: Contamination) -> list[str]:
    """Gives the whole-length documents that share nothing, in which items are planted."""
    texts = [text for _, text in documents if len(text) == DOCUMENT_CHARACTERS]
    labels = _labels(annotator, texts)
    return [text for text, row in zip(texts, labels, strict=True) if row["benchmark"] is None]


def _draw(
    annotator: Contamination, count: int, chance: random.Random
) -> tuple[list[_Unit], dict[str, int]]:
    """Draws items of each benchmark; gives their ranges, and why others cannot be found."""
    index = annotator.index()
    units: list[_Unit] = []
    lost = Counter[str]()
    first = 0
    for benchmark in annotator.benchmarks:
        items = read_items(benchmark)
        for position in sorted(chance.sample(range(len(items)), min(count, len(items)))):
            item = items[position]
            made, without_ngram = _units(index, first + position, benchmark, item)
            units += made
            lost[f"{benchmark.kind} of template alone"] += without_ngram
            lost[f"{benchmark.kind} under 6 words"] += _has_no_range(index, first + position)
        first += len(items)
    return units, {why: n for why, n in sorted(lost.items()) if n}


def _has_no_range(index: BenchmarkIndex, item: int) -> bool:
    offsets = index.index.words.range_offsets
    return bool(offsets[item] == offsets[item + 1])


def _units(
    index: BenchmarkIndex, number: int, benchmark: Benchmark, item: Item
) -> tuple[list[_Unit], int]:
    """Gives the ranges of an item that can be found, and how many cannot."""
    words = index.index.words
    texts = {part.field: part.text for part in item.parts}
    question = next((part for part in item.parts if part.role == "question"), None)
    options = next((part for part in item.parts if part.role == "options"), None)
    if question and options:
        texts[f"{question.field}+{options.field}"] = f"{question.text}\n{options.text}"
    for piece in (piece for part in item.parts for piece in part.pieces):
        texts.setdefault(*piece)
    made, lost, seen = list[_Unit](), 0, set[str]()
    for at in range(int(words.range_offsets[number]), int(words.range_offsets[number + 1])):
        start, end, rule = words.ranges[at].tolist()
        text = texts[index.fields[at]]
        if index.fields[at] in seen:
            continue  # one of the options, or all of them with letters, under the name of all
        seen.add(index.fields[at])
        if not index.findable_ranges[at]:
            lost += 1
        elif len(text) <= _MAX_PLANTED_CHARACTERS:
            weight = int(words.weights[end] - words.weights[start])
            name = RuleNumber(rule).name.lower()
            place = (benchmark.kind, name, _bin_of(weight))
            made.append(_Unit(benchmark.name, item.id, *place, text))
    if item.entry_point:
        text = f"print({item.entry_point}(values))"
        made.append(_Unit(benchmark.name, item.id, benchmark.kind, ENTRY_POINT_FIELD, -1, text))
    return made, lost


def _cells(
    edit: str,
    units: Sequence[_Unit],
    hosts: Sequence[str],
    annotator: Contamination,
    chance: random.Random,
) -> list[Cell]:
    """Figures of one edit. Names of functions are only planted as they are."""
    chosen = [one for one in units if one.bin >= 0 or edit == "verbatim"]
    drawn = [chance.choice(hosts) for _ in chosen]
    planted = [
        plant(EDITS[edit](one.text, host.split(), chance), host)
        for one, host in zip(chosen, drawn, strict=True)
    ]
    rows = _labels(annotator, [text for text, _, _ in planted])
    cells = []
    for place in sorted({one.place for one in chosen}):
        mine = [i for i, one in enumerate(chosen) if one.place == place]
        overlaps = [
            overlap
            for i in mine
            if (overlap := _overlap(chosen[i], planted[i], rows[i])) is not None
        ]
        cells.append(
            Cell(
                kind=place[0],
                rule=place[1],
                bin=place[2],
                edit=edit,
                planted=len(mine),
                found=sum(bool(rows[i]["contaminated"]) for i in mine),
                named=len(overlaps),
                overlap=float(np.median(overlaps)) if overlaps else 0.0,
            )
        )
    return cells


def _overlap(unit: _Unit, planted: tuple[str, int, int], row: dict[str, Any]) -> float | None:
    """Gives the best overlap of a contaminated span that names the planted item."""
    _, start, end = planted
    return max(
        (
            max(0, min(end, span["end"]) - max(start, span["start"]))
            / (max(end, span["end"]) - min(start, span["start"]))
            for span in row["contamination_spans"]
            if (span["benchmark"], span["item"]) == (unit.benchmark, unit.item)
            and span["contaminated"]
        ),
        default=None,
    )

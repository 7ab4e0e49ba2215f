"""How many planted quotations are found, and what is flagged where none was planted.

Items of real benchmarks are put into the middle of real documents (4,096 characters each), as they
are and changed in ways that quotations change:

- `verbatim`: the text of all fields;
- `dress`: other case, quotation marks, dashes, commas and line breaks, the same words;
- `first field`: the question without choices, answer or solution;
- `words`: each word with a chance of 10 % replaced, left out, or followed by one of the document.

A quotation is found where its document scores above `THRESHOLD`. That a shared 13-gram is required
bounds the recall of `words`: 13 words in a row stay as they are with a chance of 0.9^13 = 0.25.
Paraphrases are beyond the rule and not measured.

Documents in which nothing was planted may yet hold real quotations, so those flagged are listed to
be read, and their share is an upper bound of the false positive rate.
"""

import gzip
import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from annotators.contamination.annotator import Contamination
from annotators.contamination.items import Item, parse_benchmarks, read_items

THRESHOLD: Final = 0.6
"""Above it a document is contaminated (Qwen2.5-Math, arXiv:2409.12122)."""
DOCUMENT_CHARACTERS: Final = 4096
_BATCH = 512
_WORD_CHANGE = 0.1
_EXCERPT = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class EditFigures:
    """Figures of one way to change a quotation."""

    edit: str
    num_items: int
    recall: float
    """Share of the items whose document scores above the threshold."""
    named: float
    """Share for which a span above the threshold names the planted item itself."""
    overlap: float
    """Median, over these, of bytes in both span and quotation / bytes in either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flagged:
    """A document above the threshold in which nothing was planted."""

    document: str
    benchmark: str
    item: str
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
    """Of `num_items`: neither too short nor all template."""
    edits: tuple[EditFigures, ...]
    clean: tuple[CleanFigures, ...]


@dataclass(frozen=True, slots=True)
class _Planted:
    benchmark: str
    item: str
    text: str
    start: int
    end: int


def evaluate_decontamination(
    data: Path, *, items_per_benchmark: int = 50, seed: int = 0
) -> DecontaminationFigures:
    """Plants items in documents and looks for them.

    Args:
        data: Folder with `decontamination/*.jsonl.gz` (benchmarks), `text/*.jsonl.gz` (documents
            with `id` and `text`) and, where it is there, `labels/weborganizer_examples.jsonl.gz`.
        items_per_benchmark: Items drawn from each benchmark, of those that can be found.
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
    web = data / "labels" / "weborganizer_examples.jsonl.gz"
    if web.is_file():
        clean.append(_clean_figures("weborganizer", list(_documents(web)), annotator))
    hosts = _unflagged(documents, annotator)
    items = _draw(options, annotator, items_per_benchmark, random.Random(seed))
    facts = annotator.index_facts()
    return DecontaminationFigures(
        num_benchmarks=len(facts),
        num_items=sum(one.items for one in facts),
        num_findable=sum(one.indexed for one in facts),
        edits=tuple(
            _edit_figures(name, items, hosts, annotator, random.Random(seed)) for name in _EDITS
        ),
        clean=tuple(clean),
    )


def render_decontamination(figures: DecontaminationFigures) -> str:
    """A plain table of the changes, one of the clean documents, and the flagged ones to read."""
    lines = [
        f"{figures.num_benchmarks} benchmarks, {figures.num_items} items, "
        f"{figures.num_findable} of them long enough to be found",
        "",
        f"{'planted':<14}{'items':>7}{'recall':>9}{'named':>9}{'span overlap':>14}",
    ]
    lines += [
        f"{one.edit:<14}{one.num_items:>7}{one.recall:>9.4f}{one.named:>9.4f}{one.overlap:>14.4f}"
        for one in figures.edits
    ]
    lines += ["", f"{'not planted':<14}{'documents':>10}{'sharing':>9}{'flagged':>9}{'rate':>11}"]
    for clean in figures.clean:
        rate = len(clean.flagged) / max(clean.num_documents, 1)
        lines.append(
            f"{clean.documents_of:<14}{clean.num_documents:>10}{clean.num_sharing:>9}"
            f"{len(clean.flagged):>9}{rate:>11.6f}"
        )
    for one in (one for clean in figures.clean for one in clean.flagged):
        lines.append(f"  {one.score:.2f} {one.document} {one.benchmark}/{one.item}: {one.excerpt}")
    return "\n".join(lines)


def _documents(path: Path) -> Iterator[tuple[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            yield record["id"], record["text"]


def _cut(path: Path) -> Iterator[tuple[str, str]]:
    for name, text in _documents(path):
        for start in range(0, len(text), DOCUMENT_CHARACTERS):
            yield f"{name}@{start}", text[start : start + DOCUMENT_CHARACTERS]


def _labels(annotator: Contamination, texts: Sequence[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for start in range(0, len(texts), _BATCH):
        batch = pa.array(texts[start : start + _BATCH], pa.large_string())
        rows += annotator(batch, {}).to_pylist()
    return rows


def _is_above(score: float) -> bool:
    """Compares as float32: a score of 0.6, as a double, would be above 0.6."""
    return bool(np.float32(score) > np.float32(THRESHOLD))


def _clean_figures(
    name: str, documents: Sequence[tuple[str, str]], annotator: Contamination
) -> CleanFigures:
    labels = _labels(annotator, [text for _, text in documents])
    flagged = []
    for (document, text), row in zip(documents, labels, strict=True):
        if not _is_above(row["contamination_score"]):
            continue
        span = max(row["contamination_spans"], key=lambda one: float(one["score"]))
        quoted = text.encode()[span["start"] : span["end"]].decode()
        one = Flagged(
            document=document,
            benchmark=row["benchmark"],
            item=row["benchmark_item"],
            score=row["contamination_score"],
            excerpt=" ".join(quoted.split())[:_EXCERPT],
        )
        flagged.append(one)
    num_sharing = sum(row["benchmark"] is not None for row in labels)
    return CleanFigures(
        documents_of=name,
        num_documents=len(documents),
        num_sharing=num_sharing,
        flagged=tuple(flagged),
    )


def _unflagged(documents: Sequence[tuple[str, str]], annotator: Contamination) -> list[str]:
    """Gives the whole-length documents that share nothing, in which items are planted."""
    texts = [text for _, text in documents if len(text) == DOCUMENT_CHARACTERS]
    labels = _labels(annotator, texts)
    return [text for text, row in zip(texts, labels, strict=True) if row["benchmark"] is None]


def _draw(
    options: Sequence[dict[str, str]], annotator: Contamination, count: int, chance: random.Random
) -> list[tuple[str, Item]]:
    """Draws findable items of each benchmark."""
    findable = iter(annotator.index().findable.tolist())
    drawn: list[tuple[str, Item]] = []
    for benchmark in parse_benchmarks(options):
        items = read_items(benchmark)
        found = [item for item in items if next(findable)]
        chosen = chance.sample(found, min(count, len(found)))
        drawn += [(benchmark.name, item) for item in chosen]
    return drawn


def _edit_figures(
    name: str,
    items: Sequence[tuple[str, Item]],
    hosts: Sequence[str],
    annotator: Contamination,
    chance: random.Random,
) -> EditFigures:
    planted = [_plant(one, _EDITS[name], chance.choice(hosts), chance) for one in items]
    rows = _labels(annotator, [one.text for one in planted])
    overlaps = [
        overlap
        for one, row in zip(planted, rows, strict=True)
        if (overlap := _overlap(one, row["contamination_spans"])) is not None
    ]
    found = sum(_is_above(row["contamination_score"]) for row in rows)
    return EditFigures(
        edit=name,
        num_items=len(items),
        recall=found / len(items),
        named=len(overlaps) / len(items),
        overlap=float(np.median(overlaps)) if overlaps else 0.0,
    )


def _overlap(planted: _Planted, spans: Sequence[dict[str, Any]]) -> float | None:
    """Gives the best overlap of a span above the threshold that names the planted item."""
    return max(
        (
            max(0, min(planted.end, span["end"]) - max(planted.start, span["start"]))
            / (max(planted.end, span["end"]) - min(planted.start, span["start"]))
            for span in spans
            if (span["benchmark"], span["item"]) == (planted.benchmark, planted.item)
            and _is_above(span["score"])
        ),
        default=None,
    )


_Edit = Callable[[Item, Sequence[str], random.Random], str]


def _plant(named: tuple[str, Item], edit: _Edit, host: str, chance: random.Random) -> _Planted:
    """Puts an item as a paragraph of its own between two words of a document."""
    benchmark, item = named
    at = host.find(" ", len(host) // 2)
    at = len(host) // 2 if at < 0 else at
    quotation = edit(item, host.split(), chance)
    before = host[:at] + "\n\n"
    start = len(before.encode())
    return _Planted(
        benchmark,
        item.id,
        f"{before}{quotation}\n\n{host[at:]}",
        start,
        start + len(quotation.encode()),
    )


def _verbatim(item: Item, words: Sequence[str], chance: random.Random) -> str:
    del words, chance
    return "\n".join(item.texts)


def _first_field(item: Item, words: Sequence[str], chance: random.Random) -> str:
    del words, chance
    return item.texts[0]


_DRESS: Final = str.maketrans({"'": "\u2019", '"': "\u201c", "-": "\u2013", ".": " . ", ",": ""})


def _dress(item: Item, words: Sequence[str], chance: random.Random) -> str:
    """Keeps the words; commas are left out only where space follows, lest two words join."""
    text = re.sub(r",(?=\S)", " , ", "\n".join(item.texts)).translate(_DRESS)
    text = chance.choice((str.upper, str.lower, str.title))(text)
    spaces = ("  ", "\n", "\u00a0", "\t")
    return re.sub(r"\s+", lambda _: chance.choice(spaces), text)


def _change_words(item: Item, words: Sequence[str], chance: random.Random) -> str:
    """Changes words between spaces, or where there are hardly any, pairs of letters."""
    text = "\n".join(item.texts)
    pieces = re.findall(r"\S+|\s+", text)
    if len(pieces) * 8 < len(text):
        pieces = re.findall(r"\S{1,2}|\s+", text)
    changed = []
    for piece in pieces:
        if piece.isspace() or chance.random() >= _WORD_CHANGE:
            changed.append(piece)
            continue
        other = chance.choice(words)
        changed.append(chance.choice((other, "", f"{piece} {other}")))
    return "".join(changed)


_EDITS: Final[dict[str, _Edit]] = {
    "verbatim": _verbatim,
    "dress": _dress,
    "first field": _first_field,
    "words": _change_words,
}

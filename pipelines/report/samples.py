"""Documents to read: a few for each label worth a look, chosen the same way every time.

Which documents of a label are shown is decided by id, the smallest first: an id is a
hash, so that is a fair sample that no one can have picked by hand, and the next report of the same
workspace shows the same ones. A document is shown once; a later label passes over those shown.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from pipelines.deduplicate.exact import DUPLICATE, REPRESENTATIVE
from pipelines.mix.pins import Pins
from pipelines.report.facts import LabelFacts
from pipelines.report.masking import (
    OPENING_COLUMNS,
    OPENING_LINES,
    Piece,
    Span,
    differences,
    first_difference,
    masked_line,
    masked_passage,
    secrets_of,
    shortened,
)
from pipelines.report.rows import Rows, choose_parts, document_rows, pins_of
from pipelines.run_record import RunRecord
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.workspace import Workspace

MAX_LABELS: Final = 8
"""Values of one label (languages, topics ...) that get documents, the largest first."""
MAX_CLUSTERS: Final = 3
SAME_COLUMNS: Final = 240
"""Columns shown of two texts that are the same."""
COMPARED_COLUMNS: Final = 6 * OPENING_COLUMNS
"""Columns of two texts that are compared; what is shown of them is cut out afterwards, so that the
end of the passages is not taken for a difference. Far enough for a paragraph more or less."""
COMPARED_LINES: Final = 16 * OPENING_LINES
LEAD_CHARS: Final = 150
"""Characters shown before the first difference of two texts with the same opening."""

_NEAR: Final = "near_duplicate"
_KINDS: Final = "pii"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One document as it may be printed: masked, and without anything that misleads."""

    id: str
    source: str
    place: str
    """URI, or file and offset."""
    title: str
    language: str
    labels: tuple[tuple[str, str], ...]
    pieces: tuple[Piece, ...]
    goes_on: bool
    withheld: bool = False
    """True where PII was looked for and this document has no answer, so nothing is printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Documents that share one value of a label."""

    column: str
    value: str
    documents: int
    """How many have it, by the ledger; of spans, how many spans."""
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Two members of a cluster of duplicates, side by side."""

    size: int
    role: str
    jaccard: float | None
    same_text: bool
    """Whether the two whole texts are equal, character by character."""
    start: int
    """Where the passages shown begin, in characters."""
    first: Sample
    other: Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotation:
    """A document that quotes a benchmark."""

    benchmark: str
    item: str
    score: float | None
    sample: Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """What was read, and what is shown of it."""

    parts_read: int
    parts: int
    per_label: int
    groups: tuple[Group, ...]
    clusters: tuple[Cluster, ...]
    cluster_sizes: Mapping[int, int]
    """Size -> clusters, over the representatives in the parts read."""
    quotations: tuple[Quotation, ...]


def read_samples(
    workspace: Workspace, record: RunRecord, labels: LabelFacts, per_label: int
) -> Samples:
    """Chooses and reads the documents that a report shows.

    Args:
        workspace: Where they are.
        record: Which generations.
        labels: Counts, which decide the labels worth a look.
        per_label: Documents for each of them.
    """
    pins = pins_of(record, labels.sets)
    chosen = choose_parts(pins.keys())
    rows = Rows.read(workspace, pins, chosen)
    wanted = _wanted_rows(rows, labels, per_label)
    pairs = _cluster_pairs(rows)
    quoting = _quoting(rows, per_label)
    needed = {row for found in wanted.values() for row in found}
    needed |= {row for pair in pairs for row in pair} | set(quoting)
    texts = dict(_texts(workspace, pins, rows, needed))
    read = {row: _sample(rows, row, text) for row, text in texts.items()}
    return Samples(
        parts_read=len(chosen),
        parts=len(pins.keys()),
        per_label=per_label,
        groups=tuple(
            Group(
                column=column,
                value=value,
                documents=count,
                samples=tuple(read[row] for row in found),
            )
            for (column, value, count), found in wanted.items()
            if found
        ),
        clusters=tuple(_cluster(rows, texts, one, two) for one, two in pairs),
        cluster_sizes=_cluster_sizes(rows),
        quotations=tuple(_quotation(rows, row, read[row]) for row in quoting),
    )


_Label = tuple[str, str, int]  # column, value, documents


def _labels_worth_a_look(labels: LabelFacts) -> Iterator[_Label]:
    """What documents are shown for, the largest values first."""
    for column in ("language", "topic"):
        yield from ((column, value, count) for value, count in _largest(labels.known(column)))
    kept = labels.values.get("quality_keep", {})
    if kept.get("true"):
        yield "quality_keep", "true", kept["true"]
    for reason, count in _largest(labels.known("quality_reason")):
        yield "quality_reason", reason, count
    for kind, count in _largest(labels.spans.get(_KINDS, {})):
        yield _KINDS, kind, count


def _largest(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MAX_LABELS]


def _wanted_rows(rows: Rows, labels: LabelFacts, per_label: int) -> dict[_Label, list[int]]:
    """Label -> rows to show; each row under one label only, and the rarest labels choose first."""
    shown: set[int] = set()
    worth = list(_labels_worth_a_look(labels))
    wanted: dict[_Label, list[int]] = {label: [] for label in worth}
    # Of labels that are as rare as each other the later ones, which say more, choose first.
    for label in sorted(reversed(worth), key=lambda label: label[2]):
        fresh = [row for row in rows.where(label[0], label[1]) if row not in shown][:per_label]
        shown.update(fresh)
        wanted[label] = fresh
    for label, found in _deciles(rows, shown, per_label):
        wanted[label] = found
    return wanted


def _deciles(rows: Rows, shown: set[int], per_label: int) -> Iterator[tuple[_Label, list[int]]]:
    """One group for each tenth of the quality score, the best first."""
    if not rows.has("quality_score"):
        return
    scores = rows.table.column("quality_score").to_pylist()
    for decile in reversed(range(10)):
        inside = [
            row
            for row, score in enumerate(scores)
            if score is not None and min(int(score * 10), 9) == decile
        ]
        fresh = [row for row in inside if row not in shown][: min(per_label, 1)]
        shown.update(fresh)
        yield ("quality_score", f"{decile / 10:.1f} to {(decile + 1) / 10:.1f}", len(inside)), fresh


def _cluster_pairs(rows: Rows) -> list[tuple[int, int]]:
    """(representative, another member): clusters by near duplicates first, then size, then id."""
    pairs = []
    for cluster, members in rows.members().items():
        roles = {row: rows.get("duplicate_role", row) for row in members}
        first = next((row for row in members if roles[row] == REPRESENTATIVE), None)
        others = [row for row in members if roles[row] in (_NEAR, DUPLICATE)]
        others.sort(key=lambda row: (roles[row] != _NEAR, rows.get("jaccard", row) or 0.0, row))
        if first is not None and others:
            near = roles[others[0]] == _NEAR
            size = rows.get("cluster_size", first) or 0
            pairs.append((not near, -size, cluster, first, others[0]))
    return [(first, other) for *_, first, other in sorted(pairs)[:MAX_CLUSTERS]]


def _cluster_sizes(rows: Rows) -> dict[int, int]:
    sizes: dict[int, int] = {}
    for row in rows.where("duplicate_role", REPRESENTATIVE):
        size = int(rows.get("cluster_size", row) or 0)
        sizes[size] = sizes.get(size, 0) + 1
    return dict(sorted(sizes.items()))


def _quoting(rows: Rows, per_label: int) -> list[int]:
    """Rows of documents that quote a benchmark: of each those with the highest scores.

    They are sorted by score over all benchmarks, the highest first, then by benchmark and id.
    """
    if not rows.has("benchmark"):
        return []
    seen: dict[str, list[tuple[float, int]]] = {}
    for row, name in enumerate(rows.table.column("benchmark").to_pylist()):
        if name:
            score = rows.get("contamination_score", row) or 0.0
            seen.setdefault(str(name), []).append((-score, row))
    chosen = [
        (score, name, row)
        for name, rows_of in seen.items()
        for score, row in sorted(rows_of)[: 4 * per_label]
    ]
    return [row for _, _, row in sorted(chosen)]


def _quotation(rows: Rows, row: int, sample: Sample) -> Quotation:
    return Quotation(
        benchmark=masked_line(str(rows.get("benchmark", row))),
        item=masked_line(str(rows.get("benchmark_item", row) or "")),
        score=rows.get("contamination_score", row),
        sample=sample,
    )


def _cluster(rows: Rows, texts: Mapping[int, Mapping[str, Any]], first: int, other: int) -> Cluster:
    """Two members where they first differ: at their beginning, or a little before that place."""
    place = first_difference(str(texts[first]["text"]), str(texts[other]["text"]))
    same = texts[first]["text"] == texts[other]["text"]
    start = 0 if same or place < OPENING_COLUMNS else place - LEAD_CHARS
    columns = SAME_COLUMNS if same else OPENING_COLUMNS
    one, two = (
        _sample(rows, row, texts[row], start, COMPARED_COLUMNS, COMPARED_LINES)
        for row in (first, other)
    )
    left, right = (one.pieces, two.pieces) if same else differences(one.pieces, two.pieces)
    (left, left_whole), (right, right_whole) = (shortened(p, columns) for p in (left, right))
    return Cluster(
        size=int(rows.get("cluster_size", first) or 0),
        role=str(rows.get("duplicate_role", other)),
        jaccard=rows.get("jaccard", other),
        same_text=bool(same),
        start=start,
        first=replace(one, pieces=left, goes_on=one.goes_on or not left_whole),
        other=replace(two, pieces=right, goes_on=two.goes_on or not right_whole),
    )


def _texts(
    workspace: Workspace, pins: Pins, rows: Rows, needed: set[int]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Document rows for rows of the labels, part by part."""
    by_part: dict[PartKey, dict[int, int]] = {}
    for row in sorted(needed):
        key, place = rows.places[row]
        by_part.setdefault(key, {})[place] = row
    for key in sorted(by_part):
        entry = workspace.ledger.get(pins.sources[key.source].documents, key.source, key.part)
        found = document_rows(workspace, entry.file("documents"), sorted(by_part[key]))
        for place, document in found:
            yield by_part[key][place], {**document, "source": key.source}


def _sample(
    rows: Rows,
    row: int,
    document: Mapping[str, Any],
    start: int = 0,
    columns: int = OPENING_COLUMNS,
    lines: int = OPENING_LINES,
) -> Sample:
    """A document as it may be printed: its text from `start`, as much as columns and lines hold."""
    text = str(document["text"])
    found = rows.get(_KINDS, row)
    withheld = rows.has(_KINDS) and found is None
    spans = [Span(str(s["kind"]), int(s["start"]), int(s["end"])) for s in found or []]
    secrets = secrets_of(text, spans)
    passage, goes_on = masked_passage(
        text, spans, start=start, guess=not rows.has(_KINDS), columns=columns, lines=lines
    )
    locator = document["locator"]
    place = document["uri"] or f"{locator['file']} at {locator['offset']}"
    return Sample(
        id=bytes(document["id"]).hex(),
        source=str(document["source"]),
        place=masked_line(str(place), secrets),
        title=masked_line(dict(document["meta"] or ()).get("title") or "", secrets),
        language=str(rows.get("language", row) or ""),
        labels=tuple(_shown_labels(rows, row)),
        pieces=() if withheld else passage,
        goes_on=goes_on,
        withheld=withheld,
    )


def _shown_labels(rows: Rows, row: int) -> Iterator[tuple[str, str]]:
    """Labels beside a document, as texts."""
    tokens = rows.get("num_tokens", row)
    if tokens is not None:
        yield "tokens", f"{tokens:,}"
    for column in ("topic", "format"):
        value = rows.get(column, row)
        if value:
            yield column, masked_line(str(value)).replace("_", " ")
    keep, reason = rows.get("quality_keep", row), rows.get("quality_reason", row)
    if keep is not None:
        yield "quality", "kept" if keep else f"dropped: {masked_line(str(reason or 'unknown'))}"
    score = rows.get("quality_score", row)
    if score is not None:
        yield "score", f"{score:.2f}"
    role = rows.get("duplicate_role", row)
    if role and role != "alone":
        yield "duplicates", str(role).replace("_", " ")

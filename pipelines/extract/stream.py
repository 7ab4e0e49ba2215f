"""Extraction in child processes: chunks of records in, their EXTRACTED rows out, in order.

Pages and texts travel in chunks; a paged file (a PDF or a picture) travels alone and goes through
two steps. Its text layers are read in one call (milliseconds a page). Its pages that are to be
looked at follow as tasks, one a page (seconds each), and take the places that were kept for them;
children look at them, or whoever is named in their place (`pdf.vl_stream`: a model does).
So one large scan uses all children, a page that hangs costs a page, the time that a call may take
can be short, and pages of HTML between two PDFs wait for a place in the queue and never for a whole
scan.

What a reader raises on one record costs that record: it is a reject `extract_error`, of a page one
of that page. Only a lack of memory goes on to `Children`, and what no record can cure, a setting or
a package that is not installed, ends the job; those are tried before any record is.

A budget for OCR needs the scores of all pages of a part before the first is looked at: the first
step is then done twice, for it is a hundred times as fast as what the budget saves.
"""

import functools
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.config import ExtractConfig
from pipelines.extract.engines import check_engine
from pipelines.extract.extracted import Extracted, to_batch
from pipelines.extract.markup import extract_records
from pipelines.extract.media import PAGED_TYPES
from pipelines.extract.pdf import triage
from pipelines.extract.pdf.joining import joined
from pipelines.extract.pdf.schema import (
    REJECTED,
    SCAN,
    SCAN_TASK,
    Page,
    PdfPages,
    pages_batch,
    pdf_batch,
    read_pages,
    read_pdfs,
)
from pipelines.extract.pdf.versions import engine_version
from pipelines.workspace.children import Children

# What honest work can take on a slow, busy machine; a call that exceeds it hangs. Here a text layer
# takes 2-70 ms a page and OCR 2-45 s (a newspaper of 750 lines).
_TEXT_PAGE_S: Final = 0.1
_SCAN_S: Final = 240.0
# A page with a text of its own takes more; pages that share theirs have the base of the limits.
_LEAST_PAGE_BYTES: Final = 512
_PAGE_OBJECT: Final = re.compile(rb"/Type\s*/Page(?![A-Za-z])")
_PACKED_OBJECTS: Final = b"/ObjStm"
_PAGED: Final = pa.array(PAGED_TYPES)
_MAX_MESSAGE: Final = 500

Look = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]
"""SCAN_TASK batches of one row or none -> a PAGE batch with as many rows, for each, in order."""

_Row = TypeVar("_Row")


@dataclass(slots=True)
class _Chunk:
    """Records under way."""

    records: pa.RecordBatch
    extracted: pa.RecordBatch | None = None
    found: PdfPages | None = None
    """Of a paged file, in place of `extracted`: its text layers."""
    seen: list[Page] = field(default_factory=list)
    num_tasks: int = 1
    """Results that are still to come: a page each, or one that is empty."""


def extract_in_children(
    chunks: Iterable[pa.RecordBatch],
    children: Children,
    settings: ExtractConfig,
    *,
    lowest_rank: int = 0,
    look: Look | None = None,
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Extracts chunks of records; of a chunk with a paged file in it, that is the only row.

    Args:
        chunks: As `regroup` makes them.
        children: Where they are extracted.
        settings: How.
        lowest_rank: Of the pages that may go to OCR (see `lowest_rank_of`).
        look: Looks at pages; by default children do.

    Yields:
        (records, their EXTRACTED rows) for each chunk, in order.
    """
    given: deque[_Chunk] = deque()
    under_way: deque[_Chunk] = deque()

    def remembered() -> Iterator[pa.RecordBatch]:
        for chunk in chunks:
            given.append(_Chunk(chunk))
            yield chunk

    def tasks() -> Iterator[pa.RecordBatch]:
        for result in _first_step(remembered(), children, settings):
            under_way.append(chunk := given.popleft())
            yield from _tasks(chunk, result, lowest_rank)

    for result in look(tasks()) if look else look_in_children(tasks(), children, settings):
        chunk = under_way[0]
        chunk.seen += read_pages(result)
        chunk.num_tasks -= 1
        if not chunk.num_tasks:
            under_way.popleft()
            yield chunk.records, _finished(chunk, settings)


def look_in_children(
    tasks: Iterable[pa.RecordBatch], children: Children, settings: ExtractConfig
) -> Iterator[pa.RecordBatch]:
    """PAGE rows of SCAN_TASK batches, in order."""
    return children.map(
        functools.partial(read_scans, settings=settings),
        tasks,
        _failed_scan,
        extra_s=lambda _: _SCAN_S,
    )


def _first_step(
    chunks: Iterable[pa.RecordBatch], children: Children, settings: ExtractConfig
) -> Iterator[pa.RecordBatch]:
    return children.map(
        functools.partial(read_chunk, settings=settings),
        chunks,
        _failed_chunk,
        extra_s=lambda chunk: _TEXT_PAGE_S * min(settings.pdf.max_pages, most_pages(chunk)),
    )


def most_pages(chunk: pa.RecordBatch) -> int:
    """How many pages a paged file can have, without opening it; 0 of other records.

    Objects of pages are counted where they can be seen, else (in packed streams of objects, and in
    pictures) bytes tell.
    """
    if not is_paged(chunk):
        return 0
    payload: bytes = chunk.column("payload")[0].as_py()
    num_objects = sum(1 for _ in _PAGE_OBJECT.finditer(payload))
    if num_objects and _PACKED_OBJECTS not in payload:
        return num_objects
    return max(num_objects, len(payload) // _LEAST_PAGE_BYTES)


def lowest_rank_of(
    chunks: Iterable[pa.RecordBatch], children: Children, settings: ExtractConfig
) -> int:
    """The lowest rank of a page that goes to OCR, by the budget of `settings`.

    Args:
        chunks: All of a part, as `regroup` makes them; those without a paged file are passed over.
        children: Where they are read.
        settings: How.

    Returns:
        0 where there is no budget.
    """
    if settings.pdf.ocr_budget is None:
        return 0
    digests: deque[bytes] = deque()

    def paged() -> Iterator[pa.RecordBatch]:
        for chunk in chunks:
            if is_paged(chunk):
                digests.append(_digest(chunk))
                yield chunk

    ranks: list[int] = []
    num_pages = 0
    for result in _first_step(paged(), children, settings):
        (found,) = read_pdfs(result)
        digest = digests.popleft()
        num_pages += len(found.pages)
        ranks += [_rank(page, digest) for page in found.pages if page.outcome == SCAN]
    return triage.lowest_rank(ranks, num_pages, settings.pdf.ocr_budget)


def _digest(chunk: pa.RecordBatch) -> bytes:
    digest: bytes | None = chunk.column("digest")[0].as_py()
    return digest or b""


def _rank(page: Page, digest: bytes) -> int:
    return triage.rank(page.score or 0.0, digest, page.page)


def is_paged(records: pa.RecordBatch) -> bool:
    """Whether there is a PDF or a picture among the records."""
    return bool(pc.any(_are_paged(records)).as_py())


def _are_paged(records: pa.RecordBatch) -> pa.BooleanArray:
    """bool[num_records]; a text that came from a PDF elsewhere is none."""
    has_bytes = records.column("payload").is_valid()
    return pc.and_(has_bytes, pc.is_in(records.column("media_type"), _PAGED))


def read_chunk(records: pa.RecordBatch, *, settings: ExtractConfig) -> pa.RecordBatch:
    """The first step, in a child: EXTRACTED rows, or the PDF_PAGES row of a paged file."""
    if not is_paged(records):
        return _extracted(records, settings)
    from pipelines.extract.pdf.document import read_layered_pages

    engine_version(settings.pdf.engine)
    columns = (records.column(name).to_pylist() for name in ("payload", "media_type"))
    found = [
        _or_reject(
            functools.partial(read_layered_pages, payload, settings.pdf, kind),
            functools.partial(_lost_file, kind),
        )
        for payload, kind in zip(*columns, strict=True)
    ]
    return pdf_batch(found)


def _extracted(records: pa.RecordBatch, settings: ExtractConfig) -> pa.RecordBatch:
    """EXTRACTED rows; where a reader raises, one record after the other."""
    check_engine(settings.html_engine)
    try:
        return extract_records(records, settings=settings)
    except (MemoryError, ImportError):
        raise
    except Exception:
        rows = [
            _or_reject(
                functools.partial(extract_records, records.slice(row, 1), settings=settings),
                _lost_record,
            )
            for row in range(records.num_rows)
        ]
        return _one_batch(rows)


def _or_reject(read: Callable[[], _Row], reject: Callable[[str, str], _Row]) -> _Row:
    """What `read` gives, or the reject of what it raised.

    Raises:
        MemoryError, ImportError: They are no fault of the record.
    """
    try:
        return read()
    except (MemoryError, ImportError):
        raise
    except Exception as error:
        return reject("extract_error", f"{type(error).__name__}: {error}"[:_MAX_MESSAGE])


def read_scans(tasks: pa.RecordBatch, *, settings: ExtractConfig) -> pa.RecordBatch:
    """The second step, in a child: PAGE rows of SCAN_TASK rows."""
    if not tasks.num_rows:
        return pages_batch([])
    from pipelines.extract.pdf.document import read_scan
    from pipelines.extract.pdf.ocr import ocr_engine

    if settings.pdf.ocr != "none":
        ocr_engine(settings.pdf.ocr)
    found = [
        _or_reject(
            functools.partial(
                read_scan,
                row["payload"],
                row["page"],
                settings.pdf,
                row["media_type"],
                may_ocr=row["may_ocr"],
            ),
            functools.partial(_lost_page, row["page"]),
        )
        for row in tasks.to_pylist()
    ]
    return pages_batch(found)


def _tasks(chunk: _Chunk, result: pa.RecordBatch, lowest_rank: int) -> Iterator[pa.RecordBatch]:
    """What is left to do for a chunk; one empty task where that is nothing, to keep the order."""
    if not is_paged(chunk.records):
        chunk.extracted = result
        # Behind a model that reads pages many chunks wait; what they were made of is done with.
        chunk.records = _without_payload(chunk.records)
        yield _no_task()
        return
    (chunk.found,) = read_pdfs(result)
    scans = [page for page in chunk.found.pages if page.outcome == SCAN]
    chunk.num_tasks = max(1, len(scans))
    digest = _digest(chunk.records)
    if not scans:
        yield _no_task()
    for page in scans:
        told = {
            # Not copied: the tasks of a file share its bytes until they go to a child.
            "payload": chunk.records.column("payload"),
            "media_type": pa.array([chunk.found.media_type]),
            "page": pa.array([page.page], pa.int32()),
            "may_ocr": pa.array([_rank(page, digest) >= lowest_rank]),
        }
        yield pa.RecordBatch.from_arrays([told[f.name] for f in SCAN_TASK], schema=SCAN_TASK)


def _without_payload(records: pa.RecordBatch) -> pa.RecordBatch:
    at = records.schema.get_field_index("payload")
    nothing = pa.nulls(records.num_rows, records.schema.field(at).type)
    return records.set_column(at, records.schema.field(at), nothing)


def _no_task() -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=SCAN_TASK)


def _finished(chunk: _Chunk, settings: ExtractConfig) -> pa.RecordBatch:
    if chunk.extracted is not None:
        return chunk.extracted
    assert chunk.found is not None
    return to_batch([joined(chunk.found, chunk.seen, settings.pdf)])


def _failed_chunk(record: pa.RecordBatch, reason: str, message: str) -> pa.RecordBatch:
    """The row of a record that killed its children; of a paged file no page is known."""
    if is_paged(record):
        return pdf_batch([_lost_file(record.column("media_type")[0].as_py(), reason, message)])
    return _lost_record(reason, message)


def _failed_scan(task: pa.RecordBatch, reason: str, message: str) -> pa.RecordBatch:
    """The row of a page that killed its children."""
    return pages_batch([_lost_page(task.column("page")[0].as_py(), reason, message)])


def _lost_record(reason: str, message: str) -> pa.RecordBatch:
    return to_batch([Extracted(extractor=None, reason=reason, message=message)])


def _lost_file(media_type: str, reason: str, message: str) -> PdfPages:
    return PdfPages(reason=reason, message=message, media_type=media_type, meta={})


def _lost_page(number: int, reason: str, message: str) -> Page:
    return Page(page=number, outcome=REJECTED, reason=reason, message=message)


def regroup(
    batches: Iterable[pa.RecordBatch], max_rows: int, max_bytes: int
) -> Iterator[pa.RecordBatch]:
    """Regroups batches, the many tiny ones of a folder or the few large ones of a WARC.

    Yields:
        The same rows in the same order; every paged file is a chunk of its own.
    """
    pending: list[pa.RecordBatch] = []
    rows = size = 0
    for piece in _pieces(batches, max_rows):
        is_alone = is_paged(piece)
        is_full = rows + piece.num_rows > max_rows or size + piece.nbytes > max_bytes
        if pending and (is_full or is_alone):
            yield _one_batch(pending)
            pending, rows, size = [], 0, 0
        if is_alone:
            yield piece
            continue
        pending.append(piece)
        rows, size = rows + piece.num_rows, size + piece.nbytes
    if pending:
        yield _one_batch(pending)


def _pieces(batches: Iterable[pa.RecordBatch], max_rows: int) -> Iterator[pa.RecordBatch]:
    """Slices of at most so many rows; those with a paged file have one."""
    for batch in batches:
        if is_paged(batch):
            start = 0
            for row in pc.indices_nonzero(_are_paged(batch)).to_pylist():
                yield from _sliced(batch.slice(start, row - start), max_rows)
                yield batch.slice(row, 1)
                start = row + 1
            batch = batch.slice(start)
        yield from _sliced(batch, max_rows)


def _sliced(batch: pa.RecordBatch, max_rows: int) -> Iterator[pa.RecordBatch]:
    for start in range(0, batch.num_rows, max_rows):
        yield batch.slice(start, max_rows)


def _one_batch(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    return pa.Table.from_batches(batches).combine_chunks().to_batches()[0]

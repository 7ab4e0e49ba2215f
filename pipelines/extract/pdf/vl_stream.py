"""The second step of extraction where a vision-language model reads: pages to be looked at.

Three stages behind each other, all in the order of the pages: children draw them, the model reads
them side by side, and children read with RapidOCR what it could not. The stages overlap, since each
takes pages from the one before only as it has room: while the model is busy with some, the next are
drawn. Between the stages a page is its task, which shares the bytes of its file with all other
tasks of it, and its picture, which goes when it was read; so a window of pages costs the memory of
their pictures.
"""

import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Final

import pyarrow as pa

from pipelines.config import ExtractConfig
from pipelines.extract.pdf.schema import (
    REJECTED,
    Drawing,
    Page,
    drawings_batch,
    pages_batch,
    read_drawings,
    read_pages,
)
from pipelines.extract.pdf.vl_ladder import FLAW, read_drawing
from pipelines.extract.stream import look_in_children
from pipelines.models.desk import Desk
from pipelines.workspace.children import Children

# A page of a PDF takes 20-400 ms to draw and to pack, one of a huge picture file some seconds.
_DRAW_S: Final = 60.0
# Pages at work, in requests in flight: one that climbs the ladder holds up the order, not the
# model. A picture takes 0.1-2 MB.
_WINDOW: Final = 2


def look_with_model(
    tasks: Iterable[pa.RecordBatch],
    *,
    children: Children,
    settings: ExtractConfig,
    desk: Desk,
) -> Iterator[pa.RecordBatch]:
    """Reads pages with the model of a desk.

    Args:
        tasks: SCAN_TASK batches, of one row or, to keep a place, of none.
        children: Where pages are drawn, and read by the fallback.
        settings: With `pdf.ocr: vl`.
        desk: Of the part.

    Yields:
        PAGE rows of each batch, in order.

    Raises:
        EndpointError: The model cannot be asked.
    """
    read = functools.partial(_read, desk=desk, settings=settings)
    assert desk.model is not None
    window = _WINDOW * desk.model.in_flight
    seen = desk.map_ordered(_drawn(tasks, children, settings), read, window)
    if settings.pdf.vl.fallback != "rapidocr":
        for _, page in seen:
            yield pages_batch([page] if page is not None else [])
        return
    # The pages wait here while what cannot be read of others is looked at again.
    waiting: deque[Page | None] = deque()
    plain = settings.pdf.model_copy(update={"ocr": "rapidocr", "ocr_model": None})
    fallback = settings.model_copy(update={"pdf": plain})
    for result in look_in_children(_unread(seen, waiting), children, fallback):
        page = waiting.popleft()
        if result.num_rows:
            assert page is not None
            (other,) = read_pages(result)
            page = _second(page, other)
        yield pages_batch([page] if page is not None else [])


def _drawn(
    tasks: Iterable[pa.RecordBatch], children: Children, settings: ExtractConfig
) -> Iterator[tuple[pa.RecordBatch, Drawing | None]]:
    """Tasks with their pictures; None for a task that only keeps a place."""
    waiting: deque[pa.RecordBatch] = deque()

    def remembered() -> Iterator[pa.RecordBatch]:
        for task in tasks:
            waiting.append(task)
            yield task

    drawn = children.map(
        functools.partial(draw_scans, settings=settings),
        remembered(),
        _failed_drawing,
        extra_s=lambda _: _DRAW_S,
    )
    for result in drawn:
        found = read_drawings(result)
        yield waiting.popleft(), found[0] if found else None


def draw_scans(tasks: pa.RecordBatch, *, settings: ExtractConfig) -> pa.RecordBatch:
    """In a child: DRAWING rows of SCAN_TASK rows."""
    if not tasks.num_rows:
        return drawings_batch([])
    from pipelines.extract.pdf.document import draw_scan

    return drawings_batch(
        [
            _drawn_or_lost(
                row["page"],
                functools.partial(
                    draw_scan,
                    row["payload"],
                    row["page"],
                    settings.pdf,
                    row["media_type"],
                    may_ocr=row["may_ocr"],
                ),
            )
            for row in tasks.to_pylist()
        ]
    )


def _drawn_or_lost(number: int, draw: Callable[[], Drawing]) -> Drawing:
    try:
        return draw()
    except (MemoryError, ImportError):
        raise
    except Exception as error:  # as in `stream`: what a reader raises on a page costs that page
        return _lost(number, "extract_error", f"{type(error).__name__}: {error}"[:500])


def _failed_drawing(task: pa.RecordBatch, reason: str, message: str) -> pa.RecordBatch:
    """The row of a page that killed its children."""
    return drawings_batch([_lost(task.column("page")[0].as_py(), reason, message)])


def _lost(number: int, reason: str, message: str) -> Drawing:
    return Drawing(page=Page(page=number, outcome=REJECTED, reason=reason, message=message))


async def _read(
    drawn: tuple[pa.RecordBatch, Drawing | None], *, desk: Desk, settings: ExtractConfig
) -> tuple[pa.RecordBatch, Page | None]:
    task, drawing = drawn
    if drawing is None:
        return task, None
    return task, await read_drawing(drawing, desk, settings.pdf.vl)


def _unread(
    seen: Iterable[tuple[pa.RecordBatch, Page | None]], waiting: deque[Page | None]
) -> Iterator[pa.RecordBatch]:
    """The tasks of pages that the model could not read; those of all others without their row."""
    for task, page in seen:
        waiting.append(page)
        is_lost = page is not None and (page.reason or "").startswith(FLAW)
        yield task if is_lost else task.slice(0, 0)


def _second(page: Page, other: Page) -> Page:
    """A page after a fallback: its text, or both reasons."""
    if other.outcome == REJECTED:
        message = f"{page.message}; then {other.reason}: {other.message}"
        return replace(page, message=message[:500], confidence=other.confidence)
    return replace(other, reason=page.reason, message=page.message, vl=page.vl)

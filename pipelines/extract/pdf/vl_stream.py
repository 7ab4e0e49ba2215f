"""The second step of extraction where a vision-language model reads: pages to be looked at.

Three stages behind each other, all in the order of the pages: children draw them, the model reads
them side by side, and children read with RapidOCR what it could not. The stages overlap, since each
takes pages from the one before only as it has room: while the model is busy with some, the next are
drawn. Between the stages a page is its task, which shares the bytes of its file with all other
tasks of it, and its picture, which goes when it was read. So a window of pages costs the memory of
their pictures and of their files; where files are so large that this is much, the window is emptied
before it goes on.

A child draws a few pages of a file in one call, because to send a large file takes longer than to
draw one of its pages; when it dies, `Children` goes on page by page.
"""

import functools
import itertools
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
_PAGES_A_CALL: Final = 4
# Of files whose pages are at work or wait for an earlier one.
_MAX_FILE_BYTES: Final = 1 << 30
# Pages at work, in requests in flight: one that climbs the ladder holds up the order, not the
# model. A picture takes 0.1-2 MB.
_WINDOW: Final = 2

_Drawn = tuple[pa.RecordBatch, Drawing | None]
"""A task and its picture; None for a task that only keeps a place."""


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
    seen = _asked(_drawn(tasks, children, settings), desk, settings)
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


def _asked(
    drawn: Iterable[_Drawn], desk: Desk, settings: ExtractConfig
) -> Iterator[tuple[pa.RecordBatch, Page | None]]:
    """Pages as the model read them, in order."""
    assert desk.model is not None
    window = _WINDOW * desk.model.in_flight
    read = functools.partial(_read, desk=desk, settings=settings)
    for _, group in itertools.groupby(drawn, _group_number()):
        yield from desk.map_ordered(group, read, window)


def _group_number() -> Callable[[_Drawn], int]:
    """Numbers runs of pages whose files have at most so many bytes together, each file once."""
    number, held, last = 0, 0, None

    def number_of(drawn: _Drawn) -> int:
        nonlocal number, held, last
        task, _ = drawn
        if task.num_rows and _file(task) != last:
            last, size = _file(task), task.column("payload").nbytes
            held += size
            if held > _MAX_FILE_BYTES:
                number, held = number + 1, size
        return number

    return number_of


def _file(task: pa.RecordBatch) -> tuple[int, int]:
    """Tells apart the files of tasks that follow each other, which share their bytes."""
    payload = task.column("payload")
    return payload.buffers()[-1].address, payload.offset


def _drawn(
    tasks: Iterable[pa.RecordBatch], children: Children, settings: ExtractConfig
) -> Iterator[_Drawn]:
    """Tasks with their pictures; None for a task that only keeps a place."""
    waiting: deque[list[pa.RecordBatch]] = deque()

    def calls() -> Iterator[pa.RecordBatch]:
        for group in _few_of_a_file(tasks):
            waiting.append(group)
            yield _call_of(group)

    drawn = children.map(
        functools.partial(draw_scans, settings=settings),
        calls(),
        _failed_drawing,
        extra_s=lambda call: _DRAW_S * call.num_rows,
    )
    for result in drawn:
        found: list[Drawing | None] = [*read_drawings(result)]
        yield from zip(waiting.popleft(), found or [None], strict=True)


def _few_of_a_file(tasks: Iterable[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """Tasks that follow each other and are of one file, a few at a time."""
    few: list[pa.RecordBatch] = []
    for task in tasks:
        is_more = few and task.num_rows and few[0].num_rows and _file(task) == _file(few[0])
        if few and not (is_more and len(few) < _PAGES_A_CALL):
            yield few
            few = []
        few.append(task)
    if few:
        yield few


def _call_of(tasks: list[pa.RecordBatch]) -> pa.RecordBatch:
    """Tasks of one file in one batch, which holds the bytes of the file once."""
    rows = pa.Table.from_batches(tasks).select(["page", "media_type", "may_ocr"])
    if not rows.num_rows:
        return tasks[0]
    file = pa.DictionaryArray.from_arrays(
        pa.array([0] * rows.num_rows, pa.int32()), tasks[0].column("payload")
    )
    return rows.combine_chunks().to_batches()[0].append_column("payload", file)


def draw_scans(tasks: pa.RecordBatch, *, settings: ExtractConfig) -> pa.RecordBatch:
    """In a child: DRAWING rows of the tasks of one file.

    Args:
        tasks: Columns of SCAN_TASK; `payload` is a dictionary of one value.
        settings: How pages are drawn.
    """
    if not tasks.num_rows:
        return drawings_batch([])
    from pipelines.extract.pdf.document import draw_scan

    payload: bytes = tasks.column("payload").dictionary[0].as_py()
    drawings = [
        _drawn_or_lost(
            row["page"],
            functools.partial(
                draw_scan,
                payload,
                row["page"],
                settings.pdf,
                row["media_type"],
                may_ocr=row["may_ocr"],
            ),
        )
        for row in tasks.drop_columns(["payload"]).to_pylist()
    ]
    return drawings_batch(drawings)


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
    drawn: _Drawn, *, desk: Desk, settings: ExtractConfig
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

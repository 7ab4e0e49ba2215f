"""Pages a second, of `generation.py`."""

import asyncio
import multiprocessing
import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from io import BytesIO
from time import monotonic
from typing import Final

import pyarrow as pa
from generation_clients import (
    WARM_UP,
    WORDS,
    Bench,
    Clocked,
    bodies_of,
    fresh_workspace,
    in_turns,
    opened,
    post_all,
)
from gpu_watch import GpuWatch
from PIL import Image, ImageDraw, ImageFont
from rich.table import Table

from pipelines.config import ExtractConfig
from pipelines.extract.media import PDF_TYPE
from pipelines.extract.pdf.document import draw_scan
from pipelines.extract.pdf.schema import SCAN_TASK, read_pages
from pipelines.extract.pdf.vl_ladder import request_of
from pipelines.extract.pdf.vl_settings import VlConfig
from pipelines.extract.pdf.vl_stream import look_with_model
from pipelines.models.desk import open_desk
from pipelines.models.handler import Handler
from pipelines.models.server import VllmServer
from pipelines.workspace.children import Children, Limits, default_processes
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.workspace import Workspace

PAGES_A_FILE: Final = 16


def run_pages(bench: Bench, server: VllmServer) -> None:
    """Pages a second with drawing and asking at the same time, beside asking alone."""
    settings = ExtractConfig.model_validate(
        {
            "pdf": {
                "ocr": "vl",
                "ocr_model": "bench",
                "vl": VlConfig(
                    temperatures=(1.0,), max_tokens=bench.max_tokens, fallback="none"
                ).model_dump(),
            }
        }
    )
    url = server.url
    limits = Limits(processes=default_processes())
    children = Children(limits)
    bench.say(f"drawing {(bench.rounds + 1) * bench.requests} pages")
    files = _scanned_files(range((bench.rounds + 1) * bench.requests // PAGES_A_FILE))
    per_round = max(1, bench.requests // PAGES_A_FILE)
    try:
        with opened(bench, server) as handler:
            clients: dict[str, Callable[[Sequence[bytes]], Clocked]] = {
                "tokenmill": lambda pdfs: _clock_pages(bench, handler, children, settings, pdfs),
                "bare client": lambda pdfs: _clock_drawn(bench, url, settings, pdfs),
            }
            for client in clients.values():
                client(files[:per_round][: max(1, WARM_UP // PAGES_A_FILE)])
            found = in_turns(
                bench, clients, lambda n: files[(n + 1) * per_round : (n + 2) * per_round]
            )
    finally:
        children.close()
    table = Table(
        "client", "pages/s", "of each round", "tokens/s", "GPU idle", "GPU busy", title="Pages"
    )
    for name, rounds in found.items():
        busy = [one.gpu for one in rounds if one.gpu is not None]
        table.add_row(
            name,
            f"{statistics.median(one.answers_per_second for one in rounds):.2f}",
            " ".join(f"{one.answers_per_second:.2f}" for one in rounds),
            f"{statistics.median(one.tokens_per_second for one in rounds):,.0f}",
            " ".join(f"{one.idle_share:.1%}" for one in busy) or "no GPU",
            " ".join(f"{one.mean:.1%}" for one in busy),
        )
    bench.console.print(table)


def _clock_pages(
    bench: Bench,
    handler: Handler,
    children: Children,
    settings: ExtractConfig,
    pdfs: Sequence[bytes],
) -> Clocked:
    workspace = Workspace.open(str(fresh_workspace(bench)))
    with (
        GpuWatch() as watch,
        open_desk(bench.model, workspace, PartKey("bench", 0), children, handler=handler) as desk,
    ):
        started = monotonic()
        tasks = _tasks(pdfs)
        pages = [
            page
            for batch in look_with_model(tasks, children=children, settings=settings, desk=desk)
            for page in read_pages(batch)
        ]
        seconds = monotonic() - started
    lost = [page.message for page in pages if page.vl is None]
    if lost or desk.usage.requests != len(pages):
        raise ValueError(f"not all pages were drawn and asked about: {lost[:3]}")
    return Clocked(
        seconds=seconds,
        answered=len(pages),
        completion_tokens=desk.usage.completion_tokens,
        gpu=watch.busy,
    )


def _clock_drawn(bench: Bench, url: str, settings: ExtractConfig, pdfs: Sequence[bytes]) -> Clocked:
    with multiprocessing.get_context("spawn").Pool(default_processes()) as pool:
        drawn = pool.map(partial(_draw_file, settings=settings), pdfs, chunksize=1)
    requests = [
        request_of(png, 1.0, 0, settings.pdf.vl, bench.model) for pngs in drawn for png in pngs
    ]
    bodies = bodies_of(bench.model, requests)
    with GpuWatch() as watch:
        clocked = asyncio.run(post_all(bench, url, bodies))
    return replace(clocked, gpu=watch.busy)


def _draw_file(pdf: bytes, settings: ExtractConfig) -> list[bytes]:
    numbers = range(1, PAGES_A_FILE + 1)
    drawn = [draw_scan(pdf, n, settings.pdf, PDF_TYPE, may_ocr=True) for n in numbers]
    return [one.png for one in drawn if one.png is not None]


def _tasks(pdfs: Sequence[bytes]) -> Iterator[pa.RecordBatch]:
    """As extraction makes them: the pages of a file share its bytes."""
    for pdf in pdfs:
        payload = pa.array([pdf], pa.large_binary())
        for number in range(1, PAGES_A_FILE + 1):
            told = [payload, pa.array([PDF_TYPE]), pa.array([number], pa.int32()), pa.array([True])]
            yield pa.RecordBatch.from_arrays(told, schema=SCAN_TASK)


def _scanned_files(seeds: Sequence[int]) -> list[bytes]:
    """PDFs of 16 scanned pages each; in other processes, as it takes a second a file."""
    with multiprocessing.get_context("spawn").Pool(default_processes()) as pool:
        return pool.map(scanned_file, seeds, chunksize=1)


def scanned_file(seed: int) -> bytes:
    """A PDF whose pages are pictures of words: letter paper at 150 dpi."""
    draw = random.Random(seed)
    font = ImageFont.load_default(24)
    pages = []
    for number in range(PAGES_A_FILE):
        page = Image.new("L", (1275, 1650), 244)
        pen = ImageDraw.Draw(page)
        pen.text((90, 50), f"{seed}.{number}", fill=20, font=font)
        for y in range(110, 1560, 36):
            pen.text((90, y), " ".join(draw.choices(WORDS, k=14)), fill=20, font=font)
        pages.append(page)
    target = BytesIO()
    pages[0].save(target, "PDF", save_all=True, append_images=pages[1:], resolution=150)
    return target.getvalue()

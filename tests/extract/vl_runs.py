"""Runs of extraction that read pages with the echo server, for tests."""

import asyncio
import io
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from pipelines.config import ExtractConfig, PdfConfig, SourceConfig
from pipelines.extract.job import ExtractJob
from pipelines.extract.recount import recount_faults
from pipelines.extract.sources import list_source
from pipelines.models.echo import EchoServer
from pipelines.models.echo_rules import EchoAnswer, EchoRequest
from pipelines.models.faults import parse_faults
from pipelines.models.settings import ModelConfig
from pipelines.workspace.audit import audit
from pipelines.workspace.children import Children, Limits
from pipelines.workspace.inventory import Inventory
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.ledger import Entry
from pipelines.workspace.parts import read_table
from pipelines.workspace.workspace import Workspace

KEY = PartKey("papers", 0)
Rule = Callable[[EchoRequest], EchoAnswer | None]


@contextmanager
def serving(
    faults: str = "", rules: Sequence[Rule] | None = None
) -> Iterator[tuple[EchoServer, str]]:
    """An echo server in a thread, and its URL."""
    server = EchoServer(parse_faults(faults) if faults else None, rules=rules)
    ready, urls, loop, over = threading.Event(), [], asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        async with server.serving() as url:
            urls.append(url)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    ready.wait()
    try:
        yield server, urls[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


def reader_at(url: str, **changes: object) -> ModelConfig:
    return ModelConfig.model_validate(
        {"engine": "endpoint", "model": "org/reader-1", "url": url, "in_flight": 4, **changes}
    )


def sheet(number: int, mark: str | None = None) -> Image.Image:
    """A page 200 wide and 300 high with bars of ink, and a mark in its upper left corner."""
    page = Image.new("RGB", (200, 300), "white")
    draw = ImageDraw.Draw(page)
    for bar in range(4 + number):
        draw.rectangle((60, 60 + 14 * bar, 180, 66 + 14 * bar), fill="black")
    if mark is not None:
        draw.rectangle((8, 8, 28, 28), fill=mark)
    return page


def told(page: Image.Image) -> str:
    """The document that the echo server makes of a page."""
    pixels = np.asarray(page.convert("RGB"), np.uint8)
    height, width, _ = pixels.shape
    digest = blake2b(pixels.tobytes(), digest_size=8).hexdigest()
    return (
        f"# Picture {digest}\n\nPicture {digest} has $w \\cdot h = {width * height}$ pixels.\n\n"
        f"| side | pixels |\n| --- | --- |\n| width | {width} |\n| height | {height} |"
    )


def saved(*frames: Image.Image, kind: str = "TIFF") -> bytes:
    target = io.BytesIO()
    more = {"save_all": True, "append_images": frames[1:]} if kind == "TIFF" else {}
    frames[0].save(target, kind, **more)
    return target.getvalue()


def prepared(folder: Path, files: Mapping[str, bytes]) -> Path:
    """A workspace that knows the files as its only part; its folder."""
    (folder / "inputs").mkdir(parents=True)
    for name, data in files.items():
        (folder / "inputs" / name).write_bytes(data)
    workspace = Workspace.create(str(folder / "w"))
    inventory = Inventory(workspace.storage, KEY.source)
    inventory.extend(list_source(_source(folder), 1 << 30), 1 << 30)
    return folder


def read(
    folder: Path, children: Children, model: ModelConfig, **pdf: object
) -> tuple[Workspace, Entry]:
    """Extracts the part and audits what came of it."""
    workspace = Workspace.create(str(folder / "w"))
    asked = {"ocr": "vl", "ocr_model": "reader", **pdf}
    settings = ExtractConfig(pdf=PdfConfig.model_validate(asked))
    job = ExtractJob(_source(folder), settings, model)
    workspace.ledger.declare(job.generation)
    job.run(workspace, KEY, children)
    entry = workspace.ledger.get(job.generation, KEY.source, KEY.part)
    assert audit(workspace, deep_checks={"extract": recount_faults}).faults == []
    return workspace, entry


def _source(folder: Path) -> SourceConfig:
    return SourceConfig(name=KEY.source, path=str(folder / "inputs"))


def rows(workspace: Workspace, entry: Entry, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read_table(workspace.storage, entry.file(kind)).to_pylist()
    return found


def texts(workspace: Workspace, entry: Entry) -> dict[str, str]:
    return {row["locator"]["file"]: row["text"] for row in rows(workspace, entry, "documents")}


def one_child() -> Children:
    return Children(Limits(processes=1))


if __name__ == "__main__":  # a run that somebody kills
    one = one_child()
    read(Path(sys.argv[1]), one, reader_at(sys.argv[2], in_flight=1))
    one.close()

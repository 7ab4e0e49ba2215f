"""Other readers of PDF files, each by its own plain call, to stand beside ours.

pymupdf: `page.get_text()`. pdf-inspector: `extract_pages_markdown_bytes(payload, pages=[i])`.
pymupdf4llm: `to_markdown(document, pages=[i])`, which in 2.0 runs a layout model, and OCR where it
finds that a page needs it and RapidOCR or Tesseract is installed; and the same with OCR off. What
is not installed is left out and named.
"""

import contextlib
import functools
import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Final

ReadPage = Callable[[bytes, int], str]
"""(a PDF, number of the page from 1) -> its text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A reader."""

    name: str
    """Of the package."""
    read: ReadPage
    mode: str = ""
    """How it is called, where there are several ways."""

    @property
    def label(self) -> str:
        """Name and mode."""
        return f"{self.name}{f', {self.mode}' if self.mode else ''}"

    @property
    def version(self) -> str | None:
        """None where it is not installed."""
        try:
            return version(self.name)
        except PackageNotFoundError:
            return None


def _read_pymupdf(payload: bytes, number: int) -> str:
    import pymupdf

    with pymupdf.open(stream=payload, filetype="pdf") as document:
        return str(document[number - 1].get_text())


def _read_pymupdf4llm(payload: bytes, number: int, **options: object) -> str:
    import pymupdf
    import pymupdf4llm  # type: ignore[import-untyped]

    with pymupdf.open(stream=payload, filetype="pdf") as document:
        return str(pymupdf4llm.to_markdown(document, pages=[number - 1], **options))


def _read_inspector(payload: bytes, number: int) -> str:
    from pdf_inspector import extract_pages_markdown_bytes

    pages = extract_pages_markdown_bytes(payload, pages=[number - 1]).pages
    return pages[0].markdown if pages else ""


PEERS: Final = (
    Peer(name="pdf-inspector", read=_read_inspector),
    Peer(name="pymupdf4llm", read=_read_pymupdf4llm, mode="OCR if it likes"),
    Peer(
        name="pymupdf4llm", read=functools.partial(_read_pymupdf4llm, use_ocr=False), mode="no OCR"
    ),
    Peer(name="pymupdf", read=_read_pymupdf),
)


def read_timed(peer: Peer, pages: Sequence[tuple[bytes, int]]) -> tuple[list[str], float]:
    """Reads pages one by one, after one that loads the library.

    Returns:
        (their texts, empty where the reader refused the file; milliseconds a page).
    """
    with _quiet():
        for payload, number in pages[:1]:
            _text(peer, payload, number)
        begin = time.perf_counter()
        texts = [_text(peer, payload, number) for payload, number in pages]
        duration_s = time.perf_counter() - begin
    return texts, 1000 * duration_s / max(1, len(pages))


def _text(peer: Peer, payload: bytes, number: int) -> str:
    try:
        return peer.read(payload, number)
    except Exception:  # each has classes of its own; a page that it cannot read is an empty text
        return ""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps advertisements and warnings of the peers off the tables."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def missing(peers: Sequence[Peer]) -> Mapping[str, str]:
    """Name of a peer that is not installed -> how to get it."""
    return {peer.name: f"pip install {peer.name}" for peer in peers if peer.version is None}

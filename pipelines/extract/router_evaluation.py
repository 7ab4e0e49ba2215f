"""How often a page goes the right way: text layer, OCR or blank.

The key (`pdf/page_key.csv`) was made by looking at pages as they are drawn. A page has gone right

- `text`: its text layer became its text; `ocr`: it was looked at, and OCR read it or said in a
  reject why not; `blank`: nothing of it became text, because it is blank or because OCR found no
  letter on its picture.

The weights of `triage` were fitted to one half of the files, by a hash of their paths; the other
half is counted apart. Its signs were chosen with all pages in view. pdf-inspector's own word, which
pages need OCR, stands beside.
"""

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Final

from pipelines.config import PdfConfig
from pipelines.extract.pdf.document import read_layered_pages, read_scan
from pipelines.extract.pdf.joining import settle
from pipelines.extract.pdf.schema import BLANK, OCR, REJECTED, SCAN, TEXT, Page

KEYS: Final = (TEXT, OCR, BLANK)
OUTCOMES: Final = (TEXT, OCR, BLANK, REJECTED)
LOOKED_AT: Final = "picture"
DECISIONS: Final = (TEXT, LOOKED_AT, BLANK)
_NO_LETTERS: Final = "ocr_no_text"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedPage:
    """One page of the key."""

    file: str
    """Path below documents/."""
    page: int
    """From 1."""
    key: str
    """text, ocr or blank."""

    @property
    def is_held_out(self) -> bool:
        """Whether no weight was fitted to its file."""
        return bool(hashlib.blake2b(self.file.encode(), digest_size=1).digest()[0] & 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterScore:
    """What became of the pages of the key."""

    pages_of: str
    """`all` or `held out`."""
    decided: dict[tuple[str, str], int]
    """(key, decision by signs alone: text, picture or blank) -> pages."""
    ended: dict[tuple[str, str], int] = field(default_factory=dict)
    """(key, outcome) -> pages; empty where OCR was off."""
    num_right: int = 0
    """Of `ended`."""
    num_pages: int = 0
    by_inspector: tuple[int, int, int, int] | None = None
    """pdf-inspector, of pages with the key text or ocr: ocr found, ocr missed, text sent to OCR,
    text left; None where it is not installed."""


def read_key() -> list[KeyedPage]:
    """The pages whose way is known."""
    text = (files("pipelines.extract.pdf") / "page_key.csv").read_text(encoding="utf-8")
    lines = io.StringIO("".join(ln for ln in text.splitlines(True) if not ln.startswith("#")))
    return [
        KeyedPage(file=row["file"], page=int(row["page"]), key=row["key"])
        for row in csv.DictReader(lines)
    ]


def score_router(folder: Path, settings: PdfConfig, sample: int | None = None) -> list[RouterScore]:
    """Reads the pages of the key that are there.

    Args:
        folder: documents/ of the evaluation data.
        settings: With `ocr: none` only the decisions are scored.
        sample: At most so many pages, spread evenly.
    """
    keyed = [page for page in read_key() if (folder / page.file).is_file()]
    if sample is not None and sample < len(keyed):
        keyed = [keyed[i * len(keyed) // sample] for i in range(sample)]
    rows = list(_gone(folder, keyed, settings))
    inspected = _inspected(folder, keyed)
    held_out = [row for row in rows if row[0].is_held_out]
    sets = {"held out": held_out, "all": rows}
    return [_scored(name, some, settings, inspected) for name, some in sets.items() if some]


_Gone = tuple[KeyedPage, Page, Page | None]
"""(page of the key, as its text layer was judged, as it ended or None where OCR was off)."""


def _gone(folder: Path, keyed: Sequence[KeyedPage], settings: PdfConfig) -> Iterator[_Gone]:
    for file in dict.fromkeys(page.file for page in keyed):
        payload = (folder / file).read_bytes()
        found = read_layered_pages(payload, settings)
        for page in (one for one in keyed if one.file == file):
            layered = found.pages[page.page - 1]
            if settings.ocr == "none":
                yield page, layered, None
            elif layered.outcome == SCAN:
                seen = read_scan(payload, page.page, settings, found.media_type)
                yield page, layered, settle(layered, seen)
            else:
                yield page, layered, layered


def _scored(
    name: str,
    rows: Sequence[_Gone],
    settings: PdfConfig,
    inspected: dict[KeyedPage, bool] | None,
) -> RouterScore:
    decided: Counter[tuple[str, str]] = Counter(
        (page.key, LOOKED_AT if layered.outcome == SCAN else layered.outcome)
        for page, layered, _ in rows
    )
    ends = [(page.key, end) for page, _, end in rows if end is not None]
    ended: Counter[tuple[str, str]] = Counter((key, end.outcome) for key, end in ends)
    return RouterScore(
        pages_of=name,
        decided=dict(decided),
        ended=dict(ended),
        num_right=sum(_is_right(key, end) for key, end in ends),
        num_pages=len(rows),
        by_inspector=_beside(rows, inspected) if inspected is not None else None,
    )


def _is_right(key: str, end: Page) -> bool:
    if key == BLANK:
        return end.outcome == BLANK or end.reason == _NO_LETTERS
    if key == OCR:
        return end.outcome in (OCR, REJECTED)
    return end.outcome == TEXT


def _inspected(folder: Path, keyed: Sequence[KeyedPage]) -> dict[KeyedPage, bool] | None:
    """Page of the key -> whether pdf-inspector says that it needs OCR; refused files count so."""
    try:
        from pdf_inspector import extract_pages_markdown_bytes
    except ImportError:
        return None
    needs: dict[KeyedPage, bool] = {}
    for file in dict.fromkeys(page.file for page in keyed):
        pages = [page for page in keyed if page.file == file]
        needs.update(dict.fromkeys(pages, True))
        try:
            found = extract_pages_markdown_bytes(
                (folder / file).read_bytes(), pages=[page.page - 1 for page in pages]
            )
        except ValueError:
            continue
        told = {one.page + 1: one.needs_ocr for one in found.pages}
        needs.update({page: told.get(page.page, True) for page in pages})
    return needs


def _beside(rows: Sequence[_Gone], inspected: dict[KeyedPage, bool]) -> tuple[int, int, int, int]:
    counts = Counter((page.key, inspected[page]) for page, _, _ in rows)
    return (
        counts[OCR, True],
        counts[OCR, False],
        counts[TEXT, True],
        counts[TEXT, False],
    )


def render_router(scores: Sequence[RouterScore]) -> str:
    """The confusion tables as plain text: keys down, ways across."""
    blocks = []
    for one in scores:
        head = f"{'router, ' + one.pages_of:<22}" + "".join(f"{d:>9}" for d in DECISIONS)
        head += "  |" + "".join(f"{name:>9}" for name in OUTCOMES) if one.ended else ""
        lines = [head]
        for key in KEYS:
            cells = "".join(f"{one.decided.get((key, way), 0):>9}" for way in DECISIONS)
            ends = "".join(f"{one.ended.get((key, way), 0):>9}" for way in OUTCOMES)
            lines.append(f"{'key: ' + key:<22}{cells}" + (f"  |{ends}" if one.ended else ""))
        if one.ended:
            share = one.num_right / one.num_pages
            lines.append(f"went right: {one.num_right} of {one.num_pages} ({share:.1%})")
        if one.by_inspector is not None:
            found, missed, sent, left = one.by_inspector
            lines.append(
                f"pdf-inspector: key ocr {found} to OCR, {missed} not; key text {sent} to OCR, "
                f"{left} not"
            )
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)

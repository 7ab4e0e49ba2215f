"""Milliseconds a page to read text layers, beside other readers, in one run.

Input: PDF files of the evaluation data that every reader opens and whose pages all have text (by
`page_key.csv`), whole files, each reader by its own call on a whole file. Readers take turns file
by file, so that whatever else the machine does falls on all of them; the best of ROUNDS rounds of
each file counts. One process, one thread. Ours includes opening, triage and Markdown, and no OCR.

    python benchmarks/extract_documents.py --data DATA
"""

import argparse
import contextlib
import io
import os
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Final

# One thread each, also in the layout model of pymupdf4llm.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from pipelines.config import PdfConfig
from pipelines.extract.document_peers import PEERS
from pipelines.extract.pdf.document import read_layered_pages
from pipelines.extract.router_evaluation import read_key

ROUNDS: Final = 3
Read = Callable[[bytes], int]
"""Reads a whole file; gives its number of pages."""


def read_ours(engine: str) -> Read:
    """Our text layers by one engine."""
    settings = PdfConfig.model_validate({"engine": engine, "ocr": "none"})
    return lambda payload: len(read_layered_pages(payload, settings).pages)


def read_inspector(payload: bytes) -> int:
    """All pages as Markdown by pdf-inspector."""
    from pdf_inspector import extract_pages_markdown_bytes

    return len(extract_pages_markdown_bytes(payload).pages)


def read_pymupdf(payload: bytes) -> int:
    """All pages as plain text by pymupdf."""
    import pymupdf

    with pymupdf.open(stream=payload, filetype="pdf") as document:
        return len([page.get_text() for page in document])


def read_pymupdf4llm(payload: bytes) -> int:
    """All pages as Markdown by pymupdf4llm, OCR off."""
    import pymupdf
    import pymupdf4llm  # type: ignore[import-untyped,unused-ignore]

    with pymupdf.open(stream=payload, filetype="pdf") as document:
        pymupdf4llm.to_markdown(document, use_ocr=False)
        return len(document)


def files_with_text(folder: Path, max_pages: int) -> dict[str, bytes]:
    """Files of whose pages in the key all are text, and which have not more pages."""
    keys: dict[str, set[str]] = defaultdict(set)
    for page in read_key():
        keys[page.file].add(page.key)
    chosen = {}
    for file, found in sorted(keys.items()):
        if found == {"text"} and (folder / file).is_file():
            payload = (folder / file).read_bytes()
            if read_ours("pdfium")(payload) <= max_pages:
                chosen[file] = payload
    return chosen


def measured(readers: dict[str, Read], files: dict[str, bytes]) -> dict[str, tuple[int, float]]:
    """Reader -> (pages, seconds), of the files that all of them open."""
    best: dict[tuple[str, str], float] = {}
    num_pages: dict[str, int] = {}
    refused: set[str] = set()
    for turn in range(ROUNDS + 1):  # the first loads and compiles
        for file, payload in files.items():
            for name, read in readers.items():
                start = perf_counter()
                try:
                    num_pages[file] = read(payload)
                except Exception:  # each has classes of its own
                    refused.add(file)
                duration = perf_counter() - start
                if turn:
                    best[name, file] = min(best.get((name, file), duration), duration)
    kept = [file for file in files if file not in refused]
    pages = sum(num_pages[file] for file in kept)
    return {name: (pages, sum(best[name, file] for file in kept)) for name in readers}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    root = os.environ.get("TOKENMILL_DATA", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(root), help="holds documents/")
    parser.add_argument("--max-pages", type=int, default=20, help="of a file, to stay within hours")
    parser.add_argument(
        "--only", default="", help="comma-separated readers; default: all there are"
    )
    asked = parser.parse_args()
    installed = {peer.name for peer in PEERS if peer.version is not None}
    readers: dict[str, Read] = {"tokenmill (pdfium)": read_ours("pdfium")}
    peers = {
        "pdf-inspector": read_inspector,
        "pymupdf": read_pymupdf,
        "pymupdf4llm": read_pymupdf4llm,
    }
    only = {name.strip() for name in asked.only.split(",") if name.strip()}
    readers |= {n: r for n, r in peers.items() if n in installed and (not only or n in only)}
    files = files_with_text(asked.data / "documents", asked.max_pages)
    with contextlib.redirect_stdout(io.StringIO()):  # peers advertise
        found = measured(readers, files)
    print(f"{'reader':<22}{'pages':>7}{'ms/page':>10}")
    for name, (pages, seconds) in found.items():
        print(f"{name:<22}{pages:>7}{1000 * seconds / max(1, pages):>10.2f}")


if __name__ == "__main__":
    main()

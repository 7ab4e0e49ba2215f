"""How well and how fast PDF files and scans are read.

- `olmocr`: hard PDFs with unit tests of their pages (see `page_tests`): by text layers alone, which
  stands beside other readers in one run (see `document_peers`), and as the extract job reads them,
  text layer where it can be trusted and OCR elsewhere.
- router: which pages go to OCR (see `router_evaluation`).
- `redrawn`: pages of the same PDFs that have a good text layer, drawn and read by OCR alone; the
  text layer is the truth. Words are compared, and not their order.
- `scans`: pages of print (newspaper, letters, text in six languages, one turned by a half and one
  by a quarter) with the transcription of a human. The columns of the newspaper run around a picture
  with a caption between them, and reading them in another order counts as errors.
- `fraktur`: lines of German books of the 19th century, mostly in Fraktur, with the transcription of
  a human; long s counts as s.

The error rate is edits a character of the truth, white space as one blank, over pages that were not
rejected; word F1 is the mean over all pages, a rejected one being an empty text. Times are
wall-clock, of one process, models loaded before.
"""

import gzip
import io
import json
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from PIL import Image

from pipelines.config import PdfConfig
from pipelines.extract.document_peers import PEERS, Peer, missing, read_timed
from pipelines.extract.page_tests import RUN, edits, passes, plain
from pipelines.extract.pdf.document import read_layered_pages, read_scan
from pipelines.extract.pdf.joining import settle
from pipelines.extract.pdf.schema import BLANK, OCR, SCAN, TEXT, Page
from pipelines.extract.pdf.versions import engine_version
from pipelines.extract.router_evaluation import RouterScore, render_router, score_router

_WORD: Final = re.compile(r"\w+")
_TESTS: Final = "olmocr_bench_tests.jsonl.gz"
_PDFS: Final = "olmocr/bench/sample_data/pdfs"
_SCANS: Final = {
    "phototest.tif": "phototest.gold.txt",
    "phototest-rotated-180.png": "phototest.gold.txt",
    "phototest-rotated-L.png": "phototest.gold.txt",
    "eurotext.tif": "eurotext.txt",
    "8087_054.3B.tif": "8087_054.3B.txt",
}
_LINES: Final = "ocrd-linegt/data/ground-truth"
_DPI: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentScore:
    """Result on one set of pages."""

    pages_of: str
    """olmocr, redrawn, scans or fraktur."""
    engine: str
    """What read them: an engine for text layers, alone or with OCR behind it, another reader, or
    OCR alone."""
    num_pages: int
    num_rejected: int
    passed: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Of olmocr: type of test -> passed, all."""
    word_f1: float | None = None
    character_error_rate: float | None = None
    layer_ms_per_page: float | None = None
    """Of reading and judging text layers."""
    ocr_s_per_page: float | None = None
    """Of drawing and OCR, pages without a text layer only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentsEvaluation:
    """Everything that was measured in one run."""

    scores: list[DocumentScore]
    router: list[RouterScore]
    not_installed: dict[str, str]
    """Readers that would stand beside ours, and how to get them."""


def evaluate_documents(
    data: Path,
    engines: Sequence[str],
    sample: int | None = None,
    *,
    ocr: bool = True,
    peers: Sequence[Peer] = PEERS,
) -> DocumentsEvaluation:
    """Scores engines on PDFs with unit tests, other readers beside them, the router, and OCR.

    Args:
        data: Folder that holds `documents/`.
        engines: Of `versions.ENGINES`.
        sample: At most so many pages of each set, spread evenly; None takes all.
        ocr: Whether pages are read by OCR too, at seconds a page.
        peers: Readers to stand beside ours; those that are not installed are named.

    Raises:
        ValueError: The folder does not hold the sets, an engine is unknown or not installed, or
            sample is below 1.
    """
    if sample is not None and sample < 1:
        raise ValueError(f"sample is {sample}; at least 1 page is needed")
    folder = data / "documents"
    if not (folder / _TESTS).is_file():
        raise ValueError(f"{folder / _TESTS} is absent; give the folder that holds documents/")
    for engine in engines:
        engine_version(engine)
    pages = _spread(list(_tested_pages(folder)), sample)
    scores = []
    for engine in engines:
        scores += _score_layers(folder, engine, pages, ocr=ocr)
    scores += _score_peers(folder, pages, peers)
    settings = PdfConfig.model_validate(
        {"engine": engines[0], **({} if ocr else {"ocr": "none"})} if engines else {}
    )
    router = score_router(folder, settings, sample)
    if ocr:
        sets = {
            "redrawn": _redrawn(folder, pages),
            "scans": _spread(list(_scans(folder)), sample),
            "fraktur": _spread(list(_lines(folder)), sample),
        }
        scores += [_score_ocr(name, pairs) for name, pairs in sets.items() if pairs]
    return DocumentsEvaluation(scores=scores, router=router, not_installed=dict(missing(peers)))


def render_documents(evaluation: DocumentsEvaluation) -> str:
    """The scores as tables of plain text."""
    lines = [
        f"{'pages of':<10}{'read by':<30}{'pages':>6}{'rejected':>9}"
        + "".join(f"{kind:>9}" for kind in RUN)
        + f"{'passed':>9}{'word F1':>9}{'CER':>8}{'ms/page':>9}{'OCR s':>7}"
    ]
    for one in evaluation.scores:
        tests = ["/".join(map(str, one.passed[kind])) if one.passed else "-" for kind in RUN]
        sums = [sum(one.passed[kind][i] for kind in RUN) for i in (0, 1)] if one.passed else []
        tests.append("/".join(map(str, sums)) or "-")
        lines.append(
            f"{one.pages_of:<10}{one.engine:<30}{one.num_pages:>6}{one.num_rejected:>9}"
            + "".join(f"{cell:>9}" for cell in tests)
            + f"{_cell(one.word_f1, '.3f'):>9}{_cell(one.character_error_rate, '.3f'):>8}"
            + f"{_cell(one.layer_ms_per_page, '.1f'):>9}{_cell(one.ocr_s_per_page, '.1f'):>7}"
        )
    for name, how in evaluation.not_installed.items():
        lines.append(f"{name} is not installed and not measured: {how}")
    return "\n".join(lines) + f"\n\n{render_router(evaluation.router)}"


def _cell(value: float | None, spec: str) -> str:
    return "-" if value is None else format(value, spec)


_TestedPage = tuple[str, int, list[dict[str, Any]]]


def _tested_pages(folder: Path) -> Iterator[_TestedPage]:
    """(file, page, its tests), of types that are run."""
    tests: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    with gzip.open(folder / _TESTS, "rt", encoding="utf-8") as lines:
        for line in lines:
            test = json.loads(line)
            if test["type"] in RUN:
                tests[test["pdf"], test["page"]].append(test)
    for (file, page), some in sorted(tests.items()):
        yield file, page, some


def _spread(rows: list[Any], sample: int | None) -> list[Any]:
    if sample is None or sample >= len(rows):
        return rows
    return [rows[i * len(rows) // sample] for i in range(sample)]


def _warm_up() -> None:
    """Loads the models, so that no page pays for them."""
    buffer = io.BytesIO()
    picture = Image.new("L", (400, 100), 255)
    picture.paste(0, (100, 40, 300, 60))
    picture.save(buffer, "PDF")
    read_scan(buffer.getvalue(), 1, PdfConfig())


def _score_layers(
    folder: Path, engine: str, pages: Sequence[_TestedPage], *, ocr: bool
) -> list[DocumentScore]:
    """By text layers alone, and with OCR where they cannot be trusted."""
    settings = PdfConfig.model_validate({"engine": engine})
    payloads = {file: (folder / _PDFS / file).read_bytes() for file, _, _ in pages}
    for payload in list(payloads.values())[:1]:
        read_layered_pages(payload, settings)  # loads and compiles the engine
    begin = time.perf_counter()
    found = {file: read_layered_pages(one, settings).pages for file, one in payloads.items()}
    layer_s = time.perf_counter() - begin
    layered = [found[file][number - 1] for file, number, _ in pages]
    layer_ms = 1000 * layer_s / max(1, sum(map(len, found.values())))
    alone = [page.text or "" for page in layered]
    scores = [
        DocumentScore(
            pages_of="olmocr",
            engine=f"tokenmill ({engine}), no OCR",
            num_pages=len(pages),
            num_rejected=sum(not text for text in alone),
            passed=_passed(pages, alone),
            layer_ms_per_page=layer_ms,
        )
    ]
    if not ocr:
        return scores
    _warm_up()
    begin = time.perf_counter()
    ended = [
        settle(page, read_scan(payloads[file], number, settings)) if page.outcome == SCAN else page
        for page, (file, number, _) in zip(layered, pages, strict=True)
    ]
    scan_s = time.perf_counter() - begin
    num_scans = sum(page.outcome == SCAN for page in layered)
    scores.append(
        DocumentScore(
            pages_of="olmocr",
            engine=f"tokenmill ({engine})",
            num_pages=len(pages),
            num_rejected=sum(page.outcome not in (TEXT, OCR, BLANK) for page in ended),
            passed=_passed(pages, [page.text or "" for page in ended]),
            layer_ms_per_page=layer_ms,
            ocr_s_per_page=scan_s / num_scans if num_scans else None,
        )
    )
    return scores


def _score_peers(
    folder: Path, pages: Sequence[_TestedPage], peers: Sequence[Peer]
) -> list[DocumentScore]:
    asked = [((folder / _PDFS / file).read_bytes(), number) for file, number, _ in pages]
    scores = []
    for peer in peers:
        if peer.version is None:
            continue
        texts, ms_per_page = read_timed(peer, asked)
        scores.append(
            DocumentScore(
                pages_of="olmocr",
                engine=peer.label,
                num_pages=len(pages),
                num_rejected=sum(not text.strip() for text in texts),
                passed=_passed(pages, texts),
                layer_ms_per_page=ms_per_page,
            )
        )
    return scores


def _passed(pages: Sequence[_TestedPage], texts: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Type of test -> (passed, all)."""
    totals: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    for (_, _, tests), text in zip(pages, texts, strict=True):
        for test in tests:
            totals[test["type"]] += 1
            passed[test["type"]] += passes(test, text)
    return {kind: (passed[kind], totals[kind]) for kind in RUN}


_Pair = tuple[bytes, int, str]
"""(PDF, page, the true text)."""


def _redrawn(folder: Path, pages: Sequence[_TestedPage]) -> list[_Pair]:
    pairs = []
    for file, number, _ in pages:
        payload = (folder / _PDFS / file).read_bytes()
        page = read_layered_pages(payload, PdfConfig()).pages[number - 1]
        if page.outcome == TEXT and page.text:
            pairs.append((payload, number, page.text))
    return pairs


def _scans(folder: Path) -> Iterator[_Pair]:
    for picture, truth in _SCANS.items():
        text = (folder / "tesseract-test" / truth).read_text(encoding="utf-8")
        yield _as_pdf(folder / "tesseract-test" / picture), 1, text


def _lines(folder: Path) -> Iterator[_Pair]:
    for path in sorted((folder / _LINES).glob("*.gt.txt")):
        picture = path.with_name(path.name.replace(".gt.txt", ".tif"))
        if picture.is_file():
            yield _as_pdf(picture), 1, path.read_text(encoding="utf-8")


def _as_pdf(path: Path) -> bytes:
    """A scan of one page that holds the picture, on a white margin of half an inch."""
    buffer = io.BytesIO()
    with Image.open(path) as picture:
        margin = _DPI // 2
        size = picture.width + 2 * margin, picture.height + 2 * margin
        page = Image.new("RGB", size, "white")
        page.paste(picture.convert("RGB"), (margin, margin))
        page.save(buffer, "PDF", resolution=_DPI)
    return buffer.getvalue()


def _score_ocr(name: str, pairs: Sequence[_Pair]) -> DocumentScore:
    begin = time.perf_counter()
    pages: list[Page] = [read_scan(payload, number, PdfConfig()) for payload, number, _ in pairs]
    duration_s = time.perf_counter() - begin
    num_edits = num_chars = 0
    f1s = []
    for page, (_, _, truth) in zip(pages, pairs, strict=True):
        found, wanted = _comparable(page.text or ""), _comparable(truth)
        f1s.append(_word_f1(found, wanted))
        if page.outcome == OCR:
            num_edits, num_chars = num_edits + edits(found, wanted), num_chars + len(wanted)
    is_ordered = name != "redrawn"
    return DocumentScore(
        pages_of=name,
        engine="rapidocr",
        num_pages=len(pages),
        num_rejected=sum(page.outcome != OCR for page in pages),
        word_f1=sum(f1s) / len(f1s),
        character_error_rate=num_edits / num_chars if num_chars and is_ordered else None,
        ocr_s_per_page=duration_s / len(pages),
    )


def _comparable(text: str) -> str:
    """A text without Markdown, in plain quotes, hyphenated words joined, long s as s."""
    return re.sub(r"(?<=[^\W\d_])- (?=[^\W\d_])", "", plain(text).replace("\u017f", "s"))


def _word_f1(found: str, wanted: str) -> float:
    one, two = (Counter(_WORD.findall(text.lower())) for text in (found, wanted))
    total = one.total() + two.total()
    return 2 * (one & two).total() / total if total else 1.0

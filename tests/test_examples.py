"""The demo site is what its README says: every link, the sitemap, robots.txt and each PDF."""

import difflib
import itertools
import re
import unicodedata
import xml.etree.ElementTree as ElementTree
from html import unescape
from html.parser import HTMLParser
from importlib import util
from pathlib import Path
from types import ModuleType
from urllib.parse import urljoin, urlsplit

import numpy as np
import pypdfium2
import pytest
from numpy.typing import NDArray
from protego import Protego

EXAMPLES = Path(__file__).parents[1] / "examples"
README = (EXAMPLES / "README.md").read_text(encoding="utf-8")
SITE = EXAMPLES / "site"
PAPERS = SITE / "papers"
HOST = "http://site.example/"

GONE = "misc/gone.html"
FORBIDDEN = "private/forbidden.html"
UNLINKED = "en/attic-shelves.html"
ONLY_LINKED = "hu/buvos-kocka.html"
CHARSETS = {
    "de/lautschrift-latin1.html": "latin-1",
    "ja/washi.html": "shift_jis",
    "ru/sledy-na-snegu.html": "windows-1251",
    "zh/zhaozhouqiao.html": "gb18030",
}
COPIES = {
    ("de/nachtzuege.html", "mirror/nachtzuege.html"),
    ("en/compost-heap.html", "mirror/compost-heap.html"),
    ("en/optical-telegraph.html", "mirror/optical-telegraph.html"),
    ("en/sourdough-starter-updated.html", "en/sourdough-starter.html"),
    ("en/tide-clocks-2023.html", "en/tide-clocks.html"),
    ("ru/istoriya-chaya-obnovleno.html", "ru/istoriya-chaya.html"),
    ("zh/houniao-zhuanzai.html", "zh/houniao.html"),
}

# Manuscript and number of pages of each PDF that is text throughout.
TEXT_LAYERS = {
    "keepers-log.pdf": ("keepers-log", 3),
    "storing-apples.pdf": ("storing-apples", 2),
    "wasserzeichen.pdf": ("wasserzeichen", 2),
    "shuiche.pdf": ("shuiche", 2),
    "kolokolchik.pdf": ("kolokolchik", 2),
}
# PDF, page, manuscript and its page, and counter-clockwise quarter turns as a reader sees it.
SCANNED_PAGES = [
    ("scan-ferry.pdf", 0, "row-ferry", 0, 0),
    ("scan-ferry.pdf", 1, "row-ferry", 1, 0),
    ("scan-sideways.pdf", 0, "chimney-swifts", 0, 1),
    ("scan-upside-down.pdf", 0, "lending-tools", 0, 2),
    ("mixed.pdf", 2, "flood-marks-old", 0, 0),
]


class Page(HTMLParser):
    """Links and visible text of a page."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.links: set[str] = set()
        self.text = ""
        self._silent = 0
        content = (SITE / path).read_bytes()
        self.feed(content.decode(CHARSETS.get(path, "utf-8")))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in ("script", "style")
        for name, value in attrs:
            target = urlsplit(urljoin(HOST + self.path, value or ""))
            if name in ("href", "src", "action") and target.hostname == "site.example":
                is_folder = target.path.endswith("/")
                self.links.add(target.path.lstrip("/") + ("index.html" if is_folder else ""))

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.text += data


FILES = {str(path.relative_to(SITE)) for path in SITE.rglob("*") if path.is_file()}
DOCUMENTS = {name for name in FILES if name.endswith((".html", ".pdf"))}
PAGES = {name: Page(name) for name in sorted(FILES) if name.endswith(".html")}


def url(name: str) -> str:
    return HOST + ("" if name == "index.html" else name)


def manuscript_words(name: str) -> list[str]:
    html = (EXAMPLES / "manuscripts" / f"{name}.html").read_text(encoding="utf-8")
    body = re.sub(r"<aside>.*?</aside>", "", html, flags=re.DOTALL)
    body = re.sub(r"</?(sup|sub|i|b)>", "", body)
    return words(unescape(re.sub(r"<[^>]+>", " ", body)))


def words(text: str) -> list[str]:
    """Words of most scripts, characters of Chinese; ligatures undone."""
    return re.findall(r"[\u4e00-\u9fff]|[^\W\u4e00-\u9fff]+", unicodedata.normalize("NFKC", text))


def share_found(expected: list[str], found: list[str]) -> float:
    """Share of the expected words that are found in their order."""
    matcher = difflib.SequenceMatcher(None, expected, found, autojunk=False)
    return sum(block.size for block in matcher.get_matching_blocks()) / len(expected)


def text_of(page: pypdfium2.PdfPage) -> str:
    # PDFium writes U+FFFE for a hyphen at the end of a line.
    text: str = page.get_textpage().get_text_range()
    return text.replace("\ufffe", "")


def num_images(page: pypdfium2.PdfPage) -> int:
    return len(list(page.get_objects(filter=[pypdfium2.raw.FPDF_PAGEOBJ_IMAGE])))


def grey(page: pypdfium2.PdfPage) -> NDArray[np.uint8]:
    """uint8[height, width] at 150 dots an inch, as a reader sees the page."""
    image: NDArray[np.uint8] = page.render(scale=150 / 72, grayscale=True).to_numpy()
    return image.reshape(image.shape[:2])


def test_every_link_leads_to_a_file_but_the_documented_one() -> None:
    dangling = {(page.path, link) for page in PAGES.values() for link in page.links - FILES}
    assert dangling == {("misc/index.html", GONE)}


def test_every_document_but_one_is_reached_from_the_front_page() -> None:
    reached, ahead = {"index.html"}, ["index.html"]
    while ahead:
        links = PAGES[ahead.pop()].links & FILES - reached
        reached |= links
        ahead += links & set(PAGES)
    assert DOCUMENTS - reached == {UNLINKED}


def test_sitemap_lists_every_document_but_the_documented_ones() -> None:
    space = "{http://www.sitemaps.org/schemas/sitemap/0.9}"
    root = ElementTree.parse(SITE / "sitemap.xml").getroot()
    assert root.tag == space + "urlset"
    assert all(entry.tag == space + "url" for entry in root)
    assert [[child.tag for child in entry] for entry in root] == [[space + "loc"]] * len(root)
    listed = [entry.findtext(space + "loc") for entry in root]
    assert sorted(map(str, listed)) == sorted(map(url, DOCUMENTS - {FORBIDDEN, ONLY_LINKED}))


def test_robots_forbids_exactly_the_private_folder() -> None:
    robots = Protego.parse((SITE / "robots.txt").read_text())
    forbidden = {name for name in FILES if not robots.can_fetch(url(name), "tokenmill")}
    assert forbidden == {FORBIDDEN}
    assert not robots.can_fetch(HOST + "private/anything", "tokenmill")
    assert list(robots.sitemaps) == [HOST + "sitemap.xml"]
    assert robots.crawl_delay("tokenmill") is None
    assert FORBIDDEN in PAGES["misc/index.html"].links


def test_pages_resemble_each_other_only_where_documented() -> None:
    grams = {}
    for name, page in PAGES.items():
        text = " ".join(page.text.split())
        grams[name] = {text[i : i + 12] for i in range(len(text) - 11)}
    near = {
        (a, b)
        for a, b in itertools.combinations(sorted(grams), 2)
        # The smaller set bounds the intersection, so most pairs need none.
        if 2 * min(len(grams[a]), len(grams[b])) > max(len(grams[a]), len(grams[b]))
        and len(grams[a] & grams[b]) > 0.5 * len(grams[a] | grams[b])
    }
    assert near == COPIES
    assert all(f"`{name}`" in README for name in set().union(*COPIES))


def test_readme_names_every_odd_file_and_none_that_is_absent() -> None:
    odd = {GONE, FORBIDDEN, UNLINKED, ONLY_LINKED, *CHARSETS, "robots.txt", "sitemap.xml"}
    odd |= {name for name in FILES if name.startswith(("mirror/", "spam/", "misc/", "papers/"))}
    odd |= {"en/volunteers.html", "en/quiz-night.html"}
    named = set(re.findall(r"`([^`\s]+\.(?:html|pdf|txt|xml|jsonl))`", README))
    assert odd - named == set()
    absent = {name for name in named if not ((SITE / name).exists() or (EXAMPLES / name).exists())}
    assert absent == {GONE}


def test_volunteers_page_holds_the_personal_data_that_the_readme_lists() -> None:
    row = next(line for line in README.splitlines() if line.startswith("| `en/volunteers.html`"))
    values = re.findall(r"`([^`]+)`", row)[1:]
    assert len(values) == 9
    assert [value for value in values if value not in PAGES["en/volunteers.html"].text] == []


def test_papers_are_small_and_all_described() -> None:
    described = {*TEXT_LAYERS, *(name for name, *_ in SCANNED_PAGES)}
    described |= {"broken.pdf", "encrypted.pdf", "empty.pdf", "index.html"}
    assert {path.name for path in PAPERS.iterdir()} == described
    assert max(path.stat().st_size for path in PAPERS.iterdir()) < 250_000


@pytest.mark.parametrize("name", TEXT_LAYERS)
def test_text_layer_holds_the_manuscript_in_reading_order(name: str) -> None:
    manuscript, num_pages = TEXT_LAYERS[name]
    pages = list(pypdfium2.PdfDocument(PAPERS / name))
    assert len(pages) == num_pages
    assert sum(map(num_images, pages)) == 0
    found = words("\n".join(map(text_of, pages)))
    # All but a word or two that the end of a page cuts in two.
    assert share_found(manuscript_words(manuscript), found) > 0.99


def test_columns_are_read_one_after_the_other() -> None:
    page = pypdfium2.PdfDocument(PAPERS / "storing-apples.pdf")[0]
    text_page = page.get_textpage()
    middle = page.get_width() / 2
    left = text_page.get_text_bounded(right=middle)
    right = text_page.get_text_bounded(left=middle)
    assert "1. The question" in left
    assert "3. Looking at starch" in right
    assert "3. Looking at starch" not in left


def test_german_report_breaks_words_at_line_ends() -> None:
    document = pypdfium2.PdfDocument(PAPERS / "wasserzeichen.pdf")
    text = "".join(page.get_textpage().get_text_range() for page in document)
    assert text.count("\ufffe") > 10


@pytest.mark.parametrize(("name", "number"), [(row[0], row[1]) for row in SCANNED_PAGES])
def test_scanned_page_is_one_image_without_text(name: str, number: int) -> None:
    page = pypdfium2.PdfDocument(PAPERS / name)[number]
    assert text_of(page) == ""
    assert num_images(page) == 1
    # Only the scan in the mixed file is set upright by the page and not by its pixels.
    assert page.get_rotation() == (90 if name == "mixed.pdf" else 0)


def test_mixed_file_has_a_page_of_each_kind() -> None:
    first, blank, _ = pypdfium2.PdfDocument(PAPERS / "mixed.pdf")
    assert share_found(manuscript_words("flood-marks"), words(text_of(first))) == 1
    assert num_images(first) == 0
    assert list(blank.get_objects()) == []


@pytest.mark.parametrize("name", ["broken.pdf", "encrypted.pdf", "empty.pdf"])
def test_damaged_or_locked_file_cannot_be_opened(name: str) -> None:
    reason = "password" if name == "encrypted.pdf" else "Data format"
    with pytest.raises(pypdfium2.PdfiumError, match=reason):
        pypdfium2.PdfDocument(PAPERS / name)


def test_broken_file_begins_as_a_pdf_and_stops() -> None:
    content = (PAPERS / "broken.pdf").read_bytes()
    assert content.startswith(b"%PDF-")
    assert b"%%EOF" not in content
    assert (PAPERS / "empty.pdf").read_bytes() == b""


def test_encrypted_file_opens_with_the_password_in_the_readme() -> None:
    row = next(line for line in README.splitlines() if line.startswith("| `papers/encrypted.pdf`"))
    document = pypdfium2.PdfDocument(
        PAPERS / "encrypted.pdf", password=re.findall(r"`([^`]+)`", row)[1]
    )
    assert share_found(manuscript_words("members-list"), words(text_of(document[0]))) == 1


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    pytest.importorskip("pymupdf", reason="pymupdf, which sets the papers, is not installed")
    spec = util.spec_from_file_location("make_papers", EXAMPLES / "make_papers.py")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_make_papers_makes_the_papers_that_are_here(maker: ModuleType) -> None:
    made = maker.papers()
    assert set(made) == {path.name for path in PAPERS.glob("*.pdf")}
    for name in [*TEXT_LAYERS, "mixed.pdf"]:
        here = [text_of(page) for page in pypdfium2.PdfDocument(PAPERS / name)]
        assert [text_of(page) for page in pypdfium2.PdfDocument(made[name])] == here, name


@pytest.mark.parametrize(("name", "number", "manuscript", "source_page", "turns"), SCANNED_PAGES)
def test_scan_shows_its_manuscript_turned_as_documented(
    maker: ModuleType, name: str, number: int, manuscript: str, source_page: int, turns: int
) -> None:
    has_header = manuscript == "row-ferry"
    layout = maker.Layout(
        running_header="Saltmere Almanac" if has_header else "", has_page_numbers=has_header
    )
    drawn = maker.set_pages(manuscript, layout)[source_page].get_pixmap(dpi=150, colorspace="GRAY")
    original = np.frombuffer(drawn.samples, np.uint8).reshape(drawn.height, drawn.width)
    scan = grey(pypdfium2.PdfDocument(PAPERS / name)[number])
    likeness = [correlation(original, np.rot90(scan, -turn)) for turn in range(4)]
    assert np.argmax(likeness) == turns
    assert max(likeness) > 0.9


def correlation(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Correlation of the means over a grid of 60 by 60 cells, coarse enough for a small skew."""
    means = []
    for image in (a, b):
        rows = [part.mean(axis=0) for part in np.array_split(image.astype(float), 60)]
        cells = [part.mean(axis=1) for part in np.array_split(np.stack(rows), 60, axis=1)]
        means.append(np.stack(cells).ravel())
    return float(np.corrcoef(means)[0, 1])

"""A small corpus with everything that a run can have, and the site that it crawls.

Pages of examples/ in seven scripts are crawled from a loopback server in two rounds, and read as
files beside PDFs and notes; some are there twice, or nearly so. Models (the echo of this package)
refine and rewrite. All levels of duplicates and a validation set are asked for, and two mixtures.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pymupdf
import yaml

from pipelines.crawl import site_server

EXAMPLES = Path(__file__).parents[2] / "examples"
HOST = "site.example"
_LANGUAGES = ("ar", "en", "he", "hi", "ja", "ru", "th")
_ECHO = {"engine": "endpoint", "url": "echo:", "model": "echo", "thinking": "template"}
_DATE = "Thu, 01 Jan 2026 00:00:00 GMT"
_ONE_EACH = "duplicate_role in ('alone', 'representative')"
_FERRY = (
    "The ferry across the lower reach is rowed, not driven, and takes four people and a dog.",
    "It leaves when somebody on the other bank strikes the iron plate that hangs there.",
    "In a west wind the crossing takes twenty minutes, and the ferryman is paid in bread.",
)
_TIDES = (
    "The tide table of the harbour is copied by hand every winter from the almanac.",
    "Whoever copies it signs the last page, and a mistake is remembered for a year.",
)


def write_whole_corpus(folder: Path) -> Path:
    """Writes inputs, the site, mixtures and corpus.yaml; gives the path of the last."""
    _write_site(folder / "site")
    pages = folder / "pages"
    pages.mkdir(parents=True)
    for page in sorted((EXAMPLES / "manuscripts").glob("*.html")):
        shutil.copy(page, pages)
    shutil.copy(pages / "row-ferry.html", pages / "row-ferry-copy.html")
    (pages / "ferry.pdf").write_bytes(_pdf(_FERRY))
    (pages / "cut.pdf").write_bytes(_pdf(_FERRY)[:400])
    (folder / "notes").mkdir()
    lines = (EXAMPLES / "texts" / "notes.jsonl").read_text("utf-8").splitlines()
    for number in (0, 1):
        some = [*lines[number::2], lines[0]]
        (folder / "notes" / f"{number}.jsonl").write_text("\n".join(some) + "\n", "utf-8")
    for name in ("whole", "longer"):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(_mixture(name), sort_keys=False))
    path = folder / "corpus.yaml"
    path.write_text(yaml.safe_dump(_corpus(), sort_keys=False))
    return path


@contextmanager
def served(folder: Path) -> Iterator[int]:
    """Serves the site, with the same Date at all times; gives the port."""
    real = site_server._Handler.date_time_string
    site_server._Handler.date_time_string = lambda *_: _DATE  # type: ignore[method-assign]
    try:
        with site_server.serve_site(folder / "site", HOST) as port:
            yield port
    finally:
        site_server._Handler.date_time_string = real  # type: ignore[method-assign]


def _write_site(site: Path) -> None:
    links = []
    for language in _LANGUAGES:
        source = sorted((EXAMPLES / "site" / language).glob("*.html"))[:3]
        (site / language).mkdir(parents=True)
        for page in source:
            shutil.copy(page, site / language / page.name)
        inner = "".join(f'<li><a href="{page.name}">{page.stem}</a>' for page in source)
        (site / language / "index.html").write_text(f"<title>{language}</title><ul>{inner}</ul>")
        links.append(f'<li><a href="/{language}/">{language}</a>')
    shutil.copy(sorted((site / "en").glob("*.html"))[0], site / "mirrored.html")
    (site / "tides.pdf").write_bytes(_pdf(_TIDES))
    links += [f'<li><a href="/{name}">{name}</a>' for name in ("mirrored.html", "tides.pdf")]
    (site / "index.html").write_text(f"<title>All</title><ul>{''.join(links)}</ul>")


def _pdf(lines: tuple[str, ...]) -> bytes:
    with pymupdf.open() as document:
        page = document.new_page()
        for number, line in enumerate(lines):
            page.insert_text((60, 80 + 16 * number), line, fontsize=10)
        data: bytes = document.tobytes(no_new_id=True)
    return data


def _corpus() -> dict[str, object]:
    crawl = {
        "seeds": [f"http://{HOST}/"],
        "contact": "webmaster@site.example",
        "allow_private": [HOST],
        "delay": "0s",
    }
    return {
        "name": "whole",
        "sources": [
            {"name": "site", "crawl": crawl},
            {"name": "pages", "path": "pages"},
            {"name": "notes", "path": "notes"},
        ],
        "extract": {"pdf": {"ocr": "none"}},
        "tokenizer": str(EXAMPLES / "tokenizer"),
        "annotators": ["language", "pii"],
        "duplicates": {
            "levels": ["bytes", "text", "url", "near", "boilerplate", "repeats"],
            "alarms": {"max_removed": 1.0, "max_cluster": 1.0},
        },
        "validation": {"share": 0.1},
        "mixtures": ["whole.yaml", "longer.yaml"],
        "models": {"writer": _ECHO},
        "synthesize": [
            {"recipe": "refine_web", "where": "provenance_kind = 'natural'", "name": "clean"},
            {"recipe": "rephrase_medium", "where": "source = 'notes'", "name": "plain"},
        ],
        "part_bytes": 8000,
        "shard_tokens": 4000,
    }


def _mixture(name: str) -> dict[str, object]:
    first = {
        "name": "first",
        "sequence_length": 128,
        "tokens": "max",
        "max_epochs": 1.5,
        "where": _ONE_EACH,
        "redact": ["email", "phone"],
    }
    second = {
        "name": "second",
        "sequence_length": 512,
        "tokens": "max",
        "max_epochs": 1,
        "packing": "best_fit",
        "group_by": "language",
        "shares": {"temperature": 0.5},
    }
    stages = [first] if name == "whole" else [second]
    return {"name": name, "seed": 11, "stages": stages}

"""Engines that find the main text of a page.

`fast` is our own: kernels over the page as arrays choose its main text (`pages.selection`) and
write it as Markdown (`pages.rendering`), code, tables and formulas included. `auto` is the same,
and asks trafilatura where the choice is doubtful; of its answer only what belongs to the text is
taken (`pages.careful`), the writing is ours, so that no formula is lost for a better choice. Where
there is no text in the page itself both take the `articleBody` that it states for machines.

`trafilatura` compares its own result with those of readability and jusText, `trafilatura-fast`
does not; `resiliparse` works by tag names and classes alone. All leave out links, images and
comments. trafilatura marks headings, lists, quotes, code and tables as Markdown does; resiliparse
marks lists and keeps the line breaks of preformatted text, without tables.

A result depends on the page alone: trafilatura's deduplication, which remembers segments of the
pages before it in this process, is off (`deduplicate=False`), its metadata reader, whose dates are
bounded by today, is not called, and its remaining caches (`trim`, `line_processing`,
`is_similar_domain`, jusText's stop lists) are pure functions of their arguments. Its `extract`
would bring every text into NFC, so the body is taken before that step.

The libraries are loaded where they are called: trafilatura takes half a second of each process, and
most processes never ask it.
"""

import functools
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipelines.extract.pages.dom import Dom
from pipelines.extract.unescape import unescape

# Raise this number when the rules of pages/ change, so that new rows can be told from old ones.
_OWN: Final = "tokenmill-html/1"
CAREFUL: Final = "trafilatura"
"""The engine that `auto` asks: where our choice is doubtful, it errs less than its fast mode."""
MIN_SCORE: Final = 0.5
"""Below this score of a selection (`pages.scoring`) the careful engine is asked."""
_MIN_SHARE: Final = 0.5
"""So much of the letters that we found must be left by the careful engine: of pages that are a list
or a table it often keeps a line alone."""
_SHORT: Final = 500
"""Letters; of a page on which we found fewer it may leave out none: each label and each cell that
it takes for furniture is much of so short a text."""

_IS_DOCUMENT: Final = re.compile(r"<(?:html|body)[\s>]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class MainText:
    """What an engine found."""

    text: str
    """Empty where it found nothing."""
    extractor: str
    """Name and version of what was used, for the column `extractor`."""
    keep: NDArray[np.bool_]
    """Nodes of the main text, for its links: `bool[num_nodes]`; for the engines that are not ours
    those of our own selection."""


def _trafilatura(page: str) -> str:
    return _run_trafilatura(page, is_fast=False)


def _trafilatura_fast(page: str) -> str:
    return _run_trafilatura(page, is_fast=True)


def _run_trafilatura(page: str, *, is_fast: bool) -> str:
    import trafilatura

    # They report every odd page on stderr; here each becomes a reason in a row.
    for name in ("trafilatura", "htmldate", "courlan", "justext", "readability"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    if not _IS_DOCUMENT.search(page):
        page = f"<html><body>{page}</body></html>"  # a bare fragment is refused as no HTML
    found = trafilatura.bare_extraction(
        page,
        fast=is_fast,
        include_comments=False,
        include_tables=True,
        include_links=False,
        include_images=False,
        include_formatting=True,
        deduplicate=False,
        with_metadata=False,
    )
    assert not isinstance(found, dict)  # only its deprecated `as_dict` gives one
    return unescape(found.text or "") if found is not None else ""


def _resiliparse(page: str) -> str:
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    return extract_plain_text(
        HTMLTree.parse(page),
        preserve_formatting=True,
        main_content=True,
        list_bullets=True,
        alt_texts=False,
        links=False,
        form_fields=False,
        noscript=False,
        comments=False,
    )


_PEERS: Final[dict[str, tuple[str, Callable[[str], str]]]] = {
    "trafilatura": ("trafilatura", _trafilatura),
    "trafilatura-fast": ("trafilatura", _trafilatura_fast),
    "resiliparse": ("resiliparse", _resiliparse),
}
ENGINES: Final = ("auto", "fast", *_PEERS)


def check_engine(engine: str) -> None:
    """Raises ValueError where there is no such engine."""
    if engine not in ENGINES:
        raise ValueError(f"unknown HTML engine {engine!r}; choose one of {', '.join(ENGINES)}")


@functools.cache
def engine_name(engine: str) -> str:
    """Name and versions of an engine, e.g. `trafilatura-fast/2.3.1`.

    The column `extractor` says of each page which parts of `auto` it went through; this names both,
    as what the result depends on.
    """
    if engine == "fast":
        return _OWN
    if engine == "auto":
        return f"{_OWN}+{engine_name(CAREFUL)}"
    return f"{engine}/{version(_PEERS[engine][0])}"


def main_text(dom: Dom, engine: str) -> MainText:
    """Finds the main text of a page.

    Args:
        dom: The page.
        engine: One of `ENGINES`.

    Raises:
        Exception: Whatever the engine raises on an odd page; SystemExit too. `auto` does without
            the careful engine where that fails.
    """
    # Here, because numba loads for a second.
    from pipelines.extract.pages.rendering import render
    from pipelines.extract.pages.selection import select
    from pipelines.extract.pages.selection_jsonld import article_body

    selection = select(dom)
    if engine in _PEERS:
        return MainText(_PEERS[engine][1](_page(dom)), engine_name(engine), selection.keep)
    text = render(dom, selection.keep)
    if engine == "auto" and selection.score < MIN_SCORE:
        careful = _carefully(dom, selection.keep)
        if careful is not None and _holds_enough(careful.text, text):
            return careful
    if not text.strip():
        text = article_body(dom)
    return MainText(text, engine_name("fast"), selection.keep)


def _holds_enough(careful: str, own: str) -> bool:
    """Whether the choice of the careful engine may stand for ours."""
    num_careful, num_own = _num_letters(careful), _num_letters(own)
    if num_own < _SHORT:
        return num_careful >= num_own
    return num_careful > _MIN_SHARE * num_own


def _num_letters(text: str) -> int:
    """Letters and digits, which no way of writing changes."""
    return sum(map(str.isalnum, text))


def _page(dom: Dom) -> str:
    return dom.data.tobytes().decode("utf-8", "replace")


def _carefully(dom: Dom, selected: NDArray[np.bool_]) -> MainText | None:
    """What the careful engine chooses, written by us; None where it finds nothing or fails."""
    from pipelines.extract.pages.careful import nodes_of_text
    from pipelines.extract.pages.rendering import render

    try:
        found = _PEERS[CAREFUL][1](_page(dom))
    except MemoryError:
        raise
    except (Exception, SystemExit):
        # It fails in its own ways on odd trees (RecursionError, AssertionError, lxml errors,
        # SystemExit); our own choice stands, and the column `extractor` says that it is ours.
        return None
    keep = nodes_of_text(dom, found, selected)
    text = render(dom, keep) if keep.any() else ""
    return MainText(text, engine_name("auto"), keep) if text.strip() else None

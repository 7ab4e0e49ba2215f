"""Peers that find the main text of a page, called as their own users call them: on the bytes.

They stand beside our engines in `evaluation` and in benchmarks/extract.py, each with the options
that its quality is best with. trafilatura writes Markdown with tables and formatting, without
comments (its default output is no faster: 72 against 74 pages/s on 60 articles). resiliparse keeps
formatting and bullets, without comments; where structure is asked for also the alternative texts of
images, which hold formulas but cost it 0.02 of F1 on articles (0.902 against 0.923).
"""

from collections.abc import Callable
from importlib.metadata import version
from typing import Final

import trafilatura
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import detect_encoding
from resiliparse.parse.html import HTMLTree


def _trafilatura(page: bytes, for_structure: bool) -> str:
    return _run_trafilatura(page, is_fast=False)


def _trafilatura_fast(page: bytes, for_structure: bool) -> str:
    return _run_trafilatura(page, is_fast=True)


def _run_trafilatura(page: bytes, *, is_fast: bool) -> str:
    found = trafilatura.extract(
        page, fast=is_fast, output_format="markdown", include_comments=False, include_tables=True
    )
    return found or ""


def _resiliparse(page: bytes, for_structure: bool) -> str:
    tree = HTMLTree.parse_from_bytes(page, detect_encoding(page) or "utf-8")
    return extract_plain_text(
        tree,
        preserve_formatting=True,
        main_content=True,
        list_bullets=True,
        comments=False,
        alt_texts=for_structure,
    )


_PEERS: Final[dict[str, Callable[[bytes, bool], str]]] = {
    "trafilatura": _trafilatura,
    "trafilatura-fast": _trafilatura_fast,
    "resiliparse": _resiliparse,
}
PEERS: Final = tuple(_PEERS)


def read_by_peer(page: bytes, peer: str, *, for_structure: bool = False) -> str | None:
    """The main text that a peer finds; None where it raises.

    Args:
        page: The page as fetched.
        peer: One of `PEERS`.
        for_structure: Whether formulas in images matter more than what else images say.
    """
    try:
        return _PEERS[peer](page, for_structure)
    except MemoryError:
        raise
    except (Exception, SystemExit):
        # They fail in their own ways on odd trees, as in `markup`; the page counts as empty.
        return None


def peer_name(peer: str) -> str:
    """Name and version, e.g. `trafilatura-fast/2.3.1`."""
    return f"{peer}/{version(peer.removesuffix('-fast'))}"

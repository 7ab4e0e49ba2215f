"""Which nodes of a page are its main text, and how sure that is.

Four passes over the arrays of the page, all of them kernels:

1. what its attributes say each element is for (`selection_signals`), and how much text, links and
   prose stand in each block (`selection_measures`);
2. what stands around the text of any page goes: navigation, footers, comments, buttons, boxes of
   other pages, whatever is hidden. Names are only believed of small parts of a page: a wrapper
   called `with-sidebar` holds the article too;
3. the main part is chosen: by a name made for the body of an article, by `<article>`, by `<main>`,
   else as the smallest element that holds nearly all prose that is left, with the first
   paragraphs that stand before it in the same article;
4. within it lists of links go, and headings behind which nothing is left.

Where next to nothing would be left of a page with much prose, the names were wrong, and the passes
are made once more without them. A page without prose (a list of links, a table) is judged by all of
its text. All rules are written by hand; none names a site, none is learned from pages.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotators.text.kernels import kernel
from pipelines.extract.pages.dom import Dom
from pipelines.extract.pages.scoring import (
    FOUND_SHARE,
    HELD,
    IS_GENTLE,
    IS_UNMARKED,
    LINK_SHARE,
    NUM_ROOTS,
    NUM_SIGNS,
    PROSE_SHARE,
    confidence,
)
from pipelines.extract.pages.selection_measures import measure
from pipelines.extract.pages.selection_rules import choose, cut, prune
from pipelines.extract.pages.selection_signals import signals
from pipelines.extract.pages.selection_words import ARTICLE, BODY, MAIN
from pipelines.extract.pages.tags import TAG

_ARTICLE = TAG["article"]
_MAIN = TAG["main"]
_NAMED = BODY | ARTICLE | MAIN
_ENOUGH = 500  # characters; a page of which so much is found is not gone through again
_MUCH_MORE = 3  # times as much must be found without the names


@dataclass(frozen=True, slots=True)
class Selection:
    """The main text of a page."""

    keep: NDArray[np.bool_]
    """Texts and elements of the main text: `bool[num_nodes]`."""
    score: float
    """From 0 to 1: how probable it is that a careful engine would do no better (`scoring`)."""
    signs: NDArray[np.float64]
    """What the score was made of: `float64[NUM_SIGNS]`."""


def select(dom: Dom) -> Selection:
    """Finds the main text of a page; nothing is kept where there is none."""
    keep, signs = select_nodes(dom.data, dom.tag, dom.parent, dom.end, dom.start, dom.stop)
    return Selection(keep, confidence(signs), signs)


@kernel
def select_nodes(
    data: NDArray[np.uint8],
    tag: NDArray[np.uint8],
    parent: NDArray[np.int32],
    end: NDArray[np.int32],
    start: NDArray[np.int64],
    stop: NDArray[np.int64],
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """The kernel of `select`, over the arrays of a `Dom`."""
    bits, hidden = signals(data, tag, parent, end, start, stop)
    block, characters, linked, prose = measure(data, tag, parent, end, start, stop, hidden)
    dropped = cut(tag, parent, end, bits, hidden, characters, linked, prose, False)
    roots = choose(tag, parent, end, bits, dropped, characters, linked, prose)
    keep = prune(tag, end, dropped, roots, block, characters, linked, prose)
    held = _held(keep, characters, linked)
    total = np.int64(0)
    for node in range(tag.size):
        total += prose[node]
    is_gentle = False
    if held < _ENOUGH and total >= _MUCH_MORE * held + 300:
        second_dropped = cut(tag, parent, end, bits, hidden, characters, linked, prose, True)
        second_roots = choose(tag, parent, end, bits, second_dropped, characters, linked, prose)
        second = prune(tag, end, second_dropped, second_roots, block, characters, linked, prose)
        second_held = _held(second, characters, linked)
        if second_held >= max(_ENOUGH, _MUCH_MORE * held):
            keep, roots, dropped, held, is_gentle = (
                second,
                second_roots,
                second_dropped,
                second_held,
                True,
            )
    signs = np.zeros(NUM_SIGNS, np.float64)
    _read_signs(parent, bits, tag, keep, roots, characters, linked, prose, is_gentle, signs)
    return keep, signs


@kernel
def _read_signs(
    parent: NDArray[np.int32],
    bits: NDArray[np.int32],
    tag: NDArray[np.uint8],
    keep: NDArray[np.bool_],
    roots: NDArray[np.int32],
    characters: NDArray[np.int32],
    linked: NDArray[np.int32],
    prose: NDArray[np.int32],
    is_gentle: bool,
    signs: NDArray[np.float64],
) -> None:
    """Fills the signs of which the score is made."""
    total = held = found = in_links = np.int64(0)
    for node in range(keep.size):
        total += prose[node]
        if keep[node]:
            held += prose[node]
            found += characters[node]
            in_links += linked[node]
    is_marked = False
    node = roots[-1]
    while node > 0:
        if tag[node] == _ARTICLE or tag[node] == _MAIN or bits[node] & _NAMED:
            is_marked = True
        node = parent[node]
    signs[IS_UNMARKED] = not is_marked
    signs[IS_GENTLE] = is_gentle
    signs[HELD] = held
    signs[LINK_SHARE] = in_links / max(1.0, float(found))
    signs[PROSE_SHARE] = held / max(1.0, float(found))
    signs[FOUND_SHARE] = held / max(1.0, float(total))
    signs[NUM_ROOTS] = roots.size


@kernel
def _held(keep: NDArray[np.bool_], characters: NDArray[np.int32], linked: NDArray[np.int32]) -> int:
    """Characters that are kept, outside of links."""
    held = np.int64(0)
    for node in range(keep.size):
        if keep[node]:
            held += characters[node] - linked[node]
    return int(held)

"""Which nodes of a page another engine's text was made of, so that ours can write them.

The careful engines lose tables, formulas and the blanks of code, and mark headings and lists in
their own way; their text only says what belongs to the page's main part. It is laid back onto the
blocks of the page by runs of letters, which no engine changes: a block is kept where most of its
runs of ten letters or digits stand in the text. White space, marks and case are not compared, and
characters are those of any script. Blocks that are too short to be told apart (cells, numbers, a
heading of one word), code, tables and formulas follow their neighbours where our own selection
keeps them too; before the first and behind the last of those nothing speaks against them. So does
the title: an `<h1>` before all that is kept, which those engines take for a fact of the page.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipelines.extract.pages.dom import TEXT, Dom
from pipelines.extract.pages.entities import decoded
from pipelines.extract.pages.rendering_visible import visible_nodes
from pipelines.extract.pages.selection_measures import BLOCKS
from pipelines.extract.pages.tags import TAG, tag_set

_RUN: Final = 10  # letters and digits
_MIN_SHARE: Final = 0.7
_H1: Final = TAG["h1"]
_WHOLE: Final = tag_set("pre table math")


def nodes_of_text(dom: Dom, text: str, selected: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Marks the nodes of a page that a text was made of.

    Args:
        dom: The page.
        text: What another engine took from it.
        selected: Our own selection: `bool[num_nodes]`.

    Returns:
        `bool[num_nodes]`: text nodes; none where nothing of the text is found.
    """
    written = _letters(text)
    runs = {written[i : i + _RUN] for i in range(len(written) - _RUN + 1)}
    blocks = _blocks(dom)
    verdicts = [_verdict(_letters(_text(dom, nodes)), runs, is_whole) for is_whole, nodes in blocks]
    keep = np.zeros(len(dom), np.bool_)
    if not any(verdicts):
        return keep
    for i in range(verdicts.index(True)):
        nodes = blocks[i][1]
        if _is_title(dom, nodes[0]):
            verdicts[i] = bool(selected[nodes].all())
    before = _nearest(verdicts)
    behind = _nearest(verdicts[::-1])[::-1]
    for i, (_, nodes) in enumerate(blocks):
        if verdicts[i]:
            keep[nodes] = True
        elif verdicts[i] is None and before[i] and behind[i]:
            keep[nodes] = selected[nodes]
    return keep


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text)).casefold()


def _text(dom: Dom, nodes: Sequence[int]) -> str:
    return "".join(decoded(dom.data, int(dom.start[i]), int(dom.stop[i])) for i in nodes)


def _verdict(letters: str, runs: set[str], is_whole: bool) -> bool | None:
    """Whether a block stands in the text; None where it cannot be told."""
    num_runs = len(letters) - _RUN + 1
    if is_whole or num_runs < 1:
        return None
    num_found = sum(letters[i : i + _RUN] in runs for i in range(num_runs))
    return num_found >= _MIN_SHARE * num_runs


def _nearest(verdicts: Sequence[bool | None]) -> list[bool]:
    """The last certain verdict before each block, True before the first."""
    last, found = True, []
    for verdict in verdicts:
        found.append(last)
        last = last if verdict is None else verdict
    return found


def _is_title(dom: Dom, node: int) -> bool:
    while node > 0 and dom.tag[node] != _H1:
        node = int(dom.parent[node])
    return node > 0


def _blocks(dom: Dom) -> list[tuple[bool, list[int]]]:
    """Runs of visible text nodes of one block, in the order of the page.

    Returns:
        Of each whether it is part of code, a table or a formula, and its text nodes.
    """
    visible = visible_nodes(dom)
    blocks: list[tuple[bool, list[int]]] = []
    around = np.zeros(len(dom), np.int32)
    is_whole = np.zeros(len(dom), np.bool_)
    last = -1
    for node in range(1, len(dom)):
        tag, above = dom.tag[node], dom.parent[node]
        if tag != TEXT:
            around[node] = node if BLOCKS[tag] else around[above]
            is_whole[node] = is_whole[above] or _WHOLE[tag]
        elif visible[node]:
            if around[above] != last:
                blocks.append((bool(is_whole[above]), []))
                last = around[above]
            blocks[-1][1].append(node)
    return blocks

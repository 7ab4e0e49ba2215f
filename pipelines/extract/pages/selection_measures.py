"""How much text stands in each block of a page, how much of it in links, and how much is prose.

Characters are counted, not words, so that scripts without blanks count like others; a character of
Chinese, Japanese or Korean counts for two, about what it takes in Latin letters to say as much (the
English sides of NTREX-128 hold 2.0 to 2.6 characters for one of the Chinese, Japanese or Korean).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from annotators.text.kernels import kernel, lean_kernel
from pipelines.extract.pages.tags import TAG, TEXT, tag_set

BLOCKS: Final = tag_set(
    "html body article section nav aside h1 h2 h3 h4 h5 h6 hgroup header footer address main "
    "search p hr pre blockquote ol ul menu li dl dt dd figure figcaption div table caption "
    "tbody thead tfoot tr td th form fieldset legend details summary dialog center dir "
    "frameset listing xmp plaintext optgroup option noscript template iframe"
)
BLOCKS[1] = True  # the document
HEADINGS: Final = tag_set("h1 h2 h3 h4 h5 h6")
_LINK: Final = TAG["a"]
MAX_HEADING: Final = 200
"""Characters; in a heading that holds more, paragraphs stand."""
_MIN_PROSE: Final = 25  # characters; a shorter block is a label
_MIN_UNMARKED: Final = (
    70  # characters; so much without any mark of punctuation is prose all the same
)

# Byte kinds: white space 0, ASCII letter or mark 1, mark of a sentence 2, continuation 3, & 4,
# lead byte 5, lead byte of a wide script 6.
_KIND: Final = np.ones(256, np.uint8)
_KIND[:33] = 0
_KIND[[33, 44, 46, 58, 59, 63]] = 2
_KIND[38] = 4
_KIND[128:192] = 3
_KIND[192:] = 5
_KIND[0xE3:0xEE] = 6


@lean_kernel
def _count(data: NDArray[np.uint8], first: int, last: int) -> tuple[int, int]:
    """Characters and marks of sentences of a text."""
    num_characters = 0
    num_marks = 0
    i = first
    while i < last:
        kind = _KIND[data[i]]
        if kind == 1:
            num_characters += 1
        elif kind == 2:
            num_characters += 1
            num_marks += 1
        elif kind == 6:
            num_characters += 2
            # The marks of U+3001 and U+3002.
            if (
                data[i] == 0xE3
                and i + 2 < last
                and data[i + 1] == 0x80
                and data[i + 2] in (0x81, 0x82)
            ):
                num_marks += 1
        elif kind == 5:
            num_characters += 1
            byte = data[i]
            if i + 2 < last:
                second = data[i + 1]
                third = data[i + 2]
                # Fullwidth , ! ? : ; and the danda of Indic scripts.
                if byte == 0xEF and second == 0xBC and third in (0x81, 0x8C, 0x9A, 0x9B, 0x9F):
                    num_marks += 1
                    num_characters += 1
                elif byte == 0xE0 and second == 0xA5 and third == 0xA4:
                    num_marks += 1
            # Arabic comma, semicolon, question mark and full stop.
            if i + 1 < last:
                if byte == 0xD8 and data[i + 1] in (0x8C, 0x9B, 0x9F):
                    num_marks += 1
                elif byte == 0xDB and data[i + 1] == 0x94:
                    num_marks += 1
        elif kind == 4:
            j = i + 1
            while j < last and j < i + 10 and data[j] != 59 and _KIND[data[j]] == 1:
                j += 1
            if j < last and data[j] == 59:
                # &nbsp; is white space.
                if not (j - i == 5 and data[i + 1] == 110 and data[i + 2] == 98):
                    num_characters += 1
                i = j
            else:
                num_characters += 1
        i += 1
    return num_characters, num_marks


@kernel
def measure(
    data: NDArray[np.uint8],
    tag: NDArray[np.uint8],
    parent: NDArray[np.int32],
    end: NDArray[np.int32],
    start: NDArray[np.int64],
    stop: NDArray[np.int64],
    invisible: NDArray[np.bool_],
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Counts the text of each text node, and gathers it by blocks.

    Returns:
        block: the block around each node, itself where it is one.
        characters: of each text node, 0 for others.
        linked: those of them in links.
        prose: characters of prose of each block, at its node.
    """
    size = tag.size
    block = np.zeros(size, np.int32)
    in_link = np.zeros(size, np.bool_)
    characters = np.zeros(size, np.int32)
    linked = np.zeros(size, np.int32)
    prose = np.zeros(size, np.int32)
    of_block = np.zeros((size, 3), np.int32)
    node = 1
    while node < size:
        above = parent[node]
        if invisible[node]:
            for i in range(node, end[node]):
                block[i] = block[above]
            node = end[node]
            continue
        in_link[node] = in_link[above] or tag[node] == _LINK
        block[node] = node if BLOCKS[tag[node]] else block[above]
        if tag[node] == TEXT:
            num_characters, num_marks = _count(data, start[node], stop[node])
            characters[node] = num_characters
            here = block[node]
            of_block[here, 0] += num_characters
            of_block[here, 2] += num_marks
            if in_link[node]:
                linked[node] = num_characters
                of_block[here, 1] += num_characters
        node += 1
    for node in range(size):
        total, in_links, num_marks = of_block[node]
        is_heading = HEADINGS[tag[node]] and total <= MAX_HEADING
        if is_heading or total < _MIN_PROSE or in_links * 2 > total:
            continue
        if num_marks > 0 or total >= _MIN_UNMARKED:
            prose[node] = total - in_links
    return block, characters, linked, prose

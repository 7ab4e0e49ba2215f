"""The names of elements as numbers: one byte a node, and tables that kernels index by it.

All elements of the HTML standard, the obsolete ones too, of MathML Core and presentation MathML 3,
of SVG only those that matter for text: its root, and the three in which HTML may stand again; and
of AMP the boxes of advertisements, which no attribute names.
What is not listed is UNKNOWN; its name can still be read from the page (`dom.name_of`).

Kernels find a number by a 64-bit hash of the name (FNV-1a over its bytes in lower case) in a table
of 1,024 places with linear probing; that the names of the list have different hashes is checked as
the table is made. A stranger that made an unknown name with the hash of a listed one would have its
element taken for that one, and gain nothing.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

TEXT: Final = 0
DOCUMENT: Final = 1
UNKNOWN: Final = 2

_HTML: Final = (
    "a abbr acronym address applet area article aside audio b base basefont bdi bdo bgsound big "
    "blink blockquote body br button canvas caption center cite code col colgroup command content "
    "data datalist dd del details dfn dialog dir div dl dt em embed fieldset figcaption figure "
    "font footer form frame frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html i iframe image "
    "img input ins kbd keygen label legend li link listing main map mark marquee menu menuitem "
    "meta meter nav nobr noembed noframes noscript object ol optgroup option output p param "
    "picture plaintext portal pre progress q rb rp rt rtc ruby s samp script search section select "
    "slot small source spacer span strike strong style sub summary sup table tbody td template "
    "textarea tfoot th thead time title tr track tt u ul var video wbr xmp"
)
_MATHML: Final = (
    "math maction maligngroup malignmark menclose merror mfenced mfrac mglyph mi mlabeledtr "
    "mmultiscripts mn mo mover mpadded mphantom mprescripts mroot mrow ms mspace msqrt mstyle msub "
    "msubsup msup mtable mtd mtext mtr munder munderover none semantics annotation annotation-xml"
)
_SVG: Final = "svg foreignobject desc"
_AMP: Final = "amp-ad amp-embed amp-sticky-ad"

TAGS: Final[tuple[str, ...]] = (
    "#text",
    "#document",
    "#unknown",
    *_HTML.split(),
    *_MATHML.split(),
    *_SVG.split(),
    *_AMP.split(),
)
"""Names by number; the first three are no elements of a page."""
TAG: Final[dict[str, int]] = {name: number for number, name in enumerate(TAGS)}
"""Numbers by name, in lower case."""

# FNV-1a, 64 bits (draft-eastlake-fnv, section 5), as signed numbers.
FNV_OFFSET: Final = 0xCBF29CE484222325 - (1 << 64)
FNV_PRIME: Final = 0x100000001B3
PLACES: Final = 1024


def name_hash(name: bytes) -> int:
    """The hash under which kernels look up a name, of its bytes in lower case; signed 64 bits."""
    value = FNV_OFFSET
    for byte in name.lower():
        value = ((value ^ byte) * FNV_PRIME) & 0xFFFFFFFFFFFFFFFF
        value -= (value >> 63) << 64
    return value


def place_of(value: int) -> int:
    """The place of the table at which the search for a hash begins."""
    return (value ^ (value >> 32)) & (PLACES - 1)


def _table() -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    hashes = np.zeros(PLACES, np.int64)
    numbers = np.zeros(PLACES, np.uint8)
    for name in TAGS[UNKNOWN + 1 :]:
        value = name_hash(name.encode("ascii"))
        assert value not in hashes
        place = place_of(value)
        while numbers[place]:
            place = (place + 1) & (PLACES - 1)
        hashes[place], numbers[place] = value, TAG[name]
    return hashes, numbers


HASHES, NUMBERS = _table()
"""`int64[1024]` and `uint8[1024]`: the hash and the number at each place, 0 where there is none."""


def tag_set(names: str) -> NDArray[np.bool_]:
    """A set of elements as a table that kernels index by a tag's number.

    Args:
        names: Listed names with blanks between.

    Returns:
        `bool[256]`.
    """
    table = np.zeros(256, np.bool_)
    table[[TAG[name] for name in names.split()]] = True
    return table

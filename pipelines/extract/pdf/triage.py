"""Which pages are read by OCR although they have a text layer, by signs that cost next to nothing.

The score of a page is how probable it is that OCR reads it better than its text layer: a logistic
function of five signs, each in [0, 1].

    garbled   share of characters that are none (U+FFFD, private use, control codes): half the
              weight at 5 %, all of it at 50 %
    strange   share of letters in impossible company (see `letters`)
    unmapped  share of characters whose font has no map to Unicode: a guess, and often a good one
    hidden    share of characters that nobody sees (render mode 3, or under a picture), times the
              share of the page that the largest picture covers: the layer of somebody's OCR
    picture   share of the page that its largest picture covers, or that it is drawn in small
              strokes, times how few characters are seen

The weights were fitted, with a ridge, to one half of the files of `page_key.csv` (by their hash)
and rounded, but that of `picture`: the key has too few scans with nothing but a stamp or a page
number in their layer, so it was set for a line of 75 characters on a full picture to be enough.
`tokenmill evaluate documents` shows the other half. A page without any character has
the score 1, for nothing can be lost. At the default threshold a page that is wrongly looked at
costs seconds and keeps its text where OCR reads the same (see `joining.settle`); a page that is
wrongly trusted is junk in a corpus. So the threshold is below one half, but above what fonts
without a map have alone: old TeX files have no other, and their text is good.

A budget caps what OCR may cost: of all pages of a part so many go to OCR, those with the highest
scores first. Equal scores, and pages without a layer all have the same, are put in the order of a
hash of the file and the number of the page, so that the choice depends on nothing but the part.
"""

import hashlib
import math
from collections.abc import Iterable
from typing import Final

import numpy as np

from pipelines.extract.pdf.letters import strange_share
from pipelines.extract.pdf.schema import GARBLED, HIDDEN, NO_LAYER, PICTURE, SUSPECT, PageSigns

_BIAS: Final = -4.25
_WEIGHTS: Final = {"garbled": 5.5, "strange": 6.0, "unmapped": 3.5, "hidden": 4.5, "picture": 6.0}
# Some characters lost, and most of them.
_SOME: Final = 0.05
_MOST: Final = 0.5
_FEW_CHARS: Final = 100  # as many seen characters halve the weight of a picture
_MANY_STROKES: Final = 250  # a drawn letter is one or more; this is a paragraph
_RANK_BITS: Final = 32  # of chance in a rank, below those of the score
_SCORE_BITS: Final = 29
_BEYOND_ALL: Final = (1 << 62) - 1


def page_signs(
    text: str,
    *,
    num_chars: int,
    num_garbled: int,
    num_unmapped: int,
    num_invisible: int,
    num_covered: int,
    image_share: float,
    text_share: float,
    num_small_paths: int,
) -> PageSigns:
    """The signs of a page.

    Args:
        text: Its text layer, as it was read.
        num_chars: Characters of the layer that are no white space.
        num_garbled: Those that are no characters; it may count control codes that `num_chars` does
            not.
        num_unmapped: Those whose font has no map to Unicode.
        num_invisible: Those drawn in render mode 3.
        num_covered: Other ones, under a picture that is drawn later.
        image_share: Share of the page that its largest picture covers.
        text_share: Share of the page that the boxes of characters cover.
        num_small_paths: Drawn paths of less than 20 points in height.
    """
    total = max(1, num_chars)
    hidden = min(1.0, (num_invisible + num_covered) / total)
    return PageSigns(
        num_chars=num_chars,
        garbled=min(1.0, num_garbled / max(num_chars, num_garbled, 1)),
        strange=strange_share(text),
        unmapped=min(1.0, num_unmapped / total),
        hidden=hidden,
        image_share=image_share,
        text_share=text_share,
        num_small_paths=num_small_paths,
    )


def score(signs: PageSigns) -> float:
    """How probable it is that OCR reads a page better than its text layer, in [0, 1]."""
    if not signs.num_chars:
        return 1.0
    terms = _terms(signs)
    logit = _BIAS + sum(_WEIGHTS[name] * value for name, value in terms.items())
    # Rounded, so that another mathematics library gives the same choice.
    return round(1 / (1 + math.exp(-logit)), 4)


def flaw(signs: PageSigns) -> str:
    """The heaviest sign against a text layer, as the reason why its page is looked at.

    `no_text_layer`, `garbled_text` (codes), `suspected_garbled_text` (strange or unmapped),
    `invisible_text_layer` or `picture`.
    """
    if not signs.num_chars:
        return NO_LAYER
    terms = _terms(signs)
    heaviest = max(terms, key=lambda name: _WEIGHTS[name] * terms[name])
    if heaviest == "picture" and terms["hidden"] >= _MOST:
        return HIDDEN  # which is why so few characters are seen
    return _REASONS[heaviest]


_REASONS: Final = {
    "garbled": GARBLED,
    "strange": SUSPECT,
    "unmapped": SUSPECT,
    "hidden": HIDDEN,
    "picture": PICTURE,
}


def _terms(signs: PageSigns) -> dict[str, float]:
    num_seen = signs.num_chars * (1 - signs.hidden)
    drawn = min(1.0, signs.num_small_paths / _MANY_STROKES)
    return {
        "garbled": (min(1.0, signs.garbled / _SOME) + min(1.0, signs.garbled / _MOST)) / 2,
        "strange": signs.strange,
        "unmapped": signs.unmapped,
        "hidden": signs.hidden * signs.image_share,
        "picture": max(signs.image_share, drawn) / (1 + (num_seen / _FEW_CHARS) ** 2),
    }


def rank(score_of_page: float, digest: bytes, page: int) -> int:
    """Orders pages for a budget: by score, and by chance among equals.

    Args:
        score_of_page: In [0, 1].
        digest: Of the payload of the file.
        page: From 1.

    Returns:
        An integer below 2**62; the higher, the sooner a page goes to OCR.
    """
    chance = hashlib.blake2b(digest + page.to_bytes(4, "little"), digest_size=4).digest()
    return (round(score_of_page * (1 << _SCORE_BITS)) << _RANK_BITS) | int.from_bytes(
        chance, "little"
    )


def threshold_of(rank_of_page: int) -> float:
    """The score of a rank, in [0, 1]; above 1 where no page goes to OCR."""
    return round((rank_of_page >> _RANK_BITS) / (1 << _SCORE_BITS), 4)


def lowest_rank(ranks: Iterable[int], num_pages: int, budget: float) -> int:
    """The lowest rank that goes to OCR, so that at most a share of all pages does.

    Args:
        ranks: Of the pages that would go to OCR.
        num_pages: All pages, with or without text.
        budget: Share, in [0, 1].

    >>> lowest_rank([5, 9, 7], num_pages=20, budget=0.1)
    7
    """
    wanted = np.sort(np.fromiter(ranks, np.int64))[::-1]
    allowed = math.floor(budget * num_pages + 1e-9)
    if allowed >= wanted.size:
        return 0
    return int(wanted[allowed - 1]) if allowed else _BEYOND_ALL

"""Rules: what stands around a page's text, where its main part is, and what is cut from that.

All shares are shares of prose (`selection_measures`), so that a menu of a thousand links weighs
nothing. The limits were set by looking at pages of news, blogs, shops, authorities and forums in
a dozen languages, one half of them kept aside while rules were written: a name is believed of up to
a third of the page's prose, a weak one (byline, date, card) of a fifth, since wrappers carry such
names as well (`with-sidebar`, `card-layout`).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from annotators.text.kernels import kernel, lean_kernel
from pipelines.extract.pages import selection_words as words
from pipelines.extract.pages.selection_measures import HEADINGS
from pipelines.extract.pages.tags import TAG, TEXT, tag_set

_SECTIONS: Final = tag_set("html div section article main td form body center table tbody tr dd li")
_LISTS: Final = tag_set("ul ol dl menu dir")
_PROTECTED: Final = tag_set("html body main h1 h2 h3 h4 h5 h6 tr td tbody pre code math")
_PAGE: Final = tag_set("html body")
_VERBATIM: Final = tag_set("pre code math script samp kbd xmp listing textarea")
_CHROME: Final = tag_set("nav footer aside menu")
_INLINE_WORDS: Final = tag_set("a abbr b em i strong cite q code sub sup u small font")
_A, _P, _TABLE, _LI, _FORM, _HEADER = (TAG[n] for n in ("a", "p", "table", "li", "form", "header"))
_ARTICLE, _MAIN, _FIGURE, _FIGCAPTION = (
    TAG[n] for n in ("article", "main", "figure", "figcaption")
)
_PICTURES: Final = tag_set("img svg picture video audio iframe canvas object embed noscript")
_FIGURES: Final = tag_set("pre table blockquote")
_PRE, _DIV, _SECTION, _SPAN = (TAG[n] for n in ("pre", "div", "section", "span"))
_BODY_TAG = TAG["body"]
_MATH = TAG["math"]
_HTML: Final = TAG["html"]
_H1: Final = TAG["h1"]

_AROUND = (
    words.NAVIGATION
    | words.RELATED
    | words.SHARING
    | words.PROMOTION
    | words.FOOTER
    | words.SIDEBAR
    | words.CONTROL
)

_CLEARLY_AROUND: Final = words.NAVIGATION | words.RELATED | words.FOOTER | words.SIDEBAR
_SHORT: Final = 250  # characters of prose; a page with less is judged by all of its text
_OWN: Final = words.BODY | words.ARTICLE | words.MAIN


@lean_kernel
def _sums(values: NDArray[np.int32], dropped: NDArray[np.bool_], sums: NDArray[np.int64]) -> None:
    total = np.int64(0)
    for i in range(values.size):
        sums[i] = total
        if not dropped[i]:
            total += values[i]
    sums[values.size] = total


@lean_kernel
def _drop(node: int, end: NDArray[np.int32], dropped: NDArray[np.bool_]) -> None:
    for i in range(node, end[node]):
        dropped[i] = True


@kernel
def cut(
    tag: NDArray[np.uint8],
    parent: NDArray[np.int32],
    end: NDArray[np.int32],
    bits: NDArray[np.int32],
    hidden: NDArray[np.bool_],
    characters: NDArray[np.int32],
    linked: NDArray[np.int32],
    prose: NDArray[np.int32],
    is_gentle: bool,
) -> NDArray[np.bool_]:
    """Marks what stands around the text of any page: `bool[num_nodes]`."""
    size = tag.size
    dropped = np.zeros(size, np.bool_)
    sums = np.zeros(size + 1, np.int64)
    chars = np.zeros(size + 1, np.int64)
    links = np.zeros(size + 1, np.int64)
    anchors = np.zeros(size + 1, np.int64)
    formulas = np.zeros(size + 1, np.int64)
    figures = np.zeros(size + 1, np.int64)
    pictures = np.zeros(size + 1, np.int64)
    is_forum = _is_forum(tag, bits)
    for node in range(1, size):
        if hidden[node]:
            dropped[node] = True
    _sums(prose, dropped, sums)
    if not is_forum and not is_gentle:
        _cut_comments(tag, end, bits, sums, dropped)
    _sums(prose, dropped, sums)
    _sums(characters, dropped, chars)
    _sums(linked, dropped, links)
    total = sums[size]
    for node in range(size):
        formulas[node + 1] = formulas[node] + (
            tag[node] == _MATH or bool(bits[node] & words.FORMULA)
        )
        figures[node + 1] = figures[node] + (_FIGURES[tag[node]])
        pictures[node + 1] = pictures[node] + (_PICTURES[tag[node]])
        anchors[node + 1] = anchors[node] + (
            not dropped[node]
            and (
                tag[node] == _H1
                or tag[node] == _ARTICLE
                or tag[node] == _MAIN
                or bool(bits[node] & (words.BODY | words.ARTICLE | words.MAIN))
            )
        )
    in_article = np.zeros(size, np.bool_)
    large = np.zeros(size, np.bool_)
    node = 1
    while node < size:
        kind = tag[node]
        above = parent[node]
        if kind == TEXT or dropped[node]:
            node += 1
            continue
        in_article[node] = (
            in_article[above]
            or kind == _ARTICLE
            or kind == _MAIN
            or bool(bits[node] & (words.ARTICLE | words.BODY))
        )
        if _VERBATIM[kind]:
            node = end[node]
            continue
        if _PROTECTED[kind]:
            node += 1
            continue
        found = bits[node]
        mass = sums[end[node]] - sums[node]
        share = mass / total if total > 0 else 0.0
        size_of = chars[end[node]] - chars[node]
        link = links[end[node]] - links[node]
        limit = 0.0
        has_formula = formulas[end[node]] > formulas[node]
        if found & words.HIDDEN:
            # Formulas stand twice, drawn and as MathML for those who cannot see it.
            limit = 0.0 if has_formula else 0.5
        elif found & words.HIDDEN_FROM_AID:
            limit = 0.0 if has_formula else 0.3
        elif kind == _HEADER:
            limit = 0.2 if not in_article[node] and not found & words.CONTENT else 0.0
        elif _CHROME[kind]:
            limit = 0.3
        elif kind == _FORM:
            limit = 0.5
        elif kind == _FIGURE:
            # It may hold a table or a listing, or be a box of text.
            is_picture = pictures[end[node]] > pictures[node] or mass == 0
            is_kept = figures[end[node]] > figures[node] or has_formula or not is_picture
            limit = 0.0 if is_kept else 0.3
        elif kind == _FIGCAPTION or found & words.CAPTION:
            # Captions of pictures go, those of tables and listings stay.
            limit = 0.0 if figures[end[above]] > figures[above] and tag[above] == _FIGURE else 0.3
        elif found & _AROUND and not (found & words.LEAD and mass > 0):
            # Buttons for sharing hold no prose; what does is a quoted post.
            limit = 0.35 if found & _AROUND != words.SHARING or mass < 80 else 0.0
        elif found & words.ABOUT:
            limit = 0.2 if mass < 800 and not (found & words.LEAD and mass > 0) else 0.0
        elif found & words.HEADER:
            is_content = bool(found & (words.LEAD | words.CONTENT)) and mass > 0
            limit = 0.2 if not in_article[node] and not is_content else 0.0
        elif found & words.TEASER and not found & words.LEAD:
            limit = 0.2 if link > 0 else 0.0
        if is_gentle and limit > 0 and not (_CHROME[kind] or kind == _HEADER or kind == _FORM):
            limit = 0.0
        if _INLINE_WORDS[kind] and (size_of > 60 or found & words.RELATED):
            limit = 0.0
        if limit > 0 and share < limit:
            _drop(node, end, dropped)
            node = end[node]
        else:
            if (
                limit > 0
                and not is_gentle
                and not found & _OWN
                and (found & _CLEARLY_AROUND or _CHROME[kind])
            ):
                large[node] = True
            node += 1
    # What is named as standing around the text and is yet a large part of the page: it goes where
    # there is other prose, and the marks of an article stand outside of it alone.
    node = 1
    while node < size:
        if large[node] and not dropped[node]:
            inside = anchors[end[node]] - anchors[node + 1]
            mass = sums[end[node]] - sums[node]
            if inside == 0 and anchors[size] > 0 and total - mass >= max(200, 0.4 * mass):
                total -= mass
                _drop(node, end, dropped)
                node = end[node]
                continue
        node += 1
    return dropped


@lean_kernel
def _cut_comments(
    tag: NDArray[np.uint8],
    end: NDArray[np.int32],
    bits: NDArray[np.int32],
    sums: NDArray[np.int64],
    dropped: NDArray[np.bool_],
) -> None:
    """Drops comments; not where nearly nothing stands beside them, as on a page of answers."""
    size = tag.size
    in_comments = np.int64(0)
    for is_counting in (True, False):
        node = 1
        while node < size:
            kind = tag[node]
            if kind != TEXT and _VERBATIM[kind]:
                node = end[node]
            elif kind != TEXT and bits[node] & words.COMMENTS and not _PROTECTED[kind]:
                if is_counting:
                    in_comments += sums[end[node]] - sums[node]
                else:
                    _drop(node, end, dropped)
                node = end[node]
            else:
                node += 1
        rest = sums[size] - in_comments
        if in_comments > 0 and rest < _SHORT and rest < 0.3 * sums[size]:
            return


@lean_kernel
def _is_forum(tag: NDArray[np.uint8], bits: NDArray[np.int32]) -> bool:
    """Whether the page says of itself that it is one of posts or answers."""
    for node in range(tag.size):
        if bits[node] & words.FORUM and (tag[node] == _BODY_TAG or tag[node] == _HTML):
            return True
    return False


@kernel
def choose(
    tag: NDArray[np.uint8],
    parent: NDArray[np.int32],
    end: NDArray[np.int32],
    bits: NDArray[np.int32],
    dropped: NDArray[np.bool_],
    characters: NDArray[np.int32],
    linked: NDArray[np.int32],
    prose: NDArray[np.int32],
) -> NDArray[np.int32]:
    """Roots of the main part, in the order of the page: `int32[num_roots]`."""
    size = tag.size
    sums = np.zeros(size + 1, np.int64)
    _sums(prose, dropped, sums)
    # Of a page of posts the longest is not the main part.
    share = 0.995 if _is_forum(tag, bits) else 0.97
    share_of_page = 0.99 if share > 0.98 else 0.9
    if sums[size] < _SHORT:
        # Hardly any prose: any text outside of links counts, a heading above one sentence too.
        _sums(characters - linked, dropped, sums)
        share = share_of_page = 1.0
    total = sums[size]
    found = np.zeros(128, np.int32)
    for step in range(3):
        num_found = 0
        held = np.int64(0)
        node = 1
        while node < size:
            kind = tag[node]
            if kind == TEXT or dropped[node]:
                node += 1
                continue
            names = bits[node]
            if step == 0:
                is_one = bool(names & words.BODY) and _SECTIONS[kind] and not _PAGE[kind]
            elif step == 1:
                is_one = kind == _ARTICLE or bool(names & words.ARTICLE)
            else:
                is_one = kind == _MAIN or bool(names & words.MAIN)
            mass = sums[end[node]] - sums[node]
            if is_one and mass > 0 and num_found < 128:
                found[num_found] = node
                num_found += 1
                held += mass
                node = end[node]
            else:
                node += 1
        if num_found == 0:
            continue
        best = found[0]
        for i in range(num_found):
            if sums[end[found[i]]] - sums[found[i]] > sums[end[best]] - sums[best]:
                best = found[i]
        best_mass = sums[end[best]] - sums[best]
        if num_found > 1 and step < 2 and held >= 0.5 * total and best_mass < 0.7 * held:
            return found[:num_found].copy()
        if best_mass >= 0.4 * total or (num_found == 1 and best_mass >= max(_SHORT, 0.2 * total)):
            best = _narrow(best, tag, end, sums, share)
            return _with_leads(best, step == 0, tag, parent, end, bits, dropped, prose, sums)
    best = _narrow(0, tag, end, sums, share_of_page)
    return _with_leads(best, False, tag, parent, end, bits, dropped, prose, sums)


@kernel
def _with_leads(
    root: int,
    has_siblings: bool,
    tag: NDArray[np.uint8],
    parent: NDArray[np.int32],
    end: NDArray[np.int32],
    bits: NDArray[np.int32],
    dropped: NDArray[np.bool_],
    prose: NDArray[np.int32],
    sums: NDArray[np.int64],
) -> NDArray[np.int32]:
    """A root and the first paragraphs of the article that stand before it."""
    mass = sums[end[root]] - sums[root]
    top = root
    for _ in range(5):
        above = parent[top]
        if above <= 0 or tag[above] == _BODY_TAG:
            break
        if sums[end[above]] - sums[end[root]] > 0.2 * mass or sums[root] - sums[above] > 0.5 * mass:
            break
        top = above
        if tag[top] == _ARTICLE or tag[top] == _MAIN:
            break
    roots = np.zeros(64, np.int32)
    num_roots = 0
    node = top + 1
    while node < root and num_roots < 60:
        if tag[node] == TEXT:
            node += 1
            continue
        if dropped[node]:
            node = end[node]
            continue
        if end[node] <= root and (
            bits[node] & words.LEAD or (prose[node] > 0 and end[node] - node < 40)
        ):
            roots[num_roots] = node
            num_roots += 1
            node = end[node]
        else:
            node += 1
    roots[num_roots] = root
    num_roots += 1
    return roots[:num_roots].copy()


@lean_kernel
def _narrow(
    node: int,
    tag: NDArray[np.uint8],
    end: NDArray[np.int32],
    sums: NDArray[np.int64],
    share: float,
) -> int:
    """The smallest section that holds nearly all prose of a node."""
    while True:
        mass = sums[end[node]] - sums[node]
        child = node + 1
        inner = -1
        while child < end[node]:
            if _SECTIONS[tag[child]] and sums[end[child]] - sums[child] >= share * mass:
                inner = child
                break
            child = end[child]
        if inner < 0 or mass == 0:
            return node
        node = inner


@kernel
def prune(
    tag: NDArray[np.uint8],
    end: NDArray[np.int32],
    dropped: NDArray[np.bool_],
    roots: NDArray[np.int32],
    block: NDArray[np.int32],
    characters: NDArray[np.int32],
    linked: NDArray[np.int32],
    prose: NDArray[np.int32],
) -> NDArray[np.bool_]:
    """Marks the nodes of the main text: `bool[num_nodes]`."""
    size = tag.size
    keep = np.zeros(size, np.bool_)
    for root in roots:
        for node in range(root, end[root]):
            keep[node] = not dropped[node]
    chars = np.zeros(size + 1, np.int64)
    links = np.zeros(size + 1, np.int64)
    masses = np.zeros(size + 1, np.int64)
    for _ in range(2):
        gone = ~keep
        _sums(characters, gone, chars)
        _sums(linked, gone, links)
        _sums(prose, gone, masses)
        total = masses[size]
        for root in roots:
            node = root + 1
            while node < end[root]:
                kind = tag[node]
                if kind == TEXT or not keep[node]:
                    node += 1
                    continue
                text = chars[end[node]] - chars[node]
                link = links[end[node]] - links[node]
                mass = masses[end[node]] - masses[node]
                is_cut = False
                if link > 0 and mass < 0.3 * total:
                    if _LISTS[kind]:
                        is_cut = link > 0.8 * text
                    elif kind == _DIV or kind == _SECTION or kind == _ARTICLE:
                        is_cut = link > 0.7 * text
                    elif kind == _P:
                        is_cut = link > 0.8 * text and text < 100 and total >= _SHORT
                    elif kind == _TABLE:
                        is_cut = link > 0.6 * text
                if is_cut:
                    for i in range(node, end[node]):
                        keep[i] = False
                    node = end[node]
                else:
                    node += 1
    # A heading with nothing behind it, where anything else is left.
    num_texts = 0
    for node in range(size):
        if tag[node] == TEXT and keep[node] and characters[node] > 0:
            around = block[node]
            num_texts += not HEADINGS[tag[around]] or prose[around] > 0
    if num_texts == 0:
        return keep
    _sums(prose, ~keep, masses)
    first_prose = masses[roots[0]] if masses[size] >= _SHORT else masses[size]
    for root in roots[::-1]:
        is_empty = np.ones(8, np.bool_)
        for node in range(end[root] - 1, root - 1, -1):
            if not keep[node]:
                continue
            kind = tag[node]
            if HEADINGS[kind] and prose[node] == 0:
                level = kind - _H1 + 1
                if is_empty[level] and (masses[node] > first_prose or masses[size] == 0):
                    for i in range(node, end[node]):
                        keep[i] = False
                else:
                    for i in range(level, 8):
                        is_empty[i] = True
            elif kind == TEXT and characters[node] > 0:
                if not HEADINGS[tag[block[node]]] or prose[block[node]] > 0:
                    is_empty[:] = False
    return keep

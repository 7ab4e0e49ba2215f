"""What the attributes of each element say it is for, as bits.

One pass over the bytes of the attributes, without making a string: the names that matter are told
by their hash, the words of a value looked up as they end (`selection_words`). Character references
in values are not decoded; no name that matters is written with one.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from annotators.text.kernels import inlined_lean_kernel, kernel, lean_kernel
from pipelines.extract.pages import selection_words as words
from pipelines.extract.pages.selection_measures import HEADINGS
from pipelines.extract.pages.selection_words import (
    FNV_OFFSET,
    FNV_PRIME,
    FORMULA,
    HASHES,
    HIDDEN,
    HIDDEN_FROM_AID,
    MEANINGS,
    NEGATION,
    NEUTRAL,
    PLACES,
    WHOLE_OFFSET,
    word_hash,
)
from pipelines.extract.pages.tags import TAG, TEXT, tag_set

_ROLES: Final = {
    "article": words.ARTICLE,
    "main": words.MAIN,
    "navigation": words.NAVIGATION,
    "menu": words.NAVIGATION,
    "menubar": words.NAVIGATION,
    "tablist": words.NAVIGATION,
    "banner": words.HEADER,
    "contentinfo": words.FOOTER,
    "complementary": words.SIDEBAR,
    "search": words.CONTROL,
    "dialog": words.CONTROL,
    "alertdialog": words.CONTROL,
    "alert": words.CONTROL,
    "button": words.CONTROL,
    "toolbar": words.CONTROL,
    "tooltip": words.CONTROL,
    "presentation": words.LAYOUT,
    "none": words.LAYOUT,
}
_ROLE_HASHES: Final = np.array([word_hash(name.encode()) for name in _ROLES], np.uint64)
_ROLE_BITS: Final = np.array(list(_ROLES.values()), np.int32)

_CLASS: Final = word_hash(b"class")
_ID: Final = word_hash(b"id")
_ROLE: Final = word_hash(b"role")
_ITEMPROP: Final = word_hash(b"itemprop")
_STYLE: Final = word_hash(b"style")
_HIDDEN_NAME: Final = word_hash(b"hidden")
_ARIA_HIDDEN: Final = word_hash(b"aria-hidden")
_COMPONENT: Final = word_hash(b"data-component")
_TEST_ID: Final = word_hash(b"data-testid")
_TRUE: Final = word_hash(b"true")
_UNTIL_FOUND: Final = word_hash(b"until-found")
_ARTICLE_BODY: Final = word_hash(b"articlebody")
_DESCRIPTION: Final = word_hash(b"description")
_BODY_PROPERTIES: Final = np.array(
    [_ARTICLE_BODY, word_hash(b"reviewbody"), word_hash(b"recipeinstructions")], np.uint64
)
_DISPLAY_NONE: Final = np.frombuffer(b"display:none", np.uint8)
_VISIBILITY: Final = np.frombuffer(b"visibility:hidden", np.uint8)

_MATH_TEX: Final = np.frombuffer(b"math/tex", np.uint8)
_TYPE: Final = word_hash(b"type")
_INVISIBLE: Final = tag_set(
    "script style template noscript head title select option datalist textarea svg iframe object "
    "embed canvas audio video map progress meter input applet noframes noembed param source track "
    "link meta base dialog output rp amp-ad amp-embed amp-sticky-ad"
)
_BARE: Final = tag_set("img br hr wbr col")
"""Elements whose attributes say nothing here, and are long."""
_HALF: Final = np.uint64(32)
_MASK: Final = np.uint64(PLACES - 1)
_SECTION: Final = TAG["section"]
_SCRIPT: Final = TAG["script"]
_BUTTON: Final = TAG["button"]

_SPACES: Final = np.zeros(256, np.bool_)
_SPACES[[9, 10, 12, 13, 32]] = True
_QUOTE, _APOSTROPHE, _EQUALS, _SLASH = 34, 39, 61, 47


@inlined_lean_kernel
def _meaning(value: np.uint64) -> int:
    """Bits of a word by its hash."""
    place = np.int64((value ^ (value >> _HALF)) & _MASK)
    while MEANINGS[place] != 0:
        if HASHES[place] == value:
            return int(MEANINGS[place])
        place = (place + 1) & (PLACES - 1)
    return 0


@lean_kernel
def _named(data: NDArray[np.uint8], first: int, last: int) -> int:
    """Bits of the words of a class or id."""
    bits = 0
    word = FNV_OFFSET
    pair = FNV_OFFSET
    whole = WHOLE_OFFSET
    is_word = False
    is_pair = False
    is_negated = False
    was_lower = False
    for i in range(first, last + 1):
        byte = data[i] if i < last else np.uint8(32)
        is_upper = 65 <= byte <= 90
        is_letter = is_upper or 97 <= byte <= 122 or byte >= 128
        if is_word and (not is_letter or (is_upper and was_lower)):
            meaning = _meaning(word)
            if is_pair:
                of_pair = _meaning(pair)
                meaning = of_pair if of_pair & NEUTRAL else meaning | of_pair
            if meaning & NEGATION:
                is_negated = True
            elif is_negated:
                is_negated = False
            else:
                bits |= meaning
            pair = word
            is_pair = True
            word = FNV_OFFSET
            is_word = False
        if is_letter:
            lower = np.uint64(byte | 32 if is_upper else byte)
            word = (word ^ lower) * FNV_PRIME
            if is_pair:
                pair = (pair ^ lower) * FNV_PRIME
            whole = (whole ^ lower) * FNV_PRIME
            is_word = True
        elif _SPACES[byte]:
            bits |= _meaning(whole)
            whole = WHOLE_OFFSET
            is_pair = False
            is_negated = False
        elif byte >= 48 and byte <= 57:
            pass
        elif byte == 58 or byte == 33:
            # `sm:hidden`: what stands behind holds for some screens only.
            whole = np.uint64(0)
        was_lower = bool(is_letter and not is_upper)
    return bits


@inlined_lean_kernel
def _value_hash(data: NDArray[np.uint8], first: int, last: int) -> np.uint64:
    value = FNV_OFFSET
    for i in range(first, last):
        byte = data[i]
        if _SPACES[byte]:
            continue
        lower = np.uint64(byte | 32 if 65 <= byte <= 90 else byte)
        value = (value ^ lower) * FNV_PRIME
    return value


@lean_kernel
def _has_style(data: NDArray[np.uint8], first: int, last: int, wanted: NDArray[np.uint8]) -> bool:
    """Whether a style holds a declaration, blanks and case apart."""
    for begin in range(first, last):
        if data[begin] | 32 != wanted[0]:
            continue
        i = begin
        k = 0
        while i < last and k < wanted.size:
            if not _SPACES[data[i]]:
                byte = data[i] | 32 if 65 <= data[i] <= 90 else data[i]
                if byte != wanted[k]:
                    break
                k += 1
            i += 1
        if k == wanted.size:
            return True
    return False


@lean_kernel
def _of_attribute(data: NDArray[np.uint8], name: np.uint64, first: int, last: int) -> int:
    if name == _CLASS or name == _COMPONENT or name == _TEST_ID:
        return _named(data, first, last)
    if name == _HIDDEN_NAME:
        return 0 if _value_hash(data, first, last) == _UNTIL_FOUND else HIDDEN
    if name == _STYLE:
        if _has_style(data, first, last, _DISPLAY_NONE):
            return HIDDEN
        return HIDDEN if _has_style(data, first, last, _VISIBILITY) else 0
    if name == _ROLE:
        value = _value_hash(data, first, last)
        for i in range(_ROLE_HASHES.size):
            if _ROLE_HASHES[i] == value:
                return int(_ROLE_BITS[i])
        return 0
    if name == _ARIA_HIDDEN:
        return HIDDEN_FROM_AID if _value_hash(data, first, last) == _TRUE else 0
    if name == _ITEMPROP:
        value = _value_hash(data, first, last)
        for i in range(_BODY_PROPERTIES.size):
            if _BODY_PROPERTIES[i] == value:
                return words.BODY
        return words.LEAD if value == _DESCRIPTION else 0
    return 0


@inlined_lean_kernel
def _starts_with(data: NDArray[np.uint8], first: int, last: int, wanted: NDArray[np.uint8]) -> bool:
    """Whether a value begins so, case apart."""
    if last - first < wanted.size:
        return False
    for i in range(wanted.size):
        if data[first + i] | 32 != wanted[i] | 32:
            return False
    return True


@kernel
def signals(
    data: NDArray[np.uint8],
    tag: NDArray[np.uint8],
    parent: NDArray[np.int32],
    end: NDArray[np.int32],
    start: NDArray[np.int64],
    stop: NDArray[np.int64],
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Reads the attributes of all elements that a reader can see.

    Args:
        data: The page, `uint8[num_bytes]`.
        tag: Tags, `uint8[num_nodes]`.
        parent: Nodes around, `int32[num_nodes]`.
        end: Ends of subtrees, `int32[num_nodes]`.
        start: First byte of the attributes, `int64[num_nodes]`.
        stop: Byte behind them, `int64[num_nodes]`.

    Returns:
        Bits of `selection_words`, `int32[num_nodes]`; and what no reader sees on any page,
        `bool[num_nodes]`: scripts, styles, fields and pictures, whole subtrees.
    """
    bits = np.zeros(tag.size, np.int32)
    hidden = np.zeros(tag.size, np.bool_)
    node = 0
    while node < tag.size:
        kind = tag[node]
        if kind == TEXT:
            node += 1
            continue
        is_hidden = _INVISIBLE[kind] or (kind == _BUTTON and not HEADINGS[tag[parent[node]]])
        if is_hidden and kind != _SCRIPT:
            for i in range(node, end[node]):
                hidden[i] = True
            node = end[node]
            continue
        if kind != _SCRIPT and (_BARE[kind] or stop[node] - start[node] < 4):
            node += 1
            continue
        i = start[node]
        last = stop[node]
        found = 0
        of_id = 0
        while i < last:
            while i < last and (_SPACES[data[i]] or data[i] == _SLASH):
                i += 1
            name = FNV_OFFSET
            begin = i
            while i < last and not _SPACES[data[i]] and data[i] != _EQUALS and data[i] != _SLASH:
                byte = data[i]
                lower = np.uint64(byte | 32 if 65 <= byte <= 90 else byte)
                name = (name ^ lower) * FNV_PRIME
                i += 1
            if i == begin:
                i += 1
                continue
            while i < last and _SPACES[data[i]]:
                i += 1
            first = i
            value_end = i
            if i < last and data[i] == _EQUALS:
                i += 1
                while i < last and _SPACES[data[i]]:
                    i += 1
                if i < last and (data[i] == _QUOTE or data[i] == _APOSTROPHE):
                    quote = data[i]
                    i += 1
                    first = i
                    while i < last and data[i] != quote:
                        i += 1
                    value_end = i
                    i += 1
                else:
                    first = i
                    while i < last and not _SPACES[data[i]]:
                        i += 1
                    value_end = i
            if kind == _SCRIPT:
                if name == _TYPE and _starts_with(data, first, value_end, _MATH_TEX):
                    found |= FORMULA
            elif name == _ID:
                of_id = _named(data, first, value_end)
            else:
                found |= _of_attribute(data, name, first, value_end)
        if kind != _SECTION and not found & words.PART:
            found |= of_id
        bits[node] = found
        if kind == _SCRIPT and not found & FORMULA:
            for i in range(node, end[node]):
                hidden[i] = True
        node = end[node] if kind == _SCRIPT else node + 1
    return bits, hidden

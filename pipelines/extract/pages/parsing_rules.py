"""What a start or an end tag does to the tree: the insertion modes of the HTML standard.

The modes are not kept as a state; they are read off the stack of open elements, which says the same
(a cell is open, a select is on top). What differs from the standard, and why that does no harm:

- `html`, `head` and `body` are not made where the page does not write them. A head ends where
  content begins, and `</head>` alone does not end it, so that a `<meta>` behind it still counts.
- Elements and text that stand in a table outside of its cells stay there, where the standard
  moves them before the table.
- Where the end tag of a link or of emphasis comes while a block is open in it (`<a><div></a>`), it
  is closed together with that block; the standard closes it, and opens copies of it in the block.
  Nor are links and emphasis that a paragraph's end has closed opened again in the next.
- A select holds options and text alone, as the standard had it until 2025; it now lets other
  elements stand in one. What is in a select is no part of a text either way.
- A page without a doctype is in quirks mode, where a table may stand in a paragraph; of those with
  one only HTML 2, 3 and 4.0 and those without an address of their rules.

Source: HTML standard, 13.2.6.4 (the insertion modes) and 13.2.6.5 (foreign content).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from annotators.text.kernels import lean_kernel
from pipelines.extract.pages.parsing_scans import starts_with
from pipelines.extract.pages.parsing_stack import (
    BUTTON,
    CLOSING,
    CONTEXT,
    ENTRY_NAME,
    ENTRY_PREVIOUS,
    ENTRY_TAG,
    FOREIGN,
    HAS_FORM,
    HAS_HEAD,
    HAS_HTML,
    HTML,
    IN_BODY,
    IS_XHTML,
    ITEM_BAR,
    LIST,
    MATH,
    NO_QUIRKS,
    SCOPE,
    SPECIAL,
    SVG,
    TABLE,
    TOP,
    Table,
    add_node,
    is_within,
    key_of,
    pop_to,
    push,
)
from pipelines.extract.pages.tags import TAG, UNKNOWN, tag_set

_MAX_SAME_KEY: Final = 32  # unknown names looked through for the one that an end tag names

_P, _LI, _DD, _DT, _A, _NOBR = (TAG[n] for n in ("p", "li", "dd", "dt", "a", "nobr"))
_TABLE, _TR, _TD, _TH, _CAPTION = (TAG[n] for n in ("table", "tr", "td", "th", "caption"))
_COL, _COLGROUP, _TEMPLATE = (TAG[n] for n in ("col", "colgroup", "template"))
_HTML, _HEAD, _BODY, _FORM, _BUTTON = (TAG[n] for n in ("html", "head", "body", "form", "button"))
_SELECT, _OPTION, _OPTGROUP, _HR, _BR = (
    TAG[n] for n in ("select", "option", "optgroup", "hr", "br")
)
_SCRIPT, _MATH, _SVG, _RUBY, _RTC = (TAG[n] for n in ("script", "math", "svg", "ruby", "rtc"))
_IMAGE, _IMG, _FONT, _RB, _FRAME = (TAG[n] for n in ("image", "img", "font", "rb", "frame"))
_ANNOTATION_XML, _FIRST_HEADING, _LAST_HEADING = TAG["annotation-xml"], TAG["h1"], TAG["h6"]

RAW: Final = tag_set("script style textarea title xmp iframe noembed noframes plaintext")
"""Elements whose content is text alone."""
_VOID: Final = tag_set(
    "area base basefont bgsound br col embed frame hr img input keygen link meta param source "
    "track wbr"
)
_CLOSES_P: Final = tag_set(
    "address article aside blockquote center dd details dialog dir div dl dt fieldset figcaption "
    "figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr li listing main menu nav ol p plaintext "
    "pre search section summary ul xmp"
)
_BLOCK: Final = tag_set(
    "address article aside blockquote button center details dialog dir div dl fieldset figcaption "
    "figure footer header hgroup listing main menu nav ol pre search section select summary ul "
    "applet marquee object dd dt"
)
"""Elements whose end tag closes them, with all that is open in them, within their scope."""
_FORMATTING: Final = tag_set("a b big code em font i nobr s small strike strong tt u")
_IN_HEAD: Final = tag_set(
    "base basefont bgsound link meta noframes script style template title noscript"
)
_IN_SELECT: Final = tag_set("option optgroup hr script template select")
_ENDS_SELECT: Final = tag_set("input keygen textarea")
_TABLE_PART: Final = tag_set("caption col colgroup tbody td tfoot th thead tr")
_SECTION: Final = tag_set("tbody thead tfoot")
_RUBY_PART: Final = tag_set("rb rt rtc rp")
_IMPLIED: Final = tag_set("dd dt li optgroup option p rb rp rt rtc")
_TOKEN: Final = tag_set("mi mo mn ms mtext")
_SVG_HTML: Final = tag_set("foreignobject desc title")
_BREAKOUT: Final = tag_set(
    "b big blockquote body br center code dd div dl dt em embed h1 h2 h3 h4 h5 h6 head hr i img li "
    "listing menu meta nobr ol p pre ruby s small span strong strike sub sup table tt u ul var"
)
_TEXT_HTML, _XHTML, _COLOR, _FACE, _SIZE = (
    np.frombuffer(word, np.uint8)
    for word in (b"TEXT/HTML", b"APPLICATION/XHTML+XML", b"COLOR", b"FACE", b"SIZE")
)


@lean_kernel
def start_tag(
    data: NDArray[np.uint8],
    nodes: Table,
    stack: Table,
    last: Table,
    state: Table,
    tag: int,
    name: int,
    start: int,
    stop: int,
    is_closed: bool,
) -> int:
    """Puts an element into the tree.

    Args:
        data: The page.
        nodes: Its nodes so far.
        stack: Its open elements.
        last: The topmost of each name.
        state: Of the parse.
        tag: The element's number.
        name: Hash of its name.
        start: The byte behind its name.
        stop: Its `>`.
        is_closed: Whether a slash stands before that.

    Returns:
        The number of its node where raw text follows, else -1.
    """
    if stack[state[TOP], CONTEXT] != HTML:
        if not _breaks_out(data, tag, start, stop):
            _start_foreign(data, nodes, stack, last, state, tag, name, start, stop, is_closed)
            return -1
        pop_to(nodes, stack, last, state, stack[state[TOP], FOREIGN])
    if state[IN_BODY] == 0 and not _starts_head(nodes, stack, last, state, tag):
        return -1
    if tag == _HTML or tag == _HEAD or tag == _BODY:
        if not _is_first(nodes, stack, state, tag, start, stop):
            return -1
    elif not _make_room(nodes, stack, last, state, tag, start):
        return -1
    if tag == _IMAGE:
        tag = _IMG
    if RAW[tag]:
        node = add_node(nodes, stack, state, tag, start, stop)
        return -1 if is_closed and state[IS_XHTML] else node
    node = add_node(nodes, stack, state, tag, start, stop)
    if tag == _FORM and _is_of_table(stack[state[TOP], ENTRY_TAG]):
        return -1
    if _VOID[tag] or (is_closed and (state[IS_XHTML] or tag == _SVG or tag == _MATH)):
        return -1
    context = MATH if tag == _MATH else SVG if tag == _SVG else HTML
    push(stack, last, state, node, tag, name, context)
    return -1


@lean_kernel
def _is_first(nodes: Table, stack: Table, state: Table, tag: int, start: int, stop: int) -> bool:
    """Whether an html, head or body element is opened: the first of each, before the content.

    Of the first html that comes behind content there is a node, for what it says counts.
    """
    if state[IN_BODY] == 0:
        return True  # `_starts_head` has seen to it
    if tag == _HTML and state[HAS_HTML] == 0:
        state[HAS_HTML] = 1
        add_node(nodes, stack, state, tag, start, stop)
    if tag != _BODY or state[IN_BODY] > 1:
        return False
    state[IN_BODY] = 2
    return True


@lean_kernel
def _is_of_table(tag: int) -> bool:
    """Whether an element is a table or part of one, but no cell and no caption."""
    return bool(tag == _TABLE or tag == _TR or _SECTION[tag] or tag == _COLGROUP)


@lean_kernel
def _starts_head(nodes: Table, stack: Table, last: Table, state: Table, tag: int) -> bool:
    """Before the body: notes the html, head and body elements, and ends the head at content.

    Returns:
        Whether the element is wanted: a second html or head is not.
    """
    if tag == _HTML or tag == _HEAD:
        seen = HAS_HTML if tag == _HTML else HAS_HEAD
        state[seen] += 1
        return bool(state[seen] == 1)
    if last[_TEMPLATE] > 0:
        return True
    if _IN_HEAD[tag]:
        state[HAS_HEAD] = 1
        return True
    end_head(nodes, stack, last, state)
    return True


@lean_kernel
def end_head(nodes: Table, stack: Table, last: Table, state: Table) -> None:
    """Content begins: closes the head where it is open."""
    if last[_HEAD] > 0:
        pop_to(nodes, stack, last, state, last[_HEAD])
    state[IN_BODY] = 1


@lean_kernel
def _make_room(nodes: Table, stack: Table, last: Table, state: Table, tag: int, start: int) -> bool:
    """Closes what an element ends by its coming.

    Returns:
        Whether the element may stand here at all.
    """
    if last[_SELECT] > 0 and not _make_room_in_select(nodes, stack, last, state, tag):
        return False
    if _TABLE_PART[tag]:
        return _make_room_in_table(nodes, stack, last, state, tag, start)
    if _CLOSES_P[tag]:
        if tag == _LI or tag == _DD or tag == _DT:
            bar = stack[state[TOP], ITEM_BAR]
            open_ = stack[bar, ENTRY_TAG]
            if open_ == tag or (tag == _DD and open_ == _DT) or (tag == _DT and open_ == _DD):
                pop_to(nodes, stack, last, state, bar)
        elif tag == _FORM:
            if state[HAS_FORM] and last[_TEMPLATE] == 0:
                return False
            state[HAS_FORM] = 1
            if _is_of_table(stack[state[TOP], ENTRY_TAG]):
                return True
        if is_within(last, stack, state, _P, BUTTON):
            pop_to(nodes, stack, last, state, last[_P])
        if _FIRST_HEADING <= tag <= _LAST_HEADING:
            top = state[TOP]
            if _FIRST_HEADING <= stack[top, ENTRY_TAG] <= _LAST_HEADING:
                pop_to(nodes, stack, last, state, top)
        return True
    if tag == _TABLE:
        place = last[_TABLE]
        if place > 0 and place == stack[state[TOP], TABLE] and not _in_cell(last, place):
            pop_to(nodes, stack, last, state, place)
        elif state[NO_QUIRKS] and is_within(last, stack, state, _P, BUTTON):
            pop_to(nodes, stack, last, state, last[_P])
        return True
    if tag == _A or tag == _NOBR:
        _end_formatting(nodes, stack, last, state, tag)
    elif tag == _BUTTON:
        if is_within(last, stack, state, _BUTTON, SCOPE):
            pop_to(nodes, stack, last, state, last[_BUTTON])
    elif tag == _OPTION or tag == _OPTGROUP:
        if stack[state[TOP], ENTRY_TAG] == _OPTION:
            pop_to(nodes, stack, last, state, state[TOP])
    elif _RUBY_PART[tag] and is_within(last, stack, state, _RUBY, SCOPE):
        keeps_rtc = tag != _RB and tag != _RTC
        while _IMPLIED[stack[state[TOP], ENTRY_TAG]]:
            if keeps_rtc and stack[state[TOP], ENTRY_TAG] == _RTC:
                break
            pop_to(nodes, stack, last, state, state[TOP])
    return True


@lean_kernel
def _make_room_in_select(nodes: Table, stack: Table, last: Table, state: Table, tag: int) -> bool:
    """As `_make_room`, where a select may be on top: there only options may stand."""
    on_top = stack[state[TOP], ENTRY_TAG]
    if on_top != _SELECT and on_top != _OPTION and on_top != _OPTGROUP:
        return True
    if _TABLE_PART[tag] or tag == _TABLE:
        if last[_TABLE] == 0:
            return False
        pop_to(nodes, stack, last, state, last[_SELECT])
        return True
    if _ENDS_SELECT[tag] or tag == _SELECT:
        pop_to(nodes, stack, last, state, last[_SELECT])
        return tag != _SELECT
    if tag == _OPTGROUP or tag == _HR:
        while stack[state[TOP], ENTRY_TAG] == _OPTION or stack[state[TOP], ENTRY_TAG] == _OPTGROUP:
            pop_to(nodes, stack, last, state, state[TOP])
    return bool(_IN_SELECT[tag])


@lean_kernel
def _in_cell(last: Table, place: int) -> bool:
    """Whether a cell or a caption of the table at a place is open."""
    return bool(last[_TD] > place or last[_TH] > place or last[_CAPTION] > place)


@lean_kernel
def _make_room_in_table(
    nodes: Table, stack: Table, last: Table, state: Table, tag: int, start: int
) -> bool:
    """As `_make_room`, for a part of a table: it closes the parts that cannot hold it.

    A cell without a row gets one. Outside of tables there are no parts of tables.
    """
    table = stack[state[TOP], TABLE]
    if stack[table, ENTRY_TAG] != _TABLE:
        return bool(stack[table, ENTRY_TAG] == _TEMPLATE)
    place = state[TOP]
    while place > table:
        on_top = stack[place, ENTRY_TAG]
        if tag == _TD or tag == _TH:
            if on_top == _TR or _SECTION[on_top]:
                break
        elif (tag == _TR and _SECTION[on_top]) or (tag == _COL and on_top == _COLGROUP):
            break
        place -= 1
    if place < state[TOP]:
        pop_to(nodes, stack, last, state, place + 1)
    if (tag == _TD or tag == _TH) and stack[state[TOP], ENTRY_TAG] != _TR:
        row = add_node(nodes, stack, state, _TR, start, start)
        push(stack, last, state, row, _TR, 0, HTML)
    return True


@lean_kernel
def _breaks_out(data: NDArray[np.uint8], tag: int, start: int, stop: int) -> bool:
    """Whether an element ends the MathML or SVG around it; font does with three attributes."""
    if tag != _FONT:
        return bool(_BREAKOUT[tag])
    for position in range(start, stop):
        if data[position] <= 32 and (
            starts_with(data, position + 1, _COLOR)
            or starts_with(data, position + 1, _FACE)
            or starts_with(data, position + 1, _SIZE)
        ):
            return True
    return False


@lean_kernel
def _start_foreign(
    data: NDArray[np.uint8],
    nodes: Table,
    stack: Table,
    last: Table,
    state: Table,
    tag: int,
    name: int,
    start: int,
    stop: int,
    is_closed: bool,
) -> None:
    """Puts an element into MathML or SVG."""
    node = add_node(nodes, stack, state, tag, start, stop)
    if is_closed:
        return
    context = stack[state[TOP], CONTEXT]
    if tag == _SVG:
        context = SVG
    elif context == SVG:
        context = HTML if _SVG_HTML[tag] else SVG
    elif _TOKEN[tag]:
        context = HTML
    elif tag == _ANNOTATION_XML:
        for position in range(start, stop):
            if starts_with(data, position, _TEXT_HTML) or starts_with(data, position, _XHTML):
                context = HTML
                break
    push(stack, last, state, node, tag, name, context)


@lean_kernel
def end_tag(
    nodes: Table, stack: Table, last: Table, state: Table, tag: int, name: int, start: int
) -> None:
    """Closes what an end tag names, where it is open and may be closed from here."""
    top = state[TOP]
    key = key_of(tag, name)
    if stack[top, CONTEXT] != HTML:
        place = _open_place(stack, last, key, tag, name)
        if place >= stack[top, FOREIGN]:
            pop_to(nodes, stack, last, state, place)
            return
        if tag == _P or tag == _BR:
            pop_to(nodes, stack, last, state, stack[top, FOREIGN])
            top = state[TOP]
    if tag == _P:
        if not is_within(last, stack, state, _P, BUTTON):
            if state[IN_BODY] == 0:
                return
            add_node(nodes, stack, state, _P, start, start)
        else:
            pop_to(nodes, stack, last, state, last[_P])
        return
    if tag == _BR:
        add_node(nodes, stack, state, _BR, start, start)
        return
    if tag == _FORM:
        _end_form(nodes, stack, last, state)
        return
    if last[key] == 0 or tag == _HTML or tag == _BODY or tag == _HEAD:
        if _FIRST_HEADING <= tag <= _LAST_HEADING:
            _end_heading(nodes, stack, last, state)
        return
    if last[_SELECT] > 0 and _ends_in_select(nodes, stack, last, state, tag):
        return
    if _FORMATTING[tag]:
        _end_formatting(nodes, stack, last, state, tag)
        return
    if _FIRST_HEADING <= tag <= _LAST_HEADING:
        _end_heading(nodes, stack, last, state)
        return
    top = state[TOP]
    place = _open_place(stack, last, key, tag, name)
    bar = stack[top, SPECIAL]
    if tag == _LI:
        bar = stack[top, LIST]
    elif _TABLE_PART[tag] or tag == _TABLE:
        bar = stack[top, TABLE]
    elif tag == _TEMPLATE:
        bar = 0
    elif _BLOCK[tag]:
        bar = stack[top, SCOPE]
    if place > 0 and place >= bar:
        pop_to(nodes, stack, last, state, place)


@lean_kernel
def _open_place(stack: Table, last: Table, key: int, tag: int, name: int) -> int:
    """The place of the topmost open element of a name, 0 where there is none."""
    place = int(last[key])
    if tag != UNKNOWN:
        return place
    for _ in range(_MAX_SAME_KEY):
        if place == 0 or stack[place, ENTRY_NAME] == name:
            return place
        place = int(stack[place, ENTRY_PREVIOUS])
    return 0


@lean_kernel
def _end_form(nodes: Table, stack: Table, last: Table, state: Table) -> None:
    """Closes the form; blocks that are open in it stay open, and take it with them later."""
    state[HAS_FORM] = 0
    if not is_within(last, stack, state, _FORM, SCOPE):
        return
    while _IMPLIED[stack[state[TOP], ENTRY_TAG]]:
        pop_to(nodes, stack, last, state, state[TOP])
    if last[_FORM] == 0:
        return
    if last[_FORM] == state[TOP]:
        pop_to(nodes, stack, last, state, last[_FORM])
    else:
        stack[last[_FORM], CLOSING] = 1


@lean_kernel
def _end_heading(nodes: Table, stack: Table, last: Table, state: Table) -> None:
    """Closes the topmost heading in scope, of whatever level."""
    place = 0
    for heading in range(_FIRST_HEADING, _LAST_HEADING + 1):
        place = max(place, last[heading])
    if place > 0 and place >= stack[state[TOP], SCOPE]:
        pop_to(nodes, stack, last, state, place)


@lean_kernel
def _end_formatting(nodes: Table, stack: Table, last: Table, state: Table, tag: int) -> None:
    """Closes a link or emphasis in scope, or marks it where a block is open in it."""
    place = last[tag]
    if place == 0 or place < stack[state[TOP], SCOPE]:
        return
    if place > stack[state[TOP], SPECIAL]:
        pop_to(nodes, stack, last, state, place)
    elif place != state[TOP]:
        stack[place, CLOSING] = 1


@lean_kernel
def _ends_in_select(nodes: Table, stack: Table, last: Table, state: Table, tag: int) -> bool:
    """What an end tag does where a select is on top.

    Returns:
        Whether that was all.
    """
    on_top = stack[state[TOP], ENTRY_TAG]
    if on_top != _SELECT and on_top != _OPTION and on_top != _OPTGROUP:
        return False
    if tag == _SELECT or tag == _OPTION or tag == _OPTGROUP:
        if last[tag] >= last[_SELECT]:
            pop_to(nodes, stack, last, state, last[tag])
        return True
    if tag == _TABLE or _TABLE_PART[tag]:
        pop_to(nodes, stack, last, state, last[_SELECT])
        return False
    return tag != _TEMPLATE

r"""Presentation MathML as LaTeX.

Most formulas of the web carry their LaTeX with them; this is for those that do not: MathML written
by word processors, by publishers and by MathJax 2, which keeps no source in a saved page. Elements
are those of MathML Core and of MathML 3, chapter 3; what has no counterpart in LaTeX (`mpadded`,
`maction`, sizes, colours) gives its content. The result is meant to be read and to compile with
amsmath: `\frac{a}{b}`, not `{a \over b}`; a table between brackets is a `pmatrix`.

Rows put a blank around relations and binary operators that stand between two operands, as people
write; other tokens touch, unless a command would swallow the letter behind it.
"""

from collections.abc import Callable
from typing import Final

from pipelines.extract.pages.attributes import attribute
from pipelines.extract.pages.dom import Dom, name_of
from pipelines.extract.pages.entities import decoded
from pipelines.extract.pages.mathml_symbols import (
    ACCENTS_ABOVE,
    ACCENTS_BELOW,
    ARROWS,
    FENCES,
    FUNCTIONS,
    INFIX,
    LARGE,
    MATRICES,
    PRIMES,
    command_of,
    escaped_text,
    letters_of,
)
from pipelines.extract.pages.tags import TAG, TEXT, UNKNOWN

# Deeper formulas are written as the row of their tokens: no person writes them.
_MAX_DEPTH: Final = 100
_FONTS: Final = {
    "bold": r"\mathbf",
    "italic": "",
    "bold-italic": r"\boldsymbol",
    "double-struck": r"\mathbb",
    "script": r"\mathcal",
    "bold-script": r"\mathcal",
    "fraktur": r"\mathfrak",
    "bold-fraktur": r"\mathfrak",
    "sans-serif": r"\mathsf",
    "bold-sans-serif": r"\mathsf",
    "sans-serif-italic": r"\mathsf",
    "monospace": r"\mathtt",
}
_ENCLOSED: Final = {
    "box": r"\boxed",
    "roundedbox": r"\boxed",
    "radical": r"\sqrt",
    "top": r"\overline",
    "bottom": r"\underline",
    "actuarial": r"\overline",
    "updiagonalstrike": r"\cancel",
    "downdiagonalstrike": r"\bcancel",
    "horizontalstrike": r"\cancel",
}
_NOT_SHOWN: Final = frozenset({"annotation", "annotation-xml", "script", "style", "mprescripts"})


def to_latex(dom: Dom, node: int) -> str:
    """The LaTeX of a formula, without delimiters.

    Args:
        dom: The page.
        node: Its `math` element, or any within.
    """
    return " ".join(_element(dom, node, 0).split())


def _children(dom: Dom, node: int) -> list[int]:
    """The elements in an element, and of its texts those that are more than white space."""
    found, child = [], node + 1
    while child < dom.end[node]:
        if dom.tag[child] != TEXT or _text(dom, child).strip():
            found.append(child)
        child = int(dom.end[child])
    return found


def _text(dom: Dom, node: int) -> str:
    """All text in a subtree."""
    return "".join(
        decoded(dom.data, int(dom.start[i]), int(dom.stop[i]))
        for i in range(node, int(dom.end[node]))
        if dom.tag[i] == TEXT
    )


def _element(dom: Dom, node: int, depth: int) -> str:
    if dom.tag[node] == TEXT:
        return escaped_text(_text(dom, node).strip())
    if depth > _MAX_DEPTH:
        return escaped_text(" ".join(_text(dom, node).split()))
    name = _NAMES[dom.tag[node]] if dom.tag[node] != UNKNOWN else _local_name(dom, node)
    if name in _NOT_SHOWN:
        return ""
    write = _WRITERS.get(name)
    if write is not None:
        return write(dom, node, depth + 1)
    return _row(dom, _children(dom, node), depth + 1)


_NAMES: Final = {number: name for name, number in TAG.items()}


def _local_name(dom: Dom, node: int) -> str:
    """The name without a prefix (`mml:mfrac`)."""
    return name_of(dom, node).rpartition(":")[2]


def name_in(dom: Dom, node: int) -> str:
    """The name of an element of MathML without its prefix; of a text, nothing."""
    if dom.tag[node] == TEXT:
        return ""
    return _NAMES[int(dom.tag[node])] if dom.tag[node] != UNKNOWN else _local_name(dom, node)


def _joined(pieces: list[str]) -> str:
    r"""Pieces side by side, with a blank where `\alpha` would swallow a letter."""
    text = ""
    for piece in pieces:
        if piece and text and piece[0].isalpha() and _ends_in_command(text):
            text += " "
        text += piece
    return text


def _ends_in_command(text: str) -> bool:
    word = text.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return word.endswith("\\") and len(word) < len(text)


def _row(dom: Dom, nodes: list[int], depth: int) -> str:
    """Children side by side; brackets around a table become part of it."""
    pieces: list[str] = []
    i = 0
    while i < len(nodes):
        matrix, taken = _matrix(dom, nodes, i, depth)
        if taken:
            pieces.append(matrix)
            i += taken
            continue
        piece = _element(dom, nodes[i], depth)
        if name_in(dom, nodes[i]) == "mo" and 0 < i < len(nodes) - 1 and piece in INFIX:
            piece = f" {piece} "
        pieces.append(piece)
        i += 1
    return _joined(pieces)


def _fence(dom: Dom, node: int) -> str:
    """The bracket that an operator is, or nothing."""
    text = _text(dom, node).strip() if name_in(dom, node) == "mo" else ""
    return text if text in FENCES else ""


def _only(dom: Dom, node: int) -> int:
    """The element that a node comes down to when rows of one element are taken off."""
    for _ in range(_MAX_DEPTH):
        inner = _children(dom, node)
        if name_in(dom, node) not in ("mrow", "mstyle", "mpadded") or len(inner) != 1:
            break
        node = inner[0]
    return node


def _matrix(dom: Dom, nodes: list[int], i: int, depth: int) -> tuple[str, int]:
    """A bracketed table or binomial that begins at a child, and how many children it takes."""
    left = _fence(dom, nodes[i])
    if not left or i + 1 >= len(nodes):
        return "", 0
    inner = _only(dom, nodes[i + 1])
    right = _fence(dom, nodes[i + 2]) if i + 2 < len(nodes) else ""
    if name_in(dom, inner) == "mtable":
        if left == "{" and not right:
            taken = 3 if i + 2 < len(nodes) and _is_empty_operator(dom, nodes[i + 2]) else 2
            return _table(dom, inner, depth, "cases"), taken
        if (left, right) in MATRICES:
            return _table(dom, inner, depth, MATRICES[left, right]), 3
    is_binomial = name_in(dom, inner) == "mfrac" and _is_lineless(dom, inner)
    if is_binomial and (left, right) == ("(", ")"):
        return _frac(dom, inner, depth).replace(r"\genfrac{}{}{0pt}{}", r"\binom", 1), 3
    return "", 0


def _is_empty_operator(dom: Dom, node: int) -> bool:
    return name_in(dom, node) == "mo" and not _text(dom, node).strip()


def _is_lineless(dom: Dom, node: int) -> bool:
    thickness = (attribute(dom, node, "linethickness") or "").strip()
    return thickness[:1] == "0" and not thickness.strip("0.empxt%")


def _group(dom: Dom, node: int, depth: int) -> str:
    """An argument in braces."""
    return "{" + _element(dom, node, depth).strip() + "}"


def _arguments(dom: Dom, node: int, num: int) -> list[int]:
    """The first children; the node itself where there are fewer, which then has no counterpart."""
    return _children(dom, node)[:num]


def _base(dom: Dom, node: int, depth: int) -> str:
    """What a script is put on: in braces where it is more than one token."""
    text = _element(dom, node, depth).strip()
    is_token = name_in(dom, _only(dom, node)) in ("mi", "mn", "mo", "mtext")
    is_group = text.startswith(("{", "\\left", "\\begin")) or not text
    return text if len(text) == 1 or is_token or is_group else "{" + text + "}"


def _script(mark: str, text: str) -> str:
    text = text.strip()
    if not text:
        return ""
    return mark + (text if len(text) == 1 else "{" + text + "}")


def _identifier(dom: Dom, node: int, depth: int) -> str:
    text = "".join(_text(dom, node).split())
    if not text:
        return _row(dom, _children(dom, node), depth)
    variant = attribute(dom, node, "mathvariant") or ""
    if text in FUNCTIONS:
        return FUNCTIONS[text]
    if len(text) == 1:
        command = command_of(text)
        if variant == "normal":
            return rf"\mathrm{{{command}}}" if text.isascii() and text.isalpha() else command
        return f"{_FONTS[variant]}{{{command}}}" if _FONTS.get(variant) else command
    letters = letters_of(text)
    font = _FONTS.get(variant)
    if not text.isalpha() or not text.isascii():
        return f"{font}{{{letters}}}" if font else letters
    return f"{font or chr(92) + 'mathrm'}{{{letters}}}"


def _number(dom: Dom, node: int, depth: int) -> str:
    return letters_of("".join(_text(dom, node).split()))


def _operator(dom: Dom, node: int, depth: int) -> str:
    text = _text(dom, node).strip()
    if text in FUNCTIONS:
        return FUNCTIONS[text]
    if len(text) > 1 and text.isalpha() and text.isascii():
        return rf"\operatorname{{{text}}}"
    return letters_of(text)


def _mtext(dom: Dom, node: int, depth: int) -> str:
    text = _text(dom, node).replace("\u00a0", " ")
    if not text.strip():
        return r"\ " if text else ""
    return rf"\text{{{escaped_text(' '.join(text.split(' ')))}}}"


def _string(dom: Dom, node: int, depth: int) -> str:
    return rf"\text{{``{escaped_text(_text(dom, node))}''}}"


def _space(dom: Dom, node: int, depth: int) -> str:
    if attribute(dom, node, "linebreak") == "newline":
        return r" \\ "
    width = (attribute(dom, node, "width") or "").strip()
    number = width.rstrip("emxptc% ")
    try:
        size = float(number or 0) * (1.0 if width.endswith("em") else 0.1)
    except ValueError:
        return ""
    if size >= 2:
        return r"\qquad "
    return r"\quad " if size >= 1 else r"\," if size > 0.1 else ""


def _frac(dom: Dom, node: int, depth: int) -> str:
    children = _arguments(dom, node, 2)
    if len(children) < 2:
        return _row(dom, children, depth)
    above, below = (_group(dom, child, depth) for child in children)
    if _is_lineless(dom, node):
        return rf"\genfrac{{}}{{}}{{0pt}}{{}}{above}{below}"
    if attribute(dom, node, "bevelled") == "true":
        return f"{above}/{below}"
    return rf"\frac{above}{below}"


def _sqrt(dom: Dom, node: int, depth: int) -> str:
    return rf"\sqrt{{{_row(dom, _children(dom, node), depth).strip()}}}"


def _root(dom: Dom, node: int, depth: int) -> str:
    children = _arguments(dom, node, 2)
    if len(children) < 2:
        return _sqrt(dom, node, depth)
    index = _element(dom, children[1], depth).strip()
    return rf"\sqrt[{index}]{_group(dom, children[0], depth)}"


def _scripted(dom: Dom, node: int, depth: int) -> str:
    """`msub`, `msup` and `msubsup`."""
    children = _arguments(dom, node, 3)
    if len(children) < 2:
        return _row(dom, children, depth)
    name = name_in(dom, node)
    text = _base(dom, children[0], depth)
    if name != "msup":
        text += _script("_", _element(dom, children[1], depth))
    if name != "msub":
        above = children[-1]
        primes = PRIMES.get(_text(dom, above).strip())
        text += primes or _script("^", _element(dom, above, depth))
    return text


def _stacked(dom: Dom, node: int, depth: int) -> str:
    """`munder`, `mover` and `munderover`."""
    children = _arguments(dom, node, 3)
    if len(children) < 2:
        return _row(dom, children, depth)
    name = name_in(dom, node)
    above = children[-1] if name != "munder" else None
    below = children[1] if name != "mover" else None
    text = _base(dom, children[0], depth)
    base = _text(dom, _only(dom, children[0])).strip()
    if base in ARROWS and above is not None:
        option = f"[{_element(dom, below, depth).strip()}]" if below is not None else ""
        return f"{ARROWS[base]}{option}{_group(dom, above, depth)}"
    is_large = base in LARGE or text.startswith(r"\operatorname") or _is_brace(text)
    for mark, child, accents, command in (
        ("_", below, ACCENTS_BELOW, r"\underset"),
        ("^", above, ACCENTS_ABOVE, r"\overset"),
    ):
        if child is None:
            continue
        accent = accents.get(_text(dom, child).strip())
        if is_large and accent is None:
            text += _script(mark, _element(dom, child, depth))
        elif accent is not None:
            inner = text[1:-1] if text.startswith("{") and text.endswith("}") else text
            text = accent(inner) if callable(accent) else f"{accent}{{{inner}}}"
        elif _element(dom, child, depth).strip():
            text = f"{command}{_group(dom, child, depth)}{{{text}}}"
    return text


def _is_brace(text: str) -> bool:
    return text.lstrip("{").startswith((r"\underbrace", r"\overbrace"))


def _multiscripts(dom: Dom, node: int, depth: int) -> str:
    children = _children(dom, node)
    if not children:
        return ""
    names = [name_in(dom, child) for child in children]
    split = names.index("mprescripts") if "mprescripts" in names else len(children)
    before, after = children[split + 1 :], children[1:split]
    text = _scripts(dom, after, depth, _base(dom, children[0], depth))
    return (_scripts(dom, before, depth, "{}") if before else "") + text


def _scripts(dom: Dom, nodes: list[int], depth: int, base: str) -> str:
    """Pairs of scripts below and above."""
    marks = ("_", "^")
    for i, child in enumerate(nodes):
        if i > 1 and i % 2 == 0:
            base += "{}"
        if name_in(dom, child) != "none":
            base += _script(marks[i % 2], _element(dom, child, depth))
    return base


def _table(dom: Dom, node: int, depth: int, environment: str = "") -> str:
    """A table, as a matrix unless its columns are aligned as equations are."""
    rows = []
    for row in _children(dom, node):
        cells = _children(dom, row)
        label = ""
        if name_in(dom, row) == "mlabeledtr" and cells:
            label = rf" \tag{{{_element(dom, cells.pop(0), depth).strip('() ')}}}"
        rows.append(" & ".join(_element(dom, cell, depth).strip() for cell in cells) + label)
    if not environment:
        columns = (attribute(dom, node, "columnalign") or "").split()
        environment = "aligned" if columns[:2] == ["right", "left"] else "matrix"
    inner = r" \\ ".join(rows)
    return rf"\begin{{{environment}}} {inner} \end{{{environment}}}"


def _plain_table(dom: Dom, node: int, depth: int) -> str:
    return _table(dom, node, depth)


def _fenced(dom: Dom, node: int, depth: int) -> str:
    children = _children(dom, node)
    given = attribute(dom, node, "open"), attribute(dom, node, "close")
    left, right = (
        ("(" if given[0] is None else given[0].strip()),
        (")" if given[1] is None else given[1].strip()),
    )
    inner = _only(dom, children[0]) if len(children) == 1 else -1
    if inner >= 0 and name_in(dom, inner) == "mtable":
        if left == "{" and not right:
            return _table(dom, inner, depth, "cases")
        if (left, right) in MATRICES:
            return _table(dom, inner, depth, MATRICES[left, right])
    separators = attribute(dom, node, "separators")
    marks = list("," if separators is None else "".join(separators.split()))
    text = ""
    for i, child in enumerate(children):
        if i and marks:
            text += letters_of(marks[min(i - 1, len(marks) - 1)]) + " "
        text += _element(dom, child, depth).strip()
    if "\\frac" in text or "\\begin" in text or "\\sum" in text:
        opening, closing = letters_of(left) or ".", letters_of(right) or "."
        return rf"\left{opening} {text} \right{closing}"
    return letters_of(left) + text + letters_of(right)


def _enclosed(dom: Dom, node: int, depth: int) -> str:
    text = _row(dom, _children(dom, node), depth).strip()
    for notation in (attribute(dom, node, "notation") or "").split():
        if notation in _ENCLOSED:
            text = f"{_ENCLOSED[notation]}{{{text}}}"
    return text


def _phantom(dom: Dom, node: int, depth: int) -> str:
    text = _row(dom, _children(dom, node), depth).strip()
    return rf"\phantom{{{text}}}" if text else ""


def _first(dom: Dom, node: int, depth: int) -> str:
    children = _children(dom, node)
    return _element(dom, children[0], depth) if children else ""


_WRITERS: Final[dict[str, Callable[[Dom, int, int], str]]] = {
    "mi": _identifier,
    "mn": _number,
    "mo": _operator,
    "mtext": _mtext,
    "ms": _string,
    "mspace": _space,
    "mfrac": _frac,
    "msqrt": _sqrt,
    "mroot": _root,
    "msub": _scripted,
    "msup": _scripted,
    "msubsup": _scripted,
    "munder": _stacked,
    "mover": _stacked,
    "munderover": _stacked,
    "mmultiscripts": _multiscripts,
    "mtable": _plain_table,
    "mfenced": _fenced,
    "menclose": _enclosed,
    "mphantom": _phantom,
    "semantics": _first,
    "maction": _first,
}

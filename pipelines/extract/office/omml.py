"""Office Math (OMML) as presentation MathML, which the renderer of web pages writes as LaTeX.

Element names: ECMA-376 part 1, section 22.1. Each argument of a structure is an `m:e`, `m:num` and
so on; what has no counterpart (control properties, phantoms' sizes) is left out.
"""

from collections.abc import Callable
from html import escape
from typing import Final
from unicodedata import category

from lxml import etree

from pipelines.extract.office.package import MAX_DEPTH, OfficeRefused, attribute, local_name

_OF_OPERATORS: Final = ("Sm", "Sk", "Pc", "Pd", "Ps", "Pe", "Po", "Pi", "Pf")
"""General categories of Unicode."""
_FUNCTIONS: Final = frozenset(
    "sin cos tan cot sec csc sinh cosh tanh arcsin arccos arctan log ln lg exp lim max min sup inf "
    "det dim ker deg gcd arg".split()
)


def mathml_of(formula: etree._Element) -> str:
    """A formula (`m:oMath`) as a MathML element.

    Raises:
        OfficeRefused: `broken_document`: it nests without end.
    """
    is_display = local_name(formula.getparent()) == "oMathPara" if _has_parent(formula) else False
    display = ' display="block"' if is_display else ""
    return f"<math{display}>{_children(formula, 0)}</math>"


def _has_parent(element: etree._Element) -> bool:
    return element.getparent() is not None


def _children(element: etree._Element | None, depth: int) -> str:
    """All arguments of an element, one after the other."""
    if element is None:
        return ""
    if depth > MAX_DEPTH:
        raise OfficeRefused("broken_document", f"a formula nests more than {MAX_DEPTH} deep")
    return "".join(_one(child, depth + 1) for child in element)


def _one(element: etree._Element, depth: int) -> str:
    name = local_name(element)
    if name in _WRITERS:
        return _WRITERS[name](element, depth)
    if name.endswith("Pr"):
        return ""
    return _children(element, depth)


def _argument(element: etree._Element, name: str, depth: int) -> str:
    found = next((child for child in element if local_name(child) == name), None)
    return f"<mrow>{_children(found, depth)}</mrow>"


def _value(element: etree._Element, name: str, default: str) -> str:
    """A property: the `m:val` of an element of the properties."""
    for properties in element:
        if local_name(properties).endswith("Pr"):
            for one in properties:
                if local_name(one) == name:
                    value = attribute(one, "val")
                    return default if value is None else value
    return default


def _is_on(element: etree._Element, name: str) -> bool:
    return _value(element, name, "off") in ("on", "1", "true")


def _run(element: etree._Element, depth: int) -> str:
    text = "".join(child.text or "" for child in element if local_name(child) == "t")
    is_plain = any(local_name(one) == "nor" for child in element for one in child)
    if is_plain:
        return f"<mtext>{escape(text)}</mtext>"
    return _tokens(text)


def _tokens(text: str) -> str:
    """Numbers, names of functions, letters and operators of a run."""
    pieces, at = [], 0
    while at < len(text):
        end = at + 1
        if text[at].isdigit():
            while end < len(text) and (text[end].isdigit() or _is_point(text, end)):
                end += 1
            pieces.append(f"<mn>{text[at:end]}</mn>")
        elif text[at].isascii() and text[at].isalpha():
            while end < len(text) and text[end].isascii() and text[end].isalpha():
                end += 1
            if text[at:end] not in _FUNCTIONS:
                end = at + 1
            pieces.append(f"<mi>{text[at:end]}</mi>")
        elif category(text[at]) in _OF_OPERATORS:
            is_minus = text[at] == "\u2212" or category(text[at]) == "Pd"
            pieces.append(f"<mo>{'-' if is_minus else escape(text[at])}</mo>")
        elif not text[at].isspace():
            pieces.append(f"<mi>{escape(text[at])}</mi>")
        at = end
    return "".join(pieces)


def _is_point(text: str, at: int) -> bool:
    return text[at] == "." and at + 1 < len(text) and text[at + 1].isdigit()


def _fraction(element: etree._Element, depth: int) -> str:
    above, below = (_argument(element, name, depth) for name in ("num", "den"))
    kind = _value(element, "type", "bar")
    if kind == "lin":
        return f"{above}<mo>/</mo>{below}"
    width = ' linethickness="0"' if kind == "noBar" else ""
    return f"<mfrac{width}>{above}{below}</mfrac>"


def _radical(element: etree._Element, depth: int) -> str:
    degree = _argument(element, "deg", depth)
    base = _argument(element, "e", depth)
    if _is_on(element, "degHide") or degree == "<mrow></mrow>":
        return f"<msqrt>{base}</msqrt>"
    return f"<mroot>{base}{degree}</mroot>"


def _script(tag: str, *names: str) -> Callable[[etree._Element, int], str]:
    def write(element: etree._Element, depth: int) -> str:
        return f"<{tag}>{''.join(_argument(element, name, depth) for name in names)}</{tag}>"

    return write


def _prescript(element: etree._Element, depth: int) -> str:
    base, sub, sup = (_argument(element, name, depth) for name in ("e", "sub", "sup"))
    return f"<msubsup><mrow></mrow>{sub}{sup}</msubsup>{base}"


def _nary(element: etree._Element, depth: int) -> str:
    sign = f"<mo>{escape(_value(element, 'chr', '∫'))}</mo>"
    sub, sup = (_argument(element, name, depth) for name in ("sub", "sup"))
    base = _argument(element, "e", depth)
    has_sub = not _is_on(element, "subHide") and sub != "<mrow></mrow>"
    has_sup = not _is_on(element, "supHide") and sup != "<mrow></mrow>"
    if has_sub and has_sup:
        return f"<msubsup>{sign}{sub}{sup}</msubsup>{base}"
    if has_sub:
        return f"<msub>{sign}{sub}</msub>{base}"
    return (f"<msup>{sign}{sup}</msup>" if has_sup else sign) + base


def _delimited(element: etree._Element, depth: int) -> str:
    opening, closing = _value(element, "begChr", "("), _value(element, "endChr", ")")
    between = f"<mo>{escape(_value(element, 'sepChr', '|'))}</mo>"
    parts = [_children(child, depth) for child in element if local_name(child) == "e"]
    inside = between.join(f"<mrow>{part}</mrow>" for part in parts)
    return f"<mrow>{_fence(opening)}{inside}{_fence(closing)}</mrow>"


def _fence(sign: str) -> str:
    return f'<mo fence="true">{escape(sign)}</mo>' if sign else ""


def _accent(element: etree._Element, depth: int) -> str:
    sign = escape(_value(element, "chr", "\u0302"))
    return f'<mover accent="true">{_argument(element, "e", depth)}<mo>{sign}</mo></mover>'


def _bar(element: etree._Element, depth: int) -> str:
    tag = "munder" if _value(element, "pos", "bot") == "bot" else "mover"
    return f"<{tag}>{_argument(element, 'e', depth)}<mo>\u00af</mo></{tag}>"


def _group(element: etree._Element, depth: int) -> str:
    tag = "mover" if _value(element, "pos", "bot") == "top" else "munder"
    sign = escape(_value(element, "chr", "\u23df"))
    return f"<{tag}>{_argument(element, 'e', depth)}<mo>{sign}</mo></{tag}>"


def _matrix(element: etree._Element, depth: int) -> str:
    rows = [
        [_children(cell, depth) for cell in row if local_name(cell) == "e"]
        for row in element
        if local_name(row) == "mr"
    ]
    return _table(rows)


def _equations(element: etree._Element, depth: int) -> str:
    rows = [[_children(row, depth)] for row in element if local_name(row) == "e"]
    return _table(rows)


def _table(rows: list[list[str]]) -> str:
    written = "".join(f"<mtr>{''.join(f'<mtd>{cell}</mtd>' for cell in row)}</mtr>" for row in rows)
    return f"<mtable>{written}</mtable>"


_WRITERS: Final[dict[str, Callable[[etree._Element, int], str]]] = {
    "r": _run,
    "f": _fraction,
    "rad": _radical,
    "sSup": _script("msup", "e", "sup"),
    "sSub": _script("msub", "e", "sub"),
    "sSubSup": _script("msubsup", "e", "sub", "sup"),
    "sPre": _prescript,
    "nary": _nary,
    "d": _delimited,
    "func": _script("mrow", "fName", "e"),
    "limLow": _script("munder", "e", "lim"),
    "limUpp": _script("mover", "e", "lim"),
    "acc": _accent,
    "bar": _bar,
    "groupChr": _group,
    "m": _matrix,
    "eqArr": _equations,
}

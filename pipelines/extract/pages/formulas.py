r"""The LaTeX of a formula, from whatever the page keeps of it.

A formula of the web is there several times: as LaTeX for authors, as MathML for screen readers, as
spans or a picture for eyes. The first of these that is found is taken, so that each formula comes
out once: an `<annotation>` in TeX (KaTeX, MediaWiki, LaTeXML, pandoc), the script of MathJax 2, an
attribute (`data-tex` of Zhihu, `data-latex` of MathJax 4, `alttext` of LaTeXML), the text of a
picture or the query of its address, the element's own text where its class says that it is TeX,
and last MathML, which `mathml` converts (MathJax 3 keeps nothing else).

Delimiters (`$`, `\(`, `\[`) and MediaWiki's `{\displaystyle }` are taken off; the renderer writes
its own.
"""

import json
import re
from typing import Final
from urllib.parse import unquote, unquote_plus

from pipelines.extract.pages.attributes import attribute
from pipelines.extract.pages.dom import Dom, parse
from pipelines.extract.pages.entities import decoded
from pipelines.extract.pages.mathml import to_latex
from pipelines.extract.pages.tags import TAG, TEXT

_TEX_TYPES: Final = frozenset(
    {"application/x-tex", "application/x-latex", "tex", "latex", "text/x-tex", "text/latex"}
)
_ATTRIBUTES: Final = ("data-tex", "data-latex", "data-formula", "data-expr", "data-math", "source")
_QUERY: Final = re.compile(
    r"[?&](?:latex|tex|chl|eq)=([^&]*)|\?([^?]*\\[^?]*|[^?&=]*%5C[^?]*)$", re.I
)
_WRAPPED: Final = re.compile(r"\{\\(?:display|text|script)style\s(.*)\}", re.DOTALL)
_STYLE: Final = re.compile(r"\\(?:display|text)style\b\s*")
_DELIMITERS: Final = (
    (r"\[", r"\]"),
    (r"\(", r"\)"),
    ("$$", "$$"),
    ("$", "$"),
    ("[tex]", "[/tex]"),
    ("[latex]", "[/latex]"),
)
_TEX_SIGNS: Final = re.compile(r"[\\^_{}$=]")
# Blanks and plus signs that its editor writes as references, and what sets resolution, colours,
# font and size (editor.codecogs.com, "Advanced URL options").
_CODECOGS_SIGNS: Final = {"&space;": " ", "&plus;": "+", "&hash;": "#"}
_CODECOGS_LOOKS: Final = re.compile(
    r"\\(?:dpi\s*\{[^{}]*\}|(?:bg|fn)(?:_[a-z]+|\{[^{}]*\})"
    r"|(?:inline|tiny|small|normalsize|large|Large|LARGE|huge)(?![a-zA-Z]))\s*"
)
_MATH: Final = TAG["math"]
_ANNOTATION: Final = TAG["annotation"]
_SCRIPT: Final = TAG["script"]
_IMG: Final = TAG["img"]
# Attributes are looked for in this many elements of a drawn formula.
_MAX_LOOKED_AT: Final = 40


def latex_of(dom: Dom, node: int) -> str:
    """The LaTeX of a formula, without delimiters; nothing where the page has none.

    Args:
        dom: The page.
        node: The root of the formula.
    """
    for find in (_annotation, _script, _attribute, _picture):
        found = _bare(find(dom, node))
        if found:
            return found
    return _bare(_mathml(dom, node) or _own_text(dom, node))


def _elements(dom: Dom, node: int, *tags: int) -> list[int]:
    """The elements of these names in a subtree, its root among them."""
    inner = dom.tag[node : dom.end[node]]
    return [node + int(i) for tag in tags for i in (inner == tag).nonzero()[0]]


def _raw_text(dom: Dom, node: int) -> str:
    """The text of a script, in which references are none."""
    texts = (i for i in range(node + 1, int(dom.end[node])) if dom.tag[i] == TEXT)
    return "".join(
        dom.data[dom.start[i] : dom.stop[i]].tobytes().decode("utf-8", "replace") for i in texts
    )


def _inner_text(dom: Dom, node: int) -> str:
    texts = (i for i in range(node + 1, int(dom.end[node])) if dom.tag[i] == TEXT)
    return "".join(decoded(dom.data, int(dom.start[i]), int(dom.stop[i])) for i in texts)


def _annotation(dom: Dom, node: int) -> str:
    for element in _elements(dom, node, _ANNOTATION):
        if (attribute(dom, element, "encoding") or "").strip().lower() in _TEX_TYPES:
            return _inner_text(dom, element)
    return ""


def _script(dom: Dom, node: int) -> str:
    for element in _elements(dom, node, _SCRIPT):
        kind = (attribute(dom, element, "type") or "").strip().lower()
        if kind.startswith(("math/tex", "math/latex")):
            text = _raw_text(dom, element).strip()
            return re.sub(r"^(?:%\s*)?<!\[CDATA\[|(?:%\s*)?\]\]>$", "", text)
        if kind.startswith("math/mml"):
            return _converted(_raw_text(dom, element))
    return ""


def _attribute(dom: Dom, node: int) -> str:
    looked_at = 0
    for i in range(node, int(dom.end[node])):
        if dom.tag[i] == TEXT:
            continue
        if dom.tag[i] == _MATH:
            text = attribute(dom, i, "alttext") or ""
            if _TEX_SIGNS.search(text) or len(text.strip()) == 1:
                return text
        for name in _ATTRIBUTES:
            text = attribute(dom, i, name) or ""
            if text.strip() and text not in ("inline", "display"):
                return text
        rendered = attribute(dom, i, "data-attrs") or ""
        if "persistentExpression" in rendered:
            # Substack: an object in JSON.
            return _from_json(rendered)
        looked_at += 1
        if looked_at == _MAX_LOOKED_AT:
            break
    return ""


def _from_json(text: str) -> str:
    try:
        given = json.loads(text)
    except ValueError:
        return ""
    latex = given.get("persistentExpression") if isinstance(given, dict) else None
    return latex if isinstance(latex, str) else ""


def _picture(dom: Dom, node: int) -> str:
    for element in _elements(dom, node, _IMG):
        source = attribute(dom, element, "src") or ""
        if "codecogs" in source:
            return _codecogs(attribute(dom, element, "title") or "", source)
        text = (attribute(dom, element, "alt") or "").strip()
        if text and (_TEX_SIGNS.search(text) or len(text) <= 3):
            return text
        query = _QUERY.search(source)
        if query is not None:
            return unquote_plus(query[1] or query[2] or "")
        if text and "mwe-math" in (attribute(dom, element, "class") or ""):
            return text
    return ""


def _codecogs(title: str, source: str) -> str:
    """The formula of a picture of CodeCogs: its title, else all of its query but looks."""
    if _TEX_SIGNS.search(title):
        return title
    latex = unquote(source.partition("?")[2])
    for name, sign in _CODECOGS_SIGNS.items():
        latex = latex.replace(name, sign)
    return _CODECOGS_LOOKS.sub("", latex)


def _mathml(dom: Dom, node: int) -> str:
    """The first MathML in the subtree, or in an attribute of MathJax 2."""
    for element in _elements(dom, node, _MATH):
        return to_latex(dom, element)
    for i in range(node, min(int(dom.end[node]), node + _MAX_LOOKED_AT)):
        if dom.tag[i] != TEXT:
            text = attribute(dom, i, "data-mathml")
            if text:
                return _converted(text)
    return ""


def _converted(markup: str) -> str:
    inner = parse(markup.encode("utf-8", "replace"))
    elements = _elements(inner, 0, _MATH)
    if not elements:
        return ""
    return _annotation(inner, elements[0]) or to_latex(inner, elements[0])


def _own_text(dom: Dom, node: int) -> str:
    return _inner_text(dom, node)


def _bare(text: str) -> str:
    """LaTeX without what only says where it begins and how large it is."""
    text = text.replace("\r\n", "\n").replace("\u00a0", " ").strip()
    for left, right in _DELIMITERS:
        is_inside = len(text) > len(left) + len(right)
        if is_inside and text.startswith(left) and text.endswith(right):
            inner = text[len(left) : -len(right)]
            if left not in inner or left.startswith("["):
                text = inner.strip()
                break
    wrapped = _WRAPPED.fullmatch(text)
    if wrapped is not None:
        text = wrapped[1].strip()
    text = _STYLE.sub("", text, count=1) if text.startswith("\\") else text
    return "\n".join(line.strip() for line in text.split("\n") if line.strip())

r"""What a vision-language model is asked of a page, and what is read in its answer.

One prompt for all pages: a small header, then the text in reading order, formulas in LaTeX, tables
in HTML (which can say that cells span) or Markdown. The header is that of olmOCR (2502.18443): its
fields are read where they stand, in whatever fence or without one, and a value that is none of the
allowed ones counts as not said. An answer without a header is still a text: a model that was not
tuned for the task often leaves it out, and the text is what is paid for. It then says nothing of
the turn of the page and its language.

No page is: a refusal (a short answer without a header that begins as refusals do),
an answer in JSON, which was not asked for, and one in which more than a twentieth of the characters
are none (U+FFFD, control codes, private use, noncharacters). What is left out of a text: the fence
around the whole, and links to pictures, whose targets are made up. `\(...\)` becomes `$...$` and
`\[...\]` becomes `$$...$$`, as everywhere in tokenmill; tables become Markdown by the renderer of
web pages.
"""

import hashlib
import re
from dataclasses import dataclass, field
from typing import Final

from pipelines.extract.pdf.schema import Verdict
from pipelines.models.refusals import refuses
from pipelines.models.repetition import repetition

VERSION: Final = "tokenmill-vl/1"
"""Raised where the same answers give another text."""

SYSTEM: Final = """\
You copy pages. Every message holds the picture of one page; you give back what is written on it.

Start with this header, each value filled in for the page:

---
primary_language: the code of its main language, such as en, de or zh, or null without any text
is_rotation_valid: true if the text stands upright, otherwise false
rotation_correction: 0, 90, 180 or 270, the degrees by which to turn the picture clockwise so that \
the text stands upright
is_table: true if a table takes up most of the page, otherwise false
is_diagram: true if a drawing or chart takes up most of the page, otherwise false
---

Then comes the text of the page:

- Everything that a reader would read, in the order of reading, one column after the other.
- Spelling and language stay as they are. Translate nothing, shorten nothing, add nothing.
- Headings, lists, emphasis and code in Markdown. A paragraph is one line, with an empty line below.
- Formulas in LaTeX: $...$ within a line, $$...$$ on lines of their own.
- Tables in HTML, from <table> to </table>, with rowspan and colspan where cells span; a plain \
grid may be a Markdown table.
- No running heads or feet, no page numbers. A picture gives only the words in it.
- If nothing is written on the page, stop after the header."""

QUESTION: Final = "Copy this page."

PROMPT_HASH: Final = hashlib.sha256(f"{SYSTEM}\n{QUESTION}".encode()).hexdigest()[:16]

TURNS: Final = (0, 90, 180, 270)

_KEYS: Final = (
    "primary_language",
    "is_rotation_valid",
    "rotation_correction",
    "is_table",
    "is_diagram",
)
# What lies between two marks is bounded, so that no answer takes more than linear time.
_FIELD: Final = re.compile(
    rf"""[\s>-]{{0,8}}["'`*]{{0,4}}\s?({"|".join(_KEYS)})["'`*]*\s*[:=]\s*(.*)"""
)
_OPENING: Final = re.compile(r"-{3,}|```\s*(?:yaml|yml)?", re.IGNORECASE)
_CLOSING: Final = re.compile(r"-{3,}|\.{3}|```")
_WRAPPED: Final = re.compile(
    r"```[ \t]*(?:markdown|md|html|text|txt|latex)?[ \t]*\n(.*?)\n?```", re.S
)
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(?:[-_][a-z0-9]{2,8})*", re.IGNORECASE)
_NO_LANGUAGE: Final = ("und", "null", "none", "nil")
_TRUTH: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_NUMBER: Final = re.compile(r"-?\d+")

_JSON: Final = re.compile(r'[\[{]\s*["{\[]')
_NO_CHARACTERS: Final = re.compile(
    "[\ufffd\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ue000-\uf8ff\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff]"
)
_MAX_GARBAGE: Final = 0.05

_IMAGE_LINK: Final = re.compile(r"!\[[^\]\n]{0,500}\]\([^)\n]{0,500}\)")
_INLINE: Final = re.compile(r"\\\(([^\n]{1,500}?)\\\)")
_DISPLAY: Final = re.compile(r"\\\[(.{1,2000}?)\\\]", re.S)
_HTML_TABLE: Final = re.compile(r"<table\b.*?(?:</table\s*>|\Z)", re.I | re.S)
# Any other `<` in a table is a sign that the model did not escape: "p < 0.05", "$a<b$".
_STRAY_SIGN: Final = re.compile(
    r"<(?!/?(?:table|thead|tbody|tfoot|tr|th|td|caption|col|colgroup|br|p|div|span|b|i|u|em|strong"
    r"|small|sup|sub|ul|ol|li|code|a)\b[^<>]*>)",
    re.IGNORECASE,
)

_LONGEST_NOTHING: Final = 100  # characters
_NOTHING: Final = re.compile(
    r"\W*(?:(?:this|the) (?:page|image|picture) (?:is|appears(?: to be)?|seems(?: to be)?) "
    r"(?:completely |entirely )?(?:blank|empty)"
    r"|(?:an? )?(?:blank|empty) page"
    r"|(?:there is )?no (?:visible |readable |legible )?text(?: (?:is )?(?:found|visible|present))?"
    r"(?: (?:on|in) (?:this|the) (?:page|image|picture))?"
    r"|leere seite|kein text|page (?:vide|blanche)|página (?:en blanco|vacía|em branco)"
    r"|pagina (?:bianca|vuota)|пустая страница|空白页?|空白頁|白紙|空白ページ|빈 페이지"
    r"|null|none|n/a)\W*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What an answer says of its page; None where it says nothing that is allowed."""

    language: str | None = None
    """BCP 47, as the model writes it, in lower case."""
    turn: int = 0
    """Degrees clockwise by which the picture is to be turned: 0, 90, 180 or 270."""
    is_table: bool | None = None
    is_diagram: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageAnswer:
    """An answer, read."""

    header: Header = field(default_factory=Header)
    text: str = ""
    """Markdown; empty where the model says that nothing is written on the page."""
    flaw: Verdict | None = None
    """`repeating`, `refused` or `failed`: why the text is none of a page."""
    message: str | None = None
    """What was found, for a flaw."""


def read_answer(answer: str) -> PageAnswer:
    """The header and the text of an answer, or why it is that of no page."""
    header, text = _split(_unwrapped(answer.strip()))
    garbage = len(_NO_CHARACTERS.findall(text))
    if garbage > _MAX_GARBAGE * len(text):
        message = f"{garbage} of its {len(text)} characters are none"
        return PageAnswer(flaw="failed", message=message)
    if header is None and _JSON.match(text):
        message = f"it answers in JSON: {text[:80]!r}"
        return PageAnswer(flaw="failed", message=message)
    if header is None and refuses(text):
        return PageAnswer(flaw="refused", message=f"it refuses: {text[:80]!r}")
    is_nothing = len(text) <= _LONGEST_NOTHING and _NOTHING.fullmatch(text)
    text = "" if is_nothing else _plain(text)
    loop = repetition(text)
    if loop is not None:
        return PageAnswer(flaw="repeating", message=loop, header=header or Header())
    return PageAnswer(header=header or Header(), text=text)


def _unwrapped(text: str) -> str:
    """The inside of a fence around the whole answer, or around all that stands below the header."""
    whole = _WRAPPED.fullmatch(text)
    return whole[1].strip() if whole and "```" not in whole[1] else text


def _split(text: str) -> tuple[Header | None, str]:
    """(header, None where there is none; what stands below it)."""
    lines = text.split("\n")
    at = 1 if _OPENING.fullmatch(lines[0].strip()) else 0
    found: dict[str, str] = {}
    while at < len(lines):
        told = _FIELD.fullmatch(lines[at].strip())
        if told is None and lines[at].strip():
            break
        if told is not None:
            found.setdefault(told[1], told[2].strip(" \t\"'`,*"))
        at += 1
    if not found:
        return None, text
    if at < len(lines) and _CLOSING.fullmatch(lines[at].strip()):
        at += 1
    return _header(found), _unwrapped("\n".join(lines[at:]).strip())


def _header(found: dict[str, str]) -> Header:
    code = found.get("primary_language", "").lower()
    degrees = _NUMBER.match(found.get("rotation_correction", ""))
    turn = int(degrees[0]) % 360 if degrees else 0
    is_upright = _TRUTH.get(found.get("is_rotation_valid", "").lower(), turn == 0)
    return Header(
        language=code if _LANGUAGE.fullmatch(code) and code not in _NO_LANGUAGE else None,
        turn=turn if turn in TURNS and not is_upright else 0,
        is_table=_TRUTH.get(found.get("is_table", "").lower()),
        is_diagram=_TRUTH.get(found.get("is_diagram", "").lower()),
    )


def _plain(text: str) -> str:
    """A text in the Markdown of tokenmill."""
    text = _IMAGE_LINK.sub("", text)
    text = _HTML_TABLE.sub(_markdown_table, text)
    text = _DISPLAY.sub(lambda found: f"$${found[1].strip()}$$", text)
    text = _INLINE.sub(lambda found: f"${found[1].strip()}$", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _markdown_table(found: re.Match[str]) -> str:
    # Numba's kernels, which a text without such a table does not need.
    from pipelines.extract.pages.rendering import render_page

    html = _STRAY_SIGN.sub("&lt;", found[0])
    try:
        table = render_page(html.encode("utf-8", "replace"))
    except ValueError:  # its spans make it many times as long; the words are still there
        table = re.sub(r"<[^<>]*>", " ", html)
    return f"\n\n{table}\n\n"

# ruff: noqa: RUF001 - signs and words of many scripts
r"""Where the final answer of a solution stands, and the plain form in which answers are compared.

The answer is what the last `\boxed{}` holds; several boxes on one line are one answer of several
parts. A solution without a box may still say "the answer is ...", in its own language; what is
found by such a phrase is flagged, for a recipe may want it refused (it was told otherwise).

The *plain form* undoes ways of writing that are never a difference of mathematics: digits of all
scripts, full-width signs, LaTeX spacing and sizing, `\text` around words, dollar signs, Chinese
numerals, several names of the empty set. Forms that are equal are equal answers; for the others see
`equality`.
"""

import re
import unicodedata
from typing import Final, Literal, NamedTuple

from pipelines.synthesize.mathematics.numerals import chinese_numeral

LONGEST_ANSWER: Final = 400
"""Characters of a plain form; what is longer is prose, not an answer, and slow to read."""

DEEPEST_ANSWER: Final = 20
"""Brackets within brackets; parsers take exponential time in them."""

How = Literal["boxed", "phrase"]


class Found(NamedTuple):
    """A final answer."""

    text: str
    """As written."""
    how: How


_BOX: Final = re.compile(r"\\(?:f?boxed|fbox)\s*(?=\{)|\\boxed\s+(?P<bare>\S+)")

# Words for "the answer is" at the end of a solution, by language of the solution.
_PHRASES: Final = (
    r"answer\s*(?:is|:|=)",  # English
    r"r[ée]ponse(?:\s+finale)?\s*(?:est|:)",  # French
    r"respuesta(?:\s+final)?\s*(?:es|:)",  # Spanish
    r"resposta(?:\s+final)?\s*(?:é|:)",  # Portuguese
    r"risposta(?:\s+finale)?\s*(?:è|:)",  # Italian
    r"antwort\s*(?:ist|lautet|:)",  # German
    r"antwoord\s*(?:is|:)",  # Dutch
    r"ответ\s*(?:[:—–-]|равен)",  # Russian
    r"відповідь\s*[:—–-]",  # Ukrainian
    r"odpowied[źz]\s*(?:to|:)",  # Polish
    r"cevap\s*:?",  # Turkish
    r"jawaban(?:nya)?\s*(?:adalah|:)",  # Indonesian
    r"đáp\s+(?:án|số)\s*(?:là|:)",  # Vietnamese
    r"答案\s*(?:是|为|為|[:：])",  # Chinese
    r"答え\s*は",  # Japanese
    r"답은",  # Korean
    r"الإجابة(?:\s+النهائية)?\s*(?:هي|:)",  # Arabic
    r"الجواب\s*(?:هو|:)",
    r"پاسخ\s*:?",  # Persian
    r"उत्तर(?:\s+है)?\s*[:：]?",  # Hindi
    r"উত্তর\s*[:：]?",  # Bengali
    r"คำตอบ\s*(?:คือ|:)",  # Thai
)
_PHRASE: Final = re.compile("(?:" + "|".join(_PHRASES) + r")[\s*]*(?P<rest>[^\n]+)", re.IGNORECASE)
_SENTENCE_END: Final = re.compile(r"[.!?](?:\s|$)|[。！？।]")


def final_answer(text: str) -> Found | None:
    """What a solution says comes out.

    Args:
        text: A solution, without its thinking.

    Returns:
        None where neither a box nor a phrase with something behind it is found.
    """
    boxes = _boxes(text)
    if boxes:
        return Found(", ".join(dict.fromkeys(boxes)), "boxed")
    phrases = list(_PHRASE.finditer(text))
    if not phrases:
        return None
    rest = _SENTENCE_END.split(phrases[-1]["rest"], maxsplit=1)[0].strip(" *:：")
    return Found(rest, "phrase") if rest else None


def _boxes(text: str) -> list[str]:
    """What the boxes on the last line with any hold, empty ones left out."""
    found: list[tuple[int, str]] = []  # line number, content
    for match in _BOX.finditer(text):
        content = match["bare"] or _braced(text, match.end())
        if content is not None and content.strip():
            found.append((text.count("\n", 0, match.start()), content.strip()))
    return [content for line, content in found if line == found[-1][0]]


def _braced(text: str, start: int) -> str | None:
    """What stands between the brace at `start` and its partner; None where it is not closed."""
    depth = 0
    at = start
    while at < len(text):
        if text[at] == "\\":
            at += 2
            continue
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if not depth:
            return text[start + 1 : at]
        at += 1
    return None


_FRACTIONS: Final = {
    c: unicodedata.normalize("NFKC", c).split("\u2044") for c in "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞⅐⅑⅒"
}
_SUPERSCRIPTS: Final = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_SUPERSCRIPT: Final = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+")
_SIGNS: Final = {
    "\u2212": "-",
    "\u2013": "-",
    "\u066b": ".",  # Arabic decimal separator
    "\u066c": "",  # Arabic thousands separator
    "\u060c": ",",
    "、": ",",
    "×": r"\times ",
    "·": r"\cdot ",
    "÷": "/",
    "π": r"\pi ",
    "∞": r"\infty ",
    "≤": r"\le ",
    "≥": r"\ge ",
    "≠": r"\ne ",
    "∪": r"\cup ",
    "∩": r"\cap ",
    "∈": r"\in ",
    "±": r"\pm ",
    "∅": r"\emptyset ",
    "\\varnothing": r"\emptyset ",
    "°": r" \degree ",
    "\\%": " % ",
    "\\$": "$",
    "\\dfrac": r"\frac",
    "\\tfrac": r"\frac",
    "\\cfrac": r"\frac",
    "{,}": "",
    "\\,": " ",
    "\\;": " ",
    "\\:": " ",
    "\\!": "",
    "\\ ": " ",
    "~": " ",
    "\\quad": " ",
    "\\left": "",
    "\\right": "",
    "\\displaystyle": "",
}
_SIGN: Final = re.compile(
    "|".join(
        re.escape(sign) + (r"(?![A-Za-z])" if sign[-1:].isalpha() and sign[0] == "\\" else "")
        for sign in sorted(_SIGNS, key=len, reverse=True)
    )
)
_ROOT: Final = re.compile(r"√\s*(?:\((?P<inner>[^()]*)\)|(?P<plain>\d+|[A-Za-z]))")
_MATRIX: Final = re.compile(r"\\(begin|end)\{[bB]?matrix\}")
_DEGREES: Final = re.compile(r"\^\s*(?:\{\s*\\circ\s*\}|\\circ(?![A-Za-z]))|\\degree(?![A-Za-z])")
_WORDS: Final = re.compile(
    r"\\(?:text(?:bf|it|rm|normal)?|mathrm|mathbf|mbox|operatorname|bm|boldsymbol)\s*"
    r"\{(?P<words>[^{}]*)\}"
)
_SCIENTIFIC: Final = re.compile(r"(?<![A-Za-z\\])(\d+(?:\.\d+)?)[eE]([+-]?\d+)$")
_THOUSANDS: Final = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_BETWEEN: Final = re.compile(
    r"(?<=[\s\d)}\]])(?:and|or|und|oder|et|ou|y|o|и|или|和|或|と|または|أو|و|और|या)(?=[\s\d\\({-])"
)
_NO_SOLUTION: Final = {
    form: r"\emptyset"
    for form in (
        "no solution",
        "no solutions",
        "no real solution",
        "no real solutions",
        "none",
        "keine lösung",
        "aucune solution",
        "sin solución",
        "нет решений",
        "无解",
        "無解",
        "解なし",
        "해가 없다",
        "لا يوجد حل",
        "कोई हल नहीं",
    )
}
_LETTERS: Final = re.compile(r"[^\W\d_]{3,}|[\u3041-\u30ff\u3400-\u9fff\uac00-\ud7a3]")
_COMMAND: Final = re.compile(r"\\[A-Za-z]+")


def plain_form(answer: str) -> str:
    """An answer without the differences of writing that never matter.

    Args:
        answer: As written.

    Returns:
        LaTeX without dollar signs around it, or words; maybe empty.
    """
    text = answer.strip().strip("`")
    text = _SUPERSCRIPT.sub(lambda m: "^{" + m[0].translate(_SUPERSCRIPTS) + "}", text)
    for sign, (above, below) in _FRACTIONS.items():
        text = text.replace(sign, rf"\frac{{{above}}}{{{below}}}")
    text = unicodedata.normalize("NFKC", text)
    text = "".join(_ascii_digit(c) for c in text)
    text = _SIGN.sub(lambda m: _SIGNS[m[0]], text)
    text = _ROOT.sub(lambda m: rf"\sqrt{{{m['inner'] or m['plain']}}}", text)
    text = _MATRIX.sub(r"\\\1{pmatrix}", text)
    text = _DEGREES.sub(" ° ", text)
    text = _unwrapped(text)
    text = _THOUSANDS.sub(lambda m: m[0].replace(",", ""), text)
    text = _SCIENTIFIC.sub(r"\1 \\times 10^{\2}", text)
    text = " ".join(text.split()).strip()
    text = _NO_SOLUTION.get(text.casefold(), text)
    text = chinese_numeral(text) or text
    listed = _BETWEEN.sub(",", text)
    return text if listed == text or is_text(listed) else listed


def _unwrapped(text: str) -> str:
    """Without `\\text{}`, delimiters of formulas, emphasis, and a full stop behind it."""
    before = None
    while before != text:
        before = text
        text = _WORDS.sub(r" \g<words> ", text).strip()
        text = text.strip("*").rstrip(".。．,;；").strip()
        for start, end in (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")):
            inside = text[len(start) : len(text) - len(end)]
            if (
                len(text) > len(start) + len(end)
                and text.startswith(start)
                and text.endswith(end)
                and start not in inside
            ):
                text = inside.strip()
    return text


def _ascii_digit(character: str) -> str:
    if character.isascii() or unicodedata.category(character) != "Nd":
        return character
    return str(unicodedata.decimal(character))


def is_text(form: str) -> bool:
    """Whether a plain form is words rather than mathematics.

    Three letters on end outside LaTeX commands, or one of a script of syllables or ideographs: in
    mathematics they would be a product of variables, in which `listen` equals `silent`.
    """
    return bool(_LETTERS.search(_COMMAND.sub(" ", form)))


def is_readable(form: str) -> bool:
    """Whether a plain form is short and flat enough to be given to a parser."""
    depth = deepest = 0
    for character in form:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    return 0 < len(form) <= LONGEST_ANSWER and deepest <= DEEPEST_ANSWER

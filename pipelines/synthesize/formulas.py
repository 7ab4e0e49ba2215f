r"""Formulas and mathematical signs of a text, in a form in which two spellings are equal.

`$a \le b$`, `\( a\leq b \)` and `a ≤ b` say the same: delimiters, spacing commands, `\left` and
`\right`, and braces around one character are left out, and a command is the sign that it stands
for. The signs are those that prose, tables and markup do not use for something else, so neither
`| < >` nor hyphens are among them.
"""

import re
import unicodedata
from collections import Counter
from typing import Final

_FORMULA: Final = re.compile(
    r"\$\$(.+?)\$\$|\\\[(.+?)\\\]|\\\((.+?)\\\)"
    # pandoc, tex_math_dollars: no space inside the dollars, no digit behind the closing one.
    r"|(?<![\\$])\$(?=\S)([^$\n]{1,400}?)(?<=\S)(?<!\\)\$(?![\d$])",
    re.DOTALL,
)
_SPACING: Final = re.compile(
    r"\\(?:left|right|displaystyle|textstyle|limits|quad|qquad|big|Big|,|;|:|!| )(?![A-Za-z])|\s+"
)
_ENVIRONMENT: Final = re.compile(r"\\(?:begin|end)\{[^{}\n]{0,40}\}(?:\{[lcr|]{0,40}\})?")
_COMMAND: Final = re.compile(r"\\([A-Za-z]+)")
_TOKEN: Final = re.compile(r"\\[A-Za-z]+|\S")
_BRACED: Final = re.compile(r"\{(\w|\\[A-Za-z]+)\}")
_TAG: Final = re.compile(r"</?[A-Za-z][^<>\n]{0,200}>")

_TABLE: Final = (
    "2264 le leq leqslant; 2265 ge geq geqslant; 2260 ne neq; 00D7 times; 00F7 div; 00B1 pm; "
    "2213 mp; 2211 sum; 220F prod; 222B int; 222E oint; 2202 partial; 2207 nabla; 221A sqrt; "
    "221E infty; 2208 in; 2209 notin; 2282 subset; 2286 subseteq; 2283 supset; 222A cup; "
    "2229 cap; 2205 emptyset; 2200 forall; 2203 exists; 00AC neg; 2227 wedge land; "
    "2228 vee lor; 2192 to rightarrow; 2190 leftarrow; 21A6 mapsto; 21D2 Rightarrow; "
    "21D4 Leftrightarrow iff; 2248 approx; 2261 equiv; 223C sim; 221D propto; 2295 oplus; "
    "2297 otimes; 22A5 perp; 2220 angle; 03B1 alpha; 03B2 beta; 03B3 gamma; 03B4 delta; "
    "03B5 epsilon varepsilon; 03B6 zeta; 03B7 eta; 03B8 theta; 03B9 iota; 03BA kappa; "
    "03BB lambda; 03BC mu; 03BD nu; 03BE xi; 03C0 pi; 03C1 rho; 03C3 sigma; 03C4 tau; "
    "03C5 upsilon; 03C6 phi varphi; 03C7 chi; 03C8 psi; 03C9 omega; 0393 Gamma; 0394 Delta; "
    "0398 Theta; 039B Lambda; 039E Xi; 03A0 Pi; 03A3 Sigma; 03A6 Phi; 03A8 Psi; 03A9 Omega; "
    "2113 ell; 0127 hbar"
)
_SIGNS: Final = {
    command: chr(int(code, 16))
    for code, *commands in map(str.split, _TABLE.split(";"))
    for command in commands
}
"""Commands of LaTeX -> the character that NFKC leaves of the sign."""

_SPELLED: Final = frozenset(
    "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln exp lim max min sup inf "
    "det dim ker gcd deg mod".split()
)
"""Commands that are printed as they are written."""

_NOT_COUNTED: Final = frozenset("|~<>¬")
_SAME: Final = str.maketrans(
    # Variants of Greek letters, and the minus sign.
    "\u03f5\u03d5\u03d1\u03f1\u03c2\u2212",
    "\u03b5\u03c6\u03b8\u03c1\u03c3-",
)


def without_markup(text: str) -> str:
    """The text in NFKC, without tags, environments and commands; signs for the names of signs.

    Lines (`\\n`) stay lines.
    """
    text = _ENVIRONMENT.sub(" ", _TAG.sub(" ", text))
    return unicodedata.normalize("NFKC", _COMMAND.sub(_sign, text)).translate(_SAME)


def formulas_of(text: str) -> Counter[str]:
    """The delimited formulas of a text in their common form, as often as they stand there."""
    found = (next(filter(None, match.groups())) for match in _FORMULA.finditer(text))
    return Counter(filter(None, map(_common_form, found)))


def signs_of(text: str) -> Counter[str]:
    """Mathematical signs (category Sm) of a text without markup."""
    return Counter(c for c in text if unicodedata.category(c) == "Sm" and c not in _NOT_COUNTED)


def _common_form(formula: str) -> str:
    tokens = [_SIGNS.get(t[1:], t) for t in _TOKEN.findall(_SPACING.sub(" ", formula))]
    spaced = (
        f"{token} " if len(token) > 1 and after.isalpha() else token
        for token, after in zip(tokens, [*tokens[1:], ""], strict=True)
    )
    form = unicodedata.normalize("NFKC", "".join(spaced)).translate(_SAME)
    form = form.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")
    return _BRACED.sub(r"\1", form).strip(".,;")


def _sign(command: re.Match[str]) -> str:
    name = command[1]
    return _SIGNS.get(name) or (f" {name} " if name in _SPELLED else " ")

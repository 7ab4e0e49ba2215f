# ruff: noqa: RUF001 (characters of formulas that look like letters are what this is about)
r"""Characters of formulas and the LaTeX commands for them.

The commands are those of LaTeX and amssymb; characters are as Unicode Technical Report 25 and the
operator dictionary of MathML Core name them. A character without a command stays as it is: LaTeX
engines of today read UTF-8.
"""

import unicodedata
from collections.abc import Callable
from typing import Final

_COMMANDS: Final = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ϵ": "epsilon", "ε": "varepsilon",
    "ζ": "zeta", "η": "eta", "θ": "theta", "ϑ": "vartheta", "ι": "iota", "κ": "kappa",
    "λ": "lambda", "μ": "mu", "µ": "mu", "ν": "nu", "ξ": "xi", "π": "pi", "ϖ": "varpi",
    "ρ": "rho", "ϱ": "varrho", "σ": "sigma", "ς": "varsigma", "τ": "tau", "υ": "upsilon",
    "ϕ": "phi", "φ": "varphi", "χ": "chi", "ψ": "psi", "ω": "omega", "Γ": "Gamma",
    "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi", "Σ": "Sigma",
    "Υ": "Upsilon", "Φ": "Phi", "Ψ": "Psi", "Ω": "Omega", "∆": "Delta",
    "∞": "infty", "∂": "partial", "∇": "nabla", "ℏ": "hbar", "ℓ": "ell", "℘": "wp",
    "ℜ": "Re", "ℑ": "Im", "ℵ": "aleph", "∅": "emptyset", "∀": "forall", "∃": "exists",
    "∄": "nexists", "¬": "neg", "⊤": "top", "⊥": "bot", "∠": "angle", "△": "triangle",
    "□": "square", "♯": "sharp", "♭": "flat", "†": "dagger", "‡": "ddagger",
    "∑": "sum", "∏": "prod", "∐": "coprod", "∫": "int", "∬": "iint", "∭": "iiint",
    "∮": "oint", "⋃": "bigcup", "⋂": "bigcap", "⋁": "bigvee", "⋀": "bigwedge",
    "⨁": "bigoplus", "⨂": "bigotimes", "⨀": "bigodot",
    "±": "pm", "∓": "mp", "×": "times", "÷": "div", "·": "cdot", "⋅": "cdot", "∗": "ast",
    "⋆": "star", "∘": "circ", "∙": "bullet", "•": "bullet", "⊕": "oplus", "⊖": "ominus",
    "⊗": "otimes", "⊙": "odot", "∧": "wedge", "∨": "vee", "∩": "cap", "∪": "cup",
    "∖": "setminus", "≤": "leq", "≥": "geq", "⩽": "leqslant", "⩾": "geqslant", "≠": "neq",
    "≪": "ll", "≫": "gg", "≈": "approx", "≃": "simeq", "≅": "cong", "≡": "equiv",
    "∼": "sim", "∝": "propto", "≺": "prec", "≻": "succ", "⪯": "preceq", "⪰": "succeq",
    "∈": "in", "∉": "notin", "∋": "ni", "⊂": "subset", "⊃": "supset", "⊆": "subseteq",
    "⊇": "supseteq", "⊄": "not\\subset", "⊊": "subsetneq", "⊢": "vdash", "⊨": "models",
    "∣": "mid", "∤": "nmid", "∥": "parallel", "⟂": "perp", "≜": "triangleq", "≐": "doteq",
    "→": "to", "←": "leftarrow", "↔": "leftrightarrow", "⇒": "Rightarrow",
    "⇐": "Leftarrow", "⇔": "Leftrightarrow", "↦": "mapsto", "⟶": "longrightarrow",
    "⟵": "longleftarrow", "⟹": "Longrightarrow", "⟺": "Longleftrightarrow",
    "⟼": "longmapsto", "↑": "uparrow", "↓": "downarrow", "↗": "nearrow", "↘": "searrow",
    "⇌": "rightleftharpoons", "⇀": "rightharpoonup", "↪": "hookrightarrow",
    "…": "ldots", "⋯": "cdots", "⋮": "vdots", "⋱": "ddots",
    "⟨": "langle", "⟩": "rangle", "〈": "langle", "〉": "rangle", "⌊": "lfloor",
    "⌋": "rfloor", "⌈": "lceil", "⌉": "rceil", "‖": "|", "{": "{", "}": "}",
    "%": "%", "#": "#", "&": "&", "$": "$", "_": "_", "∴": "therefore", "∵": "because",
    "√": "surd", "ı": "imath", "ȷ": "jmath", "⋄": "diamond", "◊": "lozenge", "≔": "coloneqq",
}  # fmt: skip
# The minus of Unicode is the hyphen of LaTeX; operators that are not seen; white space.
_PLAIN: Final = {
    "−": "-", "‐": "-", "′": "'", "″": "''", "‴": "'''", "\u2061": "", "\u2062": "",
    "\u2063": "", "\u2064": "", "\u200b": "", "\u00a0": " ", "\u2009": r"\,", "\u200a": "",
    "\u2003": r"\quad ", "\u2005": r"\:", "\u2004": r"\;", "\u2002": r"\ ", "\ufeff": "",
    "\\": r"\backslash ", "~": r"\sim ", "^": r"\hat{}", "∕": "/", "⁄": "/", "∶": ":",
}  # fmt: skip

FUNCTIONS: Final = {
    name: "\\" + name
    for name in (
        "arccos arcsin arctan arg cos cosh cot coth csc deg det dim exp gcd hom inf ker lg lim "
        "liminf limsup ln log max min Pr sec sin sinh sup tan tanh"
    ).split()
} | {"lim inf": r"\liminf", "lim sup": r"\limsup", "mod": r"\bmod"}
"""Names of functions by how they are written."""

LARGE: Final = frozenset(
    "∑ ∏ ∐ ∫ ∬ ∭ ∮ ⋃ ⋂ ⋁ ⋀ ⨁ ⨂ ⨀ lim max min sup inf limsup liminf det gcd Pr".split()
) | {"lim sup", "lim inf"}
"""Operators whose limits are scripts."""

PRIMES: Final = {"′": "'", "″": "''", "‴": "'''", "'": "'", "''": "''", "′′": "''", "′′′": "'''"}
"""What is written above and behind a letter without a mark for it."""

FENCES: Final = frozenset("( ) [ ] { } | ‖ ∥ ∣ ⟨ ⟩".split())
MATRICES: Final = {
    ("(", ")"): "pmatrix",
    ("[", "]"): "bmatrix",
    ("{", "}"): "Bmatrix",
    ("|", "|"): "vmatrix",
    ("∣", "∣"): "vmatrix",
    ("‖", "‖"): "Vmatrix",
    ("∥", "∥"): "Vmatrix",
}
"""Environments of amsmath by the brackets around a table."""

ARROWS: Final = {
    "→": r"\xrightarrow",
    "⟶": r"\xrightarrow",
    "←": r"\xleftarrow",
    "⟵": r"\xleftarrow",
    "⇌": r"\xrightleftharpoons",
}
"""Arrows that carry text."""

_Accent = str | Callable[[str], str]


def _wide(narrow: str, wide: str) -> Callable[[str], str]:
    """An accent for one token, or the one for several."""

    def accent(text: str) -> str:
        is_one = len(text) == 1 or (text.startswith("\\") and text[1:].isalpha())
        return f"{narrow if is_one else wide}{{{text}}}"

    return accent


_HAT, _BAR = _wide(r"\hat", r"\widehat"), _wide(r"\bar", r"\overline")
_TILDE, _VECTOR = _wide(r"\tilde", r"\widetilde"), _wide(r"\vec", r"\overrightarrow")
ACCENTS_ABOVE: Final[dict[str, _Accent]] = {
    "^": _HAT, "ˆ": _HAT, "\u0302": _HAT, "¯": _BAR, "‾": _BAR, "̄": _BAR, "_": _BAR, "―": _BAR,
    "ˉ": _BAR, "−": _BAR, "-": _BAR, "~": _TILDE, "˜": _TILDE, "\u0303": _TILDE, "∼": _TILDE,
    "→": _VECTOR, "⃗": _VECTOR, "⇀": _VECTOR, "←": r"\overleftarrow", "↔": r"\overleftrightarrow",
    "˙": r"\dot", ".": r"\dot", "\u0307": r"\dot", "¨": r"\ddot", "\u0308": r"\ddot",
    "⃛": r"\dddot", "ˇ": r"\check", "˘": r"\breve", "´": r"\acute", "`": r"\grave",
    "˚": r"\mathring", "⏞": r"\overbrace", "︷": r"\overbrace",
}  # fmt: skip
ACCENTS_BELOW: Final[dict[str, _Accent]] = {
    "_": r"\underline", "̲": r"\underline", "―": r"\underline", "‾": r"\underline",
    "¯": r"\underline", "⏟": r"\underbrace", "︸": r"\underbrace",
}  # fmt: skip

_FONT_NAMES: Final = {
    "DOUBLE-STRUCK": "mathbb",
    "SCRIPT": "mathcal",
    "FRAKTUR": "mathfrak",
    "BLACK-LETTER": "mathfrak",
    "BOLD": "mathbf",
    "SANS-SERIF": "mathsf",
    "MONOSPACE": "mathtt",
}


def command_of(character: str) -> str:
    r"""The LaTeX of one character: `\alpha`, `\mathbb{R}`, or the character.

    Args:
        character: One character.
    """
    if character.isascii() and character.isalnum():
        return character
    if character in _PLAIN:
        return _PLAIN[character]
    if character in _COMMANDS:
        return "\\" + _COMMANDS[character]
    return _styled(character)


def _styled(character: str) -> str:
    """A letter of the mathematical alphabets (U+1D400, letterlike symbols) in its font."""
    plain = unicodedata.normalize("NFKC", character)
    name = unicodedata.name(character, "")
    is_alphabet = "\U0001d400" <= character <= "\U0001d7ff" or "\u2100" <= character <= "\u214f"
    if not is_alphabet or len(plain) != 1 or plain == character:
        return character
    words = name.split()
    for font, command in _FONT_NAMES.items():
        if font in words:
            return f"\\{command}{{{command_of(plain)}}}"
    return command_of(plain)


def letters_of(text: str) -> str:
    """Characters side by side, with a blank where a command would swallow a letter."""
    result = ""
    for character in text:
        command = command_of(character)
        if result and command[:1].isalpha() and _is_command_open(result):
            result += " "
        result += command
    return result


def _is_command_open(text: str) -> bool:
    name = text.rpartition("\\")[2]
    return "\\" in text and name.isalpha() and name.isascii()


def escaped_text(text: str) -> str:
    r"""Text for `\text{}`: the characters that LaTeX would take for its own are escaped."""
    return "".join("\\" + c if c in "%#&$_{}" else c for c in text)


INFIX: Final = frozenset(
    {"=", "+", "-", "<", ">", "/", "*", ":"}
    | {command_of(c) for c in "±∓×÷⋅∗∘⊕⊗∧∨∩∪∖≤≥⩽⩾≠≪≫≈≃≅≡∼∝∈∉⊂⊃⊆⊇⊢⊨∣→←↔⇒⇐⇔↦⟶⟹⟺≜⇌≔"} - {"/", "*", ":"}
)
"""Operators that have a blank on both sides between operands."""

# ruff: noqa: RUF001, RUF002 - characters beside their commands
r"""When two formulas are the same: one canonical form of LaTeX.

Equal are formulas that a reader sees as equal and that differ only in

- white space, and commands for space, size or style (`\,`, `\quad`, `\left`, `\big`,
  `\displaystyle`, `\limits`); `\dfrac`, `\tfrac` and `\dbinom`;
- braces where they group nothing: around one token, or around what is no argument;
- the order of subscript and superscript;
- synonyms (`\le` and `\leq`, `\to` and `\rightarrow`, `\dots` and `\ldots`), a Unicode character
  for its command (`α` for `\alpha`), an upright name however it is set (`\sin`, `\operatorname`,
  `\mathrm`, `\text`);
- `pmatrix` and its like for a `matrix` between delimiters, `cases` for one behind a brace; `array`,
  `aligned`, `split` and `gathered` for `matrix`;
- punctuation at the end, numbers and labels of equations.

Everything else, and above all every letter and number, must be equal.
"""

import re
from collections.abc import Iterator
from typing import Final

_TOKEN: Final = re.compile(r"\\begin\{[^}]*\}|\\end\{[^}]*\}|\\[A-Za-z]+\*?|\\.|.", re.DOTALL)
_COMMENT: Final = re.compile(r"(?<!\\)%[^\n]*\n")
_NUMBERED: Final = re.compile(r"\\(?:tag\*?|label|nonumber|notag)(?:\{[^{}]*\})?")
_UPRIGHT: Final = re.compile(
    r"\\(?:operatorname\*?|mathrm|mathop|textrm|textnormal|text|mbox|mathit|rm)(?![A-Za-z])"
)
_WRAPPER: Final = re.compile(r"\\(?:begin|end)\{(?:displaymath|equation|math)\*?\}")
_ARRAY: Final = re.compile(r"\\begin\{array\}\s*\{[^{}]*\}")
_NAMES: Final = (
    "arccos arcsin arctan arg cos cosh cot coth csc deg det dim exp gcd hom inf ker lg lim liminf "
    "limsup ln log max min sec sin sinh sup tan tanh"
).split()
_DROPPED: Final = frozenset(
    r"\, \; \: \! \> \quad \qquad \enspace \thinspace \medspace \thickspace \left \right \middle "
    r"\big \Big \bigg \Bigg \bigl \bigr \Bigl \Bigr \biggl \biggr \displaystyle \textstyle "
    r"\scriptstyle \scriptscriptstyle \limits \nolimits \mathstrut \strut \hfill ~".split()
) | {"\\ ", "\u2061", "\u2062", "\u2063", "\u2064", "\u200b"}
_SYNONYMS: Final = {
    r"\dfrac": r"\frac",
    r"\tfrac": r"\frac",
    r"\cfrac": r"\frac",
    r"\dbinom": r"\binom",
    r"\tbinom": r"\binom",
    r"\le": r"\leq",
    r"\leqslant": r"\leq",
    r"\ge": r"\geq",
    r"\geqslant": r"\geq",
    r"\ne": r"\neq",
    r"\to": r"\rightarrow",
    r"\dots": r"\ldots",
    r"\dotsc": r"\ldots",
    r"\dotsb": r"\cdots",
    r"\lbrace": r"\{",
    r"\rbrace": r"\}",
    r"\lbrack": "[",
    r"\rbrack": "]",
    r"\vert": "|",
    r"\lvert": "|",
    r"\rvert": "|",
    r"\mid": "|",
    r"\Vert": r"\|",
    r"\lVert": r"\|",
    r"\rVert": r"\|",
    r"\ast": "*",
    r"\prime": "'",
    r"\colon": ":",
    r"\boldsymbol": r"\mathbf",
    r"\bm": r"\mathbf",
    r"\bold": r"\mathbf",
    r"\bar": r"\overline",
    r"\widehat": r"\hat",
    r"\widetilde": r"\tilde",
    r"\epsilon": r"\varepsilon",
    r"\phi": r"\varphi",
    r"\intercal": r"\top",
    r"\mathsf": r"\mathrm",
}
_CHARACTERS: Final = {
    "−": "-",
    "–": "-",
    "≤": r"\leq",
    "≥": r"\geq",
    "≠": r"\neq",
    "≈": r"\approx",
    "≡": r"\equiv",
    "∼": r"\sim",
    "∝": r"\propto",
    "→": r"\rightarrow",
    "⇒": r"\Rightarrow",
    "↦": r"\mapsto",
    "±": r"\pm",
    "×": r"\times",
    "⋅": r"\cdot",
    "·": r"\cdot",
    "∗": "*",
    "∘": r"\circ",
    "…": r"\ldots",
    "⋯": r"\cdots",
    "⋮": r"\vdots",
    "⋱": r"\ddots",
    "∑": r"\sum",
    "∏": r"\prod",
    "∫": r"\int",
    "∮": r"\oint",
    "∞": r"\infty",
    "∂": r"\partial",
    "∇": r"\nabla",
    "∈": r"\in",
    "∉": r"\notin",
    "⊂": r"\subset",
    "⊆": r"\subseteq",
    "∪": r"\cup",
    "∩": r"\cap",
    "∅": r"\emptyset",
    "∀": r"\forall",
    "∃": r"\exists",
    "∥": r"\|",
    "∣": "|",
    "⌊": r"\lfloor",
    "⌋": r"\rfloor",
    "⌈": r"\lceil",
    "⌉": r"\rceil",
    "⟨": r"\langle",
    "⟩": r"\rangle",
    "⊤": r"\top",
    "′": "'",
    "ℓ": r"\ell",
    "ϵ": r"\varepsilon",
    "ε": r"\varepsilon",
    "ϕ": r"\varphi",
    "φ": r"\varphi",
    "^": "^",
    **{
        character: rf"\{name}"
        for character, name in zip(
            "αβγδζηθικλμνξπρστυχψωΓΔΘΛΞΠΣΥΦΨΩ",
            "alpha beta gamma delta zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau "
            "upsilon chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi "
            "Omega".split(),
            strict=True,
        )
    },
}
_FENCES: Final = {
    "pmatrix": ("(", ")"),
    "bmatrix": ("[", "]"),
    "Bmatrix": (r"\{", r"\}"),
    "vmatrix": ("|", "|"),
    "Vmatrix": (r"\|", r"\|"),
    "cases": (r"\{", ""),
    "rcases": ("", r"\}"),
}
_MATRICES: Final = ("matrix", "smallmatrix", "array", "aligned", "align", "split", "gathered")
_NUM_ARGUMENTS: Final = {
    r"\frac": 2,
    r"\binom": 2,
    r"\overset": 2,
    r"\underset": 2,
} | dict.fromkeys(
    (
        r"\sqrt \hat \overline \underline \vec \dot \ddot \tilde \mathrm \mathbf \mathbb \mathcal "
        r"\mathfrak \mathscr \ce \overbrace \underbrace \acute \grave \check \breve"
    ).split(),
    1,
)


def canonical_latex(latex: str) -> str:
    r"""The canonical form of a formula; tokens are separated by spaces.

    >>> canonical_latex(r"\dfrac{1}{x^{2}_i} \le \left( α \right).")
    '\\frac 1 { x _ i ^ 2 } \\leq ( \\alpha )'
    """
    latex = _NUMBERED.sub("", _WRAPPER.sub("", _COMMENT.sub("", latex)))
    latex = _UPRIGHT.sub(r"\\mathrm ", _ARRAY.sub(r"\\begin{array}", latex))
    tokens = list(_tokens(latex))
    nodes, _ = _sequence(tokens, 0)
    return re.sub(r"(?: (?:[.,;]|\\\\))+$", "", " ".join(nodes))


def _tokens(latex: str) -> Iterator[str]:
    for token in _TOKEN.findall(latex):
        if token.isspace() or token in _DROPPED:
            continue
        if token.startswith((r"\begin", r"\end")):
            yield from _environment(token)
            continue
        token = _CHARACTERS.get(token, token)
        token = _SYNONYMS.get(token, token)
        if token[1:] in _NAMES:
            yield from (r"\mathrm", "{", *token[1:], "}")
        else:
            yield token


def _environment(token: str) -> Iterator[str]:
    is_begin = token.startswith(r"\begin")
    name = token[token.index("{") + 1 : -1].rstrip("*")
    opening, closing = _FENCES.get(name, ("", ""))
    if name in _MATRICES or name in _FENCES:
        name = "matrix"
    if is_begin and opening:
        yield opening
    yield rf"\{'begin' if is_begin else 'end'}{{{name}}}"
    if not is_begin and closing:
        yield closing


def _sequence(tokens: list[str], at: int) -> tuple[list[str], int]:
    """Canonical atoms up to a closing brace or the end, and where it stopped."""
    atoms: list[str] = []
    while at < len(tokens) and tokens[at] != "}":
        if tokens[at] in ("_", "^"):
            scripts, at = _scripts(tokens, at)
            # A group that carries a script keeps its braces; without a base there is nothing.
            atoms.append(scripts)
            continue
        if tokens[at] == r"\end{matrix}" and atoms and atoms[-1] == r"\\":
            atoms.pop()
        atom, end = _atom(tokens, at)
        has_script = end < len(tokens) and tokens[end] in ("_", "^")
        if tokens[at] == "{" and not has_script and atom.startswith("{ "):
            atom = atom[2:-2]
        if atom:
            atoms.append(atom)
        at = end
    return atoms, at


def _scripts(tokens: list[str], at: int) -> tuple[str, int]:
    found: dict[str, str] = {}
    while at < len(tokens) and tokens[at] in ("_", "^") and tokens[at] not in found:
        mark = tokens[at]
        found[mark], at = _atom(tokens, at + 1) if at + 1 < len(tokens) else ("", at + 1)
    return " ".join(f"{mark} {found[mark]}" for mark in "_^" if mark in found), at


def _atom(tokens: list[str], at: int) -> tuple[str, int]:
    """One atom with its arguments: a token, or a group of more than one token in braces."""
    token = tokens[at]
    if token == "{":
        inner, end = _sequence(tokens, at + 1)
        text = " ".join(inner)
        is_group = len(inner) > 1 or text.count(" ") > 0
        return f"{{ {text} }}" if is_group else text, min(end + 1, len(tokens))
    parts, at = [token], at + 1
    if token == r"\sqrt" and at < len(tokens) and tokens[at] == "[":
        end = tokens.index("]", at) if "]" in tokens[at:] else at
        parts.append(f"[ {' '.join(tokens[at + 1 : end])} ]")
        at = end + 1
    for _ in range(_NUM_ARGUMENTS.get(token, 0)):
        if at < len(tokens) and tokens[at] != "}":
            argument, at = _atom(tokens, at)
            parts.append(argument)
    return " ".join(parts), at

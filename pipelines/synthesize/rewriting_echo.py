"""Rules of the echo server for rewriting and refinement: right in form, of no worth.

A request is known by its system message, which is that of a shipped recipe; the form that its
answer needs (opening, pairs, list, heading) is read from the recipe. The text is made of the
passage alone: its sentences with their parts in another order, so that it is new by n-grams, in the
language of the passage, and invents nothing. A refinement joins the lines of paragraphs and the
words that a hyphen parted, sets paragraphs of two sentences and leaves out lines that are a number
alone.

A few answers in a hundred, by draw, are bad in one way each, so that every kind of reject occurs
in a rehearsal: for a rewrite a refusal, chat before the text, a copy, another language, a loop, a
stub, invented numbers, nothing; for a refinement a changed number, a lost and an invented sentence,
another language, nothing.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import cache
from typing import Final

from annotators.text.characters import NO_SCRIPT, SCRIPT_MASK, SCRIPT_SHIFT, character_classes
from pipelines.models.echo_rules import EchoAnswer, EchoRequest
from pipelines.synthesize.chunks import num_tokens, sentences
from pipelines.synthesize.recipes import load_recipe, maker_of, shipped_recipes
from pipelines.synthesize.refining import Refine
from pipelines.synthesize.rewriting import Rewrite

ONE_IN: Final = 60
"""Of so many answers, about one is bad in each way."""

_PASSAGE: Final = re.compile(r"<passage>\n(.*)\n</passage>", re.DOTALL)
_BLOCK: Final = 4
"""Words that keep their order."""
_UNSPACED_BLOCK: Final = 2
"""Pieces of a text without spaces that keep their order."""
_PIECE: Final = 6
"""Letters of a piece of a text without spaces."""
_SENTENCES: Final = 2
"""Of a paragraph of a refined text."""
_TOKENS_OF_ECHO: Final = 1.7
"""Tokens that the echo server counts for one that `num_tokens` estimates, at most; of English."""
_GROWTH_OF_PAIRS: Final = 2.0
"""Tokens of pairs for one of the sentences that they are made of."""

_ELSEWHERE: Final = {
    "Latn": (
        "Сегодня утром над городом прошёл сильный дождь, и дети не пошли в школу. "
        "Вечером они всё-таки вышли во двор и долго играли под старыми деревьями. "
        "Потом мать позвала их домой, потому что ужин уже стоял на столе."
    ),
    "": (
        "A heavy rain came down over the town this morning, and the children stayed at home. "
        "In the evening they went out after all and played under the old trees for a long time. "
        "Then their mother called them in, because dinner was already standing on the table."
    ),
}
"""Script -> a few sentences in another language."""


def answer(asked: EchoRequest) -> EchoAnswer | None:
    """Answers the requests of the shipped recipes of `maker: rewrite` and `maker: refine`."""
    recipe = _recipes().get(asked.system)
    passage = _PASSAGE.search(asked.user)
    if recipe is None or passage is None:
        return None
    way = asked.draw(ONE_IN)
    if isinstance(recipe, Refine):
        return EchoAnswer(_nth(_BAD_REFINEMENTS, way, refined)(passage[1]))
    if way < len(_BAD_REWRITES):
        return EchoAnswer(_BAD_REWRITES[way](passage[1], recipe))
    return EchoAnswer(rewritten(passage[1], recipe))


def rewritten(passage: str, recipe: Rewrite) -> str:
    """An answer that the recipe accepts."""
    form = recipe.shape.form
    said = _reordered_sentences(passage, recipe)
    if form == "qa":
        return _pairs(said, recipe)
    if form == "list":
        return "\n".join(f"- {one}" for one in (said if len(said) > 2 else _parts(said)))
    opening = recipe.accept.opening or ""
    if form == "markdown":
        return f"{opening} {said[0][:40].strip()}\n\n{_joined(said)}"
    return f"{opening}\n{_joined(said)}".strip()


def refined(passage: str) -> str:
    """The passage with joined lines, in short paragraphs, without lines that are a number."""
    paragraphs = re.split(r"\n[^\S\n]*\n\s*", passage)
    joined = (_in_paragraphs(_joined_lines(paragraph)) for paragraph in paragraphs)
    return "\n\n".join(paragraph for paragraph in joined if paragraph)


@cache
def _recipes() -> Mapping[str, Rewrite | Refine]:
    """System message -> recipe."""
    loaded = map(load_recipe, _ours())
    return {one.prompt.system.strip(): one for one in loaded if isinstance(one, Rewrite | Refine)}


def _ours() -> tuple[str, ...]:
    """Names of recipes, without importing the makers of others."""
    return tuple(name for name in shipped_recipes() if maker_of(name) in ("rewrite", "refine"))


def _is_unspaced(character: str) -> bool:
    flags = int(character_classes()[ord(character)])
    return (flags >> SCRIPT_SHIFT & SCRIPT_MASK) != NO_SCRIPT


def _tokens(sentence: str) -> list[str]:
    """Words with the space behind them; runs without spaces in pieces of a few letters."""
    found: list[str] = []
    for word in re.findall(r"\S+\s*", sentence):
        if not any(map(_is_unspaced, word)):
            found.append(word)
            continue
        start = 0
        for at in range(1, len(word)):
            whole = unicodedata.category(word[at])[0] == "M" or not _is_unspaced(word[at])
            if at - start >= _PIECE and not whole:
                found.append(word[start:at])
                start = at
        found.append(word[start:])
    return found


def _reordered(sentence: str) -> str:
    """A sentence whose blocks of words stand in reverse order."""
    tokens = _tokens(sentence.strip())
    spaced = not any(map(_is_unspaced, sentence))
    size = _BLOCK if spaced else _UNSPACED_BLOCK
    blocks = [tokens[i : i + size] for i in range(0, len(tokens), size)]
    parts = [token for block in reversed(blocks) for token in block]
    return " ".join(part.strip() for part in parts) if spaced else "".join(parts).strip()


def _reordered_sentences(passage: str, recipe: Rewrite) -> list[str]:
    """The first sentences, as many as fit into an answer, and at least one."""
    pieces = [piece for line in passage.splitlines() for piece in sentences(line) if piece.strip()]
    growth = _GROWTH_OF_PAIRS if recipe.shape.form == "qa" else 1.0
    wanted = recipe.sampling.max_tokens / (_TOKENS_OF_ECHO * growth)
    kept: list[str] = []
    size = 0
    for piece in dict.fromkeys(pieces):
        if kept and size + num_tokens(piece) > wanted:
            break
        kept.append(_reordered(piece))
        size += num_tokens(piece)
    return kept


def _parts(said: list[str]) -> list[str]:
    """At least three pieces of what was said."""
    tokens = _tokens(_joined(said))
    third = max(1, -(-len(tokens) // 3))
    pieces = ("".join(tokens[i : i + third]).strip() for i in range(0, len(tokens), third))
    return [piece for piece in pieces if piece]


def _joined(said: list[str]) -> str:
    return " ".join(said) if not any(map(_is_unspaced, said[0])) else "".join(said)


def _pairs(said: list[str], recipe: Rewrite) -> str:
    """Pairs whose question is the beginning of a sentence."""
    marks = recipe.shape.pairs
    lines: list[str] = []
    for sentence in said[: marks.most]:
        tokens = _tokens(sentence)
        half = max(1, len(tokens) // 2)
        asked, rest = "".join(tokens[:half]).strip(), "".join(tokens[half:]).strip()
        lines.append(f"{marks.question} {asked}{_question_mark(sentence)}")
        if marks.steps:
            lines.append(f"{marks.steps} {sentence}")
        lines.append(f"{marks.answer} {(rest or sentence) if marks.steps else sentence}")
    return "\n".join(lines)


def _question_mark(text: str) -> str:
    if re.search(r"[\u0600-\u06ff]", text):
        return "\u061f"
    return "\uff1f" if re.search(r"[\u3040-\u30ff\u4e00-\u9fff]", text) else "?"


def _in_paragraphs(text: str) -> str:
    """Paragraphs of a few sentences each: so that also clean text comes back changed."""
    said = sentences(text)
    groups = (said[i : i + _SENTENCES] for i in range(0, len(said), _SENTENCES))
    return "\n\n".join("".join(group).strip() for group in groups)


def _joined_lines(paragraph: str) -> str:
    text = ""
    for line in map(str.strip, paragraph.splitlines()):
        if re.fullmatch(r"\d{1,4}", line) or not line:
            continue
        if text.endswith("-") and text[-2:-1].isalpha() and line[0].islower():
            text = text[:-1] + line
        elif text and _is_unspaced(text[-1]) and _is_unspaced(line[0]):
            text += line
        else:
            text = f"{text} {line}".strip()
    return text


def _elsewhere(passage: str) -> str:
    latin = sum("a" <= c <= "z" for c in passage.lower())
    return _ELSEWHERE["Latn" if latin > len(passage) / 4 else ""]


def _opened(text: str, recipe: Rewrite) -> str:
    """A text as the recipe wants answers to begin."""
    if recipe.shape.form == "qa":
        marks = recipe.shape.pairs
        steps = f"{marks.steps} {text}\n" if marks.steps else ""
        return f"{marks.question} {text}\n{steps}{marks.answer} {text}"
    if recipe.shape.form == "list":
        return "\n".join(f"- {one.strip()}" for one in sentences(text))
    return f"{recipe.accept.opening or ''} {text}".strip()


def _looped(passage: str, recipe: Rewrite) -> str:
    return rewritten(passage, recipe) + "\n" + (sentences(passage)[-1].strip() + "\n") * 40


def _with_numbers(passage: str, recipe: Rewrite) -> str:
    return rewritten(passage, recipe) + " " + ", ".join(str(9_000_001 + 7 * i) for i in range(90))


def _chatty(passage: str, recipe: Rewrite) -> str:
    said = _joined(_reordered_sentences(passage, recipe))
    return f"Of course! Here is what you asked for.\n\n{said}"


_BAD_REWRITES: Final[tuple[Callable[[str, Rewrite], str], ...]] = (
    lambda passage, recipe: "I'm sorry, but I can't help with that.",
    _chatty,
    _opened,
    lambda passage, recipe: _opened(_elsewhere(passage), recipe),
    _looped,
    lambda passage, recipe: _opened("\u2026", recipe),
    _with_numbers,
    lambda passage, recipe: "",
)


def _number_changed(passage: str) -> str:
    text = refined(passage)
    digit = re.search(r"\d(?!.*\d)", text, re.DOTALL)
    if digit is None:
        return text + " 7"
    return text[: digit.start()] + str((int(digit[0]) + 1) % 10) + text[digit.end() :]


def _sentence_lost(passage: str) -> str:
    said = sentences(refined(passage))
    longest = max(range(len(said)), key=lambda i: len(said[i]))
    return "".join(said[:longest] + said[longest + 1 :])


_BAD_REFINEMENTS: Final[tuple[Callable[[str], str], ...]] = (
    _number_changed,
    _sentence_lost,
    lambda passage: refined(passage) + " " + _elsewhere(passage),
    _elsewhere,
    lambda passage: "",
)


def _nth(
    bad: tuple[Callable[[str], str], ...], way: int, good: Callable[[str], str]
) -> Callable[[str], str]:
    return bad[way] if way < len(bad) else good

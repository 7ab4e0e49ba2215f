"""How often the check of fidelity errs, by kind of edit, on real texts in several scripts.

A raw text is made of a real one as a scan or an extractor would damage it; the real text is what a
perfect model would give back. So an edit that only repairs is the real text itself (a reject is
false), and one that changes something is the real text with one change (accepting it is false). The
edits are rules and not a model's, which is the limit of this evaluation: it says what each rule of
`fidelity` sees, not how often models make which mistake.

Texts: news in nine languages (NTREX-128, articles put together of their sentences), and mathematics
in English with LaTeX formulas (the Stacks project).
"""

import gzip
import json
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from annotators.language.sentences import read_sentences
from pipelines.synthesize.chunks import num_tokens, sentences
from pipelines.synthesize.fidelity import Limits, fidelity

LANGUAGES: Final = (
    "eng_Latn",
    "deu_Latn",
    "rus_Cyrl",
    "arb_Arab",
    "hin_Deva",
    "tha_Thai",
    "zho_Hans",
    "jpn_Jpan",
    "kor_Hang",
)
FORMULAS: Final = "formulas"
"""In place of a language: texts with formulas."""

_TEXT_TOKENS: Final = (150, 600)
_LINE: Final = 60
_HEADER: Final = 45
_MISREAD: Final = str.maketrans("leohnaiu1", "1cobuoln1")
_DIGITS_MISREAD: Final = str.maketrans("015", "OIS")
_FORMULA: Final = re.compile(r"\$([^$\n]+)\$")
_ALPHABETS: Final = frozenset(
    ("eng_Latn", "deu_Latn", "rus_Cyrl", "arb_Arab", "hin_Deva", FORMULAS)
)
_UNSPACED: Final = frozenset(("zho_Hans", "jpn_Jpan", "tha_Thai"))


@dataclass(frozen=True, slots=True)
class Text:
    """A real text, and what is needed to change it."""

    language: str
    """One of LANGUAGES, or FORMULAS."""
    text: str
    foreign: str
    """A sentence of another text in the same language."""
    translation: str
    """The same text in another language; empty where there is none."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A raw text and what was made of it."""

    raw: str
    refined: str


@dataclass(frozen=True, slots=True)
class Errors:
    """How often the check was wrong about one kind of edit in one language."""

    kind: str
    is_faithful: bool
    """Whether the edit only repairs, so that a reject is the error."""
    language: str
    edits: int
    errors: int


def evaluate_fidelity(
    data: Path, *, limits: Limits | None = None, texts: int = 40, seed: int = 0
) -> tuple[Errors, ...]:
    """Counts false rejects and false accepts.

    Args:
        data: Folder that holds `langid/ntrex128.jsonl.gz` and `text/stacks-project.jsonl.gz`.
        limits: Of the check.
        texts: At most so many of each language.
        seed: Of the edits.

    Returns:
        One row for each kind of edit and language in which it can be made.

    Raises:
        ValueError: A file is absent.
    """
    counts: dict[tuple[str, bool, str], list[bool]] = defaultdict(list)
    for text in [*_articles(data, texts), *_mathematics(data, texts)]:
        for is_faithful, kinds in ((True, FAITHFUL), (False, UNFAITHFUL)):
            for kind, make in kinds.items():
                draw = random.Random(f"{seed}/{kind}/{text.text}")
                edit = make(text, draw)
                if edit is None:
                    continue
                accepted = not fidelity(edit.raw, edit.refined, limits, None)
                counts[kind, is_faithful, text.language].append(accepted is not is_faithful)
    return tuple(
        Errors(*key, edits=len(errors), errors=sum(errors)) for key, errors in counts.items()
    )


def render_errors(rows: Sequence[Errors]) -> str:
    """A Markdown table: kinds of edits, and the share of errors in each language and in all."""
    languages = [one for one in (*LANGUAGES, FORMULAS) if any(r.language == one for r in rows)]
    lines = [
        f"| edit | error is | all | {' | '.join(languages)} |",
        "|---" * (3 + len(languages)) + "|",
    ]
    for kind, is_faithful in dict.fromkeys((row.kind, row.is_faithful) for row in rows):
        own = [row for row in rows if row.kind == kind]
        cells = [_share([r for r in own if r.language == one]) for one in languages]
        name = "rejected" if is_faithful else "accepted"
        lines.append(f"| {kind} | {name} | {_share(own)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _share(rows: Sequence[Errors]) -> str:
    edits = sum(row.edits for row in rows)
    return f"{sum(row.errors for row in rows) / edits:.3f}" if edits else ""


# Texts


def _articles(data: Path, most: int) -> Iterator[Text]:
    articles: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in read_sentences(data, "ntrex128"):
        if one.language in LANGUAGES:
            articles[one.language, one.doc_id].append(one.text)
    ids = list(dict.fromkeys(doc_id for _, doc_id in articles))
    for language in LANGUAGES:
        other = "eng_Latn" if language != "eng_Latn" else "deu_Latn"
        found = 0
        for number, doc_id in enumerate(ids):
            text = _article(articles.get((language, doc_id), []), language)
            if found < most and _fits(text):
                found += 1
                foreign = articles[language, ids[number - 1]][-1]
                yield Text(language, text, foreign, _article(articles[other, doc_id], other))


def _article(said: Iterable[str], language: str) -> str:
    return ("" if language in ("zho_Hans", "jpn_Jpan") else " ").join(said)


def _mathematics(data: Path, most: int) -> Iterator[Text]:
    path = data / "text" / "stacks-project.jsonl.gz"
    if not path.is_file():
        raise ValueError(f"there is no {path}; name the folder that holds text/ and langid/")
    found, before = 0, ""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            for paragraph in json.loads(line)["text"].split("\n\n"):
                text = " ".join(paragraph.split())
                if (
                    found < most
                    and _fits(text)
                    and len(_FORMULA.findall(text)) > 3
                    and not re.search(r"%|[$]{2}", text)
                ):
                    if before:
                        found += 1
                        yield Text(FORMULAS, text, before, "")
                    before = max(sentences(text), key=len)


def _fits(text: str) -> bool:
    return _TEXT_TOKENS[0] <= num_tokens(text) <= _TEXT_TOKENS[1]


# Damage


def _broken(text: Text, *, hyphens: bool = False) -> str:
    """Lines of a printed page."""
    if text.language in _UNSPACED:
        # Typesetters part neither a number nor a mark from its letter.
        pieces = re.findall(r"[0-9A-Za-z.,%]+|.[\u0e30-\u0e3a\u0e45-\u0e4e]*|\s", text.text)
        width = _LINE // 2
        return "\n".join("".join(pieces[i : i + width]) for i in range(0, len(pieces), width))
    lines, line = [], ""
    for word in text.text.split():
        in_formula = text.language == FORMULAS and line.count("$") % 2
        if len(line) + len(word) > _LINE and not in_formula:
            cut = len(word) // 2
            if hyphens and word.isalpha() and len(word) > 6:
                lines.append(f"{line} {word[:cut]}-".strip())
                line = word[cut:]
                continue
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    return "\n".join([*lines, line])


def _with_header(text: Text, draw: random.Random) -> str:
    """A running header and the number of the page, somewhere between the lines."""
    lines = _broken(text).split("\n")
    at = draw.randrange(1, len(lines))
    header = text.foreign[: _HEADER // (1 if text.language in _ALPHABETS else 3)].strip(" .,")
    number = str(draw.randrange(100, 999))
    return "\n".join([*lines[:at], "", header, number, "", *lines[at:]])


def _misread(text: str, share: float, draw: random.Random) -> str:
    """Letters of words read as others; formulas and figures are left alone."""
    letters = [c for c in text if c.isalpha()]

    def other(c: str) -> str:
        return c.translate(_MISREAD) if c.translate(_MISREAD) != c else draw.choice(letters)

    parts = _FORMULA.split(text)
    damaged = [
        part
        if number % 2
        else "".join(other(c) if c.isalpha() and draw.random() < share else c for c in part)
        for number, part in enumerate(parts)
    ]
    return "".join(f"${part}$" if number % 2 else part for number, part in enumerate(damaged))


def _digits_misread(text: Text, draw: random.Random) -> Edit | None:
    found = [one for one in re.finditer(r"\b[0-9]{2,}\b", text.text) if set("015") & set(one[0])]
    if not found or "$" in text.text:
        return None
    one = draw.choice(found)
    at = draw.choice([i for i, c in enumerate(one[0]) if c in "015"])
    word = one[0][:at] + one[0][at].translate(_DIGITS_MISREAD) + one[0][at + 1 :]
    if not any(map(str.isdigit, word)):
        return None
    return Edit(text.text[: one.start()] + word + text.text[one.end() :], text.text)


def _other_delimiters(text: Text, draw: random.Random) -> Edit | None:
    refined = _FORMULA.sub(r"\\(\1\\)", text.text)
    return Edit(_broken(text), refined) if refined != text.text else None


def _as_markdown(text: Text, draw: random.Random) -> Edit:
    said = [one.strip() for one in sentences(text.text)]
    head, body = said[0], said[1:]
    return Edit(_broken(text), f"## {head}\n\n" + "\n".join(f"- {one}" for one in body))


FAITHFUL: Final[dict[str, Callable[[Text, random.Random], Edit | None]]] = {
    "unchanged": lambda text, draw: Edit(text.text, text.text),
    "lines joined": lambda text, draw: Edit(_broken(text), text.text),
    "hyphens repaired": lambda text, draw: Edit(_broken(text, hyphens=True), text.text),
    "header removed": lambda text, draw: Edit(_with_header(text, draw), text.text),
    "1 % of letters repaired": lambda text, draw: Edit(
        _misread(_broken(text), 0.01, draw), text.text
    ),
    "3 % of letters repaired": lambda text, draw: Edit(
        _misread(_broken(text), 0.03, draw), text.text
    ),
    "digit repaired": _digits_misread,
    "set as headings and lists": _as_markdown,
    "delimiters of formulas": _other_delimiters,
}
"""Edits after which the text says the same."""


# Changes


def _changed(text: Text, refined: str | None) -> Edit | None:
    if refined is None or refined == text.text:
        return None
    return Edit(_broken(text, hyphens=True), refined)


def _number_changed(text: Text, draw: random.Random) -> Edit | None:
    found = list(re.finditer(r"[0-9]", text.text))
    if not found:
        return None
    one = draw.choice(found)
    digit = str((int(one[0]) + draw.randrange(1, 9)) % 10)
    return _changed(text, text.text[: one.start()] + digit + text.text[one.end() :])


def _number_dropped(text: Text, draw: random.Random) -> Edit | None:
    found = list(re.finditer(r"[0-9]+", text.text))
    if not found:
        return None
    one = draw.choice(found)
    return _changed(text, text.text[: one.start()] + text.text[one.end() :])


def _sentence_dropped(text: Text, draw: random.Random) -> Edit | None:
    said = sentences(text.text)
    if len(said) < 2:
        return None
    at = draw.randrange(len(said))
    return _changed(text, "".join(said[:at] + said[at + 1 :]))


def _sentence_invented(text: Text, draw: random.Random) -> Edit | None:
    said = sentences(text.text)
    at = draw.randrange(1, len(said) + 1)
    gap = "" if text.language in ("zho_Hans", "jpn_Jpan") else " "
    return _changed(
        text, "".join(said[:at]).rstrip() + gap + text.foreign + gap + "".join(said[at:])
    )


def _half_dropped(text: Text, draw: random.Random) -> Edit | None:
    said = sentences(text.text)
    return _changed(text, "".join(said[: len(said) // 2])) if len(said) > 1 else None


def _word_replaced(text: Text, draw: random.Random) -> Edit | None:
    words = text.text.split()
    long = [i for i, word in enumerate(words) if word.isalpha() and len(word) > 4]
    others = [word for word in text.foreign.split() if word.isalpha() and len(word) > 4]
    if text.language in _UNSPACED or not long or not others:
        return None
    at = draw.choice(long)
    return _changed(text, " ".join([*words[:at], draw.choice(others), *words[at + 1 :]]))


def _formula_changed(text: Text, draw: random.Random) -> Edit | None:
    found = [
        one
        for one in _FORMULA.finditer(text.text)
        if re.search(r"(?<![\\A-Za-z])[A-Za-z](?![A-Za-z])", one[1])
    ]
    if not found:
        return None
    one = draw.choice(found)
    letter = draw.choice(list(re.finditer(r"(?<![\\A-Za-z])[A-Za-z](?![A-Za-z])", one[1])))
    new = chr((ord(letter[0].lower()) - 97 + draw.randrange(1, 25)) % 26 + 97)
    at = one.start(1) + letter.start()
    return _changed(text, text.text[:at] + new + text.text[at + 1 :])


def _word_inserted(text: Text, draw: random.Random) -> Edit | None:
    words = text.text.split()
    short = [word for word in text.foreign.split() if word.isalpha() and len(word) < 5]
    if text.language in _UNSPACED or not short:
        return None
    at = draw.randrange(1, len(words))
    return _changed(text, " ".join([*words[:at], draw.choice(short), *words[at:]]))


def _line_dropped(text: Text, draw: random.Random) -> Edit | None:
    lines = _broken(text).split("\n")
    at = draw.randrange(len(lines))
    gap = "" if text.language in _UNSPACED else " "
    return Edit("\n".join(lines), gap.join(lines[:at] + lines[at + 1 :]))


def _translated(text: Text, draw: random.Random) -> Edit | None:
    return _changed(text, text.translation or None)


UNFAITHFUL: Final[dict[str, Callable[[Text, random.Random], Edit | None]]] = {
    "number changed": _number_changed,
    "number dropped": _number_dropped,
    "sentence dropped": _sentence_dropped,
    "second half dropped": _half_dropped,
    "sentence invented": _sentence_invented,
    "formula changed": _formula_changed,
    "translated": _translated,
    "line dropped": _line_dropped,
    "word replaced": _word_replaced,
    "short word inserted": _word_inserted,
}
"""Edits after which the text says something else, on lines that were joined."""

"""The licence that the last sentences of a text say it stands under.

Only the end of a text is read, where pages and files say such things, and only two kinds of
statement count: the address of a Creative Commons deed in a sentence of licensing words, and a
sentence with such words in which one licence is named wholly. Sentences that speak of a picture, of
software or of a site's machinery are passed over, and those behind them that go on without a
subject of their own; a page that names two licences has none: each may hold for a part of it. So
most licences that only an icon shows are missed, and few are wrong.

A sentence ends with its line, or at a mark of its script. A full stop ends one only where it is
hardly that of an initial, a title or a date (`Photo: A. Nonymous, CC BY 2.0`): a cut too many takes
the picture out of what is said of it, a cut too few only misses a licence.
"""

import re
from collections.abc import Iterator
from typing import Final

from annotators.license.names import addresses_in, of_name

TAIL_BYTES: Final = 2000
"""Of the end of a text that are read: some 300 words, a footer."""

_CUE: Final = re.compile(
    r"licen[sc]e|licen[sc]ing|released under|available under|under the terms|lizenz|lizenziert"
    r"|licencia|licença|licenza|licentie|lisens|licens|лицензи|ліцензі|许可|許可|授权|授權"
    r"|ライセンス"
    r"|라이선스|ترخيص|رخصة|giấy phép|lisensi|lisans|rights reserved|gemeinfrei"
    r"|creativecommons\.org",
    re.IGNORECASE,
)
_OF_A_PART: Final = re.compile(
    r"\b(?:photo(?:graph)?|image|picture|bild|foto|imagen|icon|logo|graphi[ck]|font|video|music|code"
    r"|credit|source code|software|plugin|theme|template|script|library|framework)(?:s|er)?\b"
    r"|\b(?:titel|beitrags)?(?:bild|foto)\d*\b|fotos?\b|musik|wikimedia|unsplash|flickr"
    r"|图片|照片|写真|画像",
    re.IGNORECASE,
)
_GOES_ON: Final = re.compile(
    r"\W*(?:(?:it|they|both|which|es|sie|elle?s?|il)\b|licen|released|available|used|under\b|lizenz"
    r"|sous\b|bajo\b|sob\b|sotto\b|unter\b|publi|veröffentlicht|лиценз|ліценз|по лиценз|под\b"
    r"|CC\b|creative|采用|採用|依据|依據|遵循|根据|根據|以|ライセンス|라이선스|ترخيص|مرخص|लाइसेंस)",
    re.IGNORECASE,
)
"""Begins a sentence that still speaks of what the one before did."""
_OWN_MARKS: Final = "\u3002\uff01\uff1f\uff61\u061f\u06d4\u0964\u0965\u0589\u104b\u1362\u17d4"
"""Of Han and kana (also half width), Arabic and Urdu, Devanagari and its kin, Armenian, Burmese,
Ethiopic and Khmer."""
_CLOSING: Final = '\u201d\u2019\u300d\u300f\uff09\u00bb)"'
_MARK: Final = re.compile(
    rf"[{_OWN_MARKS}]+[{_CLOSING}]*|[.!?\u2026]+[{_CLOSING}]*(?=[\s{_CLOSING}])"
)
"""Full stops that end a sentence: of scripts that have their own, and before white space."""
_LONG_END: Final = re.compile(r"(?:[^\W\d_]{5,}|\d\.\d|\b[12]\d{3}|[^\w\s])$")
"""What no abbreviation is and no day of a month: long words, versions, years, brackets."""
_INITIALS: Final = re.compile(r"\s+[^\W\d_]\.")
_OPENING: Final = re.compile(
    r"\s+(?:th(?:is|e|ese)|all|our|text|content|unless|except|diese[rs]?|der|die|das|alle|ces?|cette"
    r"|les?|la|tous|este|esta|el|los|todos?|todas?|questo|questa|il|tutti|esse|o|a|deze|dit|het|этот"
    r"|эта|это|все|цей|ця|هذا|هذه|यह)\b",
    re.IGNORECASE,
)
"""Words that open a sentence, also behind a short word."""
_CANDIDATE: Final = re.compile(
    rb"creative\s?commons|\bCC[ -]?(?:BY|0)|MIT licen|apache licen|free documentation",
    re.IGNORECASE,
)


def speaks_of_a_part(text: str) -> bool:
    """Whether a statement on a licence is about a picture, music or software on the page."""
    return _OF_A_PART.search(text) is not None


def licence_said(tail: bytes) -> str | None:
    """The licence that the end of a text names, or None.

    Args:
        tail: The last `TAIL_BYTES` of UTF-8, whose first character may be cut.
    """
    if _CANDIDATE.search(tail) is None:
        return None
    names: set[str] = set()
    for line in tail.decode("utf-8", "ignore").splitlines():
        is_of_a_part = False
        for sentence in sentences_of(line):
            goes_on = is_of_a_part and _GOES_ON.match(sentence) is not None
            is_of_a_part = goes_on or speaks_of_a_part(sentence)
            if is_of_a_part or _CUE.search(sentence) is None:
                continue
            addressed = addresses_in(sentence)
            named = None if addressed else of_name(sentence)
            names |= addressed | ({named} if named else set())
    return names.pop() if len(names) == 1 else None


def sentences_of(line: str) -> Iterator[str]:
    """The sentences of a line, with their marks and the blanks between them."""
    start = 0
    for mark in _MARK.finditer(line):
        if mark[0][0] == "." and not _ends_sentence(line, start, mark):
            continue
        yield line[start : mark.end()]
        start = mark.end()
    yield line[start:]


def _ends_sentence(line: str, start: int, mark: "re.Match[str]") -> bool:
    behind = line[mark.end() : mark.end() + 40]
    if behind.lstrip()[:1].islower():
        return False
    before = line[max(start, mark.start() - 40) : mark.start()]
    if _INITIALS.match(behind):
        return False
    is_initial = re.search(r"(?:^|\W)[^\W\d_]$", before) is not None
    return _LONG_END.search(before) is not None or (
        not is_initial and _OPENING.match(behind) is not None
    )

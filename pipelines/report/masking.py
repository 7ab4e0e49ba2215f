"""What of a document may be printed: passages with personal data masked, and nothing that misleads.

PII spans are UTF-8 byte offsets into the whole text. An opening is built from them, never by a
search in text that was cut already: a span that crosses the end of the opening is masked whole. The
strings that were found are then masked wherever else they stand (title, URI, a second mention).
A title, URI or message that belongs to no labelled text can still hold an address (`?mail=a@b.org`,
`https://user:password@host`), so everything that looks like one is masked there as well.

Text of the web is hostile on a page: control characters and the embeddings and overrides of
bidirectional text (Unicode TR 36, section 3; "Trojan Source", CVE-2021-42574) are replaced by their
visible names. Left-to-right and right-to-left marks, which honest Arabic and Hebrew texts need,
stay. Escaping for HTML is the template's business.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Final
from unicodedata import east_asian_width

OPENING_COLUMNS: Final = 600
"""Length of an opening: a character is one column, a wide one (ideographs, kana, Hangul) two, so
that openings in all scripts take about the same room."""
OPENING_LINES: Final = 16
"""Lines of an opening at most: a menu or a list of keywords is known by its first ones."""
LINE_CHARS: Final = 240
"""Characters of a title, URI or message at most."""

_SHORTEST: Final = 4  # found strings shorter than this would be masked in every other word
# Scripts without blanks between words (kana, ideographs, Thai, Lao, Khmer, Burmese) go by sign.
_WORDS: Final = re.compile(
    r"\s+|[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]|[^\W\d_]+|\d+|.",
    re.DOTALL,
)
# Lengths are bounded so that a hostile URI of a megabyte costs a scan and not its square.
_ADDRESS: Final = re.compile(
    r"[^\s/?&=:@<>\"']{1,128}(?::[^\s/@]{0,128})?(?:@|%40)[^\s/?&=@<>\"']+", re.IGNORECASE
)
_ADDRESS_KIND: Final = "address"
_CONTROLS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff]")


@dataclass(frozen=True, slots=True)
class Span:
    """One found piece of personal data: bytes [start, end) of the text's UTF-8."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of an opening."""

    text: str
    """What stands there; the kind of what was masked where `masked`."""
    masked: bool = False
    differs: bool = False
    """Whether a duplicate beside it has something else here."""


def visible(text: str) -> str:
    """The text with control characters and bidirectional overrides spelt out."""
    return _CONTROLS.sub(lambda found: f"[U+{ord(found[0]):04X}]", text)


def masked_passage(
    text: str,
    spans: Iterable[Span],
    *,
    start: int = 0,
    guess: bool = False,
    columns: int = OPENING_COLUMNS,
    lines: int = OPENING_LINES,
) -> tuple[tuple[Piece, ...], bool]:
    """A passage of a document, by default its opening, masked.

    Args:
        text: The whole text.
        spans: Of this text, in any order; they may overlap.
        start: Position of the passage, in characters.
        guess: Mask what looks like an address too: where nobody looked for personal data.
        columns: Length of the passage; a mask counts as the letters of its kind.
        lines: Lines of the passage at most.

    Returns:
        The pieces, and whether the text goes on behind them.
    """
    found = sorted(spans, key=lambda span: (span.start, span.end))
    secrets = secrets_of(text, found)
    before = len(text[:start].encode())
    # Twice as much as is shown, so that a string on the edge is seen, and masked, as a whole.
    data = text[start : start + 2 * columns].encode()
    shifted = [Span(span.kind, span.start - before, span.end - before) for span in found]
    merged = _merged([s for s in shifted if s.start < len(data) and s.end > 0], data)
    pieces: list[Piece] = []
    position = 0
    for span in merged:
        pieces += masked_text(data[position : span.start].decode(), secrets)
        pieces.append(Piece(span.kind, masked=True))
        position = max(span.end, position)
    pieces += masked_text(data[position:].decode(errors="ignore"), secrets)
    if guess:
        pieces = [masked for piece in pieces for masked in _guessed(piece)]
    kept, whole = shortened(pieces, columns, lines)
    return kept, not whole or len(text) > start + 2 * columns


def first_difference(one: str, other: str) -> int:
    """Position of the first character in which two texts differ; of their end where none does."""
    length = min(len(one), len(other))
    if one[:length] == other[:length]:
        return length
    low, high = 0, length  # equal up to low, not equal up to high
    while high - low > 1:
        middle = (low + high) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle
    return low


def secrets_of(text: str, spans: Iterable[Span]) -> dict[str, str]:
    """Strings that the spans point to -> kind; those too short to be told from words are left out.

    Reads the bytes around the spans only as far as the given text reaches.
    """
    data = text.encode()
    found = {}
    for span in spans:
        string = data[span.start : span.end].decode(errors="ignore").strip()
        if len(string) >= _SHORTEST:
            found[string] = span.kind
    return found


def masked_text(text: str, secrets: dict[str, str]) -> list[Piece]:
    """A text with every found string replaced by its kind, longest strings first."""
    if not secrets:
        return [Piece(text)] if text else []
    ordered = sorted(secrets, key=len, reverse=True)
    pattern = re.compile("|".join(re.escape(secret) for secret in ordered))
    pieces, position = [], 0
    for hit in pattern.finditer(text):
        pieces += [Piece(text[position : hit.start()]), Piece(secrets[hit[0]], masked=True)]
        position = hit.end()
    return [piece for piece in (*pieces, Piece(text[position:])) if piece.text]


def _guessed(piece: Piece) -> list[Piece]:
    """A piece with everything masked that looks like an address."""
    if piece.masked:
        return [piece]
    found: list[Piece] = []
    position = 0
    for hit in _ADDRESS.finditer(piece.text):
        found += [Piece(piece.text[position : hit.start()]), Piece(_ADDRESS_KIND, masked=True)]
        position = hit.end()
    return [part for part in (*found, Piece(piece.text[position:])) if part.text]


def masked_line(text: str, secrets: dict[str, str] | None = None) -> str:
    """A title, URI or message in one string, masked: `https://x.org/?mail=[address]`."""
    pieces = masked_text(text, secrets or {})
    line = "".join(f"[{piece.text}]" if piece.masked else piece.text for piece in pieces)
    line = " ".join(_ADDRESS.sub(f"[{_ADDRESS_KIND}]", line).split())
    return visible(line if len(line) <= LINE_CHARS else line[: LINE_CHARS - 1] + "\u2026")


def _merged(spans: Sequence[Span], data: bytes) -> list[Span]:
    """Spans that do not overlap, widened to whole characters, clipped to the data."""
    merged: list[Span] = []
    for span in spans:
        start, end = max(0, span.start), min(span.end, len(data))
        while start > 0 and _inside(data, start):
            start -= 1
        while end < len(data) and _inside(data, end):
            end += 1
        if merged and start < merged[-1].end:
            last = merged.pop()
            kind = last.kind if span.kind in last.kind.split("+") else f"{last.kind}+{span.kind}"
            merged.append(Span(kind, last.start, max(last.end, end)))
        elif end > start:
            merged.append(Span(span.kind, start, end))
    return merged


def _inside(data: bytes, position: int) -> bool:
    """Whether a character goes on at this byte: 10xxxxxx (RFC 3629)."""
    return data[position] & 0xC0 == 0x80


def shortened(
    pieces: Sequence[Piece], columns: int = OPENING_COLUMNS, lines: int = OPENING_LINES
) -> tuple[tuple[Piece, ...], bool]:
    """Pieces that fit into the columns and lines, and whether these are all."""
    kept: list[Piece] = []
    room = columns
    for piece in pieces:
        if room <= 0:
            return tuple(kept), False
        text = piece.text if piece.masked else _fitting(piece.text, room, lines)
        kept.append(replace(piece, text=text if piece.masked else visible(text)))
        if not piece.masked and len(text) < len(piece.text):
            return tuple(kept), False
        room -= sum(map(_width, text))
        lines -= text.count("\n")
    return tuple(kept), True


def _fitting(text: str, room: int, lines: int) -> str:
    """As much of a text as the columns and lines left can take."""
    for position, character in enumerate(text):
        room -= _width(character)
        lines -= character == "\n"
        if room < 0 or lines <= 0:
            return text[:position]
    return text


def _width(character: str) -> int:
    """Columns of a character: 2 where it is wide or full-width (Unicode TR 11)."""
    return 2 if east_asian_width(character) in "WF" else 1


def differences(
    one: Sequence[Piece], other: Sequence[Piece]
) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """Two passages with what differs between them marked, word by word.

    What the one holds after the end of the other counts as different, so passages that were cut out
    of longer texts are compared at a greater length than is shown, and `shortened` afterwards.
    """
    left, right = _words(one), _words(other)
    blocks = SequenceMatcher(None, left, right, autojunk=False).get_matching_blocks()
    same_left = {i for block in blocks for i in range(block.a, block.a + block.size)}
    same_right = {i for block in blocks for i in range(block.b, block.b + block.size)}
    return _marked(left, same_left), _marked(right, same_right)


def _words(pieces: Sequence[Piece]) -> list[Piece]:
    """Pieces of one word, number, run of blanks or sign each; masks stay whole."""
    words: list[Piece] = []
    for piece in pieces:
        if piece.masked:
            words.append(piece)
        else:
            words += [Piece(word) for word in _WORDS.findall(piece.text)]
    return words


def _marked(words: Sequence[Piece], same: set[int]) -> tuple[Piece, ...]:
    """Neighbouring words that are alike in mark and mask become one piece again."""
    joined: list[Piece] = []
    for position, word in enumerate(words):
        differs = position not in same
        last = joined[-1] if joined else None
        if last and not word.masked and not last.masked and last.differs == differs:
            joined[-1] = Piece(last.text + word.text, differs=differs)
        else:
            joined.append(Piece(word.text, masked=word.masked, differs=differs))
    return tuple(joined)

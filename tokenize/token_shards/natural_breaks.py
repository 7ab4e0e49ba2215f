"""Natural breaks: where in a row of tokens a paragraph, a line, a sentence or a word ends.

Used to cut documents that are longer than a training sequence. Nothing is decoded but the few
hundred tokens around a cut, and these as bytes: a full stop such as U+3002 or U+0964 may be three
tokens of one byte each, so a table by token id would not see it, and a cut must not stand between
them. The break is looked for in the bytes and then snapped to the end of a token.

What ends a sentence is taken from the property Sentence_Terminal of Unicode (PropList.txt, 16.0),
without those of scripts that are no longer written. The full stop, `!` and `?` of Latin script
count only before white space, for they also stand in numbers, names and addresses.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from token_shards.token_store import TokenIds

_FULL_STOPS: Final = (
    "\u0589\u061d\u061e\u061f\u06d4\u0700\u0701\u0702\u07f9\u0964\u0965\u104a\u104b\u1362\u1367"
    "\u1368\u166e\u1735\u1736\u17d4\u17d5\u1803\u1809\u0f0d\u0f0e\u1944\u1945\u1b5a\u1b5b\u1c3b"
    "\u1c3c\u1c7e\u1c7f\u2026\u203c\u203d\u2047\u2048\u2049\u3002\ua4ff\ua60e\ua60f\ua876\ua877"
    "\ua8ce\ua8cf\ua92f\ua9c8\ua9c9\uaaf0\uaaf1\uabeb\ufe52\ufe56\ufe57\uff01\uff0e\uff1f\uff61"
)
_CLOSERS: Final = ")]}\"'\u00bb\u2019\u201d\u203a\u3009\u300b\u300d\u300f\u3011\uff02\uff07\uff09"


def _any_of(characters: str) -> bytes:
    return b"(?:" + b"|".join(re.escape(c.encode()) for c in characters) + b")"


_PATTERNS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        rb"\n[ \t\r]*\n[\n\r]*",  # paragraph
        rb"\n",  # line
        b"(?:"
        + _any_of(_FULL_STOPS)
        + _any_of(_CLOSERS)
        + rb"*|[.!?]+"
        + _any_of(_CLOSERS)
        + rb"*(?=\s))",
        # A word, or a phrase where words are not parted: before a space, which tokenizers put in
        # front of the word that follows, and after the comma of Chinese and Japanese.
        rb"(?=[ \t\n])|" + _any_of("\u3001\uff0c\u060c"),
    )
)
"""What ends where a text may be cut, the best first, over UTF-8 bytes."""

# GPT-2 writes each byte as one printable character, in the order of these ranges; other bytes are
# the characters from U+0100 on (github.com/openai/gpt-2, encoder.py, `bytes_to_unicode`).
_PRINTABLE: Final = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
_BYTE_TOKEN: Final = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_WORD_START: Final = "\u2581"  # SentencePiece's mark for a space


@dataclass(frozen=True, slots=True, eq=False)
class TokenBytes:
    """The bytes that each token stands for."""

    data: npt.NDArray[np.uint8]
    """uint8[num_bytes], bytes of all tokens, by id."""
    offsets: npt.NDArray[np.int64]
    """int64[vocab_size + 1]; token i is data[offsets[i]:offsets[i + 1]]."""

    @classmethod
    def of_json(cls, data: bytes) -> "TokenBytes":
        """Reads the vocabulary of a tokenizer.json.

        Args:
            data: Its bytes.
        """
        config = json.loads(data)
        listed = config["model"]["vocab"]  # Unigram models list pairs of token and score
        if isinstance(listed, list):
            listed = {token: number for number, (token, _) in enumerate(listed)}
        added = {token["content"]: token["id"] for token in config.get("added_tokens") or []}
        return cls.of(listed, added)

    @classmethod
    def of(cls, vocabulary: Mapping[str, int], added: Mapping[str, int]) -> "TokenBytes":
        """Reads spellings.

        Args:
            vocabulary: Token as the model spells it -> id.
            added: Token that stands for itself -> id.
        """
        spelt = [(token, number) for token, number in vocabulary.items() if token not in added]
        alphabet = _alphabet()
        byte_level = all(character in alphabet for token, _ in spelt for character in token)
        size = max([*vocabulary.values(), *added.values()], default=-1) + 1
        found: list[bytes] = [b""] * size
        for token, number in spelt:
            found[number] = bytes(alphabet[c] for c in token) if byte_level else _spoken(token)
        for token, number in added.items():
            found[number] = token.encode()
        return cls.from_list(found)

    @classmethod
    def from_list(cls, tokens: Sequence[bytes]) -> "TokenBytes":
        """Takes the bytes of each token, by id."""
        offsets = np.zeros(len(tokens) + 1, np.int64)
        np.cumsum([len(token) for token in tokens], out=offsets[1:])
        return cls(np.frombuffer(b"".join(tokens), np.uint8), offsets)

    def spell(self, ids: TokenIds) -> tuple[bytes, npt.NDArray[np.int64]]:
        """Gives the bytes of some tokens, and where each of them ends.

        Args:
            ids: integers[n] in [0, vocab_size).

        Returns:
            The bytes, and int64[n]: byte behind each token.
        """
        starts, ends = self.offsets[ids], self.offsets[np.asarray(ids, np.int64) + 1]
        spans = zip(starts.tolist(), ends.tolist(), strict=True)
        data = self.data
        return b"".join([data[start:end].tobytes() for start, end in spans]), np.cumsum(
            ends - starts
        )


def best_break(
    token_bytes: TokenBytes,
    ids: TokenIds,
    first: int,
    last: int,
    wanted: int,
) -> int:
    """Gives where to cut a document: at the best kind of break, and of that kind the nearest.

    Args:
        token_bytes: Of the tokenizer.
        ids: integers[num_tokens], the document.
        first: Least position; a cut at p parts token p - 1 from token p.
        last: Greatest position, below num_tokens.
        wanted: In [first, last]; the answer where there is no break at all.

    Returns:
        A position in [first, last].
    """
    # One token on either side, so that a break at an end of the window is seen as it is.
    start = max(first - 2, 0)
    spelt, ends = token_bytes.spell(ids[start : last + 1])
    positions = np.arange(start + 1, start + 1 + len(ends))
    allowed = (positions >= first) & (positions <= last)
    for pattern in _PATTERNS:
        breaks = np.fromiter((match.end() for match in pattern.finditer(spelt)), np.int64)
        found = positions[allowed & np.isin(ends, breaks)]
        if len(found):
            return int(found[np.argmin(np.abs(found - wanted))])
    return wanted


def _alphabet() -> dict[str, int]:
    """Character -> byte, as byte-level tokenizers spell them."""
    others = [byte for byte in range(256) if byte not in _PRINTABLE]
    shifted = {chr(0x100 + position): byte for position, byte in enumerate(others)}
    return {chr(byte): byte for byte in _PRINTABLE} | shifted


def _spoken(token: str) -> bytes:
    """Bytes of a token as SentencePiece spells it."""
    byte = _BYTE_TOKEN.fullmatch(token)
    return bytes([int(byte[1], 16)]) if byte else token.replace(_WORD_START, " ").encode()

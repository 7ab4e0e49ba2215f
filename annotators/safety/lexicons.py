"""Lexicons: lists of terms by language, and how often a text has them.

A lexicon is a folder with one file a language, one term a line, `#` for comments: the layout of the
LDNOOBW lists (github.com/LDNOOBW). A file is named by a label of the 119 (`zho_Hant`), by ISO 639-3
or by ISO 639-1, with or without `.txt`; `zh` and `ar` stand for all labels of Chinese and Arabic.
A single file is a lexicon of its one language.

Terms are words or runs of words, compared after the fold of `annotators.text.characters` (case,
punctuation); they match whole words. Where letters are written without spaces (Han, Kana, Thai,
Lao, Khmer, Burmese) each letter is a word, so a term matches inside of longer words too, and terms
of a single letter are refused there: they would match half the language.

Most words begin no term, so each word is looked up among the first words of terms, and only behind
those that are runs are looked up.

A text is compared with the terms of its own language alone. Where a lexicon has none for it, the
result is null and never 0, so that nobody takes silence for a finding.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from annotators.language.languages import MACROLANGUAGES, codes, language_labels
from annotators.text.characters import (
    DROPPED,
    SCRIPT_MASK,
    SCRIPT_SHIFT,
    character_classes,
    fold_table,
)
from annotators.text.kernels import inlined_kernel, kernel
from annotators.text.key_table import KeyTable, key_table, position_in
from annotators.text.repeats import hash_power
from annotators.text.utf8 import Characters, Utf8Texts, decode_text, empty_characters, utf8_texts
from annotators.text.words import (
    HASH_BASE,
    NUM_LETTERS_OF_SCRIPT,
    NUM_SYMBOL_TOKENS,
    NUM_TOKENS,
    TOKENS_PER_WORD,
    Words,
    empty_words,
    split_words,
)

SHIPPED: Final = Path(__file__).parent / "lexicons"
MAX_BYTES: Final = 1 << 20
"""Of a text that are read, from its start: a book has said by then what it is."""

# ISO 639-1 -> ISO 639-3 of a label or of a group (IANA language subtag registry, ISO 639-3 tables).
_TWO_LETTERS: Final = dict(
    pair.split("=")
    for pair in (
        "af=afr ar=ara as=asm az=azj ba=bak be=bel bg=bul bn=ben bs=bos ca=cat cs=ces cy=cym "
        "da=dan de=deu el=ell en=eng es=spa et=est eu=eus fa=fas fi=fin fo=fao fr=fra ga=gle "
        "gl=glg gu=guj he=heb hi=hin hr=hrv ht=hat hu=hun hy=hye id=ind is=isl it=ita ja=jpn "
        "jv=jav ka=kat kk=kaz km=khm kn=kan ko=kor lb=ltz li=lim lo=lao lt=lit lv=lvs mk=mkd "
        "ml=mal mr=mar ms=zsm mt=mlt my=mya nb=nob ne=npi nl=nld nn=nno oc=oci or=ory pa=pan "
        "pl=pol pt=por ro=ron ru=rus sc=srd sd=snd si=sin sk=slk sl=slv sq=als sr=srp su=sun "
        "sv=swe sw=swh ta=tam te=tel tg=tgk th=tha tl=tgl tr=tur tt=tat uk=ukr ur=urd uz=uzn "
        "vi=vie yi=ydd zh=zho"
    ).split()
)
_SEVERAL: Final = {"no": ("nob", "nno"), "fil": ("tgl",), "nor": ("nob", "nno")}


class Counts(NamedTuple):
    """What a lexicon finds; both null where it has no terms of the text's language."""

    occurrences: Any
    """int32[num_texts]: terms, the longest at each place."""
    per_thousand: Any
    """float32[num_texts]: occurrences for each 1,000 words."""


class _Terms(NamedTuple):
    """The terms of a lexicon as hashes, for kernels."""

    table: KeyTable
    """Their hashes."""
    allowed: NDArray[np.bool_]
    """Which language has which: `bool[num_terms, 119]`."""
    first_words: KeyTable
    """Hashes of the words with which a term begins."""
    longest: NDArray[np.int64]
    """Words of the longest term that begins so, by language: `int64[num_first_words, 119]`."""


class Lexicon:
    """The terms of one lexicon in all its languages."""

    def __init__(self, name: str, path: Path) -> None:
        """Reads the files.

        Raises:
            ValueError: A file is missing, not UTF-8, empty, or named by no known language.
        """
        self.name = name
        self.files = _files_of(name, path)
        self.terms: dict[str, tuple[str, ...]] = {}
        """Label -> terms of that language."""
        for file in self.files:
            terms = _read_terms(name, file)
            for label in labels_of(name, file):
                self.terms[label] = (*self.terms.get(label, ()), *terms)

    @cached_property
    def _tables(self) -> _Terms:
        places = {code: place for place, code in enumerate(codes())}
        hashes: dict[int, dict[int, int]] = {}  # language -> 1, by hash of the term
        firsts: dict[int, dict[int, int]] = {}  # language -> most words, by hash of the first
        of_file: dict[tuple[str, ...], list[str]] = {}
        for label, own in self.terms.items():
            of_file.setdefault(own, []).append(label)
        for terms, labels in of_file.items():
            for (first, value), num_words in _hashes_of(terms):
                longest = firsts.setdefault(first, {})
                for language in (places[label] for label in labels):
                    hashes.setdefault(value, {})[language] = 1
                    longest[language] = max(longest.get(language, 0), num_words)
        table, allowed = _by_key(hashes, len(places))
        return _Terms(table, allowed.astype(np.bool_), *_by_key(firsts, len(places)))

    def count(self, texts: pa.LargeStringArray, languages: pa.StringArray) -> Counts:
        """Counts terms.

        Args:
            texts: large_string, no nulls.
            languages: string: a label of the 119, `und` or null, as long as `texts`.
        """
        places = {code: place for place, code in enumerate(codes())}
        numbers = np.array(
            [places[one] if one in self.terms else -1 for one in languages.to_pylist()], np.int64
        )
        found = np.zeros(len(texts), np.int32)
        words = np.zeros(len(texts), np.float64)
        buffers = utf8_texts(texts)
        room = min(buffers.max_bytes(), MAX_BYTES) + 1
        scratch = (empty_characters(room), empty_words(room))
        classes = (character_classes(), fold_table())
        _count_all(buffers, classes, scratch, numbers, self._tables, found, words)
        unknown = numbers < 0
        share = 1000 * found / np.maximum(words, 1)
        return Counts(
            pa.array(found, pa.int32(), mask=unknown),
            pa.array(share.astype(np.float32), pa.float32(), mask=unknown),
        )


def labels_of(name: str, file: Path) -> list[str]:
    """The labels of the 119 that a file of a lexicon is for.

    Raises:
        ValueError: The file's name is no language of the 119.
    """
    word = file.name.removesuffix(".txt")
    wanted = _SEVERAL.get(word, (_TWO_LETTERS.get(word, word),))
    members = {one for each in wanted for one in (each, *MACROLANGUAGES.get(each, ()))}
    if word in ("zho", "zh"):
        members.discard("yue")
    labels = [one.code for one in language_labels() if {one.code, one.iso639_3} & members]
    if not labels:
        raise ValueError(
            f"lexicon {name}: {file} is named by no language; allowed are labels of the 119 such "
            "as 'zho_Hant', ISO 639-3 ('deu') or ISO 639-1 ('de'), with or without .txt"
        )
    return labels


def _files_of(name: str, path: Path) -> tuple[Path, ...]:
    if path.is_file():
        return (path,)
    hidden = (".", "_", "README", "LICENSE", "CARD")
    files = sorted(path.iterdir()) if path.is_dir() else []
    found = tuple(one for one in files if one.is_file() and not one.name.startswith(hidden))
    if not found:
        raise ValueError(
            f"lexicon {name}: no files at {path}; name a folder with a file for each language, "
            "such as 'en' or 'zho_Hans.txt', one term a line"
        )
    return found


def _read_terms(name: str, file: Path) -> tuple[str, ...]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"lexicon {name}: {file} cannot be read ({error}); write one term a line in UTF-8"
        ) from None
    terms = tuple(_usable(line.strip() for line in lines))
    if not terms:
        raise ValueError(f"lexicon {name}: {file} has no term; write one a line")
    return terms


def _usable(lines: Iterable[str]) -> Iterable[str]:
    classes = character_classes()
    for line in lines:
        letters = [classes[ord(one)] for one in line if not one.isspace()]
        unspaced = letters and all(one >> SCRIPT_SHIFT & SCRIPT_MASK for one in letters)
        if line and not line.startswith("#") and not (unspaced and len(letters) == 1):
            yield line


def _hashes_of(terms: Iterable[str]) -> Iterator[tuple[list[int], int]]:
    """Hashes of the first word and of all, and the number of words, of each term that has any."""
    texts = utf8_texts(pa.array(terms, pa.large_string()))
    size, num_terms = texts.max_bytes(), len(texts.offsets) - 1
    hashes, sizes = np.zeros((num_terms, 2), np.uint64), np.zeros(num_terms, np.int64)
    scratch = (empty_characters(size), empty_words(size))
    _hash_terms(texts, (character_classes(), fold_table()), scratch, hashes, sizes)
    has_words = sizes > 0
    yield from zip(hashes[has_words].tolist(), sizes[has_words].tolist(), strict=True)


def _by_key(
    values: Mapping[int, Mapping[int, int]], width: int
) -> tuple[KeyTable, NDArray[np.int64]]:
    """A table of the keys, and int64[num_keys, width] of the values in its order, 0 for none."""
    keys = np.array(sorted(values), np.uint64)
    out = np.zeros((len(keys), width), np.int64)
    for row, key in enumerate(keys.tolist()):
        for column, value in values[key].items():
            out[row, column] = value
    return key_table(keys), out


def counted_columns(names: Iterable[str]) -> list[pa.Field]:
    """Two columns a lexicon, named `<lexicon>_lexicon_...`."""
    return [
        field
        for name in names
        for field in (
            pa.field(f"{name}_lexicon_count", pa.int32()),
            pa.field(f"{name}_lexicon_per_thousand", pa.float32()),
        )
    ]


def shipped_lexicons() -> Mapping[str, str]:
    """Name -> folder of the lexicons of this package."""
    return {path.name: str(path) for path in sorted(SHIPPED.iterdir()) if path.is_dir()}


@inlined_kernel
def _split_folded(
    data: NDArray[np.uint8],
    start: int,
    end: int,
    tables: tuple[NDArray[np.uint16], NDArray[np.uint32]],
    scratch: tuple[Characters, Words],
) -> int:
    """Decodes a text, folds it and splits it into words; gives their number."""
    classes, folds = tables
    text, words = scratch
    count = decode_text(data, start, end, classes, text)
    for i in range(count):
        if folds[text.points[i]] != DROPPED:
            text.points[i] = folds[text.points[i]]
    return int(split_words(text, count, words))


@kernel
def _hash_terms(
    texts: Utf8Texts,
    tables: tuple[NDArray[np.uint16], NDArray[np.uint32]],
    scratch: tuple[Characters, Words],
    hashes: NDArray[np.uint64],
    sizes: NDArray[np.int64],
) -> None:
    """Writes for each text the hashes of its first word and of all, and how many they are."""
    data, offsets = texts
    prefixes = scratch[1].hashes
    for row in range(len(sizes)):
        sizes[row] = _split_folded(data, offsets[row], offsets[row + 1], tables, scratch)
        if sizes[row]:
            hashes[row, 0] = prefixes[1]
            hashes[row, 1] = prefixes[sizes[row]]


@inlined_kernel
def _num_words(counts: NDArray[np.int64]) -> float:
    """Words of a split text; where it is written without spaces, estimated from the letters."""
    words = float(counts[NUM_TOKENS] - counts[NUM_SYMBOL_TOKENS])
    for script in range(1, len(TOKENS_PER_WORD)):
        letters = counts[NUM_LETTERS_OF_SCRIPT + script]
        words += letters / TOKENS_PER_WORD[script] - letters
    return words


@inlined_kernel
def _term_at(words: Words, i: int, num_words: int, language: int, terms: _Terms) -> int:
    """Gives how many words the longest term has that begins at word i; 0 where none does."""
    hashes = words.hashes
    first = position_in(terms.first_words, hashes[i + 1] - hashes[i] * HASH_BASE)
    if first < 0:
        return 0
    for size in range(min(terms.longest[first, language], num_words - i), 0, -1):
        place = position_in(terms.table, hashes[i + size] - hashes[i] * hash_power(size))
        if place >= 0 and terms.allowed[place, language]:
            return size
    return 0


@kernel
def _count_all(
    texts: Utf8Texts,
    tables: tuple[NDArray[np.uint16], NDArray[np.uint32]],
    scratch: tuple[Characters, Words],
    languages: NDArray[np.int64],
    terms: _Terms,
    found: NDArray[np.int32],
    words_of: NDArray[np.float64],
) -> None:
    data, offsets = texts
    words = scratch[1]
    for row in range(len(found)):
        if languages[row] < 0:
            continue
        end = min(offsets[row + 1], offsets[row] + MAX_BYTES)
        while offsets[row] < end < offsets[row + 1] and data[end] & 0xC0 == 0x80:
            end -= 1
        num_words = _split_folded(data, offsets[row], end, tables, scratch)
        i = 0
        while i < num_words:
            size = _term_at(words, i, num_words, languages[row], terms)
            found[row] += size > 0
            i += max(1, size)
        words_of[row] = _num_words(words.counts)

"""Which charset a page or text is really in.

A declaration is a claim. In order: a byte order mark; UTF-16 by its NULs;
ISO-2022-JP by its escapes; bytes that are valid UTF-8 with multi-byte characters, but for a cut
within the last, are UTF-8 whatever is declared (a text of another charset of n non-ASCII characters
passes for UTF-8 with a chance that falls exponentially in n), and so are those with few broken
sequences; then what HTTP declares, then what the page declares, each only if it decodes and does
not yield mojibake; then detection; last Windows-1252, in which every page can be read somehow, with
U+FFFD in the gaps.

Mojibake is told by what no orthography does:
- runs of three or more letters of Latin-1 Supplement and no ASCII letter between (Cyrillic, Greek,
  Thai, Chinese... read as Latin), or C1 controls;
- signs such as the inverted question mark between two letters (Polish read as Latin);
- Cyrillic words that turn from lower to upper case, more often than from upper to lower (KOI8-R
  read as Windows-1251, whose two cases stand the other way round);
- half-width Katakana as most of a text (EUC-JP read as Shift_JIS).

Declared may be the encodings of the WHATWG Encoding standard alone, under its labels and Python's
own. It maps iso-8859-1 and us-ascii to windows-1252, gb2312 and gbk to GB18030, shift_jis to
Windows-31J, as browsers do. What else Python can decode is not for pages: idna, punycode and
undefined raise whatever is asked of errors, unicode_escape and utf-7 read markup where browsers see
none.
Detection: resiliparse, then charset-normalizer, each for these encodings alone: what it finds else
(HP Roman-8, Macintosh Iceland, code pages of DOS) no page of the web is in, and Western ones seem.
"""

import codecs
import re
from dataclasses import dataclass
from typing import Final

import charset_normalizer
from resiliparse.parse.encoding import detect_encoding

from pipelines.extract.media import utf16_of_nuls
from pipelines.extract.rows import replace_surrogates

_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Python codecs of WHATWG labels whose Python namesake is narrower (Encoding standard, section 4.2).
_WIDER: Final = {
    "iso8859-1": "cp1252",
    "ascii": "cp1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "hz": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
}
_NAMES: Final = {
    "cp1252": "windows-1252",
    "cp932": "shift_jis",
    "cp949": "euc-kr",
    "big5hkscs": "big5",
    "cp874": "windows-874",
}
# WHATWG labels that Python does not know.
_LABELS: Final = {"x-sjis": "cp932", "x-gbk": "gb18030", "ks_c_5601-1987": "cp949", "utf8": "utf-8"}
# Encoding standard, section 4.2. UTF-16 is none of them: without mark or NULs it is not what is
# declared (HTML standard: UTF-8). Nor are replacement and x-user-defined, which are no charsets.
_ENCODINGS: Final = frozenset(
    """utf-8 cp866 iso8859-2 iso8859-3 iso8859-4 iso8859-5 iso8859-6 iso8859-7 iso8859-8 iso8859-10
    iso8859-13 iso8859-14 iso8859-15 iso8859-16 koi8-r koi8-u mac-roman cp874 cp1250 cp1251 cp1252
    cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 mac-cyrillic gb18030 big5hkscs cp950 euc_jp
    iso2022_jp cp932 cp949""".split()
)
_MULTIBYTE: Final = ("gb18030", "cp932", "euc_jp", "cp949", "big5hkscs", "iso2022_jp")
_META: Final = re.compile(
    rb"""<meta[^>]{0,300}?charset\s*=\s*["']?\s*([A-Za-z0-9_.:-]{2,40})"""
    rb"""|<\?xml[^>]{0,100}?encoding\s*=\s*["']([A-Za-z0-9_.:-]{2,40})""",
    re.IGNORECASE,
)
_META_BYTES: Final = 4096  # browsers look at 1,024 (HTML standard, 13.2.3.2); real pages go beyond
_TAGS: Final = re.compile(rb"<(?:script|style)\b.*?</(?:script|style)>|<[^>]*>", re.I | re.S)
_DETECT_BYTES: Final = 128 << 10
_SCORE_CHARS: Final = 100_000
_MIN_EVIDENCE: Final = 6  # non-ASCII characters below which mojibake is not claimed
_FEW: Final = 8  # two-byte characters, up to which valid UTF-8 may be chance in a CJK charset
_MAX_BAD_SHARE: Final = 0.05  # broken sequences among the multi-byte ones of damaged UTF-8
_RUNS: Final = re.compile("[\u0080-\u00ff\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192]{3,}")
_NON_ASCII: Final = re.compile("[^\x00-\x7f\u00a0]")
_MULTI_BYTE: Final = re.compile("[^\x00-\x7f]")
_CONTROLS: Final = re.compile("[\x80-\x9f\ufffd\ue000-\uf8ff]")
_SYMBOL_IN_WORD: Final = re.compile(
    "(?<=[A-Za-z\u00c0-\u00ff])[\u00a1-\u00a9\u00ac-\u00b6\u00b8\u00b9\u00bb-\u00bf\u00d7\u00f7\u0178]"
    "(?=[A-Za-z\u00c0-\u00ff])"
)
_HALF_KATAKANA: Final = re.compile("[\uff61-\uff9f]")
_CAPITALIZED: Final = re.compile("[\u0400-\u042f][\u0430-\u045f]")
_CASE_TURN: Final = re.compile("[\u0430-\u045f][\u0400-\u042f]")


@dataclass(frozen=True, slots=True)
class Decoded:
    """A text and how it was found."""

    text: str
    charset: str
    """WHATWG name of the charset used."""
    source: str
    """bom, utf16, utf8, escapes, http, meta, detected or fallback."""


@dataclass(frozen=True, slots=True)
class DecodedBytes:
    """A text as UTF-8, and how it was found."""

    data: bytes
    """Valid UTF-8; the very bytes that were given where they are."""
    charset: str
    """As in Decoded."""
    source: str
    """As in Decoded."""


@dataclass(frozen=True, slots=True)
class _Found:
    """Which charset bytes are in."""

    codec: str
    source: str
    start: int = 0
    """Length of the byte order mark."""
    text: str | None = None
    """The decoded text, where finding out has made it."""


def decode(data: bytes, *, http: str | None = None, is_html: bool = True) -> Decoded:
    """Decodes a page or text.

    Args:
        data: All its bytes.
        http: Charset that HTTP declares.
        is_html: Whether a declaration within the page counts.

    Returns:
        The text without byte order mark and lone surrogates; U+FFFD stands for what is broken.
    """
    found = _find(data, http, is_html)
    return Decoded(_text(data, found), _name(found.codec), found.source)


def decode_bytes(data: bytes, *, http: str | None = None, is_html: bool = True) -> DecodedBytes:
    """As `decode`, for readers of UTF-8: nine pages in ten are in it and come back as they are.

    Args:
        data: All its bytes.
        http: Charset that HTTP declares.
        is_html: Whether a declaration within the page counts.
    """
    found = _find(data, http, is_html)
    if found.text is not None and found.codec == "utf-8":
        written = data[found.start :]
    else:
        written = _text(data, found).encode("utf-8")
    return DecodedBytes(written, _name(found.codec), found.source)


def _find(data: bytes, http: str | None, is_html: bool) -> _Found:
    for mark, name in _BOMS:
        if data.startswith(mark):
            text = _utf8_text(data[len(mark) :]) if name == "utf-8" else None
            return _Found(name, "bom", len(mark), text)
    utf16 = utf16_of_nuls(data)
    if utf16 is not None:
        return _Found(utf16, "utf16")
    declared = [(codec_of_label(http), "http")]
    if is_html:
        declared.append((codec_of_label(meta_charset(data)), "meta"))
    if _is_iso2022(data):
        return _Found("iso2022_jp", "escapes")
    text = _utf8_text(data)
    codecs_declared = [codec for codec, _ in declared if codec]
    if text is not None:
        is_utf8 = _is_utf8(data, text, codecs_declared)
    else:
        is_utf8 = _is_cut_utf8(data, codecs_declared) or _is_damaged_utf8(data, codecs_declared)
    if is_utf8:
        return _Found("utf-8", "utf8", 0, text)
    visible = _visible(data) if is_html else data
    for codec, source in declared:
        if codec is not None and codec != "utf-8" and is_plausible(visible, codec):
            return _Found(codec, source)
    detected = _detect(visible)
    return _Found(detected or "cp1252", "detected" if detected else "fallback")


def _text(data: bytes, found: _Found) -> str:
    if found.text is not None:
        return found.text
    return replace_surrogates(data[found.start :].decode(found.codec, "replace"))


def _name(codec: str) -> str:
    """The WHATWG name of a codec."""
    if codec == "utf-8":
        return codec
    name = _NAMES.get(codec) or re.sub(r"^cp(125\d)$", r"windows-\1", codec)
    return name.replace("_", "-").replace("iso8859", "iso-8859")


def _utf8_text(data: bytes) -> str | None:
    """The text of bytes that are UTF-8 throughout, else None."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def codec_of_label(label: str | None) -> str | None:
    """The Python codec that browsers use for a charset label, or None where it is unknown."""
    if not label:
        return None
    label = label.strip().lower()
    try:
        name = codecs.lookup(_LABELS.get(label, label)).name
    except (LookupError, ValueError):
        return None
    name = _WIDER.get(name, name)
    return name if name in _ENCODINGS else None


def meta_charset(data: bytes) -> str | None:
    """The charset that a page declares in `<meta>` or in its XML declaration."""
    found = _META.search(data[:_META_BYTES])
    return (found[1] or found[2]).decode("ascii").lower() if found else None


def is_plausible(data: bytes, codec: str) -> bool:
    """Whether bytes decode by a codec and give no mojibake."""
    text = data.decode(codec, "replace")[:_SCORE_CHARS]
    non_ascii = len(_NON_ASCII.findall(text))
    if non_ascii == 0:
        return True
    controls = len(_CONTROLS.findall(text))
    if controls > max(1, _MAX_BAD_SHARE * non_ascii):
        return False
    if non_ascii < _MIN_EVIDENCE:
        return True
    if sum(map(len, _RUNS.findall(text))) > non_ascii / 2:
        return False
    if len(_SYMBOL_IN_WORD.findall(text)) > max(1, non_ascii / 10):
        return False
    if len(_HALF_KATAKANA.findall(text)) > non_ascii / 3:
        return False
    return len(_CASE_TURN.findall(text)) <= len(_CAPITALIZED.findall(text))


def _is_iso2022(data: bytes) -> bool:
    """Whether bytes shift into Japanese by the escape sequences of ISO-2022-JP (RFC 1468)."""
    # The one byte is looked for at twenty times the speed of the two, and no other page has it.
    if b"\x1b" not in data or b"\x1b$" not in data or not data.isascii():
        return False
    text = data.decode("iso2022_jp", "replace")
    return text.count("\ufffd") <= _MAX_BAD_SHARE * len(_NON_ASCII.findall(text))


def _is_utf8(data: bytes, text: str, declared: list[str]) -> bool:
    """Whether bytes that read as UTF-8 are it, and not by chance."""
    if not any(codec in _MULTIBYTE for codec in declared) or text.isascii():
        return True
    characters = _NON_ASCII.findall(text)
    is_decisive = len(characters) > _FEW or any(ord(c) > 0x7FF for c in characters)
    return is_decisive or not is_plausible(data, next(c for c in declared if c in _MULTIBYTE))


def _is_cut_utf8(data: bytes, declared: list[str]) -> bool:
    """Whether bytes are UTF-8, multi-byte in parts, that ends within a character."""
    try:
        text, _ = codecs.utf_8_decode(data, "strict", False)
    except UnicodeDecodeError:
        return False
    return not text.isascii() and _is_utf8(data, text, declared)


def _is_damaged_utf8(data: bytes, declared: list[str]) -> bool:
    """Multi-byte sequences of UTF-8 with few broken ones between.

    One whole sequence is enough where UTF-8 is declared: in Windows-1252 it would be a letter with
    a tilde or a circumflex before a sign, which hardly any text has by chance.
    """
    is_declared = "utf-8" in declared
    text = data.decode("utf-8", "replace")
    num_bad = text.count("\ufffd") - data.count("\ufffd".encode())  # some pages write the sign
    # Undeclared, no-break spaces prove nothing: templates add them to pages of other charsets.
    found = (_MULTI_BYTE if is_declared else _NON_ASCII).findall(text)
    num_good = len(found) - num_bad
    least = 1 if is_declared else _MIN_EVIDENCE
    return num_bad <= max(1, _MAX_BAD_SHARE * num_good) and num_good >= least


def _visible(data: bytes) -> bytes:
    return _TAGS.sub(b" ", data)


def _detect(data: bytes) -> str | None:
    """What the bytes are in, by the first detector whose finding is plausible."""
    sample = data[:_DETECT_BYTES]
    first = codec_of_label(detect_encoding(sample, html5_compatible=False))
    if first is not None and first != "utf-8" and is_plausible(sample, first):
        return first
    best = charset_normalizer.from_bytes(sample[: _DETECT_BYTES // 8]).best()
    second = codec_of_label(best.encoding) if best else None
    candidates = (second, "cp1252")
    return next((c for c in candidates if c and c != "utf-8" and is_plausible(sample, c)), None)

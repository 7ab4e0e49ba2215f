"""What is changed in every text, and texts that are files.

A text stays as its author wrote it, in its own normalization form. Changed is only what would
break a reader downstream: lone surrogates become U+FFFD (UTF-8 has none), NUL is removed, the line
ends CRLF and CR become LF, blanks at the end of lines and empty lines at both ends go.
"""

import re
from typing import Final

from pipelines.extract.charset import Decoded, decode
from pipelines.extract.media import is_binary
from pipelines.extract.rows import replace_surrogates

_BLANKS: Final = " \t\u00a0\u3000"
_LINE_BLANKS: Final = frozenset(_BLANKS)
# A text of which more than this share cannot be decoded is not a text in any charset we know.
_MAX_UNDECODABLE: Final = 0.05
_UNDECODABLE: Final = re.compile("[\ufffd\x80-\x84\x86-\x9f]")


def tidy(text: str) -> str:
    """The text as it is kept."""
    text = replace_surrogates(text)
    if "\x00" in text:
        text = text.replace("\x00", "")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    # Most texts have no blank before a line end, and need not be joined again.
    if any(line[-1:] in _LINE_BLANKS for line in lines):
        text = "\n".join([line.rstrip(_BLANKS) for line in lines])
    return text.strip("\n")


def decode_text(data: bytes, http: str | None) -> Decoded | None:
    """Decodes a text file; None where it is binary or in no charset that we know."""
    if is_binary(data):
        return None
    decoded = decode(data, http=http, is_html=False)
    num_bad = len(_UNDECODABLE.findall(decoded.text))
    if decoded.source == "fallback":
        return None
    return None if num_bad > _MAX_UNDECODABLE * len(decoded.text) else decoded

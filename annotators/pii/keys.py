"""Keys and secrets: what a vendor marks as such, and random values given to names of secrets.

A vendor's pattern is taken wherever it stands alone, also where the value is an example of the
vendor's own documentation. Without one, a value counts when

- it is assigned (`=`, `:`, `=>`) to a name such as `api_key`, `secret`, `token` or `password`,
- it has 16 characters or more, digits in at least two places, letters, at most one word between
  `_`, `.` or `-`, and
- its characters carry 3 bits each or more (Shannon entropy within the value): 20 random hexadecimal
  digits have 3.3 on average, and what people repeat or count on their fingers has less.

Short or speakable passwords are therefore left out; so are values that a call or an attribute
follows (`token = decode_v2_token(x)`) and Ethereum addresses. A PEM block is one span, from BEGIN
to END, or as far as lines of base 64 go, and counts where there is a key in it.

Sources of the patterns: AWS IAM user guide, "Unique identifiers" (AKIA, ASIA); GitHub, "Behind
GitHub's new authentication token formats" (2021) and its docs on token types; GitLab docs, "Token
overview"; Slack docs, "Token types"; Google Cloud docs on API keys; Stripe docs, "API keys"; npm
docs on access tokens; Hugging Face docs, "User access tokens"; SendGrid docs, "API keys"; the
prefixes that OpenAI and Anthropic print in their consoles; RFC 7519 (JWT); RFC 7468 (PEM).
"""

import math
import re
import string
from collections import Counter
from typing import Final

_EDGE: Final = rb"(?![A-Za-z0-9_-])"
_VENDORS: Final = re.compile(
    rb"(?:"
    rb"A(?:KIA|SIA)[A-Z2-7]{16}"  # AWS access key id: 16 of base 32
    rb"|gh[pousr]_[A-Za-z0-9]{36,251}"  # GitHub
    rb"|github_pat_[A-Za-z0-9_]{82}"
    rb"|glpat-[A-Za-z0-9_-]{20,300}"  # GitLab
    rb"|xox[abeoprs]-(?=[A-Za-z-]*[0-9])[A-Za-z0-9-]{10,250}"  # Slack
    rb"|xapp-[0-9]-[A-Za-z0-9-]{20,250}"
    rb"|AIza[A-Za-z0-9_-]{35}"  # Google
    rb"|[sr]k_live_[A-Za-z0-9]{20,247}"  # Stripe
    rb"|npm_[A-Za-z0-9]{36}"
    rb"|hf_[A-Za-z0-9]{34}"  # Hugging Face
    rb"|SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"  # SendGrid
    rb"|sk-(?:[a-z]+[0-9]*-){0,3}(?=[A-Za-z0-9_-]{0,40}[0-9])(?=[A-Za-z0-9_-]{0,40}[A-Z])"
    rb"(?=[A-Za-z0-9_-]{0,40}[a-z])[A-Za-z0-9_-]{20,250}"  # OpenAI, Anthropic and others
    rb"|eyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{20,2000}"  # JWT
    rb")" + _EDGE
)
_SENDGRID: Final = b"SG."  # its dot ends the run, so the window begins behind it
_PEM_BEGIN: Final = rb"-----BEGIN (?P<label>(?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?)-----"
_PEM: Final = re.compile(
    _PEM_BEGIN + rb"(?P<body>(?:[^-]|-(?!----)){64,20000})-----END (?P=label)-----"
)
_PEM_CUT_OFF: Final = re.compile(_PEM_BEGIN + rb"(?P<body>(?:\s+[A-Za-z0-9+/=]{16,})+)")
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/]{40}")
_NAME: Final = re.compile(
    rb"(?:api[_ .-]?key|apikey|secret(?:[_ -]?(?:access)?[_ -]?key)?|access[_ -]?key|"
    rb"client[_ -]?secret|(?:auth|access|bearer|refresh|bot|api)[_ -]?token|token|private[_ -]?key|"
    rb"passw(?:or)?d|passwd|pwd|auth[_ -]?key)"
    rb"[\"'`*]{0,3}\s{0,3}(?::=|=>|[:=])\s{0,3}[\"'`]?$",
    re.IGNORECASE,
)
_VALUE: Final = re.compile(rb"[A-Za-z0-9_+/=.~-]*[A-Za-z0-9=]")
_VALUE_BYTES: Final = string.ascii_letters.encode() + string.digits.encode() + b"_+/.~-"
_CODE_AFTER: Final = re.compile(rb"\s{0,1}[(\[{]|::|->")
_DIGITS: Final = re.compile(rb"[0-9]+")
_WORDS: Final = re.compile(rb"(?:^|(?<=[_.~-]))[A-Za-z][a-z]{2,}(?=[_.~-]|$)")
_PLACEHOLDER: Final = re.compile(
    rb"your|example|placeholder|change.?me|sample|dummy|x{4}|\.{3}|1234567890|abcdef", re.IGNORECASE
)
_ETHEREUM: Final = re.compile(rb"0x[0-9a-fA-F]{40}")
_MIN_VALUE: Final = 16
_MIN_BITS: Final = 3.0
_MAX_REACH: Final = 20_000
BEFORE: Final = 64
"""Bytes before a window that the name of a secret may take."""


def find_key(text: memoryview, start: int, end: int) -> tuple[int, int] | None:
    """Finds the key that a run of letters and digits begins, is, or ends.

    Args:
        text: UTF-8 bytes of the whole text.
        start: First byte of the run.
        end: The byte after its last.

    Returns:
        Bytes [start, end) of the text, or None.
    """
    before = bytes(text[max(0, start - BEFORE) : start])
    run = bytes(text[start:end])
    if run == b"-----BEGIN":
        return _pem(text, start)
    if before.endswith(_SENDGRID):
        start, before = start - len(_SENDGRID), before[: -len(_SENDGRID)]
    if not before[-1:].isalnum():
        found = _VENDORS.match(bytes(text[start : start + _reach(run)]))
        if found:
            return start, start + found.end()
    return _assigned(text, start, before)


def _reach(run: bytes) -> int:
    """Bytes that a vendor's key may take; JWTs go on behind the dots of their run."""
    return 8192 if run.startswith(b"eyJ") else 512


def _pem(text: memoryview, start: int) -> tuple[int, int] | None:
    block = bytes(text[start : start + _MAX_REACH])
    found = _PEM.match(block) or _PEM_CUT_OFF.match(block)
    if found is None or not _BASE64.search(found["body"]):
        return None
    return start, start + found.end()


def _assigned(text: memoryview, start: int, before: bytes) -> tuple[int, int] | None:
    """The value around a run, where it is a random one that was given to a name of a secret."""
    lead = len(before) - len(before.rstrip(_VALUE_BYTES))  # `+` or `/` may divide a value
    first = start - lead
    if not _NAME.search(before[: len(before) - lead]):
        return None
    tail = bytes(text[first : first + 512])
    value = _VALUE.match(tail)
    if value is None or _CODE_AFTER.match(tail, value.end()):
        return None
    return (first, first + value.end()) if _is_random(value[0]) else None


def _is_random(value: bytes) -> bool:
    if len(value) < _MIN_VALUE or _PLACEHOLDER.search(value) or _ETHEREUM.fullmatch(value):
        return False
    if len(_WORDS.findall(value)) > 1:
        return False
    is_mixed = len(_DIGITS.findall(value)) >= 2 and any(byte > 0x39 for byte in value)
    return is_mixed and _bits(value) >= _MIN_BITS


def _bits(value: bytes) -> float:
    """Shannon entropy of the bytes of a value, in bits a byte."""
    shares = [count / len(value) for count in Counter(value).values()]
    return -sum(share * math.log2(share) for share in shares)

"""Keys and secrets: what a vendor marks as such, and random values given to names of secrets.

A vendor's pattern is taken wherever it stands alone. Tokens of GitHub and npm carry a CRC-32 in
base 62 and count only where it is right: the others open nothing. Values that say `EXAMPLE`
(AKIAIOSFODNN7EXAMPLE of AWS's documentation) or `xxxxx` are left alone; other examples of a vendor
cannot be told from keys and are taken, keys of a test mode too. Without a vendor, a value counts
when

- it is assigned (`=`, `:`, `=>`) to a name such as `api_key`, `secret`, `token` or `password`,
- it has 16 characters or more, digits in at least two places, letters, at most one word between
  `_`, `.` or `-`, and
- its characters carry 3 bits each or more (Shannon entropy within the value): 20 random hexadecimal
  digits have 3.3 on average, and what people repeat or count on their fingers has less.

Short or speakable passwords are therefore left out; so are values that a call or an attribute
follows (`token = decode_v2_token(x)`) and Ethereum addresses. A PEM block is one span, from BEGIN
to END, or as far as lines of base 64 go, and counts where there is a key in it.

Sources of the patterns: AWS IAM user guide, "Unique identifiers" (AKIA, ASIA); GitHub, "Behind
GitHub's new authentication token formats" (2021) and its docs on token types; GitHub changelog,
"npm has a new access token format" (2021); GitLab docs, "Token overview"; Slack docs, "Token types"
and "Incoming webhooks"; Google Cloud docs on API keys and OAuth 2.0; Microsoft Purview, "Azure
Storage account key", "Azure AD client secret" and "Azure Shared Access Signature"; Stripe docs,
"API keys" and "Webhooks"; PyPI help, "API tokens", and libmacaroons' format 2; Hugging Face docs,
"User access tokens"; Twilio docs, "API keys"; SendGrid, Mailgun, DigitalOcean, Shopify, Databricks,
Telegram and Discord docs on their tokens; the prefixes that OpenAI and Anthropic print in their
consoles; RFC 7519 (JWT); RFC 7468 (PEM).
"""

import math
import re
import string
import zlib
from collections import Counter
from typing import Final

_EDGE: Final = rb"(?![A-Za-z0-9_-])"
_VENDORS: Final = re.compile(
    rb"(?:"
    rb"A(?:KIA|SIA)[A-Z2-7]{16}"  # AWS access key id: 16 of base 32
    rb"|gh[pousr]_[A-Za-z0-9]{36,251}"  # GitHub
    rb"|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"
    rb"|gl(?:pat|rt|dt|ptt|ft|cbt|soat|imt|agent|oas)-[A-Za-z0-9_-]{20,300}"  # GitLab
    rb"|xox[abeoprs]-(?=[A-Za-z-]*[0-9])[A-Za-z0-9-]{10,250}"  # Slack
    rb"|xapp-[0-9]-[A-Za-z0-9-]{20,250}"
    rb"|AIza[A-Za-z0-9_-]{35}"  # Google
    rb"|GOCSPX-[A-Za-z0-9_-]{28}"
    rb"|[sr]k_(?:live|test)_[A-Za-z0-9]{20,247}"  # Stripe
    rb"|whsec_[A-Za-z0-9+/]{32,64}"
    rb"|npm_[A-Za-z0-9]{36}"
    rb"|pypi-AgE[A-Za-z0-9_-]{50,1000}"  # a macaroon: version 2, location of 8 letters
    rb"|hf_[A-Za-z0-9]{34}"  # Hugging Face
    rb"|SK[0-9a-f]{32}"  # Twilio
    rb"|SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"  # SendGrid
    rb"|key-[0-9a-f]{32}"  # Mailgun
    rb"|do[opr]_v1_[0-9a-f]{64}"  # DigitalOcean
    rb"|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"  # Shopify
    rb"|dapi[0-9a-f]{32}(?:-[0-9])?"  # Databricks
    rb"|sk-(?:[a-z]+[0-9]*-){0,3}(?=[A-Za-z0-9_-]{0,40}[0-9])(?=[A-Za-z0-9_-]{0,40}[A-Z])"
    rb"(?=[A-Za-z0-9_-]{0,40}[a-z])[A-Za-z0-9_-]{20,250}"  # OpenAI, Anthropic and others
    rb"|eyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{20,2000}"  # JWT
    rb")" + _EDGE
)
_CHECKED: Final = re.compile(rb"(?:gh[pousr]|npm)_(?P<random>[A-Za-z0-9]{30})(?P<check>.{6})")
_NO_SECRET: Final = re.compile(rb"x{5}|example|placeholder|your[_-]", re.IGNORECASE)
_SENDGRID: Final = b"SG."  # its dot ends the run, so the window begins behind it
# Where the sign before a run belongs to the value: what stands before it, and the run.
_LEADS: Final = tuple(
    (re.compile(before + rb"$"), re.compile(value + _EDGE))
    for before, value in (
        (rb"(?<![A-Za-z0-9])(?P<value>ya29\.)", rb"[A-Za-z0-9_-]{30,500}"),  # Google OAuth
        (rb"(?<![A-Za-z0-9])(?P<value>1//)", rb"0[A-Za-z0-9_-]{40,200}"),
        (rb"(?<![A-Za-z0-9])(?:bot)?(?P<value>[0-9]{8,10}:)", rb"AA[A-Za-z0-9_-]{33}"),  # Telegram
        (rb"(?<![\w~.-])(?P<value>[\w~.-]{3}[0-9]Q~)", rb"[\w~.-]{31,34}"),  # Azure
        (rb"[?&;]sig=(?P<value>)", rb"[A-Za-z0-9%]{43,63}%3[Dd]"),  # Azure SAS
        (
            rb"hooks\.slack\.com/services/(?P<value>T[A-Z0-9]{8,12}/B[A-Z0-9]{8,12}/)",
            rb"[A-Za-z0-9]{20,30}",
        ),
        (rb"discord(?:app)?\.com/api/webhooks/[0-9]{17,20}/(?P<value>)", rb"[\w-]{60,80}"),
    )
)
_LEAD_SIGNS: Final = b"./:~="
_PEM_BEGIN: Final = rb"-----BEGIN (?P<label>(?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?)-----"
_PEM: Final = re.compile(
    _PEM_BEGIN + rb"(?P<body>(?:[^-]|-(?!----)){64,20000})-----END (?P=label)-----"
)
_PEM_CUT_OFF: Final = re.compile(_PEM_BEGIN + rb"(?P<body>(?:\s+[A-Za-z0-9+/=]{16,})+)")
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/]{40}")
_NAME: Final = re.compile(
    rb"(?:api[_ .-]?key|apikey|secret(?:[_ -]?(?:access)?[_ -]?key)?|access[_ -]?key|"
    rb"client[_ -]?secret|(?:auth|access|bearer|refresh|bot|api)[_ -]?token|token|private[_ -]?key|"
    rb"account[_ -]?key|shared[_ -]?access[_ -]?key|passw(?:or)?d|passwd|pwd|auth[_ -]?key)"
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
_BASE62: Final = (string.digits + string.ascii_uppercase + string.ascii_lowercase).encode()
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
            return (start, start + found.end()) if _may_be_secret(found[0]) else None
        if before[-1:] and before[-1:] in _LEAD_SIGNS:
            led = _led(text, start, before)
            if led:
                return led
    return _assigned(text, start, before)


def _may_be_secret(key: bytes) -> bool:
    """Whether a vendor's key is no example, and its checksum right where it has one."""
    if _NO_SECRET.search(key):
        return False
    checked = _CHECKED.fullmatch(key)
    return checked is None or _base62(zlib.crc32(checked["random"])) == checked["check"]


def _base62(value: int) -> bytes:
    """Six digits of base 62."""
    digits = bytearray()
    for _ in range(6):
        value, digit = divmod(value, 62)
        digits.append(_BASE62[digit])
    return bytes(reversed(digits))


def _led(text: memoryview, start: int, before: bytes) -> tuple[int, int] | None:
    """A key whose first characters stand before the run, or which its place in a URL makes one."""
    rest = bytes(text[start : start + 512])
    for lead, value in _LEADS:
        found = lead.search(before)
        key = value.match(rest) if found else None
        if found and key:
            return start - len(found["value"]), start + key.end()
    return None


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

"""E-mail addresses in their practical form: `local@domain.tld`, plain or internationalized.

RFC 5321 and 5322 allow more than people write. Here the local part has letters, digits and
`. _ % + - '`, at most 64 bytes, no two dots together; the domain has labels of RFC 1035 and ends
in a name of the root zone (`tlds.txt`), which is what tells an address from `icon@2x.png`,
`object@slot.value` and `user@localhost`. Letters of U+00C0 to U+053F count as letters (RFC 6531);
those of scripts written without spaces do not, so that a Chinese sentence may touch an address.

Example domains (RFC 2606: example.com, anything below `.example`) are addresses too: nobody can
say that a page did not mean a person by one, and a model learns nothing from it.

Left out: `name (at) host`, `name%40host` and other disguises; addresses without a domain name
(`user@[192.0.2.1]`); passwords of URLs (`ftp://user:pass@host.tld`) and `git@host.tld:path`, which
look like addresses and are not; handles of the fediverse (`@user@host.tld`).
"""

import functools
import re
from pathlib import Path
from typing import Final

TLDS: Final = Path(__file__).with_name("tlds.txt")
"""Names of the root zone in March 2026 (IANA root zone database), Unicode forms included."""

_EXAMPLE: Final = "example"  # RFC 2606, section 2
# Without U+0300 to U+036F: a combining mark belongs to the letter before it, not to an address.
_LETTERS: Final = "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u053f"
_LOCAL: Final = rf"[{_LETTERS}0-9_](?:[{_LETTERS}0-9_%+'-]|\.(?!\.))*(?<![.'])"
_LABEL: Final = rf"[{_LETTERS}0-9](?:[{_LETTERS}0-9-]{{0,61}}[{_LETTERS}0-9])?"
_ADDRESS: Final = re.compile(rf"(?P<local>{_LOCAL})@(?P<domain>{_LABEL}(?:\.{_LABEL})+)")
_URL_PASSWORD: Final = re.compile(rb"://[^\s/?#@]*:[^\s/?#@]*$")
_GLUED: Final = re.compile(r"(?<=^com|^net|^org|^edu|^gov)[A-Z].*$")
_MAX_LOCAL_BYTES: Final = 64  # RFC 5321, 4.5.3.1.1
_NOT_PERSONS: Final = ("git", "hg", "svn")  # user names of version control over SSH


@functools.cache
def _top_level_domains() -> frozenset[str]:
    names = set(TLDS.read_text(encoding="utf-8").split()) | {_EXAMPLE}
    return frozenset(
        names | {f"xn--{n.encode('punycode').decode()}" for n in names if not n.isascii()}
    )


def find_email(window: bytes, before: bytes) -> tuple[int, int] | None:
    """Finds the address around the one `@` of a window.

    Args:
        window: Bytes around an `@` that an address may have.
        before: What stands before the window in the text, up to some 64 bytes.

    Returns:
        Bytes [start, end) of the window, or None.
    """
    text = window.decode("utf-8", "replace")
    at = text.index("@")
    # Longest possible local part first: whatever precedes it (quotes, dots) is left outside.
    found = _ADDRESS.search(text)
    if found is None or found.start("domain") != at + 1:
        return None
    local, domain = found["local"], _trimmed(found["domain"])
    start = len(text[: found.start()].encode())
    size = len(local.encode())
    if not domain or size > _MAX_LOCAL_BYTES or (before[-1:] == b"@" and not start):
        return None
    if local in _NOT_PERSONS or _URL_PASSWORD.search(before + window[:start]):
        return None
    return start, start + size + 1 + len(domain.encode())


def _trimmed(domain: str) -> str:
    """The domain up to a name of the root zone; empty where it ends in none.

    Text that extraction glued to it is dropped: `me@host.com.Please write`, `me@host.comPlease`.
    """
    labels = domain.split(".")
    labels[-1] = _GLUED.sub("", labels[-1])
    if not _is_top_level(labels[-1]) and labels[-1][0].isupper():
        labels.pop()
    return ".".join(labels) if len(labels) > 1 and _is_top_level(labels[-1]) else ""


def _is_top_level(label: str) -> bool:
    return label.lower() in _top_level_domains()

"""One written form for hosts and URLs, so that a list's entry and a document's URL can be compared.

The form is `host` or `host/path?query`: lower case, without scheme, user, port, fragment, a final
dot of the host or a final slash. `www.` stays: an entry `example.com` has `www.example.com` below
it, and `www.com` is a host of its own. A backslash is a slash, as browsers read it (URL Standard of
WHATWG, 4.4), and the user ends at the last `@`. Hosts outside ASCII become punycode (UTS 46 and
RFC 5891, by the library `idna`), IPv6 addresses have their short form (RFC 5952).

Case is dropped in paths too: an entry that differs from a page's URL by case alone is meant for
that page nearly always, and a server that tells them apart is rare.
"""

import ipaddress
from typing import Any, Final

import idna
import pyarrow as pa
import pyarrow.compute as pc

_URL: Final = (
    r"^(?:[a-z][a-z0-9+.\-]*:)?//(?:[^/?#]*@)?(?P<host>\[[0-9a-f:.]+\]|[^/?#:\[\]]+)"
    r"(?::[0-9]*)?(?P<rest>[^#]*)"
)
_HOST: Final = (
    r"^(?:[a-z0-9_](?:[a-z0-9_\-]{0,61}[a-z0-9_])?\.)*[a-z0-9](?:[a-z0-9_\-]{0,61}[a-z0-9_])?$"
    r"|^\[[0-9a-f:.]+\]$"
)
_NOT_ASCII: Final = r"[^\x00-\x7f]"

Strings = Any  # pa.LargeStringArray; pyarrow has no types


def comparable_urls(urls: Strings) -> Strings:
    """Puts URLs into the form that is compared.

    Args:
        urls: large_string or string, nulls allowed.

    Returns:
        large_string of the same length; null where there is no URL with a host (`file.html`,
        `mailto:x`, a host that no DNS name can be).
    """
    lowered = pc.utf8_lower(pc.utf8_trim_whitespace(urls.cast(pa.large_string())))
    parts = pc.extract_regex(pc.replace_substring(lowered, "\\", "/"), _URL)
    hosts = _shortened(_punycode(pc.utf8_rtrim(pc.struct_field(parts, "host"), ".")))
    rest = pc.utf8_rtrim(pc.struct_field(parts, "rest"), "/")
    slash = pc.if_else(pc.starts_with(rest, "?"), _large("/"), _large(""))
    joined = pc.binary_join_element_wise(hosts, slash, rest, _large(""))
    return pc.if_else(is_host(hosts), joined, _large(None))


def comparable_entries(entries: Strings) -> Strings:
    """Puts the hosts and URLs of a list (`host`, `host/path`, `scheme://host/path`) into the form.

    Args:
        entries: large_string without nulls, lower case, without space at the ends.

    Returns:
        large_string of the same length; null where the entry names no host.
    """
    has_scheme = pc.match_substring_regex(entries, r"^[a-z][a-z0-9+.\-]*://")
    return comparable_urls(
        pc.if_else(
            has_scheme, entries, pc.binary_join_element_wise(_large("//"), entries, _large(""))
        )
    )


def is_host(hosts: Strings) -> Any:  # noqa: ANN401 - a pa.BooleanArray
    """Whether each is a host name in ASCII or an IP address; false for null."""
    return pc.fill_null(pc.match_substring_regex(hosts, _HOST), False)


def _large(value: str | None) -> Any:  # noqa: ANN401 - a pa.Scalar
    return pa.scalar(value, pa.large_string())


def _punycode(hosts: Strings) -> Strings:
    """ASCII forms of hosts; null where there is none."""
    foreign = pc.fill_null(pc.match_substring_regex(hosts, _NOT_ASCII), False)
    if not pc.any(foreign).as_py():
        return hosts
    encoded = [_encode(host) for host in hosts.filter(foreign).to_pylist()]
    return pc.replace_with_mask(hosts, foreign, pa.array(encoded, pa.large_string()))


def _shortened(hosts: Strings) -> Strings:
    """IPv6 addresses in their short form, and null for what is in brackets and is none."""
    bracketed = pc.fill_null(pc.starts_with(hosts, "["), False)
    if not pc.any(bracketed).as_py():
        return hosts
    short = [_address(host) for host in hosts.filter(bracketed).to_pylist()]
    return pc.replace_with_mask(hosts, bracketed, pa.array(short, pa.large_string()))


def _address(host: str) -> str | None:
    try:
        return f"[{ipaddress.IPv6Address(host[1:-1])}]"
    except ValueError:
        return None


def _encode(host: str) -> str | None:
    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError:
        return None

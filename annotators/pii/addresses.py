"""Public IP addresses of version 4 and 6.

Only addresses that can lead to somebody count: not those of the IANA special-purpose registries
(private, loopback, link-local, shared, documentation, benchmarking, multicast, reserved; RFC 6890
and later). The tables stand here because `ipaddress.is_global` differs between patch releases of
Python, and the same text must get the same labels.

Four numbers between dots are also a version or a section. A group is taken for that, and left
alone, when

- a letter, `-`, `_`, `.` or a single `/` touches it (`v1.2.3.4`, `Chrome/9.1.2.3`, `1.2.3.4.5`);
- a word such as `version`, `build`, `firmware` or `section` stands before it;
- a capitalized word that is not of networks stands before it (`Skype 7.40.0.103`);
- all four numbers have one digit, unless a word such as `IP` or `server`, or `//`, stands before.

A version 6 address begins in global unicast space, 2000::/3, with all four digits, so that `ab::cd`
of a programming language and times of day are none.
"""

import ipaddress
import re
from typing import Final

from annotators.pii.windows import Window

_NETWORKS_4: Final = (
    "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 "
    "192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 "
    "224.0.0.0/4 240.0.0.0/4"
)
_NETWORKS_6: Final = "2001::/23 2001:db8::/32 3fff::/20"
_SPECIAL_4: Final = tuple(ipaddress.IPv4Network(one) for one in _NETWORKS_4.split())
_SPECIAL_6: Final = tuple(ipaddress.IPv6Network(one) for one in _NETWORKS_6.split())
_GLOBAL_6: Final = ipaddress.IPv6Network("2000::/3")  # RFC 4291, section 2.4

_QUAD: Final = re.compile(
    r"(?<![\w.-])(?<!(?<!/)/)(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?!\.?\w)(?!-\w)(?! ?[章节節条條項])",
    re.ASCII,
)
_VERSION: Final = re.compile(
    r"(?:\b(?:v|ver|vers|version|versión|versão|versione|версия|release|rel|revision|rev|build|"
    r"firmware|driver|bios|update|upgrade|patch|player|kernel|section|sect?|chapter|clause|"
    r"article|figure|fig|table|tab|appendix|item|rule|step|exercise|theorem|lemma|oid|act|verse|ec)s?"
    r"|版本|第|버전|バージョン|§)[.:]?\s*[\"'(#=]?\s*$",
    re.IGNORECASE,
)
_NETWORK: Final = re.compile(
    r"(?://|\b(?:ips?|ipv4|address(?:es)?|server|host|dns|ping|proxy|gateway|router|from|to|"
    r"nameserver|traceroute|connect(?:ed)?|client|user|peer|node|inet|addr)\b\W{0,3}(?:is\W)?)$",
    re.IGNORECASE,
)
_CAPITALIZED: Final = re.compile(r"\b[A-Z]\w*[a-z]\w* $")


def find_ipv4(window: Window) -> list[tuple[int, int]]:
    """Finds public IPv4 addresses.

    Args:
        window: Digits and what stands around them.

    Returns:
        Characters [start, end) of `window.plain`, in order.
    """
    if window.plain.count(".", window.start, window.end) < 3:
        return []
    matches = _QUAD.finditer(window.plain, window.start, len(window.plain))
    return [
        found.span()
        for found in matches
        if found.end() <= window.end and _is_public_4(found[0], window.plain[: found.start()])
    ]


def _is_public_4(text: str, before: str) -> bool:
    try:
        address = ipaddress.IPv4Address(text)  # refuses numbers above 255 and leading zeros
    except ValueError:
        return False
    if any(address in network for network in _SPECIAL_4):
        return False
    if _NETWORK.search(before):
        return True
    is_version = len(text) == 7 or _VERSION.search(before) or _CAPITALIZED.search(before)
    return not is_version


def find_ipv6(run: str, before: str, after: str) -> tuple[int, int] | None:
    """Finds a public IPv6 address.

    Args:
        run: Hexadecimal digits and colons without a gap.
        before: The character before it, if any.
        after: The two characters after it, if any.

    Returns:
        Characters [start, end) of `run`, or None.
    """
    text = run.removesuffix(":") if run[-2:] != "::" else run
    if text.endswith("::") and after[:1] != "/":  # a year before a block of reStructuredText
        return None
    is_cut = after[:1].isalnum() or after[:1] == "_" or (after[:1] == "." and after[1:].isdigit())
    if before.isalnum() or before in {"_", "."} or is_cut:
        return None
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return None
    if address not in _GLOBAL_6 or any(address in network for network in _SPECIAL_6):
        return None
    return 0, len(text)

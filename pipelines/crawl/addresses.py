"""Which network addresses may be connected to, and the resolver that holds to it.

A crawler that follows links of strangers must not be led into the network it runs in: cloud
metadata at 169.254.169.254, an intranet, a database on loopback. Names are resolved once for each
host of a part, the addresses are checked, and it is those very addresses that are connected to, so
that a second answer of the name server (DNS rebinding) changes nothing.

Refused are all but globally reachable unicast addresses (IANA special-purpose registries, RFC 6890,
as the standard library's `ipaddress` has them, and a few that it lacks in some versions or that
only look public). IPv6 addresses that carry an IPv4 address are
judged by that one: mapped (RFC 4291 2.5.5.2), compatible (2.5.5.1), 6to4 (RFC 3056), NAT64
(RFC 6052).
"""

import asyncio
import ipaddress
import socket
from concurrent.futures import Executor
from functools import partial
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")
_REFUSED: Final = tuple(
    map(
        ipaddress.ip_network,
        (
            "192.0.0.0/24",  # IETF protocol assignments (RFC 6890); Oracle Cloud's metadata
            "192.88.99.0/24",  # relays of 6to4, deprecated (RFC 7526)
            "168.63.129.16/32",  # Azure's platform, reached from its virtual machines alone
            "64:ff9b:1::/48",  # local NAT64 (RFC 8215)
            "3fff::/20",  # documentation (RFC 9637)
            "5f00::/16",  # segment routing (RFC 9602)
        ),
    )
)


class PrivateAddress(Exception):
    """A host has no address that may be connected to."""


def address_of(text: str) -> Address | None:
    """The IP address that a host is written as (IPv6 without brackets), or None for a name."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def is_public(address: Address) -> bool:
    """Whether an address is a globally reachable unicast address.

    >>> is_public(ipaddress.ip_address("::ffff:10.0.0.1"))
    False
    """
    if isinstance(address, ipaddress.IPv6Address):
        carried = _carried(address)
        if carried is not None:
            return is_public(carried)
        if address.is_site_local:
            return False
    if any(address in network for network in _REFUSED):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _carried(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address inside an IPv6 address."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def parse_endpoint(text: str) -> tuple[str, int]:
    """Address and port of `127.0.0.1:8080` or `[::1]:8080`.

    Raises:
        ValueError: It is neither.
    """
    host, colon, port = text.rpartition(":")
    address = address_of(host.removeprefix("[").removesuffix("]"))
    if not colon or address is None or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(
            f"found {text!r}; allowed: an IP address and a port, such as 127.0.0.1:8080 or "
            "[::1]:8080"
        )
    return str(address), int(port)


class CheckedResolver(AbstractResolver):
    """Resolves one host, to addresses that may be connected to.

    Args:
        allow_private: The host may have a private address.
        endpoint: (address, port) that stands for the host whatever the name servers say.
        threads: Where the system's resolver is waited for. The event loop's own few threads would
            be used up by a handful of names that nobody answers for.
    """

    def __init__(
        self,
        *,
        allow_private: bool,
        endpoint: tuple[str, int] | None = None,
        threads: Executor | None = None,
    ) -> None:
        self._allow_private = allow_private
        self._endpoint = endpoint
        self._threads = threads
        self._addresses: list[str] | None = None

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Addresses of the host, in the system's order of preference.

        Raises:
            OSError: It has none.
            PrivateAddress: All that it has are refused.
        """
        if self._addresses is None:
            self._addresses = await self._look_up(host, port)
        port = self._endpoint[1] if self._endpoint else port
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._addresses
        ]

    async def close(self) -> None:
        """Holds nothing open."""

    async def _look_up(self, host: str, port: int) -> list[str]:
        if self._endpoint:
            found = [self._endpoint[0]]
        else:
            loop = asyncio.get_running_loop()
            look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
            infos = await loop.run_in_executor(self._threads, look_up)
            found = list(dict.fromkeys(str(info[4][0]) for info in infos))
        kept = [text for text in found if self.may_connect(text)]
        if not kept:
            raise PrivateAddress(f"{host} is at {', '.join(found)}, which is no public address")
        return kept

    def may_connect(self, text: str) -> bool:
        """Whether an address may be connected to."""
        address = address_of(text)
        return self._allow_private or (address is not None and is_public(address))

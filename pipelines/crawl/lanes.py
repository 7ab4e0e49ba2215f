"""Lanes: one for each host of a part, through which all requests to it pass, one at a time.

A lane holds the host's one connection, its lock and its pace. Whoever wants something of a host,
its own visitor or that of another host whose robots.txt lies here, waits for the lane. How long
answers take, and whether the host is busy, is told to the pace here, request by request.
"""

import asyncio
import socket
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, Final

import aiohttp

from pipelines.crawl.addresses import CheckedResolver, PrivateAddress, address_of, parse_endpoint
from pipelines.crawl.exchange import (
    BUSY_STATUS,
    MAX_FIELD_BYTES,
    MAX_FIELDS,
    Exchange,
    Limits,
    NotFetched,
    exchange,
)
from pipelines.crawl.pace import Pace

ACCEPT: Final = "text/html,application/xhtml+xml,application/pdf,text/plain;q=0.9,*/*;q=0.1"
ACCEPT_ENCODING: Final = "gzip, br"
_NAME_THREADS: Final = 64  # the hosts of a part; they are made as they are needed


class Lane:
    """All requests to one host.

    Args:
        host: Its name or address, in canonical form.
        headers: Sent with every request.
        allow_private: It may have a private address.
        endpoint: `address:port` that stands for it, or None.
        timeout_s: Seconds of a request.
        delay_s: Least seconds between the end of a request and the next one.
        threads: For the names of hosts.
    """

    def __init__(
        self,
        host: str,
        *,
        headers: dict[str, str],
        allow_private: bool,
        endpoint: str | None,
        timeout_s: float,
        delay_s: float,
        threads: Executor | None = None,
    ) -> None:
        self.host = host
        self.pace = Pace(delay_s)
        self._headers = headers
        self._timeout_s = timeout_s
        place = parse_endpoint(endpoint) if endpoint else None
        self._resolver = CheckedResolver(
            allow_private=allow_private, endpoint=place, threads=threads
        )
        self._lock = asyncio.Lock()
        self._free_at = 0.0
        self._session: aiohttp.ClientSession | None = None
        self._connected_to = ""

    async def get(self, url: str, limits: Limits) -> Exchange:
        """Asks for an address of the host when its turn has come.

        Raises:
            NotFetched: There is no answer to keep.
        """
        loop = asyncio.get_running_loop()
        async with self._lock:
            await asyncio.sleep(max(0.0, self._free_at - loop.time()))
            try:
                made = await exchange(
                    self._open(),
                    url,
                    limits,
                    timeout_s=self._timeout_s,
                    connected_to=lambda: self._connected_to,
                )
                self.pace.answered(made.seconds)
                return made
            except NotFetched as error:
                if error.status in BUSY_STATUS:
                    self.pace.refused(error.retry_after_s)
                elif error.status is not None:
                    self.pace.answered(error.seconds)
                raise
            finally:
                self.hold(self.pace.pause_s)

    def hold(self, seconds: float) -> None:
        """Lets nobody ask for some seconds, from now."""
        self._free_at = max(self._free_at, asyncio.get_running_loop().time() + seconds)

    async def close(self) -> None:
        """Ends the connection."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                resolver=self._resolver,
                use_dns_cache=False,  # the resolver keeps what it checked
                limit=1,
                happy_eyeballs_delay=None,  # one address after the other: the last is the one used
                socket_factory=self._socket,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                headers=self._headers,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),  # `exchange` keeps the time
                auto_decompress=False,
                max_line_size=MAX_FIELD_BYTES,
                max_field_size=MAX_FIELD_BYTES,
                max_headers=MAX_FIELDS,
                trust_env=False,  # a proxy would connect to what was not checked
            )
        return self._session

    def _socket(self, info: tuple[Any, ...]) -> socket.socket:
        """The one place where connections begin: also of a host that is written as an address."""
        family, kind, protocol, _, endpoint = info
        address = str(endpoint[0])
        if not self._resolver.may_connect(address):
            raise PrivateAddress(f"{self.host} is no public address")
        self._connected_to = str(address_of(address) or address)
        return socket.socket(family=family, type=kind, proto=protocol)


class Lanes:
    """The lanes of a part, made when they are first needed."""

    def __init__(
        self,
        *,
        headers: dict[str, str],
        allow_private: frozenset[str],
        connect: dict[str, str],
        timeout_s: float,
        delay_s: float,
    ) -> None:
        self._headers = headers
        self._allow_private = allow_private
        self._connect = connect
        self._timeout_s = timeout_s
        self._delay_s = delay_s
        self._lanes: dict[str, Lane] = {}
        self._threads = ThreadPoolExecutor(_NAME_THREADS, "names")

    def of(self, host: str) -> Lane:
        """The lane of a host."""
        if host not in self._lanes:
            self._lanes[host] = Lane(
                host,
                headers=self._headers,
                allow_private=host in self._allow_private,
                endpoint=self._connect.get(host),
                timeout_s=self._timeout_s,
                delay_s=self._delay_s,
                threads=self._threads,
            )
        return self._lanes[host]

    async def close(self) -> None:
        """Ends all connections."""
        for lane in self._lanes.values():
            await lane.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

"""A web of made-up pages on loopback, for `crawl.py`: many hosts, one small process.

    python crawl_server.py HOSTS FAN_OUT DEPTH PAGE_BYTES

Host n is the address 127.0.1.n (RFC 1122 3.2.1.3: all of 127/8 is loopback), so that a crawler sees
different hosts without a name server. Each host is a tree: the page of a path links to FAN_OUT
pages below it, DEPTH levels deep, and to its parent and root. robots.txt is there, all else is 404.
Bodies are of random words, different for each page, and do not compress better than text does. The
port stands in the first line of the output; the process ends when its standard input does.
"""

import asyncio
import random
import sys
from functools import lru_cache
from typing import Final

_ROBOTS: Final = b"User-agent: *\nDisallow: /private/\n"
_WORDS: Final = 20_000
_LETTERS: Final = "etaoinshrdlcumwfgypbvk"


def address(number: int) -> str:
    """Address of a host, from 0."""
    return f"127.0.{1 + number // 250}.{1 + number % 250}"


def num_pages(fan_out: int, depth: int) -> int:
    """Pages of a host."""
    return sum(fan_out**level for level in range(depth + 1))


class Site:
    """The pages of all hosts."""

    def __init__(self, fan_out: int, depth: int, page_bytes: int) -> None:
        chance = random.Random(1)
        self._words = [
            "".join(chance.choices(_LETTERS, k=chance.randint(2, 9))) for _ in range(_WORDS)
        ]
        self._fan_out, self._depth, self._bytes = fan_out, depth, page_bytes
        self.page = lru_cache(maxsize=None)(self._page)

    def _page(self, path: str) -> bytes | None:
        """A page; None where there is none. Made once, for the server must not be what is timed."""
        if path == "/robots.txt":
            return _ROBOTS
        steps = [step for step in path.split("/") if step]
        if len(steps) > self._depth or not all(self._is_step(step) for step in steps):
            return None
        base = path.rstrip("/")
        below = range(self._fan_out) if len(steps) < self._depth else ()
        links = ["/", "/".join(["", *steps[:-1]]) or "/", *(f"{base}/{n}" for n in below)]
        head = "".join(f'<li><a href="{link}">{link}</a></li>' for link in links)
        return f"<html><title>{path}</title><ul>{head}</ul>{self._text(path)}</html>".encode()

    def _is_step(self, step: str) -> bool:
        return step.isdecimal() and int(step) < self._fan_out

    def _text(self, path: str) -> str:
        chance = random.Random(path)
        paragraphs: list[str] = []
        size = 0
        while size < self._bytes:
            paragraphs.append(f"<p>{' '.join(chance.choices(self._words, k=80))}.</p>")
            size += len(paragraphs[-1])
        return "".join(paragraphs)


class Connection(asyncio.Protocol):
    """Answers GET after GET on one connection."""

    def __init__(self, site: Site) -> None:
        self._site, self._buffer = site, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answers whole requests."""
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode("latin-1")
            body = self._site.page(path)
            kind = b"text/plain" if path == "/robots.txt" else b"text/html; charset=utf-8"
            status = b"200 OK" if body is not None else b"404 Not Found"
            body = body or b""
            self._transport.write(
                b"HTTP/1.1 %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b"
                % (status, kind, len(body), body)
            )


async def _serve(hosts: int, site: Site) -> None:
    loop = asyncio.get_running_loop()
    first = await loop.create_server(lambda: Connection(site), address(0), 0)
    port = first.sockets[0].getsockname()[1]
    others = [address(number) for number in range(1, hosts)]
    if others:
        await loop.create_server(lambda: Connection(site), others, port)
    print(port, flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def main() -> None:
    hosts, fan_out, depth, page_bytes = map(int, sys.argv[1:])
    site = Site(fan_out, depth, page_bytes)
    paths = [""]
    for _ in range(depth + 1):
        for path in paths:
            site.page(path or "/")
        paths = [f"{path}/{n}" for path in paths for n in range(fan_out)]
    asyncio.run(_serve(hosts, site))


if __name__ == "__main__":
    main()

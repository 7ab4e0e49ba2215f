"""One HTTP request and its answer, and the many ways in which there is none.

The body is kept as it was sent but for its transfer encoding: content encodings are not undone, so
that the digests of the archive are those of the bytes that travelled. It is spooled to disk beyond
1 MiB, so that many hosts side by side do not add up in memory. What breaks a limit is thrown away
at once and the connection with it; half a page never passes for a page.
"""

import asyncio
import ssl
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import IO, Final

import aiohttp
from yarl import URL

from pipelines.crawl.addresses import PrivateAddress

REDIRECTS: Final = (301, 302, 303, 307, 308)
KEPT_STATUS: Final = (200, 203)
NOT_MODIFIED_STATUS: Final = 304
RETRIED_STATUS: Final = (429, 500, 502, 503, 504)
BUSY_STATUS: Final = (429, 503)
# Longer than browsers allow, for policies of many kilobytes are common; larger is `huge_header`.
MAX_FIELD_BYTES: Final = 64 << 10
MAX_FIELDS: Final = 256
_SPOOL_BYTES: Final = 1 << 20
_READ_BYTES: Final = 64 << 10
_MAX_MESSAGE: Final = 300
_HIDDEN: Final = b"X-Crawler-"
# aiohttp's parser wraps its LineTooLong into errors that only keep the text.
_HUGE_HEADER: Final = ("Got more than", "Too many headers")


class NotFetched(Exception):
    """There is no answer to keep.

    Args:
        reason: Entered into the fetches.
        message: What exactly was found.
        status: Of the answer, where there was one.
        is_passing: Another try may help.
        retry_after_s: Seconds after which the server wants to be asked again.
    """

    def __init__(
        self,
        reason: str,
        message: str = "",
        *,
        status: int | None = None,
        is_passing: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message or reason)
        self.reason = reason
        self.message = " ".join(message.split())[:_MAX_MESSAGE]  # aiohttp's have several lines
        self.status = status
        self.is_passing = is_passing
        self.retry_after_s = retry_after_s
        self.seconds = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an answer may be."""

    max_bytes: int
    """Of the body, as sent."""
    takes: Callable[[str | None], bool] | None = None
    """Whether a Content-Type is wanted; by default all are."""
    may_cut: bool = False
    """A longer body is cut at `max_bytes`, not refused."""
    conditions: tuple[tuple[str, str], ...] = ()
    """Request fields that ask whether anything has changed (RFC 9110 13.1); then 304 is an
    answer."""


@dataclass(slots=True, kw_only=True)
class Exchange:
    """A request and its answer; of a redirect without its body."""

    url: str
    status: int
    head: bytes
    """Status line and fields as they are archived, with the blank line behind them."""
    fields: list[tuple[str, str]]
    """Fields as sent, names in lower case."""
    request: bytes
    """The request, with the blank line behind it."""
    body: IO[bytes]
    num_bytes: int
    address: str
    date: datetime
    seconds: float = 0.0
    """From the request to the end of the body."""
    is_cut: bool = False
    """The body went on."""

    def field(self, name: str) -> str | None:
        """The first value of a field, by its lower-case name."""
        return next((value for key, value in self.fields if key == name), None)

    def all_fields(self, name: str) -> list[str]:
        """All values of a field."""
        return [value for key, value in self.fields if key == name]


async def exchange(
    session: aiohttp.ClientSession,
    url: str,
    limits: Limits,
    *,
    timeout_s: float,
    connected_to: Callable[[], str],
) -> Exchange:
    """Asks for an address once.

    Args:
        session: Of the host.
        url: In canonical form; sent as it is.
        limits: What the answer may be.
        timeout_s: Seconds for all of it, the body included.
        connected_to: Gives the address that the session's last connection goes to.

    Raises:
        NotFetched: There is no answer to keep.
    """
    date, started = datetime.now(UTC), time.monotonic()
    try:
        async with asyncio.timeout(timeout_s):
            asked = session.get(
                URL(url, encoded=True), allow_redirects=False, headers=dict(limits.conditions)
            )
            async with asked as response:
                made = await _read(response, url, limits, date, connected_to)
        made.seconds = time.monotonic() - started
        return made
    except NotFetched as error:
        refused = error
    except TimeoutError:
        refused = NotFetched("timed_out", f"took longer than {timeout_s:g} s", is_passing=True)
    except (aiohttp.ClientError, PrivateAddress, ValueError, OSError) as error:
        refused = _explained(error)
    refused.seconds = time.monotonic() - started
    raise refused


def _explained(error: Exception) -> NotFetched:
    """What an exception of the client means."""
    message = f"{type(error).__name__}: {error}"
    if isinstance(error, PrivateAddress):
        return NotFetched("private_address", str(error))
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return NotFetched("unreachable_host", message)
    if isinstance(error, (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError)):
        return NotFetched("tls_failed", message)
    if isinstance(error, ssl.SSLError):
        return NotFetched("tls_failed", message)
    if any(told in str(error) for told in _HUGE_HEADER):
        limits = f"{MAX_FIELD_BYTES} bytes a field, {MAX_FIELDS} fields"
        return NotFetched("huge_header", f"the limits are {limits}")
    if isinstance(error, aiohttp.ClientPayloadError):
        return NotFetched("truncated_body", message, is_passing=True)
    if isinstance(error, (aiohttp.ClientConnectionError, OSError)):
        return NotFetched("connection_failed", message, is_passing=True)
    if isinstance(error, aiohttp.InvalidURL):
        return NotFetched("bad_url", message)
    return NotFetched("broken_http", message)


async def _read(
    response: aiohttp.ClientResponse,
    url: str,
    limits: Limits,
    date: datetime,
    connected_to: Callable[[], str],
) -> Exchange:
    fields = [
        (name.decode("latin-1").lower(), value.decode("utf-8", "replace"))
        for name, value in response.raw_headers
    ]
    body = tempfile.SpooledTemporaryFile(_SPOOL_BYTES)
    made = Exchange(
        url=url,
        status=response.status,
        head=b"",
        fields=fields,
        request=_request(response),
        body=body,
        num_bytes=0,
        address=connected_to(),
        date=date,
    )
    try:
        if response.status in REDIRECTS and made.field("location") is not None:
            return made
        _check_head(made, limits)
        await _read_body(response, made, limits)
    except BaseException:
        body.close()
        raise
    finally:
        if not response.content.at_eof():
            response.close()  # what is left of the body is not waited for
    made.head = _head(response, made.num_bytes)
    return made


def _check_head(made: Exchange, limits: Limits) -> None:
    if made.status == NOT_MODIFIED_STATUS and limits.conditions:
        return
    if made.status not in KEPT_STATUS:
        raise NotFetched(
            f"http_status_{made.status}",
            status=made.status,
            is_passing=made.status in RETRIED_STATUS,
            retry_after_s=retry_after_s(made.field("retry-after"), made.date),
        )
    content_type = made.field("content-type")
    if limits.takes is not None and not limits.takes(content_type):
        raise NotFetched("not_asked_media_type", content_type or "", status=made.status)
    length = made.field("content-length") or ""
    if length.isdecimal() and int(length) > limits.max_bytes and not limits.may_cut:
        raise _too_large(made, limits, f"{length} bytes")


def _too_large(made: Exchange, limits: Limits, found: str) -> NotFetched:
    message = f"{found}; the limit is {limits.max_bytes}"
    return NotFetched("too_large", message, status=made.status)


async def _read_body(response: aiohttp.ClientResponse, made: Exchange, limits: Limits) -> None:
    async for piece in response.content.iter_chunked(_READ_BYTES):
        room = limits.max_bytes - made.num_bytes
        if len(piece) > room:
            if not limits.may_cut:
                raise _too_large(made, limits, "a body without end in sight")
            piece, made.is_cut = piece[:room], True
        made.body.write(piece)
        made.num_bytes += len(piece)
        if made.is_cut:
            return


def _head(response: aiohttp.ClientResponse, num_bytes: int) -> bytes:
    """Status line and fields as archived.

    The transfer encoding was undone, so its field gets another name and Content-Length says what
    stands in the record, as in Common Crawl's archives.
    """
    version = response.version or aiohttp.HttpVersion11
    phrase = (response.reason or "").encode("utf-8", "surrogateescape")
    lines = [b"HTTP/%d.%d %d %s" % (version.major, version.minor, response.status, phrase)]
    was_chunked = any(name.lower() == b"transfer-encoding" for name, _ in response.raw_headers)
    hidden = (b"transfer-encoding", b"content-length") if was_chunked else ()
    has_length = False
    for name, value in response.raw_headers:
        if name.lower() in hidden:
            name = _HIDDEN + name
        has_length = has_length or name.lower() == b"content-length"
        lines.append(name + b": " + value)
    # The length that 304 gives is that of what is not sent (RFC 9110 8.6).
    if not has_length and response.status != NOT_MODIFIED_STATUS:
        lines.append(b"Content-Length: %d" % num_bytes)
    return b"\r\n".join([*lines, b"", b""])


def _request(response: aiohttp.ClientResponse) -> bytes:
    info = response.request_info
    lines = [f"{info.method} {info.url.raw_path_qs} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in info.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After field asks for (RFC 9110 10.2.3), or None where it says nothing.

    >>> retry_after_s("Thu, 01 Jan 2026 00:00:30 GMT", datetime(2026, 1, 1, tzinfo=UTC))
    30.0
    """
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value.strip()[:9])
    try:
        when = parsedate_to_datetime(value)
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        return max(0.0, (when - now).total_seconds())
    except (ValueError, OverflowError):
        return None

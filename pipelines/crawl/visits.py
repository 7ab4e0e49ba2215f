"""The visit of one host: its addresses of a round, one request after the other.

For each address: is it allowed by robots.txt, what does the server answer, where does it redirect
to, is it to be kept. A redirect within the host is followed at once and passes the same checks; one
to another host of the scope becomes an address of the next round, where that host's own visitor
asks for it. What leads to an address that the crawl knows already is not fetched a second time.

Reasons for which an address is not fetched are listed in `REASONS`; those of the shape
`http_status_404` stand beside them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urljoin, urlsplit

from pipelines.config import CrawlConfig
from pipelines.crawl.archive import Draft, Extent
from pipelines.crawl.exchange import REDIRECTS, Exchange, Limits, NotFetched
from pipelines.crawl.lanes import Lanes
from pipelines.crawl.robots import (
    MAX_ROBOTS_BYTES,
    MAX_ROBOTS_REDIRECTS,
    RobotsRules,
    header_directives,
    parse_robots,
    robots_url,
)
from pipelines.crawl.schema import FETCHED, NOT_FETCHED, PAGE, ROBOTS, SITEMAP
from pipelines.crawl.scope import OUT_OF_SCOPE, Scope
from pipelines.crawl.sitemaps import MAX_SITEMAP_BYTES
from pipelines.extract.http_message import (
    BrokenMessage,
    Response,
    charset_of,
    decode_body,
    media_type_of,
)
from pipelines.extract.media import sniff_media_type
from pipelines.extract.uris import canonical_uri, host_of
from pipelines.workspace.jobs import METER
from pipelines.workspace.schema import payload_digest

REASONS: Final = {
    "robots_denied": "robots.txt disallows the path",
    "robots_unreachable": "robots.txt cannot be had, so that everything is disallowed",
    "crawl_delay_too_long": "robots.txt asks for a pause that would take days",
    "private_address": "the host has no public address, and allow_private does not name it",
    "unreachable_host": "the name cannot be resolved",
    "connection_failed": "no connection, or it was lost",
    "tls_failed": "the certificate or the encryption is not good",
    "timed_out": "the answer took longer than `timeout`",
    "host_unresponsive": "many addresses of the host before it had no answer",
    "redirect_loop": "a redirect led back",
    "too_many_redirects": "more than `max_redirects`",
    "out_of_scope_redirect": "a redirect to what the crawl may not follow",
    "redirect_to_other_host": "a redirect to another host in scope, which is asked in its turn",
    "redirect_to_known": "a redirect to an address that the crawl knows already",
    "too_large": "more than `max_body_bytes` as sent",
    "unpacked_too_large": "more than `max_body_bytes` unpacked",
    "bad_encoding": "a content encoding that is unknown or broken",
    "truncated_body": "the body ended before it was whole",
    "huge_header": "header fields beyond all measure",
    "broken_http": "no HTTP",
    "bad_url": "an address that cannot be asked for",
    "not_asked_media_type": "no page, no plain text, no PDF",
    "noindex": "the page asks not to be used",
    "broken_sitemap": "what should be a sitemap is none",
}
KEPT_TYPES: Final = ("text/html", "application/xhtml+xml", "text/plain", "application/pdf")
_VAGUE_TYPES: Final = (None, "application/octet-stream")
# Addresses of a host that have no answer at all, one after the other, before it is given up.
_MAX_FAILURES: Final = 8
_FAILURES: Final = ("connection_failed", "timed_out", "truncated_body")
_MAX_PAUSE_S: Final = 60.0
_MAX_TOLD_CHARS: Final = 300
_REASON_OF_BODY: Final = {
    "too_large": "unpacked_too_large",
    "unknown_content_encoding": "bad_encoding",
    "broken_content_encoding": "bad_encoding",
    "truncated_record": "truncated_body",
}


@dataclass(frozen=True, slots=True)
class Target:
    """An address to ask for."""

    url: str
    """Canonical."""
    kind: str
    """page or sitemap."""
    depth: int


@dataclass(slots=True)
class Visit:
    """What became of an address."""

    url: str
    kind: str
    depth: int
    outcome: str = NOT_FETCHED
    reason: str | None = None
    message: str | None = None
    status: int | None = None
    final_url: str | None = None
    media_type: str | None = None
    charset: str | None = None
    digest: bytes | None = None
    num_bytes: int | None = None
    tries: int = 0
    seconds: float = 0.0
    extent: Extent | None = None
    """In the host's draft; also of a page that asks not to be used, until its links are read."""
    nofollow: bool = False
    leads_to: tuple[Target, ...] = ()
    """Addresses found without looking into the body."""
    dropped: list[str] = field(default_factory=list)
    """Why addresses found so are not followed."""

    def refuse(self, error: NotFetched) -> None:
        """Notes that there is nothing to keep."""
        self.outcome, self.reason, self.message = NOT_FETCHED, error.reason, error.message or None
        self.status = error.status if error.status is not None else self.status


def takes_page(content_type: str | None) -> bool:
    """Whether a Content-Type may be that of a page that is kept."""
    media_type = media_type_of(content_type)
    return media_type in _VAGUE_TYPES or media_type in KEPT_TYPES


def is_archived(visit: Visit) -> bool:
    """Whether an answer stands in the archive.

    All pages that are kept do. Of robots.txt and sitemaps only what extraction, which sees nothing
    but the archive, cannot take for a page: not a sitemap that was sent as text, for example.
    """
    if visit.outcome != FETCHED or visit.kind == PAGE:
        return visit.outcome == FETCHED
    if visit.kind == ROBOTS:
        return urlsplit(visit.final_url or "").path == "/robots.txt"
    return visit.media_type not in (*_VAGUE_TYPES, *KEPT_TYPES)


class HostVisit:
    """Asks for the addresses of one host.

    Args:
        host: Its name.
        lanes: Of the part.
        config: Limits and retries.
        scope: What may be followed.
        known: Addresses of the host that the crawl has asked for or will ask for.
        draft: Where answers are written.
    """

    def __init__(
        self,
        host: str,
        lanes: Lanes,
        config: CrawlConfig,
        scope: Scope,
        known: set[str],
        draft: Draft,
    ) -> None:
        self._host = host
        self._lanes = lanes
        self._lane = lanes.of(host)
        self._config = config
        self._scope = scope
        self._known = known
        self._draft = draft
        self._robots: dict[str, RobotsRules] = {}
        self._failures = 0
        self.visits: list[Visit] = []

    async def run(self, targets: Sequence[Target]) -> list[Visit]:
        """Visits in the order of requests; the fetch of a robots.txt stands before what needed it.

        Every target gets exactly one visit.
        """
        for target in targets:
            visit = Visit(target.url, target.kind, target.depth)
            try:
                await self._fetch(visit)
            except NotFetched as error:
                visit.refuse(error)
            except (OSError, RuntimeError):
                raise  # the disk or the machine; the site is not at fault
            except (ArithmeticError, LookupError, TypeError, ValueError) as error:
                # A stranger's bytes must never end a crawl: what no rule foresaw costs one address.
                told = f"{type(error).__name__}: {error}"
                visit.refuse(NotFetched("broken_http", told[:_MAX_TOLD_CHARS]))
            self._count_failure(visit)
            self.visits.append(visit)
            if target.kind == PAGE:
                METER.add("crawl", 1)
        return self.visits

    async def _fetch(self, visit: Visit) -> None:
        if self._failures >= _MAX_FAILURES:
            raise NotFetched("host_unresponsive", f"{self._failures} addresses had no answer")
        is_page = visit.kind == PAGE
        limits = Limits(
            max_bytes=self._config.max_body_bytes if is_page else MAX_SITEMAP_BYTES,
            takes=takes_page if is_page else None,
        )
        made = await self._follow(visit, limits)
        with made.body:
            self._keep(visit, made)

    def _count_failure(self, visit: Visit) -> None:
        if visit.reason in _FAILURES:
            self._failures += 1
        elif visit.tries and visit.reason != "host_unresponsive":
            self._failures = 0

    async def _follow(self, visit: Visit, limits: Limits) -> Exchange:
        """The answer behind all redirects."""
        url, passed = visit.url, {visit.url}
        while True:
            await self._check_robots(url)
            visit.final_url = url
            made = await self._ask(visit, url, limits)
            visit.status = made.status
            if made.status not in REDIRECTS:
                return made
            url = self._next_hop(visit, made, passed)
            passed.add(url)
            self._known.add(url)

    def _next_hop(self, visit: Visit, made: Exchange, passed: set[str]) -> str:
        """Where a redirect leads to, if it may be followed here and now."""
        location = made.field("location") or ""
        made.body.close()
        try:
            url = canonical_uri(urljoin(made.url, location))
        except ValueError as error:
            raise NotFetched("out_of_scope_redirect", f"to {location!r}") from error
        told = f"{made.url} to {url}"
        if url in passed:
            raise NotFetched("redirect_loop", told)
        if len(passed) > self._config.max_redirects:
            raise NotFetched("too_many_redirects", told)
        refusal = self._scope.refusal(url)
        if refusal is not None:
            kind = "" if refusal == OUT_OF_SCOPE else f" ({refusal})"
            raise NotFetched("out_of_scope_redirect", told + kind)
        if host_of(url) != self._host:
            visit.leads_to = (Target(url, visit.kind, visit.depth),)
            raise NotFetched("redirect_to_other_host", told)
        if url in self._known:
            raise NotFetched("redirect_to_known", told)
        return url

    async def _ask(self, visit: Visit, url: str, limits: Limits) -> Exchange:
        """An answer, after further tries where they may help."""
        lane = self._lanes.of(host_of(url) or "")
        attempt = 0
        while True:
            visit.tries += 1
            try:
                made = await lane.get(url, limits)
            except NotFetched as error:
                visit.seconds += error.seconds
                attempt += 1
                pause = error.retry_after_s
                if pause is None:
                    pause = min(_MAX_PAUSE_S, lane.delay_s * 2**attempt)
                # Who is asked to come back tomorrow should not come back in a minute.
                may_try = error.is_passing and pause <= _MAX_PAUSE_S
                if attempt > self._config.retries or not may_try:
                    raise
                lane.hold(pause)
            else:
                visit.seconds += made.seconds
                return made

    def _keep(self, visit: Visit, made: Exchange) -> None:
        """Decides over a whole answer, and writes it."""
        content_type = made.field("content-type")
        visit.media_type = media_type_of(content_type)
        visit.charset = charset_of(content_type)
        payload = self._payload(made, visit.kind)
        if visit.kind == PAGE:
            if visit.media_type in _VAGUE_TYPES:
                visit.media_type = sniff_media_type(payload)
            if visit.media_type not in KEPT_TYPES:
                raise NotFetched("not_asked_media_type", content_type or "", status=made.status)
            directives = header_directives(made.all_fields("x-robots-tag"))
            visit.nofollow = directives.nofollow
            if directives.noindex:
                visit.refuse(NotFetched("noindex", "X-Robots-Tag"))
        if visit.reason is None:
            visit.outcome = FETCHED
        self._write(visit, made, payload)

    def _write(self, visit: Visit, made: Exchange, payload: bytes) -> None:
        visit.digest = payload_digest(payload)
        visit.num_bytes = made.num_bytes
        visit.extent = self._draft.write(made)

    def _payload(self, made: Exchange, kind: str) -> bytes:
        """The body with its content encodings undone."""
        made.body.seek(0)
        fields: dict[str, str] = {}
        for name, value in made.fields:
            fields.setdefault(name, value)
        fields.pop("transfer-encoding", None)
        response = Response(made.status, fields, made.body.read())
        limit = MAX_SITEMAP_BYTES if kind == SITEMAP else self._config.max_body_bytes
        try:
            return decode_body(response, max_bytes=limit)
        except BrokenMessage as error:
            reason = _REASON_OF_BODY[error.reason]
            raise NotFetched(reason, str(error), status=made.status) from error

    async def _check_robots(self, url: str) -> None:
        """Raises where robots.txt does not allow an address."""
        place = robots_url(url)
        if place not in self._robots:
            visit = Visit(place, ROBOTS, 0)
            self._robots[place] = await self._read_robots(visit)
            self.visits.append(visit)
            self._lane.delay_s = max(self._lane.delay_s, self._robots[place].delay_s)
            self._lane.hold(self._lane.delay_s)  # the site's own pause also follows robots.txt
        refusal = self._robots[place].refusal(url)
        if refusal is not None:
            raise NotFetched(*refusal)

    async def _read_robots(self, visit: Visit) -> RobotsRules:
        """Fetches and keeps one robots.txt."""
        try:
            made = await self._robots_answer(visit)
        except NotFetched as error:
            visit.refuse(error)
            return _without_robots(error)
        with made.body:
            try:
                payload = self._payload(made, ROBOTS)
            except NotFetched as error:
                visit.refuse(error)
                return RobotsRules(closed=("robots_unreachable", f"robots.txt: {error.reason}"))
            visit.media_type = media_type_of(made.field("content-type"))
            rules = parse_robots(payload)
            if made.is_cut:
                message = f"only its first {MAX_ROBOTS_BYTES} bytes were read"
                visit.refuse(NotFetched("too_large", message))
            else:
                visit.outcome = FETCHED
                self._write(visit, made, payload)
        self._add_sitemaps(visit, rules)
        return rules

    async def _robots_answer(self, visit: Visit) -> Exchange:
        """The answer behind up to five redirects, which may lead to other hosts (RFC 9309)."""
        url = visit.url
        limits = Limits(max_bytes=MAX_ROBOTS_BYTES, may_cut=True)
        for _ in range(MAX_ROBOTS_REDIRECTS + 1):
            visit.final_url = url
            made = await self._ask(visit, url, limits)
            visit.status = made.status
            if made.status not in REDIRECTS:
                return made
            made.body.close()
            try:
                url = _joined(url, made.field("location") or "")
            except NotFetched as error:
                raise NotFetched("out_of_scope_redirect", error.message) from error
            if Scope(frozenset([host_of(url) or ""])).refusal(url) is not None:
                raise NotFetched("out_of_scope_redirect", f"to {url}")
        raise NotFetched("too_many_redirects", f"more than {MAX_ROBOTS_REDIRECTS}")

    def _add_sitemaps(self, visit: Visit, rules: RobotsRules) -> None:
        if not self._config.sitemaps:
            return
        for written in rules.sitemaps:
            try:
                url = _joined(visit.final_url or visit.url, written)
            except NotFetched as error:
                visit.dropped.append(error.reason)
                continue
            refusal = self._scope.refusal(url)
            if refusal is None:
                visit.leads_to = (*visit.leads_to, Target(url, SITEMAP, 0))
            else:
                visit.dropped.append(refusal)


def _joined(base: str, reference: str) -> str:
    """The canonical address of a reference.

    Raises:
        NotFetched: It is no address.
    """
    try:
        return canonical_uri(urljoin(base, reference))
    except ValueError as error:
        raise NotFetched("bad_url", f"{reference[:200]!r} is no address: {error}") from error


def _without_robots(error: NotFetched) -> RobotsRules:
    """What holds where there is no robots.txt: everything is allowed, or nothing."""
    if error.status is not None and 400 <= error.status < 500 and error.status != 429:
        return RobotsRules()
    if error.reason in ("private_address", "unreachable_host", "tls_failed", "bad_url"):
        return RobotsRules(closed=(error.reason, error.message))
    return RobotsRules(closed=("robots_unreachable", f"robots.txt: {error.reason} {error.message}"))

"""The visit of one host: its addresses of a round, one request after the other.

For each address: does a block list or a takedown name it, do robots.txt and the site's other rules
allow it, what does the server answer, where does it redirect to, is it to be kept. A redirect
within the host is followed at once and passes the same checks; one to another host of the scope
becomes an address of the next round, where that host's own visitor asks for it. What leads to an
address that the crawl knows already is not fetched a second time. There are no cookies: a wall that
wants one is a redirect loop.

A host costs a round a bounded time. After eight addresses without an answer it is given up; after
three that it refuses as busy, a Retry-After beyond a minute, or half an hour of its own answering
time, the rest of its addresses are `host_busy` and may be asked for in a later round. Where twenty
addresses that differ in their query alone gave the same page, the others of that path are a `trap`.

What an earlier pass has fetched is asked for with its validators; see `archive` for what is written
then.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, Protocol
from urllib.parse import urljoin, urlsplit

from pipelines.config import CrawlConfig
from pipelines.crawl.ai_policy import answer_refusal
from pipelines.crawl.archive import NOT_MODIFIED, SAME_PAYLOAD, Draft, Validators, sent_digest
from pipelines.crawl.exchange import (
    BUSY_STATUS,
    NOT_MODIFIED_STATUS,
    REDIRECTS,
    Exchange,
    Limits,
    NotFetched,
)
from pipelines.crawl.fetching import Fetcher, is_left_alone
from pipelines.crawl.lanes import Lanes
from pipelines.crawl.robots import header_directives
from pipelines.crawl.schema import FETCHED, PAGE, ROBOTS
from pipelines.crawl.scope import OUT_OF_SCOPE, TRAP, Scope
from pipelines.crawl.site_rules import SiteRules
from pipelines.crawl.sitemaps import MAX_SITEMAP_BYTES
from pipelines.crawl.targets import DEFERRED, REASONS, Target, Visit
from pipelines.extract.http_message import charset_of, media_type_of
from pipelines.extract.media import ASKED_TYPES, HTML_TYPES, sniff_media_type
from pipelines.extract.uris import canonical_uri, host_of
from pipelines.workspace.jobs import METER
from pipelines.workspace.schema import payload_digest

__all__ = [
    "DEFERRED",
    "KEPT_TYPES",
    "REASONS",
    "HostVisit",
    "Known",
    "Target",
    "Validators",
    "Visit",
    "is_archived",
    "judge_page",
    "takes_page",
]

KEPT_TYPES: Final = ASKED_TYPES
"""Media types of pages that are kept: those that extraction reads."""
_VAGUE_TYPES: Final = (None, "application/octet-stream")
# Addresses of a host that have no answer at all, one after the other, before it is given up.
_MAX_FAILURES: Final = 8
_FAILURES: Final = ("connection_failed", "timed_out", "truncated_body")
_MAX_REFUSALS: Final = 3
_MAX_ANSWERING_S: Final = 1800.0
_MAX_SAME_ANSWERS: Final = 20
_BLOCKED: Final = {
    "block_list": "a block list of the crawl names it",
    "taken_down": "it was taken down",
}
_BUSY: Final = tuple(f"http_status_{status}" for status in BUSY_STATUS)
_MAX_TOLD_CHARS: Final = 300


class Known(Protocol):
    """Addresses of a host that the crawl has asked for or will ask for."""

    def __contains__(self, url: str, /) -> bool:
        """Whether it is one of them."""

    def add(self, url: str, /) -> None:
        """One more."""


def takes_page(content_type: str | None) -> bool:
    """Whether a Content-Type may be that of a page that is kept."""
    media_type = media_type_of(content_type)
    return media_type in _VAGUE_TYPES or media_type in KEPT_TYPES


def is_archived(visit: Visit) -> bool:
    """Whether an answer stands in the archive.

    All pages that are kept do. Of robots.txt, policies and sitemaps only what extraction, which
    sees nothing but the archive, cannot take for a page: not a sitemap that was sent as text, for
    example.
    """
    if visit.outcome != FETCHED or visit.kind == PAGE:
        return visit.outcome == FETCHED
    if visit.kind == ROBOTS:
        return urlsplit(visit.final_url or "").path == "/robots.txt"
    return visit.media_type not in (*_VAGUE_TYPES, *KEPT_TYPES)


def judge_page(visit: Visit, row: dict[str, Any], scope: Scope, config: CrawlConfig) -> bool:
    """Decides over a fetched page by what it says of itself.

    Args:
        visit: Refused where the page asks not to be used, or is of another language.
        row: FOUND row of the page.
        scope: Of the crawl.
        config: Likewise.

    Returns:
        Whether its links may be followed.
    """
    language = row["language"] or visit.language
    if visit.kind == PAGE and not scope.speaks(language):
        visit.refuse(NotFetched("other_language", f"declares {(language or '')[:50]!r}"))
        return False
    if visit.reason is None and row["noindex"]:
        visit.refuse(NotFetched("noindex", "robots meta tag"))
    if visit.reason is None and config.obey_ai_policy:
        if row["noai"]:
            visit.refuse(NotFetched("noai", "robots meta tag"))
        elif row["tdm_reserved"]:
            visit.refuse(NotFetched("tdm_reserved", "tdm-reservation meta tag"))
    return not (visit.nofollow or (row["nofollow"] and visit.kind == PAGE))


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
        known: Known,
        draft: Draft,
    ) -> None:
        self._host = host
        self._lane = lanes.of(host)
        self._config = config
        self._scope = scope
        self._known = known
        self._fetcher = Fetcher(lanes, config, draft)
        self._rules = SiteRules(self._fetcher, config, scope, self._keep_delay)
        self._failures = 0
        self._refusals = 0
        self._answering_s = 0.0
        self._busy: str | None = None
        """Why the host is left alone."""
        self._blocked: dict[str, str | None] = {}
        self._same: dict[str, tuple[bytes, int]] = {}
        """Path -> digest of its last page, and addresses in a row that gave it."""

    async def run(self, targets: Sequence[Target]) -> list[Visit]:
        """Visits in the order of requests; the fetch of a robots.txt stands before what needed it.

        Every target gets exactly one visit.
        """
        visits: list[Visit] = []
        urls = [target.url for target in targets]
        self._blocked = dict(zip(urls, self._scope.blocked.refusals(urls), strict=True))
        for target in targets:
            visit = Visit(target.url, target.kind, target.depth, target.validators)
            try:
                await self._fetch(visit)
            except NotFetched as error:
                visit.refuse(error)
                self._count_refusal(error)
            except (OSError, RuntimeError):
                raise  # the disk or the machine; the site is not at fault
            except (ArithmeticError, LookupError, TypeError, ValueError) as error:
                # A stranger's bytes must never end a crawl: what no rule foresaw costs one address.
                told = f"{type(error).__name__}: {error}"
                visit.refuse(NotFetched("broken_http", told[:_MAX_TOLD_CHARS]))
            self._count(visit)
            visits += [*self._rules.visits, visit]
            self._rules.visits.clear()
            if target.kind == PAGE:
                METER.add("crawl", 1)
        return visits

    async def _fetch(self, visit: Visit) -> None:
        if self._busy is not None:
            raise NotFetched("host_busy", self._busy)
        if self._failures >= _MAX_FAILURES:
            raise NotFetched("host_unresponsive", f"{self._failures} addresses had no answer")
        blocked = self._blocked[visit.url]
        if blocked is not None:
            raise NotFetched(blocked, _BLOCKED[blocked])
        is_page = visit.kind == PAGE
        if is_page:
            self._check_trap(visit.url)
        limits = Limits(
            max_bytes=self._config.max_body_bytes if is_page else MAX_SITEMAP_BYTES,
            takes=takes_page if is_page else None,
        )
        made = await self._follow(visit, limits)
        with made.body:
            self._keep(visit, made, limits.max_bytes)

    def _keep_delay(self, seconds: float) -> None:
        """A robots.txt was read; the site's own pause also follows it."""
        self._lane.pace.require(seconds)
        self._lane.hold(self._lane.pace.pause_s)

    def _count_refusal(self, error: NotFetched) -> None:
        if error.reason in _BUSY:
            self._refusals += 1
            wait = error.retry_after_s
            if is_left_alone(error):
                self._busy = f"it asks for a pause of {wait:g} s"
            elif self._refusals >= _MAX_REFUSALS:
                self._busy = f"{self._refusals} addresses in a row were refused as {error.reason}"

    def _count(self, visit: Visit) -> None:
        if visit.reason in _FAILURES:
            self._failures += 1
        elif visit.tries and visit.reason != "host_unresponsive":
            self._failures = 0
        if visit.tries and visit.reason not in _BUSY:
            self._refusals = 0
        self._answering_s += visit.seconds
        if self._answering_s > _MAX_ANSWERING_S and self._busy is None:
            self._busy = f"its answers took {self._answering_s:.0f} s"
        if visit.outcome == FETCHED and visit.kind == PAGE and visit.digest is not None:
            path, _, query = visit.url.partition("?")
            digest, times = self._same.get(path, (b"", 0))
            if query:
                self._same[path] = visit.digest, times + 1 if digest == visit.digest else 1

    def _check_trap(self, url: str) -> None:
        path, _, query = url.partition("?")
        times = self._same.get(path, (b"", 0))[1]
        if query and times >= _MAX_SAME_ANSWERS:
            raise NotFetched(TRAP, f"{times} queries of this path gave the same page")

    async def _follow(self, visit: Visit, limits: Limits) -> Exchange:
        """The answer behind all redirects."""
        url, passed = visit.url, {visit.url}
        while True:
            await self._rules.check(url, visit.kind)
            visit.final_url = url
            held = visit.held
            conditions = held.conditions if held is not None and url == held.record_uri else ()
            made = await self._fetcher.ask(visit, url, replace(limits, conditions=conditions))
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
        refusal = self._scope.refusal(url, visit.kind)
        if refusal in _BLOCKED:
            raise NotFetched(refusal, told)
        if refusal is not None:
            kind = "" if refusal == OUT_OF_SCOPE else f" ({refusal})"
            raise NotFetched("out_of_scope_redirect", told + kind)
        if host_of(url) != self._host:
            visit.leads_to = (Target(url, visit.kind, visit.depth),)
            raise NotFetched("redirect_to_other_host", told)
        is_held = visit.held is not None and url == visit.held.record_uri
        if url in self._known and not is_held:
            raise NotFetched("redirect_to_known", told)
        return url

    def _keep(self, visit: Visit, made: Exchange, max_bytes: int) -> None:
        """Decides over a whole answer, and writes it."""
        content_type = made.field("content-type")
        visit.media_type = media_type_of(content_type)
        visit.charset = charset_of(content_type)
        visit.language = made.field("content-language")
        if made.status == NOT_MODIFIED_STATUS:
            self._judge_answer(visit, made)
            if visit.reason is None:
                visit.accept()
                self._fetcher.write_revisit(visit, made, NOT_MODIFIED)
            return
        payload = self._fetcher.payload(made, max_bytes)
        if visit.kind == PAGE:
            if visit.media_type in _VAGUE_TYPES:
                visit.media_type = sniff_media_type(payload)
            if visit.media_type not in KEPT_TYPES:
                raise NotFetched("not_asked_media_type", content_type or "", status=made.status)
            self._judge_answer(visit, made)
        if visit.reason is None:
            visit.accept()
        held = visit.held
        if visit.reason is None and held is not None and _repeats(held, made, payload):
            self._fetcher.write_revisit(visit, made, SAME_PAYLOAD)
        else:
            self._fetcher.write(visit, made, payload)

    def _judge_answer(self, visit: Visit, made: Exchange) -> None:
        """Refuses a page by the fields of its answer; its links may still be followed."""
        if visit.kind != PAGE:
            return
        directives = header_directives(made.all_fields("x-robots-tag"))
        visit.nofollow = directives.nofollow
        if directives.noindex:
            visit.refuse(NotFetched("noindex", "X-Robots-Tag"))
        elif self._config.obey_ai_policy and directives.noai:
            visit.refuse(NotFetched("noai", "X-Robots-Tag"))
        elif self._config.obey_ai_policy and (refusal := answer_refusal(made.fields)) is not None:
            visit.refuse(NotFetched(*refusal))
        elif visit.media_type not in HTML_TYPES and not self._scope.speaks(visit.language):
            told = (visit.language or "")[:50]
            visit.refuse(NotFetched("other_language", f"Content-Language {told!r}"))


def _repeats(held: Validators, made: Exchange, payload: bytes) -> bool:
    """Whether an answer is, byte for byte, what is held of that very address."""
    return (
        made.url == held.record_uri
        and payload_digest(payload) == held.digest
        and sent_digest(made.body) == held.sent_digest
    )

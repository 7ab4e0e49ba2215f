"""What the sites of a visit allow: robots.txt of each origin, its ai.txt and its tdmrep.json.

Each is asked for at most once in a round, when the first address of its origin is. ai.txt and
tdmrep.json are only asked for where robots.txt allows pages, and allows them; without retries, for
most sites have neither. Where they cannot be had they say nothing, unlike a robots.txt. Sitemaps
train nothing, so only those of a site that reserves its root are left alone.

Where the robots.txt of an origin leads to that of another one of the same host, as from http to
https, both are taken for one site, which is asked for its files once.
"""

from collections.abc import Callable
from typing import Final
from urllib.parse import urljoin

from protego import Protego

from pipelines.config import CrawlConfig
from pipelines.crawl.ai_policy import (
    AI_TXT,
    MAX_POLICY_BYTES,
    TDMREP,
    AiPolicy,
    BrokenPolicy,
    PathRule,
    parse_ai_txt,
    parse_tdmrep,
    usage_rules,
)
from pipelines.crawl.block_lists import BLOCK_LIST, TAKEN_DOWN
from pipelines.crawl.exchange import BUSY_STATUS, REDIRECTS, Exchange, Limits, NotFetched
from pipelines.crawl.fetching import Fetcher
from pipelines.crawl.robots import (
    MAX_ROBOTS_BYTES,
    MAX_ROBOTS_REDIRECTS,
    PRODUCT,
    RobotsRules,
    parse_robots,
    robots_url,
)
from pipelines.crawl.schema import PAGE, POLICY, ROBOTS, SITEMAP
from pipelines.crawl.scope import Scope
from pipelines.crawl.targets import Target, Visit
from pipelines.extract.http_message import media_type_of
from pipelines.extract.uris import canonical_uri, host_of

_MAX_SITEMAPS: Final = 1000  # of one robots.txt; large sites have an index of sitemaps
_PASSED_ON: Final = ("private_address", "unreachable_host", "tls_failed", "bad_url")


class SiteRules:
    """The rules of the origins of one host.

    Args:
        fetcher: Of the visit.
        config: Whether sitemaps and policies are wanted.
        scope: Of the crawl.
        on_delay: Told the seconds that a robots.txt wants between two requests.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        config: CrawlConfig,
        scope: Scope,
        on_delay: Callable[[float], None],
    ) -> None:
        self._fetcher = fetcher
        self._config = config
        self._scope = scope
        self._on_delay = on_delay
        self._robots: dict[str, RobotsRules] = {}
        self._policies: dict[str, AiPolicy] = {}
        self._usage: dict[str, str] = {}
        self._same_site: dict[str, str] = {}
        """robots.txt that another one led to -> that one."""
        self.visits: list[Visit] = []
        """Of the files, in the order in which they were asked for."""

    async def check(self, url: str, kind: str) -> None:
        """Looks whether an address may be asked for.

        Args:
            url: Canonical.
            kind: page or sitemap.

        Raises:
            NotFetched: It may not.
        """
        place = robots_url(url)
        place = self._same_site.get(place, place)
        if place not in self._robots:
            visit = Visit(place, ROBOTS, 0)
            self._robots[place] = await self._read_robots(visit)
            self.visits.append(visit)
            self._on_delay(self._robots[place].delay_s)
            self._note_same_site(place, visit.final_url or place)
        refusal = self._robots[place].refusal(url)
        if refusal is None and self._config.obey_ai_policy:
            if place not in self._policies:
                self._policies[place] = await self._read_policy(place)
            refusal = self._policies[place].refusal(url if kind == PAGE else urljoin(url, "/"))
        if refusal is not None:
            raise NotFetched(*refusal)

    def _note_same_site(self, place: str, final: str) -> None:
        if robots_url(final) == final != place and host_of(final) == host_of(place):
            self._same_site[final] = place

    async def _read_robots(self, visit: Visit) -> RobotsRules:
        """Fetches and keeps one robots.txt."""
        try:
            made = await self._answer(visit, MAX_ROBOTS_BYTES)
        except NotFetched as error:
            visit.refuse(error)
            return _without_robots(error)
        with made.body:
            try:
                payload = self._fetcher.payload(made, self._config.max_body_bytes)
            except NotFetched as error:
                visit.refuse(error)
                return RobotsRules(closed=("robots_unreachable", f"robots.txt: {error.reason}"))
            visit.media_type = media_type_of(made.field("content-type"))
            rules = parse_robots(payload)
            self._usage[visit.url] = payload[:MAX_ROBOTS_BYTES].decode("utf-8-sig", "replace")
            self._keep(visit, made, payload)
        self._add_sitemaps(visit, rules)
        return rules

    async def _read_policy(self, place: str) -> AiPolicy:
        """What the origin of a robots.txt says against training."""
        ai_txt: Protego | None = None
        tdm: tuple[PathRule, ...] = ()
        for path in (AI_TXT, TDMREP):
            visit = Visit(urljoin(place, path), POLICY, 0)
            if self._robots[place].refusal(visit.url) is not None:
                continue  # what must not be asked for has said nothing
            payload = await self._policy_file(visit)
            self.visits.append(visit)
            if payload is None:
                continue
            try:
                if path == AI_TXT:
                    ai_txt = parse_ai_txt(payload)
                else:
                    tdm = parse_tdmrep(payload)
            except BrokenPolicy as error:
                visit.refuse(NotFetched("broken_policy", str(error)))
        usage = usage_rules(self._usage.pop(place, ""), PRODUCT)
        return AiPolicy(usage, ai_txt, PRODUCT, tdm)

    async def _policy_file(self, visit: Visit) -> bytes | None:
        try:
            made = await self._answer(visit, MAX_POLICY_BYTES, retries=0)
        except NotFetched as error:
            visit.refuse(error)
            return None
        with made.body:
            try:
                payload = self._fetcher.payload(made, self._config.max_body_bytes)
            except NotFetched as error:
                visit.refuse(error)
                return None
            visit.media_type = media_type_of(made.field("content-type"))
            self._keep(visit, made, payload)
        return payload[:MAX_POLICY_BYTES]

    def _keep(self, visit: Visit, made: Exchange, payload: bytes) -> None:
        if made.is_cut:
            visit.refuse(
                NotFetched("too_large", f"only its first {made.num_bytes} bytes were read")
            )
        else:
            visit.accept()
            self._fetcher.write(visit, made, payload)
            visit.held = None  # asked for anew in every round

    async def _answer(self, visit: Visit, max_bytes: int, retries: int | None = None) -> Exchange:
        """The answer behind up to five redirects, which may lead to other hosts (RFC 9309)."""
        url = visit.url
        limits = Limits(max_bytes=max_bytes, may_cut=True)
        for _ in range(MAX_ROBOTS_REDIRECTS + 1):
            visit.final_url = url
            made = await self._fetcher.ask(visit, url, limits, retries)
            visit.status = made.status
            if made.status not in REDIRECTS:
                return made
            made.body.close()
            try:
                url = joined(url, made.field("location") or "")
            except NotFetched as error:
                raise NotFetched("out_of_scope_redirect", error.message) from error
            anywhere = Scope(frozenset([host_of(url) or ""]), blocked=self._scope.blocked)
            refusal = anywhere.refusal(url, visit.kind)
            if refusal in (BLOCK_LIST, TAKEN_DOWN):
                raise NotFetched(refusal, f"redirects to {url}")
            if refusal is not None:
                raise NotFetched("out_of_scope_redirect", f"to {url}")
        raise NotFetched("too_many_redirects", f"more than {MAX_ROBOTS_REDIRECTS}")

    def _add_sitemaps(self, visit: Visit, rules: RobotsRules) -> None:
        if not self._config.sitemaps:
            return
        for written in rules.sitemaps[:_MAX_SITEMAPS]:
            try:
                url = joined(visit.final_url or visit.url, written)
            except NotFetched as error:
                visit.dropped.append(error.reason)
                continue
            refusal = self._scope.refusal(url, SITEMAP)
            if refusal is None:
                visit.leads_to = (*visit.leads_to, Target(url, SITEMAP, 0))
            else:
                visit.dropped.append(refusal)
        visit.dropped += ["over_limit"] * len(rules.sitemaps[_MAX_SITEMAPS:])


def joined(base: str, reference: str) -> str:
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
    if error.status in BUSY_STATUS:
        return RobotsRules(closed=("host_busy", f"robots.txt: {error.reason}"))
    if error.reason in _PASSED_ON:
        return RobotsRules(closed=(error.reason, error.message))
    return RobotsRules(closed=("robots_unreachable", f"robots.txt: {error.reason} {error.message}"))

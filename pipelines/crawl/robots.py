"""What a site says to robots: robots.txt (RFC 9309), X-Robots-Tag and the robots meta tag.

robots.txt is matched by protego. Of its fetch: 2xx gives rules; 4xx means that there are none
(RFC 9309 2.3.1.3), but 429 is taken as a server that cannot answer now, as Google does; 5xx, no
answer, or no end of redirects forbid everything for this round (2.3.1.4), and after 429 or 503 the
addresses wait for a later one. Its first 512 KiB count (2.5 asks for 500 at least).

The meta tag and the header are de facto standards: `noindex` means that the page is not to be used,
`nofollow` that its links are not, `none` both, `noai` and `noimageai` that it is not to train
models (see `ai_policy`). What a header says to another robot by name is not for us.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from protego import Protego

PRODUCT: Final = "tokenmill"
MAX_ROBOTS_BYTES: Final = 512 << 10
MAX_ROBOTS_REDIRECTS: Final = 5  # RFC 9309 2.3.1.2
# A site that wants more than this between two requests is not fetched: a round would take days.
MAX_CRAWL_DELAY_S: Final = 60.0

_ROBOT_NAME: Final = re.compile(r"\s*([\w.*-]+)\s*:\s*(.*)", re.DOTALL)
_VALUED: Final = ("max-snippet", "max-image-preview", "max-video-preview", "unavailable_after")


@dataclass(frozen=True, slots=True)
class RobotsRules:
    """What one origin (scheme, host, port) allows."""

    rules: Protego | None = None
    """None where there are no rules."""
    closed: tuple[str, str] | None = None
    """(reason, message) where everything is forbidden."""

    def refusal(self, url: str) -> tuple[str, str] | None:
        """(reason, message) why an address must not be fetched, or None where it may."""
        if self.closed is not None:
            return self.closed
        if self.rules is None or self.rules.can_fetch(url, PRODUCT):
            return None
        return "robots_denied", "its robots.txt disallows the path"

    @property
    def delay_s(self) -> float:
        """Seconds between two requests that are asked for; 0 where none are."""
        delay = self.rules.crawl_delay(PRODUCT) if self.rules else None
        return max(0.0, delay or 0.0)

    @property
    def sitemaps(self) -> list[str]:
        """Addresses of sitemaps, as written."""
        return list(self.rules.sitemaps) if self.rules else []


def parse_robots(body: bytes) -> RobotsRules:
    """Rules of a robots.txt; broken UTF-8 and lines that say nothing are passed over."""
    text = body[:MAX_ROBOTS_BYTES].decode("utf-8-sig", "replace")
    rules = RobotsRules(Protego.parse(text))
    if rules.delay_s > MAX_CRAWL_DELAY_S:
        message = (
            f"robots.txt asks for {rules.delay_s:g} s between requests; at most "
            f"{MAX_CRAWL_DELAY_S:g} s are waited"
        )
        return RobotsRules(closed=("crawl_delay_too_long", message))
    return rules


def robots_url(url: str) -> str:
    """The robots.txt that speaks for an address.

    >>> robots_url("https://a.example:8443/x?y")
    'https://a.example:8443/robots.txt'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/robots.txt"


@dataclass(frozen=True, slots=True)
class Directives:
    """What a page says about itself."""

    noindex: bool = False
    nofollow: bool = False
    noai: bool = False

    @classmethod
    def of(cls, names: Iterable[str]) -> "Directives":
        """From directive names in any case."""
        found = frozenset(name.strip().lower() for name in names)
        return cls(
            noindex=bool(found & {"noindex", "none"}),
            nofollow=bool(found & {"nofollow", "none"}),
            noai=bool(found & {"noai", "noimageai"}),
        )


def header_directives(values: Iterable[str]) -> Directives:
    """Directives of all X-Robots-Tag fields of a response.

    >>> header_directives(["otherbot: noindex", "nofollow"]).noindex
    False
    """
    names: list[str] = []
    for value in values:
        named = _ROBOT_NAME.fullmatch(value)
        if named and named[1].lower() not in _VALUED:
            if named[1].lower() not in (PRODUCT, "*"):
                continue
            value = named[2]
        names += value.split(",")
    return Directives.of(names)

"""Scope: which addresses a crawl may follow.

An address is followed when it is http or https at a port that browsers connect to, its host is one
of the crawl's, it carries no password, no block list and no takedown names it, and, of pages, it
fits the globs and looks like no trap. What is not followed is counted under the reason given here.

A trap is a site that makes addresses without end. Most end at `max_depth` and
`max_pages_per_host`; those that an address itself shows are not even asked for: segments of a path
that come back again and again (relative links that are resolved one level too deep), very many
segments, and a parameter that is added anew by each click. Heritrix 3 knows the first two rules
(PathologicalPathDecideRule with 2 repetitions, TooManyPathSegmentsDecideRule with 20 segments);
these are laxer, because a lost page is worse than a fetched trap of one host's budget.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from pipelines.config import CrawlConfig
from pipelines.crawl.block_lists import BlockList
from pipelines.crawl.languages import LanguageRanges
from pipelines.crawl.schema import PAGE, SITEMAP
from pipelines.extract.uris import canonical_uri, host_of

OUT_OF_SCOPE: Final = "out_of_scope"
TRAP: Final = "trap"
# RFC 9110 4.1 asks all parties to take URIs of 8,000 octets at least; longer ones are traps.
_MAX_URL_CHARS: Final = 8000
_MAX_LABEL_CHARS: Final = 63
_MAX_SEGMENTS: Final = 40
_MAX_REPEATS: Final = 4
_MAX_GROUP: Final = 4  # segments that come back together
_SITEMAP_ENDINGS: Final = (".xml", ".xml.gz")
# Ports of other protocols, to which a request would speak what they misunderstand: the list that
# browsers refuse (Fetch Standard of WHATWG, 2.9 "Port blocking").
_BAD_PORTS: Final = frozenset(
    map(
        int,
        "0 1 7 9 11 13 15 17 19 20 21 22 23 25 37 42 43 53 69 77 79 87 95 101 102 103 104 109 110 "
        "111 113 115 117 119 123 135 137 139 143 161 179 389 427 465 512 513 514 515 526 530 531 "
        "532 540 548 554 556 563 587 601 636 989 990 993 995 1719 1720 1723 2049 3659 4045 4190 "
        "5060 5061 6000 6566 6665 6666 6667 6668 6669 6679 6697 10080".split(),
    )
)


@dataclass(frozen=True, slots=True)
class Scope:
    """Hosts that may be fetched, in lower case and Punycode, and what limits their addresses."""

    hosts: frozenset[str]
    suffixes: tuple[str, ...] = ()
    """`.example.org` stands for all hosts below example.org."""
    include: tuple[re.Pattern[str], ...] = ()
    exclude: tuple[re.Pattern[str], ...] = ()
    languages: LanguageRanges = field(default_factory=lambda: LanguageRanges(()))
    blocked: BlockList = field(default_factory=lambda: BlockList((), None))

    @property
    def block_lists_digest(self) -> str | None:
        """Of the block lists that hold, for the ledger; None without any."""
        return self.blocked.digest

    def has(self, host: str) -> bool:
        """Whether a host may be fetched."""
        return host in self.hosts or host.endswith(self.suffixes)

    def speaks(self, declared: str | None) -> bool:
        """Whether what declares this language (BCP 47 tags) may be followed and kept."""
        return self.languages.take(declared)

    def refusal(self, url: str, kind: str = PAGE) -> str | None:
        """Why an address is not followed, or None where it is.

        Args:
            url: In canonical form.
            kind: page or sitemap; globs and traps are about pages.

        Returns:
            not_http, bad_url, bad_port, has_credentials, too_long, out_of_scope, taken_down,
            block_list, not_included, excluded, trap or None.
        """
        return self.refusals([url], kind)[0]

    def refusals(self, urls: Sequence[str], kind: str = PAGE) -> list[str | None]:
        """The same of many addresses, which costs block lists far less than one by one."""
        reasons = [self._syntax(url) for url in urls]
        left = [row for row, reason in enumerate(reasons) if reason is None]
        found = self.blocked.refusals([urls[row] for row in left])
        for row, blocked in zip(left, found, strict=True):
            reasons[row] = blocked or (self._page(urls[row]) if kind == PAGE else None)
        return reasons

    def _syntax(self, url: str) -> str | None:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            return "bad_url"
        if parts.scheme not in ("http", "https"):
            return "not_http"
        if not host or not _is_host(host):
            return "bad_url"
        if "@" in parts.netloc:
            return "has_credentials"
        if len(url) > _MAX_URL_CHARS:
            return "too_long"
        if not self.has(host):
            return OUT_OF_SCOPE
        return "bad_port" if port in _BAD_PORTS else None

    def _page(self, url: str) -> str | None:
        parts = urlsplit(url)
        if self.include or self.exclude:
            written = url.partition("://")[2]
            if self.include and not any(glob.fullmatch(written) for glob in self.include):
                return "not_included"
            if any(glob.fullmatch(written) for glob in self.exclude):
                return "excluded"
        return TRAP if _is_trap(parts) else None


def _is_host(host: str) -> bool:
    """Whether a host can be looked up: no label is empty or too long (RFC 1035 2.3.4).

    Args:
        host: In Punycode; IPv6 without brackets.

    >>> _is_host("a.example."), _is_host("a..example"), _is_host("::1")
    (True, False, True)
    """
    if ":" in host:
        return True
    labels = host.removesuffix(".").split(".")
    return all(0 < len(label) <= _MAX_LABEL_CHARS for label in labels)


def _is_trap(parts: SplitResult) -> bool:
    """Whether an address shows by itself that it is one of endlessly many.

    >>> _is_trap(urlsplit("http://a.example/x/y/x/y/x/y/x/y"))
    True
    """
    segments = parts.path.split("/")[1:]
    if len(segments) > _MAX_SEGMENTS or _repeats(segments):
        return True
    if parts.query.count("&") < _MAX_REPEATS - 1:
        return False
    return max(Counter(parts.query.split("&")).values()) >= _MAX_REPEATS


def _repeats(segments: Sequence[str]) -> bool:
    """Whether one to four segments stand four times in a row."""
    for size in range(1, _MAX_GROUP + 1):
        run = 0
        for place in range(size, len(segments)):
            run = run + 1 if segments[place] == segments[place - size] else 0
            if run == size * (_MAX_REPEATS - 1):
                return True
    return False


def scope_of(config: CrawlConfig, taken_down: Any = None) -> Scope:  # noqa: ANN401
    """The scope that a configuration describes.

    Args:
        config: Of the crawl.
        taken_down: pa.LargeStringArray of what was taken down, as `BlockList.of` takes it.

    Raises:
        ValueError: A host, glob or language that is none, a block list that cannot be read, or a
            seed that is not in scope.
    """
    patterns = config.hosts or [host for seed in config.seeds if (host := host_of(seed))]
    plain = [ascii_host(p) for p in patterns if not p.startswith("*.")]
    below = sorted({f".{ascii_host(p[2:])}" for p in patterns if p.startswith("*.")})
    scope = Scope(
        frozenset(plain),
        tuple(below),
        tuple(url_glob(pattern) for pattern in config.include),
        tuple(url_glob(pattern) for pattern in config.exclude),
        LanguageRanges(config.languages),
        BlockList.of(config.block_lists, taken_down),
    )
    for url, kind in seeds_of(config):
        reason = scope.refusal(url, kind)
        # What is blocked is known only while it is, and told by the fetches.
        if reason is not None and scope.blocked.refusal(url) is None:
            raise ValueError(
                f"seed {url!r} cannot be fetched ({reason}); allowed: http and https addresses "
                f"without a password on {_listed(patterns)}, within `include` and `exclude`; "
                "correct the seed, or add its host to `hosts`"
            )
    return scope


def url_glob(pattern: str) -> re.Pattern[str]:
    """What a glob over addresses without their scheme matches, wholly.

    `**` is anything, `*` anything within a segment; all else, `?` too, stands for itself.

    Raises:
        ValueError: It has a scheme, or no path.

    >>> bool(url_glob("*.example.org/docs/**").fullmatch("en.example.org/docs/a?b=c"))
    True
    """
    if "://" in pattern or "/" not in pattern:
        raise ValueError(
            f"found the glob {pattern!r}; allowed: host and path without a scheme, such as "
            "example.org/docs/** or *.example.org/**"
        )
    written = canonical_uri(f"http://{pattern}").removeprefix("http://")
    parts = re.split(r"(\*\*|\*)", written)
    kinds = {"**": ".*", "*": "[^/]*"}
    return re.compile("".join(kinds.get(part, re.escape(part)) for part in parts), re.DOTALL)


def ascii_host(name: str) -> str:
    """A host as it stands in canonical addresses.

    Raises:
        ValueError: It is more or less than the name of a host.
    """
    bracketed = f"[{name}]" if ":" in name and not name.startswith("[") else name
    host = host_of(f"http://{bracketed}/")
    if host is None or canonical_uri(f"http://{bracketed}/") not in (
        f"http://{host}/",
        f"http://[{host}]/",
    ):
        raise ValueError(
            f"found the host {name!r}; allowed: a name such as www.example.org, or *.example.org "
            "for all below one; no scheme, port or path"
        )
    return host


def seeds_of(config: CrawlConfig) -> list[tuple[str, str]]:
    """(canonical address, page or sitemap) of each seed, sorted, each once."""
    urls = {canonical_uri(seed) for seed in config.seeds}
    return sorted((url, _kind(url)) for url in urls)


def _kind(url: str) -> str:
    return SITEMAP if urlsplit(url).path.lower().endswith(_SITEMAP_ENDINGS) else PAGE


def _listed(patterns: Iterable[str]) -> str:
    return ", ".join(sorted(set(patterns))) or "a host"

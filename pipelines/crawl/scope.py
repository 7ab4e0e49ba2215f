"""Scope: which addresses a crawl may follow.

An address is followed when it is http or https, its host is one of the crawl's, it carries no
password, and it is not absurdly long. What is not followed is counted under the reason given here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from pipelines.config import CrawlConfig
from pipelines.crawl.schema import PAGE, SITEMAP
from pipelines.extract.uris import canonical_uri, host_of

OUT_OF_SCOPE: Final = "out_of_scope"
# RFC 9110 4.1 asks all parties to take URIs of 8,000 octets at least; longer ones are traps.
_MAX_URL_CHARS: Final = 8000
_SITEMAP_ENDINGS: Final = (".xml", ".xml.gz")


@dataclass(frozen=True, slots=True)
class Scope:
    """Hosts that may be fetched, in lower case and Punycode."""

    hosts: frozenset[str]
    suffixes: tuple[str, ...] = ()
    """`.example.org` stands for all hosts below example.org."""

    def has(self, host: str) -> bool:
        """Whether a host may be fetched."""
        return host in self.hosts or host.endswith(self.suffixes)

    def refusal(self, url: str) -> str | None:
        """Why an address is not followed, or None where it is.

        Args:
            url: In canonical form.

        Returns:
            not_http, bad_url, has_credentials, too_long, out_of_scope or None.
        """
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            return "bad_url"
        if parts.scheme not in ("http", "https"):
            return "not_http"
        if not host:
            return "bad_url"
        if "@" in parts.netloc:
            return "has_credentials"
        if len(url) > _MAX_URL_CHARS:
            return "too_long"
        return None if self.has(host) else OUT_OF_SCOPE


def scope_of(config: CrawlConfig) -> Scope:
    """The scope that a configuration describes.

    Raises:
        ValueError: A host that is none, or a seed that is not in scope.
    """
    patterns = config.hosts or [host for seed in config.seeds if (host := host_of(seed))]
    plain = [ascii_host(p) for p in patterns if not p.startswith("*.")]
    below = sorted({f".{ascii_host(p[2:])}" for p in patterns if p.startswith("*.")})
    scope = Scope(frozenset(plain), tuple(below))
    for seed in config.seeds:
        reason = scope.refusal(canonical_uri(seed))
        if reason is not None:
            raise ValueError(
                f"seed {seed!r} cannot be fetched ({reason}); allowed: http and https addresses "
                f"without a password on {_listed(patterns)}; correct the seed, or add its host to "
                "`hosts`"
            )
    return scope


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

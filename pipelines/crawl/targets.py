"""What a crawl asks for and what became of it: addresses, visits and their reasons.

Reasons for which an address is not fetched are listed in `REASONS`; those of the shape
`http_status_404` stand beside them.
"""

from dataclasses import dataclass, field
from typing import Final

from pipelines.crawl.archive import Extent, Validators
from pipelines.crawl.exchange import NotFetched
from pipelines.crawl.schema import FETCHED, NOT_FETCHED

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
    "broken_policy": "what should be an ai.txt or tdmrep.json is none",
    "block_list": "a block list names the address or its host",
    "taken_down": "the address or its host was taken down",
    "noai": "the site or page asks not to train models",
    "ai_txt_denied": "ai.txt disallows the path",
    "tdm_reserved": "text and data mining is reserved (TDM Reservation Protocol)",
    "other_language": "the page declares a language that is not asked for",
    "trap": "address after address of this path gave the same page",
    "host_busy": "the host refuses or is too slow; it is left alone for this round",
}
DEFERRED: Final = ("host_busy",)
"""Reasons of addresses that were not asked for, though nothing speaks against them."""


@dataclass(frozen=True, slots=True)
class Target:
    """An address to ask for."""

    url: str
    """Canonical."""
    kind: str
    """page or sitemap."""
    depth: int
    validators: Validators | None = None
    """What is held of it from an earlier pass."""


@dataclass(slots=True)
class Visit:
    """What became of an address."""

    url: str
    kind: str
    depth: int
    held: Validators | None = None
    """At first what was held before; of what was fetched, what is held now."""
    outcome: str = NOT_FETCHED
    reason: str | None = None
    message: str | None = None
    status: int | None = None
    final_url: str | None = None
    media_type: str | None = None
    charset: str | None = None
    language: str | None = None
    """Content-Language as sent."""
    digest: bytes | None = None
    num_bytes: int | None = None
    tries: int = 0
    seconds: float = 0.0
    extent: Extent | None = None
    """In the host's draft; also of a page that asks not to be used, until its links are read."""
    revisit_profile: str | None = None
    """Of a revisit: NOT_MODIFIED or SAME_PAYLOAD of `archive`."""
    nofollow: bool = False
    leads_to: tuple[Target, ...] = ()
    """Addresses found without looking into the body."""
    dropped: list[str] = field(default_factory=list)
    """Why addresses found so are not followed."""
    _before: Validators | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        self._before = self.held

    @property
    def is_revisit(self) -> bool:
        """Whether the archive holds the payload already."""
        return self.revisit_profile is not None

    def refuse(self, error: NotFetched) -> None:
        """Notes that there is nothing to keep."""
        self.outcome, self.reason, self.message = NOT_FETCHED, error.reason, error.message or None
        self.status = error.status if error.status is not None else self.status
        self.held = self._before  # what was written now is left out of the archive

    def accept(self) -> None:
        """Notes that the answer is kept."""
        self.outcome = FETCHED

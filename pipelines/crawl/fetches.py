"""Rows of fetches: what became of each address that a part asked for, and what they add up to."""

from collections import Counter
from typing import Any, Final

from pipelines.crawl.archive import Validators
from pipelines.crawl.schema import FETCHED, HELD, PAGE, POLICY, ROBOTS, SITEMAP
from pipelines.crawl.targets import Visit

PSEUDONYM: Final = "erased:"
"""What stands before the hash of an address that was erased; no such address is asked for."""
_GONE: Final = (404, 410)  # RFC 9110 15.5.5 and 15.5.11


def row_of(visit: Visit, offset: int | None) -> dict[str, Any]:
    """The FETCHES row of a visit.

    Args:
        visit: What became of an address.
        offset: Where its record begins in the part's archive; None where it has none.
    """
    is_kept = visit.outcome == FETCHED
    extent = visit.extent if offset is not None else None
    return {
        "url": visit.url,
        "kind": visit.kind,
        "depth": visit.depth,
        "outcome": visit.outcome,
        "reason": visit.reason,
        "message": visit.message,
        "status": visit.status,
        "final_url": visit.final_url,
        "media_type": visit.media_type,
        "digest": visit.digest if is_kept else None,
        "bytes": visit.num_bytes if is_kept else None,
        "offset": offset,
        "length": extent.response_end - extent.start if extent else None,
        "tries": visit.tries,
        "seconds": round(visit.seconds, 3),
        "revisit": visit.revisit_profile if is_kept else None,
        "held": _held(visit.held),
    }


def _held(held: Validators | None) -> dict[str, Any] | None:
    # Not dataclasses.asdict, which copies deeply and takes 0.2 ms a page.
    return None if held is None else {field.name: getattr(held, field.name) for field in HELD}


def is_gone(row: dict[str, Any]) -> bool:
    """Whether a page that an earlier pass fetched is there no longer."""
    return row["kind"] == PAGE and row["held"] is not None and row["status"] in _GONE


def detail_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Reasons of pages; robots.txt, sitemaps and policies by outcome; bytes and media types."""
    of_kind = {
        kind: Counter(row["reason"] or FETCHED for row in rows if row["kind"] == kind)
        for kind in (PAGE, ROBOTS, SITEMAP, POLICY)
    }
    types = Counter(row["media_type"] for row in rows if row["offset"] is not None)
    return {
        "reasons": {r: n for r, n in sorted(of_kind[PAGE].items()) if r != FETCHED},
        "robots": dict(sorted(of_kind[ROBOTS].items())),
        "sitemaps": dict(sorted(of_kind[SITEMAP].items())),
        "policies": dict(sorted(of_kind[POLICY].items())),
        "media_types": {str(name): number for name, number in sorted(types.items(), key=str)},
        "bytes": sum(row["bytes"] or 0 for row in rows),
        "requests": sum(row["tries"] for row in rows),
    }

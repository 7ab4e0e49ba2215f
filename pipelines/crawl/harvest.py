"""The harvest of a visit: links of the pages and sitemaps that it brought home.

Pages are read back from the host's draft, one batch after the other, and go through child
processes, because a page can be made to break its parser. What cannot be parsed is kept all the
same (its text is extract's affair) and counted as `unparsed`. What has not changed since an earlier
pass has no body here, and its links were taken then.
"""

import gzip
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from pipelines.config import CrawlConfig
from pipelines.crawl.archive import Draft
from pipelines.crawl.exchange import NotFetched
from pipelines.crawl.known import address_keys
from pipelines.crawl.links import FOUND_IN, find_links, no_links
from pipelines.crawl.schema import LINKS, PAGE, SITEMAP
from pipelines.crawl.scope import Scope
from pipelines.crawl.targets import Target, Visit
from pipelines.crawl.visits import judge_page
from pipelines.extract.http_message import decode_body, parse_response
from pipelines.workspace.children import Children

_HTML: Final = ("text/html", "application/xhtml+xml")
_BATCH: Final = (16, 4 << 20)  # pages and bytes that one call of a child gets
# Entries of sitemaps are seeds; sitemaps that an index of sitemaps lists are of the next level, and
# an index there is against the protocol.
_MAX_SITEMAP_LEVEL: Final = 1
_LANGUAGE: Final = "other_language"
_NO_LIMIT: Final = 1 << 62  # what is read back was within its limit when it was written


@dataclass(slots=True)
class Harvest:
    """Links of a part, and what was not followed."""

    scope: Scope
    config: CrawlConfig
    found: dict[tuple[str, str], int] = field(default_factory=dict)
    """(url, kind) -> least depth."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Reason -> links, counted once a page."""

    def add(self, target: Target) -> None:
        """Notes an address that is in scope."""
        key = (target.url, target.kind)
        self.found[key] = min(target.depth, self.found.get(key, target.depth))

    def batch(self) -> pa.RecordBatch:
        """LINKS rows, sorted by address and kind."""
        rows = sorted(self.found.items())
        urls = [url for (url, _), _ in rows]
        hosts, host_keys, url_keys = address_keys(urls)
        columns = {
            "url": urls,
            "kind": [kind for (_, kind), _ in rows],
            "depth": [depth for _, depth in rows],
            "host": hosts,
            "host_key": host_keys,
            "url_key": url_keys,
        }
        return pa.RecordBatch.from_pydict(columns, schema=LINKS)

    def read(self, drafts: Iterable[tuple[Draft, list[Visit]]], children: Children) -> None:
        """Takes the links of all visits; pages that ask not to be used lose their `fetched`."""
        waiting: deque[Visit] = deque()
        batches = _batches(_documents(self._own(drafts)), waiting)
        for found in children.map(find_links, batches, no_links):
            for row in found.to_pylist():
                self._take(waiting.popleft(), row)

    def _own(
        self, drafts: Iterable[tuple[Draft, list[Visit]]]
    ) -> Iterator[tuple[Draft, list[Visit]]]:
        """The drafts; links that need no parsing are taken on the way."""
        for draft, visits in drafts:
            for visit in visits:
                self.dropped.update(visit.dropped)
                for target in visit.leads_to:
                    self.add(target)
            yield draft, visits

    def _take(self, visit: Visit, row: dict[str, Any]) -> None:
        if row["reason"] is not None:
            self._note_broken(visit, row)
        if row["num_over"]:
            self.dropped["over_limit"] += row["num_over"]
        links = row["links"]
        if visit.kind == PAGE and not judge_page(visit, row, self.scope, self.config):
            reason = _LANGUAGE if visit.reason == _LANGUAGE else "nofollow_page"
            self.dropped[reason] += len(links)
            return
        kind = SITEMAP if row["is_index"] else PAGE
        depth = visit.depth + 1 if visit.kind == PAGE or row["is_index"] else 0
        spoken = [self.scope.speaks(tag) for tag in row["hreflangs"]]
        if not all(spoken):
            self.dropped[_LANGUAGE] += spoken.count(False)
        self._follow([url for url, may in zip(links, spoken, strict=True) if may], kind, depth)

    def _follow(self, urls: Sequence[str], kind: str, depth: int) -> None:
        """Adds the links that are in scope and not too deep, and counts the others."""
        beyond = None
        if kind == SITEMAP and depth > _MAX_SITEMAP_LEVEL:
            beyond = "index_in_index"
        elif kind == PAGE and depth > self.config.max_depth:
            beyond = "too_deep"
        for url, refusal in zip(urls, self.scope.refusals(urls, kind), strict=True):
            reason = refusal or beyond
            if reason is None:
                self.add(Target(url, kind, depth))
            else:
                self.dropped[reason] += 1

    def _note_broken(self, visit: Visit, row: dict[str, Any]) -> None:
        if visit.kind == SITEMAP and not row["links"]:
            visit.refuse(NotFetched(row["reason"], row["message"] or ""))
        else:
            self.dropped["unparsed" if visit.kind == PAGE else "rest_of_sitemap"] += 1


def _documents(
    drafts: Iterable[tuple[Draft, list[Visit]]],
) -> Iterator[tuple[Visit, bytes]]:
    """Visits that hold links, with their payloads."""
    for draft, visits in drafts:
        with draft.path.open("rb") as file:
            for visit in visits:
                is_page = visit.kind == PAGE and visit.media_type in _HTML
                has_body = visit.extent is not None and not visit.is_revisit
                if visit.extent is not None and has_body and (is_page or visit.kind == SITEMAP):
                    file.seek(visit.extent.start)
                    data = file.read(visit.extent.response_end - visit.extent.start)
                    yield visit, _payload(data)


def _payload(member: bytes) -> bytes:
    """The payload of a response record, from its gzip member."""
    _, _, block = gzip.decompress(member).partition(b"\r\n\r\n")
    response = parse_response(block.removesuffix(b"\r\n\r\n"))
    return decode_body(response, max_bytes=_NO_LIMIT)


def _batches(
    documents: Iterator[tuple[Visit, bytes]], waiting: deque[Visit]
) -> Iterator[pa.RecordBatch]:
    rows: list[dict[str, Any]] = []
    size = 0
    for visit, payload in documents:
        if rows and (len(rows) == _BATCH[0] or size + len(payload) > _BATCH[1]):
            yield pa.RecordBatch.from_pylist(rows, schema=FOUND_IN)
            rows, size = [], 0
        waiting.append(visit)
        url = visit.final_url or visit.url
        values = {"kind": visit.kind, "url": url, "charset": visit.charset, "payload": payload}
        rows.append(values)
        size += len(payload)
    if rows:
        yield pa.RecordBatch.from_pylist(rows, schema=FOUND_IN)

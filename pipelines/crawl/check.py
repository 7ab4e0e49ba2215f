"""The audit's recount of a crawl: fetches against the records of the archive, plans against theirs.

The archive is read by FastWARC, which did not write it: every record's digest is recomputed, and
the (address, payload digest) of its responses must be those of the rows of fetches that have a
place in it, each as often. Every page that was fetched has one; robots.txt and sitemaps need not.
"""

from collections import Counter
from collections.abc import Iterator
from typing import IO, Any

import pyarrow as pa
from fastwarc.warc import ArchiveIterator

from pipelines.crawl.fetches import PSEUDONYM, is_gone
from pipelines.crawl.schema import (
    FETCHED,
    NOT_FETCHED,
    OVER_HOST_PAGES,
    OVER_MAX_PAGES,
    PAGE,
    PLANNED,
    REACHED,
    WAITING,
)
from pipelines.extract.http_message import BrokenMessage, decode_body, parse_response
from pipelines.workspace.ledger import Entry
from pipelines.workspace.parts import read_table
from pipelines.workspace.schema import payload_digest
from pipelines.workspace.workspace import Workspace

_NO_LIMIT = 1 << 62  # what is archived was within its limit when it was fetched


def check_crawl(workspace: Workspace, entry: Entry) -> Iterator[str]:
    """Recounts one entry of `crawl` or `crawl.frontier`; gives faults."""
    if entry.job == "crawl.frontier":
        yield from _frontier_faults(workspace, entry)
        return
    names = ["url", "kind", "outcome", "reason", "status", "final_url", "digest", "offset"]
    names += ["revisit", "held"]
    rows = read_table(workspace.storage, entry.file("fetches"), names).to_pylist()
    pages = Counter(row["outcome"] for row in rows if row["kind"] == PAGE)
    found = {
        "rows": len(rows),
        "asked": pages.total(),
        "fetched": pages[FETCHED],
        "not_fetched": pages[NOT_FETCHED],
        "revisits": sum(row["kind"] == PAGE and row["revisit"] is not None for row in rows),
        "gone": sum(map(is_gone, rows)),
    }
    yield from _differences(entry, found, entry.file("fetches").path)
    if any((row["outcome"] == FETCHED) != (row["digest"] is not None) for row in rows):
        yield f"{entry.file('fetches').path}: what was fetched has a digest, and nothing else has"
    if any(row["offset"] is None for row in rows if _is_kept_page(row)):
        yield f"{entry.file('fetches').path}: a page was fetched and has no place in the archive"
    reasons = Counter(
        row["reason"] for row in rows if row["kind"] == PAGE and row["outcome"] == NOT_FETCHED
    )
    if dict(reasons) != dict(entry.detail["reasons"]):
        yield f"{_name(entry)}: reasons {dict(reasons)}, and the ledger says otherwise"
    yield from _archive_faults(workspace, entry, rows)


def _is_kept_page(row: dict[str, Any]) -> bool:
    return bool(row["kind"] == PAGE and row["outcome"] == FETCHED and not _is_erased(row))


def _is_erased(row: dict[str, Any]) -> bool:
    """Whether an erasure took the record of a fetch out of the archive."""
    return str(row["url"]).startswith(PSEUDONYM)


def _archive_faults(
    workspace: Workspace, entry: Entry, rows: list[dict[str, Any]]
) -> Iterator[str]:
    path = entry.file("warc").path
    archived = [row for row in rows if row["offset"] is not None and not _is_erased(row)]
    expected = Counter((row["final_url"], _revisited(row) or row["digest"]) for row in archived)
    with workspace.storage.open(path) as file:
        kinds, responses, faults = _read_archive(file)
    yield from (f"{path}: {fault}" for fault in faults)
    yield from _differences(entry, {"records": sum(kinds.values())}, path)
    if kinds["response"] + kinds["revisit"] != kinds["request"]:
        yield f"{path}: not one request for each response or revisit"
    for (url, _), number in sorted((expected - responses).items(), key=repr):
        yield f"{path}: {number} of {url} were fetched and are not in the archive as they were"
    for (url, _), number in sorted((responses - expected).items(), key=repr):
        yield f"{path}: {number} of {url} are in the archive and no fetch speaks of them"


def _revisited(row: dict[str, Any]) -> object:
    """What a revisit refers to, or None where the payload itself is archived."""
    return row["held"]["record_id"] if row["revisit"] is not None else None


def _read_archive(
    file: IO[bytes],
) -> tuple[Counter[str], Counter[tuple[object, object]], list[str]]:
    """Records by kind, what they are, and what is broken.

    A response is (address, payload digest), a revisit (address, id of the record it refers to).
    """
    kinds: Counter[str] = Counter()
    responses: Counter[tuple[object, object]] = Counter()
    faults = []
    for record in ArchiveIterator(file, parse_http=False):
        kind = str(record.headers.get("WARC-Type"))
        kinds[kind] += 1
        url = record.headers.get("WARC-Target-URI")
        if not record.verify_block_digest():
            faults.append(f"the {kind} of {url} has another digest than it says")
        if kind == "revisit":
            responses[url, record.headers.get("WARC-Refers-To")] += 1
        elif kind == "response":
            try:
                response = parse_response(record.reader.read())
                payload = decode_body(response, max_bytes=_NO_LIMIT)
            except BrokenMessage as error:
                faults.append(f"the response of {url} cannot be read ({error})")
            else:
                responses[url, payload_digest(payload)] += 1
    return kinds, responses, faults


def _frontier_faults(workspace: Workspace, entry: Entry) -> Iterator[str]:
    ref = entry.file("frontier")
    table = read_table(workspace.storage, ref, ["state", "part"])
    states = Counter(table.column("state").to_pylist())
    names = (PLANNED, WAITING, OVER_HOST_PAGES, OVER_MAX_PAGES, REACHED)
    found = {name: states[name] for name in names}
    yield from _differences(entry, found, ref.path)
    if states.total() != sum(found.values()):
        yield f"{ref.path}: states {sorted(states)}, of which some are unknown"
    parts = set(_parts(table))
    first = entry.detail["first_part"]
    if parts != set(range(first, first + entry.detail["parts"])):
        yield f"{ref.path}: its parts are not those of the ledger"


def _parts(table: pa.Table) -> Iterator[int]:
    return (part for part in table.column("part").to_pylist() if part is not None)


def _differences(entry: Entry, found: dict[str, int], path: str) -> Iterator[str]:
    for name, number in found.items():
        if number != entry.counts[name]:
            yield (
                f"{_name(entry)}: {number} {name} in {path}, and the ledger says "
                f"{entry.counts[name]}"
            )


def _name(entry: Entry) -> str:
    return f"{entry.job}@{entry.fp} {entry.source} part {entry.part}"

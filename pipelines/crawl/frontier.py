"""The frontier: what each round of a crawl asks for, planned from the ledger alone.

A round is planned when all parts of the one before are committed, and its plan is committed itself,
as part `round` of the job `crawl.frontier`: one Parquet file with the addresses of each part in a
row group of its own, then those that wait, then those that are left over. So a driver that is
killed and started again finds the round as it was, and a worker reads its part of it.

Order: addresses are asked for by depth, then by the round that found them, then by address. The
first `max_pages` pages are asked for, ever; the others are `over_max_pages`. (Sitemaps have the
same number, apart.) Of one host a round takes 500 pages and 20 sitemaps at most, the others wait:
a part is the unit of what is lost when a worker dies, and 500 pages are some ten minutes at one
request a second.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.crawl.schema import (
    FRONTIER,
    OVER_MAX_PAGES,
    PAGE,
    PLANNED,
    REACHED,
    SITEMAP,
    WAITING,
)
from pipelines.crawl.visits import Target
from pipelines.extract.uris import host_of
from pipelines.workspace.ledger import Entry, FileRef
from pipelines.workspace.parts import publish_file, read_table
from pipelines.workspace.storage import Storage

HOST_TARGETS: Final = {PAGE: 500, SITEMAP: 20}
"""Addresses of a host that one round takes, by kind."""
PART_HOSTS: Final = 64
"""Hosts of a part; all are visited side by side."""
PART_TARGETS: Final = 2000
"""Addresses of a part, unless one host has more."""


@dataclass(slots=True)
class Plan:
    """What a round does."""

    parts: list[list[Target]] = field(default_factory=list)
    waiting: list[Target] = field(default_factory=list)
    over: list[Target] = field(default_factory=list)
    reached: list[Target] = field(default_factory=list)
    """Where redirects of the round before led to; known, and not asked for again."""

    @property
    def counts(self) -> dict[str, int]:
        """Equation: candidates = planned + waiting + over_max_pages."""
        planned = sum(map(len, self.parts))
        return {
            "candidates": planned + len(self.waiting) + len(self.over),
            PLANNED: planned,
            WAITING: len(self.waiting),
            OVER_MAX_PAGES: len(self.over),
            REACHED: len(self.reached),
        }


def make_plan(
    carried: Sequence[Target], found: Iterable[Target], taken: Counter[str], max_pages: int
) -> Plan:
    """Decides what a round asks for.

    Args:
        carried: What waited in the round before, in its order.
        found: New addresses, each once.
        taken: Kind -> addresses that earlier rounds asked for.
        max_pages: Most addresses of each kind, ever.
    """
    fresh = sorted(found, key=lambda target: (target.depth, target.url))
    queue = sorted([*carried, *fresh], key=lambda target: target.depth)
    plan = Plan()
    room = {kind: max_pages - taken[kind] for kind in HOST_TARGETS}
    hosts: defaultdict[str, list[Target]] = defaultdict(list)
    of_host: Counter[tuple[str, str]] = Counter()
    for target in queue:
        if room[target.kind] <= 0:
            plan.over.append(target)
            continue
        room[target.kind] -= 1
        host = host_of(target.url) or ""
        if of_host[host, target.kind] >= HOST_TARGETS[target.kind]:
            plan.waiting.append(target)
        else:
            of_host[host, target.kind] += 1
            hosts[host].append(target)
    plan.parts = list(_pack(hosts))
    return plan


def _pack(hosts: dict[str, list[Target]]) -> Iterator[list[Target]]:
    """Parts of whole hosts, in the order of their names; sitemaps of a host come first."""
    part: list[Target] = []
    num_hosts = 0
    for _, targets in sorted(hosts.items()):
        if part and (num_hosts == PART_HOSTS or len(part) + len(targets) > PART_TARGETS):
            yield part
            part, num_hosts = [], 0
        part += sorted(targets, key=lambda target: target.kind != SITEMAP)
        num_hosts += 1
    if part:
        yield part


def write_plan(storage: Storage, plan: Plan, stem: str, first_part: int) -> FileRef:
    """Writes and publishes the frontier file of a round."""
    local = storage.scratch(".parquet")
    try:
        with pq.ParquetWriter(
            local, FRONTIER, compression="zstd", write_page_checksum=True
        ) as writer:
            for number, targets in enumerate(plan.parts):
                writer.write_table(_table(PLANNED, targets, first_part + number))
            rest = {WAITING: plan.waiting, OVER_MAX_PAGES: plan.over, REACHED: plan.reached}
            for state, targets in rest.items():
                if targets:
                    writer.write_table(_table(state, targets, None))
        rows = plan.counts["candidates"] + plan.counts[REACHED]
        return publish_file(storage, local, kind="frontier", stem=stem, rows=rows)
    finally:
        local.unlink(missing_ok=True)


def _table(state: str, targets: Sequence[Target], part: int | None) -> pa.Table:
    rows: list[dict[str, Any]] = [
        {
            "state": state,
            "part": part,
            "host": host_of(target.url) or "",
            "url": target.url,
            "kind": target.kind,
            "depth": target.depth,
        }
        for target in targets
    ]
    return pa.Table.from_pylist(rows, schema=FRONTIER)


def targets_in(table: pa.Table, state: str) -> list[Target]:
    """Addresses of one state, in their order."""
    some = table.filter(pc.equal(table.column("state"), state))
    columns = (some.column(name).to_pylist() for name in ("url", "kind", "depth"))
    return [Target(*values) for values in zip(*columns, strict=True)]


def part_targets(storage: Storage, entry: Entry, part: int) -> dict[str, list[Target]]:
    """Host -> its addresses of one part, in the order in which they are asked for.

    Args:
        storage: The workspace's folder.
        entry: The round's.
        part: Number of the part.
    """
    with storage.open(entry.file("frontier").path) as file:
        reader = pq.ParquetFile(file, page_checksum_verification=True)
        # A part is one call of the writer; a row group ends at 1,048,576 rows, far beyond a part.
        table = reader.read_row_group(part - entry.detail["first_part"])
    assert set(table.column("part").to_pylist()) == {part}, f"{entry.file('frontier').path}: part"
    hosts: dict[str, list[Target]] = {}
    for host, target in zip(
        table.column("host").to_pylist(), targets_in(table, PLANNED), strict=True
    ):
        hosts.setdefault(host, []).append(target)
    return hosts


def known_urls(
    storage: Storage, entries: Sequence[Entry], hosts: Iterable[str]
) -> dict[str, set[str]]:
    """Host -> addresses that the crawl has asked for or will ask for.

    Args:
        storage: The workspace's folder.
        entries: Of the rounds so far.
        hosts: Those that are wanted.
    """
    known: dict[str, set[str]] = {host: set() for host in hosts}
    wanted = pa.array(sorted(known), pa.string())
    for entry in entries:
        table = read_table(storage, entry.file("frontier"), ["state", "host", "url"])
        is_known = pc.not_equal(table.column("state"), OVER_MAX_PAGES)
        table = table.filter(pc.and_(pc.is_in(table.column("host"), wanted), is_known))
        columns = (table.column(name).to_pylist() for name in ("host", "url"))
        for host, url in zip(*columns, strict=True):
            known[host].add(url)
    return known

"""The crawl job: rounds of a frontier, each a set of parts; each part WARC, fetches and links.

Equation: addresses asked for = fetched + not fetched, pages only. What robots.txt and sitemaps took
is counted apart in `detail`, with all reasons.

What decides a crawl is what may be fetched, not how politely: seeds, hosts, limits of depth, size
and number enter the generation. `delay`, `timeout`, `retries` and `contact` do not; they decide how
often an answer is missed, as the weather of the network does, so a crawl may be slowed down or
sped up and go on. `connect` says where a server is reached, which is no property of its pages.

A part that is done again gives the same set of (address, payload digest) from a server that has not
changed, but other dates. Memory: bodies are spooled; what stays for a part is one small object an
address and the set of links.
"""

import asyncio
import shutil
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from pipelines.config import CrawlConfig
from pipelines.crawl.addresses import address_of, is_public, parse_endpoint
from pipelines.crawl.archive import Draft, copy_extents, write_warcinfo
from pipelines.crawl.frontier import Plan, known_urls, part_targets, write_plan
from pipelines.crawl.harvest import Harvest, links_batch
from pipelines.crawl.lanes import ACCEPT, ACCEPT_ENCODING, Lanes
from pipelines.crawl.robots import PRODUCT
from pipelines.crawl.rounds import plan_round
from pipelines.crawl.schema import (
    FETCHED,
    FETCHES,
    LINKS,
    NOT_FETCHED,
    PAGE,
    PLANNED,
    ROBOTS,
    SITEMAP,
)
from pipelines.crawl.scope import ascii_host, scope_of, seeds_of
from pipelines.crawl.visits import HostVisit, Target, Visit, is_archived
from pipelines.workspace.children import Children
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.inventory import Listed
from pipelines.workspace.jobs import PartKey, entry_of
from pipelines.workspace.ledger import Entry, FileRef, Stopwatch
from pipelines.workspace.parts import PartFile, batch_of, publish_file
from pipelines.workspace.workspace import Workspace

VERSION: Final = "1"
JOB: Final = "crawl"
FRONTIER_JOB: Final = "crawl.frontier"
_DECIDING: Final = {
    "allow_private",
    "sitemaps",
    "max_pages",
    "max_depth",
    "max_redirects",
    "max_body_bytes",
}


@dataclass(frozen=True)
class CrawlJob:
    """Crawls one source."""

    source: str
    config: CrawlConfig
    connect: Mapping[str, str] = field(default_factory=dict)
    """Host -> `address:port` that stands for it, like `curl --connect-to`; the names stay."""

    def __post_init__(self) -> None:
        """Raises:
        ValueError: A seed, a host or an address that cannot be, told with what is allowed.
        """
        scope_of(self.config)
        private = self._private_hosts()
        if not self.config.contact.isprintable():
            raise ValueError(
                f"contact: found {self.config.contact!r}; allowed: one line of text, an e-mail "
                "address or a URL"
            )
        for name, place in self.connect.items():
            host = ascii_host(name)
            address = address_of(parse_endpoint(place)[0])
            if address_of(host) is not None or host != name:
                raise ValueError(
                    f"connect: found the host {name!r}; allowed: a host name as it stands in "
                    f"addresses, in lower case and Punycode; write {host!r}"
                )
            if address is not None and not is_public(address) and host not in private:
                raise ValueError(
                    f"connect: {name} is to be reached at {place}, a private address; source "
                    f"{self.source} allows that only to hosts in `allow_private`; add {name} there"
                )

    @property
    def generation(self) -> Generation:
        """What decides the result."""
        payload = {
            "version": VERSION,
            "source": self.source,
            "seeds": [url for url, _ in seeds_of(self.config)],
            "hosts": sorted({*scope_of(self.config).hosts, *scope_of(self.config).suffixes}),
            "settings": self.config.model_dump(include=_DECIDING)
            | {"allow_private": sorted(self._private_hosts())},
        }
        return Generation(job=JOB, payload=payload)

    @property
    def frontier(self) -> Generation:
        """Plans of the rounds."""
        payload = {"version": VERSION, "crawl": self.generation.full}
        return Generation(job=FRONTIER_JOB, payload=payload)

    @property
    def generations(self) -> tuple[Generation, ...]:
        """One."""
        return (self.generation,)

    def rounds(self, workspace: Workspace) -> list[Entry]:
        """The rounds that are planned; part of an entry is the number of the round."""
        return workspace.ledger.entries(self.frontier, self.source)

    def next_round(self, workspace: Workspace) -> list[PartKey]:
        """Parts of the round that is to be done; none when the crawl is over.

        While a part of the last round is not committed, it is that round; else the next one is
        planned. The ledger alone decides, so a driver that was killed gets the same parts.
        """
        rounds = self.rounds(workspace)
        if rounds and not rounds[-1].counts[PLANNED]:
            return []
        done = self._done(workspace, rounds[-1]) if rounds else []
        if done is None:
            return self._keys(rounds[-1])
        plan = plan_round(workspace.storage, rounds, done, seeds_of(self.config), self.config)
        return self._keys(self._commit_plan(workspace, plan, rounds))

    def run(self, workspace: Workspace, key: PartKey, children: Children) -> None:
        """Fetches and commits one part of a round."""
        watch = Stopwatch()
        storage = workspace.storage
        rounds = [r for r in self.rounds(workspace) if r.detail["first_part"] <= key.part]
        hosts = part_targets(storage, rounds[-1], key.part)
        known = known_urls(storage, rounds, hosts)
        folder = storage.scratch(".crawl")
        folder.mkdir()
        try:
            started = datetime.now(UTC)
            drafts = self._visit(folder, key, hosts, known)
            harvest = Harvest(scope_of(self.config), self.config.max_depth)
            harvest.read(drafts, children)
            warc = folder / "part.warc.gz"
            rows = self._write_warc(warc, drafts, key, started)
            self._commit(workspace, key, warc, rows, harvest, watch, rounds[-1])
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _private_hosts(self) -> frozenset[str]:
        return frozenset(ascii_host(name) for name in self.config.allow_private)

    def _keys(self, entry: Entry) -> list[PartKey]:
        first = entry.detail["first_part"]
        return [PartKey(self.source, first + n) for n in range(entry.detail["parts"])]

    def _done(self, workspace: Workspace, planned: Entry) -> list[Entry] | None:
        """The parts of a round, or None while one is not committed."""
        found = [
            workspace.ledger.find(self.generation, key.source, key.part)
            for key in self._keys(planned)
        ]
        done = [entry for entry in found if entry is not None]
        return done if len(done) == len(found) else None

    def _commit_plan(self, workspace: Workspace, plan: Plan, rounds: list[Entry]) -> Entry:
        watch, ledger = Stopwatch(), workspace.ledger
        number, first = len(rounds), sum(entry.detail["parts"] for entry in rounds)
        ledger.declare(self.frontier)
        stem = f"frontier/{self.source}@{self.frontier.fp}/round-{number:05d}"
        ref = write_plan(workspace.storage, plan, stem, first)
        entry = entry_of(
            self.frontier,
            PartKey(self.source, number),
            files=(ref,),
            counts=plan.counts,
            watch=watch,
            detail={"first_part": first, "parts": len(plan.parts)},
        )
        ledger.commit(entry)  # if another driver was first, its plan is the same
        return ledger.get(self.frontier, self.source, number)

    def _name(self, key: PartKey) -> str:
        return f"{self.generation.full} {key.source} {key.part}"

    def _visit(
        self,
        folder: Path,
        key: PartKey,
        hosts: dict[str, list[Target]],
        known: dict[str, set[str]],
    ) -> list[tuple[Draft, list[Visit]]]:
        """Visits all hosts side by side; drafts are in the order of hosts."""
        with ExitStack() as stack:
            drafts = []
            for number, host in enumerate(hosts):
                draft = Draft(folder / f"{number:05d}.warc.gz", f"{self._name(key)} {host}")
                stack.callback(draft.close)
                drafts.append(draft)
            visits = asyncio.run(self._visit_all(drafts, hosts, known))
        return list(zip(drafts, visits, strict=True))

    async def _visit_all(
        self, drafts: list[Draft], hosts: dict[str, list[Target]], known: dict[str, set[str]]
    ) -> list[list[Visit]]:
        scope = scope_of(self.config)
        lanes = Lanes(
            headers=self._headers(),
            allow_private=self._private_hosts(),
            connect=dict(self.connect),
            timeout_s=self.config.timeout,
            delay_s=self.config.delay,
        )
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(
                        HostVisit(host, lanes, self.config, scope, known[host], draft).run(targets)
                    )
                    for draft, (host, targets) in zip(drafts, hosts.items(), strict=True)
                ]
        finally:
            await lanes.close()
        return [task.result() for task in tasks]

    def _headers(self) -> dict[str, str]:
        return {
            "User-Agent": user_agent(self.config.contact),
            "Accept": ACCEPT,
            "Accept-Encoding": ACCEPT_ENCODING,
        }

    def _write_warc(
        self,
        path: Path,
        drafts: list[tuple[Draft, list[Visit]]],
        key: PartKey,
        started: datetime,
    ) -> list[dict[str, Any]]:
        """Writes the records that are kept; gives the FETCHES rows of all visits."""
        rows = []
        with path.open("wb") as file:
            write_warcinfo(file, self._name(key), started, self._info(key))
            for draft, visits in drafts:
                extents = [v.extent for v in visits if v.extent and is_archived(v)]
                starts = iter(copy_extents(file, draft.path, extents))
                rows += [_row(v, next(starts) if is_archived(v) else None) for v in visits]
        return rows

    def _info(self, key: PartKey) -> dict[str, str]:
        return {
            "software": f"{PRODUCT}/{_release()}",
            "format": "WARC File Format 1.1",
            "conformsTo": "https://iipc.github.io/warc-specifications/specifications/"
            "warc-format/warc-1.1/",
            "isPartOf": f"{key.source}@{self.generation.fp} part {key.part}",
            "operator": self.config.contact,
            "http-header-user-agent": user_agent(self.config.contact),
            "robots": "obey",
        }

    def _commit(
        self,
        workspace: Workspace,
        key: PartKey,
        warc: Path,
        rows: list[dict[str, Any]],
        harvest: Harvest,
        watch: Stopwatch,
        planned: Entry,
    ) -> None:
        storage, fp = workspace.storage, self.generation.fp
        kept = sum(row["offset"] is not None for row in rows)
        stem = f"raw/{key.source}/part-{key.part:05d}"
        with PartFile(storage, FETCHES) as fetches, PartFile(storage, LINKS) as links:
            fetches.write(batch_of(rows, FETCHES))
            found = harvest.rows()
            links.write(links_batch(found))
            files = (
                publish_file(storage, warc, kind="warc", stem=stem, rows=1 + 2 * kept),
                fetches.publish("fetches", f"fetches/{key.source}@{fp}", key.part),
                links.publish("links", f"links/{key.source}@{fp}", key.part),
            )
        pages = Counter(row["outcome"] for row in rows if row["kind"] == PAGE)
        counts = {
            "asked": sum(row["kind"] == PAGE for row in rows),
            "fetched": pages[FETCHED],
            "not_fetched": pages[NOT_FETCHED],
            "rows": len(rows),
            "links": len(found),
            "records": files[0].rows,
        }
        detail = _detail(rows) | {
            "links_not_followed": dict(sorted(harvest.dropped.items())),
            "round": planned.part,
        }
        inputs = (planned.file("frontier").path,)
        entry = entry_of(
            self.generation,
            key,
            files=files,
            counts=counts,
            watch=watch,
            detail=detail,
            inputs=inputs,
        )
        workspace.ledger.commit(entry)


def _row(visit: Visit, offset: int | None) -> dict[str, Any]:
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
    }


def _detail(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Reasons, robots and sitemaps by outcome, bytes and media types."""
    of_kind = {
        kind: Counter(row["reason"] or FETCHED for row in rows if row["kind"] == kind)
        for kind in (PAGE, ROBOTS, SITEMAP)
    }
    types = Counter(row["media_type"] for row in rows if row["offset"] is not None)
    return {
        "reasons": {r: n for r, n in sorted(of_kind[PAGE].items()) if r != FETCHED},
        "robots": dict(sorted(of_kind[ROBOTS].items())),
        "sitemaps": dict(sorted(of_kind[SITEMAP].items())),
        "media_types": {str(name): number for name, number in sorted(types.items(), key=str)},
        "bytes": sum(row["bytes"] or 0 for row in rows),
        "requests": sum(row["tries"] for row in rows),
    }


def crawled_files(workspace: Workspace, crawl: CrawlJob) -> list[Listed]:
    """The WARC files of a crawl, as input files of the extract stage."""
    storage = workspace.storage
    refs = [
        entry.file("warc") for entry in workspace.ledger.entries(crawl.generation, crawl.source)
    ]
    return [
        _listed(ref, storage.path(ref.path), is_local=storage.is_local, fs=storage.fs)
        for ref in refs
    ]


def _listed(ref: FileRef, path: str, *, is_local: bool, fs: Any) -> Listed:  # noqa: ANN401 - fsspec has no types
    return Listed(
        url=path if is_local else fs.unstrip_protocol(path),
        file=ref.path.rsplit("/", 1)[-1],
        format="warc",
        bytes=ref.bytes,
        stamp=ref.sha256,
        digest=partial(str, ref.sha256),
    )


def user_agent(contact: str) -> str:
    """What the crawler calls itself; the contact lets a site complain.

    >>> user_agent("crawl@example.org").split(" ", 1)[1]
    '(+crawl@example.org)'
    """
    return f"{PRODUCT}/{_release()} (+{contact})"


def _release() -> str:
    try:
        return version("tokenmill")
    except PackageNotFoundError:
        return "unknown"

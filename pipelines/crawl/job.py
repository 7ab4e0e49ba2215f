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
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from pipelines.config import CrawlConfig
from pipelines.crawl.addresses import address_of, is_public, parse_endpoint
from pipelines.crawl.archive import Draft, copy_extents, write_warcinfo
from pipelines.crawl.fetches import detail_of, is_gone, row_of
from pipelines.crawl.frontier import part_targets, write_frontier, write_known
from pipelines.crawl.harvest import Harvest
from pipelines.crawl.known import KnownUrls, known_of_hosts
from pipelines.crawl.lanes import ACCEPT, ACCEPT_ENCODING, Lanes
from pipelines.crawl.languages import LanguageRanges
from pipelines.crawl.planning import Budgets, Sources, plan_round
from pipelines.crawl.robots import PRODUCT
from pipelines.crawl.rounds import Rounds, earlier_known, first_sources, next_sources
from pipelines.crawl.schema import FETCHED, FETCHES, LINKS, NOT_FETCHED, PAGE
from pipelines.crawl.scope import Scope, ascii_host, scope_of, seeds_of
from pipelines.crawl.targets import Target, Visit
from pipelines.crawl.visits import HostVisit, is_archived
from pipelines.workspace.children import Children
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.inventory import Listed
from pipelines.workspace.jobs import PartKey, entry_of
from pipelines.workspace.ledger import Entry, FileRef, Stopwatch
from pipelines.workspace.parts import PartFile, batch_of, publish_file
from pipelines.workspace.takedown import read_takedowns
from pipelines.workspace.workspace import Workspace

VERSION: Final = "2"
JOB: Final = "crawl"
FRONTIER_JOB: Final = "crawl.frontier"
_DECIDING: Final = {
    "allow_private",
    "include",
    "exclude",
    "languages",
    "obey_ai_policy",
    "sitemaps",
    "max_pages",
    "max_pages_per_host",
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

    @cached_property
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

    def rounds(self, workspace: Workspace) -> Rounds:
        """The rounds that are planned."""
        return Rounds(tuple(workspace.ledger.entries(self.frontier, self.source)))

    def next_round(self, workspace: Workspace) -> list[PartKey]:
        """Parts of the round that is to be done; none when the last pass is over.

        While a part of the last round is not committed, it is that round; else the next one is
        planned. The ledger alone decides, so a driver that was killed gets the same parts.
        """
        rounds = self.rounds(workspace)
        if rounds.is_pass_over:
            while rounds.is_pass_over:
                if rounds.pass_number >= self.config.passes:
                    return []
                rounds = self._begin_pass(workspace, rounds)
            return self._keys(rounds.last)
        done = self._done(workspace, [rounds.last])
        if done is None:
            return self._keys(rounds.last)
        sources = next_sources(workspace.storage, rounds, done)
        entry = self._plan(workspace, rounds, sources, rounds.of_pass)
        return self._keys(entry) or self.next_round(workspace)

    def run(self, workspace: Workspace, key: PartKey, children: Children) -> None:
        """Fetches and commits one part of a round."""
        watch = Stopwatch()
        storage = workspace.storage
        rounds = self.rounds(workspace).before(key.part)
        hosts = part_targets(storage, rounds.last, key.part)
        known = known_of_hosts(storage, rounds.of_pass, hosts)
        scope = scope_of(self.config, read_takedowns(storage).keys)
        folder = storage.scratch(".crawl")
        folder.mkdir()
        try:
            started = datetime.now(UTC)
            drafts = self._visit(folder, key, hosts, known, scope)
            harvest = Harvest(scope, self.config)
            harvest.read(drafts, children)
            warc = folder / "part.warc.gz"
            rows = self._write_warc(warc, drafts, key, started)
            self._commit(workspace, key, warc, rows, harvest, watch, rounds.last)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _private_hosts(self) -> frozenset[str]:
        return frozenset(ascii_host(name) for name in self.config.allow_private)

    def _keys(self, entry: Entry) -> list[PartKey]:
        first = entry.detail["first_part"]
        return [PartKey(self.source, first + n) for n in range(entry.detail["parts"])]

    def _done(self, workspace: Workspace, planned: Iterable[Entry]) -> list[Entry] | None:
        """The parts of some rounds, or None while one is not committed."""
        keys = [key for entry in planned for key in self._keys(entry)]
        found = [workspace.ledger.find(self.generation, key.source, key.part) for key in keys]
        done = [entry for entry in found if entry is not None]
        return done if len(done) == len(found) else None

    def _begin_pass(self, workspace: Workspace, rounds: Rounds) -> Rounds:
        """Plans the first round of the next pass; gives all rounds."""
        done = self._done(workspace, rounds.of_pass)
        assert done is not None, "a pass is over when its last round has no part"
        seeds = seeds_of(self.config)
        sources = first_sources(workspace.storage, rounds, done, seeds)
        return Rounds((*rounds.entries, self._plan(workspace, rounds, sources, ())))

    def _plan(
        self, workspace: Workspace, rounds: Rounds, sources: Sources, of_pass: Sequence[Entry]
    ) -> Entry:
        """Plans and commits a round.

        Args:
            workspace: Where it goes.
            rounds: All rounds so far.
            sources: What it is planned from.
            of_pass: The earlier rounds of its pass.
        """
        watch, storage, ledger = Stopwatch(), workspace.storage, workspace.ledger
        first = sum(entry.detail["parts"] for entry in rounds.entries)
        number = len(rounds.entries)
        budgets = Budgets(self.config.max_pages, self.config.max_pages_per_host)
        stem = f"frontier/{self.source}@{self.frontier.fp}/round-{number:05d}"
        folder = storage.scratch(".plan")
        try:
            with plan_round(sources, budgets, folder, first) as plan:
                known = plan.known(earlier_known(storage, of_pass))
                files = (
                    write_frontier(storage, plan.rows(), stem),
                    write_known(storage, known, f"{stem}-known"),
                )
                counts, parts = plan.counts, plan.num_parts
                admitted = {k: n + sources.admitted[k] for k, n in plan.admitted.items()}
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        detail = {
            "first_part": first,
            "parts": parts,
            "pass": rounds.pass_number + (not of_pass),
            "admitted": admitted,
        }
        key = PartKey(self.source, number)
        entry = entry_of(self.frontier, key, files=files, counts=counts, watch=watch, detail=detail)
        ledger.declare(self.frontier)
        ledger.commit(entry)  # if another driver was first, its plan is the same
        ledger.fold(self.frontier, {(self.source, number)})
        return ledger.get(self.frontier, self.source, number)

    def _name(self, key: PartKey) -> str:
        return f"{self.generation.full} {key.source} {key.part}"

    def _visit(
        self,
        folder: Path,
        key: PartKey,
        hosts: dict[str, list[Target]],
        known: dict[str, KnownUrls],
        scope: Scope,
    ) -> list[tuple[Draft, list[Visit]]]:
        """Visits all hosts side by side; drafts are in the order of hosts."""
        with ExitStack() as stack:
            drafts = []
            for number, host in enumerate(hosts):
                draft = Draft(folder / f"{number:05d}.warc.gz", f"{self._name(key)} {host}")
                stack.callback(draft.close)
                drafts.append(draft)
            visits = asyncio.run(self._visit_all(drafts, hosts, known, scope))
        return list(zip(drafts, visits, strict=True))

    async def _visit_all(
        self,
        drafts: list[Draft],
        hosts: dict[str, list[Target]],
        known: dict[str, KnownUrls],
        scope: Scope,
    ) -> list[list[Visit]]:
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
        accepted = LanguageRanges(self.config.languages).accepted
        return {
            "User-Agent": user_agent(self.config.contact),
            "Accept": ACCEPT,
            "Accept-Encoding": ACCEPT_ENCODING,
            **({"Accept-Language": accepted} if accepted else {}),
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
                rows += [row_of(v, next(starts) if is_archived(v) else None) for v in visits]
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
            found = harvest.batch()
            links.write(found)
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
            "revisits": sum(row["revisit"] is not None for row in rows if row["kind"] == PAGE),
            "gone": sum(is_gone(row) for row in rows),
            "rows": len(rows),
            "links": found.num_rows,
            "records": files[0].rows,
        }
        detail = detail_of(rows) | {
            "links_not_followed": dict(sorted(harvest.dropped.items())),
            "round": planned.part,
            "pass": planned.detail["pass"],
            "block_lists": harvest.scope.block_lists_digest,
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

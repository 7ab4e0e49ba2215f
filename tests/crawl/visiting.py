"""One host's visit against a server, without frontier, parts or workspace."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from crawling import POLITE, read_by_fastwarc, read_by_ours, read_by_warcio

from pipelines.config import CrawlConfig
from pipelines.crawl.archive import Draft, Validators
from pipelines.crawl.lanes import Lanes
from pipelines.crawl.scope import scope_of
from pipelines.crawl.targets import Target, Visit
from pipelines.crawl.visits import HostVisit
from pipelines.extract.uris import host_of

HOST = "a.example"
SEED = f"http://{HOST}/"


@dataclass
class Visited:
    """What a visit gave."""

    visits: list[Visit]
    archive: Path
    lanes: Lanes

    def outcomes(self, kind: str = "page") -> dict[str, str]:
        """Path -> reason, or `fetched`."""
        return {
            visit.url.removeprefix(SEED): visit.reason or visit.outcome
            for visit in self.visits
            if visit.kind == kind
        }

    def of(self, path: str) -> Visit:
        """The visit of a path."""
        (found,) = [visit for visit in self.visits if visit.url == f"{SEED}{path}"]
        return found

    def kinds(self) -> list[tuple[str, str | None]]:
        """(type, address) of each record of the draft; three readers agree and verify digests."""
        path = str(self.archive)
        by_warcio = [(kind, uri) for kind, uri, _ in read_by_warcio(path)]
        assert by_warcio == [(kind, uri) for kind, uri, _ in read_by_fastwarc(path)]
        assert [row["uri"] for row in read_by_ours(path)] == [uri for _, uri in by_warcio]
        return by_warcio


def visit_host(
    folder: Path,
    port: int,
    paths: Sequence[str],
    *,
    held: dict[str, Validators] | None = None,
    kind: str = "page",
    taken_down: pa.LargeStringArray | None = None,
    **settings: object,
) -> Visited:
    """Visits paths of a.example in their order.

    Args:
        folder: Where the draft is written.
        port: Of the server that stands for all hosts.
        paths: Below the root.
        held: Path -> what an earlier pass holds.
        kind: Of all of them.
        taken_down: Entries.
        settings: Of the crawl.
    """
    values = {**POLITE, "delay": 0, "seeds": [SEED], "allow_private": [HOST], **settings}
    config = CrawlConfig.model_validate(values)
    targets = [Target(f"{SEED}{path}", kind, 0, (held or {}).get(path)) for path in paths]
    draft = Draft(folder / "draft.warc.gz", "part 0")
    try:
        visits, lanes = asyncio.run(_visit(config, port, targets, draft, taken_down))
    finally:
        draft.close()
    return Visited(visits, draft.path, lanes)


async def _visit(
    config: CrawlConfig,
    port: int,
    targets: Sequence[Target],
    draft: Draft,
    taken_down: pa.LargeStringArray | None,
) -> tuple[list[Visit], Lanes]:
    hosts = frozenset(config.allow_private)
    lanes = Lanes(
        headers={"User-Agent": "tokenmill/test"},
        allow_private=hosts,
        connect=dict.fromkeys(hosts, f"127.0.0.1:{port}"),
        timeout_s=config.timeout,
        delay_s=config.delay,
    )
    known = {target.url for target in targets}
    try:
        scope = scope_of(config, taken_down)
        host = host_of(targets[0].url) or ""
        return await HostVisit(host, lanes, config, scope, known, draft).run(targets), lanes
    finally:
        await lanes.close()

"""Runs a crawl as the driver does, without Beam, and shows what came of it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
from fastwarc.warc import ArchiveIterator
from warcio.archiveiterator import ArchiveIterator as WarcioIterator

from pipelines.config import CrawlConfig
from pipelines.crawl.check import check_crawl
from pipelines.crawl.job import CrawlJob, crawled_files
from pipelines.crawl.links import find_links
from pipelines.crawl.visits import REASONS
from pipelines.extract.records import InputRange, ReadSettings, read_records
from pipelines.extract.uris import host_of
from pipelines.workspace.children import Children
from pipelines.workspace.jobs import PartKey, is_done
from pipelines.workspace.ledger import Entry
from pipelines.workspace.parts import read_table
from pipelines.workspace.schema import payload_digest
from pipelines.workspace.workspace import Workspace

POLITE = {"contact": "crawler@test.example", "delay": 0.001, "timeout": 5.0, "retries": 0}


@dataclass
class Crawled:
    """A crawl that is over."""

    workspace: Workspace
    job: CrawlJob

    @cached_property
    def entries(self) -> list[Entry]:
        return self.workspace.ledger.entries(self.job.generation)

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        return self._table("fetches")

    @cached_property
    def links(self) -> list[dict[str, Any]]:
        return self._table("links")

    def _table(self, kind: str) -> list[dict[str, Any]]:
        storage = self.workspace.storage
        tables = [read_table(storage, entry.file(kind)) for entry in self.entries]
        return [row for table in tables for row in table.to_pylist()]

    def outcomes(self, kind: str = "page") -> dict[str, str]:
        """Path (of pages of the first host) or address -> reason, or `fetched`."""
        first = f"http://{host_of(self.job.config.seeds[0])}/"
        return {
            row["url"].removeprefix(first): row["reason"] or "fetched"
            for row in self.rows
            if row["kind"] == kind
        }

    @cached_property
    def pages(self) -> set[tuple[str, bytes]]:
        """(final address, payload digest) of what was fetched."""
        return {
            (row["final_url"], row["digest"])
            for row in self.rows
            if row["outcome"] == "fetched" and row["kind"] == "page"
        }

    @property
    def archives(self) -> list[str]:
        return [listed.url for listed in crawled_files(self.workspace, self.job)]

    def faults(self) -> list[str]:
        """What the audit finds; also checks the equations themselves."""
        for row in self.rows:
            assert row["reason"] in (None, f"http_status_{row['status']}", *REASONS), row
        for entry in self.entries:
            counts = entry.counts
            assert counts["asked"] == counts["fetched"] + counts["not_fetched"]
            assert sum(entry.detail["reasons"].values()) == counts["not_fetched"]
        rounds = self.job.rounds(self.workspace).entries
        for entry in rounds:
            counts = entry.counts
            states = ("planned", "waiting", "over_max_pages_per_host", "over_max_pages")
            assert counts["candidates"] == sum(counts[state] for state in states)
        entries = [*self.entries, *rounds]
        return [fault for entry in entries for fault in check_crawl(self.workspace, entry)]


def job_of(port: int, seeds: Sequence[str], settings: dict[str, object]) -> CrawlJob:
    """A job whose hosts are all at the port."""
    hosts = sorted({host for seed in seeds if (host := host_of(seed))})
    values = {**POLITE, "seeds": seeds, "allow_private": hosts, **settings}
    config = CrawlConfig.model_validate(values)
    return CrawlJob("web", config, {host: f"127.0.0.1:{port}" for host in config.allow_private})


def crawl(
    folder: Path, port: int, seeds: Sequence[str], children: Children, settings: dict[str, object]
) -> Crawled:
    """Crawls to the end, or on from where a crawl was killed."""
    workspace, job = Workspace.create(str(folder)), job_of(port, seeds, settings)
    workspace.ledger.declare(job.generation)
    while keys := job.next_round(workspace):
        for key in keys:
            run_part(workspace, job, key, children)
    return Crawled(workspace, job)


def run_part(workspace: Workspace, job: CrawlJob, key: PartKey, children: Children) -> None:
    """Does a part unless it is done, as the DoFn does."""
    if not is_done(workspace, job, key):
        job.run(workspace, key, children)


def die_of_poison(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Finds links, unless a page kills the parser."""
    if any(b"poison" in payload for payload in batch.column("payload").to_pylist()):
        os._exit(3)
    return find_links(batch)


def read_by_ours(path: str) -> list[dict[str, Any]]:
    """RECORD rows, as extraction reads them."""
    batches = read_records(InputRange(url=path, file="x", format="warc"), ReadSettings())
    return [row for batch in batches for row in batch.to_pylist()]


def read_by_warcio(path: str) -> list[tuple[str, str | None, bytes]]:
    """(type, address, payload digest) of each record; digests are verified by warcio."""
    found = []
    with open(path, "rb") as file:
        for record in WarcioIterator(file, check_digests="raise"):
            payload = record.content_stream().read()
            uri = record.rec_headers.get_header("WARC-Target-URI")
            found.append((record.rec_type, uri, payload_digest(payload)))
    return found


def read_by_fastwarc(path: str) -> list[tuple[str, str | None, bytes]]:
    """(type, address, digest of the body as sent) of each record; digests are verified."""
    found = []
    with open(path, "rb") as file:
        for record in ArchiveIterator(file, parse_http=True):
            assert record.verify_block_digest() or record.http_headers
            kind = record.headers["WARC-Type"]
            if kind == "response":
                assert record.verify_payload_digest(), record.headers
            body = payload_digest(record.reader.read())
            found.append((kind, record.headers.get("WARC-Target-URI"), body))
    return found

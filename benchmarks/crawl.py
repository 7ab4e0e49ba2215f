"""The crawl: pages a second against loopback servers, beside Scrapy; and memory over its frontier.

    BENCH_PYTHON=VENV/bin/python python benchmarks/crawl.py speed
    python benchmarks/crawl.py frontier

`speed` serves made-up pages under many hosts (`crawl_server.py`, a process of its own) and crawls
all of them, one request at a time to a host and without pauses, first with tokenmill, then with
Scrapy (`scrapy_side.py`; BENCH_PYTHON names the interpreter of a venv that has it), in turns. Both
follow links, obey robots.txt and write all bodies compressed; tokenmill also writes request
records and digests, checks addresses and commits. tokenmill runs as one worker does, without Beam.
Without BENCH_PYTHON, tokenmill's side alone. CPU is of the crawler with its children, without the
server: on a shared machine it says more than the clock.

`frontier` lets rounds find `--step` addresses each until `--known` are known, and reports what the
driver needs to plan each: seconds, and memory. The parts are made up: their files of links and
fetches are written and committed as a worker's are, but nothing is fetched.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from crawl_server import address, num_pages

from pipelines.config import CrawlConfig
from pipelines.crawl.job import CrawlJob
from pipelines.crawl.known import address_keys
from pipelines.crawl.schema import FETCHES, LINKS
from pipelines.workspace.children import Children, Limits
from pipelines.workspace.jobs import PartKey, entry_of, is_done
from pipelines.workspace.ledger import Stopwatch
from pipelines.workspace.parts import PartFile
from pipelines.workspace.workspace import Workspace

HERE: Final = Path(__file__).parent


def cpu_seconds() -> float:
    """Of this process and its children that have ended."""
    usages = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in usages)


@contextmanager
def served(asked: argparse.Namespace) -> Iterator[int]:
    """The port of a server."""
    numbers = [asked.hosts, asked.fan_out, asked.depth, asked.page_bytes]
    command = [sys.executable, str(HERE / "crawl_server.py"), *map(str, numbers)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.stdin.close()


def tokenmill_side(asked: argparse.Namespace, port: int, folder: Path) -> dict[str, Any]:
    """Crawls all hosts; runs in a process of its own."""
    settings = {
        "hosts": [address(number) for number in range(asked.hosts)],
        "port": port,
        "workspace": str(folder / "workspace"),
        "processes": asked.processes,
    }
    return _timed([sys.executable, __file__, "worker", json.dumps(settings)])


def scrapy_side(asked: argparse.Namespace, port: int, folder: Path) -> dict[str, Any]:
    """The same with Scrapy."""
    settings = {
        "hosts": [address(number) for number in range(asked.hosts)],
        "port": port,
        "output": str(folder / "bodies.gz"),
        "concurrent": asked.hosts,
    }
    return _timed([asked.peer_python, str(HERE / "scrapy_side.py"), json.dumps(settings)])


def _timed(command: list[str]) -> dict[str, Any]:
    """What a side says, with its seconds by the clock and of CPU, its start included."""
    before, start = cpu_seconds(), time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found | {"seconds": time.monotonic() - start, "cpu": cpu_seconds() - before}


def worker(settings: dict[str, Any]) -> None:
    """Runs a crawl part by part, as a worker does."""
    config = CrawlConfig(
        seeds=tuple(f"http://{host}:{settings['port']}/" for host in settings["hosts"]),
        contact="benchmark@example.org",
        allow_private=tuple(settings["hosts"]),
        delay=0.0,
        max_pages=1_000_000,
        obey_ai_policy=False,  # as the other side: no further files of each host
    )
    workspace = Workspace.create(settings["workspace"])
    job = CrawlJob("web", config)
    workspace.ledger.declare(job.generation)
    children = Children(Limits(processes=settings["processes"]))
    while keys := job.next_round(workspace):
        for key in keys:
            if not is_done(workspace, job, key):
                job.run(workspace, key, children)
    children.close()
    entries = workspace.ledger.entries(job.generation)
    size = sum(entry.detail["bytes"] for entry in entries)
    print(json.dumps({"pages": sum(e.counts["fetched"] for e in entries), "bytes": size}))


def speed(asked: argparse.Namespace) -> None:
    """Prints a table of both sides."""
    expected = asked.hosts * num_pages(asked.fan_out, asked.depth)
    sides = {"tokenmill": tokenmill_side}
    if asked.peer_python:
        sides["Scrapy"] = scrapy_side
    print(f"{expected:,} pages of {asked.page_bytes:,} bytes on {asked.hosts} hosts")
    print("| crawler | run | pages | pages/s | CPU ms/page |")
    print("|---|--:|--:|--:|--:|")
    rates: dict[str, list[float]] = {name: [] for name in sides}
    costs: dict[str, list[float]] = {name: [] for name in sides}
    with served(asked) as port:
        for number in range(asked.runs):
            for name, side in sides.items():
                with tempfile.TemporaryDirectory(dir=asked.scratch) as folder:
                    found = side(asked, port, Path(folder))
                if found["pages"] != expected:
                    raise ValueError(f"{name}: {found['pages']} pages; {expected} are served")
                rate = found["pages"] / found["seconds"]
                rates[name].append(rate)
                cpu = 1000 * found["cpu"] / found["pages"]
                costs[name].append(cpu)
                print(f"| {name} | {number + 1} | {found['pages']:,} | {rate:.0f} | {cpu:.2f} |")
    if "Scrapy" in rates:
        faster = max(rates["tokenmill"]) / max(rates["Scrapy"])
        cheaper = min(costs["Scrapy"]) / min(costs["tokenmill"])
        print(f"best runs: {faster:.1f} times Scrapy's pages/s, at 1/{cheaper:.1f} of its CPU")


def frontier(asked: argparse.Namespace) -> None:
    """Prints a table of rounds."""
    config = CrawlConfig(
        seeds=("http://h0.example/",),
        hosts=("*.example",),
        contact="benchmark@example.org",
        max_pages=2 * asked.known,
        max_pages_per_host=2 * asked.known,
    )
    print(f"{asked.known:,} addresses on {asked.hosts:,} hosts")
    print("| round | known | planned | waiting | s to plan | RSS MiB | peak MiB |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory(dir=asked.scratch) as folder:
        workspace = Workspace.create(f"{folder}/workspace")
        job = CrawlJob("web", config)
        workspace.ledger.declare(job.generation)
        known = 1
        keys = job.next_round(workspace)
        while known <= asked.known:
            step = min(asked.step, asked.known + 1 - known)
            for number, key in enumerate(keys):
                first = known + step * number // len(keys)
                found = range(first, known + step * (number + 1) // len(keys))
                _commit_made_up(workspace, job, key, found, asked.hosts)
            known += step
            start = time.monotonic()
            keys = job.next_round(workspace)
            seconds = time.monotonic() - start
            last = job.rounds(workspace).last
            shown = (
                f"{last.part:,} | {known:,} | {last.counts['planned']:,} | "
                f"{last.counts['waiting']:,} | {seconds:.2f} | {_rss():,.0f} | {_peak():,.0f}"
            )
            print(f"| {shown} |", flush=True)
            if not step:
                break


def _commit_made_up(
    workspace: Workspace, job: CrawlJob, key: PartKey, numbers: range, num_hosts: int
) -> None:
    """Commits a part whose pages link to some numbered addresses."""
    urls = [f"http://h{n % num_hosts}.example/articles/of/the/year/page-{n}.html" for n in numbers]
    hosts, host_keys, url_keys = address_keys(urls)
    columns = {
        "url": urls,
        "kind": ["page"] * len(urls),
        "depth": [1] * len(urls),
        "host": hosts,
        "host_key": host_keys,
        "url_key": url_keys,
    }
    storage, fp = workspace.storage, job.generation.fp
    with PartFile(storage, FETCHES) as fetches, PartFile(storage, LINKS) as links:
        links.write(pa.RecordBatch.from_pydict(columns, schema=LINKS))
        files = (
            fetches.publish("fetches", f"fetches/web@{fp}", key.part),
            links.publish("links", f"links/web@{fp}", key.part),
        )
    detail: dict[str, Any] = {"reasons": {}, "sitemaps": {}}
    watch = Stopwatch()
    entry = entry_of(job.generation, key, files=files, counts={}, watch=watch, detail=detail)
    workspace.ledger.commit(entry)


def _rss() -> float:
    """MiB of this process now."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def _peak() -> float:
    """MiB of this process at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    if sys.argv[1:2] == ["worker"]:
        worker(json.loads(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("speed", "frontier"))
    parser.add_argument("--hosts", type=int, help="64 for speed, 1,000 for frontier")
    parser.add_argument("--fan-out", type=int, default=12)
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--page-bytes", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--processes", type=int, default=1, help="children that look for links")
    parser.add_argument("--known", type=int, default=1_000_000)
    parser.add_argument("--step", type=int, default=100_000)
    parser.add_argument("--scratch", help="where workspaces go; by default the system's")
    parser.add_argument("--peer-python", default=os.environ.get("BENCH_PYTHON"))
    asked = parser.parse_args()
    asked.hosts = asked.hosts or (64 if asked.what == "speed" else 1000)
    {"speed": speed, "frontier": frontier}[asked.what](asked)


if __name__ == "__main__":
    main()

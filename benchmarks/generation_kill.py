"""A server that is killed in mid-run, of `generation.py`."""

import os
import re
import signal
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Final

from generation_clients import (
    Bench,
    ask_through_desk,
    check_forced,
    fresh_workspace,
    opened,
    text_requests,
)
from rich.table import Table

from pipelines.models.server import VllmServer

_ON_ITS_WAY_S: Final = 0.3


@dataclass(slots=True)
class _Killed:
    """When the server was killed."""

    answered: int = 0
    done: threading.Event = field(default_factory=threading.Event)


def run_kill(bench: Bench, server: VllmServer) -> None:
    """Kills the server in mid-run."""
    requests = text_requests(bench, 99)
    workspace = fresh_workspace(bench)
    killed = _Killed()
    _ = server.url  # it starts here, off the clock
    pid = server.pid
    assert pid is not None
    quarter = len(requests) // 4

    def watch() -> None:
        while not killed.done.wait(0.005):
            answered = sum(1 for _ in _filed(workspace))
            if answered >= quarter:
                os.kill(pid, signal.SIGKILL)
                # What it had sent is on its way to the journal; another server takes seconds.
                time.sleep(_ON_ITS_WAY_S)
                killed.answered = sum(1 for _ in _filed(workspace))
                killed.done.set()

    watcher = threading.Thread(target=watch, daemon=True)
    with opened(bench, server) as handler:
        watcher.start()
        started = monotonic()
        answers = ask_through_desk(bench, handler, requests, workspace)
        seconds = monotonic() - started
        was_killed = killed.done.is_set()
        killed.done.set()
        watcher.join()
        check_forced(bench, answers)
        after = _succeeded(server.url)
        filed = Counter(_filed(workspace))
        again = ask_through_desk(bench, handler, requests, workspace)
        last = _succeeded(server.url)
    anew = None if after is None or last is None else last - after
    table = Table("what", "count", title="Server killed in mid-run")
    rows = {
        "requests": len(requests),
        "killed (SIGKILL)": was_killed,
        "answered before": killed.answered,
        "restarts": server.start_number,
        "answers": len(answers),
        "in the journal": len(filed),
        "in it twice": sum(count > 1 for count in filed.values()),
        "answered by the second server": "not told" if after is None else after,
        "asked again: answered by the journal": sum(one.from_journal for one in again),
        "asked again: answered by the server": "not told" if anew is None else anew,
        "same texts": [one.text for one in again] == [one.text for one in answers],
        "seconds, the restart included": round(seconds, 1),
    }
    for name, value in rows.items():
        table.add_row(name, str(value))
    bench.console.print(table)


def _filed(workspace: Path) -> Iterator[str]:
    """The keys in a journal, line by line; a line that is being written is passed over."""
    for path in (workspace / "answers").rglob("*.jsonl"):
        for line in path.read_bytes().splitlines(keepends=True):
            found = re.search(rb'"key": ?"([0-9a-f]{32})', line)
            if found is not None and line.endswith(b"\n"):
                yield found[1].decode()


def _succeeded(url: str) -> int | None:
    """Requests that vLLM says to have answered; None of a server without such figures."""
    try:
        with urllib.request.urlopen(f"{url.removesuffix('/v1')}/metrics", timeout=30) as answer:
            text = answer.read().decode()
    except urllib.error.HTTPError:
        return None
    counts = re.findall(r"^vllm:request_success_total\{.*\} ([\d.e+]+)$", text, re.MULTILINE)
    return round(sum(float(count) for count in counts))

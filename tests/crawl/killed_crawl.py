"""Runs a crawl and kills itself at the n-th commit, before or after the entry is written.

`killed_crawl.py SETTINGS before|after N`, SETTINGS in JSON: folder, port, seeds.
"""

import json
import os
import signal
import sys
from itertools import count
from pathlib import Path

from crawling import crawl

from pipelines.workspace.children import Children, Limits
from pipelines.workspace.ledger import Entry, Ledger


def main() -> None:
    """Dies by SIGKILL; exits 0 if the crawl ends first."""
    given, when, number = json.loads(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    commits, commit = count(1), Ledger.commit

    def commit_and_die(self: Ledger, entry: Entry) -> bool:
        is_last = next(commits) == number
        if is_last and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        made = commit(self, entry)
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)
        return made

    Ledger.commit = commit_and_die  # type: ignore[method-assign]
    children = Children(Limits(processes=1))
    crawl(Path(given["folder"]), given["port"], given["seeds"], children, {})


if __name__ == "__main__":
    main()

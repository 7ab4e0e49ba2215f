"""Runs a corpus and kills itself when it is about to commit the n-th part that a recipe made.

`killed_cook.py CORPUS WORKSPACE N`
"""

import os
import signal
import sys
from itertools import count
from pathlib import Path

sys.path.append(str(Path(__file__).parent))


def main() -> None:
    """Dies by SIGKILL; exits 0 if the run ends first."""
    from cooking import cook

    from pipelines.workspace.ledger import Entry, Ledger

    corpus, workspace, number = sys.argv[1:]
    commits, commit = count(1), Ledger.commit

    def commit_or_die(self: Ledger, entry: Entry) -> bool:
        if entry.job == "synthesize" and next(commits) == int(number):
            os.kill(os.getpid(), signal.SIGKILL)
        return commit(self, entry)

    Ledger.commit = commit_or_die  # type: ignore[method-assign]
    cook(Path(corpus), Path(workspace))


if __name__ == "__main__":
    main()

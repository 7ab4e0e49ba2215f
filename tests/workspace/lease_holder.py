"""Holds a workspace in a process of its own and answers lines on its standard input.

Usage: lease_holder.py <url> <what> <machine, or - for this one> <beat seconds> <silent seconds>
"""

import sys
from dataclasses import replace

from pipelines.workspace.lease import LeaseLost, Terms, WorkspaceHeld, hold, this_process
from pipelines.workspace.workspace import Workspace


def main(url: str, what: str, machine: str, beat_s: str, silent_s: str) -> None:
    """`check` asks whether the lease lasts, `end` releases it; without input it goes on holding."""
    me = this_process()
    if machine != "-":
        me = replace(me, host=machine, machine=machine)
    terms = Terms(beat_s=float(beat_s), silent_s=float(silent_s), poll_s=0.05)
    try:
        with hold(Workspace(url), what=what, say=_say, me=me, terms=terms) as lease:
            _say(f"held {lease.number}")
            for line in sys.stdin:
                if line.strip() == "end":
                    break
                try:
                    lease.check()
                    _say("kept")
                except LeaseLost as error:
                    _say(f"lost: {error}")
        _say("released")
    except WorkspaceHeld as error:
        _say(f"refused: {error}")


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Faults on purpose: kills, full disks, cut stores, damaged files, two drivers; then compares.

    python tests/faults/run.py [--seed N] [--rounds N] [--only NAME ...] [--folder F]

A small corpus with everything in it is run undisturbed, and then under each fault in a fresh
workspace, and run again until it ends. The result must be byte by byte that of the undisturbed run,
by the ledger and by the files themselves, and the audit must find nothing. One line a fault; the
last lines say how many faults were injected and how many documents were lost. Exits 1 if anything
differs. Faults meet a run at random moments, chosen by the seed: two runs of this script do not do
the same.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

sys.path.append(str(Path(__file__).parent))

import damages
import kills
import surroundings
from fault_bench import Bench, Row
from faulty_driver import hold_clock
from whole_corpus import served, write_whole_corpus

_STORE_AWAY_S = 30.0
FAULTS: Mapping[str, Callable[[Bench, int], list[Row]]] = {
    "commits": lambda bench, rounds: kills.kills_at_commits(bench, 8 * rounds),
    "times": lambda bench, rounds: kills.kills_at_times(bench, 3 * rounds),
    "children": lambda bench, rounds: kills.kills_of_children(bench, 6 * rounds),
    "signals": lambda bench, _: kills.signals(bench),
    "disk": lambda bench, rounds: surroundings.full_disks(bench, 2 * rounds),
    "store": lambda bench, _: surroundings.store_cut(bench, _STORE_AWAY_S),
    "damage": lambda bench, rounds: damages.damages(bench, 16 * rounds),
    "drivers": lambda bench, _: surroundings.two_drivers(bench),
    "clock": lambda bench, _: surroundings.clock_jumps(bench),
    "closed": lambda bench, _: surroundings.closed_workspaces(bench),
}


def main() -> None:
    """Runs the trials and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--rounds", type=int, default=1, help="more of each; 1 takes 10 minutes")
    parser.add_argument("--only", nargs="*", choices=FAULTS, default=list(FAULTS))
    parser.add_argument("--folder", type=Path, help="keeps all workspaces there")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch).chmod(0o755)  # the inputs may be read by whoever may not write
        folder = asked.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        rows = _run(folder, asked.only, asked.seed, asked.rounds)
    print(f"faults injected {sum(row.injected for row in rows)}")
    print(f"documents lost {sum(max(0, row.lost) for row in rows)}")
    sys.exit(not all(row.is_good for row in rows))


def _run(folder: Path, wanted: list[str], seed: int, rounds: int) -> list[Row]:
    hold_clock()
    corpus = write_whole_corpus(folder / "in")
    with served(folder / "in") as port:
        bench = Bench(folder, corpus, port, random.Random(seed))
        bench.run_undisturbed()
        print(
            f"seed {seed}; undisturbed run: {bench.seconds:.0f} s, {bench.expected.documents} "
            f"documents, {len(bench.expected.entries)} ledger entries\n"
            f"{'fault':<42}{'injected':>9}{'survived':>9}{'equal':>6}{'lost':>5}{'s':>5}  note",
            flush=True,
        )
        rows = []
        for name in wanted:
            bench.chance = random.Random(f"{seed} {name}")  # the same with --only and without
            started = time.monotonic()
            made = FAULTS[name](bench, rounds)
            seconds = (time.monotonic() - started) / len(made)
            for row in made:
                _print(row, seconds)
            rows += made
        return rows


def _print(row: Row, seconds: float) -> None:
    yes = ("NO", "yes")
    print(
        f"{row.fault:<42}{row.injected:>9}{yes[row.survived]:>9}{yes[row.equal]:>6}{row.lost:>5}"
        f"{seconds:>5.0f}  {' '.join(row.note.split())}",
        flush=True,
    )


if __name__ == "__main__":
    main()

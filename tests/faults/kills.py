"""SIGKILL and other signals: of the driver, of its children.

Workers of a runner elsewhere are killed by tests/runners.
"""

import os
import signal
import subprocess
import time

from fault_bench import Bench, Row, children_of, left_of, plant_orphans

_KILLED = -signal.SIGKILL
_BETWEEN_S = 1.5  # a child that is killed needs longer than that to do something again


def kills_at_commits(bench: Bench, number: int) -> list[Row]:
    """One workspace, killed again and again: at a commit of one stage after the other."""
    workspace, met, wanted, left = bench.fresh(), 0, _some(bench, _jobs(bench), number), 0
    for job in wanted:
        when = bench.chance.choice(("before", "after"))
        process = bench.start(bench.command(workspace, "kill", when, job, "1"))
        ended = bench.end(process)
        left += left_of(process.pid)
        if ended.code not in (0, _KILLED):
            words = f"killed {when} a commit of {job}, it ended as {ended.code}: {ended.words}"
            return [Row("SIGKILL of the driver at commits", met, False, False, 0, words)]
        met += ended.code == _KILLED
        plant_orphans(workspace)
    note = f"at {', '.join(wanted)}" + (f"; {left} processes left" if left else "")
    name = "SIGKILL of the driver at commits"
    return [bench.verdict(name, workspace, met, survived=not left, note=note)]


def kills_at_times(bench: Bench, number: int) -> list[Row]:
    """Likewise, at random moments."""
    workspace, met, left, moments = bench.fresh(), 0, 0, []
    for _ in range(number):
        process = bench.start(bench.command(workspace))
        moment = bench.chance.uniform(0.1, 0.6) * bench.seconds
        moments.append(f"{moment:.1f}")
        try:
            process.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            met += 1
        bench.end(process)
        left += left_of(process.pid)
    note = f"after {', '.join(moments)} s" + (f"; {left} processes left" if left else "")
    name = "SIGKILL of the driver at times"
    return [bench.verdict(name, workspace, met, survived=not left, note=note)]


def kills_of_children(bench: Bench, number: int) -> list[Row]:
    """The children that read, label and tokenize are killed; the run goes on by itself."""
    workspace, met = bench.fresh(), 0
    process = bench.start(bench.command(workspace))
    while process.poll() is None:
        time.sleep(_BETWEEN_S * bench.chance.uniform(0.7, 1.3))
        living = children_of(process.pid)
        if living and met < number:
            try:
                os.kill(bench.chance.choice(living), signal.SIGKILL)
                met += 1
            except ProcessLookupError:
                continue
    ended = bench.end(process)
    note = "" if ended.code == 0 else f"exit code {ended.code}: {ended.words[-300:]}"
    return [
        bench.compare(
            "SIGKILL of child processes", workspace, met, survived=ended.code == 0, note=note
        )
    ]


def signals(bench: Bench) -> list[Row]:
    """SIGTERM, and the SIGINT of Ctrl-C, which all processes of the terminal get."""
    rows = []
    for name, number in (("SIGTERM", signal.SIGTERM), ("Ctrl-C", signal.SIGINT)):
        workspace = bench.fresh()
        process = bench.start(bench.command(workspace))
        moment = bench.chance.uniform(0.2, 0.6) * bench.seconds
        try:
            process.wait(timeout=moment)
            met = 0
        except subprocess.TimeoutExpired:
            met = 1
            (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
        ended = bench.end(process, 60)
        left = left_of(process.pid)
        allowed = (130,) if number == signal.SIGINT else (-number, 143, 130, 1)
        good = not met or (ended.code in allowed and not left and "Traceback" not in ended.words)
        note = f"after {moment:.1f} s: exit code {ended.code}, {left} processes left"
        if not good:
            note += f": {ended.words[-400:]}"
        rows.append(bench.verdict(name, workspace, met, survived=good, note=note))
    return rows


def _jobs(bench: Bench) -> list[str]:
    """Jobs in the order in which their first part was committed."""
    first: dict[str, float] = {}
    for path in (bench.whole / "ledger").glob("*/*/part-*.json"):
        job = path.parents[1].name.partition("@")[0]
        first[job] = min(first.get(job, float("inf")), path.stat().st_mtime)
    return sorted(first, key=first.__getitem__)


def _some(bench: Bench, jobs: list[str], number: int) -> list[str]:
    """Some of them at random, in their order; one of each stage before a second of any."""
    stages: dict[str, list[str]] = {}
    for job in jobs:
        stages.setdefault(job.partition(".")[0], []).append(job)
    for some in stages.values():
        bench.chance.shuffle(some)
    queue = [
        some[round_] for round_ in range(len(jobs)) for some in stages.values() if some[round_:]
    ]
    return sorted(queue[:number], key=jobs.index)

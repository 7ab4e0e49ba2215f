"""One run at a time: real processes, killed, suspended, and of other machines."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.workspace.lease import (
    LeaseLost,
    Terms,
    WorkspaceHeld,
    _Waiter,
    hold,
    state_of,
    this_process,
)
from pipelines.workspace.workspace import Workspace

HOLDER = Path(__file__).with_name("lease_holder.py")
QUICK = Terms(beat_s=0.05, silent_s=0.4, poll_s=0.05)


class Holding:
    """A process that holds a workspace."""

    def __init__(self, url: str, machine: str, silent_s: float) -> None:
        command = [sys.executable, str(HOLDER), url, "tokenmill run a.yaml", machine]
        self.process = subprocess.Popen(
            [*command, "0.05", str(silent_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.heard = self.hear()

    def ask(self, line: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.hear()

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def suspend(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(str(tmp_path / "w"))


@pytest.fixture
def holding(workspace: Workspace) -> Iterator[Callable[..., Holding]]:
    started: list[Holding] = []

    def start(machine: str = "-", silent_s: float = 0.4) -> Holding:
        started.append(Holding(workspace.url, machine, silent_s))
        return started[-1]

    yield start
    for one in started:
        one.end()


def leases(workspace: Workspace) -> list[str]:
    return [path.removeprefix("leases/") for path in workspace.storage.files("leases")]


def test_one_after_the_other(workspace: Workspace) -> None:
    for number in (1, 2, 3):
        with hold(workspace, what="tokenmill run", terms=QUICK) as lease:
            lease.check()
            assert lease.number == number
    assert [name for name in leases(workspace) if not name.endswith(".beat")] == [
        f"0000{number}.{kind}" for number in (1, 2, 3) for kind in ("json", "released.json")
    ]


def test_two_at_once_in_one_process_are_refused(workspace: Workspace) -> None:
    with (
        hold(workspace, what="tokenmill run", terms=QUICK),
        pytest.raises(WorkspaceHeld, match="this very process"),
        hold(workspace, what="tokenmill run", terms=QUICK),
    ):
        pass


def test_a_failing_run_lets_others_in(workspace: Workspace) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        hold(workspace, what="tokenmill run", terms=QUICK),
    ):
        _ = 1 // 0
    with hold(workspace, what="tokenmill run", terms=QUICK) as lease:
        assert lease.number == 2


def test_the_second_of_two_runs_is_told_who_runs_and_what_to_do(
    workspace: Workspace, holding: Callable[..., Holding]
) -> None:
    first = holding()
    assert first.heard == "held 1"
    pid = first.process.pid
    with (
        pytest.raises(WorkspaceHeld) as refused,
        hold(workspace, what="tokenmill run", terms=QUICK),
    ):
        pass
    told = str(refused.value)
    assert f"`tokenmill run a.yaml` (process {pid} on {this_process().host}, since 20" in told
    assert f"--wait, or stop it (kill {pid})" in told
    first.suspend()
    with (
        pytest.raises(WorkspaceHeld, match=rf"is suspended.*kill -CONT {pid}"),
        hold(workspace, what="tokenmill run", terms=QUICK),
    ):
        pass
    os.kill(pid, signal.SIGCONT)
    assert first.ask("check") == "kept"


def test_a_run_that_may_wait_gets_the_workspace_when_the_other_ends(
    workspace: Workspace, holding: Callable[..., Holding]
) -> None:
    first = holding()
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        assert first.ask("end") == "released"

    with hold(workspace, what="tokenmill run", wait_s=60, say=say, terms=QUICK) as lease:
        assert lease.number == 2
    assert len(said) == 1
    assert said[0].startswith("waiting for `tokenmill run a.yaml`")


def test_a_killed_run_blocks_nobody_on_its_machine(
    workspace: Workspace, holding: Callable[..., Holding]
) -> None:
    first = holding(silent_s=3600)
    first.process.send_signal(signal.SIGKILL)
    # Nobody has waited for it, so its number still stands in the table of processes.
    os.waitid(os.P_PID, first.process.pid, os.WEXITED | os.WNOWAIT)
    said: list[str] = []
    with hold(workspace, what="tokenmill run", say=said.append, terms=QUICK) as lease:
        assert lease.number == 2
    assert len(said) == 1
    assert said[0].endswith("is gone; going on from where it was")


def test_a_process_number_used_again_deceives_nobody(workspace: Workspace) -> None:
    me = this_process()
    assert state_of(me) == "running"
    assert state_of(replace(me, started="1")) == "gone"
    earlier = replace(me, started="1")  # our number, in a process that ended before we began
    with hold(workspace, what="tokenmill run", me=earlier, terms=QUICK):
        with hold(workspace, what="tokenmill run", me=me, say=lambda _: None, terms=QUICK) as lease:
            assert lease.number == 2


def test_a_run_of_another_machine_is_refused_once_it_gives_a_sign_of_life(
    workspace: Workspace, holding: Callable[..., Holding]
) -> None:
    holding("elsewhere", silent_s=3600)
    said: list[str] = []
    with (
        pytest.raises(WorkspaceHeld, match=r"on elsewhere.*just given a sign of life"),
        hold(workspace, what="tokenmill run", say=said.append, terms=QUICK),
    ):
        pass
    assert "watching for up to 3600 s" in said[0]


def test_a_silent_run_of_another_machine_is_followed_and_learns_of_it(
    workspace: Workspace, holding: Callable[..., Holding]
) -> None:
    first = holding("elsewhere")
    first.suspend()
    said: list[str] = []
    with hold(workspace, what="tokenmill crawl", say=said.append, terms=QUICK) as lease:
        assert lease.number == 2
        os.kill(first.process.pid, signal.SIGCONT)
        lost = first.ask("check")
        assert lost.startswith(f"lost: {workspace.url} is no longer held by this run")
        assert "`tokenmill crawl`" in lost
        lease.check()
    assert "has given no sign of life for" in said[-1]
    assert first.ask("end") == "released"
    assert "00001.released.json" not in leases(workspace)  # it had nothing to release


def test_of_many_at_once_one_gets_the_workspace(workspace: Workspace) -> None:
    dead = replace(this_process(), started="1")
    barrier, outcomes = threading.Barrier(8), []

    def run() -> None:
        barrier.wait()
        try:
            with hold(workspace, what="tokenmill run", say=lambda _: None, terms=QUICK) as lease:
                outcomes.append(lease.number)
                barrier.wait()
        except WorkspaceHeld:
            outcomes.append(0)
            barrier.wait()

    with hold(workspace, what="tokenmill run", me=dead, terms=QUICK):
        threads = [threading.Thread(target=run) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(outcomes) == [0] * 7 + [2]


def test_removing_its_file_takes_the_lease_away(workspace: Workspace) -> None:
    with hold(workspace, what="tokenmill run", terms=Terms()) as lease:
        workspace.storage.remove("leases/00001.json")
        with pytest.raises(LeaseLost, match=r"00001\.json was removed"):
            lease.check()
    assert leases(workspace) == []


def test_only_the_last_leases_are_kept(
    workspace: Workspace,
) -> None:
    for _ in range(14):
        with hold(workspace, what="tokenmill run", terms=Terms()) as lease:
            pass
    numbers = {int(name[:5]) for name in leases(workspace)}
    assert numbers == set(range(5, 15))
    assert lease.number == 14


def test_who_looked_long_ago_does_not_get_a_number_that_was_tidied_away(
    workspace: Workspace,
) -> None:
    late = _Waiter(workspace.storage, "tokenmill run", print, this_process(), QUICK)
    for _ in range(14):
        with hold(workspace, what="tokenmill run", terms=Terms()):
            pass
    before = leases(workspace)
    assert late._claim(2) is None
    assert leases(workspace) == before


def test_a_damaged_lease_says_which_file_it_is(workspace: Workspace) -> None:
    workspace.storage.create("leases/00001.json", b"{")
    with (
        pytest.raises(WorkspaceHeld, match=r"leases/00001\.json does not say who"),
        hold(workspace, what="tokenmill run", terms=QUICK),
    ):
        pass

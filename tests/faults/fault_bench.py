"""What all faults need: the corpus, its undisturbed run, processes to hurt, and the verdict."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from comparing_workspaces import Outcome, audit_faults, outcome_of
from whole_corpus import HOST

HERE = Path(__file__).parent
_LIMIT_S = 600.0
_WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one fault."""

    fault: str
    injected: int
    """How often the fault was really met."""
    survived: bool
    """It ended as it should, with clear words where words are due."""
    equal: bool
    """Restarted, the result is byte by byte that of the undisturbed run, and the audit is clean."""
    lost: int
    """Documents of the undisturbed run that are not there."""
    note: str = ""

    @property
    def is_good(self) -> bool:
        return self.survived and self.equal and self.lost == 0


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that is over."""

    code: int
    words: str
    """Standard error."""


@dataclass
class Bench:
    """The corpus, the folder for workspaces, and what the undisturbed run made."""

    folder: Path
    corpus: Path
    port: int
    chance: random.Random
    processes: int = 1
    expected: Outcome = field(default_factory=lambda: Outcome({}, (), 0))
    whole: Path = Path()
    """The workspace of the undisturbed run."""
    seconds: float = 0.0
    """What that took."""
    _number: int = 0
    _logs: dict[int, Path] = field(default_factory=dict)

    def run_undisturbed(self) -> None:
        """Makes what every other run is compared with."""
        self.whole = self.folder / "undisturbed"
        started = time.monotonic()
        ended = self.run(self.whole)
        self.seconds = time.monotonic() - started
        if ended.code:
            raise SystemExit(
                f"the undisturbed run ended with exit code {ended.code}:\n{ended.words}"
            )
        self.expected = outcome_of(str(self.whole))
        faults = [*self.expected.faults, *audit_faults(str(self.whole))]
        if faults:
            raise SystemExit("the undisturbed run has faults:\n" + "\n".join(faults))

    def fresh(self) -> Path:
        """A path for a workspace."""
        self._number += 1
        return self.folder / f"w{self._number}"

    def copy(self) -> Path:
        """A copy of the undisturbed run's workspace."""
        target = self.fresh()
        shutil.copytree(self.whole, target)
        return target

    def command(self, workspace: Path | str, *fault: str) -> list[str]:
        """The command line of a run with a fault."""
        driver = [sys.executable, str(HERE / "faulty_driver.py"), *(fault or ("none",)), "--"]
        place = [str(self.corpus), "--workspace", str(workspace)]
        how = ["--connect", f"{HOST}=127.0.0.1:{self.port}", "--processes", str(self.processes)]
        return [*driver, *place, *how]

    def start(
        self, command: Sequence[str], *, beam: Sequence[str] = (), **env: str
    ) -> "subprocess.Popen[str]":
        """Starts a run, in a session of its own so that what is left of it can be found."""
        log = self.folder / f"log{time.monotonic_ns()}"
        with log.open("w") as file:
            process = subprocess.Popen(
                [*command, *beam],
                stdout=subprocess.DEVNULL,
                stderr=file,
                text=True,
                env=os.environ | env,
                start_new_session=True,
            )
        self._logs[process.pid] = log
        return process

    def end(self, process: "subprocess.Popen[str]", limit_s: float = _LIMIT_S) -> Ended:
        """Waits for the end of a run; one that does not end is ended, and has failed."""
        try:
            code = process.wait(timeout=limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            code = -1000
        return Ended(code, self._logs[process.pid].read_text())

    def run(
        self, workspace: Path | str, *fault: str, beam: Sequence[str] = (), **env: str
    ) -> Ended:
        """A whole run."""
        return self.end(self.start(self.command(workspace, *fault), beam=beam, **env))

    def verdict(
        self, fault: str, workspace: Path, injected: int, *, survived: bool = True, note: str = ""
    ) -> Row:
        """Runs once more, with drafts of zombies lying about, and compares."""
        plant_orphans(workspace)
        last = self.run(workspace)
        if last.code:
            note = f"{note} the last run ended with exit code {last.code}: {last.words[-400:]}"
        return self.compare(fault, workspace, injected, survived=survived, note=note)

    def compare(
        self, fault: str, workspace: Path, injected: int, *, survived: bool = True, note: str = ""
    ) -> Row:
        """Compares a finished workspace with the undisturbed one."""
        try:
            made = outcome_of(str(workspace))
        except (OSError, ValueError, LookupError, RuntimeError) as error:
            return Row(fault, injected, False, False, self.expected.documents, f"{note} {error}")
        faults = [*made.faults, *audit_faults(str(workspace)), *self.expected.differences(made)]
        lost = self.expected.documents - made.documents
        note = " ".join([note, *faults[:3]]).strip()
        return Row(fault, injected, survived, not faults, lost, note)


def plant_orphans(workspace: Path) -> None:
    """Leaves files that no ledger names where parts stand: nobody may read them."""
    for folder in ("documents", "labels", "shards"):
        for part in sorted((workspace / folder).rglob("part-00000-*"))[:3]:
            part.with_name(f"part-00000-ffffffff{part.suffix}").write_bytes(b"a zombie's draft")
    (workspace / "tmp").mkdir(parents=True, exist_ok=True)
    (workspace / "tmp" / "ffff.parquet").write_bytes(b"PAR1 and no more")


def children_of(pid: int) -> list[int]:
    """Processes that a run has spawned for its children, of all depths."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
            line = (stat.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[3]) == pid and b"spawn_main" in line and b"resource_tracker" not in line:
            found.append(int(stat.parent.name))
    return found


def left_of(pid: int, wait_s: float = _WAIT_S) -> int:
    """Processes of a run's session that are still there some time after its end; ends them."""
    deadline = time.monotonic() + wait_s
    while (left := _session(pid)) and time.monotonic() < deadline:
        time.sleep(0.2)
    for one in left:
        os.kill(one, signal.SIGKILL)
    return len(left)


def _session(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == pid and fields[0] not in "ZX":
            found.append(int(stat.parent.name))
    return found

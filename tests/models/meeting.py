"""Part jobs that meet, fail and write; imported by name in worker processes."""

import threading
from dataclasses import dataclass, field

import pyarrow as pa

from pipelines.workspace.children import Children
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import PartKey, entry_of
from pipelines.workspace.ledger import Stopwatch
from pipelines.workspace.parts import PartFile
from pipelines.workspace.workspace import Workspace

SCHEMA = pa.schema([pa.field("number", pa.int64())])
PATIENCE_S = 30.0


@dataclass(frozen=True)
class WritingJob:
    """Commits a file that says which part it is of."""

    name: str = "writing"

    @property
    def generations(self) -> tuple[Generation, ...]:
        """One."""
        return (Generation(job=self.name, payload={}),)

    def run(self, workspace: Workspace, key: PartKey, children: Children) -> None:
        """Writes and commits."""
        (generation,) = self.generations
        with PartFile(workspace.storage, SCHEMA) as file:
            file.write(pa.record_batch([pa.array([key.part])], schema=SCHEMA))
            written = file.publish("numbers", f"{self.name}/{key.source}", key.part)
        entry = entry_of(generation, key, files=(written,), counts={"rows": 1}, watch=Stopwatch())
        workspace.ledger.commit(entry)


class Meeting:
    """Where the parts of a test meet; made anew by each."""

    def __init__(self, size: int) -> None:
        self.barrier = threading.Barrier(size)
        self.lock = threading.Lock()
        self.present = self.most = 0


meeting = Meeting(1)


def call_meeting(size: int) -> Meeting:
    """The next one."""
    global meeting
    meeting = Meeting(size)
    return meeting


@dataclass(frozen=True)
class MeetingJob(WritingJob):
    """Goes on when as many parts are under way as the meeting wants."""

    name: str = "meeting"

    def run(self, workspace: Workspace, key: PartKey, children: Children) -> None:
        """Meets, then writes."""
        with meeting.lock:
            meeting.present += 1
            meeting.most = max(meeting.most, meeting.present)
        meeting.barrier.wait(PATIENCE_S)
        super().run(workspace, key, children)
        with meeting.lock:
            meeting.present -= 1


@dataclass(frozen=True)
class SecondFails(WritingJob):
    """Part 1 fails while part 0 is under way, which is done later."""

    name: str = "failing"
    began: set[int] = field(default_factory=set, compare=False)

    def run(self, workspace: Workspace, key: PartKey, children: Children) -> None:
        """Fails, or waits for the failure and writes."""
        self.began.add(key.part)
        if key.part == 1:
            meeting.barrier.wait(PATIENCE_S)
            raise LookupError("part 1 is not to be had")
        meeting.barrier.wait(PATIENCE_S)
        super().run(workspace, key, children)

"""Jobs that count in their own thread and in another, for runners to carry the counts."""

import threading
from dataclasses import dataclass

import pyarrow as pa

from pipelines.workspace.children import Children
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import METER, PartKey, entry_of
from pipelines.workspace.ledger import Stopwatch
from pipelines.workspace.parts import PartFile
from pipelines.workspace.workspace import Workspace

SCHEMA = pa.schema([pa.field("part", pa.int64())])
KEYS = [PartKey("web", part) for part in range(5)]


@dataclass(frozen=True)
class CountingJob:
    """Part n has n + 1 records, of which one is rejected."""

    name: str = "counting"

    @property
    def generations(self) -> tuple[Generation, ...]:
        """One."""
        return (Generation(job=self.name, payload={}),)

    def run(self, workspace: Workspace, key: PartKey, children: Children) -> None:
        """Counts, half of it in a thread of its own, and commits."""
        METER.add(self.name, key.part)
        helper = threading.Thread(target=METER.add, args=(self.name, 1))
        helper.start()
        helper.join()
        with PartFile(workspace.storage, SCHEMA) as file:
            file.write(pa.record_batch([pa.array([key.part])], schema=SCHEMA))
            written = file.publish("numbers", f"{self.name}/{key.source}", key.part)
        workspace.ledger.commit(
            entry_of(
                self.generations[0],
                key,
                files=(written,),
                counts={"records": key.part + 1, "rejects": 1},
                watch=Stopwatch(),
                detail={"rejects": {"odd": 1}},
            )
        )


COUNTED = {
    "counting.begun": 5,
    "counting.done": 15,
    "counting.parts": 5,
    "counting.records": 15,
    "counting.rejects": 5,
    "counting.rejects:odd": 5,
}
"""What a pipeline over all keys counts, but for the bytes."""

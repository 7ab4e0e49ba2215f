"""The audit of deduplication: no document is lost in the shuffle, and none can be drawn twice."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from signing import sign_again
from small_workspace import Documents, deduplicate, id_of, signed_workspace

from pipelines.deduplicate.check import cluster_faults
from pipelines.workspace.audit import audit
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.workspace import Workspace

TEXTS = ("Die Uhr am Hafen", "Часы у причала", "港口的潮汐钟", "Die Uhr am Hafen", "बंदरगाह की घड़ी")
DOCUMENTS: Documents = {
    PartKey("a", 0): [(id_of(n), text) for n, text in enumerate(TEXTS)],
    # The first record of the other part is met again.
    PartKey("b", 0): [(id_of(0), TEXTS[0]), *((id_of(9 + n), f"{n} 隻の船") for n in range(4))],
}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = signed_workspace(tmp_path / "w", DOCUMENTS)
    deduplicate(made, DOCUMENTS, levels=("bytes", "text"))
    return made


def faults(workspace: Workspace) -> list[str]:
    return audit(workspace, across_parts=[cluster_faults]).faults


def generation_of(workspace: Workspace, job: str) -> str:
    return next(name for name in workspace.ledger.generations() if name.startswith(f"{job}@"))


@pytest.mark.parametrize("memory", [512 << 20, 200])
def test_an_id_that_could_be_drawn_twice_is_a_fault(
    workspace: Workspace, memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one pass, and in passes over a share of the ids each."""
    monkeypatch.setattr("pipelines.deduplicate.check._MEMORY_BYTES", memory)
    assert faults(workspace) == []  # the record that is met twice is labelled so
    name = generation_of(workspace, "deduplicate")
    entry = workspace.ledger.get(name, "b", 0)
    path = Path(workspace.storage.path(entry.file("labels").path))
    table = pq.read_table(path)
    rows = table.to_pylist()
    assert [row["duplicate_role"] for row in rows] == ["repeated_record", *["alone"] * 4]
    rows[2]["id"], rows[3]["id"] = rows[1]["id"], id_of(1)  # in one part, and in two
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    sign_again(workspace, entry)
    found = [fault for fault in faults(workspace) if "occur twice" in fault]
    assert found == [f"{name}: 2 document ids occur twice among kept rows"]


def test_a_document_that_the_shuffle_lost_is_a_fault(workspace: Workspace) -> None:
    name = generation_of(workspace, "deduplicate.clusters")
    entry = next(one for one in workspace.ledger.entries(name) if one.counts["alone"])
    path = Path(workspace.url) / "ledger" / name / entry.source / f"part-{entry.part:05d}.json"
    raw = json.loads(path.read_text())
    for count in ("members", "alone"):  # so that the partition's own equation holds
        raw["counts"][count] -= 1
    path.write_text(json.dumps(raw))
    (path.parents[1] / "folded.parquet").unlink(missing_ok=True)
    assert f"{name}: 9 members went through the shuffle, of 10 documents" in faults(workspace)

"""What the driver does between stages, over a ledger of very many parts: seconds and memory.

A workspace is made whose ledger has so many entries of one labels set, with the counts and the
detail that a real one has, and an inventory with as many parts; the data files, of which only the
audit opens any, are one file under all their names. Each operation runs in a process of its own;
told are its CPU seconds and the most memory it had resident above a bare start. On an object store
listing is a request a thousand names, one after the other, and reading one a file, which no local
figure shows: see docs/scale.md.

    python benchmarks/scale_ledger.py --parts 100000 --folder /somewhere/with/space
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.mix.pins import pin
from pipelines.workspace.audit import audit
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.inventory import Inventory, Listed
from pipelines.workspace.jobs import PartKey, entry_of, pending_keys
from pipelines.workspace.ledger import FileRef, Stopwatch, entry_path
from pipelines.workspace.prune import find_prunable
from pipelines.workspace.workspace import Workspace

SOURCE: Final = "web"
GENERATION: Final = Generation(job="annotate.language", payload={"benchmark": 1})
_LANGUAGES: Final = 119
_ROWS: Final = 60_000
_LINKS: Final = 30_000  # names of one file; file systems end at 65,000
_ENTRIES: Final = "sums of all entries"
_HASH: Final = "0123456789abcdef" * 4


class _Labels:
    """Stands for the annotate job where only its generations are asked for."""

    generations = (GENERATION,)


def write_ledger(workspace: Workspace, num_parts: int) -> int:
    """Writes the entries of all parts; gives the bytes of one.

    Entries go straight to their names: `Ledger.commit` waits for the disk at each.
    """
    ledger = workspace.ledger
    ledger.declare(GENERATION)
    values = {"language": {f"lan{i:03d}_Latn": 500 + i for i in range(_LANGUAGES)}}
    detail = {"values": values, "histograms": {"language_score": {str(b): 99 for b in range(20)}}}
    size = 0
    for part in range(num_parts):
        name = f"labels/{GENERATION.name}/{SOURCE}/part-{part:05d}-{_HASH[:8]}.parquet"
        num_bytes = _add_labels(Path(workspace.storage.path(name)), part)
        ref = FileRef(kind="labels", path=name, sha256=_HASH, bytes=num_bytes, rows=_ROWS)
        counts = {"documents": _ROWS, "rows": _ROWS, "failed": 0}
        key, inputs = PartKey(SOURCE, part), (name,)  # it stands for documents of the ledger
        made = entry_of(
            GENERATION,
            key,
            files=(ref,),
            counts=counts,
            watch=Stopwatch(),
            detail=detail,
            inputs=inputs,
        )
        path = Path(workspace.storage.path(entry_path(GENERATION.name, SOURCE, part)))
        if not part:
            ledger.commit(made)
            data = path.read_bytes()
        fresh = data.replace(b'"part": 0', f'"part": {part}'.encode())
        path.write_bytes(fresh.replace(b"part-00000-", f"part-{part:05d}-".encode()))
        size += len(fresh)
    return size // num_parts


def _add_labels(path: Path, part: int) -> int:
    """A file of labels, or another name of one; gives its bytes."""
    if part % _LINKS:
        first = part - part % _LINKS
        path.hardlink_to(path.with_name(path.name.replace(f"{part:05d}-", f"{first:05d}-")))
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"id": pa.array([b"?" * 16] * _ROWS, pa.binary(16))}), path)
    return path.stat().st_size


def write_inventory(workspace: Workspace, num_parts: int) -> None:
    """Numbers so many files, one a part."""
    listed = [
        Listed(
            url=f"s3://bucket/crawl/segment/file-{i:07d}.jsonl",
            file=f"segment/file-{i:07d}.jsonl",
            format="jsonl",
            bytes=256 << 20,
            stamp=f'"{i:032x}"',
            digest=str,
        )
        for i in range(num_parts)
    ]
    Inventory(workspace.storage, SOURCE).extend(listed, 256 << 20)


def _keys(num_parts: int) -> list[PartKey]:
    return [PartKey(SOURCE, part) for part in range(num_parts)]


def _job_size(num_parts: int, *, grouped: bool) -> int:
    """Bytes of the pipeline that a runner is sent."""
    import pipelines.run  # noqa: I001, F401 - first, so that it silences Beam
    import apache_beam as beam

    from pipelines.deduplicate.job import SENT
    from pipelines.workspace.transform import GroupBatches, Keyed, ListParts

    pipeline = beam.Pipeline()
    keys = pipeline | ListParts(_keys(num_parts))
    if grouped:
        nothing = pa.RecordBatch.from_pylist([], schema=SENT)
        sent = keys | beam.Map(lambda key: (key.part, nothing)).with_output_types(Keyed)
        _ = sent | GroupBatches(range(num_parts), SENT)
    return int(pipeline.to_runner_api().ByteSize())


def _peak_mb() -> float:
    """Of this process since its start (man 5 proc: VmHWM); getrusage inherits its parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def operations(workspace: Workspace, num_parts: int) -> dict[str, Callable[[], Any]]:
    """What is measured, in order; the fold is there from the third on."""
    ledger = workspace.ledger
    name, jobs = GENERATION.name, dict[str, Any]({SOURCE: _Labels()})
    read_inventory = Inventory(workspace.storage, SOURCE).parts
    return {
        "nothing": lambda: None,
        "list the entries": lambda: len(ledger.entry_files(name)),
        "fold": lambda: ledger.fold(GENERATION),
        "fold again, 1,000 parts new": lambda: ledger.fold(
            GENERATION, {(SOURCE, part) for part in range(1000)}
        ),
        _ENTRIES: lambda: sum(entry.counts["rows"] for entry in ledger.entries(GENERATION)),
        "pin the parts of a plan": lambda: pin(
            workspace, {SOURCE: name}, {SOURCE: {}}, {SOURCE: range(num_parts)}
        ).contents[:8],
        "what prune would delete": lambda: len(find_prunable(workspace, [name]).orphans),
        # No part is hashed or recounted: what is left is what all are asked.
        "audit of all entries": lambda: len(audit(workspace, sample=1e-12).faults),
        "pending parts of one labels set": lambda: len(
            pending_keys(workspace, jobs, _keys(num_parts))
        ),
        "read the inventory": lambda: len(read_inventory()),
        "find one part in the inventory": lambda: len(
            Inventory(workspace.storage, SOURCE).part(num_parts // 2)
        ),
        "pipeline over parts, bytes": partial(_job_size, num_parts, grouped=False),
        "pipeline with a shuffle to parts, bytes": partial(_job_size, num_parts, grouped=True),
    }


def measure(folder: Path, num_parts: int, name: str) -> dict[str, Any]:
    """One operation in a process of its own: CPU seconds, peak MB, what it gave."""
    command = [sys.executable, __file__, "--parts", str(num_parts), "--folder", str(folder)]
    found = subprocess.run([*command, "--only", name], check=True, capture_output=True, text=True)
    told: dict[str, Any] = json.loads(found.stdout.splitlines()[-1])
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--parts", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="where the workspace goes, and stays")
    parser.add_argument("--write", action="store_true", help="into unit_costs.yaml")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="scale-ledger-"))
    if asked.only:
        run = operations(Workspace.open(str(folder)), asked.parts)[asked.only]
        before = process_time()
        gave = run()
        peak = _peak_mb()
        print(json.dumps({"cpu_s": process_time() - before, "peak_mb": peak, "gave": gave}))
        return
    workspace = Workspace.create(str(folder))
    started = process_time()
    size = write_ledger(workspace, asked.parts)
    write_inventory(workspace, asked.parts)
    print(
        f"{asked.parts:,} entries of {size:,} bytes in {process_time() - started:.0f} s", flush=True
    )
    bare = measure(folder, asked.parts, "nothing")["peak_mb"]
    found: dict[str, float] = {}
    for name in operations(workspace, asked.parts):
        told = measure(folder, asked.parts, name)
        more = told["peak_mb"] - bare
        found[name] = more * 2**20 / asked.parts
        print(f"{name:42} {told['cpu_s']:9.2f} s {more:9.0f} MB  {told['gave']}", flush=True)

    if asked.write:
        from scale_costs import fixed, write

        on = f"{asked.parts:,} entries of {size:,} bytes, benchmarks/scale_ledger.py"
        write({"memory.entry": fixed(found[_ENTRIES], "bytes of memory / entry", on)})


if __name__ == "__main__":
    main()

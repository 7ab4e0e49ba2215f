"""Planning speed: how long `tokenmill plan` takes over many rows of labels, and in how much memory.

A workspace is written first, through the real part files and ledger, with the columns and types of
the labels sets that the shipped general_4k reads, and with its preview's: language (119 of them,
the k-th in proportion to k ** -1.1), quality, duplicates, contamination, length (log-normal, median
700 tokens), pii (2 in 100 documents have spans) and domain. Then general_4k is planned from
nothing: tally of all parts, their sum by Beam, solve, preview of all parts, plan. Only this is
timed; it runs in a process of its own on the in-process runner, as `tokenmill plan` does.

What is not as in a real workspace, and does not enter the time: texts are empty (planning never
opens that column; the files have as many row groups as 256 MB of text would make), and of the
quality labels the signals behind the score are constant (planning does not read them either). A
part has 60,000 rows, what 256 MB of documents of about 4 KB are. Every file holds its ids.

Rows a second are of documents planned, both passes included. Memory is the largest sum of resident
sets over the process tree, sampled; pages shared by two processes count twice. Files were written
just before, so that small runs read them from the page cache. Needs Linux, and about 170 bytes of
disk a row.

    python benchmarks/plan.py --rows 5000000
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from time import monotonic, process_time
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from annotators.contamination.annotator import Contamination
from annotators.domain.annotator import Domain
from annotators.heuristics.annotator import Heuristics
from annotators.language.annotator import Language
from annotators.language.languages import codes as language_codes
from annotators.pii.annotator import Pii
from mixtures.spec import load_mixture
from pipelines.annotate.length import Length
from pipelines.deduplicate.exact import LABELS as DUPLICATES
from pipelines.mix.pins import Pins, pin
from pipelines.mix.planning import SHIPPED, plan_mixture
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import PartKey, entry_of
from pipelines.workspace.ledger import Stopwatch
from pipelines.workspace.parts import publish_file
from pipelines.workspace.schema import DOCUMENT
from pipelines.workspace.workspace import Workspace

ROOT: Final = Path(__file__).resolve().parents[1]
TOKENIZER: Final = ROOT / "examples" / "tokenizer" / "tokenizer.json"
PART_ROWS: Final = 60_000
ROW_GROUPS: Final = 16
SOURCE: Final = "web"
PROCESSES: Final = 2
SHARD_TOKENS: Final = 64_000_000
_SAMPLE_S: Final = 0.1

SETS: Final[dict[str, pa.Schema]] = {
    **{one.name: one.columns for one in (Language, Heuristics, Domain, Pii, Length, Contamination)},
    "duplicates": pa.schema(list(DUPLICATES)[1:]),
}
"""Labels set -> its columns, `id` left out."""
TOPICS: Final = ("art", "finance", "health", "law", "science", "sports", "travel", "video games")
"""And null, for most."""


def generation(name: str) -> Generation:
    return Generation(job=name, payload={"benchmark": 1})


def shares(count: int, exponent: float) -> npt.NDArray[np.float64]:
    weights: npt.NDArray[np.float64] = (np.arange(1, count + 1) ** -exponent).astype(np.float64)
    return weights / float(weights.sum())


def labels_of(number: int, rows: int) -> dict[str, Any]:
    """Columns of one part that are not constant; part `number` always has the same."""
    chance = np.random.default_rng(number)
    names = list(language_codes())
    codes = chance.choice(len(names), rows, p=shares(len(names), 1.1)).astype(np.int32)
    language = pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(names)).cast(pa.string())
    topics = chance.choice(len(TOPICS) + 1, rows, p=[0.05] * len(TOPICS) + [0.6])
    num_tokens = np.maximum(1, np.exp(chance.normal(6.55, 1.1, rows))).astype(np.int64)
    role = chance.choice(4, rows, p=[0.7, 0.08, 0.215, 0.005])
    roles = pa.array(["alone", "representative", "duplicate", "repeated_record"])
    contaminated = np.where(chance.random(rows) < 0.01, chance.random(rows), 0.0)
    num_bytes = num_tokens * 4
    return {
        "language": language,
        "language_score": chance.random(rows, np.float32),
        "quality_keep": pa.array(chance.random(rows) < 0.6),
        "quality_score": chance.random(rows, np.float32),
        "topic": pa.array([*TOPICS, None]).take(pa.array(topics)),
        "num_tokens": num_tokens,
        "num_bytes": num_bytes,
        "duplicate_role": roles.take(pa.array(role)),
        "contamination_score": contaminated.astype(np.float32),
        "contaminated": pa.array(contaminated > 0.6),
        "pii": spans_of(chance, num_bytes),
    }


def spans_of(chance: np.random.Generator, num_bytes: npt.NDArray[np.int64]) -> pa.ListArray:
    """Two spans in every fiftieth document with room for them."""
    counts = np.where((chance.random(len(num_bytes)) < 0.02) & (num_bytes > 200), 2, 0)
    firsts = np.repeat(np.arange(len(counts)), counts)
    at = np.tile([10, 100], len(firsts) // 2)
    kinds = pa.array(["email", "phone"]).take(pa.array(chance.integers(0, 2, len(firsts))))
    kind = SETS["pii"].field("pii").type
    struct = pa.StructArray.from_arrays(
        [kinds, pa.array(at), pa.array(at + 20)], fields=list(kind.value_type)
    )
    ends = np.r_[0, np.cumsum(counts)].astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), struct, type=kind)


def constant(field: "pa.Field[Any]", rows: int) -> pa.Array:
    kind = field.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return pa.array(np.zeros(rows), pa.float64()).cast(kind)
    return pa.nulls(rows, kind)


def write_part(url: str, number: int, rows: int) -> None:
    """Commits the documents and all labels sets of one part."""
    workspace, key = Workspace(url), PartKey(SOURCE, number)
    ids = np.random.default_rng([number, 1]).bytes(16 * rows)
    id_column = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), rows, [None, pa.py_buffer(ids)])
    kinds = pa.repeat(pa.scalar("natural"), rows)
    zeros = pa.array(np.zeros(rows, np.int32))
    provenance = DOCUMENT.field("provenance").type
    inside = {"kind": kinds, "depth": zeros}
    members = [inside.get(field.name, pa.nulls(rows, field.type)) for field in provenance]
    columns: dict[str, Any] = {
        "id": id_column,
        "text": pa.repeat(pa.scalar("", pa.large_string()), rows),
        "source": pa.repeat(pa.scalar(SOURCE), rows),
        "extractor": pa.repeat(pa.scalar("none"), rows),
        "provenance": pa.StructArray.from_arrays(members, fields=list(provenance)),
    }
    path = commit(workspace, "extract", "documents", key, DOCUMENT, columns, rows // ROW_GROUPS, ())
    made = labels_of(number, rows)
    for name, own in SETS.items():
        fields = [DOCUMENT.field("id"), *(field.with_nullable(True) for field in own)]
        job = name if name == "duplicates" else f"annotate.{name}"
        mine = {"id": id_column} | {field.name: made.get(field.name) for field in own}
        commit(workspace, job, "labels", key, pa.schema(fields), mine, rows, (path,))


def commit(
    workspace: Workspace,
    job: str,
    kind: str,
    key: PartKey,
    schema: pa.Schema,
    columns: Mapping[str, Any],
    group_rows: int,
    inputs: tuple[str, ...],
) -> str:
    """Writes and commits one part file; gives its path."""
    rows = len(columns["id"])
    filled = {
        field.name: constant(field, rows)
        if columns.get(field.name) is None
        else columns[field.name]
        for field in schema
    }
    draft, watch = workspace.storage.scratch(".parquet"), Stopwatch()
    table = pa.table(filled, schema=schema)
    pq.write_table(
        table,
        draft,
        row_group_size=max(1, group_rows),
        compression="zstd",
        write_page_checksum=True,
    )
    made = generation(job)
    stem = f"{kind}/{job}@{made.fp}/{key.source}/part-{key.part:05d}"
    ref = publish_file(workspace.storage, draft, kind=kind, stem=stem, rows=rows)
    counts = {"documents": rows, "rows": rows}
    workspace.ledger.commit(
        entry_of(made, key, files=(ref,), counts=counts, watch=watch, inputs=inputs)
    )
    return ref.path


def write_workspace(url: str, rows: int) -> None:
    """Commits parts of PART_ROWS rows until there are so many."""
    workspace = Workspace.create(url)
    names = ["extract", *(n if n == "duplicates" else f"annotate.{n}" for n in SETS)]
    for name in names:
        workspace.ledger.declare(generation(name))
    sizes = [PART_ROWS] * (rows // PART_ROWS) + ([rows % PART_ROWS] if rows % PART_ROWS else [])
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        list(pool.map(partial(write_part, url), range(len(sizes)), sizes))
    for name in names:
        workspace.ledger.fold(generation(name))


def pins_of(workspace: Workspace) -> Pins:
    parts = [entry.part for entry in workspace.ledger.entries(generation("extract"), SOURCE)]
    labels = {
        name: generation(name if name == "duplicates" else f"annotate.{name}").name for name in SETS
    }
    return pin(workspace, {SOURCE: generation("extract").name}, {SOURCE: labels}, {SOURCE: parts})


def plan(url: str) -> None:
    """Plans, in a process of its own; prints seconds by step as JSON."""
    from pipelines.run import run_transform

    workspace, steps = Workspace(url), {}
    started = monotonic()

    def run(
        title: str, meters: Mapping[str, str], transform: Callable[[], Any], parts: int
    ) -> None:
        from_ = monotonic()
        run_transform(transform(), ())
        steps[title] = monotonic() - from_

    made = plan_mixture(
        workspace,
        load_mixture(SHIPPED / "general_4k.yaml"),
        pins_of(workspace),
        shard_tokens=SHARD_TOKENS,
        tokenizer=str(TOKENIZER),
        tokenizer_fingerprint=hashlib.sha256(TOKENIZER.read_bytes()).hexdigest(),
        processes=PROCESSES,
        run=run,
    )
    steps["all"] = monotonic() - started
    reasons = made.reasons["general"]
    cpu_s = process_time()  # one process, all its threads
    told = {"steps": steps, "reasons": reasons, "units": len(made.units), "cpu_s": cpu_s}
    print(json.dumps(told))


def resident_bytes(root: int) -> int:
    """Resident bytes of a process and all below it, 0 where it is gone."""
    children: dict[int, list[int]] = {}
    size: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(folder.name))
        size[int(folder.name)] = int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    left, total = [root], 0
    while left:
        process = left.pop()
        total += size.get(process, 0)
        left += children.get(process, [])
    return total


def timed_plan(url: str) -> tuple[dict[str, Any], int]:
    """Plans in a new process; gives what it printed, and the most memory of its tree."""
    command = [sys.executable, __file__, "--plan-only", url]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    over, peak = threading.Event(), [0]

    def watch() -> None:
        while not over.wait(_SAMPLE_S):
            peak[0] = max(peak[0], resident_bytes(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    printed, _ = process.communicate()
    over.set()
    watcher.join()
    if process.returncode:
        sys.exit(process.returncode)
    return json.loads(printed.splitlines()[-1]), peak[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000_000)
    parser.add_argument("--folder", type=Path, help="keep the workspace here, or take it from here")
    parser.add_argument("--plan-only", metavar="WORKSPACE", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.plan_only:
        plan(asked.plan_only)
        return
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="plan-"))
    url = str(folder / "workspace")
    try:
        if not Path(url).exists():
            started = monotonic()
            write_workspace(url, asked.rows)
            print(f"wrote {asked.rows:,} rows in {monotonic() - started:.0f} s", flush=True)
        shutil.rmtree(Path(url) / "mixtures", ignore_errors=True)
        for job in ("tally", "histogram", "preview", "mix"):
            for old in (Path(url) / "ledger").glob(f"{job}[.@]*"):
                shutil.rmtree(old)
        told, peak = timed_plan(url)
        rows = sum(told["reasons"].values())
        for step, seconds in told["steps"].items():
            print(f"{step:20} {seconds:8.1f} s  {rows / seconds:12,.0f} rows/s")
        print(
            f"{rows:,} rows, {told['units']} units, {told['cpu_s']:.1f} CPU s, at most "
            f"{peak / 2**30:.2f} GiB resident"
        )
    finally:
        if asked.folder is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()

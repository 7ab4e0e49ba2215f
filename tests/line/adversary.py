"""The adversary: a DoFn must give the same result however often and wherever it runs.

Beam may run an element twice, in two places at once, and may throw a bundle away after it has
written. `outcome_under_attack` does all of that to a real DoFn on a copy of a workspace: two
processes run every element twice, starting together; before them, one bundle is run and fails after
its write. What counts afterwards is what the ledger names; the test compares it with one clean run.
"""

import multiprocessing
import os
import shutil
from collections.abc import Sequence
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.internal import pickler

from pipelines.workspace.ledger import Ledger
from pipelines.workspace.workspace import Workspace

Content = dict[tuple[str, str, int], dict[str, str]]
"""(generation, source, part) -> kind of file -> sha256."""


_THROWN_AWAY = 3
"""Exit code of the process whose bundle Beam would give up after its write."""


def committed(workspace: str) -> Content:
    """What the ledger names, by content."""
    ledger: Ledger = Workspace.open(workspace).ledger
    return {
        (name, entry.source, entry.part): {ref.kind: ref.sha256 for ref in entry.files}
        for name in ledger.generations()
        for entry in ledger.entries(name)
    }


def outcome_of_one_run(workspace: Path, dofn: beam.DoFn, elements: Sequence[Any]) -> Content:
    """Runs every element once, in this process, on a copy of the workspace."""
    copy = _copy(workspace, "clean")
    _run_bundle(_moved(dofn, copy), elements)
    return committed(str(copy))


def outcome_under_attack(workspace: Path, dofn: beam.DoFn, elements: Sequence[Any]) -> Content:
    """Runs every element five times, in three processes, one of which fails after its write."""
    copy = _copy(workspace, "attacked")
    data = pickler.dumps((_moved(dofn, copy), list(elements)))
    context = multiprocessing.get_context("spawn")
    alone = context.Barrier(1)
    failing = context.Process(target=_failing_worker, args=(data, alone))
    failing.start()
    failing.join()
    assert failing.exitcode == _THROWN_AWAY, "the failing bundle must get to its end"
    together, ends = context.Barrier(2), [context.Event() for _ in range(2)]
    workers = [context.Process(target=_worker, args=(data, together, end)) for end in ends]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    # Not by their exit codes: native threads that still run may abort a process that has ended.
    assert all(end.is_set() for end in ends), [worker.exitcode for worker in workers]
    return committed(str(copy))


def _failing_worker(data: bytes, barrier: Barrier) -> None:
    dofn, elements = pickler.loads(data)
    barrier.wait()
    _run_bundle(dofn, elements[:1])
    # Without the end of a process: native threads that still run may abort it in theirs.
    os._exit(_THROWN_AWAY)


def _worker(data: bytes, barrier: Barrier, end: Event) -> None:
    dofn, elements = pickler.loads(data)
    barrier.wait()
    _run_bundle(dofn, [element for element in elements for _ in range(2)])
    end.set()


def _run_bundle(dofn: beam.DoFn, elements: Sequence[Any]) -> None:
    dofn.setup()
    dofn.start_bundle()
    for element in elements:
        for _ in dofn.process(element) or ():
            pass
    dofn.finish_bundle()
    dofn.teardown()


def _moved(dofn: beam.DoFn, workspace: Path) -> beam.DoFn:
    moved = pickler.loads(pickler.dumps(dofn))
    moved._workspace = Workspace(str(workspace))
    return moved


def _copy(workspace: Path, name: str) -> Path:
    target = workspace.with_name(f"{workspace.name}-{name}")
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(workspace, target)
    return target

"""Pruning: what no plan pins, and what no ledger names.

Deletes in an order that is safe to interrupt: first the ledger entries of a generation, so that no
reader opens its files any more, then the files, which by then are orphans.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pipelines.workspace.takedown import ERASURES
from pipelines.workspace.workspace import Workspace

# Folders that hold committed data files; the others are not pruned by file.
_DATA: Final = (
    "raw",
    "fetches",
    "links",
    "frontier",
    "documents",
    "labels",
    "rejects",
    "pages",
    "clusters",
    "validation",
    "samples",
    "erasures",
    "mixtures",
    "shards",
    "tmp",
)
_PLAN: Final = "/plan.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruning:
    """What would go."""

    generations: tuple[str, ...]
    """`job@fp` without a plan that pins them."""
    ledger_files: tuple[str, ...]
    orphans: tuple[str, ...]
    """Data files that no remaining ledger entry names."""
    bytes: int


def find_prunable(workspace: Workspace, pinned: Iterable[str]) -> Pruning:
    """Looks for what can go; deletes nothing. Not while a run is under way: its files in the
    making look like orphans.

    Args:
        workspace: Where to look.
        pinned: `job@fp` of every generation that a plan needs; when there is no plan at all, every
            generation is taken as pinned.
    """
    storage, ledger = workspace.storage, workspace.ledger
    everything, wanted = ledger.generations(), set(pinned)
    # Without its ledger of erasures a workspace would not know that what is blank was forgotten.
    kept = {*wanted, ERASURES.name} if wanted else set(everything)
    going = tuple(name for name in everything if name not in kept)
    # A payload goes last, so that a prune that was interrupted can be given again.
    ledger_files = sorted(
        (path for name in going for path in storage.files(f"ledger/{name}")),
        key=lambda path: path.endswith("/generation.json"),
    )
    named = {
        ref.path
        for name in everything
        if name in kept
        for entry in ledger.entries(name)
        for ref in entry.files
    }
    orphans = [
        path
        for folder in _DATA
        for path in storage.files(folder)
        if path not in named and not path.endswith(_PLAN)
    ]
    size = sum(storage.size(path) for path in (*ledger_files, *orphans))
    return Pruning(
        generations=going,
        ledger_files=tuple(ledger_files),
        orphans=tuple(orphans),
        bytes=size,
    )


def prune(workspace: Workspace, pruning: Pruning) -> None:
    """Deletes what was found."""
    for path in (*pruning.ledger_files, *pruning.orphans):
        workspace.storage.remove(path)

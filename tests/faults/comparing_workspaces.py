"""Is a workspace what an undisturbed run makes? By the ledger, by the files, by the documents."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from typer.testing import CliRunner

from pipelines.cli import build_app
from pipelines.workspace.workspace import Workspace

# What is measured, and so differs from run to run, in the details of a part that a model made.
_MEASURED = ("usage", "cpu_seconds")


@dataclass(frozen=True)
class Outcome:
    """What stands in a workspace, without how long it took."""

    entries: Mapping[tuple[str, str, int], Any]
    """(generation, source, part) -> files with their hashes, counts and details."""
    faults: tuple[str, ...]
    """Files that are not what the ledger says, and labels that are not as long as documents."""
    documents: int

    def differences(self, other: "Outcome") -> list[str]:
        """Entries that one has and the other has not, or not so."""
        places = sorted({*self.entries, *other.entries})
        return [
            f"{name} {source} {part}"
            for name, source, part in places
            if self.entries.get((name, source, part)) != other.entries.get((name, source, part))
        ]


def outcome_of(url: str) -> Outcome:
    """Reads all of a workspace, every byte included."""
    workspace = Workspace.open(url)
    entries, faults, rows, labels = {}, [], {}, []
    for name in workspace.ledger.generations():
        for entry in workspace.ledger.entries(name):
            detail = {key: v for key, v in entry.detail.items() if key not in _MEASURED}
            files = [(ref.kind, ref.path, ref.sha256, ref.rows) for ref in entry.files]
            entries[name, entry.source, entry.part] = (files, dict(entry.counts), detail)
            for ref in entry.files:
                data = workspace.storage.read(ref.path)
                if hashlib.sha256(data).hexdigest() != ref.sha256:
                    faults.append(f"{ref.path} is not what the ledger says")
                if ref.kind == "documents":
                    rows[entry.source, entry.part] = ref.rows
                if ref.kind == "labels":
                    labels.append((entry.source, entry.part, ref))
    for source, part, ref in labels:
        if rows.get((source, part)) != ref.rows:
            faults.append(f"{ref.path}: {ref.rows} rows, and {rows.get((source, part))} documents")
    return Outcome(entries, tuple(faults), sum(rows.values()))


def audit_faults(url: str) -> list[str]:
    """What `tokenmill audit` finds wrong."""
    told = CliRunner().invoke(build_app("audit"), ["audit", url])
    faults = [line for line in told.output.splitlines() if line.startswith("FAULT")]
    if told.exit_code and not faults:
        faults.append(f"audit ended with exit code {told.exit_code}: {told.exception!r}")
    return faults

"""Committed files are damaged: found by their hash, named, taken back, and made again."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from fault_bench import Bench, Row
from typer.testing import CliRunner
from whole_corpus import HOST

from pipelines.cli import build_app
from pipelines.workspace.workspace import Workspace

Victims = Mapping[str, list[str]]
"""What a file is, such as `extract documents` -> paths of all such files."""

Way = Callable[[Path, Bench], None]
"""What happens to a file."""

_ALWAYS = ("ledger entry", "fold", "generation.json", "inventory", "mix plan", "extract documents")
_AT_ONCE = 4


def flipped(path: Path, bench: Bench) -> None:
    """One bit is another."""
    data = bytearray(path.read_bytes())
    data[bench.chance.randrange(len(data))] ^= 1 << bench.chance.randrange(8)
    path.write_bytes(data)


def cut(path: Path, bench: Bench) -> None:
    """The end is missing."""
    data = path.read_bytes()
    path.write_bytes(data[: bench.chance.randrange(1, len(data))])


def emptied(path: Path, _: Bench) -> None:
    """Nothing is left in it."""
    path.write_bytes(b"")


def removed(path: Path, _: Bench) -> None:
    """It is gone."""
    path.unlink()


def replaced(path: Path, bench: Bench) -> None:
    """Another file of the same kind stands in its place; a bit flips where there is no other."""
    own = path.read_bytes()
    others = [one for one in sorted(path.parent.glob(f"*{path.suffix}")) if one.read_bytes() != own]
    if others:
        shutil.copy(bench.chance.choice(others), path)
    else:
        flipped(path, bench)


WAYS: tuple[Way, ...] = (flipped, cut, emptied, removed, replaced)


def victims_of(url: str) -> Victims:
    """All files that must be what they are, by what they are."""
    workspace, found = Workspace.open(url), {}
    for name in workspace.ledger.generations():
        job = name.partition("@")[0]
        found.setdefault("generation.json", []).append(f"ledger/{name}/generation.json")
        for path in workspace.ledger.entry_files(name):
            found.setdefault("ledger entry", []).append(path)
            for ref in workspace.ledger.read_entry(path).files:
                found.setdefault(f"{job} {ref.kind}", []).append(ref.path)
    files = workspace.storage.files
    found["fold"] = [path for path in files("ledger") if path.endswith("folded.parquet")]
    found["inventory"] = [path for path in files("inventory") if path.endswith(".parquet")]
    return found


def damages(bench: Bench, number: int) -> list[Row]:
    """Damages one file of each of some kinds, at random, four at a time."""
    victims = victims_of(str(bench.whole))
    others = sorted(set(victims) - set(_ALWAYS))
    bench.chance.shuffle(others)
    kinds = [*_ALWAYS, *others][:number]
    rows = []
    for start in range(0, len(kinds), _AT_ONCE):
        some = kinds[start : start + _AT_ONCE]
        chosen = {
            bench.chance.choice(victims[kind]): (kind, bench.chance.choice(WAYS)) for kind in some
        }
        rows.append(damage(bench, chosen))
    return rows


def damage(bench: Bench, chosen: Mapping[str, tuple[str, Way]]) -> Row:
    """Damages files of one copy of the undisturbed workspace.

    Args:
        bench: Has the copy's original.
        chosen: Path -> what the file is, and what happens to it.
    """
    workspace, name = bench.copy(), "damaged files"
    for path, (_, way) in chosen.items():
        way(workspace / path, bench)
    notes = [f"{kind} {way.__name__}" for kind, way in chosen.values()]
    code, told = _tokenmill("audit", str(workspace))
    unnamed = [path for path, (kind, _) in chosen.items() if not _is_named(path, kind, told)]
    if unnamed:
        note = f"{', '.join(notes)}: {', '.join(unnamed)} not named by the audit: {told[-300:]}"
        return Row(name, len(chosen), False, False, 0, note)
    code, told = _tokenmill("audit", str(workspace), "--repair")
    lost = [path for path, (kind, _) in chosen.items() if _is_lost(path, kind, told)]
    for path in lost:  # cannot be made again, and so it is restored from a copy
        shutil.copy(bench.whole / path, workspace / path)
    if code and not lost:
        note = f"{', '.join(notes)}: repair ended as {code}: {told[-300:]}"
        return Row(name, len(chosen), False, False, 0, note)
    how = ["--connect", f"{HOST}=127.0.0.1:{bench.port}", "--processes", "1"]
    code, told = _tokenmill("run", str(bench.corpus), "--workspace", str(workspace), *how)
    if code:
        notes.append(f"the run ended as {code}: {told[-300:]}")
    if lost:
        notes.append(f"restored from a copy: {', '.join(lost)}")
    note = ", ".join(notes)
    row = bench.compare(name, workspace, len(chosen), survived=code == 0, note=note)
    shutil.rmtree(workspace)
    return row


def _is_named(path: str, kind: str, told: str) -> bool:
    """Whether the audit has told of a file; a fold is only a copy, so a run does not miss it."""
    return kind == "fold" or path in told or f"{path.rpartition('/')[0]}: " in told


def _is_lost(path: str, kind: str, told: str) -> bool:
    refused = [line for line in told.splitlines() if line.startswith("REFUSED")]
    return kind == "inventory" or any(path in line for line in refused)


def _tokenmill(*words: str) -> tuple[int, str]:
    told = CliRunner().invoke(build_app(words[0]), list(words))
    error = "" if told.exception is None or told.exit_code < 2 else f" {told.exception!r}"
    return told.exit_code, told.output + error

"""lock.json: what a launch was made from, and the check that all of it is still so.

The lock holds the sha256 of every file of the launch (arguments, blends, scripts, tokenizer), of
every shard (.bin and .idx), of every plan (as the ledger holds it, so that an edited plan.json is
found), and of tokenmill's own code; and a seal, the sha256 of the lock without it. The folder of a
launch is named by all of its files, the lock included. `verify_launch` computes all of these anew
and tells each one that differs. On a cluster without tokenmill, `bash N-name.sh --verify` compares
shards and files by `sha256sum`.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from pipelines.launch.model_file import Model
from pipelines.launch.scripts import MEGATRON, phase_name
from pipelines.launch.training import Phase, Shard
from pipelines.mix.plan import JOB as PLANS
from pipelines.workspace.storage import Storage
from pipelines.workspace.workspace import Workspace

FORMAT: Final = "tokenmill-launch"
VERSION: Final = 2
LOCK: Final = "lock.json"
HASHES: Final = "launch.sha256"
_PACKAGES: Final = ("annotators", "mixtures", "pipelines", "token_shards")
_NAMED: Final = re.compile(r"@([0-9a-f]{8})$")
_NO_FILE: Final = "no file"
_READERS: Final = 8  # files hashed side by side: hashing releases the interpreter lock


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as the lock says."""

    what: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.what}: found {self.found}, expected {self.expected}"


@cache
def sources_sha256() -> str:
    """Hash of tokenmill's own code: names and contents of all modules that decide a result."""
    state = hashlib.sha256()
    for package in _PACKAGES:
        root = Path(__import__(package).__file__ or "").parent
        for path in sorted(root.rglob("*.py")):
            data = path.read_bytes()
            state.update(f"{package}/{path.relative_to(root).as_posix()}\0{len(data)}\0".encode())
            state.update(data)
    return state.hexdigest()


def folder_hash(files: Mapping[str, bytes]) -> str:
    """First 8 hex digits of the hash of all files of a launch, by name and content."""
    state = hashlib.sha256()
    for path in sorted(files):
        state.update(f"{path}\0{len(files[path])}\0".encode())
        state.update(files[path])
    return state.hexdigest()[:8]


def lock_file(
    model: Model,
    phases: Sequence[Phase],
    tokenizer: Mapping[str, Any],
    made_from: Mapping[str, Any],
    files: Mapping[str, bytes],
    shards_root: str | None = None,
) -> bytes:
    """The lock over all other files of a launch.

    `shards_root` is the workspace of a launch that stands outside it, by absolute path or URL. None
    is two folders above the launch, so that copies of a workspace have equal locks.
    """
    lock = {
        "format": FORMAT,
        "version": VERSION,
        "megatron": MEGATRON,
        "code": {"sources_sha256": sources_sha256()},
        "model": model.model_dump(),
        "tokenizer": dict(tokenizer),
        "made_from": dict(made_from),
        "shards_root": shards_root,
        "stages": [_stage(phase) for phase in phases],
        "files": {path: hashlib.sha256(data).hexdigest() for path, data in files.items()},
    }
    return _encoded({**lock, "seal": _seal(lock)})


def hashes_file(lock: bytes, files: Mapping[str, bytes]) -> bytes:
    """`launch.sha256`, which `sha256sum --check` reads in the folder of the launch."""
    named = {LOCK: lock, **files}
    lines = [f"{hashlib.sha256(named[path]).hexdigest()}  {path}\n" for path in sorted(named)]
    return "".join(lines).encode()


def _stage(phase: Phase) -> dict[str, Any]:
    stage = phase.stage
    return {
        "name": phase_name(phase),
        "sequence_length": stage.sequence_length,
        "packing": stage.packing,
        "global_batch_size": phase.global_batch_size,
        "steps": phase.steps,
        "tokens": sum(shard.tokens for shard in stage.shards),
        "trained_tokens": phase.steps * phase.global_batch_size * stage.sequence_length,
        "shards": [_shard(shard) for shard in stage.shards],
        "validation": [_shard(shard) for shard in stage.validation],
        "shorter_than_a_sequence": [shard.prefix for shard in stage.unused()],
    }


def _shard(shard: Shard) -> dict[str, Any]:
    return {
        "prefix": shard.prefix,
        "tokens": shard.tokens,
        "bytes": shard.bytes,
        "sha256": shard.sha256,
        "index_bytes": shard.index_bytes,
        "index_sha256": shard.index_sha256,
    }


def _encoded(lock: Mapping[str, Any]) -> bytes:
    return (json.dumps(lock, indent=1, sort_keys=True) + "\n").encode()


def _seal(lock: Mapping[str, Any]) -> str:
    return hashlib.sha256(_encoded({k: v for k, v in lock.items() if k != "seal"})).hexdigest()


def verify_launch(folder: str, shards: str | None = None) -> list[Difference]:
    """Computes every hash of a launch anew.

    Args:
        folder: The folder of the launch, local or a URL.
        shards: The workspace, or the folder that its `shards/` and `mixtures/` were copied to; by
            default the one that the launch was made from.

    Returns:
        What differs; empty where nothing does.

    Raises:
        ValueError: There is no lock there, or one of another release.
    """
    launch = Storage(folder.rstrip("/"))
    lock, raw = _read_lock(launch)
    if lock.get("seal") != (seal := _seal(lock)):
        # What an edited lock says of other files is worth nothing.
        return [Difference(LOCK, f"content with the seal {seal}", str(lock.get("seal")))]
    found = [*_code(lock), *_files(launch, lock, raw)]
    return found + _data(Storage(shards or _root_of(launch, lock)), lock)


def _read_lock(launch: Storage) -> tuple[dict[str, Any], bytes]:
    try:
        raw = launch.read(LOCK)
        lock = json.loads(raw)
    except FileNotFoundError as error:
        raise ValueError(
            f"{launch.url}: found no {LOCK}; allowed: a folder that `tokenmill launch` wrote, such "
            "as WORKSPACE/launch/qwen3-8b@1a2b3c4d; name that"
        ) from error
    except ValueError as error:
        raise ValueError(f"{launch.url}/{LOCK} is not JSON ({error}); it was edited") from error
    if not isinstance(lock, dict) or lock.get("format") != FORMAT:
        raise ValueError(f"{launch.url}/{LOCK} is no lock of a launch; name another folder")
    if lock.get("version") != VERSION:
        raise ValueError(
            f"{launch.url}/{LOCK}: found version {lock.get('version')}; allowed: {VERSION}; make "
            "the launch anew with this tokenmill"
        )
    return lock, raw


def plan_sha256(workspace: Workspace, folder: str) -> str:
    """Hash of a plan.json, which the ledger has held since it was written.

    Args:
        workspace: Where the plan stands.
        folder: `mixtures/<mixture>@<fp>`.

    Raises:
        LookupError: The file is not what was written, or the ledger has no such plan.
    """
    mixture, _, fp = folder.removeprefix("mixtures/").rpartition("@")
    plan = workspace.ledger.get(f"{PLANS}@{fp}", mixture, 0).file("plan")
    found = _compare(workspace.storage, plan.path, plan.bytes, plan.sha256)
    if found is not None:
        raise LookupError(
            f"launch: {found} by the ledger: the plan is not the one that the shards were drawn "
            "by; bring the file back from a copy, or give the corpus a new workspace"
        )
    return plan.sha256


def _root_of(launch: Storage, lock: Mapping[str, Any]) -> str:
    if lock.get("shards_root"):
        return str(lock["shards_root"])
    root = launch.url.rsplit("/", 2)[0] if launch.url.count("/") > 1 else "."
    if not launch.is_local:
        return root
    return str(Path(launch.path("")).parents[1])


def _code(lock: Mapping[str, Any]) -> Iterator[Difference]:
    expected = lock["code"]["sources_sha256"]
    if sources_sha256() != expected:
        yield Difference("code of tokenmill (another release made this launch)",
                         f"sha256 {sources_sha256()}", expected)  # fmt: skip


def _files(launch: Storage, lock: Mapping[str, Any], raw: bytes) -> Iterator[Difference]:
    files: dict[str, bytes] = {LOCK: raw}
    told = False
    for path, expected in sorted(lock["files"].items()):
        if not launch.exists(path):
            yield Difference(path, _NO_FILE, f"sha256 {expected}")
            told = True
            continue
        files[path] = launch.read(path)
        found = hashlib.sha256(files[path]).hexdigest()
        if found != expected:
            yield Difference(path, f"sha256 {found}", expected)
            told = True
    if told:
        return
    others = {path: data for path, data in files.items() if path != LOCK}
    expected_hashes = hashes_file(raw, others)
    if not launch.exists(HASHES) or launch.read(HASHES) != expected_hashes:
        found = "other lines" if launch.exists(HASHES) else _NO_FILE
        yield Difference(HASHES, found, "the hashes that lock.json holds")
        return
    named = _NAMED.search(launch.url)
    whole = folder_hash({**files, HASHES: expected_hashes})
    if named and named[1] != whole:
        yield Difference(f"name of the folder {launch.url}", f"files with hash {whole}", named[1])


def _data(root: Storage, lock: Mapping[str, Any]) -> list[Difference]:
    """Plans and shards; a length is compared before a hash is computed.

    Where no shard is there at all, they stand elsewhere: that is one difference and not thousands.
    """
    expected: dict[str, tuple[int | None, str]] = {}
    for plan in lock["made_from"]["mixtures"].values():
        expected[f"{plan['folder']}/plan.json"] = (None, plan["plan_sha256"])
    plans = set(expected)
    for stage in lock["stages"]:
        for shard in (*stage["shards"], *stage["validation"]):
            expected[f"{shard['prefix']}.bin"] = (shard["bytes"], shard["sha256"])
            expected[f"{shard['prefix']}.idx"] = (shard["index_bytes"], shard["index_sha256"])
    with ThreadPoolExecutor(_READERS) as readers:
        found = readers.map(lambda path: _compare(root, path, *expected[path]), sorted(expected))
        told = [one for one in found if one is not None]
    shards = set(expected) - plans
    if not shards <= {one.what for one in told if one.found == _NO_FILE}:
        return told
    nowhere = Difference(
        "shards",
        f"none of {len(shards):,} files in {root.url}",
        "the workspace or a copy of it there; say where it is: --shards WORKSPACE",
    )
    return [nowhere, *(one for one in told if one.found != _NO_FILE)]


def _compare(root: Storage, path: str, size: int | None, sha256: str) -> Difference | None:
    if not root.exists(path):
        return Difference(path, _NO_FILE, f"sha256 {sha256}")
    if size is not None and (bytes_found := root.size(path)) != size:
        return Difference(path, f"{bytes_found:,} bytes", f"{size:,}")
    if (found := root.sha256(path)) != sha256:
        return Difference(path, f"sha256 {found}", sha256)
    return None

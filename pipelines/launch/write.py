"""From the last run of a workspace to a folder of launch files."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipelines.launch.models import ModelShape, find_model
from pipelines.launch.scripts import (
    arguments_file,
    blend_file,
    lock_file,
    phase_name,
    script_file,
    shards_file,
    tokenizer_config,
)
from pipelines.launch.training import Phase, Shard, Stage, plan_phases
from pipelines.mix.plan import read_plan
from pipelines.run_record import RunRecord
from pipelines.workspace.ledger import FileRef
from pipelines.workspace.workspace import Workspace

VERSION: Final = "1"


@dataclass(frozen=True, slots=True)
class Launch:
    """The files of a launch, not yet written."""

    shape: ModelShape
    phases: tuple[Phase, ...]
    files: dict[str, bytes]
    """Path in the folder -> content."""

    @property
    def folder(self) -> str:
        """`launch/<model>@<fp8>`, by the contents."""
        state = hashlib.sha256()
        for path in sorted(self.files):
            state.update(f"{path}\0{len(self.files[path])}\0".encode())
            state.update(self.files[path])
        return f"launch/{self.shape.name}@{state.hexdigest()[:8]}"


def make_launch(
    workspace: Workspace,
    record: RunRecord,
    model: str,
    *,
    stages: Sequence[str] = (),
    global_batch_size: int | None = None,
) -> Launch:
    """Makes the files that train a model on the shards of a run.

    Args:
        workspace: Where the shards are.
        record: The run that wrote them.
        model: Name of a Qwen3 model.
        stages: Mixtures in the order of training; by default all that the run wrote.
        global_batch_size: Sequences a step; see `plan_phases`.

    Raises:
        ValueError: An unknown model or mixture, or a stage too small for one step.
        LookupError: The run wrote no shards.
    """
    from token_shards.tokenizer import load_tokenizer

    shape = find_model(model)
    tokenizer = load_tokenizer(record.tokenizer)
    if tokenizer.fingerprint != record.tokenizer_fingerprint:
        raise ValueError(
            f"tokenizer {record.tokenizer} has fingerprint {tokenizer.fingerprint}, and the shards "
            f"were written with {record.tokenizer_fingerprint}; give the old one, or run again"
        )
    found = [s for name in _chosen(record, stages) for s in _stages(workspace, record, name)]
    phases = plan_phases(found, global_batch_size)
    root = _absolute(workspace)
    files: dict[str, str] = {}
    for phase in phases:
        name = phase_name(phase)
        files[f"{name}.args"] = arguments_file(shape, phase, tokenizer.vocab_size)
        files[f"{name}.blend.json"] = blend_file(phase)
        files[f"{name}.shards"] = shards_file(phase)
        files[f"{name}.sh"] = script_file(shape, phase, root)
    files["tokenizer/tokenizer_config.json"] = tokenizer_config(tokenizer.eod_token)
    facts = {
        "fingerprint": tokenizer.fingerprint,
        "vocab_size": tokenizer.vocab_size,
        "eod_id": tokenizer.eod_id,
        "eod_token": tokenizer.eod_token,
    }
    made_from = {"mixtures": dict(record.mixtures), "shards": dict(record.shards)}
    files["lock.json"] = lock_file(shape, phases, facts, made_from)
    data = {path: text.encode() for path, text in files.items()}
    data["tokenizer/tokenizer.json"] = _tokenizer_json(record.tokenizer).read_bytes()
    return Launch(shape, tuple(phases), data)


def write_launch(workspace: Workspace, launch: Launch) -> str:
    """Writes the files into the workspace; gives the folder."""
    folder = launch.folder
    for path, data in launch.files.items():
        workspace.storage.create(f"{folder}/{path}", data)
    return folder


def _chosen(record: RunRecord, stages: Sequence[str]) -> list[str]:
    written = [name for name in record.mixtures if name in record.shards]
    if not written:
        raise LookupError("the last run wrote no shards; see what its summary says of mixtures")
    unknown = [name for name in stages if name not in written]
    if unknown:
        raise ValueError(
            f"launch: found stage {unknown[0]!r}; allowed are the mixtures that the last run "
            f"wrote: {', '.join(written)}"
        )
    return list(stages) or written


def _stages(workspace: Workspace, record: RunRecord, mixture: str) -> list[Stage]:
    plan = read_plan(workspace, record.mixtures[mixture])
    stages = []
    for name, stage in plan.stages.items():
        entries = workspace.ledger.entries(record.shards[mixture], name)
        shards = []
        for entry in sorted(entries, key=lambda entry: entry.part):
            if entry.counts["draws"]:
                ref = entry.file("bin")
                _check_shard(workspace, ref)
                shards.append(
                    Shard(
                        prefix=ref.path.removesuffix(".bin"),
                        tokens=entry.counts["tokens"],
                        sha256=ref.sha256,
                        bytes=ref.bytes,
                    )
                )
        stages.append(
            Stage(
                name=mixture if len(plan.stages) == 1 else f"{mixture}-{name}",
                mixture=mixture,
                sequence_length=stage.sequence_length,
                shards=tuple(shards),
            )
        )
    return stages


def _check_shard(workspace: Workspace, ref: FileRef) -> None:
    storage = workspace.storage
    if not storage.exists(ref.path) or storage.size(ref.path) != ref.bytes:
        raise LookupError(
            f"{ref.path} is missing or cut; {ref.bytes} bytes were written: run `tokenmill audit "
            f"{workspace.url}`, which names all that is wrong"
        )


def _absolute(workspace: Workspace) -> str:
    storage = workspace.storage
    return storage.path("") if storage.is_local else workspace.url.rstrip("/")


def _tokenizer_json(path: str) -> Path:
    given = Path(path)
    return given / "tokenizer.json" if given.is_dir() else given

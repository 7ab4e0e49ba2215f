"""From the last run of a workspace to a folder of launch files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pipelines.launch.kubernetes import apply_file, manifest_file
from pipelines.launch.lock import HASHES, LOCK, folder_hash, lock_file, plan_sha256
from pipelines.launch.lock import hashes_file as launch_hashes
from pipelines.launch.model_file import Model, load_model
from pipelines.launch.models import padded_vocab
from pipelines.launch.scripts import (
    arguments_file,
    blend_file,
    hashes_file,
    phase_name,
    script_file,
    shards_file,
    tokenizer_config,
)
from pipelines.launch.slurm import batch_file, submit_file
from pipelines.launch.training import Phase, Shard, Stage, plan_phases
from pipelines.mix.plan import read_plan
from pipelines.run_record import RunRecord
from pipelines.workspace.ledger import Entry, FileRef
from pipelines.workspace.workspace import Workspace

if TYPE_CHECKING:
    from token_shards.tokenizer import Tokenizer

FORMAT: Final = "megatron"
_VALIDATION: Final = "validation"


@dataclass(frozen=True, slots=True)
class Launch:
    """The files of a launch, not yet written."""

    shape: Model
    phases: tuple[Phase, ...]
    files: dict[str, bytes]
    """Path in the folder -> content."""

    @property
    def folder(self) -> str:
        """`launch/<model>@<fp8>`, by the contents."""
        return f"launch/{self.shape.name}@{folder_hash(self.files)}"


def make_launch(
    workspace: Workspace,
    record: RunRecord,
    model: str,
    *,
    stages: Sequence[str] = (),
    global_batch_size: int | None = None,
    elsewhere: bool = False,
) -> Launch:
    """Makes the files that train a model on the shards of a run.

    Args:
        workspace: Where the shards are.
        record: The run that wrote them.
        model: Name of a Qwen3 model, or path of a YAML file.
        stages: Mixtures in the order of training; by default all that the run wrote.
        global_batch_size: Sequences a step; see `plan_phases`.
        elsewhere: Whether the files will stand outside the workspace; then the scripts name it.

    Raises:
        ValueError: An unknown model or mixture, shards of another format or tokenizer, lengths that
            the model's parallel sizes cannot split, or a stage too small for one step.
        LookupError: The run wrote no shards.
    """
    from token_shards.tokenizer import load_tokenizer, tokenizer_json

    shape = load_model(model)
    tokenizer = load_tokenizer(record.tokenizer, eod=record.eod)
    if tokenizer.fingerprint != record.tokenizer_fingerprint:
        raise ValueError(
            f"tokenizer {record.tokenizer} has fingerprint {tokenizer.fingerprint}, and the shards "
            f"were written with {record.tokenizer_fingerprint}; give the old one, or run again"
        )
    chosen = _chosen(record, stages)
    made_from = _made_from(workspace, record, chosen)
    found = [s for name in chosen for s in _stages(workspace, record, name)]
    phases = plan_phases(found, global_batch_size, shape.training)
    _check_lengths(shape, phases)
    return assemble(
        shape,
        phases,
        tokenizer,
        tokenizer_json(record.tokenizer),
        made_from,
        shards_root=_absolute(workspace) if elsewhere else None,
    )


def assemble(
    shape: Model,
    phases: Sequence[Phase],
    tokenizer: "Tokenizer",
    tokenizer_json: bytes,
    made_from: Mapping[str, Any],
    *,
    shards_root: str | None = None,
) -> Launch:
    """All files of a launch; the lock is made over the others.

    Args:
        shape: The model.
        phases: Of `plan_phases`.
        tokenizer: The shards' own.
        tokenizer_json: The file that it was loaded from.
        made_from: `mixtures` (name -> folder of the plan, plan_sha256), `shards` (name ->
            generation).
        shards_root: Where `shards/` stands; None: where the launch is written to.
    """
    files: dict[str, str] = {}
    for phase in phases:
        name = phase_name(phase)
        files[f"{name}.args"] = arguments_file(shape, phase, tokenizer.vocab_size, shape.training)
        files[f"{name}.blend.json"] = blend_file(phase)
        files[f"{name}.shards"] = shards_file(phase)
        files[f"{name}.sha256"] = hashes_file(phase)
        files[f"{name}.sh"] = script_file(shape, phase, shape.training, shards_root)
        files[f"{name}.sbatch"] = batch_file(shape, phase, shape.training)
        files[f"{name}.yaml"] = manifest_file(shape, phase, shape.training)
    files["submit.sh"] = submit_file(phases)
    files["kubernetes.sh"] = apply_file(shape, phases)
    files["tokenizer/tokenizer_config.json"] = tokenizer_config(tokenizer.eod_token)
    data = {path: text.encode() for path, text in files.items()}
    data["tokenizer/tokenizer.json"] = tokenizer_json
    facts = {
        "fingerprint": tokenizer.fingerprint,
        "vocab_size": tokenizer.vocab_size,
        "padded_vocab_size": padded_vocab(tokenizer.vocab_size, shape.tensor_parallel),
        "eod_id": tokenizer.eod_id,
        "eod_token": tokenizer.eod_token,
    }
    lock = lock_file(shape, phases, facts, made_from, data, shards_root)
    data[HASHES] = launch_hashes(lock, data)
    data[LOCK] = lock
    return Launch(shape, tuple(phases), data)


def write_launch(workspace: Workspace, launch: Launch) -> str:
    """Writes the files into the workspace; gives the folder."""
    folder = launch.folder
    for path, data in launch.files.items():
        workspace.storage.create(f"{folder}/{path}", data)
    return folder


def _made_from(workspace: Workspace, record: RunRecord, chosen: Sequence[str]) -> dict[str, Any]:
    """Plans by their hash in the ledger; their folders carry the fingerprint of the mixture."""
    plans = {
        name: {
            "folder": record.mixtures[name],
            "plan_sha256": plan_sha256(workspace, record.mixtures[name]),
        }
        for name in chosen
    }
    return {"mixtures": plans, "shards": {name: record.shards[name] for name in chosen}}


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
        told = ("split", "packing", "format")
        drawn = [entry.with_detail(*told) for entry in entries if entry.counts["draws"]]
        for entry in drawn:
            _check_format(workspace, entry, mixture)
        train = [e for e in drawn if e.detail.get("split", "train") != _VALIDATION]
        held_out = [e for e in drawn if e.detail.get("split", "train") == _VALIDATION]
        packings = {str(entry.detail.get("packing", "concat")) for entry in train}
        stages.append(
            Stage(
                name=mixture if len(plan.stages) == 1 else f"{mixture}-{name}",
                mixture=mixture,
                sequence_length=stage.sequence_length,
                shards=tuple(_shard(workspace, entry) for entry in train),
                packing="best_fit" if "best_fit" in packings else "concat",
                validation=tuple(_shard(workspace, entry) for entry in held_out),
            )
        )
    return stages


def _check_format(workspace: Workspace, entry: Entry, mixture: str) -> None:
    found = entry.detail.get("format", FORMAT)
    if found != FORMAT:
        raise ValueError(
            f"launch: the shards of {mixture} are written as {found}; allowed: {FORMAT} (.bin and "
            ".idx), which is what Megatron-LM reads; give `tokenmill shards "
            f"{workspace.url} {mixture} --format {FORMAT}` first, or --stages without {mixture}"
        )


def _shard(workspace: Workspace, entry: Entry) -> Shard:
    data, index = entry.file("bin"), entry.file("idx")
    for ref in (data, index):
        _check_file(workspace, ref)
    return Shard(
        prefix=data.path.removesuffix(".bin"),
        tokens=entry.counts["tokens"],
        sha256=data.sha256,
        bytes=data.bytes,
        index_sha256=index.sha256,
        index_bytes=index.bytes,
        sequences=index.rows,
    )


def _check_file(workspace: Workspace, ref: FileRef) -> None:
    storage = workspace.storage
    if not storage.exists(ref.path) or storage.size(ref.path) != ref.bytes:
        raise LookupError(
            f"{ref.path} is missing or cut; {ref.bytes} bytes were written: run `tokenmill audit "
            f"{workspace.url}`, which names all that is wrong"
        )


def _check_lengths(shape: Model, phases: Sequence[Phase]) -> None:
    """Context parallelism cuts a sequence into 2 x CP equal pieces (`arguments.py`)."""
    pieces = 2 * shape.context_parallel if shape.context_parallel > 1 else 1
    for phase in phases:
        length = phase.stage.sequence_length
        for size, name in ((pieces, "context_parallel"), (shape.tensor_parallel, "tensor")):
            if length % size:
                raise ValueError(
                    f"{phase.stage.name}: found sequences of {length:,} tokens; allowed: a "
                    f"multiple of {size}, by which {shape.name} cuts them ({name}); change one "
                    "of the two"
                )


def _absolute(workspace: Workspace) -> str:
    storage = workspace.storage
    return storage.path("") if storage.is_local else workspace.url.rstrip("/")

"""Which documents a training step reads: from a launch folder and a step back to texts.

A step is a global batch: with `--dataloader-type single` its samples follow one another in the
blend, however many GPUs share them (`data_samplers.py` of Megatron-LM core_v0.16.1). The launch
files say all that decides them: `.args` (seed, length, batch, samples, phases), `.blend.json`
(prefixes in their order) and `lock.json` (stages in their order, tokens of each shard). Megatron's
own order of shards and samples comes from `token_shards.megatron_blend` and `megatron_order`; the
`.idx` and the document map of a shard are read only where the step reads that shard.

Two counts of steps. A step of a stage counts from 1 in that stage. The iteration that Megatron logs
goes on over the stages of one schedule (`--phase-transition-iterations`, see `training`): the
blend of each begins anew, the count does not. `StageRun` knows both.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.mix.plan import Unit, plan_folders, read_plan
from pipelines.workspace.ledger import Entry
from pipelines.workspace.parts import read_table
from pipelines.workspace.schema import ID
from pipelines.workspace.workspace import Workspace
from token_shards.indexed_dataset import read_index
from token_shards.megatron_order import ShardOrder, count_passes

_LOCK: Final = "lock.json"
_SHARDS: Final = "@SHARDS@/"
_NO_NAME: Final = "(its plan was pruned)"
_SEED: Final = "1234"  # Megatron's default (`arguments.py`)
# Flags by which samples would come in another order than is told here.
_OTHER_ORDERS: Final = ("--rampup-batch-size", "--hybrid-context-parallel")


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRun:
    """One stage of a launch: what decides its samples."""

    folder: str
    number: int
    """Position in the chain, from 1."""
    name: str
    """Of the mixture, or `mixture-stage`."""
    sequence_length: int
    global_batch_size: int
    seed: int
    first_step: int
    """Iterations that Megatron logs before the first of this stage."""
    steps: int
    prefixes: tuple[str, ...]
    """Of the blend, in its order; paths within the workspace without their ending."""
    weights: tuple[float, ...] | None
    tokens: tuple[int, ...]
    """Tokens of each shard."""

    @property
    def size(self) -> int:
        """Samples of the stage, as Megatron asks the blend for them."""
        return self.steps * self.global_batch_size

    @property
    def order(self) -> tuple[object, ...]:
        """What decides which tokens a step reads: equal in launches that differ in the model."""
        return (
            self.sequence_length,
            self.global_batch_size,
            self.seed,
            self.first_step,
            self.steps,
            self.prefixes,
            self.weights,
            self.tokens,
        )

    def is_called(self, wanted: str) -> bool:
        """Whether this is its number, its name, or both, as its files are called."""
        return wanted in (str(self.number), self.name, f"{self.number}-{self.name}")

    def step_of(self, number: int, *, is_logged: bool = False) -> int:
        """The step of this stage, from 1.

        Args:
            number: A step of the stage, or the iteration that Megatron logs.
            is_logged: Which of the two.

        Raises:
            ValueError: The stage has no such step.
        """
        step = number - self.first_step if is_logged else number
        if 1 <= step <= self.steps:
            return step
        asked = "iteration" if is_logged else "step"
        told = (
            f"found {asked} {number:,} of stage {self.number}, {self.name}; it has {self.steps:,}"
        )
        logged = f"{self.first_step + 1:,} to {self.first_step + self.steps:,}"
        if self.first_step == 0:
            raise ValueError(f"{told} steps, from 1 on")
        hint = ""
        if not is_logged and self.first_step < number <= self.first_step + self.steps:
            hint = "; for the number in the log, add --logged"
        raise ValueError(f"{told} steps, from 1 on, which Megatron logs as {logged}{hint}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSample:
    """One sequence of a global batch."""

    number: int
    """Position in the batch, from 1."""
    shard: int
    """Position of its shard in the blend."""
    prefix: str
    sample: int
    """Which sample of the shard, as they are dealt, from 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRange:
    """Tokens of one document, or of padding, that a sample reads."""

    token_start: int
    token_end: int
    """Tokens [start, end) of the shard, the EOD included."""
    id: bytes | None
    """None for padding."""
    draw: int | None
    piece: int | None

    @property
    def num_tokens(self) -> int:
        """How many."""
        return self.token_end - self.token_start


def launch_folders(workspace: Workspace) -> list[str]:
    """Folders of all launches of a workspace."""
    found = workspace.storage.files("launch")
    ending = f"/{_LOCK}"
    return [path.removesuffix(ending) for path in found if path.endswith(ending)]


def find_stage(workspace: Workspace, wanted: str, folder: str | None = None) -> StageRun:
    """The stage of a name or number.

    Args:
        workspace: Where the shards stand.
        wanted: Its number in the chain, its name, or both, as its files are called.
        folder: Of the launch, within the workspace or on this machine; by default the only one.
            Several that read the same tokens in this stage count as one.

    Raises:
        LookupError: There is no launch.
        ValueError: There is no such stage, or several launches differ in it.
    """
    folders = launch_folders(workspace) if folder is None else [folder.rstrip("/")]
    if not folders:
        raise LookupError(
            f"{workspace.url} has no launch; steps are those of launch files: give `tokenmill "
            f"launch {workspace.url} --model ...` first, or --launch with the folder of one"
        )
    runs: dict[str, list[StageRun]] = {one: stages_of(workspace, one) for one in folders}
    found = [run for one in runs.values() for run in one if run.is_called(wanted)]
    if not found:
        names = {f"{run.number} ({run.name})" for one in runs.values() for run in one}
        raise ValueError(
            f"found stage {wanted!r}; allowed: {', '.join(sorted(names))}; give one of them by "
            "number or name"
        )
    if len({run.order for run in found}) > 1:
        raise ValueError(
            f"stage {wanted!r} reads other tokens in {found[0].folder} than in "
            f"{next(r.folder for r in found if r.order != found[0].order)}; say which launch was "
            "trained: --launch FOLDER"
        )
    return found[-1]


def stages_of(workspace: Workspace, folder: str) -> list[StageRun]:
    """All stages of a launch, in order.

    Raises:
        LookupError: The folder is not a whole launch.
        ValueError: Its arguments ask for an order that is not told here.
    """
    lock = json.loads(_file(workspace, folder, _LOCK))
    runs: list[StageRun] = []
    before: list[int] = []  # steps of the stages of the same schedule
    for number, stage in enumerate(lock["stages"], start=1):
        flags = _flags(_file(workspace, folder, f"{stage['name']}.args").decode(), stage["name"])
        ends = [
            int(end) for end in flags.get("--phase-transition-iterations", "").split(",") if end
        ]
        if len(before) == len(ends) + 1 or not _continues(before, ends):
            before = []
        steps = _steps(flags, ends, len(before))
        blend = json.loads(_file(workspace, folder, f"{stage['name']}.blend.json"))
        prefixes, weights = _read_blend(blend["train"])
        tokens = {shard["prefix"]: int(shard["tokens"]) for shard in stage["shards"]}
        runs.append(
            StageRun(
                folder=folder,
                number=number,
                name=stage["name"].removeprefix(f"{number}-"),
                sequence_length=int(flags["--seq-length"]),
                global_batch_size=int(flags["--global-batch-size"]),
                seed=int(flags.get("--seed", _SEED)),
                first_step=sum(before),
                steps=steps,
                prefixes=prefixes,
                weights=weights,
                tokens=tuple(tokens[prefix] for prefix in prefixes),
            )
        )
        before.append(steps)
    return runs


def _continues(before: Sequence[int], ends: Sequence[int]) -> bool:
    """Whether stages of these steps end where a schedule changes its phase."""
    return list(accumulate(before)) == list(ends[: len(before)])


def _steps(flags: Mapping[str, str], ends: Sequence[int], position: int) -> int:
    """Iterations of one phase (`get_train_valid_test_num_samples` in Megatron's training.py)."""
    whole = int(flags["--train-samples"]) // int(flags["--global-batch-size"])
    bounds = [0, *ends, whole]
    return bounds[position + 1] - bounds[position]


def _flags(text: str, name: str) -> dict[str, str]:
    flags: dict[str, str] = {}
    flag = ""
    for line in text.splitlines():
        for word in () if line.startswith("#") else line.split():
            if word.startswith("--"):
                flag = word
                flags[flag] = ""
            else:
                flags[flag] = f"{flags[flag]} {word}".strip()
    wrong: list[str] = [flag for flag in _OTHER_ORDERS if flag in flags]
    if flags.get("--dataloader-type", "single") != "single":
        wrong.append(f"--dataloader-type {flags['--dataloader-type']}")
    if wrong:
        raise ValueError(
            f"{name}.args: found {wrong[0]}; a step is told only for samples in the order of the "
            "blend (--dataloader-type single, one batch size)"
        )
    return flags


def _read_blend(train: Sequence[str]) -> tuple[tuple[str, ...], tuple[float, ...] | None]:
    """Prefixes and weights; a list of numbers and prefixes by turns has weights."""
    weights: tuple[float, ...] | None = None
    if len(train) % 2 == 0 and all(_is_number(one) for one in train[::2]):
        weights = tuple(float(one) for one in train[::2])
        train = train[1::2]
    return tuple(one.removeprefix(_SHARDS) for one in train), weights


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _file(workspace: Workspace, folder: str, name: str) -> bytes:
    """A file of a launch, from the workspace or from a folder of this machine."""
    path = f"{folder}/{name}"
    try:
        if workspace.storage.exists(path):
            return workspace.storage.read(path)
        return Path(path).read_bytes()
    except OSError as error:
        raise LookupError(
            f"found no file {path}; --launch takes a folder that `tokenmill launch` wrote, such as "
            "launch/qwen3-0.6b@1a2b3c4d"
        ) from error


def step_samples(run: StageRun, step: int) -> list[StepSample]:
    """The samples of a step's global batch, in order.

    Args:
        run: The stage.
        step: Of the stage, from 1.

    Raises:
        ValueError: The stage has no such step, or it is too far to replay (`MAX_SAMPLES`).
    """
    step = run.step_of(step)
    start = (step - 1) * run.global_batch_size
    stop = start + run.global_batch_size
    if len(run.prefixes) == 1:
        shards, samples = np.zeros(stop - start, np.int16), np.arange(start, stop, dtype=np.int64)
    else:
        shards, samples = _draw(run, start, stop)
    return [
        StepSample(number=number, shard=shard, prefix=run.prefixes[shard], sample=sample)
        for number, (shard, sample) in enumerate(
            zip(shards.tolist(), samples.tolist(), strict=True), start=1
        )
    ]


def _wanted(run: StageRun) -> list[int | None]:
    """Samples that Megatron builds of each shard; None is one epoch."""
    if len(run.prefixes) == 1:
        return [run.size]
    if run.weights is None:
        return [None] * len(run.prefixes)
    from token_shards.megatron_blend import samples_by_weight  # numba: 0.3 s

    return list(samples_by_weight(run.weights, run.size)[1])


def _draw(
    run: StageRun, start: int, stop: int
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int64]]:
    from token_shards.megatron_blend import blend_by_length, blend_by_weight  # numba: 0.3 s

    length = run.sequence_length
    available = [
        count_passes(tokens, length, wanted).num_samples
        for tokens, wanted in zip(run.tokens, _wanted(run), strict=True)
    ]
    if run.weights is None:
        return blend_by_length(available, run.size).draw(start, stop)
    return blend_by_weight(run.weights, run.size, available).draw(start, stop)


class StepReader:
    """Reads what the samples of a stage hold; keeps the last shard and names already found.

    Args:
        workspace: Where the shards stand.
        run: The stage.
    """

    def __init__(self, workspace: Workspace, run: StageRun) -> None:
        self._workspace = workspace
        self._run = run
        self._wanted = _wanted(run)
        self._shard = -1
        self._order: ShardOrder | None = None
        self._map = pa.table({})
        self._names: dict[bytes, str] = {}

    def ranges(self, sample: StepSample) -> list[ReadRange]:
        """What a sample reads, in order: `sequence_length` + 1 tokens, split by document.

        Raises:
            LookupError: The shard is gone.
            ValueError: The shard is not that of the launch.
        """
        if sample.shard != self._shard:
            self._open(sample.shard)
        assert self._order is not None
        return [
            read
            for found in self._order.ranges(sample.sample)
            for read in _by_document(self._map, found.start, found.end)
        ]

    def names(self, sample: StepSample, ids: Iterable[bytes]) -> Mapping[bytes, str]:
        """Of documents of a sample's shard: the URI, or source, file and offset without one."""
        lacking = {id_ for id_ in ids if id_ not in self._names}
        if lacking:
            self._names.update(self._read_names(sample.prefix, lacking))
        return self._names

    @cached_property
    def _entries(self) -> dict[str, Entry]:
        """Prefix -> ledger entry, of all shards."""
        ledger = self._workspace.ledger
        entries: dict[str, Entry] = {}
        for name in ledger.generations():
            if name.startswith("shards."):
                for entry in ledger.entries(name):
                    for ref in entry.files:
                        if ref.kind == "bin":
                            entries[ref.path.removesuffix(".bin")] = entry.with_detail()
        return entries

    def _entry(self, prefix: str) -> Entry:
        if prefix not in self._entries:
            raise LookupError(
                f"{prefix} is in the blend of {self._run.folder} and not in the ledger of "
                f"{self._workspace.url}; give the workspace that the launch was made from"
            )
        return self._entries[prefix]

    def _open(self, shard: int) -> None:
        run, prefix = self._run, self._run.prefixes[shard]
        entry = self._entry(prefix)
        lengths = read_index(self._workspace.storage.read(entry.file("idx").path)).lengths
        held = int(lengths.sum(dtype=np.int64))
        if held != run.tokens[shard]:
            raise ValueError(
                f"{prefix} holds {held:,} tokens, and {run.folder}/{_LOCK} says "
                f"{run.tokens[shard]:,}; it is not the shard that was trained on"
            )
        self._order = ShardOrder(
            lengths,
            sequence_length=run.sequence_length,
            seed=run.seed,
            wanted=self._wanted[shard],
        )
        self._map = read_table(self._workspace.storage, entry.file("map"))
        self._shard = shard

    def _read_names(self, prefix: str, ids: set[bytes]) -> dict[bytes, str]:
        names = dict.fromkeys(ids, _NO_NAME)
        left = set(ids)
        for generation, source, part in self._parts(self._entry(prefix)):
            if not left:
                break
            documents = self._workspace.ledger.get(generation, source, part).file("documents")
            table = read_table(self._workspace.storage, documents, ["id", "uri", "locator"])
            chosen = pc.is_in(table.column("id"), value_set=pa.array(sorted(left), ID))
            for row in table.filter(chosen).to_pylist():
                place = f"{source} {row['locator']['file']}:{row['locator']['offset']}"
                names[row["id"]] = row["uri"] or place
                left.discard(row["id"])
        return names

    def _parts(self, entry: Entry) -> Iterator[tuple[str, str, int]]:
        """(generation, source, part) of the documents that a shard was drawn from."""
        unit, documents = self._units.get((entry.source, entry.part), (None, {}))
        if unit is not None:
            for source, part in unit.parts:
                yield documents[source], source, part

    @cached_property
    def _units(self) -> dict[tuple[str, int], tuple[Unit, dict[str, str]]]:
        """(stage, unit) -> the unit and the documents generation of each source."""
        wanted = {
            self._workspace.ledger.payload(f"{entry.job}@{entry.fp}")["plan"]
            for prefix in self._run.prefixes
            for entry in [self._entry(prefix)]
        }
        found: dict[tuple[str, int], tuple[Unit, dict[str, str]]] = {}
        for folder in plan_folders(self._workspace):
            plan = read_plan(self._workspace, folder)
            if plan.generation.full in wanted:
                documents = {name: pins.documents for name, pins in plan.pins.sources.items()}
                found.update({(u.stage, u.number): (u, documents) for u in plan.units})
        return found


def _by_document(table: pa.Table, start: int, end: int) -> Iterator[ReadRange]:
    """Splits tokens [start, end) of a shard at its documents; what no row covers is padding."""
    starts, ends = table.column("token_start").to_numpy(), table.column("token_end").to_numpy()
    first = int(np.searchsorted(ends, start, side="right"))
    last = int(np.searchsorted(starts, end, side="left"))
    at = start
    for row in table.slice(first, max(last - first, 0)).to_pylist():
        if at < row["token_start"]:
            yield ReadRange(
                token_start=at, token_end=row["token_start"], id=None, draw=None, piece=None
            )
        at = min(end, row["token_end"])
        yield ReadRange(
            token_start=max(start, row["token_start"]),
            token_end=at,
            id=row["id"],
            draw=row["draw"],
            piece=row.get("piece"),
        )
    if at < end:
        yield ReadRange(token_start=at, token_end=end, id=None, draw=None, piece=None)

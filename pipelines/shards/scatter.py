"""The global shuffle, in two stages through files: units scatter their draws, shards gather them.

A unit tokenizes the documents of its parts and deals their draws out to all shards of the stage, by
the hash that also orders them: shard k of n takes the k-th of n equal ranges of hashes
(`draw_order.targets`), so the shards one after the other are the whole stage in the order of one
sort, however many there are. A scatter file is an Arrow file with a batch for each shard, in order;
a gathering shard reads one batch of each file. A worker holds one unit, or one shard, at a time.

Scattered tokens are a second copy of the stage. They are deleted when all its shards are committed
(`seal`), after it was checked that what was gathered is what was scattered. Documents that a unit
could not tokenize are told again by the shard of its number, whose entry stays.

Equation: tokens scattered = sum over draws of `num_tokens` + one EOD a draw + what cuts add.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.mix.judge import TRAIN
from pipelines.mix.plan import Plan, Unit
from pipelines.shards.choice import choose
from pipelines.shards.files import Drafts
from pipelines.shards.material import SUMMED, Facts, Material, rejected_of
from pipelines.shards.tokenizing import TokenizerRef, load_checked, tokenize
from pipelines.workspace.children import Children
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import PartKey, entry_of
from pipelines.workspace.ledger import Entry, FileRef, Stopwatch
from pipelines.workspace.workspace import Workspace
from token_shards.draw_order import draw_hashes, plain_order, targets
from token_shards.token_store import TokenStore

VERSION: Final = "1"
JOB: Final = "scatter"
_KIND: Final = "scattered"
_SUFFIX: Final = "arrow"
_TOKENS: Final = "tokens"
_REDACTED: Final = "redacted."


@dataclass(frozen=True)
class ScatterJob:
    """Deals out the draws of the units of one stage."""

    plan: Plan
    stage: str
    tokenizer: TokenizerRef

    @property
    def generation(self) -> Generation:
        """One a plan; its stages share it."""
        payload = {
            "version": VERSION,
            "plan": self.plan.generation.full,
            "tokenizer": self.tokenizer.fingerprint,
        }
        return Generation(job=f"{JOB}.{self.plan.mixture}", payload=payload)

    @property
    def generations(self) -> tuple[Generation, ...]:
        """One."""
        return (self.generation,)

    def run(self, workspace: Workspace, key: PartKey, children: Children) -> None:
        """Scatters and commits one unit."""
        watch = Stopwatch()
        unit = self.plan.units_of(self.stage)[key.part]
        facts, parts = choose(workspace, self.plan, unit)
        material = tokenize(workspace, facts, parts, self.tokenizer, children, meter=JOB)
        num_shards = len(gathering_units(self.plan, self.stage))
        ref, tokens = self._write(workspace, unit, material, num_shards)
        workspace.ledger.commit(
            entry_of(
                self.generation,
                key,
                files=(ref,),
                counts={"tokens": tokens, **material.counts()},
                watch=watch,
                detail={"variance": facts.variance, **material.told_rejected()},
            )
        )

    def _write(
        self, workspace: Workspace, unit: Unit, material: Material, num_shards: int
    ) -> tuple[FileRef, int]:
        facts, store = material.facts, material.store
        rows, draws = plain_order(facts.repeats, len(facts.keys))
        aimed = targets(draw_hashes(self.plan.seed, facts.keys[rows], draws), num_shards)
        order = np.argsort(aimed, kind="stable")
        ends = np.searchsorted(aimed[order], np.arange(1, num_shards + 1)).tolist()
        rows = rows[order]
        told = _told(material, rows, draws[order])
        offsets = np.concatenate([[0], np.cumsum(store.lengths)]).astype(np.int64)
        tokens = start = 0
        stem = f"shards/{self.generation.name}/{self.stage}/{unit.name}"
        with Drafts(workspace.storage, [_SUFFIX]) as drafts:
            file = drafts.files[_SUFFIX]
            schema = told.schema.append(_tokens_field(store.ids.dtype))
            with pa.ipc.new_file(file, schema) as writer:
                for end in ends:
                    ids, lengths = store.take(offsets, rows[start:end])
                    cuts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
                    dealt = pa.LargeListArray.from_arrays(pa.array(cuts), pa.array(ids))
                    columns = [*told.slice(start, end - start).columns, dealt]
                    writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
                    tokens += len(ids)
                    start = end
            digest = file.sha256()
            ref = drafts.publish(_SUFFIX, kind=_KIND, stem=stem, digest=digest, rows=len(rows))
        return ref, tokens


def gathering_units(plan: Plan, stage: str) -> list[Unit]:
    """Units of a stage that scatter and gather: all but those of held-out documents."""
    return [unit for unit in plan.units_of(stage) if unit.split == TRAIN]


def gather(workspace: Workspace, job: ScatterJob, unit: Unit) -> tuple[Material, int]:
    """Reads what all units dealt out to one shard; every draw is a document of its own.

    Returns:
        The draws of the shard, and how many tokens all units scattered.

    Raises:
        LookupError: A unit has not scattered.
    """
    units = gathering_units(job.plan, job.stage)
    entries = [workspace.ledger.get(job.generation, job.stage, one.number) for one in units]
    position = [one.number for one in units].index(unit.number)
    scattered = sum(entry.counts["tokens"] for entry in entries)
    store = TokenStore(load_checked(job.tokenizer).dtype, scattered // len(entries))
    told = []
    for entry in entries:
        batch = _read(workspace, entry, position)
        tokens = batch.column(_TOKENS)
        store.append(tokens.flatten().to_numpy(), np.diff(tokens.offsets.to_numpy()))
        told.append(batch.drop_columns([_TOKENS]))
    table = pa.Table.from_batches(told)
    columns = {name: table.column(name) for name in table.column_names}
    keys = pa.concat_arrays(columns["id"].chunks)
    facts = Facts(
        keys=np.frombuffer(keys.buffers()[1] or b"", np.uint8)[: 16 * len(keys)].reshape(-1, 16),
        repeats=np.ones(len(keys), np.int32),
        first_draws=columns["draw"].to_numpy(),
        num_tokens=columns["num_tokens"].to_numpy(),
        planned=columns["planned"].to_numpy(),
        labels={name: columns[name] for name in SUMMED if name in columns},
        redacted={
            name.removeprefix(_REDACTED): column.to_numpy()
            for name, column in columns.items()
            if name.startswith(_REDACTED)
        },
        # Of the unit of this number, so that those of all shards add up to that of the stage.
        variance=entries[position].detail["variance"],
    )
    material = Material(
        facts=facts,
        store=store,
        uncut=columns["uncut"].to_numpy(),
        rejected=rejected_of(entries[position]),  # likewise; what was scattered is deleted
    )
    return material, scattered


def _read(workspace: Workspace, entry: Entry, position: int) -> pa.RecordBatch:
    ref = entry.file(_KIND)
    with workspace.storage.open(ref.path) as file:
        return pa.ipc.open_file(file).get_batch(position)


def _tokens_field(dtype: np.dtype[Any]) -> "pa.Field[Any]":
    return pa.field(_TOKENS, pa.large_list(pa.from_numpy_dtype(dtype)), nullable=False)


def _told(
    material: Material, rows: npt.NDArray[np.int64], draws: npt.NDArray[np.int32]
) -> pa.RecordBatch:
    """What is known of draws beside their tokens.

    Args:
        material: The documents.
        rows: int64[num_draws], document of each draw.
        draws: int32[num_draws], which draw of it.
    """
    facts = material.facts
    keys = pa.py_buffer(facts.keys[rows].tobytes())
    columns: dict[str, pa.Array] = {
        "id": pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(rows), [None, keys]),
        "draw": pa.array(draws),
        "num_tokens": pa.array(facts.num_tokens[rows]),
        "planned": pa.array(facts.planned[rows]),
        "uncut": pa.array(material.uncut[rows]),
    }
    for name in SUMMED:
        if name in facts.labels:
            taken = facts.labels[name].take(pa.array(rows)).cast(pa.string())
            columns[name] = pa.concat_arrays([pa.array([], pa.string()), *taken.chunks])
        else:
            columns[name] = pa.nulls(len(rows), pa.string())
    for kind, spans in facts.redacted.items():
        columns[f"{_REDACTED}{kind}"] = pa.array(spans[rows])
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))

"""The shards job: one unit of a plan to one shard and its document map.

A unit reads its parts itself: labels decide the draws, only drawn texts are read, children
tokenize, and the draws are laid out in an order that depends on seed and ids alone. Repeats are
written out, so that a trainer passes each shard at most once; packed ones never share a sequence.
Where the stage shuffles over all its
shards, a unit gathers what the scatter job (`scatter`) dealt out to it instead.

Where the stage redacts or cuts, spans of labels are cut before tokenizing (`redaction`). A draw of
which that leaves nothing but white space is not written.

Equation: tokens written = sum over draws of `num_tokens` (from the labels) + one EOD a draw that is
written + padding + what cuts add (`cut_tokens`, mostly below 0). The left side is counted by the
writer, the right side from labels and draws; `cut_tokens` from tokenizing both sides of a cut. And
draws of the plan = `draws` written + `emptied` + `rejected`, those of documents on which the
tokenizer died, which the entry names: the audit compares them over all shards of a stage and split
(`check.draw_faults`), for the plan has no count for a unit. That the label counted the
tokens of the text as it is, is checked for every other document drawn.
"""

import functools
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from mixtures.errors import MixtureError
from mixtures.spec import Stage
from pipelines.mix.judge import TRAIN, VALIDATION
from pipelines.mix.plan import Plan, Unit
from pipelines.shards.choice import choose
from pipelines.shards.files import write_shard
from pipelines.shards.material import Material
from pipelines.shards.tokenizing import TokenizerRef, load_checked, tokenize
from pipelines.workspace.children import Children
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import PartKey, entry_of
from pipelines.workspace.ledger import FileRef, Stopwatch
from pipelines.workspace.workspace import Workspace
from token_shards.draw_order import order_of_draws, plain_order, shuffle_order
from token_shards.formats import MEGATRON, check_format
from token_shards.layout import Layout, one_after_another, packed
from token_shards.natural_breaks import TokenBytes, best_break
from token_shards.packing import cut_at_breaks, num_pieces
from token_shards.tokenizer import Tokenizer, tokenizer_json

VERSION: Final = "3"
JOB: Final = "shards"
GLOBAL: Final = "global"
BEST_FIT: Final = "best_fit"


@dataclass(frozen=True)
class ShardsJob:
    """Writes the units of one stage of a plan.

    Raises:
        ValueError: There is no such format, or the format does not go with the stage.
    """

    plan: Plan
    stage: str
    tokenizer: str
    """As corpus.yaml names it, as the worker sees it."""
    tokenizer_fingerprint: str
    eod: str = "<|endoftext|>"
    """Text of the token that ends a document."""
    format: str = MEGATRON
    """One of `formats.FILES`."""

    def __post_init__(self) -> None:
        check_format(self.format)
        refuse_global(self.plan.stages[self.stage], self.format)

    @property
    def generation(self) -> Generation:
        """One a plan and format; its stages share it."""
        payload = {
            "version": VERSION,
            "plan": self.plan.generation.full,
            "tokenizer": self.tokenizer_fingerprint,
            "format": self.format,
        }
        return Generation(job=f"{JOB}.{self.plan.mixture}", payload=payload)

    @property
    def generations(self) -> tuple[Generation, ...]:
        """One."""
        return (self.generation,)

    @property
    def folder(self) -> str:
        """Where the shards of the stage stand."""
        return f"shards/{self.plan.mixture}@{self.generation.fp}/{self.stage}"

    @property
    def spec(self) -> Stage:
        """The stage."""
        return self.plan.stages[self.stage]

    @property
    def loads(self) -> TokenizerRef:
        """The tokenizer, for children."""
        return TokenizerRef(self.tokenizer, self.tokenizer_fingerprint, self.eod)

    def is_gathered(self, unit: Unit) -> bool:
        """Whether a unit takes what was dealt out to it, and not the documents of its parts."""
        return self.spec.shuffle == GLOBAL and unit.split == TRAIN

    def run(self, workspace: Workspace, key: PartKey, children: Children) -> None:
        """Writes and commits one unit."""
        watch = Stopwatch()
        unit = self.plan.units_of(self.stage)[key.part]
        tokenizer = load_checked(self.loads)
        detail: dict[str, object] = {}
        if self.is_gathered(unit):
            from pipelines.shards.scatter import ScatterJob, gather

            scatter = ScatterJob(self.plan, self.stage, self.loads)
            material, detail["scattered_tokens"] = gather(workspace, scatter, unit)
        else:
            facts, parts = choose(workspace, self.plan, unit)
            material = tokenize(workspace, facts, parts, self.loads, children, meter=JOB)
        layout = self._layout(unit, material)
        files = self._write(workspace, unit, material, layout, tokenizer)
        counts = {
            "tokens": int(layout.sequence_lengths.sum()),
            **material.counts(),
            "padding": layout.padding,
            "pieces": len(layout.pieces),
        }
        workspace.ledger.commit(
            entry_of(
                self.generation,
                key,
                files=files,
                counts=counts,
                watch=watch,
                detail=detail | self._detail(unit, material, tokenizer),
            )
        )

    def _detail(self, unit: Unit, material: Material, tokenizer: Tokenizer) -> dict[str, object]:
        """What reports, launch files and the audit read of a shard."""
        return {
            "split": unit.split,
            "bucket": unit.bucket_name,
            "packing": self.spec.packing,
            "shuffle": self.spec.shuffle,
            "format": self.format,
            "sequence_length": self.spec.sequence_length,
            "expected_tokens": unit.expected_tokens,
            "planned_tokens": material.planned_tokens,
            "variance": material.facts.variance,
            "tokens_by_language": material.tokens_by("language"),
            "tokens_by_kind": material.tokens_by("provenance_kind"),
            "redacted": material.redacted(),
            **material.told_rejected(),
            "eod_id": tokenizer.eod_id,
            "vocab_size": tokenizer.vocab_size,
            "dtype": np.dtype(tokenizer.dtype).name,
            "engine": tokenizer.engine,
        }

    def _layout(self, unit: Unit, material: Material) -> Layout:
        facts, lengths = material.facts, material.store.lengths
        same = None
        if self.is_gathered(unit):
            same = facts.same
            documents = order_of_draws(self.plan.seed, facts.keys, facts.first_draws)
            draws = facts.first_draws[documents]
        elif self.spec.shuffle == "none":
            documents, draws = plain_order(facts.repeats, len(facts.keys))
        else:
            documents, draws = shuffle_order(self.plan.seed, facts.keys, facts.repeats)
        if material.is_emptied.any():
            written = ~material.is_emptied[documents]
            documents, draws = documents[written], draws[written]
        if self.spec.packing != BEST_FIT:
            return one_after_another(documents, draws, lengths)
        length = self.spec.sequence_length
        cut = cut_documents(material, length, self.tokenizer)
        # An emptied document has one piece of no tokens, which no draw takes.
        counts = num_pieces(np.maximum(lengths, 1), length)
        return packed(documents, draws, cut, counts, length, same)

    def _write(
        self,
        workspace: Workspace,
        unit: Unit,
        material: Material,
        layout: Layout,
        tokenizer: Tokenizer,
    ) -> tuple[FileRef, ...]:
        """Files under one prefix; none where nothing was drawn."""
        if not layout.num_sequences:
            return ()
        # In a folder of its own, because a reader of MDS takes a folder.
        folder = self.folder + (f"/{VALIDATION}" if unit.split == VALIDATION else "")
        return write_shard(
            workspace.storage,
            layout,
            material.store,
            material.facts.keys,
            format_name=self.format,
            stem=f"{folder}/{unit.name}",
            eod=tokenizer.eod_id,
        )


def refuse_global(stage: Stage, format_name: str) -> None:
    """Refuses to shuffle over all shards for Megatron, which does so itself.

    Raises:
        MixtureError: The stage asks for it.
    """
    if stage.shuffle == GLOBAL and format_name == MEGATRON:
        raise MixtureError(
            f"{stage.place}.shuffle: found global with the shard format megatron; allowed: none or "
            "part, because Megatron-LM shuffles over all shards by itself when it trains; write "
            "part, or another shard_format in corpus.yaml"
        )


def cut_documents(
    material: Material, sequence_length: int, tokenizer: str
) -> npt.NDArray[np.int64]:
    """Cuts documents that are longer than a sequence, at natural breaks.

    Args:
        material: The documents.
        sequence_length: Tokens of a sequence.
        tokenizer: As corpus.yaml names it.

    Returns:
        int64[num_pieces], tokens of the pieces of all documents, one document after the other.
    """
    lengths = material.store.lengths
    long = np.flatnonzero(lengths > sequence_length)
    if not len(long):
        return lengths
    token_bytes = TokenBytes.of_json(tokenizer_json(tokenizer))
    ends = np.cumsum(lengths)
    found: list[npt.NDArray[np.int64]] = []
    before = 0
    for row in long.tolist():
        ids = material.store.ids[ends[row] - lengths[row] : ends[row]]
        at_break = functools.partial(best_break, token_bytes, ids)
        found += [lengths[before:row], cut_at_breaks(len(ids), sequence_length, at_break)]
        before = row + 1
    return np.concatenate([*found, lengths[before:]])

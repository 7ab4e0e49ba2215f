"""The shards job: one unit of a plan to one Megatron indexed dataset and its document map.

A unit reads its parts itself: labels decide the draws, only drawn texts are read, children
tokenize, and the draws are written in an order that depends on seed and ids alone. Repeats are
written out, so that a trainer passes each shard at most once.

Where the stage redacts, spans of the `pii` labels are cut before tokenizing (`redaction`).

Equation: tokens written = sum over draws of `num_tokens` (from the labels) + one EOD a draw +
padding + what cuts add (`cut_tokens`, mostly below 0). The left side is counted by the writer, the
right side from labels and draws; `cut_tokens` from tokenizing both sides of a cut. That the label
counted the tokens of the text as it is, is checked for every document drawn.
"""

import functools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mixtures.draws import draws, uniform
from pipelines.mix.pins import label_table
from pipelines.mix.plan import Plan, Unit
from pipelines.mix.tally import judge
from pipelines.workspace.children import Children
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import METER, PartKey, entry_of
from pipelines.workspace.ledger import FileRef, Stopwatch
from pipelines.workspace.parts import publish_file, read_batches
from pipelines.workspace.storage import sha256_of
from pipelines.workspace.workspace import Workspace
from token_shards.batch import TokenBatch, append_eod, gather
from token_shards.document_map import document_map
from token_shards.draw_order import shuffle_order
from token_shards.indexed_dataset import IndexedDatasetWriter
from token_shards.tokenizer import Tokenizer, load_tokenizer

VERSION: Final = "1"
JOB: Final = "shards"
_BATCH_ROWS: Final = 512
_SUMMED: Final = ("language", "provenance_kind")  # labels by which tokens are summed up
_WRITE_DRAWS: Final = 4096  # sequences gathered at a time, so that no second copy of a unit exists

_CUTS: Final = "cuts"  # column beside the texts that go to a child, where a stage redacts
TOKENIZED: Final = pa.schema(
    [
        pa.field("tokens", pa.large_list(pa.int32()), nullable=False),
        pa.field("uncut_tokens", pa.int64(), nullable=False),  # those of the text before its cuts
    ]
)


@dataclass(frozen=True)
class ShardsJob:
    """Writes the units of one stage of a plan."""

    plan: Plan
    stage: str
    tokenizer: str
    """A tokenizer.json, or a folder that holds one, as the worker sees it."""
    tokenizer_fingerprint: str

    @property
    def generation(self) -> Generation:
        """One a plan; its stages share it."""
        payload = {
            "version": VERSION,
            "plan": self.plan.generation.full,
            "tokenizer": self.tokenizer_fingerprint,
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

    def run(self, workspace: Workspace, key: PartKey, children: Children) -> None:
        """Writes and commits one unit."""
        watch = Stopwatch()
        unit = self.plan.units_of(self.stage)[key.part]
        drawn = _Drawn()
        for source, part in unit.parts:
            self._read_part(workspace, PartKey(source, part), unit, children, drawn)
        tokenizer = load_checked(self.tokenizer, self.tokenizer_fingerprint)
        files, tokens = self._write(workspace, unit, drawn, tokenizer)
        counts = {
            "tokens": tokens,
            "document_tokens": drawn.document_tokens,
            "eod": drawn.num_draws,
            "padding": 0,
            "cut_tokens": drawn.cut_tokens,
            "draws": drawn.num_draws,
            "documents": len(drawn.ids),
        }
        detail = {
            "bucket": unit.bucket_name,
            "expected_tokens": unit.expected_tokens,
            "variance": drawn.variance,
            "tokens_by_language": dict(sorted(drawn.tokens_by("language").items())),
            "tokens_by_kind": dict(sorted(drawn.tokens_by("provenance_kind").items())),
            "redacted": dict(sorted(drawn.redacted.items())),
            "eod_id": tokenizer.eod_id,
            "vocab_size": tokenizer.vocab_size,
            "dtype": np.dtype(tokenizer.dtype).name,
            "engine": tokenizer.engine,
        }
        workspace.ledger.commit(
            entry_of(self.generation, key, files=files, counts=counts, watch=watch, detail=detail)
        )

    def _read_part(
        self,
        workspace: Workspace,
        key: PartKey,
        unit: Unit,
        children: Children,
        drawn: "_Drawn",
    ) -> None:
        """Adds the drawn documents of one part, tokenized."""
        stage = self.plan.stages[self.stage]
        judged = judge(stage, label_table(workspace, self.plan.pins, key))
        expected = self.plan.solved[self.stage].expected_draws(judged.selection)
        expected[judged.selection.bucket != unit.bucket] = 0.0
        ids = _id_bytes(judged.labels.column("id").combine_chunks())
        repeats = draws(expected, uniform(self.plan.seed, self.stage, ids))
        drawn.variance += _variance(expected, judged.labels.column("num_tokens").to_numpy() + 1)
        chosen = np.flatnonzero(repeats)
        if not len(chosen):
            return
        labels = judged.labels.take(pa.array(chosen))
        drawn.add_documents(labels, ids[chosen], repeats[chosen])
        cuts = None
        if stage.redact:
            from pipelines.shards.redaction import count_redacted, cuts_of  # numba: 0.3 s

            cuts = cuts_of(labels, stage.redact)
            drawn.redacted += count_redacted(cuts, stage.redact, repeats[chosen])
        entry = workspace.ledger.get(
            self.plan.pins.sources[key.source].documents, key.source, key.part
        )
        file = entry.file("documents")
        texts = _rows(
            read_batches(workspace.storage, file, ["text"], batch_rows=_BATCH_ROWS),
            judged.rows[chosen],
            cuts,
        )
        function = functools.partial(
            tokenize_rows, path=self.tokenizer, fingerprint=self.tokenizer_fingerprint
        )
        for batch in children.map(function, texts, _no_tokens):
            METER.add(JOB, batch.num_rows)
            drawn.add_tokens(batch)

    def _write(
        self, workspace: Workspace, unit: Unit, drawn: "_Drawn", tokenizer: Tokenizer
    ) -> tuple[tuple[FileRef, ...], int]:
        """Writes .bin, .idx and map under one prefix; no files where nothing was drawn."""
        drawn.check()
        batch = append_eod(drawn.tokens(), tokenizer.eod_id)
        keys, repeats = drawn.keys(), drawn.repeats()
        if not drawn.num_draws:
            return (), 0
        rows, numbers = shuffle_order(self.plan.seed, keys, repeats)
        scratch = {kind: workspace.storage.scratch(f".{kind}") for kind in ("bin", "idx")}
        scratch["map"] = workspace.storage.scratch(".parquet")
        try:
            with scratch["bin"].open("wb") as bin_file:
                writer = IndexedDatasetWriter(bin_file, tokenizer.dtype)
                for start in range(0, len(rows), _WRITE_DRAWS):
                    piece = gather(batch, rows[start : start + _WRITE_DRAWS])
                    writer.add(piece.ids, piece.lengths)
            scratch["idx"].write_bytes(writer.index())
            table = document_map(keys[rows], numbers, batch.lengths[rows])
            pq.write_table(table, scratch["map"], compression="zstd")
            return self._publish(workspace, unit, scratch, writer.num_sequences), writer.num_tokens
        finally:
            for path in scratch.values():
                path.unlink(missing_ok=True)

    def _publish(
        self, workspace: Workspace, unit: Unit, scratch: dict[str, Path], rows: int
    ) -> tuple[FileRef, ...]:
        digest = sha256_of(scratch["bin"])
        return tuple(
            publish_file(
                workspace.storage,
                path,
                kind=kind,
                stem=f"{self.folder}/{unit.name}",
                rows=rows,
                digest=digest,
            )
            for kind, path in scratch.items()
        )


@dataclass(slots=True)
class _Drawn:
    """The drawn documents of a unit, in the order of its parts."""

    ids: list[bytes] = field(default_factory=list)
    num_tokens: list[npt.NDArray[np.int64]] = field(default_factory=list)
    redacted: Counter[str] = field(default_factory=Counter)
    """Kind -> spans cut, times draws."""
    document_tokens: int = 0
    """Of all draws, as the labels count them: without EOD, before cuts."""
    num_draws: int = 0
    variance: float = 0.0
    """Of the tokens written, over seeds."""
    _keys: list[npt.NDArray[np.uint8]] = field(default_factory=list)
    _repeats: list[npt.NDArray[np.int32]] = field(default_factory=list)
    _token_ids: list[npt.NDArray[np.int32]] = field(default_factory=list)
    _lengths: list[npt.NDArray[np.int64]] = field(default_factory=list)
    _uncut_lengths: list[npt.NDArray[np.int64]] = field(default_factory=list)
    _values: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in _SUMMED})

    def add_documents(
        self, labels: pa.Table, keys: npt.NDArray[np.uint8], repeats: npt.NDArray[np.int32]
    ) -> None:
        """Notes which documents are drawn how often."""
        num_tokens = labels.column("num_tokens").to_numpy().astype(np.int64)
        self.ids += labels.column("id").to_pylist()
        self._keys.append(keys)
        self._repeats.append(repeats)
        self.num_tokens.append(num_tokens)
        self.document_tokens += int((num_tokens * repeats).sum())
        self.num_draws += int(repeats.sum())
        for column, values in self._values.items():
            if column in labels.column_names:
                values += [name or "null" for name in labels.column(column).to_pylist()]

    def add_tokens(self, tokenized: pa.RecordBatch) -> None:
        """Notes the tokens of the next documents, in schema TOKENIZED."""
        tokens = tokenized.column("tokens")
        self._token_ids.append(tokens.flatten().to_numpy())
        self._lengths.append(np.diff(tokens.offsets.to_numpy()))
        self._uncut_lengths.append(tokenized.column("uncut_tokens").to_numpy())

    @property
    def cut_tokens(self) -> int:
        """What cuts add to the tokens written, over all draws; below 0 where they shorten."""
        return int(((_joined(self._lengths) - _joined(self._uncut_lengths)) * self.repeats()).sum())

    def tokens_by(self, column: str) -> Counter[str]:
        """Tokens written, EOD included, by a label; empty where there is no such label."""
        written = (_joined(self._lengths) + 1) * self.repeats()
        found: Counter[str] = Counter()
        if self._values[column]:
            for name, tokens in zip(self._values[column], written.tolist(), strict=True):
                found[name] += tokens
        return found

    def tokens(self) -> TokenBatch:
        """All documents, without EOD."""
        ids = np.concatenate([*self._token_ids, np.zeros(0, np.int32)]).astype(np.int32)
        return TokenBatch(ids, np.r_[0, np.cumsum(_joined(self._lengths))].astype(np.int64))

    def keys(self) -> npt.NDArray[np.uint8]:
        """uint8[n, 16]."""
        return np.concatenate([*self._keys, np.zeros((0, 16), np.uint8)])

    def repeats(self) -> npt.NDArray[np.int32]:
        """int32[n]."""
        return np.concatenate([*self._repeats, np.zeros(0, np.int32)])

    def check(self) -> None:
        """Refuses documents that, before any cut, do not have the tokens that labels counted.

        Raises:
            RuntimeError: A document has another number of tokens.
        """
        counted, found = _joined(self.num_tokens), _joined(self._uncut_lengths)
        if not np.array_equal(counted, found):
            row = int(np.argmax(counted != found)) if len(counted) == len(found) else 0
            raise RuntimeError(
                f"document {self.ids[row].hex()} has {found[row]} tokens, and its label says "
                f"{counted[row]}; the tokenizer or the labels were changed: run `tokenmill audit`"
            )


def _joined(pieces: list[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    return np.concatenate([*pieces, np.zeros(0, np.int64)])


def load_checked(path: str, fingerprint: str) -> Tokenizer:
    """Loads a tokenizer once a process.

    Raises:
        ValueError: It is not the one that the plan was made with.
    """
    tokenizer = _load(path)
    if tokenizer.fingerprint != fingerprint:
        raise ValueError(
            f"tokenizer {path} has fingerprint {tokenizer.fingerprint}, and the plan was made with "
            f"{fingerprint}; give the old tokenizer, or run the corpus again to plan anew"
        )
    return tokenizer


@functools.lru_cache(maxsize=2)
def _load(path: str) -> Tokenizer:
    return load_tokenizer(path)


def tokenize_rows(batch: pa.RecordBatch, *, path: str, fingerprint: str) -> pa.RecordBatch:
    """Tokens of a batch of texts, in schema TOKENIZED; runs in a child process.

    Args:
        batch: `text` and, where something is cut, `cuts`.
        path: The tokenizer, as the worker sees it.
        fingerprint: What the plan was made with.
    """
    tokenizer, texts = load_checked(path, fingerprint), batch.column("text")
    if _CUTS in batch.schema.names:
        from pipelines.shards.redaction import encode_cut

        encoded, uncut = encode_cut(tokenizer, texts, batch.column(_CUTS))
    else:
        encoded = tokenizer.encode(texts)
        uncut = encoded.lengths
    tokens = pa.LargeListArray.from_arrays(pa.array(encoded.offsets), pa.array(encoded.ids))
    return pa.RecordBatch.from_arrays([tokens, pa.array(uncut)], schema=TOKENIZED)


def _no_tokens(record: pa.RecordBatch, reason: str, message: str) -> pa.RecordBatch:
    raise RuntimeError(
        f"a document that was tokenized for its length label now fails ({reason}: {message}); "
        "give the same command again; if it fails again, exclude the document by its id"
    )


def _rows(
    batches: Iterator[pa.RecordBatch], rows: npt.NDArray[np.int64], cuts: pa.ListArray | None
) -> Iterator[pa.RecordBatch]:
    """The given rows of a part, in order, each with its cuts."""
    start = 0
    for batch in batches:
        low, high = np.searchsorted(rows, [start, start + batch.num_rows])
        if high > low:
            taken = batch.take(pa.array(rows[low:high] - start))
            yield taken if cuts is None else taken.append_column(_CUTS, cuts.slice(low, high - low))
        start += batch.num_rows


def _variance(expected: npt.NDArray[np.float64], num_tokens: npt.NDArray[np.int64]) -> float:
    """Tokens^2: a document of n tokens is drawn once more with probability f = frac(E)."""
    fraction = expected - np.floor(expected)
    return float((fraction * (1 - fraction) * num_tokens.astype(np.float64) ** 2).sum())


def _id_bytes(ids: pa.FixedSizeBinaryArray) -> npt.NDArray[np.uint8]:
    """uint8[n, 16] view of an id column."""
    data = np.frombuffer(ids.buffers()[1], np.uint8)
    start = 16 * ids.offset
    view: npt.NDArray[np.uint8] = data[start : start + 16 * len(ids)].reshape(-1, 16)
    return view

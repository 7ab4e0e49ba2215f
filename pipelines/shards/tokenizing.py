"""Texts to tokens, in children that read the texts themselves.

A request is a run of rows of one row group: 32 bytes a document travel to the child instead of its
text, and tokens come back with their EOD, in the dtype of the disk, so that the worker only copies
them into place. Requests of all parts of a unit follow one another, so children do not wait at the
end of a part.

A document that kills the tokenizer mostly has no `num_tokens` either, and is never drawn. What can
kill it here alone is a text after its cuts, which nobody tokenized before, or another release of
the library or a smaller machine than the labels were made with. Such a document is left out, and
told with its reason (`Rejected`). More than a few of them are no fault of texts: the unit ends with
an error (`Failures`).
"""

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.shards.choice import PartRows
from pipelines.shards.material import Facts, Material, Rejected
from pipelines.workspace.children import Children
from pipelines.workspace.jobs import METER
from pipelines.workspace.storage import Storage
from pipelines.workspace.workspace import Workspace
from token_shards.batch import append_to_ranges
from token_shards.token_store import TokenStore
from token_shards.tokenizer import Tokenizer, load_tokenizer

_PATH: Final = "path"
_ROW_GROUP: Final = "row_group"
_ROW: Final = "row"
_NUM_TOKENS: Final = "num_tokens"
_NUMBER: Final = "number"
_CUTS: Final = "cuts"
_FAILED: Final = "failed"
_TOKENS: Final = "tokens"
_UNCUT: Final = "uncut_tokens"
_REQUESTS_PER_CHILD: Final = 2
"""At least so many a unit. More would balance better, but every request reads its row group anew,
which takes a third of the time that tokenizing it takes."""
_FEW: Final = 10
"""Documents of any unit that no child need be able to tokenize ..."""
_ONE_IN: Final = 100
"""... and of a large one, one in so many. Each takes three children with it, so a build that
tokenizes nothing would else cost days before it is seen."""
_SECONDS_PER_TOKEN: Final = 16 / (1 << 20)
"""What long documents may take beyond what any batch may: five times what `tokenizers`, the slow
engine, takes (`token_shards.tokenizer`), twice, because a text with cuts is tokenized twice."""


@dataclass(frozen=True, slots=True)
class TokenizerRef:
    """Names a tokenizer; travels to children."""

    path: str
    """As corpus.yaml names it, as the worker sees it."""
    fingerprint: str
    """What the plan was made with."""
    eod: str
    """Text of the token that ends a document."""


def load_checked(ref: TokenizerRef) -> Tokenizer:
    """Loads a tokenizer once a process.

    Raises:
        ValueError: It is not the one that the plan was made with.
    """
    tokenizer = _load(ref.path, ref.eod)
    if tokenizer.fingerprint != ref.fingerprint:
        raise ValueError(
            f"tokenizer {ref.path} with the EOD {ref.eod!r} (id {tokenizer.eod_id}) has "
            f"fingerprint {tokenizer.fingerprint}, and the plan was made with {ref.fingerprint}; "
            "give the old tokenizer and EOD, or run the corpus again to plan anew"
        )
    return tokenizer


@functools.lru_cache(maxsize=2)
def _load(path: str, eod: str) -> Tokenizer:
    return load_tokenizer(path, eod=eod)


def tokenize(
    workspace: Workspace,
    facts: Facts,
    parts: Sequence[PartRows],
    tokenizer: TokenizerRef,
    children: Children,
    *,
    meter: str,
) -> Material:
    """Reads and tokenizes the documents of a unit.

    Args:
        workspace: Where the documents are.
        facts: Of n documents.
        parts: Where they stand, in the same order.
        tokenizer: Encodes.
        children: Do it.
        meter: Name under which documents are metered.

    Returns:
        All documents but those that no child could tokenize; those are told as `rejected`.

    Raises:
        RuntimeError: A document has not the tokens that its label says, or more documents than a
            few kill their children.
        OSError: A file is damaged.
    """
    dtype = load_checked(tokenizer).dtype
    store = TokenStore(dtype, int(facts.num_tokens.sum()) + len(facts.num_tokens))
    uncut = [np.zeros(0, np.int64)]
    failed: list[pa.Array] = []
    function = functools.partial(tokenize_rows, url=workspace.storage.url, tokenizer=tokenizer)
    requests = _requests(workspace.storage, parts, facts.num_tokens, children.limits.processes)
    failures = Failures(facts.keys, dtype)
    for batch in children.map(function, requests, failures.row, extra_s=_extra_s):
        METER.add(meter, batch.num_rows)
        tokens = batch.column(_TOKENS)
        is_done = batch.column(_FAILED).is_null().to_numpy(zero_copy_only=False)
        store.append(tokens.flatten().to_numpy(), np.diff(tokens.offsets.to_numpy())[is_done])
        uncut.append(batch.column(_UNCUT).to_numpy()[is_done])
        failed.append(batch.column(_FAILED))
    facts, rejected = _without_failed(facts, pa.chunked_array(failed, pa.string()))
    material = Material(facts=facts, store=store, uncut=np.concatenate(uncut), rejected=rejected)
    material.check()
    return material


def _without_failed(facts: Facts, failed: pa.ChunkedArray) -> tuple[Facts, tuple[Rejected, ...]]:
    """The facts of documents that have tokens, and those that have none.

    Args:
        facts: Of n documents.
        failed: text[n], null where there are tokens, else reason and message on two lines.
    """
    if failed.null_count == len(failed):
        return facts, ()
    is_done = failed.is_null().to_numpy()
    rejected = []
    for row in np.flatnonzero(~is_done).tolist():
        reason, _, message = failed[row].as_py().partition("\n")
        rejected.append(Rejected.of(facts, row, reason, message))
    return facts.only(is_done), tuple(rejected)


def _extra_s(request: pa.RecordBatch) -> float:
    return _SECONDS_PER_TOKEN * int(request.column(_NUM_TOKENS).to_numpy().sum())


def _requests(
    storage: Storage,
    parts: Sequence[PartRows],
    num_tokens: npt.NDArray[np.int64],
    processes: int,
) -> Iterator[pa.RecordBatch]:
    """Runs of rows of one row group each, in the order of the parts."""
    ends = [_row_group_ends(storage, part.file.path) for part in parts]
    num_groups = sum(map(len, ends))
    pieces = max(1, -(-_REQUESTS_PER_CHILD * processes // max(num_groups, 1)))
    number = 0
    for part, part_ends in zip(parts, ends, strict=True):
        cuts = np.searchsorted(part.rows, part_ends).tolist()
        low = 0
        for group, high in enumerate(cuts):
            first = part_ends[group - 1] if group else 0
            bounds = np.linspace(low, high, pieces + 1).astype(int).tolist()
            for start, end in itertools.pairwise(bounds):
                if end > start:
                    numbers = np.arange(number, number + end - start)
                    number += end - start
                    request = _request(part, group, first, start, end)
                    request = request.append_column(_NUM_TOKENS, pa.array(num_tokens[numbers]))
                    yield request.append_column(_NUMBER, pa.array(numbers))
            low = high


def _request(part: PartRows, group: int, first: int, start: int, end: int) -> pa.RecordBatch:
    size = end - start
    path = pa.DictionaryArray.from_arrays(np.zeros(size, np.int32), pa.array([part.file.path]))
    columns = {
        _PATH: path,
        _ROW_GROUP: pa.array(np.full(size, group, np.int32)),
        _ROW: pa.array(part.rows[start:end] - first),
    }
    if part.cuts is not None:
        columns[_CUTS] = part.cuts.slice(start, size)
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def _row_group_ends(storage: Storage, path: str) -> list[int]:
    """Row behind each row group of a documents file."""
    with storage.open(path) as file:
        footer = pq.ParquetFile(file).metadata
    sizes = [footer.row_group(number).num_rows for number in range(footer.num_row_groups)]
    ends: list[int] = np.cumsum(sizes).tolist()
    return ends


def tokenize_rows(batch: pa.RecordBatch, *, url: str, tokenizer: TokenizerRef) -> pa.RecordBatch:
    """Tokens of some documents; runs in a child process.

    Args:
        batch: `path` and `row_group`, the same in every row; `row`, in that row group; where the
            stage redacts or cuts, `cuts`. `num_tokens` and `number` are for whoever waits.
        url: Of the workspace.
        tokenizer: Encodes.

    Returns:
        `tokens`, a list of uint16 or int32 with the EOD at its end, empty where the cuts of a text
        leave nothing of it; `uncut_tokens`, int64, those of the text before its cuts, without EOD;
        `failed`, null.
    """
    loaded = load_checked(tokenizer)
    texts = _texts(url, batch)
    is_emptied = np.zeros(len(texts), np.bool_)
    if _CUTS in batch.schema.names:
        from pipelines.shards.redaction import encode_cut

        encoded, uncut, is_emptied = encode_cut(loaded, texts, batch.column(_CUTS))
    else:
        encoded = loaded.encode(texts)
        uncut = encoded.lengths
    narrow = encoded.ids.astype(loaded.dtype, copy=False)
    ids, offsets = append_to_ranges(narrow, encoded.offsets, loaded.eod_id)
    if is_emptied.any():
        ids = np.delete(ids, offsets[1:][is_emptied] - 1)
        offsets = offsets - np.r_[0, np.cumsum(is_emptied)]
    tokens = pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(ids))
    return _result(tokens, pa.array(uncut), pa.nulls(len(texts), pa.string()))


def _result(tokens: pa.Array, uncut: pa.Array, failed: pa.Array) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([tokens, uncut, failed], names=[_TOKENS, _UNCUT, _FAILED])


def _texts(url: str, batch: pa.RecordBatch) -> pa.LargeStringArray:
    """The texts that a request asks for.

    Raises:
        OSError: The file is not what was written.
    """
    path, group = batch.column(_PATH)[0].as_py(), batch.column(_ROW_GROUP)[0].as_py()
    try:
        with Storage(url).open(path) as file:
            reader = pq.ParquetFile(file, page_checksum_verification=True)
            table = reader.read_row_group(group, columns=["text"], use_threads=False)
    except (OSError, pa.ArrowInvalid) as error:
        raise OSError(
            f"{path} cannot be read ({error}): it is not what was committed; restore it, or prune "
            "its generation and run the corpus again"
        ) from error
    texts = table.column("text").combine_chunks()
    if isinstance(texts, pa.ChunkedArray):  # of an empty row group
        texts = pa.array([], texts.type)
    rows = batch.column(_ROW)
    whole = len(rows) == len(texts) and len(rows) == 1 + rows[-1].as_py() - rows[0].as_py()
    chosen: pa.LargeStringArray = texts if whole else texts.take(rows)
    return chosen


@dataclass(slots=True)
class Failures:
    """Documents of a unit that no child survives, and how many of them are too many."""

    keys: npt.NDArray[np.uint8]
    """uint8[n, 16], ids of all documents."""
    dtype: npt.DTypeLike
    """Of tokens."""
    count: int = 0

    def row(self, request: pa.RecordBatch, reason: str, message: str) -> pa.RecordBatch:
        """The row of one such document. They come in the order of the unit.

        Raises:
            RuntimeError: They are too many among the documents up to this one.
        """
        self.count += 1
        number = request.column(_NUMBER)[0].as_py()
        allowed = max(_FEW, (number + 1) // _ONE_IN)
        if self.count > allowed:
            raise RuntimeError(
                f"of the first {number + 1:,} documents of a unit, {self.count:,} could not be "
                f"tokenized, the last of them {self.keys[number].tobytes().hex()} ({reason}: "
                f"{message}); allowed: {_FEW}, or 1 in {_ONE_IN} where that is more. So "
                "many seldom die of their texts: see whether the machine has memory enough for its "
                "children, set fewer processes or install the tokenizer's library anew, and run "
                "again; "
                "nothing of this unit was written"
            )
        tokens = pa.array([[]], pa.large_list(pa.from_numpy_dtype(self.dtype)))
        return _result(tokens, pa.array([0], pa.int64()), pa.array([f"{reason}\n{message}"]))

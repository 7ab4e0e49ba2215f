"""Documents of JSONL and Parquet, made in children; a record that kills them costs itself alone.

A child gets a block of some megabytes as one row, so a death says nothing of which of its records
it was. The block is then given once more with a row for each record, and `Children` halves it as
any other batch. What is left is a reject with the reason of the death; whatever else a block
held becomes what it would have become. Nothing is parsed in the worker itself, which would die of
the same.
"""

import functools
import io
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

import pyarrow as pa

from pipelines.config import SourceConfig
from pipelines.extract.blocks import LineBlock, RowBlock
from pipelines.extract.given import Made, block_of, made_of, make_documents, task_of, tasks_of
from pipelines.extract.inputs import InputRange, ReadSettings
from pipelines.extract.rows import Record
from pipelines.workspace.children import BatchFunction, Children
from pipelines.workspace.schema import REJECTED

_RECORDS: Final = 32
"""Records of a block that are given together after a death; more would have longer to hang."""

_REASON: Final = b"reason"
_MESSAGE: Final = b"message"


def make_in_children(
    ranges: Iterable[InputRange], children: Children, source: SourceConfig, settings: ReadSettings
) -> Iterator[Made]:
    """Makes the documents of some ranges of JSONL or Parquet.

    Args:
        ranges: In order.
        children: Where documents are made.
        source: Whose ranges they are.
        settings: How they are read.

    Yields:
        What each block, or each record of a block on which children died, gave; in order.
    """
    make = functools.partial(make_documents, source=source, settings=settings)
    failed = functools.partial(_reject_of, make=make)
    given: deque[pa.RecordBatch] = deque()

    def remembered() -> Iterator[pa.RecordBatch]:
        for one in ranges:
            for task in tasks_of(one, settings):
                given.append(task)
                yield task

    for result in children.map(make, remembered(), _nothing):
        task = given.popleft()
        if result.num_rows:
            yield made_of(result)
            continue
        if is_single(task):
            yield made_of(failed(task, *_death_of(result)))
            continue
        for several in children.map(make, few_at_a_time(task), failed):
            for row in range(several.num_rows):
                yield made_of(several.slice(row, 1))


def _nothing(task: pa.RecordBatch, reason: str, message: str) -> pa.RecordBatch:
    """No row: children died on a block; on which of its records is found out then."""
    told = {_REASON: reason.encode(), _MESSAGE: message.encode()}
    return task.slice(0, 0).replace_schema_metadata(told)


def _death_of(result: pa.RecordBatch) -> tuple[str, str]:
    metadata = result.schema.metadata
    return metadata[_REASON].decode(), metadata[_MESSAGE].decode()


def is_single(task: pa.RecordBatch) -> bool:
    """Whether a task is of one record, so that a death is known to be of it."""
    _, block = block_of(task)
    if isinstance(block, RowBlock):
        return block.num_rows == 1
    if isinstance(block, LineBlock):
        return b"\n" not in block.data.slice(0, block.data.size - 1).to_pybytes()
    return isinstance(block, Record) or len(block) == 1


def _reject_of(
    task: pa.RecordBatch, reason: str, message: str, *, make: BatchFunction
) -> pa.RecordBatch:
    """The result of a task of one record that no child survives."""
    file, block = block_of(task)
    if isinstance(block, list):
        (record,) = block
        lost = record.replace(
            outcome=REJECTED, reason=reason, message=message, payload=None, text=None
        )
    else:
        assert not isinstance(block, Record)
        lost = Record(
            file=file,
            offset=block.offset,
            length=block.end - block.offset,
            outcome=REJECTED,
            reason=reason,
            message=message,
            ordinal=block.offset,
        )
    return make(task_of(file, [lost]))


def few_at_a_time(task: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The records of a task, each a task of its own, in batches of a few."""
    tasks = pa.concat_batches(list(_record_by_record(task)))
    for first in range(0, tasks.num_rows, _RECORDS):
        yield tasks.slice(first, _RECORDS)


def _record_by_record(task: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    file, block = block_of(task)
    if isinstance(block, LineBlock):
        offset = block.offset
        for line in io.BytesIO(block.data):  # at newlines alone
            yield task_of(file, LineBlock(offset, pa.py_buffer(line)))
            offset += len(line)
    elif isinstance(block, RowBlock):
        with pa.ipc.open_stream(block.stream) as stream:
            rows = [batch.slice(row, 1) for batch in stream for row in range(batch.num_rows)]
        for number, row in enumerate(rows, start=block.offset):
            yield task_of(file, replace(block, offset=number, num_rows=1, stream=_stream(row)))
    else:
        assert isinstance(block, list)
        for record in block:
            yield task_of(file, [record])


def _stream(batch: pa.RecordBatch) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()

"""Batch functions that misbehave on certain texts; imported by name in child processes."""

import os
import signal
import time
from pathlib import Path

import pyarrow as pa

INPUT = pa.schema([pa.field("text", pa.string())])
OUTPUT = pa.schema([pa.field("said", pa.string())])


def upper(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Upper-cases texts; some of them end or stop the process."""
    said = []
    for text in batch.column("text").to_pylist():
        if text == "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        if text == "hang":
            while True:
                time.sleep(60)
        if text.startswith("hang "):  # and notes how often
            with Path(text.removeprefix("hang ")).open("a") as note:
                note.write("x")
            while True:
                time.sleep(60)
        if text == "eat":
            bytearray(64 << 30)
        if text.startswith("once "):  # kills the first child that takes it, as an operator might
            mark = Path(text.removeprefix("once "))
            if not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        if text.startswith("stall "):  # the first child that takes it
            mark = Path(text.removeprefix("stall "))
            if not mark.exists():
                mark.touch()
                while True:
                    time.sleep(60)
        if text == "bug":
            raise KeyError("a bug of ours")
        said.append(text.upper())
    return pa.RecordBatch.from_arrays([pa.array(said, pa.string())], schema=OUTPUT)


def failed(record: pa.RecordBatch, reason: str, message: str) -> pa.RecordBatch:
    """Tells the reason in the row's place."""
    text = record.column("text")[0].as_py()
    return pa.RecordBatch.from_pylist([{"said": f"{text}: {reason}"}], schema=OUTPUT)

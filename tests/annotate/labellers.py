"""Annotators of a user's module, for tests; children import it by name."""

import os
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from annotators.annotator import annotator


@annotator(columns={"num_marks": "int32"})
def marks(texts: pa.LargeStringArray, mark: str = "!") -> list[int]:
    return [text.count(mark) for text in texts.to_pylist()]


@annotator(
    columns={"about": "string"},
    inputs=("num_marks", "url", "source", "license", "declared_language", "meta", "media_type"),
)
def about(texts: pa.LargeStringArray, **known: pa.Array) -> list[str]:
    return [repr([known[name][row].as_py() for name in known]) for row in range(len(texts))]


@annotator(columns={"survived": "bool"})
def fragile(texts: pa.LargeStringArray) -> list[bool]:
    if any("die here" in text for text in texts.to_pylist()):
        os._exit(3)
    return [True] * len(texts)


@annotator(columns={"after": "string"}, inputs=("survived", "num_marks"))
def after(texts: pa.LargeStringArray, survived: pa.Array, num_marks: pa.Array) -> list[str]:
    return [repr(pair) for pair in zip(survived.to_pylist(), num_marks.to_pylist(), strict=True)]


@annotator(columns={"number": "int64"})
def raising(texts: pa.LargeStringArray) -> list[int]:
    return [int(text) for text in texts.to_pylist()]


@annotator(columns={"number": "int64"})
def casting(texts: pa.LargeStringArray) -> pa.Array:
    return texts.cast(pa.int64())  # raised below the function's own line


@annotator(columns={"number": "int64"})
def full(texts: pa.LargeStringArray) -> list[int]:
    raise OSError(28, "No space left on device", "own.tmp")


def plain(texts: pa.LargeStringArray) -> list[int]:
    return [1] * len(texts)


@annotator(columns={"url": "string"})
def clash(texts: pa.LargeStringArray) -> list[str]:
    return [""] * len(texts)


class Odd:
    """An annotator of a class that gives what `kind` says."""

    name = "odd"
    version = "1"
    columns = pa.schema([("odd", pa.int64())])
    inputs: tuple[str, ...] = ()

    def __init__(self, kind: str = "right", file: str = "") -> None:
        self.kind, self.file = kind, file

    def model_files(self) -> list[Path]:
        return [Path(self.file)] if self.file else []

    def __call__(self, texts: pa.LargeStringArray, labels: Mapping[str, pa.Array]) -> object:
        n = len(texts)
        return {
            "right": pa.record_batch({"odd": pa.array([1] * n, pa.int64())}),
            "list": [1] * n,
            "columns": pa.record_batch({"even": pa.array([1] * n, pa.int64())}),
            "rows": pa.record_batch({"odd": pa.array([1] * (n + 1), pa.int64())}),
            "type": pa.record_batch({"odd": pa.array([1.0] * n)}),
        }[self.kind]


class Failing(Odd):
    """One that fails where `place` says, with an error that is none of Python's usual ones."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place
        if place == "columns":
            self.columns = pa.schema([("odd", pa.month_day_nano_interval())])
        self._fail("init")

    def _fail(self, place: str) -> None:
        if place == self.place:
            raise SystemExit("nothing here")

    def check(self) -> None:
        self._fail("check")
        if self.place == "memory":
            raise MemoryError

    def model_files(self) -> list[Path]:
        return "model.bin" if self.place == "files" else []  # type: ignore[return-value]

"""A record of JSONL or Parquet that kills children is a reject; those around it are documents."""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.config import ExtractConfig, SourceConfig
from pipelines.extract.given import Made, Reject, made_of, make_documents, tasks_of
from pipelines.extract.given_in_children import few_at_a_time, make_in_children
from pipelines.extract.inputs import InputRange, ReadSettings, read_settings
from pipelines.extract.text import tidy
from pipelines.workspace.children import Children, Limits

SOURCE = SourceConfig(name="s", path="x")
TEXTS = ["Тише едешь — дальше будешь.", "急がば回れ。\r", "More haste,\x0bless speed.", "لا تستعجل"]
LINES = [json.dumps({"text": text, "n": number}) for number, text in enumerate(TEXTS)]
# 72 bytes of memory for each three of the file: more than the children below may have.
POISON = '{"text": "poison", "x": [' + "{}," * (6 << 20) + "0]}"


@pytest.fixture
def children() -> Iterator[Children]:
    made = Children(Limits(processes=1, memory_bytes=500 << 20))
    yield made
    made.close()


def settings_of() -> ReadSettings:
    return read_settings(SOURCE, ExtractConfig())


def range_of(path: Path) -> InputRange:
    return InputRange(url=str(path), file=path.name, format=path.suffix[1:], start=0, end=None)


def in_full(made: list[Made]) -> tuple[list[dict[str, object]], list[Reject]]:
    rows = [row for one in made for row in one.documents.to_pylist()]
    return rows, [reject for one in made for reject in one.rejects]


def test_line_that_needs_too_much_memory_is_rejected_alone(
    children: Children, tmp_path: Path
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join([*LINES, POISON, *LINES[:1]]))
    made = [*make_in_children([range_of(path)], children, SOURCE, settings_of())]
    rows, rejects = in_full(made)
    assert [row["text"] for row in rows] == [tidy(text) for text in [*TEXTS, TEXTS[0]]]
    (reject,) = rejects
    before = sum(len(line.encode()) + 1 for line in LINES)
    assert reject.reason == "out_of_memory"
    assert (reject.record["offset"], reject.record["length"]) == (before, len(POISON) + 1)
    assert sum(one.num_records for one in made) == len(LINES) + 2


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_records_given_one_by_one_are_those_of_the_block(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    if kind == "jsonl":
        lines = ["\ufeff" + LINES[0], *LINES[1:], "", "not json", '{"text": "no newline"}']
        path.write_text("\n".join(lines) + "\r\n" + LINES[3], newline="")
    else:
        table = pa.table({"text": [*TEXTS, None] * 20, "n": list(range(100))})
        pq.write_table(table, path, row_group_size=37)
    settings = settings_of()

    def make(tasks: pa.RecordBatch) -> list[Made]:
        results = make_documents(tasks, source=SOURCE, settings=settings)
        return [made_of(results.slice(row, 1)) for row in range(results.num_rows)]

    tasks = list(tasks_of(range_of(path), settings))
    whole = [one for task in tasks for one in make(task)]
    single = [one for task in tasks for few in few_at_a_time(task) for one in make(few)]
    assert in_full(single) == in_full(whole)
    assert sum(one.num_asked for one in single) == sum(one.num_asked for one in whole) > 3
    assert max(one.num_records for one in single) == 1

"""Functions as annotators: what they may give, and what is refused with what words."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from annotators.annotator import DOCUMENT_COLUMNS, AnnotatorError, FunctionAnnotator, annotator

TEXTS = pa.array(["Zwei\nZeilen", "一行", ""], pa.large_string())
NONE: Mapping[str, pa.Array] = {}


@annotator(columns={"num_lines": "int64"})
def num_lines(texts: pa.LargeStringArray) -> list[int]:
    return [text.count("\n") + 1 for text in texts.to_pylist()]


@annotator(columns={"is_long": bool, "chars": "int32"}, inputs=("language", "url"), name="measured")
def measure(
    texts: pa.LargeStringArray, *, language: pa.Array, url: pa.Array, limit: int = 3
) -> dict[str, Any]:
    lengths = pc.utf8_length(texts)
    return {"chars": np.asarray(lengths), "is_long": pc.greater(lengths, limit)}


def test_function_gives_one_column_as_a_list() -> None:
    made = num_lines(TEXTS, NONE)
    assert num_lines.name == "num_lines"
    assert made.schema == pa.schema([("num_lines", pa.int64())])
    assert made.column(0).to_pylist() == [2, 1, 1]


def test_function_gives_columns_by_name_and_takes_inputs_and_options() -> None:
    labels = {"language": pa.array(["deu_Latn", "zho_Hans", None]), "url": pa.nulls(3, pa.string())}
    assert measure.name == "measured"
    assert measure.inputs == ("language", "url")
    assert measure(TEXTS, labels).to_pydict() == {
        "is_long": [True, False, False],
        "chars": [11, 2, 0],
    }
    longer = measure.with_options(limit=20)
    assert longer(TEXTS, labels).column("is_long").to_pylist() == [False, False, False]
    assert measure(TEXTS, labels).column("is_long").to_pylist() == [True, False, False]


def test_function_gives_a_batch_whose_types_are_cast() -> None:
    @annotator(columns=pa.schema([("n", pa.int64()), ("t", pa.string())]))
    def given(texts: pa.LargeStringArray) -> pa.RecordBatch:
        return pa.record_batch({"t": texts, "n": pc.utf8_length(texts)})

    assert given(TEXTS, NONE).to_pydict() == {"n": [11, 2, 0], "t": TEXTS.to_pylist()}


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ([1, 2], r"gave 2 values for 3 texts; allowed is one for each text"),
        ({"m": [1, 2, 3]}, r"gave the columns \['m'\]; it declares \['n'\]"),
        (["a", "b", "c"], r"column n: .*it declares int64"),
        ([1.5, 2, 3], r"column n: .*it declares int64"),
        (None, r"gave nothing for the columns \['n'\]; allowed are a dict"),
        ("abc", r"gave a str for the columns"),
    ],
)
def test_function_result_that_is_none_is_refused(result: object, message: str) -> None:
    @annotator(columns={"n": int})
    def wrong(texts: pa.LargeStringArray) -> object:
        return result

    with pytest.raises(AnnotatorError, match=f"annotator wrong.*{message}"):
        wrong(TEXTS, NONE)


def test_function_nulls_are_allowed() -> None:
    @annotator(columns={"n": int})
    def unsure(texts: pa.LargeStringArray) -> list[int | None]:
        return [None, 2, None]

    assert unsure(TEXTS, NONE).column("n").to_pylist() == [None, 2, None]


def test_declarations_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match=r"column n: found the type 'float33'; allowed are"):
        annotator(columns={"n": "float33"})
    with pytest.raises(ValueError, match=r"takes the inputs by name: add language"):
        annotator(columns={"n": int}, inputs=("language",))(lambda texts: [])
    with pytest.raises(ValueError, match=r"options \['limt'\]: .*allowed are \['limit'\]"):
        measure.with_options(limt=4)
    assert isinstance(measure, FunctionAnnotator)


def test_document_columns_are_those_of_documents() -> None:
    from pipelines.workspace.schema import DOCUMENT

    for name, type_ in DOCUMENT_COLUMNS.items():
        assert DOCUMENT.field("uri" if name == "url" else name).type == type_

"""What is counted of labels, by the type of their column."""

import math

import pyarrow as pa

from pipelines.annotate.values import Values

SHARES = pa.list_(pa.struct([("language", pa.string()), ("share", pa.float32())]))
SPANS = pa.list_(pa.struct([("kind", pa.string()), ("start", pa.int64()), ("end", pa.int64())]))


def counted(**columns: pa.Array) -> dict[str, dict[str, object]]:
    values = Values()
    labels = pa.StructArray.from_arrays(list(columns.values()), list(columns))
    half = len(labels) // 2
    values.add(labels.slice(0, half), 0.25)
    values.add(labels.slice(half), 0.5)
    return values.to_json()


def test_values_text_and_truth() -> None:
    made = counted(
        name=pa.array(["a", None, "a", "ü"]), yes=pa.array([True, None, False, True], pa.bool_())
    )
    assert made["values"] == {
        "name": {"": 1, "a": 2, "ü": 1},
        "yes": {"": 1, "false": 1, "true": 2},
    }
    assert made["cpu_seconds"] == 0.75


def test_values_numbers_without_what_is_no_number() -> None:
    made = counted(
        count=pa.array([0, 1, 5, None], pa.int64()),
        score=pa.array([0.05, math.nan, math.inf, -math.inf], pa.float32()),
    )
    assert made["histograms"] == {
        "count": {"-1": 1, "0": 1, "2": 1},
        "score": {"0": 1, "1": 1, "19": 1},
    }


def test_values_spans_are_counted_and_shares_added_up() -> None:
    shares = [
        [{"language": "eng_Latn", "share": 0.75}, {"language": "und", "share": 0.25}],
        [],
        None,
        [{"language": "eng_Latn", "share": 1.0}],
    ]
    spans = [[{"kind": "email", "start": 0, "end": 3}] * 2, None, [], []]
    made = counted(language_shares=pa.array(shares, SHARES), pii=pa.array(spans, SPANS))
    assert made["shares"] == {"language_shares": {"eng_Latn": 1.75, "und": 0.25}}
    assert made["spans"] == {"pii": {"email": 2}}


def test_values_of_other_types_are_left_out() -> None:
    made = counted(
        map=pa.array([[("a", "b")], None, [], []], pa.map_(pa.string(), pa.string())),
        words=pa.array([["a"], [], None, ["b", "c"]], pa.list_(pa.string())),
        pairs=pa.array([[{"a": 1, "b": 2}], [], [], []], pa.list_(pa.struct([("a", pa.int8())]))),
        bytes=pa.array([b"a"] * 4, pa.binary(1)),
        large=pa.array(
            [[{"kind": "x", "start": 1, "end": 2}], None, [], []], pa.large_list(SPANS.value_type)
        ),
    )
    assert made["spans"] == {"large": {"x": 1}}
    assert not made["values"]
    assert not made["histograms"]
    assert not made["shares"]


def test_values_column_of_anything_is_told_as_uncounted() -> None:
    many = pa.array([str(number) for number in range(600)])
    few = pa.array(["a"] * 600)
    long = pa.array(["x" * 300] * 600)
    made = counted(many=many, few=few, long=long)
    assert made["values"] == {"few": {"a": 600}}
    assert made["uncounted"] == ["long", "many"]

"""A `where` taken apart: every piece is a whole condition, and together they say the same."""

import itertools

import duckdb
import pyarrow as pa
import pytest

from pipelines.mix.conditions import conditions_of

COLUMNS = ["keep", "score", "language"]
ROWS = pa.Table.from_pylist(
    [
        {"keep": keep, "score": score, "language": language}
        for keep, score, language in itertools.product(
            [True, False, None], [0.1, 0.5, 0.9, None], ["eng", "an and b", None]
        )
    ]
)
WHERES = [
    "keep",
    "keep and score > 0.3",
    "keep AND score between 0.2 and 0.8 And language <> 'eng'",
    "keep or score > 0.3 and language = 'eng'",
    "(keep or score > 0.3) and language = 'eng'",
    "keep and (score > 0.3 and (language = 'eng' or keep))",
    "language = 'an and b' and keep",
    "case when keep and score > 0.3 then score < 0.6 else language = 'eng' end and keep",
    "keep -- and this is a remark\n and /* and this */ score > 0.3",
    "not (keep and score > 0.3)",
    "keep\n  and language\n  in ('eng', 'an and b')",
]


def ask(expression: str) -> list[bool]:
    with duckdb.connect() as connection:
        connection.register("labels", ROWS)
        query = f"select coalesce(({expression}\n), false) from labels"
        return [found for (found,) in connection.execute(query).fetchall()]


@pytest.mark.parametrize("where", WHERES)
def test_conditions_together_say_what_where_says(where: str) -> None:
    conditions = conditions_of(where, COLUMNS)
    together = [all(said) for said in zip(*(ask(one.sql) for one in conditions), strict=True)]
    assert together == ask(where)
    assert 0 < sum(together) < len(together)


def test_conditions_are_shown_as_they_are_written_with_the_labels_they_name() -> None:
    found = conditions_of(
        "keep AND score between 0.2 and\n 0.8 And LANGUAGE <> 'an and b'", COLUMNS
    )
    assert [(one.sql, one.columns) for one in found] == [
        ("keep", ("keep",)),
        ("score between 0.2 and 0.8", ("score",)),
        ("LANGUAGE <> 'an and b'", ("LANGUAGE",)),
    ]


def test_blanks_inside_quotes_are_kept() -> None:
    found = conditions_of("language = 'two  blanks' and\n keep", COLUMNS)
    assert [one.sql for one in found] == ["language = 'two  blanks'", "keep"]


def test_a_choice_is_one_condition_and_nested_ands_are_several() -> None:
    assert len(conditions_of("keep or score > 0.3 and language = 'eng'", COLUMNS)) == 1
    nested = conditions_of("(keep and (score > 0.3 and language = 'eng'))", COLUMNS)
    assert [one.columns for one in nested] == [("keep",), ("score",), ("language",)]

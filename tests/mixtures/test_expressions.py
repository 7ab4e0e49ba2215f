"""Expressions over labels: what is refused before any work, and what each row becomes."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from mixtures.expressions import NO_BUCKET, REASONS, check_expressions, columns_used, select
from mixtures.spec import Mixture, MixtureError, Stage

TYPES: list[tuple[str, pa.DataType]] = [
    ("language", pa.string()),
    ("num_tokens", pa.int64()),
    ("quality_keep", pa.bool_()),
    ("doc-type", pa.dictionary(pa.int32(), pa.string())),
    ("fetched_at", pa.timestamp("us", "UTC")),
    ("tags", pa.list_(pa.string())),
    ("provenance", pa.struct([("kind", pa.string())])),
    ("contaminated", pa.bool_()),
    ("cluster_size", pa.int64()),
    (
        "boilerplate",
        pa.list_(pa.struct([("kind", pa.string()), ("start", pa.int64()), ("end", pa.int64())])),
    ),
    ("boilerplate_share", pa.float32()),
]
COLUMNS = pa.schema(TYPES)


def mixture(where: str | None = None, group_by: str | None = None) -> Mixture:
    stage = Stage(name="s", sequence_length=8, tokens="max", where=where, group_by=group_by)
    return Mixture(name="m", seed=0, stages=(stage,))


@pytest.mark.parametrize(
    ("where", "group_by", "used"),
    [
        (None, None, ["num_tokens"]),
        (
            "quality_keep and LANGUAGE <> 'und'",
            "doc-type",
            ["language", "num_tokens", "quality_keep", "doc-type"],
        ),
        ("provenance.kind = 'natural' -- why", "provenance.kind", ["num_tokens", "provenance"]),
        ("len(list_filter(tags, lambda t: t = 'a')) > 0", None, ["num_tokens", "tags"]),
        ("labels.fetched_at > '2024-01-01'", None, ["num_tokens", "fetched_at"]),
        (
            "not contaminated and boilerplate_share < 0.5",
            "case when cluster_size > 1 then 'copied' else 'alone' end",
            ["num_tokens", "contaminated", "cluster_size", "boilerplate_share"],
        ),
        ("len(boilerplate) = 0", None, ["num_tokens", "boilerplate"]),
        (
            'list_sum(list_transform(boilerplate, lambda one: one."end" - one.start)) < 100',
            None,
            ["num_tokens", "boilerplate"],
        ),
        (
            None,
            "case when num_tokens > 3 then 'long' else language end",
            ["language", "num_tokens"],
        ),
    ],
)
def test_sound_expression_passes_and_names_its_columns(
    where: str | None, group_by: str | None, used: list[str]
) -> None:
    check_expressions(mixture(where, group_by), COLUMNS)
    assert columns_used(mixture(where, group_by).stages, COLUMNS) == used


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        (
            "langauge = 'fra_Latn'",
            ["unknown column 'langauge'", "did you mean 'language'?", "tags"],
        ),
        ("num_tokens", ["gives BIGINT", "BOOLEAN"]),
        ("language", ["gives VARCHAR", "BOOLEAN"]),
        ("language = ", ["not an SQL expression", "syntax error"]),
        ("true), (false", ["more than one"]),
        ("true) from labels where (true", ["more than one"]),
        ("true) order by (1", ["more than one"]),
        ("num_tokens > avg(num_tokens)", ["aggregates"]),
        ("num_tokens > avg(num_tokens) over ()", ["window function"]),
        ("num_tokens > (select max(num_tokens) from labels)", ["sub-query"]),
        ("random() < 0.5", ["random()", "changes"]),
        ("now() > fetched_at", ["now()", "changes"]),
        ("current_date > fetched_at", ["unknown column 'current_date'"]),
        ("num_tokens > $1", ["parameter"]),
        ("columns(*) > 1", ["star"]),
        ("soundlike(language)", ["duckdb refuses", "soundlike"]),
        ("boilerplate", ["gives STRUCT(", ")[]; allowed: BOOLEAN; compare it"]),
        ("not boilerplate", ["duckdb refuses", "-> BOOLEAN)", "of a list write len(...) > 0"]),
        ("quality_keep and not tags", ["duckdb refuses 'quality_keep and not tags'", "BOOLEAN"]),
        ("boilerplate > 1", ["duckdb refuses"]),
    ],
)
def test_unsound_where_is_refused_with_key_and_reason(where: str, wanted: list[str]) -> None:
    with pytest.raises(MixtureError) as caught:
        check_expressions(mixture(where), COLUMNS)
    for part in ["stage 's'.where: ", *wanted]:
        assert part in str(caught.value)


def test_group_by_of_numbers_is_refused_with_the_cast_to_write() -> None:
    with pytest.raises(MixtureError, match=r"group_by: .* gives BIGINT.*cast\(.* as varchar\)"):
        check_expressions(mixture(None, "num_tokens"), COLUMNS)


@pytest.mark.parametrize("weight", ["ln(1 + cluster_size)", "len(boilerplate)", "1 / num_tokens"])
def test_weight_by_labels_of_duplicates_passes(weight: str) -> None:
    stage = Stage(name="s", sequence_length=8, tokens="max", weight=weight)
    check_expressions(Mixture(name="m", seed=0, stages=(stage,)), COLUMNS)


@pytest.mark.parametrize(
    ("key", "written", "wanted"),
    [
        ("weight", "boilerplate", r"weight: .*\)\[\]; allowed: a number"),
        ("weight", "contaminated", "weight: 'contaminated' gives BOOLEAN; allowed: a number"),
        ("group_by", "boilerplate", r"group_by: .*\)\[\]; allowed: text"),
        ("group_by", "contaminated", r"gives BOOLEAN; allowed: text .* cast\(.* as varchar\)"),
    ],
)
def test_lists_and_flags_are_no_weights_and_no_groups(key: str, written: str, wanted: str) -> None:
    stage = Stage.model_validate({"name": "s", "sequence_length": 8, "tokens": "max", key: written})
    with pytest.raises(MixtureError, match=wanted):
        check_expressions(Mixture(name="m", seed=0, stages=(stage,)), COLUMNS)


def test_document_of_which_it_is_not_known_whether_it_is_contaminated_is_out() -> None:
    labels = LABELS.append_column("contaminated", pa.array([False, True, None, False, None]))
    stage = Stage(name="s", sequence_length=8, tokens="max", where="not contaminated")
    selection = select(stage, labels, planned(labels))
    assert selection.eligible.tolist() == [True, False, False, True, False]


def test_document_cut_to_nothing_is_named_after_where_and_before_all_others() -> None:
    cut = np.array([True, True, False, False, True])
    stage = bucketed(where="quality_keep", group_by="language")
    selection = select(stage, LABELS, planned(LABELS), cut_to_nothing=cut)
    counts = {"cut_to_nothing": 3, "where_false": 2}
    assert selection.counts() == dict.fromkeys(REASONS, 0) | counts


@pytest.mark.parametrize(
    "where",
    [
        "cast(coalesce(language, 'und') as integer) > 1",
        "ln(coalesce(num_tokens, 0)) > 1",
        "boilerplate is null or boilerplate[1].start > 4",
    ],
)
def test_expression_that_could_fail_on_missing_labels_is_not_refused_for_it(where: str) -> None:
    check_expressions(mixture(where), COLUMNS)


def test_every_wrong_expression_and_missing_lengths_are_told_at_once() -> None:
    without = COLUMNS.remove(COLUMNS.get_field_index("num_tokens"))
    with pytest.raises(MixtureError) as caught:
        check_expressions(mixture("wrong", "worse"), without)
    assert len(str(caught.value).splitlines()) == 3


LABELS = pa.table(
    {
        "language": ["eng_Latn", None, "jpn_Jpan", "ara_Arab", "🙂"],
        "quality_keep": [True, True, None, False, True],
        "num_tokens": [3, 4, 5, 15, 16],
    }
)


def planned(labels: pa.Table) -> npt.NDArray[np.int64]:
    return labels["num_tokens"].to_numpy() + 1


def bucketed(**keys: object) -> Stage:
    buckets = [
        {"name": "long", "min": 8, "max": 16, "share": 1},
        {"name": "short", "min": 4, "max": 8, "share": 1},
    ]
    stage = {"name": "s", "sequence_length": 8, "tokens": "max", "length_buckets": buckets}
    return Stage.model_validate(stage | keys)


def test_rows_get_group_bucket_and_reason() -> None:
    selection = select(bucketed(where="quality_keep", group_by="language"), LABELS, planned(LABELS))
    assert selection.group.to_pylist() == ["eng_Latn", "null", "jpn_Jpan", "ara_Arab", "🙂"]
    # With EOD: 4 is not above 4, 5 and 6 are short, 16 just fits the long bucket, 17 does not.
    assert selection.bucket.tolist() == [NO_BUCKET, 1, 1, 0, NO_BUCKET]
    assert selection.eligible.tolist() == [False, True, False, False, False]
    counts = {"eligible": 1, "where_false": 2, "outside_length_buckets": 2}
    assert selection.counts() == dict.fromkeys(REASONS, 0) | counts


def test_stage_without_expressions_takes_every_row_into_one_group() -> None:
    selection = select(Stage(name="s", sequence_length=8, tokens="max"), LABELS, planned(LABELS))
    assert selection.group.to_pylist() == [""] * 5
    assert selection.bucket.tolist() == [0] * 5
    assert selection.eligible.all()


def test_empty_part_gives_an_empty_selection() -> None:
    selection = select(
        bucketed(where="quality_keep", group_by="language"),
        LABELS.slice(0, 0),
        planned(LABELS.slice(0, 0)),
    )
    assert len(selection.group) == len(selection.bucket) == len(selection.reason) == 0


@pytest.mark.parametrize("threads", [1, 4])
def test_order_of_many_rows_is_kept_by_any_number_of_threads(threads: int) -> None:
    num_rows = 300_000
    numbers = np.arange(num_rows)
    labels = pa.table({"num_tokens": numbers, "name": numbers.astype(str)})
    labels = pa.concat_tables([labels.slice(at, 50_000) for at in range(0, num_rows, 50_000)])
    stage = Stage(
        name="s", sequence_length=8, tokens="max", where="num_tokens % 3 = 0", group_by="name"
    )
    selection = select(stage, labels, planned(labels), threads=threads)
    assert selection.group.cast(pa.string()).equals(pa.array(numbers.astype(str)))
    assert (selection.eligible == (numbers % 3 == 0)).all()


def test_expression_that_fails_on_a_value_is_told() -> None:
    stage = Stage(name="s", sequence_length=8, tokens="max", where="cast(language as integer) > 1")
    with pytest.raises(MixtureError, match=r"stage 's'.*eng_Latn.*try_cast"):
        select(stage, LABELS, planned(LABELS))


@pytest.mark.parametrize("tokens", [[4, 5], [4, 5, 6, 0, 3]])
def test_token_counts_of_another_part_or_without_eod_are_refused(tokens: list[int]) -> None:
    one = Stage(name="s", sequence_length=8, tokens="max")
    with pytest.raises(ValueError, match="for 5 documents; allowed: one a document, EOD included"):
        select(one, LABELS, np.array(tokens))

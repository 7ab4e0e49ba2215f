"""`where`, `group_by` and `weight`: SQL over the labels of one document, run by duckdb.

An expression must say the same of a document wherever and whenever it is asked, because every
worker evaluates it over its own part alone. So the syntax tree is walked before any work, and what
looks beyond the row is refused: sub-queries, aggregates, window functions, parameters, functions
that are not a function of their arguments (random, now, current_setting; duckdb_functions() names
them). Files and extensions are out of reach: duckdb runs without external access.

A weight is evaluated only where `where` holds, so that a label which is missing elsewhere cannot
make it fail. 0 and null say "not drawn"; NaN, an infinity and a negative weight say that the
expression is not what its author meant, and stop the stage.

Rows come back in the order in which they went in. Several duckdb threads may deliver batches in
any order, so a row number travels along and has the last word.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, cast

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mixtures.bins import bins_of
from mixtures.errors import MixtureError, listed, nearest
from mixtures.quadmix import merged_score
from mixtures.spec import Mixture, QuaDMix, Stage
from mixtures.syntax import LABELS, columns_named, parse, refuse_beyond_row
from mixtures.weighting import value_expressions

NUM_TOKENS: Final = "num_tokens"
"""The label that every mixture needs: tokens of a document, its EOD not included."""

DEPTH: Final = "depth"
"""Column that tells synthetic documents: generations of models between a human and the text."""

REWRITE_INDEX: Final = "rewrite_index"
"""Column that numbers the rewrites of one seed document from 0; null is not a rewrite."""

NULL_GROUP: Final = "null"
"""Group of a document whose group label is null."""

NO_BUCKET: Final = -1
"""Bucket of a document that no length bucket takes."""

ELIGIBLE: Final = "eligible"
WHERE_FALSE: Final = "where_false"
OUTSIDE_LENGTH_BUCKETS: Final = "outside_length_buckets"
NO_WEIGHT: Final = "no_weight"
TOO_DEEP: Final = "too_deep"
TOO_MANY_REWRITES: Final = "too_many_rewrites"
CUT_TO_NOTHING: Final = "cut_to_nothing"
REASONS: Final = (
    ELIGIBLE,
    WHERE_FALSE,
    OUTSIDE_LENGTH_BUCKETS,
    NO_WEIGHT,
    TOO_DEEP,
    TOO_MANY_REWRITES,
    CUT_TO_NOTHING,
)
"""What can become of a document; the position is its code in `Selection.reason`. Where several
apply the first is named."""

_ROW: Final = "__row"
_ONE_ROW: Final = "__one_row"
_NO_SUCH_CAST: Final = "Unimplemented type for cast"
# Column -> the level of duplicates whose labels have it; `duplicates` itself is always made.
_LEVEL_OF: Final = {
    **{
        f"{level}_{what}": level
        for level in ("bytes", "text", "url")
        for what in ("cluster", "cluster_size", "role")
    },
    **{name: level for level in ("boilerplate", "repeats") for name in (level, f"{level}_share")},
}
_NUMERIC: Final = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL\(.*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What one stage makes of each row of a labels table, in the order of the rows."""

    group: pa.DictionaryArray
    """dictionary<int32, string>[n]: group of the document; empty without group_by."""

    bucket: npt.NDArray[np.int16]
    """int16[n]: position in `length_buckets` (0 without any), NO_BUCKET where none takes it."""

    reason: npt.NDArray[np.uint8]
    """uint8[n]: position in REASONS."""

    is_synthetic: npt.NDArray[np.bool_]
    """bool[n]: `depth` above 0; False everywhere where the labels have no such column."""

    bin: npt.NDArray[np.int32]
    """int32[n]: bin of the weight or score (`bins`); 0 without one, and where not eligible."""

    @property
    def eligible(self) -> npt.NDArray[np.bool_]:
        """bool[n]: documents that can be drawn."""
        is_eligible: npt.NDArray[np.bool_] = self.reason == REASONS.index(ELIGIBLE)
        return is_eligible

    def counts(self) -> dict[str, int]:
        """Rows by reason, every reason named, `eligible` among them; they sum to n."""
        found = np.bincount(self.reason, minlength=len(REASONS))
        return {reason: int(rows) for reason, rows in zip(REASONS, found, strict=True)}


def check_expressions(mixture: Mixture, columns: pa.Schema) -> None:
    """Checks every expression of a mixture against the label columns, before any work.

    Args:
        mixture: The mixture.
        columns: Names and types of the label columns that there are.

    Raises:
        MixtureError: One line for each expression that is not SQL, names an unknown column, looks
            beyond one document, or has the wrong type; or `num_tokens` is missing.
    """
    complaints = []
    if NUM_TOKENS not in columns.names or not pa.types.is_integer(columns.field(NUM_TOKENS).type):
        complaints.append(
            f"found no integer column '{NUM_TOKENS}' among the labels {listed(columns.names)}; "
            "a mixture counts tokens; annotate with 'length' first"
        )
    with _connect(threads=1) as connection:
        connection.register(LABELS, columns.empty_table())
        connection.register(_ONE_ROW, _empty_lists(columns))
        for stage in mixture.stages:
            complaints += _missing_provenance(stage, columns)
            for key, expression in _expressions(stage, columns.names):
                try:
                    _check(connection, key, expression, columns.names)
                except MixtureError as error:
                    complaints.append(f"{stage.place}.{key}: {error}")
    if complaints:
        raise MixtureError("\n".join(complaints))


def columns_used(stages: Sequence[Stage], columns: pa.Schema) -> list[str]:
    """Label columns that stages read, so that a planner reads no others.

    Args:
        stages: Stages of a mixture that passed `check_expressions` with the same columns.
        columns: Names and types of the label columns that there are.

    Returns:
        Names in the order of `columns`: `num_tokens` always, `depth` where there is one,
        `rewrite_index` where a stage caps rewrites.
    """
    used = {NUM_TOKENS, DEPTH}
    with _connect(threads=1) as connection:
        for stage in stages:
            used.update(_provenance_columns(stage))
            for _, expression in _expressions(stage, columns.names):
                tree = parse(connection, expression)
                used.update(name.lower() for name in columns_named(tree, columns.names))
    return [name for name in columns.names if name.lower() in used]


def select(
    stage: Stage,
    labels: pa.Table,
    tokens: npt.NDArray[np.int64],
    *,
    cut_to_nothing: npt.NDArray[np.bool_] | None = None,
    threads: int = 1,
) -> Selection:
    """Evaluates the expressions of a stage over a table of labels.

    Args:
        stage: A stage of a mixture that passed `check_expressions`.
        labels: The columns of `columns_used`, n rows.
        tokens: int64[n], planned tokens of each document, its EOD included.
        cut_to_nothing: bool[n], documents of which the cuts of the stage leave no byte; None where
            there are none. They are asked `where` first, so that the reason counts what was lost
            by cutting and by nothing else.
        threads: Threads of duckdb; they do not change the result.

    Returns:
        What becomes of each row, in the order of the rows.

    Raises:
        MixtureError: An expression fails on these rows; or a weight or score is NaN, infinite or,
            for a weight, negative.
        ValueError: `tokens` is not of n positive numbers.
    """
    if len(tokens) != labels.num_rows or (tokens < 1).any():
        raise ValueError(
            f"found {len(tokens)} token counts, {int((tokens < 1).sum())} of them below 1, for "
            f"{labels.num_rows} documents; allowed: one a document, EOD included"
        )
    found, group, values = _evaluate(stage, labels, threads)
    bucket = _bucket(stage, tokens)
    depth = _whole_numbers(labels, DEPTH)
    reason = np.where(found, 0, REASONS.index(WHERE_FALSE)).astype(np.uint8)
    if cut_to_nothing is not None:
        _refuse(reason, cut_to_nothing, CUT_TO_NOTHING)
    _refuse(reason, bucket == NO_BUCKET, OUTSIDE_LENGTH_BUCKETS)
    bins = _bins(stage, group, values, reason)
    if stage.synthetic and stage.synthetic.max_depth is not None:
        _refuse(reason, depth > stage.synthetic.max_depth, TOO_DEEP)
    if stage.synthetic and stage.synthetic.max_rewrites_per_seed is not None:
        index = _whole_numbers(labels, REWRITE_INDEX, absent=-1)
        _refuse(reason, index >= stage.synthetic.max_rewrites_per_seed, TOO_MANY_REWRITES)
    bins[reason != 0] = 0
    return Selection(group=group, bucket=bucket, reason=reason, is_synthetic=depth > 0, bin=bins)


def _refuse(reason: npt.NDArray[np.uint8], rows: npt.NDArray[np.bool_], why: str) -> None:
    reason[rows & (reason == 0)] = REASONS.index(why)


def _whole_numbers(labels: pa.Table, name: str, *, absent: int = 0) -> npt.NDArray[np.int64]:
    """A column as int64[n], nulls and an absent column as `absent`."""
    if name not in labels.column_names:
        return np.full(labels.num_rows, absent, np.int64)
    column = labels[name].cast(pa.int64())
    numbers: npt.NDArray[np.int64] = column.fill_null(absent).to_numpy()
    return numbers


def _evaluate(
    stage: Stage, labels: pa.Table, threads: int
) -> tuple[npt.NDArray[np.bool_], pa.DictionaryArray, dict[str, pa.ChunkedArray]]:
    """Runs the expressions of a stage.

    Returns:
        bool[n] of `where`; dictionary<int32, string>[n] of groups; one float64[n] for each
        expression of the weight by its key path, null where `where` is false.
    """
    names = labels.column_names
    # Named by position: a score may have any name, also one that is no SQL identifier.
    values = {key: f"__value_{n}" for n, (key, _) in enumerate(value_expressions(stage.weight))}
    columns = {
        values[key]: f"case when __found then cast(({sql}\n) as double) end"
        for key, sql in value_expressions(stage.weight)
    }
    grouped = stage.group_by is not None and stage.group_by not in names
    if grouped:
        columns["__group"] = f"cast(({stage.group_by}\n) as varchar)"
    if stage.where:
        columns["__where"] = "__found"
    answer = pa.table({})
    if columns:
        answer = _query(stage, labels, columns, threads)
    found = np.ones(labels.num_rows, np.bool_)
    if stage.where:
        found = answer["__where"].to_numpy()
    if grouped:
        group = answer["__group"]
    elif stage.group_by:
        group = labels[stage.group_by]
    else:
        group = pa.chunked_array([pa.repeat(pa.scalar("", pa.string()), labels.num_rows)])
    return found, _dictionary(group), {key: answer[name] for key, name in values.items()}


def _query(stage: Stage, labels: pa.Table, columns: dict[str, str], threads: int) -> pa.Table:
    rows = labels.append_column(_ROW, pa.array(np.arange(labels.num_rows)))
    where = f"coalesce(({stage.where}\n), false)" if stage.where else "true"
    selected = ", ".join(f"{sql} as {name}" for name, sql in columns.items())
    query = (
        f"select {selected}, {_ROW} from (select *, {where} as __found from {LABELS}) as {LABELS}"
    )
    with _connect(threads=threads) as connection:
        connection.register(LABELS, rows)
        try:
            answer = cast(pa.Table, connection.sql(query).to_arrow_table())
        except duckdb.Error as error:
            raise MixtureError(
                f"{stage.place}: an expression fails on these labels: {_first_line(error)}; "
                "guard it, for example with try_cast or a case"
            ) from error
    return _in_order(answer)


def _dictionary(group: pa.ChunkedArray) -> pa.DictionaryArray:
    text = group.cast(pa.string()).fill_null(NULL_GROUP)
    return cast(pa.DictionaryArray, text.combine_chunks().dictionary_encode())


def _bins(
    stage: Stage,
    group: pa.DictionaryArray,
    columns: dict[str, pa.ChunkedArray],
    reason: npt.NDArray[np.uint8],
) -> npt.NDArray[np.int32]:
    """Bins of the values of a weight, int32[n]; marks in `reason` who has no weight."""
    if not columns:
        return np.zeros(len(reason), np.int32)
    numbers = {}
    for key, column in columns.items():
        _refuse(reason, column.is_null().to_numpy(), NO_WEIGHT)
        numbers[key] = column.fill_null(0.0).to_numpy()
        _check_values(stage, key, numbers[key], reason == 0)
    if isinstance(stage.weight, QuaDMix):
        scores = list(numbers.values())
        merged = merged_score(stage.weight.quadmix, scores, group, reason == 0, stage.place)
        return bins_of(merged)
    (values,) = numbers.values()
    if not isinstance(stage.weight, str):
        return bins_of(np.where(reason == 0, values, 0.0))
    _refuse(reason, values == 0, NO_WEIGHT)
    # The least number is not 0, so it keeps a bin of its own.
    return np.maximum(bins_of(np.where(reason == 0, values, 0.0)), 1)


def _check_values(
    stage: Stage, key: str, values: npt.NDArray[np.float64], asked: npt.NDArray[np.bool_]
) -> None:
    wrong = ~np.isfinite(values)
    is_weight = isinstance(stage.weight, str)
    if is_weight:
        wrong |= values < 0
    wrong &= asked
    if not wrong.any():
        return
    expression = dict(value_expressions(stage.weight))[key]
    allowed = (
        "finite numbers from 0 (0 and null are not drawn)"
        if is_weight
        else "finite numbers (null is not drawn)"
    )
    raise MixtureError(
        f"{stage.place}.{key}: {expression!r} gives {values[np.argmax(wrong)]} (in "
        f"{int(wrong.sum())} of {int(asked.sum())} rows of these labels); allowed: {allowed}; "
        "guard it, for example with greatest(..., 0), coalesce or a case"
    )


def _connect(*, threads: int) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(
        config={
            "threads": threads,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "enable_external_access": False,
            "preserve_insertion_order": False,  # the row number puts them in order
        }
    )
    connection.execute("set TimeZone = 'UTC'")  # a date means the same on every worker
    return connection


def _expressions(stage: Stage, names: list[str]) -> Iterator[tuple[str, str]]:
    if stage.where:
        yield "where", stage.where
    if stage.group_by:
        yield "group_by", _group_expression(stage.group_by, names)
    yield from value_expressions(stage.weight)


def _provenance_columns(stage: Stage) -> list[str]:
    """Columns that the synthetic caps of a stage read."""
    caps = stage.synthetic
    if caps is None:
        return []
    needed = {
        DEPTH: {caps.max_share, caps.max_share_per_group, caps.max_depth} != {None},
        REWRITE_INDEX: caps.max_rewrites_per_seed is not None,
    }
    return [name for name, is_needed in needed.items() if is_needed]


def _group_expression(group_by: str, names: list[str]) -> str:
    # A column may bear a name that is not an SQL identifier, such as doc-type.
    return '"' + group_by.replace('"', '""') + '"' if group_by in names else group_by


def _check(
    connection: duckdb.DuckDBPyConnection, key: str, expression: str, names: list[str]
) -> None:
    tree = parse(connection, expression)
    refuse_beyond_row(connection, tree)
    known = {name.lower() for name in names}
    for name in columns_named(tree, names):
        if name.lower() not in known:
            raise MixtureError(
                f"found unknown column {name!r}; {nearest(name, names)}"
                f"allowed: {listed(names)}; {_where_from(name)}"
            )
    try:
        # duckdb itself refuses aggregates and windows inside WHERE.
        answer = connection.execute(
            f"select ({expression}\n) as found from {LABELS} where ({expression}\n) is null"
        )
    except duckdb.Error as error:
        raise MixtureError(
            f"duckdb refuses {expression!r}: {_first_line(error)}; allowed: one expression over "
            "the labels of one document; correct it"
        ) from error
    _check_type(key, expression, str(answer.description[0][1]))
    _check_casts(connection, expression)
    if key == "weight" and not columns_named(tree, names):
        _check_constant(connection, expression)


def _where_from(name: str) -> str:
    """How to come by a column that is not there."""
    level = _LEVEL_OF.get(name.lower())
    if level is None:
        return "name one of these, or run the annotator that gives it"
    return f"add {level} to duplicates.levels in corpus.yaml, which gives {name}, or name another"


def _check_type(key: str, expression: str, found: str) -> None:
    if key == "where" and found != "BOOLEAN":
        raise MixtureError(
            f"{expression!r} gives {found}; allowed: BOOLEAN; compare it with something"
        )
    if key == "group_by" and found != "VARCHAR" and not found.startswith("ENUM"):
        raise MixtureError(
            f"{expression!r} gives {found}; allowed: text (VARCHAR); write cast(... as varchar), "
            "or a case that gives names"
        )
    if key.startswith("weight") and not _NUMERIC.fullmatch(found):
        raise MixtureError(
            f"{expression!r} gives {found}; allowed: a number; write cast(... as double), or a "
            "case that gives numbers"
        )


def _check_casts(connection: duckdb.DuckDBPyConnection, expression: str) -> None:
    """Refuses what no value can be cast to, such as `not repeats`.

    duckdb plans a cast of a list to a truth value, and fails at the first row that has a list. So
    one is given to it, beside nulls. What else fails on such a row may never meet one.
    """
    try:
        connection.execute(f"select ({expression}\n) from {_ONE_ROW} as {LABELS}").fetchall()
    except duckdb.ConversionException as error:
        if _NO_SUCH_CAST in str(error):
            raise MixtureError(
                f"duckdb refuses {expression!r}: {_first_line(error)}; allowed: what has the type; "
                "of a list write len(...) > 0 or another function of it"
            ) from error
    except duckdb.Error:
        return


def _empty_lists(columns: pa.Schema) -> pa.Table:
    """One row: lists without elements, and nulls."""
    values: list[list[object] | None]
    values = [[] if _is_list(field.type) else None for field in columns]
    arrays = [pa.array([one], field.type) for one, field in zip(values, columns, strict=True)]
    nullable = [field.with_nullable(True) for field in columns]
    return pa.Table.from_arrays(arrays, schema=pa.schema(nullable))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _check_constant(connection: duckdb.DuckDBPyConnection, expression: str) -> None:
    """Refuses a weight that is the same for every document and draws none of them."""
    answer = connection.execute(f"select cast(({expression}\n) as double)").fetchone()
    assert answer is not None
    weight: float | None = answer[0]
    if weight is None or not 0 < weight < float("inf"):
        raise MixtureError(
            f"{expression!r} gives {'null' if weight is None else weight} for every document; "
            "allowed: a finite number from 0, above 0 for some; name a label column, or remove "
            "weight"
        )


def _missing_provenance(stage: Stage, columns: pa.Schema) -> Iterator[str]:
    for name in _provenance_columns(stage):
        if name not in columns.names or not pa.types.is_integer(columns.field(name).type):
            yield (
                f"{stage.place}.synthetic: found no integer column {name!r} among the labels "
                f"{listed(columns.names)}; add the column, or remove the cap that counts by it"
            )


def _in_order(answer: pa.Table) -> pa.Table:
    rows = answer[_ROW].to_numpy()
    if (rows[:-1] < rows[1:]).all():
        return answer
    return answer.take(np.argsort(rows))


def _bucket(stage: Stage, tokens: npt.NDArray[np.int64]) -> npt.NDArray[np.int16]:
    if not stage.length_buckets:
        return np.zeros(len(tokens), np.int16)
    bucket = np.full(len(tokens), NO_BUCKET, np.int16)
    for position, one in enumerate(stage.length_buckets):
        bucket[(one.min < tokens) & (tokens <= one.max)] = position
    return bucket


def _first_line(error: duckdb.Error) -> str:
    return str(error).partition("\n")[0]

"""The outlook of a plan made by hand: every number is one the plan states, or a sum of them."""

from typing import Any

import pyarrow as pa
import pytest

from mixtures.solve import solve
from mixtures.spec import LengthBucket, Stage
from mixtures.tallies import TALLY
from mixtures.weighting import SyntheticCaps
from pipelines.commands.plan import _synthetic
from pipelines.commands.screen import Bar, Sheet, bar, epochs, signed, wrapped
from pipelines.mix.comparison import Setting, compare
from pipelines.mix.outlook import REST, Row, StageOutlook, Synthetic, folded, outlook_of
from pipelines.mix.pins import Pins
from pipelines.mix.plan import Plan, Unit
from pipelines.mix.preview import PREVIEW
from pipelines.workspace.fingerprints import Generation

STAGE = Stage(
    name="first",
    sequence_length=64,
    tokens=500,
    group_by="language",
    shares={"deu": 9, "eng": 1},
    max_epochs=2,
    length_buckets=(
        LengthBucket(name="long", min=50, max=99, share=1),
        LengthBucket(name="short", min=0, max=50, share=1),
    ),
)
CELLS = [("deu", 0, 2, 100), ("eng", 0, 4, 300), ("deu", 1, 10, 50), ("eng", 1, 10, 450)]
"""group, bucket, documents, tokens"""


def preview_row(dimension: str, value: str, bucket: int, **numbers: float) -> dict[str, Any]:
    names = PREVIEW.names[4:]
    assert set(numbers) <= set(names)
    key = {"stage": "first", "dimension": dimension, "value": value, "bucket": bucket}
    return {**key, **dict.fromkeys(names, 0), **numbers}


PREVIEW_ROWS = [
    preview_row(
        "all", "", 0, documents=6, tokens=400, drawn_documents=5, draws=6, drawn_tokens=260,
        expected_tokens=250.0, variance=9.0,
    ),
    preview_row(
        "all", "", 1, documents=20, tokens=500, drawn_documents=12, draws=30, drawn_tokens=240,
        expected_tokens=250.0, variance=16.0,
    ),
    preview_row("group", "deu", 0, documents=2, tokens=100, draws=4, drawn_tokens=200),
    preview_row("group", "deu", 1, documents=10, tokens=50, draws=20, drawn_tokens=100),
    preview_row("group", "eng", 0, documents=4, tokens=300, draws=2, drawn_tokens=60),
    preview_row("group", "eng", 1, documents=10, tokens=450, draws=10, drawn_tokens=140),
    preview_row("topic", REST, 1, documents=20, tokens=500, draws=30, drawn_tokens=400),
    preview_row("topic", "null", 0, documents=6, tokens=400, draws=6, drawn_tokens=100),
    preview_row("depth", "10", 0, documents=1, tokens=50, draws=6, drawn_tokens=300),
    preview_row("depth", "2", 0, documents=25, tokens=850, draws=30, drawn_tokens=200),
    preview_row("draws", "0", 0, documents=9, tokens=300),
    preview_row("draws", "10", 0, documents=1, tokens=10, draws=10, drawn_tokens=100),
    preview_row("draws", "2", 0, documents=8, tokens=300, draws=16, drawn_tokens=200),
    preview_row("draws", "2", 1, documents=8, tokens=290, draws=10, drawn_tokens=200),
    preview_row("validation", "", 0, documents=3, tokens=33),
]  # fmt: skip


def plan_of(stage: Stage = STAGE, rows: list[dict[str, Any]] = PREVIEW_ROWS, seed: int = 1) -> Plan:
    tally = [
        {"group": g, "bucket": b, "is_synthetic": False, "bin": 0, "reason": "eligible",
         "documents": d, "tokens": t}
        for g, b, d, t in CELLS
    ]  # fmt: skip
    unit = {"stage": stage.name, "bucket": 0, "parts": (("s", 0),), "expected_tokens": 1.0}
    kinds = [("long", "train"), ("short", "train"), ("validation", "validation")]
    return Plan(
        mixture="small",
        generation=Generation(job="mix", payload={}),
        seed=seed,
        stages={stage.name: stage},
        solved={stage.name: solve(stage, pa.Table.from_pylist(tally, schema=TALLY))},
        reasons={stage.name: {"eligible": 26, "where_false": 4, "near_validation": 7}},
        units=tuple(
            Unit(number=number, bucket_name=name, split=split, **unit)
            for number, (name, split) in enumerate(kinds)
        ),
        pins=Pins({}, ""),
        preview=pa.Table.from_pylist(rows, schema=PREVIEW),
        tokenizer_fingerprint="",
        replacement_tokens={},
    )


def rows_of(outlook: StageOutlook, dimension: str) -> tuple[Row, ...]:
    found = outlook.dimension(dimension)
    assert found is not None
    return found.rows


def values(outlook: StageOutlook, dimension: str, name: str) -> dict[str, Any]:
    return {row.value: getattr(row, name) for row in rows_of(outlook, dimension)}


def test_rows_are_sums_over_buckets_in_a_readable_order() -> None:
    (stage,) = outlook_of(plan_of()).stages
    assert values(stage, "group", "drawn_tokens") == {"deu": 300, "eng": 200}
    assert values(stage, "group", "share_before") == {"deu": 150 / 900, "eng": 750 / 900}
    assert values(stage, "group", "share_after") == {"deu": 0.6, "eng": 0.4}
    assert values(stage, "group", "epochs") == {"deu": 2.0, "eng": 200 / 750}
    assert values(stage, "bucket", "drawn_tokens") == {"long": 260, "short": 240}
    assert [row.value for row in rows_of(stage, "topic")] == ["null", REST]
    assert [row.value for row in rows_of(stage, "depth")] == ["2", "10"]
    assert [(one.times, one.documents) for one in stage.repeats] == [(0, 9), (2, 16), (10, 1)]


def test_the_stage_as_a_whole() -> None:
    (stage,) = outlook_of(plan_of()).stages
    total = stage.total
    assert (total.documents, total.tokens, total.drawn_documents) == (26, 900, 17)
    assert (total.draws, total.drawn_tokens, total.expected_tokens) == (36, 500, 500.0)
    assert total.sigma == 5.0
    assert list(stage.reasons.items()) == [("near_validation", 7), ("where_false", 4)]
    assert (stage.shards, stage.validation_shards) == (2, 1)
    assert (stage.validation_documents, stage.validation_tokens) == (3, 33)


def test_who_runs_out_and_who_takes_over() -> None:
    (stage,) = outlook_of(plan_of()).stages
    short = [(one.group, one.bucket, one.wanted_tokens, one.epochs) for one in stage.shortages]
    assert short == [
        ("deu", "short", pytest.approx(225), 2),
        ("deu", "long", pytest.approx(225), 2),
    ]
    assert [one.lacking_tokens for one in stage.shortages] == pytest.approx([125, 25])
    over = {(one.group, one.bucket): one.tokens for one in stage.takeovers}
    assert over == pytest.approx({("eng", "short"): 125, ("eng", "long"): 25})


def test_folded_rows_keep_the_sums() -> None:
    (stage,) = outlook_of(plan_of()).stages
    rows = rows_of(stage, "group")
    assert folded(rows, None) == (list(rows), None)
    assert folded(rows, 2) == (list(rows), None)
    shown, rest = folded(rows, 1)
    assert [row.value for row in shown] == ["deu"]
    assert rest is not None
    assert (rest.value, rest.tokens, rest.drawn_tokens, rest.draws) == ("1 more", 750, 200, 12)
    assert rest.epochs == 200 / 750
    assert rest.share_after == 0.4


def test_equal_plans_differ_in_nothing() -> None:
    renamed = STAGE.model_copy(update={"tokens": 500})
    assert compare(plan_of(), plan_of(renamed)).is_nothing
    assert not compare(plan_of(), plan_of(seed=2)).is_nothing
    rows = [*PREVIEW_ROWS[:-1], preview_row("validation", "", 0, documents=4, tokens=33)]
    assert not compare(plan_of(), plan_of(rows=rows)).is_nothing


def test_a_stage_of_another_name_is_another_stage() -> None:
    rows = [{**row, "stage": "other"} for row in PREVIEW_ROWS]
    compared = compare(plan_of(), plan_of(STAGE.model_copy(update={"name": "other"}), rows))
    assert not compared.stages
    assert [one.name for one in compared.removed] == ["first"]
    assert [one.name for one in compared.added] == ["other"]


def test_settings_that_differ_are_named_by_their_key() -> None:
    edited = STAGE.model_copy(
        update={
            "shares": {"deu": 5.0, "fra": 1.0, "eng": 1.0},
            "length_buckets": (
                STAGE.length_buckets[0],
                STAGE.length_buckets[1].model_copy(update={"share": 3.0}),
            ),
        }
    )
    after = plan_of()
    object.__setattr__(after, "stages", {"first": edited})
    (change,) = compare(plan_of(), after).stages
    assert change.settings == (
        Setting(key="shares.deu", before=9.0, after=5.0),
        Setting(key="length_buckets.short.share", before=1.0, after=3.0),
        Setting(key="shares.fra", before=None, after=1.0),
    )


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("a > 1 and b", "a > 2 and b", [("a > 1", "a > 2")]),
        ("a and b", "b", [("a", None)]),
        ("a", "a and b", [(None, "b")]),
        ("a and b", "b and a", [("a and b", "b and a")]),
        ("a or b", "a and b", [("a or b", None), (None, "a"), (None, "b")]),
    ],
)
def test_of_where_the_conditions_that_differ_are_named(
    before: str, after: str, told: list[tuple[str | None, str | None]]
) -> None:
    plans = [plan_of(), plan_of()]
    for plan, where in zip(plans, (before, after), strict=True):
        object.__setattr__(plan, "stages", {"first": STAGE.model_copy(update={"where": where})})
    (change,) = compare(*plans).stages
    assert [(one.before, one.after) for one in change.settings] == told
    assert {one.key for one in change.settings} == {"where"}


def test_changes_of_rows_come_largest_first() -> None:
    rows = [dict(row) for row in PREVIEW_ROWS]
    for row in rows:
        if (row["dimension"], row["value"], row["bucket"]) == ("group", "eng", 0):
            row["drawn_tokens"] = 90
        if (row["dimension"], row["value"], row["bucket"]) == ("group", "deu", 1):
            row["value"] = "fra"
    (change,) = compare(plan_of(), plan_of(rows=rows)).stages
    (groups,) = change.dimensions
    told = [(row.value, row.drawn_before, row.drawn_after) for row in groups.rows]
    assert told == [("deu", 300, 200), ("fra", 0, 100), ("eng", 200, 230)]


def test_the_change_of_expected_tokens_comes_first() -> None:
    rows = [dict(row) for row in PREVIEW_ROWS]
    for row in rows:
        if (row["dimension"], row["value"], row["bucket"]) == ("group", "eng", 0):
            row["expected_tokens"] = 40.0
        if (row["dimension"], row["value"], row["bucket"]) == ("group", "deu", 1):
            row["drawn_tokens"] += 90
            row["expected_tokens"] = 0.3  # less than a token is the rounding of sums
    (change,) = compare(plan_of(), plan_of(rows=rows)).stages
    (groups,) = change.dimensions
    told = [(row.value, row.expected_change, row.change) for row in groups.rows]
    assert told == [("eng", 40, 0), ("deu", 0, 90)]


def test_groups_of_another_meaning_are_not_compared() -> None:
    rows = [dict(row) for row in PREVIEW_ROWS]
    for row in rows:
        row["drawn_tokens"] += 1
    after = plan_of(rows=rows)
    spaced, other = ({"group_by": by} for by in (" language ", "source"))
    for update, differ in ((spaced, False), (other, True)):
        object.__setattr__(after, "stages", {"first": STAGE.model_copy(update=update)})
        (change,) = compare(plan_of(), after).stages
        assert change.groups_differ is differ
        assert ("group" in [one.name for one in change.dimensions]) is not differ
        assert "topic" in [one.name for one in change.dimensions]


@pytest.mark.parametrize(
    ("before", "after", "keys"),
    [
        ("num_tokens", None, ["weight"]),
        ("num_tokens", "quality_score", ["weight"]),
        ("num_tokens", {"quality_curve": {"score": "s", "drop": 0.4}}, ["weight"]),
        (
            {"quality_curve": {"score": "s", "drop": 0.2}},
            {"quality_curve": {"score": "s", "drop": 0.4}},
            ["weight.quality_curve.drop"],
        ),
    ],
)
def test_another_method_of_weighting_is_one_edit(
    before: object, after: object, keys: list[str]
) -> None:
    plans = [plan_of(), plan_of()]
    for plan, weight in zip(plans, (before, after), strict=True):
        stage = Stage.model_validate({**STAGE.model_dump(), "weight": weight})
        object.__setattr__(plan, "stages", {"first": stage})
    (change,) = compare(*plans).stages
    assert [one.key for one in change.settings] == keys


CAPPED_ROWS = [
    preview_row("all", "", 0, documents=9, tokens=900, drawn_tokens=500,
                expected_tokens=400.0, variance=125.0),
    preview_row("depth", "0", 0, documents=5, tokens=500, drawn_tokens=200,
                expected_tokens=200.0, variance=20.0),
    preview_row("depth", "null", 0, documents=1, tokens=100, drawn_tokens=100,
                expected_tokens=100.0, variance=5.0),
    preview_row("depth", "1", 0, documents=2, tokens=200, drawn_tokens=150,
                expected_tokens=70.0, variance=64.0),
    preview_row("depth", "2", 0, documents=1, tokens=100, drawn_tokens=50,
                expected_tokens=30.0, variance=36.0),
]  # fmt: skip


def test_synthetic_tokens_beside_their_cap() -> None:
    def told(max_share: float | None) -> Synthetic | None:
        stage = STAGE.model_copy(update={"synthetic": SyntheticCaps(max_share=max_share)})
        return outlook_of(plan_of(stage, CAPPED_ROWS)).stages[0].synthetic

    assert told(None) is None
    found, other = told(0.25), told(0.4)
    assert found is not None
    assert other is not None
    assert (found.max_share, found.expected_tokens, found.drawn_tokens) == (0.25, 100.0, 200)
    assert (found.expected_share, found.drawn_share) == (0.25, 0.4)
    # 200 of 500 are 75 more than a quarter; var = 0.75^2 * 100 + 0.25^2 * 25
    assert found.above_in_sigma == pytest.approx(75 / (56.25 + 1.5625) ** 0.5)
    assert _synthetic(found) == (
        "at most 25 %; expected 25.0 %, drawn 40.0 % (9.9 sigma above: the cap holds for expected "
        "draws)"
    )
    assert other.above_in_sigma is None
    assert _synthetic(other) == "at most 40 %; expected 25.0 %, drawn 40.0 %"


@pytest.mark.parametrize(
    ("part", "before", "blocks", "told"),
    [
        (1.0, 0.0, True, "████"),
        (0.5, 1.0, True, "██░░"),
        (0.28125, 0.0, True, "█▏"),
        (0.001, 0.0, True, "▏"),
        (0.0, 0.5, True, "░░"),
        (1.0, 0.0, False, "####"),
        (0.5, 1.0, False, "##.."),
        (0.001, 0.0, False, "#"),
        (0.0, 0.0, False, ""),
    ],
)
def test_bars(part: float, before: float, blocks: bool, told: str) -> None:
    assert bar(part, 1.0, before=before, width=4, blocks=blocks) == told


NUMBERS = ("2,192,851", "0.32 %", "1,267,628", "30 %", "< 0.01")


def sheet() -> Sheet:
    found = Sheet(["", "eligible", "share", "drawn", "share", "", "epochs"], spare=[4, 2])
    name = "case when language = 'eng' then 1 end"
    found.add_row(name, *NUMBERS[:4], Bar(0.3, 0.6, 0.6), NUMBERS[4])
    return found


@pytest.mark.parametrize("width", [48, 60, 70, 80, 100])
def test_a_table_fits_without_a_number_cut(width: int) -> None:
    lines = sheet().lines(width, blocks=False)
    assert max(map(len, lines)) <= width
    for number, column in zip(NUMBERS, (1, 2, 3, 4, 6), strict=True):
        assert (number in lines[1]) == (column in sheet().fit(width))
    assert all(number in lines[1] for number in (NUMBERS[0], NUMBERS[2], NUMBERS[4]))


def test_what_a_narrow_table_gives_up_first() -> None:
    fits = {width: sheet().fit(width) for width in range(40, 101)}
    assert fits[100][5] == 14
    assert 4 <= fits[78][5] < 14
    shown = [tuple(fits[width]) for width in range(100, 39, -1)]
    assert list(dict.fromkeys(shown)) == [
        (0, 1, 2, 3, 4, 5, 6),
        (0, 1, 2, 3, 4, 6),
        (0, 1, 2, 3, 6),
        (0, 1, 3, 6),
    ]
    assert all(fit[0] == 26 for width, fit in fits.items() if width >= 80)
    assert fits[40][0] == 10  # what is left beside three numbers
    assert sheet().has_bars(100)
    assert not sheet().has_bars(60)


def test_names_are_cut_by_the_width_that_a_screen_gives_them() -> None:
    table = Sheet(["", "tokens"])
    table.add_row("港の時計は十五分進んでいるが", "12")
    (_, line) = table.lines(18, blocks=False)
    assert line == "港の時計…       12"


def test_a_number_wider_than_the_screen_stays_whole() -> None:
    table = Sheet(["", "tokens"])
    table.add_row("a", "1,234,567,890")
    assert table.lines(8, blocks=False)[1].endswith("1,234,567,890")
    with pytest.raises(ValueError, match="found 1 cells; allowed: 2"):
        table.add_row("a")


def test_wrapped_lines_keep_words_whole() -> None:
    assert wrapped("one two threefourfive", 8, indent=2).split() == "one two threefourfive".split()
    assert wrapped("aaaa bbbb cccc dddd eeee ffff", 20, indent=0) == (
        "aaaa bbbb cccc dddd\neeee ffff"
    )


def test_small_numbers_do_not_look_like_none() -> None:
    assert [epochs(n) for n in (0, 0.001, 0.005, 4)] == ["0.00", "< 0.01", "0.01", "4.00"]
    assert [signed(n) for n in (0, 1234, -5, -12_345_678)] == ["0", "+1,234", "-5", "-12.35 M"]

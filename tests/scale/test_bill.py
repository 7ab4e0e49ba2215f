"""The arithmetic of a bill, its units, and the limits that it shares with the line."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from annotators.text.minhash import NUM_BANDS
from pipelines.deduplicate import exact
from pipelines.deduplicate import plan as exact_plan
from pipelines.mix import plan as mix_plan
from pipelines.near_duplicates import near, transform
from pipelines.near_duplicates.buckets import BAND_BYTES
from pipelines.near_duplicates.plan import num_band_partitions
from pipelines.near_duplicates.sweep import blocks, runs
from pipelines.scale import limits
from pipelines.scale.bill import Bill, Machine, make_bill
from pipelines.scale.facts import CorpusFacts
from pipelines.scale.prices import TEMPLATE, load_prices
from pipelines.scale.units import UnitCost, Units, load_units

TEXT = CorpusFacts(text_bytes=1e12, documents=250e6)
PRICES = """\
currency: USD
stated: a list, a region, 2026-06-17
core_hour: 0.05
storage_gb_month: 0.02
write_requests_1000: 0.005
read_requests_1000: 0.0004
"""


def bill_of(facts: CorpusFacts, cores: int = 100) -> Bill:
    return make_bill(facts, load_units(), Machine(cores=cores))


def test_a_stage_costs_its_driver_times_its_unit_cost() -> None:
    units = load_units()
    lines = {line.stage: line for line in bill_of(TEXT).lines}
    assert lines["extract"].core_seconds.value == pytest.approx(
        1000 * units.cost("cpu.extract_text").value
    )
    assert lines["deduplicate, exact"].core_seconds.value == pytest.approx(
        250 * units.cost("cpu.exact").value
    )
    annotators = sum(cost.value for cost in units.under("cpu.annotate").values())
    assert lines["annotate"].core_seconds.value == pytest.approx(1000 * annotators)
    assert lines["annotate"].core_hours.value == pytest.approx(1000 * annotators / 3600)
    assert lines["shards"].core_seconds.value == pytest.approx(
        1000 * units.cost("cpu.shards").value
    )


def test_pages_are_added_to_extraction_and_nothing_else() -> None:
    units = load_units()
    pages = replace(TEXT, html_pages=200e6, pdf_pages=3e6, ocr_pages=1e6, crawled_pages=1e6)
    before = {line.stage: line.core_seconds.value for line in bill_of(TEXT).lines}
    after = {line.stage: line.core_seconds.value for line in bill_of(pages).lines}
    added = {
        stage: after[stage] - before[stage] for stage in after if after[stage] != before[stage]
    }
    assert added == {
        "extract": pytest.approx(
            200 * units.cost("cpu.html").value
            - 0.8 * 1000 * units.cost("cpu.extract_text").value
            + 3 * units.cost("cpu.pdf").value
            + units.cost("cpu.ocr").value
        ),
        "crawl": pytest.approx(units.cost("cpu.crawl").value),
    }


def test_core_hours_grow_with_the_corpus_and_batches_with_its_square_until_partitions_grow() -> (
    None
):
    small = replace(TEXT, text_bytes=1e11, documents=25e6)
    one, ten = bill_of(small), bill_of(small.times(10))
    assert ten.core_hours.value == pytest.approx(10 * one.core_hours.value, rel=5e-3)
    assert ten.stored == pytest.approx(10 * one.stored, rel=1e-6)
    near_one, near_ten = (
        next(line for line in bill.lines if line.stage == "deduplicate, near").batches
        for bill in (one, ten)
    )
    assert 30 < near_ten / near_one < 101


def test_similar_pairs_are_swept_where_they_are_too_many_for_one_task() -> None:
    units = load_units()
    a_pair = {name: units.cost(name).value for name in ("cpu.sweep", "shuffle.sweep")}
    pairs = units.cost("shuffle.similar_pairs").value
    most = limits.COMPONENT_PAIRS / pairs
    costs = []
    for documents in (most * 0.99, most * 1.01):
        facts = replace(TEXT, documents=documents, part_bytes=1e9)
        line = next(line for line in bill_of(facts).lines if line.stage == "deduplicate, near")
        seconds = line.core_seconds.value - documents / 1e6 * units.cost("cpu.near").value
        rows = line.shuffled - line.batches * units.cost("shuffle.batch").value
        of_others = sum(units.cost(f"shuffle.{name}").value for name in ("near", "near_pairs"))
        costs.append((seconds, rows - documents * of_others))
        blocks = limits.num_sweep_blocks(facts, units)
        assert blocks * limits.BLOCK_ROWS >= documents * pairs or not blocks
    few, many = costs
    assert few == (pytest.approx(0, abs=1e-3), pytest.approx(0, abs=1e3))
    swept = most * 1.01 * pairs
    assert many[0] == pytest.approx(swept / 1e6 * a_pair["cpu.sweep"], rel=1e-4)
    assert many[1] == pytest.approx(swept * a_pair["shuffle.sweep"], rel=1e-4)


def test_hours_are_core_hours_over_cores_in_use() -> None:
    bill = make_bill(TEXT, load_units(), Machine(cores=50, use=0.5))
    assert bill.hours.value == pytest.approx(bill.core_hours.value / 25)
    assert bill.hours.low <= bill.hours.value <= bill.hours.high


def test_money_is_the_sum_of_amounts_times_prices(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(PRICES)
    bill = make_bill(TEXT, load_units(), Machine(cores=10), load_prices(file))
    assert bill.money is not None
    assert bill.money.cores.value == pytest.approx(bill.core_hours.value * 0.05)
    assert bill.money.storage_month == pytest.approx(bill.stored / 1e9 * 0.02)
    assert bill.money.requests == pytest.approx(
        bill.requests["write"] * 0.005 / 1000 + bill.requests["read"] * 0.0004 / 1000
    )
    rest = bill.money.storage_month + bill.money.requests
    assert bill.money.total.value == pytest.approx(bill.money.cores.value + rest)


def test_gpus_without_a_price_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(PRICES)
    facts = replace(TEXT, model_pages=1e6)
    with pytest.raises(ValueError, match="found no gpu_hour"):
        make_bill(facts, load_units(), Machine(), load_prices(file))
    file.write_text(PRICES + "gpu_hour: 3\n")
    bill = make_bill(facts, load_units(), Machine(), load_prices(file))
    assert bill.money is not None
    assert bill.gpu_hours == pytest.approx(1e6 * load_units().cost("gpu.page").value / 3600)
    assert bill.money.gpus == pytest.approx(3 * bill.gpu_hours)


def test_the_template_of_prices_is_refused_until_it_is_filled() -> None:
    with pytest.raises(ValueError, match=r"prices.yaml is not filled in: currency, stated, core"):
        load_prices(TEMPLATE)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (None, "cannot be read .No such file"),
        ("{", "cannot be read .it is no YAML"),
        (PRICES.replace("0.05", ""), "is not filled in: core_hour is empty"),
        (PRICES + "tip: 3\n", "tip: Extra inputs"),
        ("3", "allowed: the names of prices.yaml"),
    ],
)
def test_a_file_that_states_no_prices_is_refused(
    written: str | None, message: str, tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    if written is not None:
        file.write_text(written)
    with pytest.raises(ValueError, match=f"mine.yaml.*{message}"):
        load_prices(file)


def test_shards_are_whole_parts_of_three_files_and_an_entry() -> None:
    def files(facts: CorpusFacts) -> float:
        return next(line for line in bill_of(facts).lines if line.stage == "shards").files

    one = replace(TEXT, part_bytes=1e8)  # 10,000 parts of 25 M tokens, two of which fill a shard
    assert one.num_shards == 5_000
    assert files(one) == 20_000
    assert files(replace(one, part_bytes=1e9)) == 4_000  # a part fills more than a shard
    assert files(replace(one, mixtures=2)) == 2 * 4 * 2_000  # half of each part: five to a shard
    assert files(replace(one, mixtures=0)) == 0
    assert files(replace(one, epochs=0.0)) == 0


def test_every_unit_cost_has_a_unit_and_a_source() -> None:
    units = load_units()
    assert units.machine
    assert units.date
    assert units.command
    for name, cost in units.costs.items():
        assert all((cost.unit, cost.on)), name
    with pytest.raises(ValueError, match=r"found no 'cpu\.nothing'"):
        units.cost("cpu.nothing")


def test_a_unit_cost_outside_its_bounds_is_refused() -> None:
    raw = {"value": 2.0, "low": 3.0, "high": 4.0, "unit": "s", "on": "x"}
    with pytest.raises(ValueError, match="low <= value <= high"):
        UnitCost.model_validate(raw)


def test_another_file_of_unit_costs_changes_the_bill(tmp_path: Path) -> None:
    raw = load_units().model_dump()
    raw["costs"]["cpu.exact"] |= {"value": 3600.0, "low": 3600.0, "high": 3600.0}
    file = tmp_path / "units.yaml"
    file.write_text(yaml.safe_dump(raw))
    bill = make_bill(TEXT, load_units(file), Machine())
    line = next(line for line in bill.lines if line.stage == "deduplicate, exact")
    assert line.core_hours.value == pytest.approx(250.0)


def test_limits_are_those_of_the_line() -> None:
    assert limits.MEMBER_BYTES == exact.MEMBER_BYTES
    assert limits.EXACT_PARTITION_BYTES == exact_plan._PARTITION_BYTES
    assert (limits.NUM_BANDS, limits.BAND_ROW_BYTES) == (NUM_BANDS, BAND_BYTES)
    assert limits.MAX_SHARDS == mix_plan.MAX_UNITS
    assert limits.MAX_PARTS == 1 << near._PART_BITS
    assert limits.COMPONENT_PAIRS == transform.COMPONENT_PAIRS
    assert limits.BLOCK_ROWS == blocks._BLOCK_ROWS == runs._RUN_ARCS


@pytest.mark.parametrize("documents", [1e3, 1e7, 1e9, 2e9, 2.5e10, 1e12])
def test_partitions_of_bands_are_those_of_the_line(documents: float) -> None:
    facts = CorpusFacts(text_bytes=documents * 4000, documents=documents)
    num_bytes = int(documents) * NUM_BANDS * BAND_BYTES
    assert limits.num_band_partitions_of(facts) == num_band_partitions(num_bytes)


def test_limits_that_are_passed_are_told() -> None:
    def passed(facts: CorpusFacts) -> set[str]:
        return {one.what for one in bill_of(facts).limits if one.is_passed}

    assert passed(TEXT) == set()
    assert passed(TEXT.times(100)) == set()
    assert passed(TEXT.times(800)) >= {"sweep of similar pairs, one task"}
    few = replace(TEXT.times(10_000), part_bytes=1e12)
    assert passed(TEXT.times(1000)) <= passed(few)
    more = passed(TEXT.times(10_000)) - passed(few)
    assert more == {"parts", "driver: listed entries"}


@pytest.mark.parametrize(
    "wrong",
    [{"text_bytes": 0.0}, {"documents": 0.0}, {"html_pages": 1e12}, {"crawled_pages": 1e12}],
)
def test_a_corpus_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"found .* allowed: .*; "):
        replace(TEXT, **wrong)


def test_units_are_read_once() -> None:
    assert load_units() is load_units()
    assert isinstance(load_units(), Units)

"""The bill of a corpus: cores, hours, shuffle, storage, files, requests and money, by stage.

Everything is a product of a fact of the corpus and a unit cost, and one term is not: a shuffle of P
parts to Q partitions sends up to P x Q batches, each with its schema beside its rows. That term
grows with the square of the corpus, so `shuffled` counts rows and batches apart.

Bounds: each line is computed with the lowest, the mean and the highest of its unit cost, and lines
are added as if all were low or high together. That is the spread of the measurements. It says
nothing of another machine's cores, other texts, or what a runner of one's own adds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from pipelines.scale.facts import CorpusFacts
from pipelines.scale.limits import (
    BAND_ROW_BYTES,
    COMPONENT_PAIRS,
    Limit,
    limits_of,
    num_band_partitions_of,
    num_exact_partitions,
    num_sweep_blocks,
)
from pipelines.scale.prices import Prices
from pipelines.scale.units import Units

_GB: Final = 1e9
_MILLION: Final = 1e6
_HOUR_S: Final = 3600.0
_FILES_A_SHARD: Final = 3  # tokens, their index, the map back; beside them a ledger entry
_READ: Final = "read"
_WRITE: Final = "write"
STAGES: Final = (
    "start",
    "crawl",
    "extract",
    "annotate",
    "deduplicate, exact",
    "deduplicate, near",
    "plan",
    "shards",
    "driver",
    "audit",
)


@dataclass(frozen=True, slots=True)
class Range:
    """A figure and the bounds that the spread of measurements gives it."""

    value: float
    low: float
    high: float

    def __add__(self, other: "Range") -> "Range":
        return Range(self.value + other.value, self.low + other.low, self.high + other.high)

    def __mul__(self, factor: float) -> "Range":
        return Range(self.value * factor, self.low * factor, self.high * factor)


ZERO: Final = Range(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a run is to have."""

    cores: int = 2
    use: float = 1.0
    """Share of the cores' time that is work; below 1 where stragglers or starts idle them."""

    def __post_init__(self) -> None:
        """Refuses what is no machine."""
        if self.cores < 1 or not 0 < self.use <= 1:
            raise ValueError(
                f"found {self.cores} cores at {self.use:g}; allowed: at least 1 core, used above 0 "
                "and up to 1; correct it"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What one stage takes."""

    stage: str
    core_seconds: Range
    shuffled: float = 0.0
    """Bytes through GroupByKeys."""
    batches: float = 0.0
    """Arrow batches they come in."""
    stored: float = 0.0
    """Bytes that stay in the workspace."""
    files: float = 0.0
    """Data files and ledger entries."""

    @property
    def core_hours(self) -> Range:
        """Of one core."""
        return self.core_seconds * (1 / _HOUR_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """At the stated prices."""

    currency: str
    stated: str
    cores: Range
    shuffle: float
    requests: float
    storage_month: float
    gpus: float | None
    """None where no GPU is asked for."""

    @property
    def total(self) -> Range:
        """With one month of storage."""
        rest = self.shuffle + self.requests + self.storage_month + (self.gpus or 0.0)
        return self.cores + Range(rest, rest, rest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What a corpus takes."""

    facts: CorpusFacts
    machine: Machine
    lines: tuple[Line, ...]
    requests: Mapping[str, float]
    """`read` and `write` -> requests to an object store."""
    gpu_hours: float
    limits: tuple[Limit, ...]
    money: Money | None

    @property
    def core_hours(self) -> Range:
        """Of all stages."""
        return sum((line.core_hours for line in self.lines), ZERO)

    @property
    def hours(self) -> Range:
        """By the clock, on the machine."""
        return self.core_hours * (1 / (self.machine.cores * self.machine.use))

    @property
    def shuffled(self) -> float:
        """Bytes of all shuffles."""
        return sum(line.shuffled for line in self.lines)

    @property
    def stored(self) -> float:
        """Bytes of the whole workspace."""
        return sum(line.stored for line in self.lines)

    @property
    def files(self) -> float:
        """Of the whole workspace."""
        return sum(line.files for line in self.lines)


def make_bill(
    facts: CorpusFacts, units: Units, machine: Machine, prices: Prices | None = None
) -> Bill:
    """Multiplies the facts of a corpus with unit costs.

    Raises:
        ValueError: A figure that is needed was not measured, or has no price.
    """
    lines = tuple(_line(stage, facts, units) for stage in STAGES)
    requests = {
        kind: facts.num_parts * units.cost(f"requests.{kind}").value for kind in (_READ, _WRITE)
    }
    gpu_seconds = (
        facts.model_pages * units.cost("gpu.page").value if facts.model_pages else 0.0
    ) + (
        facts.model_tokens / _MILLION * units.cost("gpu.tokens").value
        if facts.model_tokens
        else 0.0
    )
    bill = Bill(
        facts=facts,
        machine=machine,
        lines=lines,
        requests=requests,
        gpu_hours=gpu_seconds / _HOUR_S,
        limits=limits_of(facts, units),
        money=None,
    )
    return bill if prices is None else replace(bill, money=_price(bill, prices))


def _line(stage: str, facts: CorpusFacts, units: Units) -> Line:
    """One stage: core-seconds by what drives them, and what it leaves behind."""
    million, gigabytes = facts.documents / _MILLION, facts.text_bytes / _GB
    amounts = {
        "start": {"cpu.start": 1.0},
        "crawl": {"cpu.crawl": facts.crawled_pages / _MILLION},
        "extract": {
            # Of documents that come as text; what a page costs holds the writing of its document.
            "cpu.extract_text": gigabytes * (1 - facts.html_pages / facts.documents),
            "cpu.html": facts.html_pages / _MILLION,
            "cpu.pdf": facts.pdf_pages / _MILLION,
            "cpu.ocr": facts.ocr_pages / _MILLION,
        },
        "annotate": dict.fromkeys(
            [f"cpu.annotate.{n}" for n in units.under("cpu.annotate")], gigabytes
        ),
        "deduplicate, exact": {"cpu.exact": million},
        "deduplicate, near": {
            "cpu.near": million,
            # On top of the components, which are in `cpu.near`: an upper bound.
            "cpu.sweep": _swept_pairs(facts, units) / _MILLION,
        },
        "plan": {"cpu.plan": million * facts.mixtures},
        "shards": {"cpu.shards": gigabytes * facts.epochs},
        "driver": {"cpu.driver": facts.num_parts / 1000},
        "audit": {
            "cpu.audit_start": 1.0,
            "cpu.audit": gigabytes,
            "cpu.audit_part": facts.num_parts,
        },
    }[stage]
    cpu = ZERO
    for name, amount in amounts.items():
        if amount:
            cost = units.cost(name)
            cpu += Range(cost.value, cost.low, cost.high) * amount
    rows, batches = _shuffled(stage, facts, units)
    overhead = units.cost("shuffle.batch").value
    return Line(
        stage=stage,
        core_seconds=cpu,
        shuffled=rows + batches * overhead,
        batches=batches,
        stored=_stored(stage, facts, units),
        files=_files(stage, facts, units),
    )


def _shuffled(stage: str, facts: CorpusFacts, units: Units) -> tuple[float, float]:
    """Bytes of rows, and batches, of the shuffles of a stage."""
    parts = facts.num_parts
    if stage == "deduplicate, exact":
        rows = facts.documents * units.cost("shuffle.exact").value
        partitions = num_exact_partitions(facts)
        # Members of texts and of addresses to their partitions, decisions back to the parts.
        return rows, min(facts.documents * 3, parts * partitions * 3)
    if stage == "deduplicate, near":
        bands = facts.documents * units.cost("shuffle.near").value
        rest = facts.documents * units.cost("shuffle.near_pairs").value
        partitions = num_band_partitions_of(facts)
        similar = facts.documents * units.cost("shuffle.similar_texts").value
        sent = min(bands / BAND_ROW_BYTES, parts * partitions)
        # Pairs from partitions to parts, texts asked by parts of parts, decisions to partitions.
        asked = min(similar, parts * partitions) + min(similar, parts * parts)
        sent += asked + min(similar, parts * num_exact_partitions(facts))
        # Of the sweep: texts asked by blocks of blocks, what is said of them, arcs to runs.
        pairs = _swept_pairs(facts, units)
        swept = pairs * units.cost("shuffle.sweep").value
        return bands + rest + swept, sent + 3 * min(pairs, num_sweep_blocks(facts, units) ** 2)
    return 0.0, 0.0


def _swept_pairs(facts: CorpusFacts, units: Units) -> float:
    """Similar pairs that are swept; 0 where there are few enough to find their components."""
    pairs = facts.documents * units.cost("shuffle.similar_pairs").value
    return pairs if pairs > COMPONENT_PAIRS else 0.0


def _stored(stage: str, facts: CorpusFacts, units: Units) -> float:
    """Bytes that a stage leaves in the workspace."""
    documents = facts.documents
    if stage == "extract":
        return facts.text_bytes * units.cost("stored.documents").value
    if stage == "annotate":
        return documents * sum(cost.value for cost in units.under("stored.labels").values())
    if stage == "deduplicate, exact":
        return documents * units.cost("stored.exact").value
    if stage == "deduplicate, near":
        return documents * units.cost("stored.near").value
    if stage == "shards":
        return facts.written_tokens * (facts.id_bytes + units.cost("stored.token").value)
    if stage == "driver":
        return facts.num_parts * units.cost("stored.ledger").value
    return 0.0


def _files(stage: str, facts: CorpusFacts, units: Units) -> float:
    if stage == "shards":
        return facts.num_shards * (_FILES_A_SHARD + 1)
    name = {"extract": "extract", "annotate": "annotate", "plan": "plan"}.get(stage)
    name = {"deduplicate, exact": "exact", "deduplicate, near": "near"}.get(stage, name)
    return facts.num_parts * units.cost(f"files.{name}").value if name else 0.0


def _price(bill: Bill, prices: Prices) -> Money:
    if bill.gpu_hours and prices.gpu_hour is None:
        raise ValueError(
            f"prices: found no gpu_hour, and {bill.gpu_hours:,.1f} GPU-hours are asked for; state "
            "what an hour of one GPU costs"
        )
    return Money(
        currency=prices.currency,
        stated=prices.stated,
        cores=bill.core_hours * (prices.core_hour / bill.machine.use),
        shuffle=bill.shuffled / _GB * prices.shuffle_gb,
        requests=(
            bill.requests[_READ] * prices.read_requests_1000
            + bill.requests[_WRITE] * prices.write_requests_1000
        )
        / 1000,
        storage_month=bill.stored / _GB * prices.storage_gb_month,
        gpus=bill.gpu_hours * (prices.gpu_hour or 0.0) if bill.gpu_hours else None,
    )

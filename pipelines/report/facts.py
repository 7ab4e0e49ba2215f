"""What a report says of a run, as plain values: no path, no reader, no text of a document.

Every number here is a sum over ledger entries or stands in a plan; nothing is counted by scanning
texts. Each step of the run comes with its equation, and an equation that does not hold stays in the
facts as it is, so that the page can show it as an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pipelines.annotate.job import SCORE_BINS
from pipelines.deduplicate.found import DuplicatesFound
from pipelines.report.models import MadeFacts

OTHERS: Final = "\0others"
"""Name of the row that holds all rows a table had no room for."""


IN_REJECTED_FILES: Final = "in files that were rejected"
"""Name of the rejected pages that have no reason of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One equation: `total` must be the sum of `terms`."""

    step: str
    """Section of the page it belongs to: intake, labels, a mixture's name ..."""
    where: str
    """What it was checked over, for people."""
    total: tuple[str, int]
    terms: tuple[tuple[str, int], ...]

    @property
    def holds(self) -> bool:
        """Whether it adds up."""
        return self.total[1] == sum(number for _, number in self.terms)

    @property
    def missing(self) -> int:
        """What the terms lack; negative where they are too many."""
        return self.total[1] - sum(number for _, number in self.terms)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """What came in from one source."""

    name: str
    parts: int
    """Parts in the ledger."""
    records: int
    documents: int
    rejects: int
    not_asked: int
    text_bytes: int
    """UTF-8 bytes of the documents' texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """Units that came in, units that went on, and what became of the others."""

    counts: Mapping[str, int]
    """All counts of the job, summed over its parts."""
    reasons: Mapping[str, Mapping[str, int]]
    """Kind of loss (rejects, not_asked, page_rejects, reasons) -> reason -> units."""
    left: int = 0
    """Of a crawl: addresses that were known and not asked for, because a limit was reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginFacts:
    """Who wrote the texts of a source, as corpus.yaml says."""

    source: str
    kind: str
    model: str
    """Empty where none is named; so is `recipe`."""
    recipe: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelFacts:
    """Labels in sum, as the ledger entries of the annotate job hold them."""

    rows: Mapping[str, int]
    """Labels set -> rows."""
    values: Mapping[str, Mapping[str, int]]
    """Column of text or truth -> value ("" for none) -> documents."""
    histograms: Mapping[str, Mapping[int, int]]
    """Column of numbers -> bin -> documents; bins as `pipelines.annotate.job` says."""
    spans: Mapping[str, Mapping[str, int]]
    """Column of spans -> kind -> spans."""
    sets: Mapping[str, str]
    """Column -> its labels set."""
    types: Mapping[str, str]
    """Column -> text, truth, count (a whole number), score (a fraction), spans or other."""
    incomplete: frozenset[str]
    """Columns of text that some part left out of its entry, for having too many values."""
    failed: int
    """Documents whose annotator died, in the labels set that has most of them."""

    def known(self, column: str) -> Mapping[str, int]:
        """Values of a column without the documents that have none."""
        return {value: n for value, n in self.values.get(column, {}).items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFacts:
    """One group of one length bucket of a stage."""

    name: str
    bucket: str
    """Empty in a stage without length buckets."""
    documents: int
    tokens: int
    """Of one pass over its documents, EOD included."""
    planned: float
    """Expected tokens."""
    stated: float
    """Expected tokens by the shares alone."""
    epochs: float
    """Expected draws of one document; in the row of others, the mean over their tokens."""
    ran_out: bool
    rows: int = 1
    """Groups in this row; more than 1 only in the row of others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketFacts:
    """One length bucket of a stage, planned and written."""

    name: str
    span: tuple[int, int] | None
    """(longer than, up to) tokens of a document; None in a stage without length buckets."""
    planned: float
    written: int
    sigma: float
    """Standard deviation of the tokens written, over seeds."""
    shards: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StageFacts:
    """One training stage: what was planned, what stands in the shards."""

    mixture: str
    name: str
    title: str
    """The mixture's name, with the stage's where it has several."""
    folder: str
    sequence_length: int
    seed: int
    budget: str
    where: str
    group_by: str
    shares: str
    max_epochs: float
    reasons: Mapping[str, int]
    """What became of all documents, by reason; `eligible` among them."""
    eligible: int
    pool_tokens: int
    """Tokens of one pass over the eligible documents, EOD included."""
    planned: float
    sigma: float
    attainable: float
    limited_by: str
    costs: Mapping[str, float]
    groups: tuple[GroupFacts, ...]
    buckets: tuple[BucketFacts, ...]
    counts: Mapping[str, int]
    """Counts of the shards, summed: tokens, document_tokens, eod, padding, draws, documents ..."""
    tokens_by: Mapping[str, Mapping[str, int]]
    """What the tokens were counted by (language, kind, topic) -> value -> tokens."""
    packing: str
    """concat or best_fit."""
    held_out: Mapping[str, int]
    """Counts of the validation shards, summed; empty where nothing is held out."""
    redact: tuple[str, ...]
    """Kinds of personal data that this stage has cut, as its mixture says."""
    redacted: Mapping[str, int]
    """Kind of what was cut or replaced -> times."""
    sequences: int
    """Training sequences that Megatron makes of the shards, in one pass over each."""
    short_shards: int
    """Shards that give not a single sequence."""
    short_tokens: int
    """Tokens in those."""
    shards: int
    bin_bytes: int
    """Bytes of the .bin files, as the ledger names them."""
    width: int
    """Bytes that the tokens written must fill: 2 or 4 a token."""

    @property
    def tokens(self) -> int:
        """Tokens written, EOD and padding included."""
        return self.counts.get("tokens", 0)

    @property
    def drawn_tokens(self) -> int:
        """Tokens written without padding, which no plan foresees."""
        return self.tokens - self.counts.get("padding", 0)

    @property
    def sigmas(self) -> float | None:
        """How many standard deviations the result lies from the plan; None where none is due."""
        return (self.drawn_tokens - self.planned) / self.sigma if self.sigma > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTime:
    """What workers spent on one job."""

    name: str
    parts: int
    seconds: float
    """Worker-seconds: a part's clock, summed over parts."""
    documents: int
    unit: str
    """What `documents` counts."""
    text_bytes: int
    """UTF-8 bytes of text that went through; 0 where the ledger does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """All that a report says, apart from the documents it shows."""

    corpus: str
    finished_at: str
    """When run.json was written, `YYYY-MM-DD HH:MM UTC`; empty where the storage does not say."""
    code: tuple[str, ...]
    """Code versions that made the entries, sorted."""
    models: str
    tokenizer: str
    """Last name of its path, and fingerprint."""
    sources: tuple[SourceFacts, ...]
    crawl: Losses | None
    intake: Losses
    kinds: Mapping[str, int]
    """Who wrote the documents (PROVENANCE) -> documents, "" for those of entries that do not say;
    empty where no entry says."""
    origins: tuple[OriginFacts, ...]
    """Of the sources that name one."""
    labels: LabelFacts
    domain_model: bool
    """Whether the annotator of topics and formats was given a model."""
    benchmarks: tuple[str, ...]
    """Benchmarks that were looked for; empty where none was."""
    duplicates: Mapping[str, int]
    """Role -> documents; empty where duplicates were not looked for."""
    exact_only: bool
    """Whether only word-for-word copies were looked for."""
    stages: tuple[StageFacts, ...]
    refused: Mapping[str, str]
    wall: Mapping[str, float]
    """Stage title -> wall-clock seconds."""
    jobs: tuple[JobTime, ...]
    generations: tuple[tuple[str, str, int], ...]
    """(source or stage, `job@fp`, parts)."""
    checks: tuple[Check, ...] = field(default=())
    made: tuple[MadeFacts, ...] = ()
    """What models made, in the order of corpus.yaml."""
    found: DuplicatesFound | None = None
    """Duplicates by level, pairs that were skipped, repeated passages; None as for `duplicates`."""

    @property
    def documents(self) -> int:
        """Documents that were extracted, and those that were made of them."""
        made = sum(one.counts.get("documents", 0) for one in self.made)
        return self.intake.counts.get("documents", 0) + made

    @property
    def tokens(self) -> int:
        """Tokens in the shards of all stages."""
        return sum(stage.tokens for stage in self.stages)

    @property
    def failed_checks(self) -> tuple[Check, ...]:
        """Equations that do not hold."""
        return tuple(check for check in self.checks if not check.holds)


def count_bins(histogram: Mapping[int, int]) -> list[tuple[int, int, int]]:
    """A histogram of counts, without gaps.

    Args:
        histogram: Bin -> documents; bin b holds [2^b, 2^(b+1)), bin -1 is 0.

    Returns:
        (lowest, highest, documents) of every bin from the first to the last that occurs.
    """
    if not histogram:
        return []
    bins = range(min(histogram), max(histogram) + 1)
    ends = [(0, 0) if b < 0 else (2**b, 2 ** (b + 1) - 1) for b in bins]
    return [(low, high, histogram.get(b, 0)) for b, (low, high) in zip(bins, ends, strict=True)]


def score_bins(histogram: Mapping[int, int]) -> list[tuple[float, float, int]]:
    """A histogram of scores in [0, 1], without gaps: (from, to, documents) of each of 20 bins."""
    return [(b / SCORE_BINS, (b + 1) / SCORE_BINS, histogram.get(b, 0)) for b in range(SCORE_BINS)]

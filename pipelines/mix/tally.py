"""The first pass over labels: what each stage of a mixture makes of the documents of one part.

Reads label columns, never text nor ids. What it counts depends on what selects and weighs documents
alone, not on budgets, shares or caps: an edit of those counts nothing again.

Equations: judged = eligible + not eligible, with the reasons in the entry's detail; and judged =
tallied + set aside (before `where` was asked). The tallies of all parts are added up by Beam
(`transform`) into one table, whose entry must hold the sums of theirs.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from mixtures.expressions import ELIGIBLE, REASONS
from mixtures.spec import Mixture
from mixtures.tallies import TALLY, combine, eligible, tally
from pipelines.mix.judge import judge
from pipelines.mix.pins import Pins, label_table
from pipelines.workspace.children import Children
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import METER, PartKey, entry_of
from pipelines.workspace.ledger import Stopwatch
from pipelines.workspace.parts import PartFile, check_file, read_table
from pipelines.workspace.workspace import Workspace

VERSION: Final = "2"
JOB: Final = "tally"
HISTOGRAM: Final = "histogram"

STAGE_TALLY: Final = TALLY.insert(0, pa.field("stage", pa.string(), nullable=False))


def tally_generation(mixture: Mixture, pins: Pins, tokenizer_fingerprint: str) -> Generation:
    """One for all mixtures of a name that select and weigh alike.

    Args:
        mixture: The mixture.
        pins: What it reads.
        tokenizer_fingerprint: Of the tokenizer that counts what stands in place of a cut.
    """
    payload = {
        "version": VERSION,
        "stages": {stage.name: stage.selection_payload() for stage in mixture.stages},
        "pins": pins.to_json(),
        "tokenizer": tokenizer_fingerprint,
    }
    return Generation(job=f"{JOB}.{mixture.name}", payload=payload)


def histogram_generation(tallies: Generation) -> Generation:
    """The generation of the one table that the tallies of a generation add up to."""
    mixture = tallies.job.removeprefix(f"{JOB}.")
    return Generation(
        job=f"{HISTOGRAM}.{mixture}", payload={"version": VERSION, "tally": tallies.full}
    )


@dataclass(frozen=True)
class TallyJob:
    """Tallies the parts of all sources for one mixture."""

    mixture: Mixture
    pins: Pins
    tokenizer_fingerprint: str
    replacement_tokens: Mapping[str, int]
    """Kind -> tokens that stand in place of a span; empty where no stage redacts."""
    columns: tuple[str, ...]
    """What `columns_to_judge` gives; parsing the expressions for each part would cost as much as
    evaluating them."""

    @property
    def generation(self) -> Generation:
        """What it commits."""
        return tally_generation(self.mixture, self.pins, self.tokenizer_fingerprint)

    @property
    def generations(self) -> tuple[Generation, ...]:
        """One."""
        return (self.generation,)

    def run(self, workspace: Workspace, key: PartKey, children: Children) -> None:
        """Commits the tally of one part."""
        watch, generation = Stopwatch(), self.generation
        stages = self.mixture.stages
        labels = label_table(workspace, self.pins, key, columns=self.columns, ids=False)
        tables, detail, tallied = {}, {}, 0
        for stage in stages:
            judged = judge(stage, labels, self.replacement_tokens)
            tables[stage.name] = tally(judged.selection, judged.tokens)
            detail[stage.name] = dict(judged.reasons)
            tallied += len(judged.rows)
        with PartFile(workspace.storage, STAGE_TALLY) as file:
            for batch in with_stages(tables).to_batches():
                file.write(batch)
            folder = f"mixtures/{self.mixture.name}@{generation.fp}/tally/{key.source}"
            ref = file.publish("tally", folder, key.part)
        METER.add(JOB, labels.num_rows)
        judged_rows = labels.num_rows * len(stages)
        drawable = sum(reasons[ELIGIBLE] for reasons in detail.values())
        counts = {
            "judged": judged_rows,
            "eligible": drawable,
            "not_eligible": judged_rows - drawable,
            "tallied": tallied,
            "set_aside": judged_rows - tallied,
        }
        documents = workspace.ledger.get(
            self.pins.sources[key.source].documents, key.source, key.part
        )
        workspace.ledger.commit(
            entry_of(
                generation,
                key,
                files=(ref,),
                counts=counts,
                watch=watch,
                detail=detail,
                inputs=(documents.file("documents").path,),
            )
        )


def with_stages(tables: Mapping[str, pa.Table]) -> pa.Table:
    """One table of schema STAGE_TALLY for tables of schema TALLY by stage."""
    named = [
        table.add_column(
            0, STAGE_TALLY.field("stage"), pa.array([stage] * table.num_rows, pa.string())
        ).cast(STAGE_TALLY)
        for stage, table in tables.items()
    ]
    return pa.concat_tables([STAGE_TALLY.empty_table(), *named])


def of_stage(table: pa.Table, stage: str) -> pa.Table:
    """The rows of one stage, in schema TALLY."""
    return table.filter(pc.equal(table.column("stage"), stage)).drop_columns(["stage"])


def add_up(tables: Iterable[pa.Table]) -> pa.Table:
    """Adds up tallies of many parts; integer sums, so the order does not matter.

    Args:
        tables: Schema STAGE_TALLY.

    Returns:
        Schema STAGE_TALLY, stages by name, one row for each key that occurs.
    """
    whole = pa.concat_tables([STAGE_TALLY.empty_table(), *tables])
    stages = sorted(pc.unique(whole.column("stage")).to_pylist())
    return with_stages({stage: combine([of_stage(whole, stage)]) for stage in stages})


def commit_histogram(workspace: Workspace, tallies: Generation, table: pa.Table) -> None:
    """Commits what the tallies of all parts add up to; a second commit changes nothing."""
    watch, generation = Stopwatch(), histogram_generation(tallies)
    mixture = generation.job.removeprefix(f"{HISTOGRAM}.")
    with PartFile(workspace.storage, STAGE_TALLY) as file:
        for batch in table.to_batches():
            file.write(batch)
        ref = file.publish(HISTOGRAM, f"mixtures/{mixture}@{generation.fp}/{HISTOGRAM}", 0)
    workspace.ledger.declare(generation)
    workspace.ledger.commit(
        entry_of(
            generation,
            PartKey(mixture, 0),
            files=(ref,),
            counts=histogram_counts(table),
            watch=watch,
        )
    )


def histogram_counts(table: pa.Table) -> dict[str, int]:
    """Documents of a table of schema STAGE_TALLY by whether they can be drawn."""
    by_reason = {
        reason: _documents(table.filter(pc.equal(table.column("reason"), reason)))
        for reason in REASONS
    }
    drawable = _documents(eligible(table))
    return {
        "documents": _documents(table),
        "eligible": drawable,
        "not_eligible": sum(by_reason.values()) - by_reason[ELIGIBLE],
    }


def _documents(table: pa.Table) -> int:
    return int(pc.sum(table.column("documents")).as_py() or 0)


def read_histogram(workspace: Workspace, tallies: Generation) -> pa.Table:
    """What the tallies of a generation add up to, in schema STAGE_TALLY.

    Raises:
        LookupError: It is not committed.
        OSError: It has changed since.
    """
    generation = histogram_generation(tallies)
    mixture = generation.job.removeprefix(f"{HISTOGRAM}.")
    entry = workspace.ledger.get(generation, mixture, 0)
    check_file(workspace.storage, entry.file(HISTOGRAM))
    return read_table(workspace.storage, entry.file(HISTOGRAM))

"""What came of writing the shards of a plan, beside what the plan said of it.

`expected` is what shares and budget ask for on average; `planned` is the sum over the draws that
the seed gave, as the labels count them; `realised` is what stands in the shards without padding.
Planned and expected differ by chance, sigma says by how much; realised and planned differ only
where a stage redacts or cuts, because tokens of what is cut are planned by the share of its bytes,
and because a document of which that leaves white space alone is not written (`emptied`); and where
a document killed the tokenizer, which is not written either (`rejected`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow.compute as pc

from pipelines.mix.judge import TRAIN, VALIDATION
from pipelines.mix.plan import Plan
from pipelines.mix.preview import ALL
from pipelines.shards.job import ShardsJob
from pipelines.shards.material import REJECTED
from pipelines.workspace.ledger import Entry
from pipelines.workspace.workspace import Workspace

_READ: Final = ("expected_tokens", "planned_tokens", "variance")
"""What is read of an entry's detail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageOutcome:
    """The shards of one split of one stage; all sums over shards, tokens with EOD."""

    stage: str
    split: str
    expected: float
    planned: int
    realised: int
    sigma: float
    """Of `planned`, over seeds."""
    padding: int
    draws: int
    """Written."""
    emptied: int
    """Draws that are not written, because cuts leave nothing of their text but white space."""
    rejected: int
    """Draws that are not written, because the tokenizer died on their text."""
    documents: int
    shards: int
    seconds: float
    """Of work, those of several workers added up."""

    @property
    def planning_error(self) -> float:
        """Realised against planned, as a part of it: by how much cuts were misjudged."""
        return self.realised / self.planned - 1 if self.planned else 0.0

    @property
    def padding_share(self) -> float:
        """Part of all tokens that is padding."""
        return self.padding / (self.realised + self.padding) if self.realised else 0.0

    @property
    def tokens_per_second(self) -> float:
        """Realised tokens a second of work."""
        return self.realised / self.seconds if self.seconds else 0.0


def outcomes(workspace: Workspace, plan: Plan, jobs: Sequence[ShardsJob]) -> list[StageOutcome]:
    """What came of each stage and split that has shards, in the order of the plan."""
    found = []
    for job in jobs:
        entries = workspace.ledger.entries(job.generation, job.stage)
        for split in (TRAIN, VALIDATION):
            own = (entry for entry in entries if entry.detail["split"] == split)
            some = [entry.with_detail(*_READ) for entry in own]
            if some:
                found.append(_outcome(plan, job.stage, split, some))
    return found


def _outcome(plan: Plan, stage: str, split: str, entries: Sequence[Entry]) -> StageOutcome:
    sums: Mapping[str, int] = {
        name: sum(entry.counts.get(name, 0) for entry in entries)
        for name in ("tokens", "padding", "draws", "emptied", REJECTED)
    }
    return StageOutcome(
        stage=stage,
        split=split,
        expected=math.fsum(entry.detail["expected_tokens"] for entry in entries),
        planned=sum(entry.detail["planned_tokens"] for entry in entries),
        realised=sums["tokens"] - sums["padding"],
        sigma=math.sqrt(math.fsum(entry.detail["variance"] for entry in entries)),
        padding=sums["padding"],
        draws=sums["draws"],
        emptied=sums["emptied"],
        rejected=sums[REJECTED],
        documents=planned_sum(plan, stage, split, "drawn_documents"),
        shards=sum(bool(entry.files) for entry in entries),
        seconds=math.fsum(entry.seconds for entry in entries),
    )


def planned_sum(plan: Plan, stage: str, split: str, column: str) -> int:
    """What a plan draws in one split of one stage.

    Args:
        plan: Has it in its preview.
        stage: Its name.
        split: TRAIN or VALIDATION.
        column: Of PREVIEW, such as `draws`, or `drawn_documents`, which counts each document once
            although shards that are shuffled as a whole may share it.
    """
    table = plan.preview
    dimension = ALL if split == TRAIN else VALIDATION
    chosen = pc.and_(
        pc.equal(table.column("stage"), stage), pc.equal(table.column("dimension"), dimension)
    )
    return int(pc.sum(table.filter(chosen).column(column)).as_py() or 0)

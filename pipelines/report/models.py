"""What models made and what it cost, as the page and the summary of a run tell it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pipelines.models.costs import Cost, cost_of, money
from pipelines.run_record import RunRecord
from pipelines.workspace.ledger import Entry
from pipelines.workspace.workspace import Workspace

_SUMMED: Final = ("rows", "chosen", "not_chosen", "units", "accepted", "rejected", "documents")


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeFacts:
    """One source that a recipe made, or the pages that a model read for one."""

    name: str
    recipe: str
    """Empty for pages."""
    kind: str
    counts: Mapping[str, int]
    """Seeds, units and documents; of pages only accepted and rejected."""
    reasons: Mapping[str, int]
    """Rejected units by reason."""
    cost: Cost | None
    """None where no model was asked."""

    @property
    def spent(self) -> str:
        """Money, or that no price was stated."""
        if self.cost is None or not self.cost.has_price:
            return "no price"
        return money(self.cost.money, self.cost.price.currency)

    @property
    def per_accepted(self) -> str:
        """Money for a million accepted tokens."""
        if self.cost is None or not self.cost.has_price or self.cost.per_accepted is None:
            return "-"
        return money(self.cost.per_accepted, self.cost.price.currency)


def made_facts(workspace: Workspace, record: RunRecord) -> tuple[MadeFacts, ...]:
    """Every use of a model in a run, and what recipes arranged without one."""
    found = []
    for source, generation in record.extract.items():
        cost = cost_of(f"pages of {source}", workspace.ledger.entries(generation, source))
        if cost is not None and cost.accepted + cost.rejected:
            counts = {"accepted": cost.accepted, "rejected": cost.rejected}
            found.append(
                MadeFacts(
                    name=cost.what,
                    recipe="",
                    kind="transcribed",
                    counts=counts,
                    reasons=cost.reasons,
                    cost=cost,
                )
            )
    for source, generation in record.synthesize.items():
        found.append(_made(source, workspace.ledger.entries(generation, source)))
    return tuple(found)


def _made(source: str, entries: Sequence[Entry]) -> MadeFacts:
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    recipe = kind = ""
    for entry in entries:
        counts.update({name: entry.counts.get(name, 0) for name in _SUMMED})
        reasons.update(entry.detail["rejects"])
        recipe, kind = entry.detail["recipe"], entry.detail["kind"]
    return MadeFacts(
        name=source,
        recipe=recipe,
        kind=kind,
        counts=dict(counts),
        reasons=dict(sorted(reasons.items())),
        cost=cost_of(source, entries),
    )

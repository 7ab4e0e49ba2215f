"""Which generations the plans of a workspace need."""

from collections.abc import Iterable
from typing import Final

from pipelines.mix.plan import read_plan
from pipelines.workspace.workspace import Workspace

_WITH_EVIDENCE: Final = ("deduplicate@", "validation@")  # their payloads name what they rest on


def pinned_generations(workspace: Workspace, folders: Iterable[str]) -> set[str]:
    """`job@fp` of crawls, documents, labels, clusters, planning and shards that these plans need.

    A crawl is always among them: what was fetched once may not be there to be fetched again.
    """
    plans = [read_plan(workspace, folder) for folder in folders]
    if not plans:
        return set()
    pinned: set[str] = set()
    for plan in plans:
        for pins in plan.pins.sources.values():
            pinned |= {pins.documents, *pins.labels.values()}
    whole = {plan.generation.full for plan in plans}
    tallies = {plan.generation.payload["tally"] for plan in plans}
    previews = {plan.generation.payload["preview"] for plan in plans}
    labels = {name for name in pinned if name.startswith("deduplicate@")}
    for name in [name for name in pinned if name.startswith(_WITH_EVIDENCE)]:
        pinned |= set(workspace.ledger.payload(name).get("evidence", ()))
    contents = {workspace.ledger.payload(name)["contents"] for name in labels}
    pinned |= {plan.generation.name for plan in plans}
    for name in workspace.ledger.generations():
        job = name.split("@")[0]
        if job.startswith("crawl"):
            pinned.add(name)
            continue
        try:
            payload = workspace.ledger.payload(name)
        except FileNotFoundError:
            continue  # of a prune that was interrupted
        needed = (
            (job.startswith(("shards.", "scatter.", "sealed.")) and payload["plan"] in whole)
            or (job.startswith("tally.") and workspace.ledger.full(name) in tallies)
            or (job.startswith("histogram.") and payload["tally"] in tallies)
            or (job.startswith("preview.") and workspace.ledger.full(name) in previews)
            or (job == "deduplicate.clusters" and payload["contents"] in contents)
        )
        if needed:
            pinned.add(name)
    return pinned

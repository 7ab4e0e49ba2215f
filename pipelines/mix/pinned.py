"""Which generations the plans of a workspace need."""

from collections.abc import Iterable

from pipelines.mix.plan import read_plan
from pipelines.run_record import read_run_record
from pipelines.workspace.workspace import Workspace


def pinned_generations(workspace: Workspace, folders: Iterable[str]) -> set[str]:
    """`job@fp` of crawls, documents, labels, clusters, planning and shards that these plans need.

    A crawl is always among them: what was fetched once may not be there to be fetched again. Where
    there is no plan because there are no mixtures, as `tokenmill deduplicate` leaves a workspace,
    it is what that command made last.
    """
    plans = [read_plan(workspace, folder) for folder in folders]
    if not plans:
        return _with_evidence(workspace, _of_standalone(workspace))
    pinned: set[str] = set()
    for plan in plans:
        for pins in plan.pins.sources.values():
            pinned |= {pins.documents, *pins.labels.values()}
    whole = {plan.generation.full for plan in plans}
    tallies = {plan.generation.payload["tally"] for plan in plans}
    previews = {plan.generation.payload["preview"] for plan in plans}
    pinned = _with_evidence(workspace, pinned)
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
        )
        if needed:
            pinned.add(name)
    return pinned


def _with_evidence(workspace: Workspace, names: set[str]) -> set[str]:
    """The generations, and those that their payloads name as what they rest on.

    Among these are the compared pairs of near-duplicates, which the next run takes over.
    """
    pinned: set[str] = set()
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        pinned.add(name)
        try:
            waiting |= set(workspace.ledger.payload(name).get("evidence", ())) - pinned
        except FileNotFoundError:
            continue  # of a prune that was interrupted
    return pinned


def _of_standalone(workspace: Workspace) -> set[str]:
    """What run.json names where nobody asked for mixtures; else nothing."""
    try:
        record = read_run_record(workspace)
    except LookupError:
        return set()
    if record.mixtures or record.refused:
        return set()
    sets = [name for named in record.annotate.values() for name in named.values()]
    over_sources = (record.duplicates, record.validation, *record.labels.values())
    named = {*record.documents.values(), *sets, *over_sources, *record.crawl.values()}
    return {name for name in named if name}

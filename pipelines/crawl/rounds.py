"""From one round to the next: what the crawl has found so far, read from committed files alone.

Known is what any frontier names, in whatever state, and where redirects led to; each address is
asked for at most once as a page and once as a sitemap. The driver holds all known addresses of a
crawl in memory while it plans.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from pipelines.config import CrawlConfig
from pipelines.crawl.frontier import Plan, make_plan, targets_in
from pipelines.crawl.schema import PAGE, PLANNED, ROBOTS, SITEMAP, WAITING
from pipelines.crawl.visits import Target
from pipelines.workspace.ledger import Entry
from pipelines.workspace.parts import read_table
from pipelines.workspace.storage import Storage

_Known = set[tuple[str, str]]  # (url, kind)


def plan_round(
    storage: Storage,
    rounds: Sequence[Entry],
    done: Iterable[Entry],
    seeds: Iterable[tuple[str, str]],
    config: CrawlConfig,
) -> Plan:
    """Plans the round that follows.

    Args:
        storage: The workspace's folder.
        rounds: Entries of all frontiers so far; none before the first round.
        done: Entries of all parts of the last round.
        seeds: (url, kind); what the first round asks for.
        config: Of the crawl; `max_pages` counts here.
    """
    if not rounds:
        targets = [Target(url, kind, 0) for url, kind in seeds]
        return make_plan([], targets, Counter(), config.max_pages)
    known: _Known = set()
    carried: list[Target] = []
    taken: Counter[str] = Counter()
    for entry in rounds:
        table = read_table(storage, entry.file("frontier"))
        names = (table.column(name).to_pylist() for name in ("url", "kind"))
        known.update(zip(*names, strict=True))
        carried = targets_in(table, WAITING)
        taken.update(target.kind for target in targets_in(table, PLANNED))
    found, reached = _discoveries(storage, done)
    reached -= known
    plan = make_plan(carried, _new(found, known | reached), taken, config.max_pages)
    plan.reached = [Target(url, kind, 0) for url, kind in sorted(reached)]
    return plan


def _discoveries(storage: Storage, done: Iterable[Entry]) -> tuple[list[Target], _Known]:
    """What the pages of a round link to, and where its redirects led."""
    found: dict[tuple[str, str], Target] = {}
    reached: _Known = set()
    for entry in done:
        fetches = read_table(storage, entry.file("fetches"), ["final_url", "kind"])
        for url, kind in zip(*(c.to_pylist() for c in fetches.columns), strict=True):
            if url is not None and kind != ROBOTS:
                reached.add((url, kind))
        for row in read_table(storage, entry.file("links")).to_pylist():
            target = Target(**row)
            known = found.setdefault((target.url, target.kind), target)
            if target.depth < known.depth:
                found[target.url, target.kind] = target
    return list(found.values()), reached


def _new(found: Sequence[Target], known: _Known) -> list[Target]:
    """What is not known yet; an address known as a sitemap is no page, though pages link to it."""
    sitemaps = {url for url, kind in known if kind == SITEMAP}
    sitemaps.update(target.url for target in found if target.kind == SITEMAP)
    return [
        target
        for target in found
        if (target.url, target.kind) not in known
        and not (target.kind == PAGE and target.url in sitemaps)
    ]

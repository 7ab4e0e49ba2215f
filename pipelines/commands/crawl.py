"""`tokenmill crawl`: web pages into WARC files, without a corpus.

The output folder is a workspace with the files that a run of a corpus would write: WARC archives in
`raw/`, what became of every address in `fetches/`, and the plans of all rounds. A further call goes
on where a killed one was; with a higher `passes` it visits the pages again.
"""

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from pipelines.crawl.job import CrawlJob
    from pipelines.stages import Stages


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("crawl")(crawl)


def crawl(
    seed: Annotated[
        list[str] | None,
        typer.Option(help="Address to start from, or a sitemap; may be given more than once."),
    ] = None,
    contact: Annotated[
        str | None,
        typer.Option(help="E-mail or URL of whoever crawls; stands in the user agent."),
    ] = None,
    output: Annotated[
        str | None, typer.Option(metavar="DIR", help="Folder for the archives.")
    ] = None,
    name: Annotated[str, typer.Option(help="Of the source, which names its files.")] = "crawl",
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="A key of `crawl` in corpus.yaml, such as max_pages=1000 or delay=2; may be given "
            "more than once.",
        ),
    ] = None,
    connect: Annotated[
        list[str] | None,
        typer.Option(help="HOST=ADDRESS:PORT: reach a host there; may be given more than once."),
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Child processes; default: the cores.")
    ] = None,
) -> None:
    """Crawls web pages, politely, into WARC files.

    robots.txt and what pages say to robots is obeyed; private addresses are refused.
    """
    missing = [
        flag
        for flag, value in (("--seed", seed), ("--contact", contact), ("--output", output))
        if not value
    ]
    if missing:
        raise ValueError(
            f"{missing[0]}: missing; allowed are --seed URL --contact ADDRESS --output DIR: add it"
        )
    from pipelines.commands.options import parse_options
    from pipelines.commands.run import connections
    from pipelines.commands.screen import open_console
    from pipelines.config import CrawlConfig, SourceConfig, read_section
    from pipelines.standalone_extract import crawl_pages, open_output

    written = {**parse_options(option or []), "seeds": seed, "contact": contact}
    settings = read_section(("sources", "crawl"), written)
    assert isinstance(settings, CrawlConfig)
    assert output is not None
    source = read_section(("sources",), {"name": name, "crawl": settings})
    assert isinstance(source, SourceConfig)
    with open_output(output, processes, connections(connect or [])) as stages:
        job = crawl_pages(stages, source)
    _show(open_console(), stages, job)


def _show(console: "Console", stages: "Stages", job: "CrawlJob") -> None:
    """Addresses by what became of them, and where the archives are."""
    from pipelines.crawl.schema import PLANNED
    from pipelines.crawl.targets import DEFERRED

    entries = stages.workspace.ledger.entries(job.generation, job.source)
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    num_bytes = 0
    for entry in entries:
        counts.update({key: entry.counts[key] for key in ("asked", "fetched", "not_fetched")})
        reasons.update(entry.detail["reasons"])
        num_bytes += entry.detail["bytes"]
    # The plan that finds nothing left to ask for, with which a pass ends, is no round.
    plans = stages.workspace.ledger.entries(job.frontier, job.source)
    rounds = sum(plan.counts[PLANNED] > 0 for plan in plans)
    deferred = sum(reasons.pop(reason, 0) for reason in DEFERRED)
    console.print(
        f"\n{counts['asked'] - deferred:,} addresses asked for in {rounds:,} "
        f"{'round' if rounds == 1 else 'rounds'} = {counts['fetched']:,} fetched + "
        f"{counts['not_fetched'] - deferred:,} not; {num_bytes / 1e6:,.2f} MB",
        soft_wrap=True,
    )
    if deferred:
        console.print(
            f"Put off, as their hosts were busy: {deferred:,}; a later round asks for them again, "
            "a few times",
            soft_wrap=True,
        )
    if reasons:
        told = ", ".join(f"{reason} {count:,}" for reason, count in reasons.most_common())
        console.print(f"Not fetched: {told}", soft_wrap=True)
    url = stages.workspace.url.rstrip("/")
    console.print(f"Archives: {url}/raw/{job.source}/*.warc.gz", soft_wrap=True)
    console.print(
        f"Their texts: tokenmill extract --input '{url}/raw/{job.source}/*.warc.gz' --output DIR",
        soft_wrap=True,
    )

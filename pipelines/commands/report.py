"""`tokenmill report`: one HTML page that says what a run made of a corpus."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("report")(report)


def report(
    workspace: Annotated[str, typer.Argument(help="Folder or URL of a workspace.")],
    output: Annotated[
        str | None,
        typer.Option(help="Where the page goes; by default report/index.html in the workspace."),
    ] = None,
    samples: Annotated[
        int, typer.Option(min=0, max=20, help="Documents to show for each label.")
    ] = 3,
    core_hour_price: Annotated[
        float | None,
        typer.Option(min=0.0, help="Price of one core for an hour; shows what the run cost."),
    ] = None,
    currency: Annotated[str, typer.Option(help="Of the price.")] = "USD",
    cores_per_worker: Annotated[
        int, typer.Option(min=1, help="Cores that one worker held, for the price.")
    ] = 1,
) -> None:
    """Writes a page that shows what came in, what was left out and why, and what came out.

    The page is one file that needs no network, and shows no personal data that was found.
    """
    from pipelines.report.page import Price
    from pipelines.report.write import write_report
    from pipelines.workspace.workspace import Workspace

    price = None
    if core_hour_price is not None:
        price = Price(core_hour=core_hour_price, currency=currency, cores=cores_per_worker)
    opened = Workspace.open(workspace)
    written = write_report(opened, output=output, per_label=samples, price=price)
    typer.echo(f"{written.url} ({written.bytes:,} bytes, {written.checks:,} sums checked)")
    for check in written.faults:
        terms = " + ".join(f"{name} {count:,}" for name, count in check.terms)
        typer.echo(
            f"does not add up: {check.where}: {check.total[0]} {check.total[1]:,}, but {terms}; "
            "run `tokenmill audit`",
            err=True,
        )

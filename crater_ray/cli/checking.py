"""The commands that say how a run stands: verify and status."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from crater_ray.cli.options import Endpoint, RunPath, console_on

commands = typer.Typer()


@commands.command()
def verify(run: RunPath, endpoint_url: Endpoint = None) -> None:
    """Check that every image of the manifest has exactly one row. Exit 0 only if so."""
    from crater_ray.cli.summaries import show_check
    from crater_ray.runs.run import open_existing
    from crater_ray.storage.access import Access

    with open_existing(run, Access(endpoint_url)) as opened:
        check = opened.check()
        declared = opened.success() is not None
        show_check(opened, check, declared, console_on(sys.stdout))
    if not check.whole:
        raise typer.Exit(1)


@commands.command()
def status(
    run: RunPath,
    problems: Annotated[
        str | None,
        typer.Option(
            "--problems", metavar="FILE", help="Write the images without a score, and why, as CSV; - for stdout."
        ),
    ] = None,
    endpoint_url: Endpoint = None,
) -> None:
    """Show how far a run is: shards done and missing, images a minute, counts by status."""
    from crater_ray.cli.summaries import show_status
    from crater_ray.images.status import OK
    from crater_ray.results.candidates import write_csv
    from crater_ray.results.open_run import Results
    from crater_ray.runs.run import open_existing
    from crater_ray.storage.access import Access

    with open_existing(run, Access(endpoint_url)) as opened:
        if problems:
            write_csv(Results(opened).table(["key", "status", "error", "uri"], f"status != '{OK}'"), problems)
        if problems != "-":
            show_status(opened, opened.check(), console_on(sys.stdout))

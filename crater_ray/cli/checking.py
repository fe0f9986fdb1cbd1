"""The commands that say how a run stands: verify and status."""

from __future__ import annotations

import sys

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
def status(run: RunPath, endpoint_url: Endpoint = None) -> None:
    """Show how far a run is: shards done and missing, images a minute, counts by status."""
    from crater_ray.cli.summaries import show_status
    from crater_ray.runs.run import open_existing
    from crater_ray.storage.access import Access

    with open_existing(run, Access(endpoint_url)) as opened:
        show_status(opened, opened.check(), console_on(sys.stdout))

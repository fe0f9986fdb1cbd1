"""The commands that score images: scan and rescan."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from crater_ray.cli.options import ListColumn, OutputRun, RunPath, ScanOptions, console_on, spread

if TYPE_CHECKING:
    from rich.console import Console

    from crater_ray.scanning.scan import Outcome

commands = typer.Typer()


@commands.command()
@spread
def scan(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="A folder, s3://..., gs://..., az://..., or a key list (.txt, .csv, .tsv, .parquet)."
        ),
    ],
    out: OutputRun,
    base: Annotated[
        str | None,
        typer.Option("--base", metavar="DIR", help="What a key list's entries are relative to.  (default: its folder)"),
    ] = None,
    column: ListColumn = None,
    *,
    options: ScanOptions,
) -> None:
    """Score every image of an archive. The same command again goes on where a stopped scan left off."""
    settings = options.settings(source, out, base, column)
    if options.dry_run:
        from crater_ray.scanning.dry_run import dry_run

        dry_run(settings, console_on())
        return
    from crater_ray.scanning.scan import scan as run_scan

    _finish(lambda console: run_scan(settings, console))


@commands.command()
@spread
def rescan(
    run: RunPath,
    out: OutputRun,
    where: Annotated[
        str | None,
        typer.Option("--where", metavar="CONDITION", help="Only images whose row meets it, as in 'score >= 0.001'."),
    ] = None,
    keys: Annotated[
        str | None,
        typer.Option("--keys", metavar="FILE", help="Only the images of this list (.txt, .csv, .tsv, .parquet)."),
    ] = None,
    column: ListColumn = None,
    status: Annotated[
        list[str] | None,
        typer.Option("--status", metavar="STATUS", help="Only images with this status, as unreadable; repeatable."),
    ] = None,
    *,
    options: ScanOptions,
) -> None:
    """Score the images of a run again, all or some, without listing the archive. The run itself stays as it is."""
    from crater_ray.results import rescan as rescanning

    settings = options.settings(run, out)
    conditions = rescanning.Conditions(where, keys, tuple(status or ()), column)
    if options.dry_run:
        rescanning.dry_run(settings, console_on(), conditions)
        return
    _finish(lambda console: rescanning.rescan(settings, console, conditions))


def _finish(work: Callable[[Console], Outcome]) -> None:
    """Scan, say how it went, and exit 1 unless every shard is done."""
    from crater_ray.cli.summaries import show_outcome

    console = console_on()
    try:
        outcome = work(console)
    except KeyboardInterrupt:
        console.print(
            "Stopped. Everything that was finished is kept; run the same command again to go on.", highlight=False
        )
        raise typer.Exit(1) from None
    show_outcome(outcome, console)
    if outcome.failed:
        raise typer.Exit(1)

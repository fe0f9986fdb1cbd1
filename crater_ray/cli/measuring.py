"""The command that measures what a run could have found: completeness."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from crater_ray.cli.options import Anonymous, Endpoint, PixelSize, RequesterPays, RunPath, console_on
from crater_ray.cli.results import ImageTable

commands = typer.Typer()


@commands.command()
def completeness(
    run: RunPath,
    images: Annotated[
        int, typer.Option("--images", metavar="N", help="Plant so many craters, one an image of the run.")
    ] = 1_000,
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="Decides which images, and which craters.")] = 0,
    diameters: Annotated[
        tuple[float, float], typer.Option("--diameters", metavar="LOW HIGH", help="Diameters of the craters in px.")
    ] = (3.0, 40.0),
    strengths: Annotated[
        tuple[float, float],
        typer.Option("--strengths", metavar="LOW HIGH", help="How strongly they differ from the foil; 1 is physics."),
    ] = (0.25, 2.0),
    bundle: Annotated[
        str | None, typer.Option("--bundle", metavar="DIR", help="The run's network, unless it ships with crater-ray.")
    ] = None,
    table: ImageTable = None,
    pixel_size: PixelSize = None,
    page: Annotated[Path | None, typer.Option("--page", metavar="FILE", help="Also write the page here.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Also write the table here.")] = None,
    anonymous: Anonymous = False,
    endpoint_url: Endpoint = None,
    requester_pays: RequesterPays = False,
    address: Annotated[
        str | None,
        typer.Option("--address", metavar="ADDR", help="A Ray cluster to use.  (default: this machine alone)"),
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option("--log", metavar="FILE", help="Append a log to this file: one JSON object a line."),
    ] = None,
) -> None:
    """Plant craters into a run's own images, scan those as the run was scanned, and say which share is found.

    The same command again goes on where a stopped one left off, or reports anew, with the verdicts given since.
    """
    from crater_ray.completeness.measure import measure
    from crater_ray.completeness.publish import publish, show_published
    from crater_ray.completeness.report import completeness_of
    from crater_ray.completeness.settings import Measurement
    from crater_ray.completeness.show import show_completeness
    from crater_ray.results.image_table import read_image_table
    from crater_ray.runs.run import open_existing
    from crater_ray.storage.access import Access

    access = Access(endpoint_url, anonymous, requester_pays)
    told = Measurement(run, images, seed, diameters, strengths, bundle, table, pixel_size, access, address, log)
    console = console_on()
    with open_existing(run, access) as opened:
        try:
            outcome = measure(opened, told, console)
        except KeyboardInterrupt:
            console.print(
                "Stopped. Everything that was finished is kept; run the same command again to go on.", highlight=False
            )
            raise typer.Exit(1) from None
        if outcome.failed:
            for shard, reason in sorted(outcome.failed.items())[:5]:
                console.print(f"  shard {shard}: {reason}", highlight=False, markup=False)
            console.print("Not all images could be done. Run the same command again to do the rest.", highlight=False)
            raise typer.Exit(1)
        image_table = read_image_table(table) if table else None
        measured = completeness_of(opened, image_table=image_table, pixel_nm=pixel_size, access=access)
        show_completeness(measured, console_on(sys.stdout))
        show_published(publish(opened, measured, access, page=page, csv=csv), console_on(sys.stdout))

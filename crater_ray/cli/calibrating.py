"""The command that prepares a bundle for an engine: calibrate."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from crater_ray.cli.options import Anonymous, Endpoint, RequesterPays, console_on
from crater_ray.engines.registry import names_with_figures

commands = typer.Typer()


@commands.command()
def calibrate(
    source: Annotated[
        str | None,
        typer.Argument(metavar="SOURCE", help="A folder, s3://bucket/prefix, or a key list.  (default: simulated)"),
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option("--bundle", metavar="DIR", help="The network.  (default: the one shipped)")
    ] = None,
    engine: Annotated[
        str, typer.Option("--engine", metavar="NAME", help=f"One of {', '.join(names_with_figures())}, or all.")
    ] = "openvino",
    images: Annotated[int, typer.Option("--images", metavar="N", min=1, help="Images to compare on.")] = 1_000,
    calibration: Annotated[
        int, typer.Option("--calibration", metavar="N", min=1, help="Other images, to take ranges from.")
    ] = 200,
    confirm: Annotated[
        float | None,
        typer.Option(
            "--confirm",
            metavar="W",
            min=0,
            max=0.5,
            help="Scores this near the threshold again in float32.  (default: what it takes to keep enough)",
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", metavar="T", help="Images from this score on are candidates.  (default: bundle's)"),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="Decides which images are taken.")] = 1,
    write: Annotated[bool, typer.Option("--write", help="Keep both in the bundle's card.")] = False,
    anonymous: Anonymous = False,
    endpoint_url: Endpoint = None,
    requester_pays: RequesterPays = False,
) -> None:
    """Measure how an engine agrees with float32 on your images; calibrate 8-bit numbers first. Exit 1 if it keeps too
    few candidates."""
    from crater_ray.engines.choice import KEPT_SHARE
    from crater_ray.network.bundle import DEFAULT
    from crater_ray.scanning.calibration import CalibrationSettings
    from crater_ray.scanning.calibration import calibrate as run
    from crater_ray.storage.access import Access

    settings = CalibrationSettings(
        source=source,
        bundle=bundle or DEFAULT,
        engine=engine,
        images=images,
        calibration=calibration,
        confirm=confirm,
        threshold=threshold,
        seed=seed,
        write=write,
        access=Access(endpoint_url, anonymous, requester_pays),
    )
    measured = run(settings, console_on(sys.stdout))
    if any(found.agreement.kept_share < KEPT_SHARE for found in measured):
        raise typer.Exit(1)

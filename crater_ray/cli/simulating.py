"""The commands that need no archive: simulate makes one, demo shows everything on one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from crater_ray.cli.options import console_on
from crater_ray.errors import CraterRayError

commands = typer.Typer()


@commands.command()
def simulate(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to make.")],
    images: Annotated[int, typer.Option("--images", metavar="N", help="How many images.")],
    craters: Annotated[int, typer.Option("--craters", metavar="M", help="How many of them get a crater.")],
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="Same seed, same bytes.")] = 0,
    foil: Annotated[
        int | None, typer.Option("--foil", metavar="F", help="All images show this foil.  (default: each one another)")
    ] = None,
) -> None:
    """Make foil images with planted craters in the site's layout, and labels.csv with where they are."""
    from rich.progress import Progress

    from crater_ray.simulate import simulate_archive

    console = console_on()
    try:
        with Progress(console=console, transient=True) as bar:
            task = bar.add_task("simulating", total=images)
            labels = simulate_archive(
                out,
                images,
                craters,
                seed,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
                foil=foil,
            )
    except KeyboardInterrupt:
        raise CraterRayError(f"Stopped. Nothing is kept of the archive at {str(out)!r}.") from None
    console.print(f"{images:,} images, {craters:,} with a crater: {labels}", highlight=False, soft_wrap=True)


@commands.command()
def demo(out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to make.")]) -> None:
    """Simulate a small archive, scan it, and say how many planted craters were found."""
    from crater_ray.cli.demo import demonstrate

    demonstrate(out, console_on(sys.stdout))

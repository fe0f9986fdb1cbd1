"""The command that distils a screen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crater_ray.errors import UsageError
from training.cli.options import Precision, Threads


def distill(
    bundle: Annotated[Path, typer.Argument(help="The bundle's folder; its screen is written into it.")],
    data: Annotated[list[Path], typer.Option(help="Whole images to learn from: a data set, or a folder of images.")],
    validation: Annotated[
        list[Path] | None, typer.Option(help="Held-out whole images, to set the thresholds on; without any, all pass.")
    ] = None,
    work: Annotated[Path, typer.Option(help="Folder that keeps what the full network said.")] = Path("distilled"),
    images: Annotated[int | None, typer.Option(help="Learn from so many images of each set at most.")] = None,
    minutes: Annotated[float, typer.Option(help="Budget of wall time for fitting.")] = 15.0,
    see: Annotated[
        int | None, typer.Option(help="Images to see while fitting, again and again; 0 only sets the thresholds.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images in a batch; 64 for a GPU.")] = 8,
    rate: Annotated[float | None, typer.Option(help="Highest learning rate; else one that goes with --batch.")] = None,
    settle: Annotated[bool, typer.Option(help="With --start and a small --rate: its last, steady steps.")] = False,
    keep: Annotated[float, typer.Option(help="Share of the full network's candidates that must pass.")] = 0.999,
    crater_share: Annotated[float, typer.Option(help="Of the archive's images, hold a crater.")] = 0.02,
    start: Annotated[Path | None, typer.Option(help="A bundle with a screen to go on from.")] = None,
    seed: Annotated[int, typer.Option(help="Decides first weights and order.")] = 0,
    precision: Precision = "auto",
    threads: Threads = 0,
) -> None:
    """Make a bundle's screen: a small network that learns from the full one to find safely empty images."""
    import json
    from dataclasses import replace

    from training import backend
    from training.progress import bar

    backend.start(threads)
    from crater_ray.network.bundle import load
    from crater_ray.network.stardust import TILE
    from training.distillation import distill as distilling
    from training.distillation.answers import ask_teacher, exact, open_images
    from training.distillation.screen_threshold import Promise

    full, dtype = load(bundle), backend.policy(precision)
    initial = load(start).screen if start else None
    if start and initial is None:
        raise UsageError(f"The bundle {str(start)!r} has no screen to go on from.")
    if see == 0 and start is None:
        raise UsageError(
            "--see 0 learns nothing: give --start, a bundle with the screen whose thresholds are to be set."
        )
    with bar("images looked at by the full network") as tell:
        examples = [ask_teacher(full, open_images(path, TILE, images), work, dtype, tell) for path in data]
        held_out = [
            exact(full, ask_teacher(full, open_images(path, TILE), work, dtype, tell), tell)
            for path in validation or []
        ]
    settings = distilling.Settings(
        minutes=minutes,
        images=see,
        batch=batch,
        rate=rate,
        settle=settle,
        seed=seed,
        dtype=dtype,
        promise=Promise(keep, crater_share),
    )
    screen = distilling.distill(full, examples, held_out, settings, lambda line: print(line, flush=True), initial)
    replace(full, screen=screen).save(bundle)
    print(json.dumps(screen.figures, indent=2))
    print(f"Screen {screen.id}: {bundle}")
    if not held_out:
        print(f"It lets all images pass, until its thresholds are set: --start {bundle} --see 0 --validation ...")

"""The command that repeats the original's own claim by its own protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.cli.options import Precision, Threads


def reproduce(
    out: Annotated[Path, typer.Argument(help="Folder of images, fit, bundle and report. Run again to go on.")],
    minutes: Annotated[float, typer.Option(help="Of this call; its figures take some more.")] = 60.0,
    frames: Annotated[
        Path | None, typer.Option(help="Folder of images of foil without craters; else simulated.")
    ] = None,
    seeds: Annotated[
        Path | None, typer.Option(help="Folder of PNG cut-outs of craters; else the simulator's 97.")
    ] = None,
    simulated_frames: Annotated[int, typer.Option(help="How many, without --frames.")] = 400,
    images: Annotated[int, typer.Option(help="Of 150x150 to train on in step 1, half with a crater.")] = 20_000,
    whole_images: Annotated[int, typer.Option(help="Of 384x512 to train on in step 2.")] = 6_000,
    epoch_images: Annotated[int, typer.Option(help="From one validation to the next in step 1.")] = 6_000,
    patience: Annotated[int, typer.Option(min=1, help="Epochs without a better one after which a step ends.")] = 50,
    seed: Annotated[int, typer.Option(help="Decides everything random.")] = 0,
    precision: Precision = "auto",
    threads: Threads = 0,
) -> None:
    """Train as the original was, same seeds and frames in all splits, and measure its 99.8%; goes on when run again."""
    from training import backend
    from training.progress import bar

    backend.start(threads)
    from training.reproduction.protocol import Protocol
    from training.reproduction.reproduce import reproduce as run

    protocol = Protocol(
        crops=images,
        whole=whole_images,
        frames=simulated_frames,
        frames_folder=str(frames.absolute()) if frames else None,
        seeds_folder=str(seeds.absolute()) if seeds else None,
        epoch_images=epoch_images,
        patience=patience,
        seed=seed,
    )
    with bar("this part") as tell:
        run(
            protocol,
            out,
            minutes=minutes,
            dtype=backend.policy(precision),
            workers=threads or 2,
            say=lambda line: print(line, flush=True),
            tell=tell,
        )

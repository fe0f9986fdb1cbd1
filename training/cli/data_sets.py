"""The command that makes data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.cli.options import read_shape
from training.recipes import RECIPES


def synthesize(
    out: Annotated[Path, typer.Argument(help="Folder of the new data set.")],
    recipe: Annotated[str, typer.Option(help=f"One of {', '.join(RECIPES)}; foreign for tests.")] = "matched",
    images: Annotated[int, typer.Option(help="How many images; every other one has a crater.")] = 20_000,
    size: Annotated[str, typer.Option(help="Height x width in pixels, such as 150x150 or 384x512.")] = "150x150",
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "train",
    seed: Annotated[int, typer.Option(help="Decides everything random but the split.")] = 0,
    split_seed: Annotated[int, typer.Option(help="Decides which seed craters and backgrounds a split has.")] = 0,
    seeds: Annotated[Path | None, typer.Option(help="Folder of PNG cut-outs; else the simulator's.")] = None,
    backgrounds: Annotated[str | None, typer.Option(help="Folder or s3:// of blanks, beside simulated foil.")] = None,
    least_diameter: Annotated[float | None, typer.Option(help="Leave out smaller craters, in pixels.")] = None,
    plain: Annotated[bool, typer.Option(help="Take photographs as they are, without new contrast or noise.")] = False,
    most_craters: Annotated[int, typer.Option(help="Up to so many craters in an image that has any.")] = 1,
    workers: Annotated[int, typer.Option(help="Processes at once.")] = 2,
) -> None:
    """Warp seed craters and blend them into blanks: a data set folder."""
    from training.data_sets.synthesize import Order
    from training.data_sets.synthesize import synthesize as make
    from training.progress import bar

    order = Order(
        recipe=recipe,
        images=images,
        shape=read_shape(size),
        split=split,
        seed=seed,
        split_seed=split_seed,
        seeds_folder=str(seeds) if seeds else None,
        backgrounds=backgrounds,
        least_diameter=least_diameter,
        plain=plain,
        most_craters=most_craters,
    )
    with bar("images") as tell:
        card = make(order, out, workers=workers, progress=tell)
    print(f"{card['images']:,} images, {card['craters']:,} with a crater, digest {card['digest']}: {out}")

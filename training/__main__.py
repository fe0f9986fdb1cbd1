"""The command line: `python -m training COMMAND`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from crater_ray.errors import CraterRayError, UsageError

app = typer.Typer(
    help="Make a network: data sets, fitting, evaluation, the older methods, explanation, retraining.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _commands() -> None:
    """Keeps `synthesize` a command of its own also while it is the only one."""


@app.command()
def synthesize(
    out: Annotated[Path, typer.Argument(help="Folder of the new data set.")],
    recipe: Annotated[str, typer.Option(help="original or matched.")] = "matched",
    images: Annotated[int, typer.Option(help="How many images; every other one has a crater.")] = 20_000,
    size: Annotated[str, typer.Option(help="Height x width in pixels, such as 150x150 or 384x512.")] = "150x150",
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "train",
    seed: Annotated[int, typer.Option(help="Decides everything random but the split.")] = 0,
    split_seed: Annotated[int, typer.Option(help="Decides which seed craters and backgrounds a split has.")] = 0,
    seeds: Annotated[
        Path | None, typer.Option(help="Folder of PNG cut-outs; the simulator's library if absent.")
    ] = None,
    backgrounds: Annotated[
        str | None, typer.Option(help="Folder or s3:// of blanks to use beside simulated foil.")
    ] = None,
    least_diameter: Annotated[float | None, typer.Option(help="Leave out smaller craters, in pixels.")] = None,
    plain: Annotated[bool, typer.Option(help="Take photographs as they are, without new contrast or noise.")] = False,
    workers: Annotated[int, typer.Option(help="Processes at once.")] = 2,
) -> None:
    """Warp seed craters and merge them into blanks: a data set folder."""
    from training.progress import bar
    from training.synthesize import Order
    from training.synthesize import synthesize as make

    order = Order(
        recipe=recipe,
        images=images,
        shape=_shape(size),
        split=split,
        seed=seed,
        split_seed=split_seed,
        seeds_folder=str(seeds) if seeds else None,
        backgrounds=backgrounds,
        least_diameter=least_diameter,
        plain=plain,
    )
    with bar("images") as tell:
        card = make(order, out, workers=workers, progress=tell)
    print(f"{card['images']:,} images, {card['craters']:,} with a crater, digest {card['digest']}: {out}")


@app.command()
def fit(
    out: Annotated[Path, typer.Argument(help="Folder of the fit: checkpoint, log, best weights. Run again to resume.")],
    data: Annotated[Path, typer.Option(help="Training data set of crops, such as 150x150.")],
    validation: Annotated[Path, typer.Option(help="Validation data set of crops.")],
    whole: Annotated[Path | None, typer.Option(help="Training data set of whole images, for step 2.")] = None,
    whole_validation: Annotated[Path | None, typer.Option(help="Validation data set of whole images.")] = None,
    recipe: Annotated[str, typer.Option(help="original or matched.")] = "matched",
    minutes: Annotated[float, typer.Option(help="Budget of wall time for both steps together.")] = 60.0,
    megapixels: Annotated[
        float | None, typer.Option(help="Budget in image area: equal compute for two recipes.")
    ] = None,
    step_two: Annotated[float, typer.Option(help="Share of the budget for step 2; 0 leaves it out.")] = 0.2,
    epoch_images: Annotated[int, typer.Option(help="Images from one checkpoint to the next in step 1.")] = 6400,
    batch: Annotated[int, typer.Option(help="Images in a batch of step 1.")] = 64,
    batch_whole: Annotated[int, typer.Option(help="Images in a batch of step 2.")] = 8,
    seed: Annotated[int, typer.Option(help="Decides first weights, order and crops.")] = 0,
    precision: Annotated[str, typer.Option(help="auto, float32, mixed_bfloat16 or mixed_float16.")] = "auto",
    threads: Annotated[int, typer.Option(help="Cores to use; 0 for all.")] = 0,
) -> None:
    """Fit the network in two steps; resumes where a killed fit stopped."""
    from training import backend, dataset

    backend.start(threads)
    from training.fit import Data, Settings
    from training.fit import fit as run

    settings = Settings(
        recipe=recipe,
        seed=seed,
        minutes=minutes,
        megapixels=megapixels,
        step_two_share=step_two,
        epoch_images=epoch_images,
        batches=(batch, batch_whole),
        dtype=backend.policy(precision),
    )
    opened = [dataset.read(path) if path else None for path in (whole, whole_validation)]
    run(
        settings,
        Data(dataset.read(data), dataset.read(validation), *opened),
        out,
        say=lambda line: print(line, flush=True),
    )


def _shape(size: str) -> tuple[int, int]:
    try:
        height, width = (int(part) for part in size.lower().split("x"))
    except ValueError:
        raise UsageError(f"--size must be HEIGHTxWIDTH such as 150x150; received: {size!r}") from None
    return height, width


def main() -> None:
    """Run a command; explain a problem in one line and exit 2 for wrong use, 1 for failure."""
    try:
        app()
    except CraterRayError as problem:
        print(f"Error: {problem}", file=sys.stderr)
        raise SystemExit(problem.exit_code) from None


if __name__ == "__main__":
    main()

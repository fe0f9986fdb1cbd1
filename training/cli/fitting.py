"""The commands that fit a network and turn the fit into a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crater_ray.network.stardust import FILTERS
from training.cli.options import Precision, Threads, read_numbers
from training.recipes import RECIPES


def fit(
    out: Annotated[Path, typer.Argument(help="Folder of the fit: checkpoint, log, best weights. Run again to resume.")],
    data: Annotated[list[Path], typer.Option(help="Training data set for step 1; may be given several times.")],
    validation: Annotated[Path, typer.Option(help="Validation data set of crops.")],
    whole: Annotated[
        list[Path] | None, typer.Option(help="Whole images for step 2; may be given several times.")
    ] = None,
    whole_validation: Annotated[Path | None, typer.Option(help="Validation data set of whole images.")] = None,
    recipe: Annotated[str, typer.Option(help=f"One of {', '.join(RECIPES)}.")] = "matched",
    minutes: Annotated[float, typer.Option(help="Budget of wall time for both steps together.")] = 60.0,
    megapixels: Annotated[float | None, typer.Option(help="Budget in image area: equal compute.")] = None,
    step_two: Annotated[float, typer.Option(help="Share of the budget for step 2; 0 leaves it out.")] = 0.2,
    epoch_images: Annotated[int, typer.Option(help="Images from one checkpoint to the next in step 1.")] = 6400,
    batch: Annotated[int, typer.Option(help="Images in a batch of step 1.")] = 64,
    batch_whole: Annotated[int, typer.Option(help="Images in a batch of step 2.")] = 8,
    start: Annotated[Path | None, typer.Option(help="Folder of another fit, or of a bundle, to go on from.")] = None,
    teacher: Annotated[Path | None, typer.Option(help="A bundle to learn from and to begin as a part of.")] = None,
    filters: Annotated[str | None, typer.Option(help="Of each convolution, pruned: such as 16,32,32,64,...")] = None,
    screen_share: Annotated[
        float, typer.Option(min=0, max=1, help="Of the teacher's screen in its word on whole images.")
    ] = 0.0,
    learning_rate: Annotated[float | None, typer.Option(help="The highest; the recipe's if absent.")] = None,
    seed: Annotated[int, typer.Option(help="Decides first weights, order and crops.")] = 0,
    precision: Precision = "auto",
    threads: Threads = 0,
) -> None:
    """Fit the network in two steps; resumes where a killed fit stopped."""
    from training import backend

    backend.start(threads)
    from crater_ray.network.bundle import load
    from training.data_sets import dataset
    from training.fitting.fit import fit as run
    from training.fitting.initial_weights import InitialWeights
    from training.fitting.pruning import check_filters
    from training.fitting.settings import Budget, Data, Settings

    settings = Settings(
        recipe=recipe,
        budget=Budget(minutes, megapixels),
        seed=seed,
        step_two_share=step_two,
        epoch_images=epoch_images,
        batches=(batch, batch_whole),
        dtype=backend.policy(precision),
        learning_rate=learning_rate,
        filters=check_filters(read_numbers(filters, "--filters")) if filters else FILTERS,
        screen_share=screen_share,
    )

    def opened(paths: list[Path] | None) -> dataset.DataSet | None:
        return dataset.join([dataset.read(path) for path in paths]) if paths else None

    train = dataset.join([dataset.read(path) for path in data])
    held_out = opened([whole_validation] if whole_validation else None)
    initial = InitialWeights(earlier=start, teacher=load(teacher) if teacher else None)
    run(
        settings,
        Data(train, dataset.read(validation), opened(whole), held_out),
        out,
        initial,
        say=lambda line: print(line, flush=True),
    )


def calibrate(
    fit_folder: Annotated[Path, typer.Argument(help="Folder of a fit, finished or not.")],
    out: Annotated[Path, typer.Argument(help="Folder of the new bundle.")],
    data: Annotated[Path, typer.Option(help="Held-out data set of whole images.")],
    name: Annotated[str, typer.Option(help="What people will call the bundle.")] = "matched",
    note: Annotated[str, typer.Option(help="What they should know about it.")] = "",
    limit: Annotated[int | None, typer.Option(help="Use only so many of its images.")] = None,
    threads: Threads = 0,
) -> None:
    """Turn the best weights of a fit into a bundle with calibrated scores and a typical threshold."""
    from training import backend
    from training.data_sets import dataset

    backend.start(threads)
    from training.fitting.calibrate import calibrated_bundle

    held_out = dataset.read(data)
    bundle = calibrated_bundle(fit_folder, held_out.first(limit) if limit else held_out, name=name, note=note)
    bundle.save(out)
    print(f"Bundle {bundle.id}, typical threshold {bundle.typical_threshold}: {out}")

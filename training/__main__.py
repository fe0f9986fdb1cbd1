"""The command line: `python -m training COMMAND`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from crater_ray.errors import CraterRayError, UsageError
from crater_ray.network.stardust import FILTERS

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
    recipe: Annotated[str, typer.Option(help="original, matched, or foreign for tests.")] = "matched",
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
    """Warp seed craters and merge them into blanks: a data set folder."""
    from training.data_sets.synthesize import Order
    from training.data_sets.synthesize import synthesize as make
    from training.progress import bar

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
        most_craters=most_craters,
    )
    with bar("images") as tell:
        card = make(order, out, workers=workers, progress=tell)
    print(f"{card['images']:,} images, {card['craters']:,} with a crater, digest {card['digest']}: {out}")


@app.command()
def fit(
    out: Annotated[Path, typer.Argument(help="Folder of the fit: checkpoint, log, best weights. Run again to resume.")],
    data: Annotated[list[Path], typer.Option(help="Training data set for step 1; may be given several times.")],
    validation: Annotated[Path, typer.Option(help="Validation data set of crops.")],
    whole: Annotated[
        list[Path] | None, typer.Option(help="Whole images for step 2; may be given several times.")
    ] = None,
    whole_validation: Annotated[Path | None, typer.Option(help="Validation data set of whole images.")] = None,
    recipe: Annotated[str, typer.Option(help="original or matched.")] = "matched",
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
    precision: Annotated[str, typer.Option(help="auto, float32, mixed_bfloat16 or mixed_float16.")] = "auto",
    threads: Annotated[int, typer.Option(help="Cores to use; 0 for all.")] = 0,
) -> None:
    """Fit the network in two steps; resumes where a killed fit stopped."""
    from training import backend
    from training.data_sets import dataset

    backend.start(threads)
    from crater_ray.network.bundle import load
    from training.fitting.fit import Data, Settings
    from training.fitting.fit import fit as run
    from training.fitting.pruning import check_filters

    settings = Settings(
        recipe=recipe,
        filters=check_filters(_numbers(filters, "--filters")) if filters else FILTERS,
        seed=seed,
        minutes=minutes,
        megapixels=megapixels,
        step_two_share=step_two,
        epoch_images=epoch_images,
        batches=(batch, batch_whole),
        dtype=backend.policy(precision),
        learning_rate=learning_rate,
        screen_share=screen_share,
    )

    def opened(paths: list[Path] | None) -> dataset.DataSet | None:
        return dataset.join([dataset.read(path) for path in paths]) if paths else None

    train = dataset.join([dataset.read(path) for path in data])
    run(
        settings,
        Data(train, dataset.read(validation), opened(whole), opened([whole_validation] if whole_validation else None)),
        out,
        earlier=start,
        teacher=load(teacher) if teacher else None,
        say=lambda line: print(line, flush=True),
    )


@app.command()
def calibrate(
    fit_folder: Annotated[Path, typer.Argument(help="Folder of a fit, finished or not.")],
    out: Annotated[Path, typer.Argument(help="Folder of the new bundle.")],
    data: Annotated[Path, typer.Option(help="Held-out data set of whole images.")],
    name: Annotated[str, typer.Option(help="What people will call the bundle.")] = "matched",
    note: Annotated[str, typer.Option(help="What they should know about it.")] = "",
    limit: Annotated[int | None, typer.Option(help="Use only so many of its images.")] = None,
    threads: Annotated[int, typer.Option(help="Cores to use; 0 for all.")] = 0,
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


@app.command()
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
    precision: Annotated[str, typer.Option(help="auto, float32, mixed_bfloat16 or mixed_float16.")] = "auto",
    threads: Annotated[int, typer.Option(help="Cores to use; 0 for all.")] = 0,
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
    from training.distillation.answers import exact, open_images, teach
    from training.distillation.screen_threshold import Promise

    full, dtype = load(bundle), backend.policy(precision)
    begun = load(start).screen if start else None
    if start and begun is None:
        raise UsageError(f"The bundle {str(start)!r} has no screen to go on from.")
    if see == 0 and start is None:
        raise UsageError(
            "--see 0 learns nothing: give --start, a bundle with the screen whose thresholds are to be set."
        )
    with bar("images looked at by the full network") as tell:
        lessons = [teach(full, open_images(path, TILE, images), work, dtype, tell) for path in data]
        held_out = [
            exact(full, teach(full, open_images(path, TILE), work, dtype, tell), tell) for path in validation or []
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
    screen = distilling.distill(full, lessons, held_out, settings, lambda line: print(line, flush=True), begun)
    replace(full, screen=screen).save(bundle)
    print(json.dumps(screen.figures, indent=2))
    print(f"Screen {screen.id}: {bundle}")
    if not held_out:
        print(f"It lets all images pass, until its thresholds are set: --start {bundle} --see 0 --validation ...")


@app.command()
def evaluate(
    out: Annotated[Path, typer.Argument(help="Folder of the report.")],
    sets: Annotated[list[Path], typer.Option("--set", help="A test data set; may be given several times.")],
    bundle: Annotated[list[Path] | None, typer.Option(help="A bundle; may be given several times.")] = None,
    older: Annotated[list[Path] | None, typer.Option(help="Settings that older-methods tuned.")] = None,
    limit: Annotated[int | None, typer.Option(help="Use only so many images of each set.")] = None,
    card: Annotated[bool, typer.Option(help="Also write the figures into the card of the first bundle.")] = False,
    threads: Annotated[int, typer.Option(help="Cores to use; 0 for all.")] = 0,
) -> None:
    """Measure bundles and older methods on the same test sets: JSON, Markdown, plots."""
    from training import backend
    from training.data_sets import dataset

    backend.start(threads)
    from crater_ray.network.bundle import load
    from training.evaluation.evaluate import evaluate as run
    from training.evaluation.evaluate import of_bundle, write_card
    from training.older_methods import contender

    contenders = [of_bundle(load(path)) for path in bundle or []]
    contenders += [contender(path, workers=threads) for path in older or []]
    results = run(contenders, {path.name: dataset.read(path) for path in sets}, out, limit=limit)
    if card and bundle:
        write_card(bundle[0], results)
    print(f"Report: {out / 'report.md'}")


@app.command("older-methods")
def older_methods(
    out: Annotated[Path, typer.Argument(help="JSON file for the tuned settings; give it to evaluate --older.")],
    train: Annotated[Path, typer.Option(help="Training data set of whole images.")],
    method: Annotated[str, typer.Option(help="template-matching or canny-hough.")] = "template-matching",
    images: Annotated[int, typer.Option(help="How many training images to tune on.")] = 200,
    workers: Annotated[int, typer.Option(help="Processes at once.")] = 2,
) -> None:
    """Tune template matching or Canny + Hough on the training split."""
    from training.data_sets import dataset
    from training.older_methods import tune

    best = tune(method, dataset.read(train), out, images=images, workers=workers)
    print(f"{best['method']} {best['settings']}: {best['seconds_per_image_and_core']:.2f} s per image and core: {out}")


@app.command()
def explain(
    out: Annotated[Path, typer.Argument(help="Folder for the pictures.")],
    bundle: Annotated[Path | None, typer.Option(help="The bundle; the one that ships if absent.")] = None,
    run: Annotated[str | None, typer.Option(help="A run whose top candidates are drawn too.")] = None,
    seed: Annotated[int, typer.Option(help="Decides which crater and scratch are shown.")] = 0,
) -> None:
    """Draw filter responses on a crater and a scratch, warped craters, and the top candidates of a run."""
    from training import backend

    backend.start()
    from crater_ray.network.bundle import DEFAULT, load
    from training.evaluation.explain import explain as draw

    for path in draw(load(bundle or DEFAULT), out, seed=seed, run=run):
        print(path)


@app.command()
def retrain(
    out: Annotated[Path, typer.Argument(help="Folder: the new bundle, comparison.json, and fit/ with its log.")],
    images: Annotated[Path, typer.Option(help="Folder of the added images, by key.")],
    verdicts: Annotated[Path, typer.Option(help="CSV with the columns key and verdict (crater or blank).")],
    base: Annotated[Path, typer.Option(help="Training data set of whole images.")],
    validation: Annotated[Path, typer.Option(help="Held-out data set of whole images.")],
    test: Annotated[Path, typer.Option(help="Frozen test data set of whole images.")],
    bundle: Annotated[Path | None, typer.Option(help="Where to start; the bundle that ships if absent.")] = None,
    layers: Annotated[str, typer.Option(help="dense: the last ones alone, in seconds; all: then all.")] = "all",
    minutes: Annotated[float, typer.Option(help="Budget of wall time for all layers.")] = 20.0,
    megapixels: Annotated[float | None, typer.Option(help="Budget in image area: equal compute.")] = None,
    learning_rate: Annotated[float, typer.Option(help="Of the dense layers.")] = 5e-4,
    seed: Annotated[int, typer.Option(help="Decides order and flips.")] = 0,
    precision: Annotated[str, typer.Option(help="auto, float32, mixed_bfloat16 or mixed_float16.")] = "auto",
    threads: Annotated[int, typer.Option(help="Cores to use; 0 for all.")] = 0,
) -> None:
    """Train a bundle on with confirmed craters and false positives; exit 1 if it is not better."""
    import json

    if layers not in ("dense", "all"):
        raise UsageError(f"--layers must be dense or all; received: {layers!r}")

    from training import backend
    from training.data_sets import dataset

    backend.start(threads)
    from crater_ray.network.bundle import DEFAULT, load
    from training.fitting.fit import Settings
    from training.retraining import retrain as retraining
    from training.retraining.dense_layers import HeadSettings

    before, data = load(bundle or DEFAULT), dataset.read(base)
    recipe = str(before.trained.get("recipe", {}).get("name", "matched"))
    dtype = backend.policy(precision)
    batches = (retraining.BATCH_WHOLE, retraining.BATCH_WHOLE)
    settings = Settings(recipe=recipe, seed=seed, minutes=minutes, megapixels=megapixels, dtype=dtype, batches=batches)
    added = retraining.read_added(images, verdicts, data.shape)
    sets = data, dataset.read(validation), dataset.read(test)
    head_settings = HeadSettings(learning_rate=learning_rate, seed=seed)
    after, comparison = retraining.retrain(
        before,
        added,
        *sets,
        settings,
        out / "fit",
        layers="dense" if layers == "dense" else "all",
        head_settings=head_settings,
    )
    after.save(out)
    (out / "comparison.json").write_text(json.dumps(comparison, indent=2) + "\n", encoding="utf-8")
    print(retraining.table(comparison))
    if before.screen is not None:
        print("The new network has no screen; `python -m training distill` makes one.")
    if not comparison["better"]:
        raise CraterRayError(retraining.verdict(comparison))


def _numbers(text: str, option: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{option} must be whole numbers with commas between them; received: {text!r}") from None


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

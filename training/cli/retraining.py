"""The command that retrains a bundle with judged images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crater_ray.errors import CraterRayError, UsageError
from training.cli.options import Precision, Threads


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
    precision: Precision = "auto",
    threads: Threads = 0,
) -> None:
    """Train a bundle on with confirmed craters and false positives; exit 1 if it is not better."""
    import json

    if layers not in ("dense", "all"):
        raise UsageError(f"--layers must be dense or all; received: {layers!r}")

    from training import backend

    backend.start(threads)
    from crater_ray.network.bundle import DEFAULT, load
    from training.data_sets import dataset
    from training.fitting.settings import Budget, Settings
    from training.retraining.added import read_added
    from training.retraining.comparison import table, verdict
    from training.retraining.dense_layers import DenseSettings
    from training.retraining.retrain import BATCH_WHOLE, RetrainSettings, Sets
    from training.retraining.retrain import retrain as run
    from training.retraining.retrain_finder import retrain_finder

    before = load(bundle or DEFAULT)
    sets = Sets(dataset.read(base), dataset.read(validation), dataset.read(test))
    settings = RetrainSettings(
        Settings(
            recipe=str(before.trained.get("recipe", {}).get("name", "matched")),
            budget=Budget(minutes, megapixels),
            seed=seed,
            batches=(BATCH_WHOLE, BATCH_WHOLE),
            dtype=backend.policy(precision),
        ),
        DenseSettings(learning_rate=learning_rate, seed=seed),
        "dense" if layers == "dense" else "all",
    )
    added = read_added(images, verdicts, sets.base.shape)
    if before.gives_maps:
        after, comparison = retrain_finder(before, added, sets, settings)
    else:
        after, comparison = run(before, added, sets, settings, out / "fit")
    after.save(out)
    (out / "comparison.json").write_text(json.dumps(comparison, indent=2) + "\n", encoding="utf-8")
    print(table(comparison))
    if before.screen is not None:
        print("The new network has no screen; `python -m training distill` makes one.")
    if not comparison["better"]:
        raise CraterRayError(verdict(comparison))

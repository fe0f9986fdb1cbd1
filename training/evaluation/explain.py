"""Pictures that explain a bundle: what its filters respond to, what it was shown, and what it found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from crater_ray.errors import UsageError
from crater_ray.network.bundle import Bundle
from crater_ray.network.stardust import CONVOLUTIONS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILTERS_SHOWN = 3
SIDE = 140
"""Pixels each way of the images that the filters are shown."""


def explain(bundle: Bundle, folder: Path, *, seed: int = 0, run: str | None = None) -> list[Path]:
    """Draw all pictures of a bundle.

    Args:
        bundle: the network.
        folder: where the PNG files go.
        seed: decides the crater, the scratch and the warped craters.
        run: a finished or unfinished run folder, local or s3://, whose top candidates are drawn as well.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [_save(filter_responses(bundle, seed), folder / "filters.png")]
    files.append(_save(warped_craters(seed), folder / "warped.png"))
    if run is not None:
        files.append(_save(top_candidates(run), folder / "candidates.png"))
    return files


def filter_responses(bundle: Bundle, seed: int) -> Figure:
    """For a crater and for a scratch, the image and the filters of each layer that respond most to it."""
    import keras
    from matplotlib.figure import Figure

    model = bundle.model()
    layers = [model.get_layer(f"conv{number}").output for number in range(1, len(CONVOLUTIONS) + 1)]
    inspector = keras.Model(model.inputs, [*layers, model.output])
    subjects = {"crater": _crater(seed), "scratch": _scratch(seed)}
    figure = Figure(figsize=(2.2 * (len(layers) + 1), 1.9 * FILTERS_SHOWN * len(subjects)), layout="constrained")
    axes = figure.subplots(len(subjects) * FILTERS_SHOWN, len(layers) + 1)
    for axis in axes.flat:
        axis.set_axis_off()
    for place, (name, pixels) in enumerate(subjects.items()):
        *responses, score = (np.asarray(one) for one in inspector.predict_on_batch(pixels[None, ..., None]))
        top = place * FILTERS_SHOWN
        axes[top, 0].imshow(pixels, cmap="gray")
        axes[top, 0].set_title(f"{name}: score {float(score[0, 0]):.3f}", fontsize=9)
        for column, response in enumerate(responses, start=1):
            strongest = np.argsort(-response[0].max(axis=(0, 1)))[:FILTERS_SHOWN]
            for row, number in enumerate(strongest):
                axes[top + row, column].imshow(response[0, ..., number], cmap="magma")
                axes[top + row, column].set_title(f"conv{column} filter {number}", fontsize=7)
    return figure


def warped_craters(seed: int, rows: int = 6, columns: int = 10) -> Figure:
    """A montage of seed craters, warped and blended into simulated foil by the `matched` recipe."""
    from matplotlib.figure import Figure

    from training.data_sets import seeds
    from training.data_sets.canvas import Materials
    from training.data_sets.compose import compose
    from training.recipes import MATCHED

    recipe = replace(MATCHED.images, planted_share=0.0, diameters_px=(6.0, 40.0))
    materials = Materials(recipe, seeds.default_library(0), [], (SIDE, SIDE))
    figure = Figure(figsize=(columns * 1.2, rows * 1.2), layout="constrained")
    for number, axis in enumerate(figure.subplots(rows, columns).flat):
        rng = np.random.default_rng([seed, number])
        sample = compose(rng, materials, "foil", crater=True)
        x, y, reach = int(sample.row["x"]), int(sample.row["y"]), 32
        left, top = (int(np.clip(centre - reach, 0, SIDE - 2 * reach)) for centre in (x, y))
        axis.imshow(sample.pixels[top : top + 2 * reach, left : left + 2 * reach], cmap="gray")
        axis.set_axis_off()
    return figure


def top_candidates(run: str, count: int = 40, reach: int = 32) -> Figure:
    """Crops of the images of a run that score highest, each with its score.

    Raises:
        UsageError: there is no such run, or nothing in it was scored.
    """
    from matplotlib.figure import Figure

    from crater_ray import open_run
    from crater_ray.images.decode import decode
    from crater_ray.images.status import Refusal

    with open_run(run) as results:
        best = results.candidates(0.0, ["key", "uri", "score", "x", "y"]).slice(0, count).to_pylist()
    if not best:
        raise UsageError(f"The run {run!r} has no scored images to show.")
    columns = 8
    figure = Figure(figsize=(columns * 1.4, -(-len(best) // columns) * 1.6), layout="constrained")
    axes = np.atleast_1d(figure.subplots(-(-len(best) // columns), columns)).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, row in zip(axes, best, strict=False):
        pixels = decode(_bytes(row["uri"]))
        if isinstance(pixels, Refusal):
            continue
        x = row["x"] if row["x"] is not None else pixels.shape[1] / 2
        y = row["y"] if row["y"] is not None else pixels.shape[0] / 2
        left = int(np.clip(x - reach, 0, max(pixels.shape[1] - 2 * reach, 0)))
        top = int(np.clip(y - reach, 0, max(pixels.shape[0] - 2 * reach, 0)))
        axis.imshow(pixels[top : top + 2 * reach, left : left + 2 * reach], cmap="gray")
        axis.set_title(f"{row['score']:.4f}", fontsize=8)
    return figure


def _bytes(uri: str) -> bytes:
    from crater_ray.storage.access import Access
    from crater_ray.storage.registry import store_at

    return store_at(uri, Access(anonymous=True)).with_credentials().get(uri)


def _crater(seed: int) -> np.ndarray:
    from crater_ray.simulate import simulate_frame

    return simulate_frame(np.random.default_rng([seed, 1]), (SIDE, SIDE), (22.0,)).pixels


def _scratch(seed: int) -> np.ndarray:
    """Simulated foil without craters on which a scratch is the largest defect."""
    from crater_ray.simulate import simulate_frame

    for attempt in range(400):
        frame = simulate_frame(np.random.default_rng([seed, 2, attempt]), (SIDE, SIDE))
        largest = max(frame.defects, key=lambda defect: defect.size_px, default=None)
        if largest is not None and largest.kind == "scratch" and len(frame.defects) <= 4:
            return frame.pixels
    return frame.pixels


def _save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=110)
    return path

"""How near the places of candidates are to the craters, and how good their diameters: simulated images, known truth."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks import options
from benchmarks.record import Record
from crater_ray.errors import CraterRayError

LARGEST = 40.0
TOLERANCE = (8.0, 0.5)
"""A place is right within so many px plus this part of the diameter."""
DIAMETER_RIGHT = 1.25
"""A diameter is right within this factor."""
CHUNK = 64

MEANING = (
    "One crater each, diameters log-uniform. Detected: at or above the bundle's typical threshold. Within: a distance "
    "from the truth of at most 8 px + half a diameter. `evidence` is the middle of what the network saw, `place` what "
    "a run gives. Right diameters: within 25%."
)


def places(
    images: Annotated[int, typer.Option("--images", metavar="N", min=1, help="Simulated images.")] = 200,
    least: Annotated[float, typer.Option("--least", metavar="PX", min=3, max=39, help="Smallest diameter.")] = 8.0,
    seed: Annotated[int, typer.Option("--seed", metavar="S", min=0, help="Decides the images.")] = 0,
    bundle: options.BundleName = "default",
    engine: Annotated[str, typer.Option("--engine", metavar="NAME", help="How the network is computed.")] = "keras",
    json: options.Json = None,
) -> None:
    """Places and diameters of detected simulated craters against the truth."""
    from crater_ray.engines.choice import resolve
    from crater_ray.engines.registry import create
    from crater_ray.images.pixels import pack_stack
    from crater_ray.network.bundle import load
    from crater_ray.places.middles import middles
    from crater_ray.scanning.scorer import Scorer

    network = load(bundle)
    name = resolve(engine, network)
    record = Record("places", {"images": images, "least": least, "seed": seed, "bundle": network.id, "engine": name})
    threshold, made = np.float32(network.typical_threshold), create(name, network)
    scorer = Scorer(network, name, network.typical_threshold)
    rows: list[np.ndarray] = []
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        frames = list(pool.map(partial(_frame, seed, least), range(images), chunksize=8))
    for start in range(0, images, CHUNK):
        pixels = np.stack([frame[0] for frame in frames[start : start + CHUNK]])
        truth = np.asarray([frame[1] for frame in frames[start : start + CHUNK]])
        _, height, width = pixels.shape
        found = scorer.score(pack_stack(pixels))
        middle = middles(made.score(pixels), np.arange(len(pixels)), height, width, network.weights)
        rows.append(np.column_stack([found.score, truth, middle, found.place])[found.score >= threshold])
    detected = np.concatenate(rows)
    if not len(detected):
        raise CraterRayError(f"None of {images} craters was detected: there are no places to compare. Add images.")
    record.figures = figures(images, detected) | {"meaning": MEANING}
    record.write(json)
    f = record.figures
    table = [
        (kind, f"{f[f'{kind}_within']:.1%}", f"{f[f'{kind}_median_px']:.1f}", f"{f[f'{kind}_95th_px']:.1f}")
        for kind in ("evidence", "place")
    ]
    title = f"{f['detected']} of {images} craters detected; diameters given: {f['diameters_given']:.1%}, right: "
    title += f"{f['diameters_right']:.1%}"
    record.show(title, ("", "within", "median px", "95th percentile px"), table, MEANING)


def figures(images: int, detected: np.ndarray) -> dict[str, Any]:
    """What is said of detected craters.

    Args:
        images: scored.
        detected: (n, 9) float: score; x, y, diameter of the truth; x, y of the evidence; x, y, diameter of the place.
    """
    _, x, y, diameter, middle_x, middle_y, at_x, at_y, size = detected.T
    tolerance = TOLERANCE[0] + TOLERANCE[1] * diameter
    said: dict[str, Any] = {"images": images, "detected": len(detected)}
    for kind, off in (
        ("evidence", np.hypot(middle_x - x, middle_y - y)),
        ("place", np.hypot(at_x - x, at_y - y)),
    ):
        said[f"{kind}_within"] = float(np.mean(off <= tolerance))
        said[f"{kind}_median_px"] = float(np.median(off))
        said[f"{kind}_95th_px"] = float(np.quantile(off, 0.95))
    given = ~np.isnan(size)
    right = np.abs(np.log(size[given] / diameter[given])) <= np.log(DIAMETER_RIGHT)
    return said | {
        "diameters_given": float(given.mean()),
        "diameters_right": float(right.mean()) if len(right) else 0.0,
    }


def _frame(seed: int, least: float, number: int) -> tuple[np.ndarray, tuple[float, float, float]]:
    """A simulated image (h, w) uint8 as JPEG leaves it, and x, y and diameter of its crater in px."""
    import io

    from PIL import Image

    from crater_ray.simulate import simulate_frame

    rng = np.random.default_rng([seed, number])
    frame = simulate_frame(rng, diameters_px=(float(np.exp(rng.uniform(np.log(least), np.log(LARGEST)))),))
    data = io.BytesIO()
    Image.fromarray(frame.pixels).save(data, "JPEG", quality=frame.jpeg_quality)
    crater = frame.craters[0]
    return np.asarray(Image.open(data)), (crater.x, crater.y, crater.diameter_px)

"""The plan: for every image of the sample the crater that is planted into it, and how well it can be seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from crater_ray.completeness.sample import Sample
from crater_ray.completeness.settings import Measurement
from crater_ray.images.bounds import SMALLEST_SIDE
from crater_ray.images.decode import decode, picture_in
from crater_ray.images.fetch import fetch
from crater_ray.images.picture import Picture, Reading
from crater_ray.images.sidecars import read_sidecars
from crater_ray.images.status import Refusal
from crater_ray.planting.patch import look_of
from crater_ray.planting.plant import plant
from crater_ray.planting.recipe import Recipe
from crater_ray.planting.visibility import SEEN, matched_filter_ratio
from crater_ray.results.processes import in_processes
from crater_ray.runs import manifest as manifest_file
from crater_ray.runs.run import Run
from crater_ray.simulate.frame import contrast_to_noise
from crater_ray.storage.access import Access
from crater_ray.storage.errors import StorageError

PLAN = "plan.parquet"
SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("image", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("foil", pa.string(), nullable=False),
        pa.field("weight", pa.float64(), nullable=False),
        pa.field("x", pa.float64(), nullable=False),
        pa.field("y", pa.float64(), nullable=False),
        pa.field("diameter", pa.float64(), nullable=False),
        pa.field("strength", pa.float64(), nullable=False),
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("look", pa.string(), nullable=False),
        pa.field("score_before", pa.float32()),
        pa.field("contrast_to_noise", pa.float64()),
        pa.field("ratio", pa.float64()),
        pa.field("visible", pa.bool_()),
        pa.field("noise", pa.float64()),
        pa.field("blur", pa.float64()),
    ]
)
"""Per planted crater: its key in the planted run; key and uri of the image in the run; how many images it stands for;
the recipe and its look (`crater_ray.planting.patch.LOOKS`); the image's score without it; how it stands out (see
`crater_ray.simulate.frame.PlantedCrater`); the signal over noise of a matched filter, and whether that makes it
visible; noise (grey levels) and blur (px) of the spot. The last five are null where the image cannot be read now."""

MARGIN = 2.0
"""Pixels between a planted crater's rim and the image's border."""
CLEAR = 20.0
"""Pixels between a planted crater's rim and the places where the run found something in this image itself."""
TRIES = 50
WORTH_A_POOL = 200
"""Fewer images than this are planned faster by one process than by starting others."""
CHUNK = 25


@dataclass(frozen=True)
class Job:
    """Images for one process: rows of a sample, each with the number of its crater, and how they are read."""

    rows: list[dict[str, Any]]
    numbers: list[int]
    measurement: Measurement
    threshold: float
    access: Access
    reading: Reading


def make_plan(
    run: Run,
    sample: Sample,
    measurement: Measurement,
    access: Access,
    reading: Reading,
    progress: Callable[[int, int], None] | None = None,
) -> pa.Table:
    """Draw a crater for every image of a sample, and measure how it can be seen there; each image is read once.

    Args:
        run: whose images they are.
        sample: the images.
        measurement: what is drawn, and the seed.
        access: how to reach the images.
        reading: how the run read them.
        progress: called with craters planned and craters in all.

    Returns:
        Schema `SCHEMA`, sorted by key. The same run and settings give the same plan.
    """
    rows = sample.rows.to_pylist()
    jobs = [
        Job(
            rows[start : start + CHUNK],
            list(range(start, min(start + CHUNK, len(rows)))),
            measurement,
            run.threshold,
            access,
            reading,
        )
        for start in range(0, len(rows), CHUNK)
    ]
    planned: list[dict[str, Any]] = []
    for some in in_processes(_plan, jobs, worth_it=len(rows) >= WORTH_A_POOL):
        planned += some
        if progress:
            progress(len(planned), len(rows))
    for row, weight in zip(planned, sample.weight, strict=True):
        row["weight"] = float(weight)
    return pa.Table.from_pylist(planned, schema=SCHEMA)


def manifest_of(plan: pa.Table, sample: Sample, shard_images: int) -> pa.Table:
    """The manifest of the planted run: each image's address with its recipe.

    Args:
        plan: as `make_plan` gives it.
        sample: that it is of, for sizes and etags.
        shard_images: images per shard.
    """
    uris = [recipe_of(row).added_to(row["uri"]) for row in plan.to_pylist()]
    columns = {
        "key": plan["key"],
        "uri": pa.array(uris, pa.string()),
        "size": sample.rows["size"],
        "etag": sample.rows["etag"],
        "shard": pa.array(np.zeros(plan.num_rows, np.int32)),
    }
    return manifest_file.cut(pa.table(columns, schema=manifest_file.SCHEMA), shard_images)


def recipe_of(row: dict[str, Any]) -> Recipe:
    """The recipe of a row of a plan."""
    return Recipe(row["x"], row["y"], row["diameter"], row["strength"], row["seed"])


def _plan(job: Job) -> list[dict[str, Any]]:
    planned = []
    uris = [row["uri"] for row in job.rows]
    files = fetch(uris, job.access, [row["size"] for row in job.rows], last_try=True)
    sidecars = read_sidecars(uris, job.reading.sidecars, job.access, last_try=True)
    for number, row, data, sidecar in zip(job.numbers, job.rows, files, sidecars, strict=True):
        if isinstance(data, StorageError):
            raise data
        plan = {"key": f"{number:07d} {row['key']}", "image": row["key"], "uri": row["uri"], "foil": row["foil"]}
        plan["score_before"] = row["score"]
        rng = np.random.default_rng([job.measurement.seed, 1, number])
        own = _own_places(row, job.threshold)
        read = None if isinstance(data, Refusal) else _read(data, job.reading, sidecar)
        if isinstance(data, Refusal) or read is None:  # it could be read when the run was made; the scan will say why
            recipe = draw_recipe(rng, (0, 0, SMALLEST_SIDE, SMALLEST_SIDE), job.measurement, own)
        else:
            pixels, picture = read
            recipe = draw_recipe(rng, (picture.left, picture.top, *picture.pixels.shape[::-1]), job.measurement, own)
            plan |= _seen(pixels, data, recipe)
        plan |= {name: getattr(recipe, name) for name in ("x", "y", "diameter", "strength", "seed")}
        plan["look"] = look_of(recipe)
        planned.append(plan)
    return planned


def _read(data: bytes | memoryview, reading: Reading, sidecar: str | None) -> tuple[np.ndarray, Picture] | None:
    pixels = decode(data)
    picture = pixels if isinstance(pixels, Refusal) else picture_in(pixels, data, reading, sidecar)
    return None if isinstance(pixels, Refusal) or isinstance(picture, Refusal) else (pixels, picture)


def draw_recipe(
    rng: np.random.Generator,
    box: tuple[int, int, int, int],
    measurement: Measurement,
    taken: list[tuple[float, float]],
) -> Recipe:
    """Draw a crater for an image.

    Args:
        rng: where chance comes from.
        box: left, top, width and height in px of the part of it that is looked at.
        measurement: the ranges.
        taken: (x, y) in px: places that the run found there itself. The crater keeps away from them if it can.
    """
    low, high = np.log(measurement.diameters)
    diameter = float(np.exp(rng.uniform(low, high)))
    strength = float(np.exp(rng.uniform(*np.log(measurement.strengths))))
    seed = int(rng.integers(2**31))
    margin = diameter / 2 + MARGIN
    x = y = 0.0
    for _ in range(TRIES):
        x, y = (box[axis] + float(rng.uniform(margin, box[2 + axis] - 1 - margin)) for axis in (0, 1))
        if all(np.hypot(x - other[0], y - other[1]) > diameter / 2 + CLEAR for other in taken):
            break
    return Recipe.rounded(x, y, diameter, strength, seed)


def _own_places(row: dict[str, Any], threshold: float) -> list[tuple[float, float]]:
    places = [(one["x"], one["y"]) for one in row["places"] or () if one["score"] >= np.float32(threshold)]
    if row["x"] is not None and row["score"] >= np.float32(threshold):
        places.append((row["x"], row["y"]))
    return places


def _seen(pixels: np.ndarray, data: bytes | memoryview, recipe: Recipe) -> dict[str, Any]:
    """How well a crater can be seen where it is planted."""
    planted = plant(pixels, data, recipe)
    ratio = matched_filter_ratio(planted.change, pixels, recipe.x, recipe.y, recipe.diameter)
    return {
        "contrast_to_noise": contrast_to_noise(planted.pixels, recipe.x, recipe.y, recipe.diameter),
        "ratio": ratio,
        "visible": ratio >= SEEN,
        "noise": planted.spectrum.noise_rms,
        "blur": planted.spectrum.sigma,
    }

"""The plan: for every image of the sample the crater that is planted into it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from crater_ray.completeness.sample import Sample
from crater_ray.completeness.settings import Measurement
from crater_ray.images.crop import Crop
from crater_ray.planting.patch import look_of
from crater_ray.planting.recipe import Recipe
from crater_ray.runs import manifest as manifest_file
from crater_ray.runs.run import Run

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
    ]
)
"""Per planted crater: its key in the planted run; key and uri of the image in the run; how many images it stands for;
the recipe and its look (`crater_ray.planting.patch.LOOKS`); the image's score without it."""

MARGIN = 2.0
"""Pixels between a planted crater's rim and the image's border."""
CLEAR = 20.0
"""Pixels between a planted crater's rim and the places where the run found something in this image itself."""
TRIES = 50


def make_plan(run: Run, sample: Sample, measurement: Measurement, crop: Crop) -> pa.Table:
    """Draw a crater for every image of a sample.

    Args:
        run: whose images they are.
        sample: the images.
        measurement: what is drawn, and the seed.
        crop: which part of them the run looked at.

    Returns:
        Schema `SCHEMA`, sorted by key. The same run and settings give the same plan.
    """
    plan = []
    for number, (row, weight) in enumerate(zip(sample.rows.to_pylist(), sample.weight.tolist(), strict=True)):
        rng = np.random.default_rng([measurement.seed, 1, number])
        recipe = draw_recipe(rng, looked_at(row, crop), measurement, _own_places(row, run.threshold))
        names = {"key": f"{number:07d} {row['key']}", "image": row["key"], "uri": row["uri"], "foil": row["foil"]}
        drawn = {name: getattr(recipe, name) for name in ("x", "y", "diameter", "strength", "seed")}
        plan.append(names | drawn | {"weight": weight, "look": look_of(recipe), "score_before": row["score"]})
    return pa.Table.from_pylist(plan, schema=SCHEMA)


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


def looked_at(row: Mapping[str, Any], crop: Crop) -> tuple[int, int, int, int]:
    """Left, top, width and height in px of the part of a run's image that was looked at, by its row."""
    rows, columns = crop.part(row["height"] - (row["bar"] or 0), row["width"])
    return columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start

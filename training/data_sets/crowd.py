"""Crowds: training images with many craters. One then teaches as much as many images with one crater each.

A network that is told of every position learns from each crater apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from training.data_sets.canvas import Materials, draw_canvas, simulate
from training.data_sets.compose import draw_diameter, draw_place, put_crater, put_decoys
from training.data_sets.conditions import draw_conditions
from training.data_sets.sample import Sample, crater_entry, develop, rounded, table_row

CROWD = 0.1
"""Squares of the diameters of all craters of one image, of its area, at most: more would not find room."""


def compose_crowd(rng: np.random.Generator, materials: Materials, name: str, *, most: int) -> Sample:
    """Make one training image with up to `most` craters, some of which may be too faint to see.

    Args:
        rng: where randomness comes from.
        materials: what it is composed of.
        name: what the table calls the background when it is simulated.
        most: craters.
    """
    from crater_ray.simulate.frame import contrast_to_noise

    recipe = materials.recipe
    diameters = _draw_diameters(rng, materials, most)
    if rng.random() < recipe.planted_share:
        sample = simulate(rng, materials.shape, name, *diameters)
        return Sample(sample.pixels, _with_first_crater(sample.row))
    canvas = draw_canvas(rng, materials, name, recipe.real_share)
    conditions = draw_conditions(rng)
    if rng.random() < recipe.decoy_share:
        put_decoys(rng, canvas, recipe, conditions)
    placed: list[tuple[float, float, float]] = []
    for diameter in diameters:
        for _ in range(50):
            x, y = draw_place(rng, materials.shape, diameter)
            if all(np.hypot(x - px, y - py) > 0.8 * (diameter + size) for px, py, size in placed):
                break
        else:
            continue
        seed = materials.seeds[int(rng.integers(len(materials.seeds)))]
        put_crater(rng, canvas, seed, (x, y, diameter), recipe, conditions)
        placed.append((x, y, diameter))
    pixels = rounded(canvas.pixels)
    row = table_row(1, source=f"merged-{canvas.source}", background=canvas.background, quality=canvas.quality)
    row["craters"] = [crater_entry(x, y, d, contrast_to_noise(pixels, x, y, d)) for x, y, d in placed]
    return develop(canvas.pixels, _with_first_crater(row))


def _draw_diameters(rng: np.random.Generator, materials: Materials, most: int) -> list[float]:
    """Diameters from large to small, as many as find room without touching."""
    wanted = int(rng.integers(max(1, most // 3), most + 1))
    diameters = sorted((draw_diameter(rng, materials.recipe) for _ in range(wanted)), reverse=True)
    room = np.cumsum(np.square(diameters)) <= CROWD * materials.shape[0] * materials.shape[1]
    return [diameter for diameter, fits in zip(diameters, room, strict=True) if fits or diameter is diameters[0]]


def _with_first_crater(row: dict[str, Any]) -> dict[str, Any]:
    """The row with the first visible crater, or else the first, in the columns that speak of one crater."""
    if not row.get("craters"):
        return row
    first = next((crater for crater in row["craters"] if crater["visible"]), row["craters"][0])
    return {**row, **{name: first[name] for name in ("x", "y", "diameter_px", "contrast_to_noise")}}

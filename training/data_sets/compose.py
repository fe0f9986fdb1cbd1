"""Composing images with one crater or none: a canvas, a warped seed crater blended into it, decoys on blanks."""

from __future__ import annotations

import numpy as np

from training.data_sets import decoys
from training.data_sets.blending import blend, paste
from training.data_sets.canvas import Canvas, Materials, draw_canvas, simulate
from training.data_sets.conditions import SIDE_SPREAD, Conditions, draw_conditions
from training.data_sets.sample import VISIBILITY, Sample, develop, rounded, table_row
from training.data_sets.seeds import Seed
from training.data_sets.warp import Warped, shading_angle, warp
from training.recipes import Images

ATTEMPTS = 8
"""So many times an image is made anew while its crater cannot be seen."""


def compose_visible(rng: np.random.Generator, materials: Materials, name: str, *, crater: bool) -> Sample:
    """Make one image, and make it anew while its crater cannot be seen; arguments as `compose`."""
    for attempt in range(ATTEMPTS):
        sample = compose(rng, materials, f"{name}.{attempt}" if attempt else name, crater=crater)
        if not crater or sample.row["contrast_to_noise"] * sample.row["diameter_px"] >= VISIBILITY:
            break
    return sample


def compose(rng: np.random.Generator, materials: Materials, name: str, *, crater: bool) -> Sample:
    """Make one image.

    Args:
        rng: where randomness comes from.
        materials: what it is composed of.
        name: what the table calls the background when it is simulated.
        crater: with a crater or without.
    """
    recipe = materials.recipe
    if not crater:
        return _compose_blank(rng, materials, name)
    diameter = draw_diameter(rng, recipe)
    if rng.random() < recipe.planted_share:
        return simulate(rng, materials.shape, name, diameter)
    from crater_ray.simulate.frame import contrast_to_noise

    canvas = draw_canvas(rng, materials, name, recipe.real_share)
    conditions = draw_conditions(rng)
    seed = materials.seeds[int(rng.integers(len(materials.seeds)))]
    x, y = draw_place(rng, materials.shape, diameter)
    put_crater(rng, canvas, seed, (x, y, diameter), recipe, conditions)
    ratio = contrast_to_noise(rounded(canvas.pixels), x, y, diameter)
    row = table_row(1, source=f"merged-{canvas.source}", background=canvas.background, quality=canvas.quality)
    row |= {"diameter_px": diameter, "x": x, "y": y, "contrast_to_noise": ratio, "seed_crater": seed.number}
    return develop(canvas.pixels, row)


def _compose_blank(rng: np.random.Generator, materials: Materials, name: str) -> Sample:
    recipe = materials.recipe
    # Among the images with craters, the planted ones show simulated foil: blanks have as much of it.
    canvas = draw_canvas(rng, materials, name, recipe.real_share * (1 - recipe.planted_share))
    conditions = draw_conditions(rng)
    source, defect = canvas.source, canvas.defect
    if rng.random() < recipe.decoy_share:
        source, defect = f"decoy-{source}", put_decoys(rng, canvas, recipe, conditions)
    row = table_row(0, source=source, defect=defect, background=canvas.background, quality=canvas.quality)
    return develop(canvas.pixels, row)


def draw_diameter(rng: np.random.Generator, recipe: Images) -> float:
    """Draw a crater diameter in pixels."""
    low, high = recipe.diameters_px
    if recipe.log_uniform:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))
    return float(rng.uniform(low, high))


def draw_place(rng: np.random.Generator, shape: tuple[int, int], diameter: float) -> tuple[float, float]:
    """Draw x and y of a place where the whole crater, its rim included, lies inside the image."""
    margin = min(diameter * 0.75 + 4.0, min(shape) / 2.0 - 1.0)
    x = float(np.round(rng.uniform(margin, shape[1] - 1 - margin)))
    y = float(np.round(rng.uniform(margin, shape[0] - 1 - margin)))
    return x, y


def put_crater(
    rng: np.random.Generator,
    canvas: Canvas,
    seed: Seed,
    place: tuple[float, float, float],
    recipe: Images,
    conditions: Conditions,
) -> None:
    """Warp a seed crater and put it into a canvas, in place.

    Args:
        rng: where randomness comes from.
        canvas: to put it into.
        seed: the crater.
        place: x, y and diameter, in pixels.
        recipe: says whether it is blended or just pasted.
        conditions: of the image.
    """
    x, y, diameter = place
    warped = _warp(rng, seed, diameter, recipe, conditions)
    if recipe.blended:
        blend(canvas.pixels, warped, x, y, conditions, rng)
    else:
        paste(canvas.pixels, warped, x, y)


def put_decoys(rng: np.random.Generator, canvas: Canvas, recipe: Images, conditions: Conditions) -> str:
    """Blend one to three decoys into a canvas, in place, and name the first."""
    kinds = []
    height, width = canvas.pixels.shape
    for _ in range(int(rng.integers(1, 4))):
        kind, decoy = decoys.draw(rng)
        diameter = draw_diameter(rng, recipe)
        warped = _warp(rng, decoy, diameter, recipe, conditions)
        x, y = draw_place(rng, (height, width), diameter)
        blend(canvas.pixels, warped, x, y, conditions, rng)
        kinds.append(kind)
    return kinds[0]


def _warp(rng: np.random.Generator, seed: Seed, diameter: float, recipe: Images, conditions: Conditions) -> Warped:
    aspect = float(np.clip(rng.normal(1.0, recipe.aspect_spread), 0.6, 1.6))
    mirrored = bool(rng.random() < 0.5)
    if not recipe.blended:
        return warp(seed, diameter, float(rng.uniform(0, 2 * np.pi)), aspect)
    # Turn the crater so that its bright side lies where the bright side of this image's craters is.
    wanted = conditions.side + float(rng.normal(0.0, SIDE_SPREAD))
    own = shading_angle(seed)
    angle = np.pi - wanted - own if mirrored else wanted - own
    return warp(seed, diameter, float(angle), aspect, mirrored=mirrored)

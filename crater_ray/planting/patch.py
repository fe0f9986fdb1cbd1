"""The look of one crater: by how much it makes the foil brighter or darker, from the simulator's physics."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from crater_ray.planting.recipe import Recipe
from crater_ray.simulate.crater import draw_crater
from crater_ray.simulate.electrons import Optics, place
from crater_ray.simulate.ranges import Ranges
from crater_ray.simulate.surface import Foil

LOOKS = {
    "fresh": Ranges(),
    "shallow": replace(
        Ranges(),
        crater_depth=(0.12, 0.45),
        crater_bowl=(2.5, 6.0),
        rim_height=(0.02, 0.14),
        rim_lopsided=(0.2, 1.0),
        degraded_chance=0.3,
        residue_chance=0.35,
        edge_glow=(0.1, 1.0),
        side_light=(0.2, 0.9),
        well_exponent=(0.3, 1.6),
    ),
}
"""Looks of planted craters: as the simulator has them, and with flat, bright floors and one-sided rims, as real pits
often have them. How far the shares of the two differ says how much an answer hangs on what craters look like."""
DARKEST, BRIGHTEST = 0.03, 4.0
"""Bounds of a crater's brightness relative to the foil: some electrons always come back, no rim shines without end."""


@dataclass(frozen=True)
class Patch:
    """A crater on flat foil, on whole pixels of the image it is meant for.

    Attributes:
        top, left: the image's row and column of the first value; may lie outside the image.
        gain: (h, w) float32, brightness relative to flat foil, blurred.
        cover: (h, w) float32, 0..1: how far the foil's own texture is gone there.
    """

    top: int
    left: int
    gain: np.ndarray
    cover: np.ndarray


def look_of(recipe: Recipe) -> str:
    """Which of `LOOKS` the crater of a recipe has: half of all seeds each."""
    return list(LOOKS)[recipe.seed % len(LOOKS)]


def draw_patch(recipe: Recipe, sigma: float) -> Patch:
    """Draw the crater of a recipe.

    Args:
        recipe: which; the same one gives the same crater.
        sigma: px, blur of the image where it is planted.
    """
    rng, ranges = np.random.default_rng(recipe.seed), LOOKS[look_of(recipe)]
    optics = Optics.draw(rng, ranges)
    crater = draw_crater(rng, recipe.diameter, ranges)
    half = int(np.ceil(crater.reach + 3 * sigma)) + 2
    top, left = round(recipe.y) - half, round(recipe.x) - half
    shape = (2 * half + 1, 2 * half + 1)
    x, y = recipe.x - left, recipe.y - top
    foil = Foil(np.zeros(shape, np.float32), np.ones(shape, np.float32), 0.0, 1.0)
    signal = np.ones(shape, np.float32)
    place(foil, signal, crater, (x, y), optics)
    across = np.broadcast_to(np.arange(shape[1], dtype=np.float32) - np.float32(x), shape)
    down = np.broadcast_to(np.arange(shape[0], dtype=np.float32)[:, None] - np.float32(y), shape)
    cover = ndimage.gaussian_filter(crater.cover(across, down), sigma)
    gain = 1 + np.float32(recipe.strength) * (signal - 1)
    gain = ndimage.gaussian_filter(np.clip(gain, DARKEST, BRIGHTEST), sigma, mode="nearest")
    return Patch(top, left, gain, cover)

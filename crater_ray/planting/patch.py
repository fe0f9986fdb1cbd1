"""The look of one crater: by how much it makes the foil brighter or darker, from the simulator's physics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from crater_ray.planting.recipe import Recipe
from crater_ray.simulate.crater import draw_crater
from crater_ray.simulate.electrons import Optics, place
from crater_ray.simulate.ranges import Ranges
from crater_ray.simulate.surface import Foil

LOOKS = Ranges()
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


def draw_patch(recipe: Recipe, sigma: float) -> Patch:
    """Draw the crater of a recipe.

    Args:
        recipe: which; the same one gives the same crater.
        sigma: px, blur of the image where it is planted.
    """
    rng = np.random.default_rng(recipe.seed)
    optics = Optics.draw(rng, LOOKS)
    crater = draw_crater(rng, recipe.diameter, LOOKS)
    half = int(np.ceil(crater.reach + 3 * sigma)) + 2
    top, left = round(recipe.y) - half, round(recipe.x) - half
    shape = (2 * half + 1, 2 * half + 1)
    x, y = recipe.x - left, recipe.y - top
    foil = Foil(np.zeros(shape, np.float32), np.ones(shape, np.float32), 0.0, 1.0)
    signal = np.ones(shape, np.float32)
    place(foil, signal, crater, (x, y), optics)
    across = np.broadcast_to(np.arange(shape[1], dtype=np.float32) - np.float32(x), shape)
    down = np.broadcast_to(np.arange(shape[0], dtype=np.float32)[:, None] - np.float32(y), shape)
    cover = ndimage.gaussian_filter(crater.relief(across, down).cover, sigma)
    gain = 1 + np.float32(recipe.strength) * (signal - 1)
    gain = ndimage.gaussian_filter(np.clip(gain, DARKEST, BRIGHTEST), sigma, mode="nearest")
    return Patch(top, left, gain, cover)

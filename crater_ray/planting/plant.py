"""Planting one crater into an image: brightness, blur and noise of the spot, then JPEG as the file's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

from crater_ray.planting.jpeg import compressed, luma_table
from crater_ray.planting.patch import draw_patch
from crater_ray.planting.recipe import Recipe
from crater_ray.planting.spectrum import Spectrum, spectrum_of

LEAST_SIDE = 256
"""Pixels around a spot from which its blur and noise are measured."""
BLOCK = 8
"""Pixels of a side of one of JPEG's blocks."""
BORDER = 16
"""Pixels by which a window is continued before it is filtered, because its opposite edges do not belong together."""


@dataclass(frozen=True)
class Planted:
    """An image with a crater.

    Attributes:
        pixels: (h, w) uint8, after JPEG around the crater where the file was one; as they were elsewhere.
        change: (h, w) float32, grey levels that the crater adds, without noise.
        spectrum: what the spot was made of before.
    """

    pixels: np.ndarray
    change: np.ndarray
    spectrum: Spectrum


def plant(pixels: np.ndarray, data: bytes | memoryview, recipe: Recipe) -> Planted:
    """Plant a crater.

    The spot is divided into the level of the foil, its texture, and noise (by the filter of
    `crater_ray.planting.spectrum`). The crater changes level and texture by its relative brightness; where it covers
    the foil, the texture is gone; the noise stays, stronger where the image becomes brighter, as that of counted
    electrons does.

    Args:
        pixels: (h, w) uint8, decoded from `data`.
        data: the file's bytes, for its quantisation.
        recipe: which crater, and where; its centre must lie in the image.
    """
    window = _window(pixels.shape, recipe)
    spot = pixels[window].astype(np.float32)
    spectrum = spectrum_of(spot)
    level, texture = _parted(spot, spectrum, max(3.0, 0.5 * recipe.diameter))
    gain, cover = _in_window(recipe, window, spectrum.sigma)
    clean = (level + texture * (1 - cover)) * gain
    noise = (spot - level - texture) * np.sqrt(gain)
    change = np.zeros(pixels.shape, np.float32)
    change[window] = clean - (level + texture)
    planted = pixels.copy()
    planted[window] = np.clip(np.rint(clean + noise), 0, 255)
    blocks = _whole_blocks(window, pixels.shape)
    planted[blocks] = compressed(planted[blocks], luma_table(data))
    return Planted(planted, change, spectrum)


def _window(shape: tuple[int, ...], recipe: Recipe) -> tuple[slice, slice]:
    """The pixels around the spot: a square, cut off where the image ends."""
    half = max(LEAST_SIDE // 2, int(np.ceil(2.6 * recipe.diameter)) + 8)
    sides = []
    for at, length in ((recipe.y, shape[0]), (recipe.x, shape[1])):
        side = min(2 * half, length)
        start = min(max(round(at) - half, 0), length - side)
        sides.append(slice(start, start + side))
    return sides[0], sides[1]


def _whole_blocks(window: tuple[slice, slice], shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The blocks of JPEG that a window touches: each is coded by itself."""
    rows, columns = (
        slice(side.start // BLOCK * BLOCK, min(-(-side.stop // BLOCK) * BLOCK, length))
        for side, length in zip(window, shape, strict=True)
    )
    return rows, columns


def _parted(spot: np.ndarray, spectrum: Spectrum, smooth: float) -> tuple[np.ndarray, np.ndarray]:
    """The level of the foil, blurred by `smooth` px, and its texture without noise."""
    padded = np.pad(spot, BORDER, mode="reflect")
    shape = (padded.shape[0], padded.shape[1])
    transform = fft.rfft2(padded)
    down, across = (
        np.exp(-2 * np.square(np.pi * smooth * f)).astype(np.float32)
        for f in (fft.fftfreq(shape[0]), fft.rfftfreq(shape[1]))
    )
    low = down[:, None] * across[None, :]
    inside = np.s_[BORDER:-BORDER, BORDER:-BORDER]
    level: np.ndarray = fft.irfft2(transform * low, shape)[inside]
    texture: np.ndarray = fft.irfft2(transform * ((1 - low) * spectrum.texture_share(shape)), shape)[inside]
    return level, texture


def _in_window(recipe: Recipe, window: tuple[slice, slice], sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Gain and cover of the crater for every pixel of a window."""
    rows, columns = window
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    gain, cover = np.ones(shape, np.float32), np.zeros(shape, np.float32)
    patch = draw_patch(recipe, sigma)
    top, left = patch.top - rows.start, patch.left - columns.start
    height, width = patch.gain.shape
    first, last = (max(top, 0), max(left, 0)), (min(top + height, shape[0]), min(left + width, shape[1]))
    here = np.s_[first[0] : last[0], first[1] : last[1]]
    there = np.s_[first[0] - top : last[0] - top, first[1] - left : last[1] - left]
    gain[here], cover[here] = patch.gain[there], patch.cover[there]
    return gain, cover

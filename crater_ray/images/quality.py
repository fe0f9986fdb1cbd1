"""How good an image is, from a sample of its pixels: focus, noise, contrast and saturation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

SAMPLE = 16_384
"""Pixels of an image that are looked at, about, in pieces spread over it."""
ROWS, COLUMNS = 8, 1024
"""Of a piece, at most."""
GOLDEN = 0.6180339887498949
"""Steps of this part of the width spread the pieces evenly over it, however many there are."""
PERCENTILES = np.array([0.01, 0.99])
"""Between them is the contrast."""
LEAST_NOISE = 1.0
"""Gray levels: the least noise that focus is measured against. What less there is, compression has left over."""
MEDIAN = 0.6744897501960817
"""Median of the absolute value of a standard normal variable."""


@dataclass(frozen=True)
class Quality:
    """What can be told of an image without knowing what it shows.

    Attributes:
        focus: strength of fine detail as a multiple of what the noise alone makes, 1 when there is no more than that:
            out of focus, or nothing in it. None for an image of one level.
        noise: standard deviation of the noise in gray levels of 0..255.
        contrast: between the 1st and the 99th percentile of the gray levels, as a part of 255.
        saturated: part of the pixels that are 0 or 255.
    """

    focus: float | None
    noise: float
    contrast: float
    saturated: float


def measure(pixels: np.ndarray) -> Quality:
    """The quality of an image.

    Noise is the median absolute answer of the mask of Immerkaer ("Fast noise variance estimation", 1996), which does
    not see planes and edges along rows and columns; the median instead of his mean leaves out what structure adds.
    Focus is the root mean square of the Laplacian (a measure of focus since Subbarao et al. 1993 and others; Pertuz
    et al. 2013 compare them), taken over pairs of pixels, where noise is halved and detail of the optics is not, and
    divided by what noise of this strength would give.

    Args:
        pixels: (height, width) uint8, of at least 3x3.
    """
    values = _tiles(pixels)
    levels = np.bincount(values[:, ::2, ::2].ravel(), minlength=256)
    reached = levels.cumsum()
    low, high = reached.searchsorted(reached[-1] * PERCENTILES)
    saturated = float(levels[0] + levels[255]) / float(reached[-1])
    noise = _noise(values)
    return Quality(_focus(values, noise), noise, float(high - low) / 255, saturated)


def _tiles(pixels: np.ndarray) -> np.ndarray:
    """Pieces of an image, spread over it, (tiles, rows, columns) int16."""
    height, width = pixels.shape
    rows, columns = min(ROWS, height), min(COLUMNS, width)
    count = max(2, SAMPLE // (rows * columns))
    step, room = (height - rows) / (count - 1), width - columns + 1
    tiles = np.empty((count, rows, columns), np.int16)
    for number in range(count):
        y, x = int(number * step), int(number * GOLDEN % 1 * room)
        tiles[number] = pixels[y : y + rows, x : x + columns]
    return tiles


def _noise(values: np.ndarray) -> float:
    """Standard deviation of the noise of (tiles, rows, columns) int16, at least 3x3."""
    # Neighbouring answers have most pixels in common: every second of each row and column is nearly as sure.
    across = values[:, :-2:2] + values[:, 2::2]
    across -= 2 * values[:, 1:-1:2]
    bent = across[:, :, :-2] + across[:, :, 2:]
    bent -= 2 * across[:, :, 1:-1]
    mask = np.abs(bent[:, :, ::2].ravel())
    counts = np.bincount(mask)
    reached = counts.cumsum()
    middle = int(reached.searchsorted(mask.size / 2))
    # Whole numbers stand for half a level to both sides (0 for one side alone): the median lies within.
    before = reached[middle] - counts[middle]
    within = (mask.size / 2 - before) / counts[middle]
    median = within / 2 if middle == 0 else middle - 0.5 + within
    return 0.0 if counts[0] == mask.size else float(median / MEDIAN / 6)


def _focus(values: np.ndarray, noise: float) -> float | None:
    """Strength of detail in (tiles, rows, columns) int16, as a multiple of what this noise makes."""
    rows, width = values.shape[1] // 2 * 2, values.shape[2] // 2 * 2
    pairs = values[:, :rows:2, :width] + values[:, 1:rows:2, :width]
    halved = pairs[:, :, ::2] + pairs[:, :, 1::2]
    laplacian = halved[:, :-2, 1:-1] + halved[:, 2:, 1:-1]
    laplacian += halved[:, 1:-1, :-2]
    laplacian += halved[:, 1:-1, 2:]
    laplacian -= 4 * halved[:, 1:-1, 1:-1]
    answers = laplacian.astype(np.float32).ravel()
    strength = math.sqrt(float(answers @ answers) / answers.size)
    if strength == 0 and (values == values.flat[0]).all():
        return None
    # The sum of four pixels has twice their noise, and the Laplacian of such sums the square root of 20 times theirs.
    return strength / (max(noise, LEAST_NOISE) * 2 * 20**0.5)

"""How good an image is, from a sample of its pixels: focus, noise, contrast and saturation, in some 0.2 ms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SAMPLE = 40_000
"""Pixels that are looked at, about: bands of rows, evenly spread over the image."""
BAND = 12
"""Rows of a band."""
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
    bands = _bands(pixels)
    levels = np.bincount(bands.ravel(), minlength=256)
    reached = np.cumsum(levels) / bands.size
    low, high = (int(np.searchsorted(reached, share)) for share in (0.01, 0.99))
    saturated = float(levels[0] + levels[255]) / bands.size
    values = bands.astype(np.int16)
    noise = _noise(values)
    return Quality(_focus(values, noise), noise, (high - low) / 255, saturated)


def _bands(pixels: np.ndarray) -> np.ndarray:
    """A sample of the rows, (bands, rows, width)."""
    height, width = pixels.shape
    rows = min(BAND, height)
    count = int(np.clip(SAMPLE // (rows * width), 1, height // rows))
    tops = np.linspace(0, height - rows, count).astype(int)
    return np.stack([pixels[top : top + rows] for top in tops])


def _noise(values: np.ndarray) -> float:
    """Standard deviation of the noise of (bands, rows, width) int16, rows and width at least 3."""
    twice = values[:, :, :-2] - 2 * values[:, :, 1:-1] + values[:, :, 2:]
    mask = np.abs(twice[:, :-2] - 2 * twice[:, 1:-1] + twice[:, 2:]).ravel()
    counts = np.bincount(mask)
    reached = np.cumsum(counts)
    middle = int(np.searchsorted(reached, mask.size / 2))
    # Whole numbers stand for half a level to both sides (0 for one side alone): the median lies within.
    before = reached[middle] - counts[middle]
    within = (mask.size / 2 - before) / counts[middle]
    median = within / 2 if middle == 0 else middle - 0.5 + within
    return 0.0 if counts[0] == mask.size else float(median / MEDIAN / 6)


def _focus(values: np.ndarray, noise: float) -> float | None:
    """Strength of detail in (bands, rows, width) int16, as a multiple of what this noise makes."""
    if (values == values.flat[0]).all():
        return None
    rows, width = values.shape[1] // 2 * 2, values.shape[2] // 2 * 2
    even = values[:, :rows, :width]
    halved = even[:, ::2, ::2] + even[:, 1::2, ::2] + even[:, ::2, 1::2] + even[:, 1::2, 1::2]
    inner = halved[:, 1:-1, 1:-1]
    laplacian = halved[:, :-2, 1:-1] + halved[:, 2:, 1:-1] + halved[:, 1:-1, :-2] + halved[:, 1:-1, 2:] - 4 * inner
    strength = float(np.sqrt(np.square(laplacian, dtype=np.float32).mean()))
    # The sum of four pixels has twice their noise, and the Laplacian of such sums the square root of 20 times theirs.
    return strength / (max(noise, LEAST_NOISE) * 2 * 20**0.5)

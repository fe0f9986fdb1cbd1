"""How large the crater near a place is: the ring that stands out most from its inside and its surroundings.

A crater is a bright rim around a darker floor. For each of a set of radii, and each place near the evidence, the mean
along the ring is compared with the mean inside it and outside it, over the scatter along the ring; the best ring
counts, if it is good enough. docs/results.md says how good the diameters are on simulated craters.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy import fft

HALF = 48
"""Half the side of the patch that is looked at, in px."""
SEARCH = 16
"""Rings are looked for this far from the evidence, in px each way."""
RADII = np.geomspace(2.0, 21.0, 12)
ENOUGH = 4.0
"""Rings that stand out less than this give no diameter: most of those would be wrong."""
PAD = 2 * HALF


@cache
def _kernels() -> np.ndarray:
    """Transforms of the means over ring, inside and surroundings of each radius: (3, radii, PAD, PAD // 2 + 1)."""
    at = np.fft.fftfreq(PAD, 1 / PAD)
    far = np.hypot(at[:, None], at[None, :])
    masks = []
    for radius in RADII:
        ring = np.clip(1.0 + max(0.5, 0.15 * radius) - np.abs(far - radius), 0, 1)
        floor = np.clip(0.5 * radius + 0.5 - far, 0, 1)
        around = np.clip(0.25 * radius + 0.5 - np.abs(far - 1.7 * radius), 0, 1)
        masks.append([mask / mask.sum() for mask in (ring, floor, around)])
    return np.asarray(fft.rfft2(np.asarray(masks, np.float32).swapaxes(0, 1)))


def estimate_diameter(pixels: np.ndarray, x: float, y: float) -> float | None:
    """The diameter of the crater near a place, if there is one.

    Args:
        pixels: (h, w) uint8.
        x, y: pixel centre of the evidence.

    Returns:
        The diameter in px, rim crest to rim crest; None when no ring stands out enough.
    """
    patch = _patch(pixels, x, y)
    kernels = _kernels()
    ring, floor, around = fft.irfft2(fft.rfft2(patch) * kernels, s=(PAD, PAD))
    squares = fft.irfft2(fft.rfft2(patch * patch) * kernels[0], s=(PAD, PAD))
    scatter = np.sqrt(np.maximum(squares - ring * ring, 0)) + 2
    contrast = np.minimum(ring - floor, 1.5 * (ring - around))
    near = slice(HALF - SEARCH, HALF + SEARCH + 1)
    quality = (contrast / scatter * np.sqrt(RADII).astype(np.float32)[:, None, None])[:, near, near]
    radius, row, column = np.unravel_index(int(quality.argmax()), quality.shape)
    if quality[radius, row, column] < ENOUGH:
        return None
    return 2 * _between(quality[:, row, column], int(radius))


def _patch(pixels: np.ndarray, x: float, y: float) -> np.ndarray:
    """A square of the image around a place, its edge continued where the image ends; float32 about 0."""
    height, width = pixels.shape
    rows = np.clip(np.arange(PAD) + round(y) - HALF, 0, height - 1)
    columns = np.clip(np.arange(PAD) + round(x) - HALF, 0, width - 1)
    patch: np.ndarray = pixels[np.ix_(rows, columns)].astype(np.float32)
    patch -= patch.mean()
    # A light blur against single bright pixels; their scatter would else outweigh small rims.
    for axis in (0, 1):
        patch = (np.roll(patch, 1, axis) + 2 * patch + np.roll(patch, -1, axis)) / 4
    return patch


def _between(quality: np.ndarray, best: int) -> float:
    """The radius at the top of the parabola through the best one and its neighbours, on a logarithmic scale."""
    if not 0 < best < len(RADII) - 1:
        return float(RADII[best])
    before, top, after = quality[best - 1 : best + 2]
    bend = before - 2 * top + after
    shift = 0.0 if bend >= 0 else float(np.clip((before - after) / (2 * bend), -0.5, 0.5))
    return float(RADII[best] * (RADII[1] / RADII[0]) ** shift)

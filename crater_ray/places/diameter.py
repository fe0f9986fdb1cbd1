"""The ring that stands out: where the crater near some evidence has its centre, and how large it is.

A crater is a bright rim around a darker floor. For each of a set of radii, and each pixel near the evidence, the mean
along the ring is compared with the mean inside it and outside it, over the scatter along the ring; the best ring
counts. docs/results.md says how good places and diameters are on simulated craters.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

SEARCH = 60
"""Rings are looked for this far from the evidence, in px each way: any pixel that it may have seen."""
RADII = np.geomspace(2.0, 21.0, 12)
GROUPS = ((5, 12, 1), (8, 20, 1), (12, 40, 2))
"""Radii that are done alike: up to how many; how much more of the image is taken each way, in px, so that a ring
at the end of the search lies in it, surroundings too; and how many px each way are taken together."""
ENOUGH = 3.5
"""Rings that stand out less than this give no diameter: there may be no ring at all."""
FAINT = 1.0
"""Rings that stand out less than this are not even a place."""
NOISE = 6.0
"""Gray levels added to the scatter along a ring, so that a smooth spot of no contrast is no ring."""
SURROUNDINGS = 3.0
"""A rim that is so many times brighter against the floor than against its surroundings counts by the floor."""
AT_PLACE = 20
"""How far from a given place `estimate_diameter` looks, in px each way."""


@dataclass(frozen=True)
class Ring:
    """A ring in an image.

    Attributes:
        x, y: its centre, in px from the top left pixel's centre.
        diameter: rim crest to rim crest, in px.
        clarity: how much it stands out; see `ENOUGH` and `FAINT`.
    """

    x: float
    y: float
    diameter: float
    clarity: float


@cache
def _kernels(side: int, first: int, last: int, step: int) -> np.ndarray:
    """Transforms of the means over ring, inside and surroundings of some radii: (radii, 3, side, side // 2 + 1).

    Args:
        side: in squares of `step` px.
        first, last: numbers of the radii.
        step: px that are taken together each way; the ring's centre is the middle of such a square.
    """
    from scipy import fft

    at = (np.fft.fftfreq(side, 1 / side) * step)[:, None] + np.arange(step) - (step - 1) / 2
    far = np.hypot(at[:, None, :, None], at[None, :, None, :])
    masks = []
    for radius in RADII[first:last]:
        ring = np.clip(1.0 + max(0.5, 0.15 * radius) - np.abs(far - radius), 0, 1)
        floor = np.clip(0.5 * radius + 0.5 - far, 0, 1)
        around = np.clip(0.25 * radius + 0.5 - np.abs(far - 1.7 * radius), 0, 1)
        masks.append([mask.sum(axis=(2, 3)) / mask.sum() for mask in (ring, floor, around)])
    return np.asarray(fft.rfft2(np.asarray(masks, np.float32)))


def search_window(x: float, y: float, height: int, width: int, search: int = SEARCH) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the image in which `find_ring` looks around x, y."""
    rows = np.arange(max(0, round(y) - search), min(height, round(y) + search + 1))
    columns = np.arange(max(0, round(x) - search), min(width, round(x) + search + 1))
    return rows, columns


def find_ring(
    pixels: np.ndarray, x: float, y: float, weight: np.ndarray | None = None, search: int = SEARCH
) -> Ring | None:
    """The ring that stands out most near a place.

    Args:
        pixels: (h, w) uint8.
        x, y: where to look, in px.
        weight: (rows, columns) of `search_window`, float: how much a ring with its centre there counts; all the same
            when None.
        search: how far from x, y to look, in px each way.

    Returns:
        The ring; None when there is none but noise.
    """
    from scipy import fft

    rows, columns = search_window(x, y, pixels.shape[0], pixels.shape[1], search)
    whole = _patch(pixels, x, y, search + GROUPS[-1][1])
    quality = np.empty((len(RADII), len(rows), len(columns)), np.float32)
    first = 0
    for last, margin, step in GROUPS:
        # Small rings need little of the image, large ones no single pixels: both have smaller transforms.
        cut, half = GROUPS[-1][1] - margin, search + margin
        patch, side = whole[cut : len(whole) - cut, cut : len(whole) - cut], 2 * half // step
        planes = np.stack([patch, patch * patch])
        if step > 1:
            planes = planes.reshape(2, side, step, side, step).mean(axis=(2, 4))
        gray, square = fft.rfft2(planes)
        spectra = np.empty((4, *gray.shape), gray.dtype)
        top, left = int(rows[0]) - round(y) + half, int(columns[0]) - round(x) + half
        down, across = _squares(top, len(rows), step), _squares(left, len(columns), step)
        for number, kernels in enumerate(_kernels(side, first, last, step), start=first):
            # One radius at a time stays in the processor's cache, and only those rows are transformed that count.
            np.multiply(gray, kernels, out=spectra[:3])
            np.multiply(square, kernels[0], out=spectra[3])
            ring, floor, around, squares = fft.irfft(fft.ifft(spectra, axis=-2)[:, down], side)[..., across]
            scatter = np.sqrt(np.maximum(squares - ring * ring, 0)) + NOISE
            contrast = np.minimum(ring - floor, SURROUNDINGS * (ring - around))
            found = contrast / scatter * np.float32(np.sqrt(RADII[number]))
            if step > 1:
                found = found.repeat(step, 0)[top % step :][: len(rows)].repeat(step, 1)[:, left % step :]
            quality[number] = found[:, : len(columns)]
        first = last
    _, row, column = np.unravel_index(int((quality if weight is None else quality * weight).argmax()), quality.shape)
    here = quality[:, row, column]
    best = int(here.argmax())
    if here[best] < FAINT:
        return None
    return Ring(float(columns[column]), float(rows[row]), 2 * _between(here, best), float(here[best]))


def estimate_diameter(pixels: np.ndarray, x: float, y: float) -> float | None:
    """The diameter of the crater near a place, if there is one.

    Args:
        pixels: (h, w) uint8.
        x, y: the place, in px; it may be off by `AT_PLACE`.

    Returns:
        The diameter in px, rim crest to rim crest; None when no ring stands out enough.
    """
    ring = find_ring(pixels, x, y, search=AT_PLACE)
    return ring.diameter if ring is not None and ring.clarity >= ENOUGH else None


def _squares(first: int, count: int, step: int) -> slice:
    """The squares of `step` px that hold `count` px from `first` on."""
    return slice(first // step, (first + count - 1) // step + 1)


def _patch(pixels: np.ndarray, x: float, y: float, half: int) -> np.ndarray:
    """A square of the image around a place, its edge continued where the image ends; float32 about 0."""
    height, width = pixels.shape
    rows = np.clip(np.arange(2 * half) + round(y) - half, 0, height - 1)
    columns = np.clip(np.arange(2 * half) + round(x) - half, 0, width - 1)
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

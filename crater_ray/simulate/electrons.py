"""From heights to secondary electrons: tilt, edges, wells and the detector at the side.

The yield of a tilted surface grows as (1 / cos tilt)^n with n near 1 (Reimer, Scanning Electron Microscopy, 1998).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import fft, ndimage

from crater_ray.simulate.fields import blurred, enlarged, shrunk
from crater_ray.simulate.ranges import Ranges, uniform
from crater_ray.simulate.surface import Foil

STEEPEST = 4.0
"""Square of the slope at which the yield stops growing: steeper walls are narrower than the electrons' escape depth."""

DIRECTIONS = 8
"""Directions in which the sky above a point is measured."""


@dataclass(frozen=True)
class Optics:
    """How electrons leave the surface and reach the detector; see the fields of `Ranges` with the same names."""

    tilt_exponent: float
    edge_glow: float
    edge_length: float
    side_light: float
    well_exponent: float
    azimuth: float

    @classmethod
    def draw(cls, rng: np.random.Generator, ranges: Ranges) -> Optics:
        """Draw one microscope setting."""
        return cls(
            uniform(rng, ranges.tilt_exponent),
            uniform(rng, ranges.edge_glow),
            uniform(rng, ranges.edge_length),
            uniform(rng, ranges.side_light),
            uniform(rng, ranges.well_exponent),
            uniform(rng, (0, 2 * np.pi)),
        )


@dataclass(frozen=True)
class Relief:
    """What a feature does to the foil around it; all arrays have the shape of the coordinates it was asked for.

    Attributes:
        height: px, added to the foil.
        cover: 0..1, how far the foil's own texture is wiped out.
        emission: the material's yield as a factor on the foil's.
        glow: how much of the edge glow is left; 1 where not given.
    """

    height: np.ndarray
    cover: np.ndarray
    emission: np.ndarray
    glow: np.ndarray | float = 1.0


class Feature(Protocol):
    """Something compact on the foil: a crater, a pit, a grain of dust."""

    @property
    def size(self) -> float:
        """Diameter in px."""

    @property
    def reach(self) -> float:
        """Distance in px from the centre beyond which it changes nothing."""

    def relief(self, x: np.ndarray, y: np.ndarray) -> Relief:
        """Its shape at the offsets `x`, `y` (px from its centre, float32)."""


def emitted(height: np.ndarray, optics: Optics, spacing: float = 1.0) -> np.ndarray:
    """Yield of a surface by its tilt, with opposite slopes lit unequally.

    Args:
        height: (h, w) float32, px.
        optics: the microscope setting.
        spacing: px between samples.
    """
    dy, dx = np.empty_like(height), np.empty_like(height)
    scale = np.float32(0.5 / spacing)
    dy[1:-1], dx[:, 1:-1] = (height[2:] - height[:-2]) * scale, (height[:, 2:] - height[:, :-2]) * scale
    dy[0], dy[-1], dx[:, 0], dx[:, -1] = dy[1], dy[-2], dx[:, 1], dx[:, -2]
    secant = 1 + np.minimum(dx * dx + dy * dy, np.float32(STEEPEST))
    towards = (dx * np.float32(np.cos(optics.azimuth)) + dy * np.float32(np.sin(optics.azimuth))) / np.sqrt(secant)
    lit = np.maximum(1 - np.float32(optics.side_light) * towards, np.float32(0.1))
    emission: np.ndarray = secant ** np.float32(optics.tilt_exponent / 2) * lit
    return emission


def foil_signal(foil: Foil, optics: Optics) -> np.ndarray:
    """Signal of the foil as a whole: (h, w) float32, about 1 on plain foil. Hollows count as shallow wells."""
    shape = (foil.height.shape[0], foil.height.shape[1])
    transform = fft.rfft2(foil.height)
    signal: np.ndarray = foil.emission * emitted(foil.height, optics)
    length = optics.edge_length
    above = (foil.height - blurred(transform, length, length, 0.0, shape)) / np.float32(length)
    signal *= 1 + np.float32(optics.edge_glow) * np.clip(above, 0, 0.6)
    hollow = (blurred(transform, 5.0, 5.0, 0.0, shape) - foil.height) / np.float32(5.0)
    signal *= np.clip(1 - np.float32(0.7 * optics.well_exponent) * hollow, 0.4, 1.25)
    return signal


def open_sky(height: np.ndarray, optics: Optics, reach: float) -> np.ndarray:
    """Part of the sky that electrons can leave to, 1 on a plain, by the horizon in eight directions.

    Args:
        height: (h, w) float32 px, with equal spacing in px and in samples.
        optics: the detector's side counts more.
        reach: samples over which walls can hide the sky.
    """
    steps = np.unique(np.maximum(1, np.round(reach * np.array([0.12, 0.28, 0.5, 0.75, 1.0]))).astype(int))
    border = int(steps[-1])
    padded = np.pad(height, border, mode="edge")
    h, w = height.shape
    total, rise, higher = np.zeros_like(height), np.empty_like(height), np.empty_like(height)
    weights = 0.0
    for direction in range(DIRECTIONS):
        angle = 2 * np.pi * direction / DIRECTIONS
        rise.fill(0)
        for step in steps:
            dy, dx = round(step * np.sin(angle)), round(step * np.cos(angle))
            far = np.float32(1 / max(np.hypot(dy, dx), 1.0))
            there = padded[border + dy : border + dy + h, border + dx : border + dx + w]
            np.subtract(there, height, out=higher)
            higher *= far
            np.maximum(rise, higher, out=rise)
        weight = 1 + optics.side_light * np.cos(angle - optics.azimuth)
        rise *= rise
        rise += 1
        total += np.divide(np.float32(weight), rise, out=rise)  # cos^2 of the horizon's elevation
        weights += weight
    return total / np.float32(weights)


def place(foil: Foil, signal: np.ndarray, feature: Feature, centre: tuple[float, float], optics: Optics) -> None:
    """Put a feature on the foil, changing `foil.height` and `signal` in place.

    Small features are computed on a finer grid and averaged, so that a rim of half a pixel neither vanishes nor
    turns into stairs.

    Args:
        foil: the foil, features placed earlier included.
        signal: (h, w) float32, the signal of all that.
        feature: what to place.
        centre: x, y in px; 0, 0 is the centre of the first pixel.
        optics: the microscope setting.
    """
    h, w = signal.shape
    x, y = centre
    fine = 4 if feature.size <= 10 else 2 if feature.size <= 22 else 1
    half = int(np.ceil(feature.reach)) + 2
    top, left = max(0, round(y) - half), max(0, round(x) - half)
    bottom, right = min(h, round(y) + half + 1), min(w, round(x) + half + 1)
    if bottom - top < 4 or right - left < 4:
        return
    here = (slice(top, bottom), slice(left, right))
    ys = (np.arange((bottom - top) * fine, dtype=np.float32) + 0.5) / fine - np.float32(0.5 - top + y)
    xs = (np.arange((right - left) * fine, dtype=np.float32) + 0.5) / fine - np.float32(0.5 - left + x)
    relief = feature.relief(np.broadcast_to(xs, (len(ys), len(xs))), np.broadcast_to(ys[:, None], (len(ys), len(xs))))
    before = enlarged(foil.height[here], fine)
    level = float(np.sum(before * relief.cover) / (np.sum(relief.cover) + 1e-6))
    after = before + relief.cover * (np.float32(level) - before) + relief.height
    ratio = relief.emission * _local(after, optics, fine, relief.glow)
    if before.any():  # a plain's signal is 1
        ratio /= _local(before, optics, fine)
    reach = min(feature.size * 0.9, feature.reach) * fine
    ratio = ratio * open_sky(relief.height * np.float32(fine), optics, reach) ** np.float32(optics.well_exponent)
    signal[here] *= shrunk(ratio, fine)
    foil.height[here] += shrunk(after - before, fine)


def _local(height: np.ndarray, optics: Optics, fine: int, glow: np.ndarray | float = 1.0) -> np.ndarray:
    width = max(3, 2 * round(optics.edge_length * fine) + 1)
    smooth = ndimage.uniform_filter(ndimage.uniform_filter(height, width, mode="nearest"), width, mode="nearest")
    above = np.clip((height - smooth) / np.float32(optics.edge_length), 0, 0.8)
    signal = emitted(height, optics, 1 / fine)
    signal *= 1 + np.float32(optics.edge_glow) * glow * above
    return signal

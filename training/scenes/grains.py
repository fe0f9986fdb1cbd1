"""Packed grains: spheres, pebbles and plates that lie over each other, as powders, carbides and crushed rock look."""

from __future__ import annotations

import cv2
import numpy as np

MOST = 260
"""Grains of a surface at most: they are drawn one after the other."""


def draw_grains(rng: np.random.Generator, size: int) -> np.ndarray:
    """One surface of grains, (size, size) float32 in grey levels.

    A later grain covers an earlier one ("dead leaves": Matheron 1968; Lee, Mumford and Huang 2001, IJCV 41, 35), has
    borders as bright as steep slopes are to secondary electrons, and darkens the ground beside it.
    """
    ground = float(rng.uniform(30, 150))
    surface = np.full((size, size), ground, np.float32)
    surface += np.float32(rng.uniform(0, 8)) * _smooth(rng, size, 6)
    smallest = float(np.exp(rng.uniform(np.log(3.0), np.log(14.0))))
    largest = smallest * float(np.exp(rng.uniform(np.log(1.2), np.log(8.0))))
    diameters = _diameters(rng, smallest, largest, float(rng.uniform(0.1, 2.5)) * size**2)
    kind = Kind(rng, ground)
    for diameter in diameters:
        x, y = rng.uniform(-0.3 * diameter, size + 0.3 * diameter, 2)
        _put(rng, surface, kind, float(x), float(y), float(diameter))
    return np.asarray(surface, np.float32)


def _diameters(rng: np.random.Generator, smallest: float, largest: float, area: float) -> np.ndarray:
    """As many as cover `area` px, with a density that falls as the cube of the diameter, largest first or mixed."""
    chance = rng.random(MOST)
    inverse = smallest**-2 + chance * (largest**-2 - smallest**-2)
    drawn = inverse**-0.5
    count = max(3, int(np.searchsorted(np.cumsum(0.785 * drawn**2), area)))
    drawn = drawn[:count]
    return np.asarray(np.sort(drawn)[::-1] if rng.random() < 0.3 else drawn)


class Kind:
    """What all grains of a surface have in common.

    A border brighter than its grain only on a grain that stands out from the ground: else it were a crater's rim.
    """

    def __init__(self, rng: np.random.Generator, ground: float) -> None:
        self.level = float(np.clip(ground + rng.normal(20, 50), 20, 220))
        self.spread = float(rng.uniform(2, 12))
        above = max(0.0, self.level - 12 - ground) / self.level
        self.edge = float(rng.uniform(-0.3, min(1.2, 2.5 * above)))
        self.power = float(rng.uniform(1.0, 5.0))
        self.side, self.lit = float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0, 0.5))
        self.shadow = float(rng.uniform(0, 0.7))
        self.round = float(rng.choice((1.0, 1.3, 2.0)))
        self.corners = int(rng.integers(3, 8)) if rng.random() < 0.4 else 0
        self.rough = float(rng.uniform(0, 0.12)) if rng.random() < 0.6 else 0.0


def _put(rng: np.random.Generator, surface: np.ndarray, kind: Kind, x: float, y: float, diameter: float) -> None:
    size = surface.shape[0]
    ratio = kind.round * float(np.exp(rng.normal(0, 0.08)))
    radius = diameter / 2
    reach = int(np.ceil(radius * ratio * 1.5)) + 2
    left, top = max(0, round(x) - reach), max(0, round(y) - reach)
    right, bottom = min(size, round(x) + reach + 1), min(size, round(y) + reach + 1)
    if left >= right or top >= bottom:
        return
    u = (np.arange(left, right, dtype=np.float32) - np.float32(x))[None, :] / np.float32(radius)
    v = (np.arange(top, bottom, dtype=np.float32) - np.float32(y))[:, None] / np.float32(radius)
    turn = float(rng.uniform(0, 2 * np.pi))
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    a, b = (u * cos + v * sin) * np.float32(ratio**-0.5), (v * cos - u * sin) * np.float32(ratio**0.5)
    rho = np.sqrt(a * a + b * b) + np.float32(1e-4)
    if kind.corners or kind.rough:
        angle = np.arctan2(b, a)
        if kind.corners:  # the distance to a polygon's side
            sector = np.float32(2 * np.pi / kind.corners)
            rho = rho * np.cos(np.mod(angle, sector) - sector / 2) / np.cos(sector / 2) * np.float32(1.2)
        if kind.rough:
            rho = rho * (1 + np.float32(kind.rough) * np.sin(angle * rng.integers(3, 9) + np.float32(turn)))
    inside = np.clip((1 - rho) * np.float32(radius) + 0.5, 0, 1)
    near = np.clip(rho, 0, 1)
    bright = 1 + np.float32(kind.edge) * near ** np.float32(2 * kind.power)
    bright += np.float32(kind.lit) * (u * np.float32(np.cos(kind.side)) + v * np.float32(np.sin(kind.side))) * near
    level = np.float32(np.clip(kind.level + rng.normal(0, kind.spread), 10, 240))
    window = surface[top:bottom, left:right]
    if kind.shadow:
        window *= 1 - np.float32(kind.shadow) * np.clip(1.5 - rho, 0, 0.5) * 2 * (1 - inside)
    window += (level * np.clip(bright, 0.1, 2.2) - window) * inside


def _smooth(rng: np.random.Generator, size: int, scale: int) -> np.ndarray:
    side = size // scale + 3
    noise = rng.standard_normal((side, side), np.float32)
    return np.asarray(cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC))

"""Craters as height maps: how bright a bowl with a lip looks to secondary electrons, relative to the flat surface."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

REACH = 2.3
"""Half the side of a drawn patch, in radii of the rim crest."""
FINEST = 22.0
"""Small craters are drawn on a finer grid, on which they are so wide, and then averaged."""


@dataclass(frozen=True)
class Patch:
    """The relative brightness of one compact feature.

    Attributes:
        change: (n, n) float32, brightness over that of the flat surface, minus 1; spans 1 from lowest to highest.
        x, y: the feature's centre in the patch, px.
        diameter: rim crest to rim crest, px; geometric mean of both axes.
    """

    change: np.ndarray
    x: float
    y: float
    diameter: float


def draw_crater(rng: np.random.Generator, diameter: float, side: float) -> Patch:
    """Draw one crater.

    The yield of secondary electrons grows as a power of 1/cos(tilt) (Seiler 1983, J. Appl. Phys. 54, R1); electrons
    from the bottom of a well are caught by its walls; a detector at the side sees slopes that face it brighter.

    Args:
        rng: where chance comes from.
        diameter: rim crest to rim crest, px.
        side: direction of the detector, radians.
    """
    fine = max(1, int(np.ceil(FINEST / diameter)))
    half = int(np.ceil(REACH * diameter / 2)) + 1
    n = 2 * half + 1
    x, y = half + rng.uniform(-0.5, 0.5, 2)
    axis = ((np.arange(n * fine, dtype=np.float32) + 0.5) / fine - 0.5).astype(np.float32)
    u = (axis - np.float32(x))[None, :] * np.float32(2 / diameter)
    v = (axis - np.float32(y))[:, None] * np.float32(2 / diameter)
    rho, angle = _outline(rng, u, v)
    height = _height(rng, rho, angle)
    change = _brightness(rng, height, rho, 2 / diameter / fine, side)
    if fine > 1:
        change = cv2.resize(change, (n, n), interpolation=cv2.INTER_AREA)
    return Patch(change / max(float(np.ptp(change)), 1e-6), float(x), float(y), diameter)


def _outline(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far out each point lies (1 on the rim), and in which direction."""
    ratio = 1 + abs(rng.normal(0, 0.13)) if rng.random() < 0.95 else rng.uniform(1.3, 1.7)
    turn, root = rng.uniform(0, np.pi), np.sqrt(ratio)
    along = (u * np.cos(turn) + v * np.sin(turn)) / root
    across = (v * np.cos(turn) - u * np.sin(turn)) * root
    angle = np.arctan2(across, along).astype(np.float32)
    radius = np.sqrt(along * along + across * across).astype(np.float32)
    wobble = np.ones_like(angle)
    for order in range(2, 7):
        wobble += np.float32(rng.normal(0, 0.05 / order)) * np.cos(order * angle + np.float32(rng.uniform(0, 6.28)))
    return radius / wobble, angle


def _height(rng: np.random.Generator, rho: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Heights in radii: a bowl, from a paraboloid to flat-floored, and a lip, high, low, torn or half gone."""
    depth = rng.uniform(0.25, 1.3)
    flat = np.exp(rng.uniform(np.log(1.6), np.log(7.0)))
    bowl = -depth * np.clip(1 - rho**flat, 0, 1)
    lip = rng.uniform(0.02, 0.4) * (0.3 if rng.random() < 0.15 else 1.0)
    inner, outer = rng.uniform(0.08, 0.25), rng.uniform(0.12, 0.55)
    crest = np.exp(-np.square((rho - 1) / np.where(rho < 1, inner, outer)))
    around = np.ones_like(angle)
    if rng.random() < 0.5:  # petals
        around += rng.uniform(0.1, 0.7) * np.cos(rng.integers(3, 9) * angle + rng.uniform(0, 6.28))
    if rng.random() < 0.4:  # higher on one side
        around *= np.clip(1 + rng.uniform(0.3, 1.3) * np.cos(angle - rng.uniform(0, 6.28)), 0.05, None)
    height = bowl + lip * crest * around
    if rng.random() < 0.2:  # what is left of the grain
        where, size = rng.uniform(-0.4, 0.4), rng.uniform(0.15, 0.4)
        far = np.square(rho * np.cos(angle) - where) + np.square(rho * np.sin(angle) - rng.uniform(-0.4, 0.4))
        height += rng.uniform(0.1, 0.5) * depth * np.exp(-far / size**2)
    return np.asarray(height, np.float32)


def _brightness(rng: np.random.Generator, height: np.ndarray, rho: np.ndarray, step: float, side: float) -> np.ndarray:
    slope_y, slope_x = np.gradient(height, np.float32(step))
    secant = np.sqrt(1 + slope_x * slope_x + slope_y * slope_y)
    glow = np.minimum(secant, np.float32(rng.uniform(1.6, 3.5))) ** np.float32(rng.uniform(0.8, 1.4)) - 1
    # Walls inside of a deep bowl glow less than its rim does: their electrons have further to go.
    depth = np.clip(-height / max(-float(height.min()), 1e-3), 0, 1)
    glow *= 1 - np.float32(rng.uniform(0.2, 0.95)) * depth
    dark = 0.0 if rng.random() < 0.12 else rng.uniform(0.0, 1.8) * max(float(glow.max()), 0.3)
    lit = 0.0 if rng.random() < 0.3 else np.exp(rng.uniform(np.log(0.1), np.log(1.2)))
    facing = -(slope_x * np.cos(side) + slope_y * np.sin(side)) / secant
    change = glow + np.float32(lit) * facing - np.float32(dark) * depth ** np.float32(rng.uniform(0.5, 2.0))
    # The patch ends where the surface is flat again.
    return np.asarray(change * np.clip((2.25 - rho) / 0.3, 0, 1), np.float32)

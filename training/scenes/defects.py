"""Compact things that are no craters: rimless pits, beads, spheres, blisters, flakes, specks, strokes and steps."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from training.scenes.relief import Patch


def draw_defect(rng: np.random.Generator, side: float, kind: Kind | None = None, size: float | None = None) -> Patch:
    """Draw one.

    Args:
        rng: where chance comes from.
        side: direction of the detector, radians.
        kind: one of `KINDS`; by chance if None, a disc more often than others.
        size: px; 2 to 60 by chance if None.
    """
    kind = kind or draw_kind(rng)
    diameter = size or float(np.exp(rng.uniform(np.log(2.0), np.log(60.0 if rng.random() < 0.3 else 25.0))))
    half = int(np.ceil(diameter * 1.1)) + 2
    n = 2 * half + 1
    fine = 3 if diameter < 12 else 1
    x, y = half + rng.uniform(-0.5, 0.5, 2)
    axis = ((np.arange(n * fine) + 0.5) / fine - 0.5).astype(np.float32)
    u, v = (axis - np.float32(x)) * np.float32(2 / diameter), (axis - np.float32(y)) * np.float32(2 / diameter)
    turn = rng.uniform(0, 2 * np.pi)
    along = u[None, :] * np.cos(turn) + v[:, None] * np.sin(turn)
    across = v[:, None] * np.cos(turn) - u[None, :] * np.sin(turn)
    change = np.asarray(kind(rng, along, across, side - turn), np.float32)
    if fine > 1:
        change = cv2.resize(change, (n, n), interpolation=cv2.INTER_AREA)
    return Patch(change / max(float(np.ptp(change)), 1e-6), float(x), float(y), diameter)


def draw_kind(rng: np.random.Generator) -> Kind:
    """One of `KINDS` by chance: it is discs that foil has most of, and that look most like craters."""
    return _disc if rng.random() < DISCS else KINDS[int(rng.integers(len(KINDS)))]


DISCS = 0.2
"""How often a defect is a disc without further chance."""

Kind = Callable[[np.random.Generator, np.ndarray, np.ndarray, float], np.ndarray]


def _edge(distance: np.ndarray, softness: float) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(np.clip(distance / softness, -30, 30))))


def _squeezed(rng: np.random.Generator, u: np.ndarray, v: np.ndarray, most: float) -> np.ndarray:
    ratio = np.exp(rng.uniform(0, np.log(most)))
    return np.asarray(np.hypot(u / np.sqrt(ratio), v * np.sqrt(ratio)))


def _disc(rng: np.random.Generator, u: np.ndarray, v: np.ndarray, side: float) -> np.ndarray:
    """A pit without rim, an inclusion, a stain: darker or brighter, sharp or soft, mostly round, no ring around it."""
    sign = -1 if rng.random() < 0.65 else 1
    most = 1.25 if rng.random() < 0.6 else 2.5
    return np.asarray(sign * _edge(_squeezed(rng, u, v, most) - 1, rng.uniform(0.03, 0.3)))


def _bead(rng: np.random.Generator, u: np.ndarray, v: np.ndarray, side: float) -> np.ndarray:
    """A round grain: bright, brighter at its edge and on the side of the detector, with a shadow beside it."""
    radius = _squeezed(rng, u, v, 1.5)
    dome = np.sqrt(np.clip(1 - radius**2, 0, 1))
    lit = (u * np.cos(side) + v * np.sin(side)) * rng.uniform(0, 0.8)
    bright = np.where(radius < 1, 1 + lit + rng.uniform(0, 0.8) * (1 - dome), 0)
    shadow = _edge(np.hypot(u + 0.5 * np.cos(side), v + 0.5 * np.sin(side)) - 1, 0.15) * (radius >= 1)
    return np.asarray(bright - rng.uniform(0, 0.7) * shadow)


def _sphere(rng: np.random.Generator, u: np.ndarray, v: np.ndarray, side: float) -> np.ndarray:
    """A ball of powder: its limb glows as a rim does, its face is bright too, a dark seam lies around it."""
    radius = _squeezed(rng, u, v, 1.2)
    secant = 1 / np.sqrt(np.clip(1 - (0.97 * np.minimum(radius, 1)) ** 2, 0.02, 1))
    limb = np.minimum(secant, rng.uniform(1.5, 3.5)) ** rng.uniform(0.6, 1.3)
    face = limb - rng.uniform(-0.3, 0.4) + rng.uniform(0, 0.5) * (u * np.cos(side) + v * np.sin(side))
    seam = np.exp(-(((radius - 1.1) / rng.uniform(0.08, 0.3)) ** 2)) * (radius >= 1)
    return np.asarray(np.where(radius < 1, face, 0) - rng.uniform(0, 1.2) * seam)


def _blister(rng: np.random.Generator, u: np.ndarray, v: np.ndarray, side: float) -> np.ndarray:
    """A smooth bump or dent: bright on one side, dark on the other."""
    fall = np.exp(-(_squeezed(rng, u, v, 2.0) ** 2) / rng.uniform(0.3, 0.7))
    return np.asarray((u * np.cos(side) + v * np.sin(side)) * fall * rng.choice((-1, 1)))


def _flake(rng: np.random.Generator, u: np.ndarray, v: np.ndarray, side: float) -> np.ndarray:
    """A polygon with corners, flat or with one bright border."""
    corners = int(rng.integers(3, 8))
    directions = np.sort(rng.uniform(0, 2 * np.pi, corners))
    far = np.max([u * np.cos(d) + v * np.sin(d) - rng.uniform(0.5, 0.9) for d in directions], axis=0)
    inside = _edge(far, rng.uniform(0.03, 0.12))
    border = np.exp(-((far / rng.uniform(0.08, 0.2)) ** 2)) * np.clip(u * np.cos(side) + v * np.sin(side), 0, None)
    bounds = _edge(np.hypot(u, v) - 1.5, 0.1)
    return np.asarray((rng.choice((-1, 1)) * inside + rng.uniform(0, 1.2) * border) * bounds)


def _speck(rng: np.random.Generator, u: np.ndarray, v: np.ndarray, side: float) -> np.ndarray:
    """A charged grain: very bright, with a glow, or a trail along the scan line."""
    glow = np.exp(-(_squeezed(rng, u, v, 3.0) ** 2) / rng.uniform(0.05, 0.4))
    trail = np.exp(-np.abs(u)) * np.exp(-((v / 0.2) ** 2)) * (0 if rng.random() < 0.7 else rng.uniform(-0.6, 0.6))
    return np.asarray(glow + trail)


def _stroke(rng: np.random.Generator, u: np.ndarray, v: np.ndarray, side: float) -> np.ndarray:
    """A scratch with its ends: a dark line with bright borders, one of the two, or a crossing of two."""
    thin = rng.uniform(0.05, 0.25)
    bend = v + rng.uniform(-0.3, 0.3) * u * u
    line = np.exp(-((bend / thin) ** 2))
    borders = np.exp(-(((np.abs(bend) - 2 * thin) / thin) ** 2))
    stroke = (rng.uniform(-1, 0.3) * line + rng.uniform(-0.2, 1) * borders) * _edge(np.abs(u) - 1, 0.05)
    if rng.random() < 0.3:
        stroke = stroke + np.exp(-(((u + rng.uniform(-0.5, 0.5)) / thin) ** 2)) * _edge(np.abs(v) - 1, 0.05)
    return np.asarray(stroke)


def _blob(rng: np.random.Generator, u: np.ndarray, v: np.ndarray, side: float) -> np.ndarray:
    """An irregular patch, darker or brighter, from the sum of a few round ones, perhaps with a bright border."""
    field = np.zeros(np.broadcast_shapes(u.shape, v.shape))
    for _ in range(int(rng.integers(2, 6))):
        a, b, size = rng.uniform(-0.7, 0.7), rng.uniform(-0.7, 0.7), rng.uniform(0.2, 0.5)
        field += np.exp(-((u - a) ** 2 + (v - b) ** 2) / size**2)
    patch = _edge(0.6 - field, rng.uniform(0.04, 0.2))
    lit = np.exp(-(((field - 0.6) / 0.2) ** 2)) * np.clip(u * np.cos(side) + v * np.sin(side), 0, None)
    return np.asarray(rng.choice((-1, -1, 1)) * patch + rng.uniform(0, 0.8) * lit)


def _step(rng: np.random.Generator, u: np.ndarray, v: np.ndarray, side: float) -> np.ndarray:
    """An arc or a kink of an edge, as of a grain boundary: no closed ring."""
    radius, angle = np.hypot(u, v), np.arctan2(v, u)
    arc = np.exp(-(((radius - 0.8) / rng.uniform(0.06, 0.2)) ** 2)) * _edge(np.abs(angle) - rng.uniform(0.3, 1.2), 0.1)
    return np.asarray(rng.choice((-1, 1)) * arc)


KINDS: tuple[Kind, ...] = (
    _disc,
    _bead,
    _sphere,
    _blister,
    _flake,
    _speck,
    _stroke,
    _blob,
    _step,
)

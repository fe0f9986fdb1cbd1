"""Decoys: cut-outs of things that are no craters, pasted as craters are, so that the paste itself tells nothing."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from training.data_sets.seeds import Seed

KINDS = ("bright-spot", "dark-spot", "bump", "polygon", "streak", "half-ring", "cloud")

SIZE = 96
DIAMETER = 48.0


def draw(rng: np.random.Generator) -> tuple[str, Seed]:
    """Draw one decoy as a cut-out of the same form as a seed crater: 96 px wide, the thing itself 48 px.

    None has a bright rim all around a darker floor; all else about them is free.
    """
    kind = str(rng.choice(KINDS))
    rows, columns = (np.indices((SIZE, SIZE), dtype=np.float32) - (SIZE - 1) / 2.0) / (DIAMETER / 2.0)
    radius = np.hypot(rows, columns)
    wobble = ndimage.gaussian_filter(rng.normal(0.0, 1.0, (SIZE, SIZE)), 10.0, mode="wrap")
    wobble *= float(rng.uniform(0.0, 0.35)) / max(float(wobble.std()), 1e-6)
    edge = float(rng.uniform(0.05, 0.4))
    strength = float(np.exp(rng.uniform(np.log(0.12), np.log(0.9))))
    inside = _soft(radius * (1.0 + wobble), 1.0, edge)
    if kind == "bright-spot":
        signal = strength * inside
    elif kind == "dark-spot":
        signal = -min(strength, 0.75) * inside
    elif kind == "bump":
        # One side bright, the other dark: a blister, a dust grain or a shallow dent.
        signal = strength * columns * np.exp(-((radius / 0.8) ** 2)) * 1.6
    elif kind == "polygon":
        corners = int(rng.integers(3, 8))
        turn = rng.uniform(0, 2 * np.pi, 1) + np.arange(corners) * 2 * np.pi / corners + rng.normal(0, 0.15, corners)
        reach = np.max([rows * np.sin(a) + columns * np.cos(a) for a in turn], axis=0)
        signal = float(rng.choice((-1.0, 1.0))) * min(strength, 0.7) * _soft(reach, 0.85, edge * 0.5)
    elif kind == "streak":
        thickness = float(rng.uniform(0.08, 0.3))
        signal = float(rng.choice((-1.0, 1.0))) * min(strength, 0.8) * inside * np.exp(-((rows / thickness) ** 2))
    elif kind == "half-ring":
        # An edge that glows on less than half of its way round, with no floor inside.
        width = float(rng.uniform(0.1, 0.25))
        signal = strength * np.exp(-(((radius - 0.9) / width) ** 2)) * np.clip(columns * 1.5, 0.0, 1.0)
    else:
        cloud = ndimage.gaussian_filter(rng.normal(0.0, 1.0, (SIZE, SIZE)), float(rng.uniform(3.0, 12.0)))
        signal = min(strength, 0.5) * inside * cloud / max(float(cloud.std()), 1e-6) * 0.5
    alpha = np.asarray(_soft(radius, 1.45, 0.3), np.float32)
    grey = np.asarray(np.clip(120.0 * (1.0 + signal), 0.0, 255.0), np.float32)
    return kind, Seed(-1, grey, alpha, DIAMETER)


def _soft(distance: np.ndarray, where: float, width: float) -> np.ndarray:
    """1 inside, 0 outside, falling over about `width` around `where`."""
    return np.asarray(1.0 / (1.0 + np.exp(np.clip((distance - where) / (width / 4.0), -40.0, 40.0))), np.float32)

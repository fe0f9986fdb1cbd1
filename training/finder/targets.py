"""What the maps of a scene should say: where centres are, how large, and which positions are not asked."""

from __future__ import annotations

import numpy as np

from crater_ray.network.finder import BASE_DIAMETER, STRIDE
from training.scenes.scene import VISIBLE

CHANNELS = 5
"""Of a target: 1 for a centre and 0 for none; its weight, 0 where nothing is asked; logarithm of the diameter; right
and down to the centre, in strides."""


def draw_targets(craters: np.ndarray, size: int) -> np.ndarray:
    """The targets of one scene.

    Args:
        craters: (n, 4) float32, as `training.scenes.scene.Scene` has them.
        size: of the scene, px; a multiple of 16.

    Returns:
        (size / 4, size / 4, 5) float32; see `CHANNELS`.
    """
    n = size // STRIDE
    target = np.zeros((n, n, CHANNELS), np.float32)
    target[..., 1] = 1.0
    middle = np.arange(n, dtype=np.float32) * STRIDE + (STRIDE - 1) / 2
    for x, y, diameter, _ in craters:  # first: what is not asked
        far = np.hypot(middle[None, :] - x, middle[:, None] - y)
        target[far < 0.5 * diameter + 4.0, 1] = 0.0
    for x, y, diameter, visibility in sorted(craters.tolist(), key=lambda crater: -crater[2]):
        if visibility < VISIBLE or not (0 <= x < size and 0 <= y < size):
            continue
        far = np.hypot(middle[None, :] - x, middle[:, None] - y)
        inside = far <= max(0.15 * diameter, float(far.min()) + 1e-3)
        rows, columns = np.nonzero(inside)
        target[rows, columns, 0] = 1.0
        target[rows, columns, 1] = 1.0 / len(rows)
        target[rows, columns, 2] = np.log(diameter / BASE_DIAMETER)
        target[rows, columns, 3] = (x - middle[columns]) / STRIDE
        target[rows, columns, 4] = (y - middle[rows]) / STRIDE
    return target

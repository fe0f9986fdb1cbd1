"""A sprinkle of tiny droplets or holes, too many and too small to be placed one by one on a finer grid."""

from __future__ import annotations

import numpy as np

from crater_ray.simulate.ranges import Ranges, log_uniform, uniform
from crater_ray.simulate.surface import Foil


def sprinkle(rng: np.random.Generator, foil: Foil, ranges: Ranges, share: float) -> list[tuple[float, float, float]]:
    """Put specks of one sort on the foil, in place.

    Args:
        rng: where chance comes from.
        foil: what they are put on.
        ranges: how many, how large.
        share: the image's size in units of 384x512.

    Returns:
        x, y and diameter of each, in px.
    """
    h, w = foil.height.shape
    number = int(log_uniform(rng, ranges.speck_count) * share + rng.random())
    typical, spread = log_uniform(rng, ranges.speck_size), uniform(rng, (0.0, 0.35))
    bright = uniform(rng, (1.1, 2.2)) if rng.random() < 0.7 else uniform(rng, (0.45, 0.9))
    tall = uniform(rng, (-0.25, 0.35))
    clustered = rng.random() < 0.4
    centre, width = rng.uniform(0, 1, 2) * (w, h), uniform(rng, (0.1, 0.4)) * max(h, w)
    made = []
    for _ in range(number):
        x, y = rng.normal(centre, width) if clustered else rng.uniform(0, 1, 2) * (w, h)
        size = float(np.clip(typical * np.exp(rng.normal(0, spread)), ranges.speck_size[0], 2 * ranges.speck_size[1]))
        half = int(size + 2)
        top, left, bottom, right = round(y) - half, round(x) - half, round(y) + half + 1, round(x) + half + 1
        if top < 0 or left < 0 or bottom > h or right > w:
            continue
        dy = (np.arange(top, bottom, dtype=np.float32) - y)[:, None]
        dx = (np.arange(left, right, dtype=np.float32) - x)[None, :]
        dome = 1 / (1 + ((dx * dx + dy * dy) * np.float32(4 / size**2)) ** 2.5)
        foil.height[top:bottom, left:right] += np.float32(tall * size) * dome.astype(np.float32)
        foil.emission[top:bottom, left:right] *= 1 + np.float32(bright - 1) * dome.astype(np.float32)
        made.append((float(x), float(y), size))
    return made

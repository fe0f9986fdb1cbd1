"""Craters from the finder's maps: each place that is likelier a crater's centre than its neighbours, best first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crater_ray.network.finder import BASE_DIAMETER, STRIDE

MOST = 1_000
"""Centres of one image that are kept: the best ones."""
APART = 0.5
"""Two centres nearer to each other than this share of the larger diameter are one crater."""


@dataclass(frozen=True)
class Centres:
    """The craters of one image, best first.

    Attributes:
        x, y: (k,) float32, px from the top left pixel's centre.
        diameter: (k,) float32, px.
        score: (k,) float32 in 0..1.
    """

    x: np.ndarray
    y: np.ndarray
    diameter: np.ndarray
    score: np.ndarray


def find_centres(maps: np.ndarray, floor: float, height: int, width: int) -> Centres:
    """The craters that the maps of one image show.

    Args:
        maps: (rows, columns, 4) float32, as `crater_ray.network.finder` gives them.
        floor: lowest score of a centre.
        height, width: of the image in px; positions beyond its border are only there to fill up.
    """
    rows, columns = -(-height // STRIDE), -(-width // STRIDE)
    logit = maps[:rows, :columns, 0]
    lowest = np.log(floor / (1 - floor)) if 0 < floor < 1 else -np.inf
    padded = np.pad(logit, 1, constant_values=-np.inf)
    around = [
        padded[1 + down : 1 + down + rows, 1 + right : 1 + right + columns]
        for down in (-1, 0, 1)
        for right in (-1, 0, 1)
    ]
    row, column = np.nonzero((logit >= np.maximum.reduce(around)) & (logit >= lowest))
    order = np.argsort(-logit[row, column], kind="stable")[:MOST]
    row, column = row[order], column[order]
    size, right, down = (maps[row, column, channel] for channel in (1, 2, 3))
    middle = (STRIDE - 1) / 2
    x = np.clip((column + right) * STRIDE + middle, 0, width - 1)
    y = np.clip((row + down) * STRIDE + middle, 0, height - 1)
    diameter = BASE_DIAMETER * np.exp(np.clip(size, -2, 3))
    kept = _apart(x, y, diameter)
    score = 1 / (1 + np.exp(-logit[row, column].astype(np.float64)))
    return Centres(*(np.asarray(values[kept], np.float32) for values in (x, y, diameter, score)))


def _apart(x: np.ndarray, y: np.ndarray, diameter: np.ndarray) -> list[int]:
    """Which of these places, best first, are craters of their own."""
    kept: list[int] = []
    for number in range(len(x)):
        if kept:
            far = np.hypot(x[kept] - x[number], y[kept] - y[number])
            if (far < np.maximum(APART * np.maximum(diameter[kept], diameter[number]), STRIDE)).any():
                continue
        kept.append(number)
    return kept

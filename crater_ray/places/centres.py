"""Craters from the finder's maps: each place that is likelier a crater's centre than its neighbours, best first."""

from __future__ import annotations

from collections.abc import Sequence
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


def strongest_centre(maps: np.ndarray, height: int, width: int) -> tuple[float, float, float]:
    """x, y and diameter in px of the likeliest centre of one image, whatever its score; arguments as `find_centres`."""
    rows, columns = -(-height // STRIDE), -(-width // STRIDE)
    row, column = np.unravel_index(int(maps[:rows, :columns, 0].argmax()), (rows, columns))
    x, y, diameter = _places(maps, np.array([row]), np.array([column]), height, width)
    return float(x[0]), float(y[0]), float(diameter[0])


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
    # Of most images next to nothing reaches the floor: only what does is compared with its neighbours.
    row, column = np.nonzero(logit >= lowest)
    if not len(row):
        return Centres(*np.zeros((4, 0), np.float32))
    highest = _is_highest(logit, row, column)
    row, column = row[highest], column[highest]
    order = np.argsort(-logit[row, column], kind="stable")[:MOST]
    row, column = row[order], column[order]
    x, y, diameter = _places(maps, row, column, height, width)
    kept = _apart(x, y, diameter)
    score = 1 / (1 + np.exp(-logit[row, column].astype(np.float64)))
    return Centres(*(np.asarray(values[kept], np.float32) for values in (x, y, diameter, score)))


def _is_highest(logit: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Whether nothing around a position, (k,) each, is higher than it."""
    # Beyond a border lies what is at it: a position of the same neighbourhood.
    rows = [row, np.maximum(row - 1, 0), np.minimum(row + 1, logit.shape[0] - 1)]
    columns = [column, np.maximum(column - 1, 0), np.minimum(column + 1, logit.shape[1] - 1)]
    here = logit[row, column]
    return np.asarray(np.logical_and.reduce([here >= logit[near, beside] for near in rows for beside in columns]))


def _places(
    maps: np.ndarray, row: np.ndarray, column: np.ndarray, height: int, width: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, y and diameter in px that positions of the maps stand for."""
    size, right, down = (maps[row, column, channel] for channel in (1, 2, 3))
    middle = (STRIDE - 1) / 2
    x = np.clip((column + right) * STRIDE + middle, 0, width - 1)
    y = np.clip((row + down) * STRIDE + middle, 0, height - 1)
    return x, y, BASE_DIAMETER * np.exp(np.clip(size, -2, 3))


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


def joined(parts: Sequence[Centres]) -> Centres:
    """The craters of several parts of one image, each crater once, best first."""
    x, y, diameter, score = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("x", "y", "diameter", "score")
    )
    order = np.argsort(-score, kind="stable")[:MOST]
    x, y, diameter, score = x[order], y[order], diameter[order], score[order]
    kept = _apart(x, y, diameter)
    return Centres(x[kept], y[kept], diameter[kept], score[kept])


def listed(centres: Centres) -> list[dict[str, float]] | None:
    """The craters as the column `places` holds them; None when there are none."""
    return [
        {"x": float(x), "y": float(y), "score": float(score), "diameter": float(diameter)}
        for x, y, diameter, score in zip(centres.x, centres.y, centres.diameter, centres.score, strict=True)
    ] or None

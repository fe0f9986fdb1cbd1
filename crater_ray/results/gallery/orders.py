"""Orders of a gallery beside the score: the least certain first, and the most unlike what came before first.

Both are what active learning asks people about: uncertainty sampling (Lewis and Gale 1994), and a core set by the
farthest-first traversal (Gonzalez 1985; Sener and Savarese 2018) of what the crops look like.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from crater_ray.results.gallery.pictures import COLUMNS, CROP, Picture

RINGS = 12
"""Rings around a crop's centre; their mean and spread of brightness tell what it looks like, however it is turned."""
MOST = 2_000
"""So many are put into the order of unlikeness; the others follow in their own."""


def uncertainty(chances: np.ndarray) -> np.ndarray:
    """(n,) places in the order of how near each of (n,) probabilities is to 1/2; those that are none come last."""
    return _places(np.argsort(np.where(np.isfinite(chances), np.abs(chances - 0.5), 1.0), kind="stable"))


def diversity(looks: np.ndarray) -> np.ndarray:
    """(n,) places in the order in which each is the farthest from all before it; the first one stays the first.

    Args:
        looks: (n, k) what each looks like; rows that are not numbers come last.
    """
    known = np.flatnonzero(np.isfinite(looks).all(axis=1))
    points = looks[known].astype(np.float32)
    order: list[int] = []
    if len(known):
        points = (points - points.mean(axis=0)) / np.maximum(points.std(axis=0), 1e-6)
        far = np.full(len(points), np.inf, np.float32)
        at = 0
        for _ in range(min(len(points), MOST)):
            order.append(at)
            far = np.minimum(far, np.square(points - points[at]).sum(axis=1))
            far[at] = -1
            at = int(np.argmax(far))
    first = known[order] if order else np.zeros(0, int)
    rest = np.setdiff1d(np.arange(len(looks)), first)
    return _places(np.concatenate([first, rest]))


def looks_of(sprites: Path, pictures: Sequence[Picture]) -> np.ndarray:
    """(n, 2 x RINGS) what the crops in a gallery's sprites look like; not numbers where there is no picture.

    Args:
        sprites: the folder of the sprites.
        pictures: of all candidates, in the sprites' order.
    """
    looks = np.full((len(pictures), 2 * RINGS), np.nan, np.float32)
    side = (np.arange(CROP) - (CROP - 1) / 2)[:, None]
    ring = np.minimum(np.sqrt(side**2 + side.T**2) / (CROP / 2) * RINGS, RINGS - 1).astype(int).ravel()
    counts = np.bincount(ring, minlength=RINGS)
    for start in range(0, len(pictures), COLUMNS * COLUMNS):
        sprite = np.asarray(Image.open(sprites / f"{start // COLUMNS**2:04d}.jpg"), np.float32)
        for place, picture in enumerate(pictures[start : start + COLUMNS * COLUMNS]):
            if picture.problem:
                continue
            row, column = divmod(place, COLUMNS)
            cell = sprite[row * CROP : (row + 1) * CROP, column * CROP : (column + 1) * CROP].ravel()
            bright = (cell - picture.low) / max(picture.high - picture.low, 1)
            mean = np.bincount(ring, bright, RINGS) / counts
            square = np.bincount(ring, bright**2, RINGS) / counts
            looks[start + place] = np.concatenate([mean, np.sqrt(np.maximum(square - mean**2, 0))])
    return looks


def _places(order: np.ndarray) -> np.ndarray:
    places = np.empty(len(order), int)
    places[order] = np.arange(len(order))
    return places

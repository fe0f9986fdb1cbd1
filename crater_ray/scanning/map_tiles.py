"""The largest images through the finder, in a few large tiles; all others go through it as they are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from crater_ray.engines.base import Engine
from crater_ray.network.evidence import Maps
from crater_ray.network.finder import STRIDE
from crater_ray.places.centres import Centres, find_centres, joined

MOST_PIXELS = 6_000_000
"""Up to so many pixels an image goes through the network as it is; its activations then take about 1 GB."""
TILE = 2048
OVERLAP = 512
"""Tiles of the largest images overlap by more than what one position sees (in its second view twice as much), and
centres in a tile's outer half of the overlap are left to its neighbour."""


def maps_of(engine: Engine, images: np.ndarray) -> Maps:
    """What an engine that gives maps says of (n, height, width) uint8 images."""
    said = engine.score(images)
    if not isinstance(said, Maps):
        raise TypeError(f"The engine must give maps; received: {type(said).__name__}")
    return said


def find_in_tiles(engine: Engine, images: np.ndarray, floor: float) -> tuple[np.ndarray, list[Centres]]:
    """Score images in tiles, and find their craters.

    Args:
        engine: one that gives maps.
        images: (n, height, width) uint8.
        floor: lowest score of a crater.

    Returns:
        (n,) float32 scores in 0..1, and the craters of each image, best first.
    """
    each = [_in_tiles(engine, image, floor) for image in images]
    return np.array([score for score, _ in each], np.float32), [centres for _, centres in each]


def _in_tiles(engine: Engine, image: np.ndarray, floor: float) -> tuple[np.float32, Centres]:
    """Score and craters of one image. Its score is that of its strongest centre, as of any image."""
    height, width = image.shape
    score = np.float32(0)
    parts = []
    for top, bottom in _spans(height):
        for left, right in _spans(width):
            maps = maps_of(engine, image[None, top:bottom, left:right]).maps
            (low, high), (first, last) = _own(top, bottom, height), _own(left, right, width)
            own = maps[:, low // STRIDE : -(-high // STRIDE), first // STRIDE : -(-last // STRIDE)]
            score = max(score, Maps.of(own, high - low, last - first).scores[0])
            found = find_centres(maps[0], floor, bottom - top, right - left)
            kept = (found.y >= low) & (found.y < high) & (found.x >= first) & (found.x < last)
            x, y, diameter, chance = (values[kept] for values in (found.x, found.y, found.diameter, found.score))
            parts.append(Centres(x + np.float32(left), y + np.float32(top), diameter, chance))
    return score, joined(parts)


def _own(start: int, stop: int, length: int) -> tuple[int, int]:
    """Which part of a tile is its own to answer for, from its own beginning on, along one side."""
    return (OVERLAP // 2 if start else 0), stop - start - (OVERLAP // 2 if stop < length else 0)


def _spans(length: int) -> Iterator[tuple[int, int]]:
    """Where tiles begin and end along one side."""
    start = 0
    while True:
        stop = min(start + TILE, length)
        yield start, stop
        if stop == length:
            return
        start += TILE - OVERLAP

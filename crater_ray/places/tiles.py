"""Images larger than the network was trained on, as overlapping tiles of the trained size."""

from __future__ import annotations

import math

import numpy as np

from crater_ray.network.stardust import RECEPTIVE_FIELD, TILE

WHOLE_PIXELS = 2 * TILE[0] * TILE[1]
"""Up to this many pixels an image is scored as it is; from there on in tiles."""


def tile_corners(height: int, width: int) -> list[tuple[int, int]]:
    """Top left corners (row, column) of tiles of `TILE` that cover an image.

    Neighbours overlap by at least the receptive field, so that whatever the network could see in the whole image
    it sees whole in some tile. A direction shorter than a tile is covered by one tile, cut to the image.
    """
    return [(row, column) for row in _starts(height, TILE[0]) for column in _starts(width, TILE[1])]


SAME = RECEPTIVE_FIELD // 2
"""Places of two tiles that are nearer to each other than this, in px, are one: both tiles saw it."""


def distinct_places(
    scores: np.ndarray, places: np.ndarray, threshold: np.float32
) -> list[dict[str, float | None]] | None:
    """The distinct places of an image's tiles, where there are several.

    Args:
        scores: (tiles,) float32.
        places: (tiles, 3) float32, x and y in the image and diameter, in px; not a number where there is none.
        threshold: a tile from this score has a candidate.

    Returns:
        Places with `x`, `y`, `score`, `diameter`, best first; None when there are fewer than two.
    """
    kept: list[int] = []
    for tile in np.argsort(-scores, kind="stable"):
        if scores[tile] < threshold:
            break
        if all(np.hypot(*(places[tile, :2] - places[other, :2])) > SAME for other in kept):
            kept.append(int(tile))
    if len(kept) < 2:
        return None
    return [
        {
            "x": float(places[tile, 0]),
            "y": float(places[tile, 1]),
            "score": float(scores[tile]),
            "diameter": None if np.isnan(places[tile, 2]) else float(places[tile, 2]),
        }
        for tile in kept
    ]


def _starts(length: int, tile: int) -> list[int]:
    if length <= tile:
        return [0]
    count = math.ceil((length - RECEPTIVE_FIELD) / (tile - RECEPTIVE_FIELD))
    return [round(index * (length - tile) / (count - 1)) for index in range(count)]

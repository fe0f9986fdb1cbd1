"""Images larger than the network was trained on, as overlapping tiles of the trained size."""

from __future__ import annotations

import math

from crater_ray.network import RECEPTIVE_FIELD, TILE

WHOLE_PIXELS = 2 * TILE[0] * TILE[1]
"""Up to this many pixels an image is scored as it is; from there on in tiles."""


def tile_corners(height: int, width: int) -> list[tuple[int, int]]:
    """Top left corners (row, column) of tiles of `TILE` that cover an image.

    Neighbours overlap by at least the receptive field, so that whatever the network could see in the whole image
    it sees whole in some tile. A direction shorter than a tile is covered by one tile, cut to the image.
    """
    return [(row, column) for row in _starts(height, TILE[0]) for column in _starts(width, TILE[1])]


def _starts(length: int, tile: int) -> list[int]:
    if length <= tile:
        return [0]
    count = math.ceil((length - RECEPTIVE_FIELD) / (tile - RECEPTIVE_FIELD))
    return [round(index * (length - tile) / (count - 1)) for index in range(count)]

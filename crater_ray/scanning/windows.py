"""Large images through the network of the publication: convolutions once, the maximum over windows of the trained size.

The score of an image so large is that of its best window: what the same pixels would score as an image of their own,
but for the normalisation, which is that of the block of windows that are computed together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from crater_ray.engines.base import FeatureEngine
from crater_ray.engines.dense import logits, sigmoid
from crater_ray.network.evidence import Evidence
from crater_ray.network.stardust import RECEPTIVE_FIELD, STRIDE, TILE, Weights, feature_size

WINDOW = feature_size(TILE[0]), feature_size(TILE[1])
"""Positions of the last feature map in an image of the trained size: the network takes the maximum over so many."""
BLOCK = 3 * WINDOW[0], 3 * WINDOW[1]
"""So many positions at most are computed together: memory stays bounded, and pixels are normalised with their
surroundings, not with those of the far end of a mosaic."""
AT_ONCE = 16
"""Blocks that an engine is given together."""
LEFT = (TILE[0] - RECEPTIVE_FIELD) % STRIDE
"""Pixels at the far borders of an image of the trained size that no position sees."""


@dataclass(frozen=True)
class Windows:
    """The windows of one block.

    Attributes:
        image: number of the image that it is of.
        corners: (k, 2) int, row and column of each window's top left pixel in the image.
        pixels: (k, h, w) uint8, what each window sees.
        evidence: of each window.
    """

    image: int
    corners: np.ndarray
    pixels: np.ndarray
    evidence: Evidence


def windows_of(engine: FeatureEngine, images: np.ndarray, weights: Weights) -> Iterator[Windows]:
    """All windows of (n, height, width) uint8 images, block by block; the blocks of an image come one after another.

    Args:
        engine: computes the last feature map.
        images: of any size from the receptive field on.
        weights: the network's, for what follows the maximum.
    """
    images = _filled(images)
    rows, columns = (_spans(length, most, equal=True) for length, most in zip(images.shape[1:], BLOCK, strict=True))
    blocks = [(image, top, left) for image in range(len(images)) for top in rows.starts for left in columns.starts]
    for first in range(0, len(blocks), AT_ONCE):
        some = blocks[first : first + AT_ONCE]
        pixels = np.stack([images[i, top : top + rows.pixels, left : left + columns.pixels] for i, top, left in some])
        features = engine.features(pixels)
        for (image, top, left), block, maps in zip(some, pixels, features, strict=True):
            yield _cut(image, (top, left), block, maps, weights)


def _cut(image: int, corner: tuple[int, int], block: np.ndarray, maps: np.ndarray, weights: Weights) -> Windows:
    """The windows of a block (h, w) uint8 with its map (rows, columns, 32)."""
    down, across = (_spans(length, most) for length, most in zip(block.shape, WINDOW, strict=True))
    starts = [(row, column) for row in down.starts for column in across.starts]
    seen = [
        maps[row // STRIDE :, column // STRIDE :][: down.positions, : across.positions].reshape(-1, maps.shape[-1])
        for row, column in starts
    ]
    each = np.stack(seen)
    positions = each.argmax(axis=1)
    peaks = np.take_along_axis(each, positions[:, None], axis=1)[:, 0]
    evidence = Evidence(sigmoid(logits(peaks, weights)), peaks, positions.astype(np.int32))
    pixels = np.stack([block[row : row + down.pixels, column : column + across.pixels] for row, column in starts])
    return Windows(image, np.asarray(starts) + np.asarray(corner), pixels, evidence)


@dataclass(frozen=True)
class _Spans:
    """Equal spans along one side: where they begin in px, and what each covers in px and in positions."""

    starts: list[int]
    pixels: int
    positions: int


def _spans(length: int, most: int, equal: bool = False) -> _Spans:
    """Spans of so many positions that cover a side, or of fewer if that makes them `equal` with less overlap."""
    total = feature_size(length)
    if total <= most:
        return _Spans([0], length, total)
    count = math.ceil((total - 1) / (most - 1))  # neighbours share a position, as tiles share what one of them sees
    positions = math.ceil((total + count - 1) / count) if equal else most
    starts = [round(number * (total - positions) / (count - 1)) * STRIDE for number in range(count)]
    return _Spans(starts, (positions - 1) * STRIDE + RECEPTIVE_FIELD, positions)


def _filled(images: np.ndarray) -> np.ndarray:
    """Continued by their last rows and columns where no position would see more of them than it must."""
    more = []
    for length in images.shape[1:]:
        left = (length - RECEPTIVE_FIELD) % STRIDE
        more.append((0, STRIDE - left if left > LEFT else 0))
    return np.pad(images, ((0, 0), *more), mode="edge") if any(after for _, after in more) else images

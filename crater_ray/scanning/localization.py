"""Localisation: where in a GPU's candidates the craters are, found by other processes so that the GPU need not wait."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from crater_ray.images.pixels import image_of
from crater_ray.network.stardust import Weights
from crater_ray.places.locate import find_place


@dataclass(frozen=True)
class Unlocalized:
    """Candidates of a batch that have yet to be localised.

    Attributes:
        index: (k,) int, which of the scored images.
        picture: (k,) int, which pictures of the batch those are; an image may have several.
        middle: (k, 2) float32 x and y in px, of the evidence.
        peaks: (k, 32) float32, positions: (k, 32) int32: what the engine says of them.
    """

    index: np.ndarray
    picture: np.ndarray
    middle: np.ndarray
    peaks: np.ndarray
    positions: np.ndarray


def localize(batch: pa.RecordBatch, unlocalized: Unlocalized, weights: Weights) -> np.ndarray:
    """Where the craters are.

    Args:
        batch: that was scored, of schema `crater_ray.images.pixels.PIXELS`.
        unlocalized: which of its images, and what the engine says of them.
        weights: the network's weights by name.

    Returns:
        (k, 3) float32: x, y and diameter in px; the diameter is not a number where no ring stands out.
    """
    found = np.full((len(unlocalized.index), 3), np.nan, np.float32)
    for i, (picture, (x, y)) in enumerate(zip(unlocalized.picture.tolist(), unlocalized.middle.tolist(), strict=True)):
        place = find_place(image_of(batch, picture), unlocalized.peaks[i], unlocalized.positions[i], x, y, weights)
        found[i] = place.x, place.y, np.nan if place.diameter is None else place.diameter
    return found

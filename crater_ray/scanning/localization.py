"""Placing: where the craters of a GPU's candidates are, found by other processes, so that the GPU need not wait."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from crater_ray.images.pixels import image_of
from crater_ray.network.stardust import Weights
from crater_ray.places.locate import find_place


@dataclass(frozen=True)
class Sought:
    """Candidates of a batch whose craters have yet to be looked for.

    Attributes:
        index: (k,) int, which images of the batch.
        middle: (k, 2) float32 x and y in px, of the evidence.
        peaks: (k, 32) float32, positions: (k, 32) int32: what the engine says of them.
    """

    index: np.ndarray
    middle: np.ndarray
    peaks: np.ndarray
    positions: np.ndarray


def find_craters(batch: pa.RecordBatch, sought: Sought, weights: Weights) -> np.ndarray:
    """Where the craters are.

    Args:
        batch: that was scored, of schema `crater_ray.images.pixels.PIXELS`.
        sought: which of its images, and what the engine says of them.
        weights: the network's weights by name.

    Returns:
        (k, 3) float32: x, y and diameter in px; the diameter is not a number where no ring stands out.
    """
    found = np.full((len(sought.index), 3), np.nan, np.float32)
    for i, (index, (x, y)) in enumerate(zip(sought.index.tolist(), sought.middle.tolist(), strict=True)):
        place = find_place(image_of(batch, index), sought.peaks[i], sought.positions[i], x, y, weights)
        found[i] = place.x, place.y, np.nan if place.diameter is None else place.diameter
    return found

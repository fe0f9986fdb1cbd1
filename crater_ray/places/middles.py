"""The middle of the evidence, whichever network gave it."""

from __future__ import annotations

import numpy as np

from crater_ray.network.evidence import Answer, Maps
from crater_ray.network.stardust import Weights
from crater_ray.places.centres import strongest_centre
from crater_ray.places.locate import locate


def middles(said: Answer, index: np.ndarray, height: int, width: int, weights: Weights) -> np.ndarray:
    """Where the score of each image comes from, (k, 2) float32 x and y in px.

    Args:
        said: the network's answer for a batch.
        index: (k,) which images of it.
        height, width: of the images in px.
        weights: the network's, by name.
    """
    if isinstance(said, Maps):
        return np.array([strongest_centre(said.maps[number], height, width)[:2] for number in index], np.float32)
    return np.stack(locate(said.peaks[index], said.positions[index], height, width, weights), axis=1)

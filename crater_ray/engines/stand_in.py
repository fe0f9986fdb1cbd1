"""The engine that is none: a few bytes of arithmetic per image, to measure and test everything around the network."""

from __future__ import annotations

import numpy as np

from crater_ray.network.evidence import Evidence
from crater_ray.network.stardust import CONVOLUTIONS


class StandIn:
    """Scores an image by the mean of one pixel in 64 over 255. Its rows say `stage` = `stand-in`."""

    stage = "stand-in"
    device = "no network"

    def score(self, images: np.ndarray) -> Evidence:
        scores = images[:, ::8, ::8].mean(axis=(1, 2), dtype=np.float32) / np.float32(255)
        features = CONVOLUTIONS[-1][0]
        zeros = np.zeros((len(images), features))
        return Evidence(scores, zeros.astype(np.float32), zeros.astype(np.int32))

"""The engine that is none: a few bytes of arithmetic per image, to measure and test everything around the network."""

from __future__ import annotations

import numpy as np

from crater_ray.engines.base import Kind, Screened
from crater_ray.network.evidence import Evidence
from crater_ray.network.screen import Screen
from crater_ray.network.stardust import CONVOLUTIONS


class StandIn:
    """Scores an image by the mean of one pixel in 64 over 255. Its rows say `stage` = `stand-in`."""

    stage = "stand-in"
    device = "no network"
    kind: Kind = "cpu"

    def score(self, images: np.ndarray) -> Evidence:
        scores = images[:, ::8, ::8].mean(axis=(1, 2), dtype=np.float32) / np.float32(255)
        features = CONVOLUTIONS[-1][0]
        zeros = np.zeros((len(images), features))
        return Evidence(scores, zeros.astype(np.float32), zeros.astype(np.int32))


class StandInScreen:
    """Goes with the engine that computes no network: scores by the mean of one pixel in 256.

    Args:
        screen: its threshold counts.
    """

    def __init__(self, screen: Screen) -> None:
        self._threshold = np.float32(screen.threshold)

    def look(self, images: np.ndarray) -> Screened:
        scores = np.asarray(images[:, ::16, ::16].mean(axis=(1, 2), dtype=np.float32) / np.float32(255))
        return Screened(scores, scores >= self._threshold)

"""The engine that is none: a few bytes of arithmetic per image, to measure and test everything around the network."""

from __future__ import annotations

import numpy as np

from crater_ray.engines.base import Kind, Screened
from crater_ray.network.bundle import Bundle
from crater_ray.network.evidence import Answer, Evidence, Maps
from crater_ray.network.finder import OUTPUTS, STRIDE
from crater_ray.network.screen import Screen
from crater_ray.network.stardust import CONVOLUTIONS

NOTHING = -30.0
"""The logit of a position without a crater."""


class StandIn:
    """Scores an image by the mean of one pixel in 64 over 255. Its rows say `stage` = `stand-in`.

    Args:
        bundle: of a finder, the answer has maps too, with one centre in the middle.
    """

    stage = "stand-in"
    device = "no network"
    kind: Kind = "cpu"

    def __init__(self, bundle: Bundle) -> None:
        self._maps = bundle.gives_maps

    def score(self, images: np.ndarray) -> Answer:
        scores = images[:, ::8, ::8].mean(axis=(1, 2), dtype=np.float32) / np.float32(255)
        if self._maps:
            rows, columns = (-(-length // STRIDE) for length in images.shape[1:])
            maps = np.zeros((len(images), rows, columns, OUTPUTS), np.float32)
            maps[..., 0] = NOTHING
            inside = np.clip(scores, 1e-6, 1 - 1e-6)
            maps[:, rows // 2, columns // 2, 0] = np.log(inside / (1 - inside))
            return Maps(scores, maps)
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

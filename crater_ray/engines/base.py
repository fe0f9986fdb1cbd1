"""What every engine is and gives: one interface, several ways to compute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

AT_ONCE = 2
"""Batches that an engine is given at the same time, by threads of their own: while one waits for a thread's last image
or for pixels to be copied, and while places are looked for, the device works on the other."""


@dataclass(frozen=True)
class Evidence:
    """What an engine says of a batch.

    Attributes:
        scores: (n,) float32 in 0..1.
        peaks: (n, 32) float32, global maximum of each feature.
        positions: (n, 32) int32, where it lies in the flattened last feature map.
    """

    scores: np.ndarray
    peaks: np.ndarray
    positions: np.ndarray


class Engine(Protocol):
    """Computes the network on one device."""

    stage: str
    """What the column `stage` says of its verdicts."""

    device: str
    """What it computes on, for people."""

    def score(self, images: np.ndarray) -> Evidence:
        """Score (n, height, width) uint8 images of one size; n, height and width may differ from call to call.

        Several threads may call it at the same time.
        """
        ...

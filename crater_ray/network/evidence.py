"""What the network says of a batch of images: scores, and what tells where they come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Evidence:
    """The network's answer for n images, whichever engine computed it.

    Attributes:
        scores: (n,) float32 in 0..1.
        peaks: (n, 32) float32, global maximum of each feature.
        positions: (n, 32) int32, where it lies in the flattened last feature map.
    """

    scores: np.ndarray
    peaks: np.ndarray
    positions: np.ndarray

"""The layers behind the global max-pool, a few thousand multiply-adds, in NumPy."""

from __future__ import annotations

import numpy as np

from crater_ray.network.stardust import DENSE, Weights


def logits(peaks: np.ndarray, weights: Weights) -> np.ndarray:
    """The dense layers: the 32 peaks of each image, (n, 32) float32, to its logit, (n,)."""
    x = peaks
    for number in range(1, len(DENSE) + 1):
        x = np.maximum(x @ weights[f"dense{number}/kernel"] + weights[f"dense{number}/bias"], 0)
    last = len(DENSE) + 1
    return np.asarray((x @ weights[f"dense{last}/kernel"] + weights[f"dense{last}/bias"])[:, 0])


def sigmoid(logit: np.ndarray) -> np.ndarray:
    """Logits to scores, (n,) float32 in 0..1, without overflow on either side."""
    small = np.exp(-np.abs(logit))
    return np.asarray(np.where(logit >= 0, 1, small) / (1 + small), np.float32)

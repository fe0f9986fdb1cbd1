"""Where in an image its score comes from: the winning positions of the global max-pool, weighed by what they add."""

from __future__ import annotations

import numpy as np

from crater_ray.network import DENSE, RECEPTIVE_FIELD, STRIDE, Weights, feature_size


def contributions(peaks: np.ndarray, weights: Weights) -> np.ndarray:
    """How much each pooled feature adds to the logit: its value times the logit's gradient by it.

    Source: gradient times input (Shrikumar et al. 2016); with ReLU layers it is exact up to the biases.

    Args:
        peaks: (n, 32) float32, global maximum of each feature.
        weights: the network's weights by name.

    Returns:
        (n, 32) float32.
    """
    activation = peaks
    active: list[np.ndarray] = []
    last = len(DENSE) + 1
    for number in range(1, last):
        activation = activation @ weights[f"dense{number}/kernel"] + weights[f"dense{number}/bias"]
        active.append(activation > 0)
        activation = np.maximum(activation, 0)
    gradient = np.broadcast_to(weights[f"dense{last}/kernel"][:, 0], activation.shape)
    for number in range(last - 1, 0, -1):
        gradient = (gradient * active[number - 1]) @ weights[f"dense{number}/kernel"].T
    return np.asarray(gradient * peaks, np.float32)


def locate(
    peaks: np.ndarray, positions: np.ndarray, height: int, width: int, weights: Weights
) -> tuple[np.ndarray, np.ndarray]:
    """The pixel centre of the evidence in each image.

    The strongest place is the position around which (within one step of the feature map) the features add most;
    the answer is the mean of the positions there, weighed by what they add.

    Args:
        peaks: (n, 32) float32, global maximum of each feature.
        positions: (n, 32) int32, where it lies in the flattened last feature map.
        height, width: of the images in pixels.
        weights: the network's weights by name.

    Returns:
        x and y, each (n,) float32, in pixels from the top left pixel's centre.
    """
    added = np.maximum(contributions(peaks, weights), 0) + 1e-12
    row, column = np.divmod(positions, feature_size(width))
    near = (np.abs(row[:, :, None] - row[:, None, :]) <= 1) & (np.abs(column[:, :, None] - column[:, None, :]) <= 1)
    strength = np.einsum("nij,nj->ni", near, added)
    strongest = strength.argmax(axis=1)
    share = added * near[np.arange(len(added)), strongest]
    share /= share.sum(axis=1, keepdims=True)
    centre = (RECEPTIVE_FIELD - 1) / 2
    x = (share * column).sum(axis=1) * STRIDE + centre
    y = (share * row).sum(axis=1) * STRIDE + centre
    return np.minimum(x, width - 1).astype(np.float32), np.minimum(y, height - 1).astype(np.float32)

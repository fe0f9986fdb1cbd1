"""Scoring a data set with given weights, as logits: scores near 1 have lost the digits that order the best."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from crater_ray.network import finder
from crater_ray.network.bundle import Bundle
from crater_ray.network.pruning import drop_inactive, filter_counts
from crater_ray.network.stardust import DENSE, Preprocessing, Weights, apply_weights, build
from training.backend import compiles
from training.data_sets.dataset import DataSet


def logits(
    weights: Weights,
    preprocessing: Preprocessing,
    data: DataSet,
    *,
    batch: int = 8,
    dtype: str = "float32",
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """The network's logit for each image, float64 (n,): convolutions in `dtype`, the dense layers in float64."""
    return dense_logits(weights, pooled(weights, preprocessing, data, batch=batch, dtype=dtype, progress=progress))


def pooled(
    weights: Weights,
    preprocessing: Preprocessing,
    data: DataSet,
    *,
    batch: int = 8,
    dtype: str = "float32",
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """What the convolutions find in each image: the global maximum of each feature, float64 (n, 32).

    Args:
        weights: of the network.
        preprocessing: its name for what comes before the first convolution.
        data: whole images or tiles.
        batch: images of the trained size at a time; of smaller ones more.
        dtype: Keras policy of the convolutions.
        progress: called with images done and images in all.
    """
    import keras

    small = drop_inactive(weights)
    network = build(preprocessing, filters=filter_counts(small), dtype=dtype)
    apply_weights(network, small)
    body = keras.Model(network.inputs, network.get_layer("peaks").output)
    body.jit_compile = compiles()
    size = min(len(data), batch * max(1, (384 * 512) // (data.shape[0] * data.shape[1])))
    found = np.empty((len(data), 32), np.float64)
    for first in range(0, len(data), size):
        rows = np.arange(first, min(first + size, len(data)))
        # The last batch is filled up: another shape would be compiled anew.
        filled = np.concatenate([rows, np.full(size - len(rows), rows[-1])])
        found[rows] = np.asarray(body.predict_on_batch(data.images(filled).reshape(len(filled), *data.shape, 1)))[
            : len(rows)
        ]
        if progress is not None:
            progress(int(rows[-1]) + 1, len(data))
    return found


def bundle_logits(bundle: Bundle, *sets: DataSet) -> list[np.ndarray]:
    """A bundle's logit for each image of each set, float64 (n,), whatever its architecture."""
    if not bundle.gives_maps:
        return [logits(bundle.weights, bundle.preprocessing, data) for data in sets]
    return centre_logits(bundle.weights, *sets)


def centre_logits(weights: Weights, *sets: DataSet) -> list[np.ndarray]:
    """A finder's logit of the strongest centre of each image of each set, float64 (n,)."""
    model = finder.model_of(weights)
    return [_strongest(model, weights, data) for data in sets]


def _strongest(model: Any, weights: Weights, data: DataSet, batch: int = 8) -> np.ndarray:
    found = np.empty(len(data), np.float64)
    for first in range(0, len(data), batch):
        rows = np.arange(first, min(first + batch, len(data)))
        maps = model(finder.filled_up(data.images(rows), weights)[..., None], training=False)["maps"]
        found[rows] = np.asarray(maps)[..., 0].reshape(len(rows), -1).max(axis=1)
    return found


def dense_logits(weights: Weights, peaks: np.ndarray) -> np.ndarray:
    """The dense layers in float64: from the 32 peaks of each image, (n, 32), to its logit, (n,)."""
    x = np.asarray(peaks, np.float64)
    for number in range(1, len(DENSE) + 2):
        x = x @ weights[f"dense{number}/kernel"].astype(np.float64) + weights[f"dense{number}/bias"].astype(np.float64)
        if number <= len(DENSE):
            x = np.maximum(x, 0.0)
    return x[:, 0]


def probability(logit: np.ndarray) -> np.ndarray:
    """Logits to scores in 0..1."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logit, -60.0, 60.0))))


def to_logit(score: np.ndarray | float) -> np.ndarray:
    """Scores in 0..1, neither end included, to logits in float64."""
    score = np.asarray(score, np.float64)
    return np.asarray(np.log(score) - np.log1p(-score))

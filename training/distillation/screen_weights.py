"""The screen's weights: what a student starts with, what it ships with, and the units of its features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crater_ray.network.screen import CONVOLUTIONS
from crater_ray.network.stardust import DENSE, Weights
from training.network.fold import fold_normalisation

if TYPE_CHECKING:
    import keras

LEAST_UNIT = 1e-3
"""Of a feature that the full network never shows where the screen does."""


def screen_feature_map(model: keras.Model) -> keras.Model:
    """A screen up to its map of features."""
    import keras

    return keras.Model(model.inputs, model.get_layer("features").output)


def units(drawn: np.ndarray, features: np.ndarray) -> np.ndarray:
    """What a screen's features are to be multiplied by to be the full network's: float32 (32,), by least squares.

    Args:
        drawn: the screen's map of some images, (n, rows, columns, 32).
        features: the full network's, of the same images; at some sizes it has a few positions more.
    """
    axes = (0, 1, 2)
    features = features[:, : drawn.shape[1], : drawn.shape[2]].astype(np.float32)
    slope = (drawn * features).sum(axes) / np.maximum(np.square(drawn).sum(axes), 1e-6)
    return np.maximum(np.asarray(slope, np.float32), LEAST_UNIT)


def in_units(weights: Weights, scale: np.ndarray) -> Weights:
    """The same screen with features in the full network's units: a second look compares the two."""
    return {
        **weights,
        "features/kernel": weights["features/kernel"] * scale,
        "features/bias": weights["features/bias"] * scale,
        "dense1/kernel": weights["dense1/kernel"] / scale[:, None],
    }


def start_dense(model: keras.Model, weights: Weights, scale: np.ndarray) -> None:
    """Give a screen the full network's dense layers; they meet features divided by `scale`."""
    for number in range(1, len(DENSE) + 2):
        layer = model.get_layer(f"dense{number}")
        kernel = weights[f"dense{number}/kernel"]
        layer.kernel.assign(kernel * scale[:, None] if number == 1 else kernel)
        layer.bias.assign(weights[f"dense{number}/bias"])


def fold_screen(model: keras.Model) -> Weights:
    """The weights of the screen as it ships: batch normalisation is multiplied into the convolutions."""
    weights: Weights = {}
    for number in range(1, len(CONVOLUTIONS) + 1):
        convolution, normalisation = model.get_layer(f"conv{number}"), model.get_layer(f"norm{number}")
        weights[f"conv{number}/kernel"], weights[f"conv{number}/bias"] = fold_normalisation(convolution, normalisation)
    for name in ("features", *(f"dense{number}" for number in range(1, len(DENSE) + 2))):
        layer = model.get_layer(name)
        weights[f"{name}/kernel"] = np.asarray(layer.kernel.numpy(), np.float32)
        weights[f"{name}/bias"] = np.asarray(layer.bias.numpy(), np.float32)
    return weights

"""First weights of a fit from a bundle: its convolutions, with the normalisation between them that changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from crater_ray.network import finder
from crater_ray.network.bundle import Bundle
from training.finder.export import uncalibrated
from training.finder.widen import widened

if TYPE_CHECKING:
    import keras


def begin_from(bundle: Bundle, model: keras.Model, images: Iterable[np.ndarray]) -> None:
    """Give a normalised finder the weights of a bundle.

    Each normalisation takes the mean and variance that its convolution has on `images`, and gives them back: the
    model answers as the bundle's convolutions do, before anything is made of their logits.

    Args:
        bundle: of a finder; what the model is wider is made of its channels, see `training.finder.widen`.
        model: `finder.build(..., normalization=...)`.
        images: batches (n, height, width, 1) uint8, as in training.
    """
    import keras

    weights = {name: array for name, array in uncalibrated(bundle).items() if name not in finder.SETTINGS}
    widths = [model.get_layer(name).filters for name in ("stem", "down4", "down8", "down16")]
    weights = widened(weights, widths)
    plain = finder.model_of(weights)
    active = [layer.name for layer in finder.layer_table(finder.widths_of(weights)) if layer.active]
    look = keras.Model(plain.inputs, [plain.get_layer(name).output for name in active])
    sums = {name: np.zeros((2, weights[f"{name}/bias"].size)) for name in active}
    count = 0
    for batch in images:
        for name, answer in zip(active, look(batch, training=False), strict=True):
            values = np.asarray(answer, np.float64)
            sums[name] += values.mean(axis=(0, 1, 2)), np.square(values).mean(axis=(0, 1, 2))
        count += 1
    for layer in finder.layer_table(finder.widths_of(weights)):
        made, bias = model.get_layer(layer.name), weights[f"{layer.name}/bias"]
        made.kernel.assign(weights[f"{layer.name}/kernel"])
        if not layer.active:
            made.bias.assign(bias)
            continue
        mean, square = sums[layer.name] / count
        variance = np.maximum(square - mean**2, 0)
        norm = model.get_layer(f"{layer.name}_norm")
        for variable, value in zip(
            norm.weights, (np.sqrt(variance + norm.epsilon), mean, mean - bias, variance), strict=True
        ):
            variable.assign(value.astype(np.float32))

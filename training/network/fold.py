"""Folding batch normalisation into the convolution before it, same function, no extra parameters; and taking it out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crater_ray.network.stardust import CONVOLUTIONS, DENSE, Weights

if TYPE_CHECKING:
    import keras


def fold(model: keras.Model) -> Weights:
    """Weights of the shipping network that computes what `model`, made by `build_trainable`, computes in inference.

    With a max-pool between a convolution and its normalisation this holds because the scale is never negative.

    Raises:
        ValueError: a scale is negative, so that the fold would not be exact.
    """
    weights: Weights = {}
    layers = {layer.name: layer for layer in model.layers}
    for number in range(1, len(CONVOLUTIONS) + 1):
        kernel, bias = (np.asarray(v.numpy(), np.float32) for v in layers[f"conv{number}"].weights)
        norm = layers.get(f"norm{number}")
        if norm is not None:
            least = float(np.asarray(norm.gamma.numpy()).min())
            if least < 0:
                raise ValueError(f"norm{number} has a negative scale ({least:g}): it cannot pass the max-pool")
            kernel, bias = fold_normalisation(layers[f"conv{number}"], norm)
        weights[f"conv{number}/kernel"] = kernel
        weights[f"conv{number}/bias"] = bias
    for number in range(1, len(DENSE) + 2):
        kernel, bias = layers[f"dense{number}"].weights
        weights[f"dense{number}/kernel"] = np.asarray(kernel.numpy(), np.float32)
        weights[f"dense{number}/bias"] = np.asarray(bias.numpy(), np.float32)
    return weights


def fold_normalisation(convolution: keras.layers.Layer, norm: keras.layers.Layer) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias, float32, of the convolution that does what a convolution and its batch normalisation do.

    Convolution k, b then normalisation (a - mean) * gamma / sqrt(variance + eps) + beta is the convolution
    k * s, (b - mean) * s + beta with s = gamma / sqrt(variance + eps).
    """
    gamma, beta, mean, variance = (
        np.asarray(v.numpy(), np.float64) for v in (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
    )
    scale = gamma / np.sqrt(variance + norm.epsilon)
    kernel = convolution.kernel.numpy() * scale
    bias = (convolution.bias.numpy() - mean) * scale + beta
    return kernel.astype(np.float32), bias.astype(np.float32)


def pour(weights: Weights, model: keras.Model) -> None:
    """Put the shipping network's weights into a trainable model without batch normalisation."""
    for layer in model.layers:
        if f"{layer.name}/kernel" in weights:
            layer.kernel.assign(weights[f"{layer.name}/kernel"])
            layer.bias.assign(weights[f"{layer.name}/bias"])


def unfold(weights: Weights, model: keras.Model, images: np.ndarray) -> None:
    """Put the shipping network's weights into a trainable model with batch normalisation that changes nothing at first.

    Each normalisation gets the mean and deviation that its input has on some images, as what it takes away and as what
    it gives back, so that training goes on from there as if the network had been normalised all along.

    Args:
        weights: of the shipping network.
        model: made by `build_trainable`.
        images: uint8 (n, h, w, 1), such as will be trained on.
    """
    import keras

    pour(weights, model)
    norms = [layer for layer in model.layers if hasattr(layer, "moving_variance")]
    for norm in norms:
        norm.gamma.assign(np.full(norm.gamma.shape, np.sqrt(1.0 + norm.epsilon), np.float32))
    given = keras.Model(model.inputs, [norm.input for norm in norms]).predict_on_batch(images)
    for norm, values in zip(norms, given, strict=True):
        each = tuple(range(values.ndim - 1))
        mean, variance = (np.asarray(moment, np.float32) for moment in (values.mean(each), values.var(each)))
        norm.gamma.assign(np.sqrt(variance + norm.epsilon))
        norm.beta.assign(mean)
        norm.moving_mean.assign(mean)
        norm.moving_variance.assign(variance)

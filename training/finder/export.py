"""From a fitted finder to a bundle: normalisation folded into the convolutions, scores calibrated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from crater_ray.network import finder
from crater_ray.network.bundle import Bundle
from crater_ray.network.stardust import Weights


def folded_weights(folder: Path, width: int = 16) -> Weights:
    """The averaged weights of a fit as those of the network that ships, by name.

    A convolution followed by batch normalisation is one convolution: kernel times gamma / sqrt(variance + epsilon), and
    beta - mean times the same as its bias (Ioffe and Szegedy 2015).
    """
    import keras

    model = finder.build(width, normalization=keras.layers.BatchNormalization)
    with np.load(folder / "state.npz") as stored:
        for number, variable in enumerate(model.weights):
            variable.assign(stored[f"s{number}"])
    weights: Weights = {}
    for layer in finder.layer_table(width):
        made = model.get_layer(layer.name)
        kernel = np.asarray(made.kernel, np.float32)
        if layer.active:
            norm = model.get_layer(f"{layer.name}_norm")
            gamma, beta, mean, variance = (np.asarray(value, np.float32) for value in norm.weights)
            factor = gamma / np.sqrt(variance + norm.epsilon)
            weights[f"{layer.name}/kernel"], weights[f"{layer.name}/bias"] = kernel * factor, beta - mean * factor
        else:
            weights[f"{layer.name}/kernel"], weights[f"{layer.name}/bias"] = kernel, np.asarray(made.bias, np.float32)
    return weights


def averaged(weights: Weights, others: Weights) -> Weights:
    """The mean of two networks' weights: of one, and of that which it began from (Wortsman et al. 2022, ICML)."""
    return {name: (weights[name] + others[name]) / 2 for name in weights}


def calibrated(
    weights: Weights, slope: float, offset: float, bend: Sequence[float] | np.ndarray | None = None
) -> Weights:
    """The same network with `slope * logit + offset` as its logit of a centre, bent where `bend` (knee, gain) says."""
    kernel, bias = weights["maps/kernel"].copy(), weights["maps/bias"].copy()
    kernel[..., 0] *= slope
    bias[0] = bias[0] * slope + offset
    more = {} if bend is None else {finder.BEND: np.array(bend, np.float32)}
    return {**weights, "maps/kernel": kernel, "maps/bias": bias, **more}


def uncalibrated(bundle: Bundle) -> Weights:
    """The weights of a bundle without line and bend that calibrate its scores: as they were fitted."""
    line = bundle.trained.get("calibration", {"slope": 1.0, "offset": 0.0})
    weights = {name: array for name, array in bundle.weights.items() if name != finder.BEND}
    return calibrated(weights, 1 / line["slope"], -line["offset"] / line["slope"])

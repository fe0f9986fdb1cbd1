"""From a fitted finder to a bundle: normalisation folded into the convolutions, scores calibrated."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crater_ray.network import finder
from crater_ray.network.bundle import Bundle
from crater_ray.network.stardust import Weights


def folded_weights(folder: Path) -> Weights:
    """The averaged weights of a fit as those of the network that ships, by name.

    A convolution followed by batch normalisation is one convolution: kernel times gamma / sqrt(variance + epsilon), and
    beta - mean times the same as its bias (Ioffe and Szegedy 2015).
    """
    import keras

    widths = json.loads((folder / "settings.json").read_text(encoding="utf-8")).get("widths", finder.WIDTHS)
    model = finder.build(widths, normalization=keras.layers.BatchNormalization)
    with np.load(folder / "state.npz") as stored:
        for number, variable in enumerate(model.weights):
            variable.assign(stored[f"s{number}"])
    weights: Weights = {}
    for layer in finder.layer_table(widths):
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
    return {name: (array + others[name]) / 2 for name, array in weights.items() if name not in finder.SETTINGS}


def twofold(weights: Weights) -> Weights:
    """The same network with a second view, of images at half their size; what it sees there counts as much.

    The view is added once all is learnt: fitted with both at once, it helped less; see docs/training.md.
    """
    return {**weights, finder.VIEW: np.zeros(1, np.float32)}


@dataclass(frozen=True)
class Scale:
    """How logits become scores; see `crater_ray.network.finder.on_scale`.

    Attributes:
        slope, offset: of the line.
        knee, gain: of the bend.
    """

    slope: float
    offset: float
    knee: float = 0.0
    gain: float = 0.0

    def __call__(self, logit: np.ndarray) -> np.ndarray:
        """The logits of scores, of logits that were compared with their images already."""
        straight = self.slope * logit + self.offset
        return np.asarray(straight + self.gain * np.maximum(straight - self.knee, 0))


def compared(weights: Weights, share: float) -> Weights:
    """The same network with `share` of what its image shows everywhere taken off each logit, not calibrated."""
    return {**weights, finder.SCORE: np.array([share, 1, 0, 0, 0], np.float32)}


def calibrated(weights: Weights, scale: Scale) -> Weights:
    """The same network, not yet calibrated, with scores on a scale."""
    share = float(weights[finder.SCORE][0]) if finder.SCORE in weights else 0.0
    score = np.array([share, scale.slope, scale.offset, scale.knee, scale.gain], np.float32)
    return {**weights, finder.SCORE: score}


def scale_of(bundle: Bundle) -> Scale:
    """How the scores of a bundle were calibrated."""
    if finder.SCORE in bundle.weights:
        return Scale(*(float(value) for value in bundle.weights[finder.SCORE][1:]))
    line = bundle.trained.get("calibration", {"slope": 1.0, "offset": 0.0})
    return Scale(float(line["slope"]), float(line["offset"]))


def uncalibrated(bundle: Bundle) -> Weights:
    """The weights of a bundle without what calibrates its scores: as they were fitted."""
    weights = bundle.weights
    if finder.SCORE in weights:
        return compared(weights, float(weights[finder.SCORE][0]))
    scale = scale_of(bundle)
    # Older bundles have the line in their last convolution.
    kernel, bias = weights["maps/kernel"].copy(), weights["maps/bias"].copy()
    kernel[..., 0] /= scale.slope
    bias[0] = (bias[0] - scale.offset) / scale.slope
    return {**weights, "maps/kernel": kernel, "maps/bias": bias}

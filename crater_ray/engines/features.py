"""What a network makes of the surroundings of a place, as numbers that are close where places look alike."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from crater_ray.engines.compiled import compiled
from crater_ray.network.bundle import Bundle

SIDE = 96
"""Pixels across the surroundings: a multiple of 16, and no fewer than the publication's network sees at once."""
VIEWS = 4
"""Quarter turns over which features are averaged: a scratch is a scratch whichever way it runs."""
FINDER_LAYERS = (("quarter2", 3.0), ("eighth2", 6.0), ("sixteenth2", 12.0), ("quarter3", 3.0))
STARDUST_LAYERS = (("conv2", 3.0), ("conv4", 6.0), ("conv6", 12.0))
"""The activations that are taken, and how far around the place, in px (standard deviation of a Gaussian weight)."""
VERSION = 1
"""Raised whenever the same place gets other features."""


class FeatureMaker:
    """Gives the features of places by a bundle's network, through OpenVINO or, where that is not installed, Keras.

    Args:
        bundle: the network, of either architecture.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._layers = FINDER_LAYERS if bundle.gives_maps else STARDUST_LAYERS
        self._pooled = not bundle.gives_maps
        try:
            import openvino  # noqa: F401
        except ImportError:
            self._forward = _keras(bundle, [name for name, _ in self._layers])
        else:
            self._forward = _openvino(bundle, [name for name, _ in self._layers])

    def of(self, surroundings: np.ndarray) -> np.ndarray:
        """The features of n places.

        Args:
            surroundings: (n, SIDE, SIDE) uint8, the place in the middle.

        Returns:
            (n, d) float32, at least 0: the logarithm of one plus, for each layer, the mean of each channel around the
            place; for the publication's network also of what its global max-pool gives, the evidence of its score.
        """
        return np.stack([self._of(one) for one in surroundings]) if len(surroundings) else np.zeros((0, 0), np.float32)

    def _of(self, pixels: np.ndarray) -> np.ndarray:
        said = self._forward(np.stack([np.rot90(pixels, turns) for turns in range(VIEWS)]))
        parts = []
        for name, reach in self._layers:
            activation = said[name].mean(axis=0)
            channels, rows, columns = activation.shape
            weight = _weight(rows, reach)[:, None] * _weight(columns, reach)[None, :]
            parts.append(activation.reshape(channels, -1) @ weight.ravel())
        if self._pooled:
            parts.append(said["peaks"].mean(axis=0))
        return np.asarray(np.log1p(np.concatenate(parts)), np.float32)


def _weight(positions: int, reach: float) -> np.ndarray:
    """How much each position along an axis of an activation counts."""
    far = (np.arange(positions) - (positions - 1) / 2) * SIDE / positions
    weight = np.exp(-(far**2) / (2 * reach**2))
    return np.asarray(weight / weight.sum(), np.float32)


def _openvino(bundle: Bundle, names: list[str]) -> Any:
    from crater_ray.engines.openvino_engine import graph_of

    def build() -> Any:
        graph = graph_of(bundle, activations=True)
        for result in graph.get_results():  # of the activations, only those that are taken are computed to the end
            if not {"peaks", *names} & result.output(0).get_tensor().get_names():
                graph.remove_result(result)
        graph.reshape([VIEWS, SIDE, SIDE])
        return graph

    of = {"features": VERSION, "network": bundle.id, "layers": names}
    model = compiled(build, of, {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"})

    def forward(images: np.ndarray) -> dict[str, np.ndarray]:
        said = model(np.ascontiguousarray(images))
        return {output.get_any_name(): np.asarray(said[output]) for output in model.outputs}

    return forward


def _keras(bundle: Bundle, names: list[str]) -> Any:
    import keras

    model = bundle.model(evidence=True, compact=True)
    known = {layer.name: layer for layer in model.layers}
    outputs = {name: known.get(f"{name}_relu", known[name]).output for name in names}
    if not bundle.gives_maps:
        outputs["peaks"] = known["peaks"].output
    return partial(_by_keras, keras.Model(model.inputs, outputs))


def _by_keras(model: Any, images: np.ndarray) -> dict[str, np.ndarray]:
    """Activations as OpenVINO has them: channels before rows and columns."""
    said = {name: np.asarray(value) for name, value in model(images[..., None], training=False).items()}
    return {name: value.transpose(0, 3, 1, 2) if value.ndim == 4 else value for name, value in said.items()}

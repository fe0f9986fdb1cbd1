"""The finder's OpenVINO graph says what the Keras model says."""

from __future__ import annotations

import numpy as np
import openvino as ov
import pytest

from crater_ray.engines.openvino_finder import QUANTIZED, build_finder_graph
from tests.network.test_finder import finder_bundle, random_weights

EXACT = {"INFERENCE_PRECISION_HINT": "f32"}


def images(n: int = 2) -> np.ndarray:
    rng = np.random.default_rng(6)
    smooth = rng.normal(0, 1, (n, 6, 8)).repeat(32, axis=1).repeat(32, axis=2)
    return np.clip(120 + 25 * smooth + rng.normal(0, 10, smooth.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", [None, (192, 256)])
def test_float32_is_the_same(size: tuple[int, int] | None) -> None:
    weights = random_weights(1)
    compiled = ov.compile_model(build_finder_graph(weights, size=size), "CPU", EXACT)
    maps = compiled([images()])["maps"]
    expected = np.asarray(finder_bundle(weights).model()(images()[..., None], training=False)["maps"])
    np.testing.assert_allclose(maps, expected, atol=2e-3 * np.abs(expected).max())


def test_bytes_are_near() -> None:
    weights = random_weights(1)
    watched = ov.compile_model(
        build_finder_graph(weights, activations=True), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    answer = watched([images()])
    ranges = {name: float(answer[name].max()) for name in QUANTIZED}
    rounded = ov.compile_model(build_finder_graph(weights, ranges), "CPU", EXACT)
    maps = rounded([images()])["maps"]
    assert np.corrcoef(maps[..., 0].ravel(), answer["maps"][..., 0].ravel())[0, 1] > 0.99

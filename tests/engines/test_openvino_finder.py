"""The finder's OpenVINO graph says what the Keras model says."""

from __future__ import annotations

import numpy as np
import openvino as ov
import pytest

from crater_ray.engines.calibration import calibrate
from crater_ray.engines.openvino_finder import OF_HALF, QUANTIZED, build_finder_graph
from crater_ray.engines.processor import computes_in_bfloat16
from crater_ray.network.finder import SCORE, VIEW
from tests.network.test_finder import finder_bundle, random_weights

EXACT = {"INFERENCE_PRECISION_HINT": "f32"}


def images(n: int = 2) -> np.ndarray:
    rng = np.random.default_rng(6)
    smooth = rng.normal(0, 1, (n, 6, 8)).repeat(32, axis=1).repeat(32, axis=2)
    return np.clip(120 + 25 * smooth + rng.normal(0, 10, smooth.shape), 0, 255).astype(np.uint8)


SCALE = {SCORE: np.array((0.4, 1.2, -2.0, -1.9, 2.0), np.float32)}
SECOND = {VIEW: np.array([-0.5], np.float32)}


@pytest.mark.parametrize("settings", [{}, SCALE, SECOND, SCALE | SECOND], ids=["plain", "scale", "view", "both"])
@pytest.mark.parametrize("size", [None, (192, 256)])
def test_float32_is_the_same(size: tuple[int, int] | None, settings: dict[str, np.ndarray]) -> None:
    weights = random_weights(1) | settings
    compiled = ov.compile_model(build_finder_graph(weights, size=size), "CPU", EXACT)
    maps = compiled([images()])["maps"]
    expected = np.asarray(finder_bundle(weights).model()(images()[..., None], training=False)["maps"])
    np.testing.assert_allclose(maps, expected, atol=2e-3 * np.abs(expected).max())


def test_other_widths_are_told_by_the_weights() -> None:
    weights = random_weights(2, (5, 12, 20, 24)) | SECOND
    maps = ov.compile_model(build_finder_graph(weights), "CPU", EXACT)([images()])["maps"]
    expected = np.asarray(finder_bundle(weights).model()(images()[..., None], training=False)["maps"])
    np.testing.assert_allclose(maps, expected, atol=2e-3 * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, SCALE | SECOND], ids=["one view", "two views"])
def test_bytes_are_near(settings: dict[str, np.ndarray]) -> None:
    bundle = finder_bundle(random_weights(1) | settings)
    weights = bundle.weights
    answer = ov.compile_model(build_finder_graph(weights, activations=True), "CPU", EXACT)([images()])
    ranges = calibrate(bundle, [images()])
    views = ("", OF_HALF) if VIEW in weights else ("",)
    assert ranges == pytest.approx(
        {name: max(float(answer[name + view].max()) for view in views) for name in QUANTIZED}
    )
    rounded = ov.compile_model(build_finder_graph(weights, ranges), "CPU", EXACT)
    maps = rounded([images()])["maps"]
    assert np.corrcoef(maps[..., 0].ravel(), answer["maps"][..., 0].ravel())[0, 1] > 0.99


def test_bfloat16_is_near_where_bright_images_have_little_contrast() -> None:
    """The square of a bright pixel has more digits than bfloat16; the variance of such pixels must survive."""
    weights = random_weights(1)
    pale = np.clip(200 + (images().astype(np.int16) - 120) // 8, 0, 255).astype(np.uint8)
    few = "bf16" if computes_in_bfloat16() else "f32"  # as the engine does
    exact, rounded = (
        ov.compile_model(build_finder_graph(weights), "CPU", {"INFERENCE_PRECISION_HINT": numbers})([pale])["maps"]
        for numbers in ("f32", few)
    )
    assert np.abs(exact - rounded).mean() < 0.05 * np.abs(exact - exact.mean()).mean()

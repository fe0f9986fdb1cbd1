"""The OpenVINO engines say what Keras says: exactly in float32, nearly in bfloat16 and 8-bit numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.options import random_weights
from crater_ray.engines.agreement import compare
from crater_ray.engines.base import Engine
from crater_ray.engines.calibration import calibrate
from crater_ray.engines.choice import resolve
from crater_ray.engines.openvino_engine import WORTH_A_GRAPH
from crater_ray.engines.registry import create
from crater_ray.errors import UsageError
from crater_ray.network import bundle as bundles
from crater_ray.network.bundle import Bundle

pytest.importorskip("openvino")


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """Random weights, with biases, whose scores differ from image to image."""
    rng = np.random.default_rng(3)
    weights = {
        name: array + rng.normal(0, 0.05, array.shape).astype(np.float32) if name.endswith("bias") else array
        for name, array in random_weights(3).items()
    }
    return Bundle(weights, "sigma-clip", 0.5, name="random")


@pytest.fixture(scope="module")
def keras_engine(bundle: Bundle) -> Engine:
    return create("keras", bundle)


def noise(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (count, height // 4 + 1, width // 4 + 1), np.uint8)
    images = blocks.repeat(4, axis=1).repeat(4, axis=2)[:, :height, :width]
    return np.ascontiguousarray(images)


@pytest.mark.slow
@pytest.mark.parametrize("preprocessing", ["minmax", "sigma-clip"])
def test_float32_is_the_same_network(bundle: Bundle, preprocessing: bundles.Preprocessing) -> None:
    same = replace(bundle, preprocessing=preprocessing)
    reference, other = create("keras", same), create("openvino-float", same)
    for shape in ((3, 92, 92), (2, 101, 140), (1, 384, 512)):
        images = noise(*shape)
        first, second = reference.score(images), other.score(images)
        np.testing.assert_allclose(second.scores, first.scores, atol=1e-4)
        np.testing.assert_allclose(second.peaks, first.peaks, rtol=1e-3, atol=1e-3)
        # Where a feature is nowhere above zero, any position is as good.
        found = first.peaks > 1e-3
        assert np.mean(second.positions[found] == first.positions[found]) > 0.98


@pytest.mark.parametrize("size", [(93, 92), (101, 143), (250, 120)])
def test_strips_change_nothing(bundle: Bundle, size: tuple[int, int]) -> None:
    ranges = calibrate(bundle, [noise(3, 96, 110, seed=9)])
    engine = create("openvino", replace(bundle, figures={"openvino_int8": {"ranges": ranges}}))
    images = noise(WORTH_A_GRAPH, *size)
    in_strips, whole = engine.score(images), engine.score(images[1:])
    np.testing.assert_array_equal(in_strips.peaks[1:], whole.peaks)
    np.testing.assert_array_equal(in_strips.positions[1:], whole.positions)


def test_read_only_pixels_and_uniform_images(bundle: Bundle, keras_engine: Engine) -> None:
    images = np.frombuffer(b"\x80" * (2 * 96 * 96), np.uint8).reshape(2, 96, 96)
    second = create("openvino-float", bundle).score(images)
    np.testing.assert_allclose(second.scores, keras_engine.score(images).scores, atol=1e-5)


@pytest.mark.slow
def test_small_numbers_stay_near(bundle: Bundle, keras_engine: Engine) -> None:
    ranges = calibrate(bundle, [noise(3, 96, 110, seed=9)])
    calibrated = replace(bundle, figures={"openvino_int8": {"ranges": ranges}})
    batches = [noise(6, 96, 110, seed=1), noise(4, 120, 96, seed=2)]
    exact = compare(keras_engine, keras_engine, batches, bundle, threshold=0.2).agreement(0.2)
    assert (exact.images, exact.largest_difference, exact.kept_share) == (10, 0.0, 1.0)
    for name in ("openvino", "openvino-bf16"):
        engine = create(name, calibrated)
        found = compare(keras_engine, engine, batches, bundle, threshold=0.2).agreement(0.2)
        assert found.mean_difference < 0.1, name
        reference, other = keras_engine.score(batches[0]).peaks, engine.score(batches[0]).peaks
        assert np.corrcoef(reference.ravel(), other.ravel())[0, 1] > 0.98, name


def test_more_images_than_streams_keep_their_order(bundle: Bundle) -> None:
    engine = create("openvino-float", bundle, threads=2)
    images = noise(20, 92, 92)
    together = engine.score(images).scores
    alone = np.concatenate([engine.score(images[number : number + 1]).scores for number in range(len(images))])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_missing_calibration_and_missing_package_are_explained(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="no calibration"):
        create("openvino", bundle)
    with pytest.raises(UsageError, match="no calibration"):
        resolve("openvino", bundle)
    assert resolve("openvino-bf16", bundle) == "openvino-bf16"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pip install openvino"):
        resolve("openvino")
    assert resolve("auto") == "keras"


def test_calibration_survives_the_card(bundle: Bundle, tmp_path: Path) -> None:
    ranges = calibrate(bundle, [noise(1, 92, 92)], quantile=0.999)
    folder = replace(bundle, figures={"openvino_int8": {"ranges": ranges}}).save(tmp_path / "calibrated")
    loaded = bundles.load(folder)
    assert loaded.id == bundle.id
    assert create("openvino", loaded).score(noise(1, 92, 92)).scores.shape == (1,)

"""The screen through OpenVINO: the same numbers as through Keras, and the full network's second look at a window."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

pytest.importorskip("openvino")

from crater_ray.engines.calibration import calibrate
from crater_ray.engines.dense import logits
from crater_ray.engines.keras_screen import KerasScreen, build_screen
from crater_ray.engines.openvino_screen import OpenVinoScreen
from crater_ray.engines.registry import create, find
from crater_ray.network import bundle as bundles
from crater_ray.network.bundle import Bundle
from crater_ray.network.screen import SECOND_LOOK, WINDOWS, Screen, SecondLook
from crater_ray.network.stardust import Weights
from tests.conftest import PATIENCE
from tests.made_screens import make_screen
from training.data_sets.dataset import DataSet
from training.distillation.answers import Answered
from training.distillation.screen_threshold import Promise, _ranges, set_threshold
from training.network.scoring import to_logit

SIZE = (192, 216)
POSITIONS = (7, 8)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Noise, each with a bright square at another place."""
    rng = np.random.default_rng(5)
    pixels = rng.normal(110, 8, (13, *SIZE))
    for number, image in enumerate(pixels):
        y, x = 10 + 12 * number, 180 - 13 * number
        image[y : y + 12, x : x + 12] += 80
    return np.clip(pixels, 0, 255).astype(np.uint8)


def spread(weights: Weights, scores: np.ndarray) -> Weights:
    """The weights with which these scores, all much alike, would lie about one half."""
    logit = to_logit(scores.astype(np.float64))
    slope = np.float32(1.0 / logit.std())
    bias = (weights["dense7/bias"] - np.float32(logit.mean())) * slope
    return {**weights, "dense7/kernel": weights["dense7/kernel"] * slope, "dense7/bias": bias}


@pytest.fixture(scope="module")
def network(untrained: Path, images: np.ndarray) -> Bundle:
    bundle = replace(bundles.load(untrained), preprocessing="sigma-clip")
    bundle = replace(bundle, weights=spread(bundle.weights, create("keras", bundle).score(images).scores))
    return replace(bundle, figures={"openvino_int8": {"ranges": calibrate(bundle, [images[:4]])}})


@pytest.fixture(scope="module")
def screen(network: Bundle, images: np.ndarray) -> Screen:
    """In 8-bit numbers, with a second look that every image gets and no image passes."""
    plain = make_screen(network.id, size=SIZE)
    plain = replace(plain, weights=spread(plain.weights, KerasScreen(plain, dtype="float32").look(images).scores))
    ranges = _ranges(plain, images[:4])
    return replace(plain, ranges=ranges, second_look=SecondLook(0.0, 1.1, find("openvino").ranges(network)))


@pytest.mark.slow
def test_openvino_computes_what_keras_computes(network: Bundle, screen: Screen, images: np.ndarray) -> None:
    plain = replace(screen, second_look=None, ranges={})
    expected = KerasScreen(plain, dtype="float32").look(images)
    found = OpenVinoScreen(network, plain).look(images)
    assert np.ptp(expected.scores) > 0.3
    assert np.abs(found.scores - expected.scores).max() < 0.05
    rounded = replace(plain, ranges=screen.ranges)
    assert np.abs(OpenVinoScreen(network, rounded).look(images).scores - expected.scores).max() < 0.1
    two, four = (OpenVinoScreen(network, rounded, batch=batch).look(images).scores for batch in (2, 4))
    assert np.allclose(two, four, atol=0.02)


SCORES = """
import sys
import numpy as np
from crater_ray.engines.openvino_screen import OpenVinoScreen
from crater_ray.engines.registry import create
from crater_ray.network.bundle import load
bundle, images = load(sys.argv[1]), np.load(sys.argv[2])
full, screen = create("openvino", bundle).score(images), OpenVinoScreen(bundle, bundle.screen).look(images)
np.savez(sys.argv[3], full=full.scores, peaks=full.peaks, screen=screen.scores)
"""


@pytest.mark.slow
def test_processors_without_vnni_give_the_same(
    network: Bundle, screen: Screen, images: np.ndarray, tmp_path: Path
) -> None:
    """There, two products are added up in 16 bits, which must be enough; with 8-bit weights it is not."""
    # Where all weights of a channel are alike, all are the largest: no other pair of products is as large.
    weights = {**network.weights, "conv2/kernel": np.full_like(network.weights["conv2/kernel"], 0.02)}
    alike = replace(network, weights=weights)
    folder = replace(alike, screen=replace(screen, bundle=alike.id)).save(tmp_path / "bundle")
    np.save(tmp_path / "images.npy", images)
    said = []
    for name, limit in (("here", {}), ("there", {"ONEDNN_MAX_CPU_ISA": "AVX2"})):
        command = [sys.executable, "-c", SCORES, folder, tmp_path / "images.npy", tmp_path / f"{name}.npz"]
        subprocess.run(command, check=True, env={**os.environ, **limit}, timeout=PATIENCE)
        said.append(np.load(tmp_path / f"{name}.npz"))
    for name in ("full", "peaks", "screen"):
        np.testing.assert_allclose(said[1][name], said[0][name], rtol=1e-4, err_msg=name)


@pytest.mark.slow
def test_second_look_puts_the_networks_features_in_place_of_the_screens(
    network: Bundle, screen: Screen, images: np.ndarray
) -> None:
    import keras

    from training.distillation.answers import feature_map

    small = build_screen(screen.weights)
    drawn = np.asarray(keras.Model(small.inputs, small.get_layer("features").output)(images[..., None]))
    full = np.asarray(feature_map(network, "float32")(images[..., None]))
    assert drawn.shape[1:3] == full.shape[1:3] == POSITIONS
    said = logits(drawn.reshape(-1, 32), screen.weights).reshape(len(images), *POSITIONS)
    mixed, corners, best = drawn.copy(), [], []
    for _ in range(WINDOWS):
        place = np.stack(np.unravel_index(said.reshape(len(images), -1).argmax(axis=1), POSITIONS), 1)
        corners.append(np.clip(place - SECOND_LOOK // 2, 0, np.asarray(POSITIONS) - SECOND_LOOK))
        for number, (row, column) in enumerate(corners[-1]):
            window = np.s_[number, row : row + SECOND_LOOK, column : column + SECOND_LOOK]
            mixed[window], said[window] = full[window], -np.inf
        best.append(logits(mixed.max(axis=(1, 2)), network.weights))
    assert all(len(np.unique(some, axis=0)) > 2 for some in corners), "windows at different places"
    expected, alone = np.max(best, axis=0), logits(drawn.max(axis=(1, 2)), network.weights)
    found = OpenVinoScreen(network, replace(screen, ranges={})).look(images)
    away = np.abs(to_logit(found.scores.astype(np.float64)) - expected)
    assert np.median(away) < 0.1 * np.median(np.abs(alone - expected))
    assert not found.passed.any()


@pytest.mark.slow
def test_only_the_suspicious_get_a_second_look(network: Bundle, screen: Screen, images: np.ndarray) -> None:
    first = OpenVinoScreen(network, replace(screen, second_look=None)).look(images).scores
    assert screen.second_look is not None
    second = OpenVinoScreen(network, screen).look(images).scores
    ordered = np.sort(first)
    widest = 3 + int(np.diff(ordered)[3:-3].argmax())
    start = float(ordered[widest : widest + 2].mean())  # far from all: the two graphs round otherwise
    cut = float(np.median(second[first >= np.float32(start)]))
    found = OpenVinoScreen(
        network, replace(screen, second_look=replace(screen.second_look, start=start, threshold=cut))
    )
    seen = found.look(images)
    looked = first >= np.float32(start)
    assert looked.any() and not looked.all()
    assert np.allclose(seen.scores[~looked], first[~looked], atol=0.05)
    # Not every window: an image that passes is not looked at again, nor is one whose rest is not suspicious.
    assert (seen.scores[looked] <= second[looked] + 1e-4).all()
    assert np.isclose(seen.scores[looked], second[looked], atol=1e-4).any()
    assert np.array_equal(seen.passed, looked & (seen.scores >= np.float32(cut)))
    assert 0 < seen.passed.sum() < looked.sum()


@pytest.mark.slow
def test_the_candidates_that_decide_the_thresholds_pass(network: Bundle, screen: Screen, images: np.ndarray) -> None:
    first = OpenVinoScreen(network, replace(screen, second_look=None)).look(images).scores
    # Nearly all are candidates, so that every threshold hangs on the lowest; one more would be too many to miss.
    answers = np.full(len(images), to_logit(network.typical_threshold) + 1.0)
    answers[first.argmin()] = -9.0
    held_out = Answered(DataSet((images,), pa.table({"label": np.full(len(images), -1, np.int8)}), {}), answers)
    made = set_threshold(network, screen, images[:4], [held_out], Promise(0.999))
    second = made.second_look
    assert second is not None and 0.0 < second.start < 1.0 and 0.0 < second.threshold < 1.0
    seen = OpenVinoScreen(network, made).look(images)
    assert seen.passed[answers > 0].all()
    assert made.figures["ways"]["openvino, int8"]["kept"] == len(images) - 1

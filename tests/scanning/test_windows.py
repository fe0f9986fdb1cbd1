"""Large images: convolutions once, the maximum over windows of the trained size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from crater_ray.engines.base import FeatureEngine
from crater_ray.engines.registry import create
from crater_ray.network import bundle as bundles
from crater_ray.network.bundle import Bundle
from crater_ray.network.stardust import RECEPTIVE_FIELD, STRIDE, TILE, feature_size
from crater_ray.scanning import windows as subject
from crater_ray.scanning.scorer import Scorer
from crater_ray.scanning.windows import Windows, windows_of
from crater_ray.simulate import simulate_frame

ENGINES = ["keras", "openvino-float"]


@pytest.fixture
def bundle(untrained: Path) -> Bundle:
    return bundles.load(untrained)


def noise(height: int, width: int, n: int = 1) -> np.ndarray:
    """Images that are normalised alike wherever they are cut: black and white pixels lie everywhere."""
    images = np.random.default_rng(5).integers(60, 200, (n, height, width), np.uint8)
    images[:, ::40, ::40], images[:, 7::40, 7::40] = 0, 255
    return images


def look(name: str, bundle: Bundle, images: np.ndarray) -> list[Windows]:
    engine = create(name, bundle)
    assert isinstance(engine, FeatureEngine)
    return list(windows_of(engine, images, bundle.weights))


@pytest.mark.parametrize("name", ENGINES)
def test_the_window_of_an_image_of_the_trained_size_says_what_the_engine_says(name: str, bundle: Bundle) -> None:
    images = noise(*TILE, n=2)
    said = create(name, bundle).score(images)
    for number, found in enumerate(look(name, bundle, images)):
        assert (found.image, found.corners.tolist()) == (number, [[0, 0]])
        np.testing.assert_array_equal(found.pixels[0], images[number])
        np.testing.assert_allclose(found.evidence.peaks[0], said.peaks[number], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.evidence.scores[0], said.scores[number], atol=1e-5)
        assert (found.evidence.positions[0] == said.positions[number])[said.peaks[number] > 0].all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ENGINES)
def test_every_window_says_what_its_pixels_would_say_alone(
    name: str, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where an image is computed in several blocks, some images at a time."""
    monkeypatch.setattr(subject, "BLOCK", (30, 40))
    monkeypatch.setattr(subject, "AT_ONCE", 3)
    images = noise(700, 900, n=2)
    found = look(name, bundle, images)
    assert [one.image for one in found] == [0] * 4 + [1] * 4
    engine = create(name, bundle)
    for block in found:
        alone = engine.score(block.pixels)
        np.testing.assert_allclose(block.evidence.peaks, alone.peaks, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(block.evidence.scores, alone.scores, atol=1e-4)
        for (row, column), pixels in zip(block.corners, block.pixels, strict=True):
            own = images[block.image, row : row + pixels.shape[0], column : column + pixels.shape[1]]
            np.testing.assert_array_equal(pixels[: own.shape[0], : own.shape[1]], own)


@pytest.mark.parametrize("length", [*range(800, 833), 92, 100, 384, 400, 1_385, 4_000])
@pytest.mark.parametrize("side", [0, 1])
def test_every_position_of_a_side_lies_in_a_window(length: int, side: int) -> None:
    filled = subject._filled(np.zeros((1, *((length, 92) if side == 0 else (92, length))), np.uint8)).shape[1 + side]
    assert 0 <= filled - length < STRIDE
    assert (filled - RECEPTIVE_FIELD) % STRIDE <= subject.LEFT
    seen = np.zeros(feature_size(filled), int)
    blocks = subject._spans(filled, subject.BLOCK[side], equal=True)
    assert blocks.positions <= subject.BLOCK[side]
    for start in blocks.starts:
        windows = subject._spans(blocks.pixels, subject.WINDOW[side])
        assert feature_size(windows.pixels) == windows.positions <= subject.WINDOW[side]
        for window in windows.starts:
            assert start % STRIDE == window % STRIDE == 0
            assert start + window + windows.pixels <= filled
            first = (start + window) // STRIDE
            seen[first : first + windows.positions] += 1
    assert seen.min() >= 1


@pytest.mark.slow
def test_frames_have_the_candidates_and_places_that_their_tiles_have() -> None:
    network = bundles.load()
    rng = np.random.default_rng(4)
    frames = np.stack([simulate_frame(rng, (768, 1024), some).pixels for some in ((), (22.0, 16.0), (20.0,), ())])
    scorer = Scorer(network, "openvino-float", network.typical_threshold)
    found = scorer._score_images(frames).values
    scorer._features = None
    tiled = scorer._score_images(frames).values
    cut = network.typical_threshold
    np.testing.assert_array_equal(found["score"] >= cut, tiled["score"] >= cut)
    assert (tiled["score"] >= cut).any()
    np.testing.assert_allclose(found["score"], tiled["score"], atol=0.1)
    for number in np.flatnonzero(tiled["score"] >= cut + 0.05):
        here, there = (
            values["places"][number] or [{name: values[name][number] for name in ("x", "y", "score")}]
            for values in (found, tiled)
        )
        for place in there:
            if place["score"] >= cut + 0.05:
                assert min(np.hypot(place["x"] - one["x"], place["y"] - one["y"]) for one in here) < RECEPTIVE_FIELD / 2

"""Fitting the finder: it goes on where it was stopped, and what ships is the network that was fitted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crater_ray.network import finder
from training.finder.export import calibrated, folded_weights
from training.finder.fit import Settings, fit
from training.finder.sources import Order, collect
from training.finder.stream import Batches

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finder")
    rng = np.random.default_rng(0)
    for number in range(3):
        pixels = rng.integers(90, 130, (120, 140), np.uint8)
        Image.fromarray(pixels).save(folder / f"metal_{number}.png")
    order = Order([str(folder)], simulated=1, seed_craters=2)
    assert collect(order, folder / "sources", workers=1) == {"train": 2, "foil": 1, "test": 1, "unseen": 0}
    batches = Batches(folder / "sources", size=64, images=4, workers=1)
    for steps in (2, 4):  # the second call goes on from the first
        fit(Settings(batches, steps=steps, width=4, dtype="float32"), folder / "fit")
    return folder / "fit"


def test_a_stopped_fit_goes_on(fitted: Path) -> None:
    assert '"step": 4' in (fitted / "state.json").read_text(encoding="utf-8")


def test_folded_weights_answer_as_the_fitted_network(fitted: Path) -> None:
    model = finder.build(4, normalization=keras.layers.BatchNormalization)
    with np.load(fitted / "state.npz") as stored:
        for number, variable in enumerate(model.weights):
            variable.assign(stored[f"s{number}"])
    images = np.random.default_rng(2).integers(0, 255, (2, 64, 96, 1), np.uint8)
    weights = folded_weights(fitted, 4)
    maps = np.asarray(finder.model_of(weights)(images, training=False)["maps"])
    np.testing.assert_allclose(maps, np.asarray(model(images, training=False)["maps"]), atol=2e-4)
    shifted = np.asarray(finder.model_of(calibrated(weights, 2.0, -1.0))(images, training=False)["maps"])
    np.testing.assert_allclose(shifted[..., 0], 2 * maps[..., 0] - 1, atol=1e-3)
    np.testing.assert_allclose(shifted[..., 1:], maps[..., 1:], atol=1e-5)

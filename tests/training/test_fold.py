"""The fold changes nothing; the network that ships is the published one; the original's loss is that of Keras."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from crater_ray.network.stardust import CONVOLUTIONS, DENSE, PARAMETERS, apply_weights, build, read_weights
from training.fitting.calibrate import fold_line
from training.network.fold import fold, unfold
from training.network.scoring import dense_logits, probability
from training.network.trainable import build_trainable, losses
from training.recipes import MATCHED, ORIGINAL

LAYERS = {
    "conv1": 640,
    **{f"conv{number}": 36_928 for number in range(2, 7)},
    "conv7": 18_464,
    "conv8": 9_248,
    "dense1": 1_056,
    "dense2": 1_056,
    "dense3": 528,
    **{f"dense{number}": 272 for number in range(4, 7)},
    "dense7": 17,
}


def test_the_layer_table_is_the_published_one() -> None:
    model = build("minmax")
    assert {layer.name: layer.count_params() for layer in model.layers if layer.count_params()} == LAYERS
    assert model.count_params() == PARAMETERS == sum(LAYERS.values()) == 216_465


def test_folding_batch_normalisation_is_exact() -> None:
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    model = build_trainable(MATCHED, batch_norm=True)
    for layer in model.layers:
        if layer.name.startswith("norm") and layer.name != "normalize":
            size = layer.gamma.shape
            layer.gamma.assign(rng.uniform(0.0, 2.0, size))
            layer.beta.assign(rng.normal(0, 0.5, size))
            layer.moving_mean.assign(rng.normal(0, 0.5, size))
            layer.moving_variance.assign(rng.uniform(0.3, 3.0, size))
    images = rng.integers(0, 256, (6, 124, 140, 1), dtype=np.uint8)
    before = probability(np.asarray(model.predict_on_batch(images)["score"])[:, 0])
    shipped = build(MATCHED.learning.preprocessing)
    apply_weights(shipped, fold(model))
    after = np.asarray(shipped.predict_on_batch(images))[:, 0]
    assert np.ptp(before) > 1e-3
    assert np.abs(before - after).max() < 1e-4


@pytest.mark.slow
def test_a_network_that_is_normalised_again_says_the_same() -> None:
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(1)
    shipped = build(MATCHED.learning.preprocessing)
    weights = read_weights(shipped)
    model = build_trainable(MATCHED, batch_norm=True)
    images = rng.integers(0, 256, (6, 124, 140, 1), dtype=np.uint8)
    unfold(weights, model, images)
    others = rng.integers(0, 256, (4, 108, 124, 1), dtype=np.uint8)
    before = np.asarray(shipped.predict_on_batch(others))[:, 0]
    after = probability(np.asarray(model.predict_on_batch(others)["score"])[:, 0])
    assert np.abs(before - after).max() < 1e-4
    # In training it hardly differs, and folding gives the weights back.
    trained = probability(np.asarray(model(images, training=True)["score"])[:, 0])
    assert np.abs(trained - np.asarray(shipped.predict_on_batch(images))[:, 0]).max() < 1e-2
    assert all(np.allclose(array, weights[name], atol=1e-4) for name, array in unfolded(weights, images).items())


def unfolded(weights: dict[str, np.ndarray], images: np.ndarray) -> dict[str, np.ndarray]:
    """The weights after taking normalisation out of them and folding it in again."""
    model = build_trainable(MATCHED, batch_norm=True)
    unfold(weights, model, images)
    return fold(model)


def test_the_calibration_line_lands_in_the_last_layer() -> None:
    rng = np.random.default_rng(1)
    widths = (CONVOLUTIONS[-1][0], *DENSE, 1)
    weights = {}
    for number in range(1, len(widths)):
        weights[f"dense{number}/kernel"] = rng.normal(0, 0.4, widths[number - 1 : number + 1]).astype(np.float32)
        weights[f"dense{number}/bias"] = rng.normal(0, 0.4, widths[number]).astype(np.float32)
    peaks = rng.uniform(0, 2, (50, widths[0]))
    lined = fold_line(weights, 0.4, -1.5)
    assert np.allclose(dense_logits(lined, peaks), 0.4 * dense_logits(weights, peaks) - 1.5, atol=1e-5)


def test_a_blank_weighs_ten_craters_as_by_class_weights_of_keras() -> None:
    features, truth = np.array([[0.4], [-0.3], [0.9]], np.float32), np.array([[1.0], [0.0], [0.0]], np.float32)
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid", kernel_initializer="ones")(inputs))
    model.compile(loss="binary_crossentropy")
    theirs = model.train_on_batch(features, truth, class_weight={0: 10.0, 1: 1.0})
    assert np.isclose(float(losses(ORIGINAL)["score"](truth, features)), float(np.ravel(theirs)[0]), rtol=1e-4)

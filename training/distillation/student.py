"""Teacher and student as one Keras model: from images to the distillation loss, what it costs the screen to differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from crater_ray.network.bundle import Bundle
from crater_ray.network.screen import positions
from crater_ray.network.stardust import DENSE
from training.backend import compiles
from training.distillation.answers import feature_map
from training.distillation.loss import answer_costs, feature_costs
from training.network.scoring import to_logit

if TYPE_CHECKING:
    import keras

MISSED = 0.5
"""Weight of the square by which a candidate's answer stays below the threshold: the promise hangs on the worst."""


def build_distillation(
    bundle: Bundle, screen: keras.Model, scale: np.ndarray, size: tuple[int, int], dtype: str, rate: float
) -> keras.Model:
    """Build it, ready for `train_on_batch`; only the screen learns.

    Both networks look at a batch in one compiled step, so that the full one's maps never leave the device.

    Args:
        bundle: the full network.
        screen: made by `build_screen` with `trainable`.
        scale: (32,) float32, what the full network's features are divided by.
        size: height and width of the images in pixels.
        dtype: Keras policy of the full network's convolutions.
        rate: of learning.

    Returns:
        A model from uint8 images (n, height, width, 1) to what each costs, (n, 3): in the map of features, in the
        answer, and as a candidate that is missed. Its targets are the weights of the three, (n, 3); beside their
        weighted sum it measures the first two, as `map_cost` and `score_cost`.
    """
    import keras
    from keras import layers, ops

    cut = float(to_logit(bundle.typical_threshold))
    full = feature_map(bundle, dtype)
    full.trainable = False
    images = keras.Input((*size, 1), dtype="uint8", name="images")
    wanted = full(images)
    logit = _answer(bundle, layers.GlobalMaxPooling2D(dtype="float32")(wanted))
    said, drawn = screen(images)
    # At the trained size all positions are those of the full network; at some others the last ones are not covered.
    rows, columns = positions(size)
    in_map = ops.mean(feature_costs(wanted[:, :rows, :columns] / scale, drawn), axis=(1, 2, 3))
    short = ops.where(logit >= cut, ops.relu(cut - said), 0.0)
    costs = ops.stack([in_map, answer_costs(logit, said, cut)[:, 0], MISSED * ops.square(short)[:, 0]], axis=1)
    distillation = keras.Model(images, costs, name="distillation")

    def loss(weights: Any, costs: Any) -> Any:
        return ops.sum(weights * costs, axis=1)

    def map_cost(weights: Any, costs: Any) -> Any:
        return costs[:, 0]

    def score_cost(weights: Any, costs: Any) -> Any:
        return costs[:, 1]

    optimizer = keras.optimizers.Adam(rate, clipnorm=5.0)
    distillation.compile(optimizer, loss=loss, metrics=[map_cost, score_cost], jit_compile=compiles())
    return distillation


def _answer(bundle: Bundle, x: Any) -> Any:
    """The full network's logits (n, 1) from its features' maxima (n, 32)."""
    from keras import ops

    for number in range(1, len(DENSE) + 2):
        kernel, bias = (bundle.weights[f"dense{number}/{part}"] for part in ("kernel", "bias"))
        x = ops.matmul(x, kernel) + bias
        if number <= len(DENSE):
            x = ops.relu(x)
    return x

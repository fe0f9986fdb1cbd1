"""The screen through Keras: raw pixels in, which images pass out; and the Keras model itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from crater_ray.engines.base import Screened
from crater_ray.engines.dense import sigmoid
from crater_ray.engines.processor import computes_in_bfloat16
from crater_ray.network.screen import BORDER, CONVOLUTIONS, FEATURES, SAMPLE, Screen
from crater_ray.network.stardust import DENSE, Weights

if TYPE_CHECKING:
    import keras

BATCH = 16


class KerasScreen:
    """Through Keras; on processors with bfloat16 in that.

    Args:
        screen: what to compute.
        threads: for TensorFlow's pools; all when None.
        dtype: Keras policy of the convolutions; by the processor when None.
    """

    def __init__(self, screen: Screen, threads: int | None = None, dtype: str | None = None) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        import keras

        self._threshold = np.float32(screen.threshold)
        dtype = dtype or ("mixed_bfloat16" if computes_in_bfloat16() else "float32")
        if keras.backend.backend() != "tensorflow":
            self._forward: Callable[[np.ndarray], Any] = build_screen(screen.weights, dtype)
            return
        import tensorflow as tf

        from crater_ray.engines.keras_engine import use_threads

        use_threads(threads)
        model = build_screen(screen.weights, dtype)
        signature = [tf.TensorSpec((None, None, None, 1), tf.uint8)]
        self._forward = tf.function(lambda images: model(images, training=False), input_signature=signature)

    def look(self, images: np.ndarray) -> Screened:
        answers = []
        for start in range(0, len(images), BATCH):
            answers.append(np.asarray(self._forward(images[start : start + BATCH, ..., None]), np.float32)[:, 0])
        scores = sigmoid(np.concatenate(answers))
        return Screened(scores, scores >= self._threshold)


def build_screen(weights: Weights | None = None, dtype: str = "float32", *, trainable: bool = False) -> keras.Model:
    """Build the screen in Keras.

    Args:
        weights: by name; fresh ones when None.
        dtype: Keras policy of the convolutions.
        trainable: with batch normalisation behind each convolution, and with the map as a second output.

    Returns:
        A model from uint8 images (n, h, w, 1) to logits (n, 1); with `trainable` to these and the map of features
        (n, rows, columns, 32), at the positions of the full network's last map.
    """
    import keras
    from keras import layers

    images = keras.Input((None, None, 1), dtype="uint8", name="images")
    x = _normalised(images)
    for number, one in enumerate(CONVOLUTIONS, start=1):
        if one.step > 1:
            x = layers.ZeroPadding2D((one.padding, one.padding), name=f"padding{number}", dtype=dtype)(x)
        x = layers.Conv2D(
            one.filters,
            one.side,
            one.step,
            padding="same" if one.step == 1 else "valid",
            activation=None if trainable else "relu",
            kernel_initializer="he_normal",
            name=f"conv{number}",
            dtype=dtype,
        )(x)
        if trainable:
            x = layers.BatchNormalization(momentum=0.97, name=f"norm{number}", dtype=dtype)(x)
            x = layers.ReLU(name=f"relu{number}", dtype=dtype)(x)
        if one.pooled:
            x = layers.MaxPooling2D(2, name=f"pool{number}", dtype=dtype)(x)
    before, after = BORDER
    x = layers.Cropping2D(((before, after), (before, after)), name="inner", dtype=dtype)(x)
    # The bias lets every feature begin alive: a dead one would never come back.
    start = keras.initializers.Constant(0.1)
    x = layers.Conv2D(FEATURES, 1, activation="relu", bias_initializer=start, name="features", dtype="float32")(x)
    features = x
    x = layers.GlobalMaxPooling2D(name="peaks", dtype="float32")(x)
    for number, units in enumerate(DENSE, start=1):
        x = layers.Dense(units, activation="relu", name=f"dense{number}", dtype="float32")(x)
    logit = layers.Dense(1, name=f"dense{len(DENSE) + 1}", dtype="float32")(x)
    model = keras.Model(images, [logit, features] if trainable else logit, name="screen")
    if weights is not None:
        for name, array in weights.items():
            layer, part = name.split("/")
            getattr(model.get_layer(layer), part).assign(array)
    return model


def _normalised(images: Any) -> Any:
    """Each image about 0, by the mean and deviation of some of its pixels, without the outermost of them."""
    from keras import ops

    from crater_ray.network.normalize import sigma_clipped

    x = ops.cast(images, "float32")
    return sigma_clipped(x, x[:, ::SAMPLE, ::SAMPLE, :])

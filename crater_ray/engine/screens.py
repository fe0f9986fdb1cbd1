"""The screen's arithmetic: through Keras, or as an OpenVINO graph in 8-bit numbers; raw pixels in, scores out."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from crater_ray.engine import computes_in_bfloat16
from crater_ray.engine.head import logits, sigmoid
from crater_ray.engine.streams import Streams
from crater_ray.network import DENSE, Weights
from crater_ray.screen import BORDER, CONVOLUTIONS, SAMPLE, STEM, Screen

if TYPE_CHECKING:
    import keras

BATCH = 16
QUANTISED = tuple(f"conv{number}" for number in range(1, len(CONVOLUTIONS) + 1))
"""Activations that become 8-bit numbers, as the normalised pixels do."""


class ScreenEngine(Protocol):
    """Computes a screen on one device."""

    def score(self, images: np.ndarray) -> np.ndarray:
        """The screening scores, (n,) float32 in 0..1, of (n, height, width) uint8 images."""
        ...


def create_screen(engine: str, screen: Screen, threads: int | None = None) -> ScreenEngine:
    """Make the screen ready that goes with an engine of the full network.

    Args:
        engine: name of that engine, resolved.
        screen: what to compute.
        threads: processor threads; all when None.
    """
    if engine.startswith("openvino"):
        return OpenVinoScreen(screen, threads=threads)
    if engine == "stand-in":
        return StandInScreen()
    return KerasScreen(screen, threads)


class StandInScreen:
    """Goes with the engine that computes no network: scores by the mean of one pixel in 256."""

    def score(self, images: np.ndarray) -> np.ndarray:
        return np.asarray(images[:, ::16, ::16].mean(axis=(1, 2), dtype=np.float32) / np.float32(255))


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

        dtype = dtype or ("mixed_bfloat16" if computes_in_bfloat16() else "float32")
        if keras.backend.backend() != "tensorflow":
            self._forward: Callable[[np.ndarray], Any] = build_screen(screen.weights, dtype)
            return
        import tensorflow as tf

        from crater_ray.engine.keras_engine import use_threads

        use_threads(threads)
        model = build_screen(screen.weights, dtype)
        signature = [tf.TensorSpec((None, None, None, 1), tf.uint8)]
        self._forward = tf.function(lambda images: model(images, training=False), input_signature=signature)

    def score(self, images: np.ndarray) -> np.ndarray:
        answers = []
        for start in range(0, len(images), BATCH):
            answers.append(np.asarray(self._forward(images[start : start + BATCH, ..., None]), np.float32)[:, 0])
        return sigmoid(np.concatenate(answers))


def build_screen(weights: Weights | None = None, dtype: str = "float32", *, trainable: bool = False) -> keras.Model:
    """Build the screen in Keras.

    Args:
        weights: by name; fresh ones when None.
        dtype: Keras policy of the convolutions.
        trainable: with batch normalisation behind each 3x3 convolution, and with the map as a second output.

    Returns:
        A model from uint8 images (n, h, w, 1) to logits (n, 1); with `trainable` to these and the map of features
        (n, rows, columns, 32), at the positions of the full network's last map.
    """
    import keras
    from keras import layers

    images = keras.Input((None, None, 1), dtype="uint8", name="images")
    x = _normalised(images)
    for number, (filters, pooled) in enumerate(CONVOLUTIONS, start=1):
        side, step = STEM if number == 1 else (3, 1)
        x = layers.Conv2D(
            filters,
            side,
            step,
            padding="same",
            activation=None if trainable else "relu",
            kernel_initializer="he_normal",
            name=f"conv{number}",
            dtype=dtype,
        )(x)
        if trainable:
            x = layers.BatchNormalization(momentum=0.97, name=f"norm{number}", dtype=dtype)(x)
            x = layers.ReLU(name=f"relu{number}", dtype=dtype)(x)
        if pooled:
            x = layers.MaxPooling2D(2, name=f"pool{number}", dtype=dtype)(x)
    before, after = BORDER
    x = layers.Cropping2D(((before, after), (before, after)), name="inner", dtype=dtype)(x)
    # The bias lets every feature begin alive: a dead one would never come back.
    start = keras.initializers.Constant(0.1)
    x = layers.Conv2D(32, 1, activation="relu", bias_initializer=start, name="features", dtype="float32")(x)
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

    x = ops.cast(images, "float32")
    some = x[:, ::SAMPLE, ::SAMPLE, :]
    axes = (1, 2, 3)
    mean = ops.mean(some, axis=axes, keepdims=True)
    deviation = ops.sqrt(ops.mean(ops.square(some - mean), axis=axes, keepdims=True))
    kept = ops.cast(ops.abs(some - mean) <= 3.0 * deviation, "float32")
    count = ops.maximum(ops.sum(kept, axis=axes, keepdims=True), 1.0)
    mean = ops.sum(some * kept, axis=axes, keepdims=True) / count
    deviation = ops.sqrt(ops.sum(ops.square(some - mean) * kept, axis=axes, keepdims=True) / count)
    return ops.clip((x - mean) / ops.maximum(3.0 * deviation, 1.0), -2.0, 4.0)


class OpenVinoScreen:
    """Through OpenVINO, in 8-bit numbers where the screen has ranges for them.

    Args:
        screen: what to compute; its `size` is the only one that it takes.
        threads: processor threads; all when None.
        batch: images in a request; a few together cost a fifth less than one by one.
    """

    def __init__(self, screen: Screen, threads: int | None = None, batch: int = 4) -> None:
        import openvino as ov

        from crater_ray.engine.openvino_engine import require_openvino

        require_openvino()
        self._weights = screen.weights
        self._batch = batch
        numbers = "bf16" if computes_in_bfloat16() else "f32"
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": numbers}
        if threads:
            settings["INFERENCE_NUM_THREADS"] = threads
        graph = screen_graph(screen)
        graph.reshape([batch, *screen.size])
        self._streams = Streams(ov.Core().compile_model(graph, "CPU", settings))

    def score(self, images: np.ndarray) -> np.ndarray:
        n = len(images)
        peaks = np.empty((n, self._weights["dense1/kernel"].shape[0]), np.float32)

        def take(request: Any, start: int) -> None:
            some = request.get_tensor("peaks").data
            peaks[start : start + self._batch] = some[: n - start]

        with self._streams.queue() as queue:
            queue.set_callback(take)
            for start in range(0, n, self._batch):
                some = images[start : start + self._batch]
                if len(some) < self._batch:
                    some = np.concatenate([some, np.repeat(some[-1:], self._batch - len(some), axis=0)])
                queue.start_async({0: some}, start)
            queue.wait_all()
        return sigmoid(logits(peaks, self._weights))


def screen_graph(screen: Screen, *, activations: bool = False) -> Any:
    """The screen up to the global max-pool as an OpenVINO graph, from (n, height, width) uint8 to `peaks` (n, 32).

    Args:
        screen: what to compute; with `ranges` these activations, and the weights that meet them, are 8-bit numbers.
        activations: also give each activation's largest value, for calibration, and make nothing 8-bit.
    """
    import openvino as ov
    from openvino import opset13 as ops

    from crater_ray.engine.openvino_graph import INPUT, PIXELS, in_bytes, named

    ranges = {} if activations else screen.ranges
    images = ops.parameter([-1, -1, -1], np.uint8, "images")
    x = _normalised_graph(ops.unsqueeze(ops.convert(images, np.float32), np.array([1])))
    if ranges:
        x = in_bytes(x, *INPUT["sigma-clip"])
    watched = []
    for number, (_, pooled) in enumerate(CONVOLUTIONS, start=1):
        name = f"conv{number}"
        step = STEM[1] if number == 1 else 1
        rounded = bool(ranges) if number == 1 else f"conv{number - 1}" in ranges
        x = _convolution(x, screen.weights, name, step, rounded)
        if activations:
            watched.append(named(ops.result(ops.reduce_max(x, PIXELS, False)), name))
        if name in ranges:
            x = in_bytes(x, 0.0, ranges[name])
        if pooled:
            x = ops.max_pool(x, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2]).output(0)
    before, after = BORDER
    inner = [np.array([before, before]), np.array([-after, -after]), np.array([1, 1]), np.array([2, 3])]
    x = ops.slice(x, *inner)
    x = _convolution(x, screen.weights, "features", 1, f"conv{len(CONVOLUTIONS)}" in ranges)
    peaks = named(ops.result(ops.reduce_max(x, np.array([2, 3]), False)), "peaks")
    return ov.Model([peaks, *watched], [images], "screen")


def _convolution(x: Any, weights: Weights, name: str, step: int, rounded: bool) -> Any:
    from openvino import opset13 as ops

    from crater_ray.engine.openvino_graph import weights_in_bytes

    kernel = np.ascontiguousarray(weights[f"{name}/kernel"].transpose(3, 2, 0, 1))
    constant = weights_in_bytes(kernel) if rounded else ops.constant(kernel)
    pad = (kernel.shape[-1] - 1) // 2
    x = ops.convolution(x, constant, [step, step], [pad, pad], [pad, pad], [1, 1])
    return ops.relu(ops.add(x, ops.constant(weights[f"{name}/bias"].reshape(1, -1, 1, 1))))


def _normalised_graph(x: Any) -> Any:
    """What `_normalised` does, operation by operation."""
    from openvino import opset13 as ops

    from crater_ray.engine.openvino_graph import PIXELS, deviation_and_mean

    everything = np.array([0, 0, 0, 0])
    some = ops.strided_slice(x, everything, everything, np.array([1, 1, SAMPLE, SAMPLE]), [1, 1, 1, 1], [1, 1, 1, 1])
    deviation, mean = deviation_and_mean(some, PIXELS)
    scaled = ops.divide(ops.subtract(x, mean), ops.maximum(ops.multiply(deviation, np.float32(3.0)), np.float32(1.0)))
    return ops.clamp(scaled, -2.0, 4.0)

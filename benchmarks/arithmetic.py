"""How much arithmetic an image costs, and how fast the device multiplies matrices: the ceiling for any engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from crater_ray.network.stardust import CONVOLUTIONS, DENSE, FILTERS

SIDES_CPU = (512, 1024, 2048)
SIDES_GPU = (2048, 4096, 8192, 16384)


def multiply_adds(height: int, width: int, filters: Sequence[int] = FILTERS) -> int:
    """Multiply-adds of the network for one image of that many pixels, with so many active filters."""
    total, channels = 0, 1
    for count, (_, pooled) in zip(filters, CONVOLUTIONS, strict=True):
        height, width = height - 2, width - 2
        total += height * width * 9 * channels * count
        channels = count
        if pooled:
            height, width = height // 2, width // 2
    for units in (*DENSE, 1):
        total += channels * units
        channels = units
    return total


def matrix_rate(framework: str, dtype: str, seconds: float) -> float:
    """Operations a second (a multiply-add is two) of the best square matrix multiplication.

    Args:
        framework: `keras` (its backend, compiled) or `openvino`.
        dtype: `float32`, `bfloat16`, `float16`, or with openvino `int8`.
        seconds: to measure for at each size, at least.
    """
    make, gpu = (_openvino(dtype), False) if framework == "openvino" else _keras(dtype)
    best = 0.0
    for side in SIDES_GPU if gpu else SIDES_CPU:
        multiply = make(side)
        multiply()
        count, started = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - started) < seconds or count < 3:
            multiply()
            count += 1
        best = max(best, count * 2 * side**3 / elapsed)
    return best


Make = Callable[[int], Callable[[], Any]]


def _keras(dtype: str) -> tuple[Make, bool]:
    import keras

    backend = keras.backend.backend()
    if backend == "jax":
        import jax
        import jax.numpy as jnp

        product = jax.jit(lambda a, b: a @ b)

        def make_jax(side: int) -> Callable[[], Any]:
            a = jnp.ones((side, side), dtype) * 0.5
            return lambda: product(a, a).block_until_ready()

        return make_jax, jax.default_backend() != "cpu"
    import tensorflow as tf

    multiply: Any = tf.function(lambda a, b: tf.reduce_sum(a @ b) if tf.config.list_physical_devices("GPU") else a @ b)

    def make(side: int) -> Callable[[], Any]:
        a = tf.fill((side, side), tf.constant(0.5, dtype))
        # Asking for the numbers waits for the device; on a GPU only their sum is fetched.
        return lambda: multiply(a, a).numpy() if tf.config.list_physical_devices("GPU") else multiply(a, a)

    return make, bool(tf.config.list_physical_devices("GPU"))


def _openvino(dtype: str) -> Make:
    import openvino as ov
    from openvino import opset13 as ops

    def make(side: int) -> Callable[[], Any]:
        given = ops.parameter([side, side], np.float32)
        rng = np.random.default_rng(0)
        weights = rng.standard_normal((side, side)).astype(np.float32)
        left, right = given, ops.constant(weights)
        if dtype == "int8":
            top = np.float32(np.abs(weights).max())
            left = ops.fake_quantize(left, *(np.float32(v) for v in (0, 1, 0, 1)), 256)
            right = ops.fake_quantize(right, -top, top, -top, top, 255)
        # The largest element of each row keeps the result small, so that only multiplying counts.
        model = ov.Model([ops.reduce_max(ops.matmul(left, right, False, False), np.array([1]))], [given])
        precision = {"bfloat16": "bf16", "float16": "f16"}.get(dtype, "f32")
        compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": precision})
        request = compiled.create_infer_request()
        request.set_input_tensor(ov.Tensor(rng.random((side, side), np.float32)))
        infer: Callable[[], Any] = request.infer
        return infer

    return make

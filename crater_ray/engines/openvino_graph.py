"""The network's convolutions as an OpenVINO graph, straight from a bundle's arrays; in 8-bit numbers when asked."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from crater_ray.engines.rounding import rounded
from crater_ray.network.bundle import Bundle
from crater_ray.network.pruning import drop_inactive
from crater_ray.network.stardust import CONVOLUTIONS, Preprocessing, Weights

Ranges = Mapping[str, float]
"""Largest value of each activation that becomes an 8-bit number, by the convolution that makes it (`conv1` ...)."""

QUANTISED = tuple(f"conv{number}" for number in range(1, len(CONVOLUTIONS) - 1))
"""Activations that become 8-bit numbers unless fewer are asked for. The last convolution does less than 1% of the
work but its rounding would reach the score undiluted: it takes, and gives, exact numbers."""

INPUT: Mapping[Preprocessing, tuple[float, float]] = {"minmax": (0.0, 1.0), "sigma-clip": (-2.0, 4.0)}
"""Between which values a normalised pixel lies."""

PIXELS = np.array([1, 2, 3])
STRIPS = 8
"""The layers before the first pool are computed in so many strips of rows, one after the other: what the first
convolution gives, 50 MB in float32, then stays in the processor's cache until the second one has taken it."""


def build_graph(
    bundle: Bundle,
    ranges: Ranges | None = None,
    size: tuple[int, int] | None = None,
    *,
    activations: bool = False,
    unpooled: bool = False,
) -> Any:
    """Build the graph up to the global max-pool; the dense layers behind it are a few thousand multiply-adds.

    Args:
        bundle: the network.
        ranges: make these activations 8-bit numbers, per tensor between 0 and the value, and the weights of the
            convolutions that take them, per output channel, as `FakeQuantize` layers that the processor plugin then
            computes in integers. So does the first one: a byte holds a pixel, normalised or not.
        size: height and width of the images, when all have one size: the same numbers, sooner.
        activations: also give every quantised activation, for calibration.
        unpooled: give what the global max-pool takes instead of what it gives.

    Returns:
        An `openvino.Model` from (n, height, width) uint8 pixels to `features` (n, rows, columns, 32) float32 if
        `unpooled`, else to `peaks` (n, 32) float32, `positions` (n, 32)
        int32 and, with `activations`, `conv1` to `conv7` (n, channels, rows, columns) float32.
    """
    import openvino as ov
    from openvino import opset13 as ops

    weights = drop_inactive(bundle.weights)
    images = ops.parameter([-1, *(size or (-1, -1))], np.uint8, "images")
    x = ops.unsqueeze(ops.convert(images, np.float32), np.array([1]))
    x = _normalise(x, bundle.preprocessing)
    if ranges is not None:
        x = in_bytes(x, *INPUT[bundle.preprocessing])
    watched: list[Any] | None = [] if activations else None
    first = 1 + next(number for number, (_, pooled) in enumerate(CONVOLUTIONS, start=1) if pooled)
    before_pool, after_pool = range(1, first), range(first, len(CONVOLUTIONS) + 1)
    if size is None or activations:
        x = _layers(x, before_pool, weights, ranges, watched)
    else:
        rows = [2 * row for row in np.linspace(0, (size[0] - 2 * len(before_pool)) // 2, STRIPS + 1).astype(int)]
        strips = [_rows(x, low, high + 2 * len(before_pool)) for low, high in pairwise(rows) if high > low]
        x = ops.concat([_layers(strip, before_pool, weights, ranges) for strip in strips], 2)
    x = _layers(x, after_pool, weights, ranges, watched)
    if unpooled:
        features = ops.transpose(x, np.array([0, 2, 3, 1]))
        return ov.Model([named(ops.result(features), "features")], [images], "crater_network_features")
    flat = ops.reshape(x, np.array([0, 0, -1]), True)
    best = ops.topk(flat, np.int32(1), 2, "max", "index", "i32")
    peaks = named(ops.result(ops.squeeze(best.output(0), np.array([2]))), "peaks")
    positions = named(ops.result(ops.squeeze(best.output(1), np.array([2]))), "positions")
    return ov.Model([peaks, positions, *(watched or ())], [images], "crater_network")


def window_graph(bundle: Bundle, ranges: Ranges) -> Any:
    """Build the graph for parts of images whose pixels are to be normalised as the whole images' are.

    Args:
        bundle: the network; one that clips by deviation.
        ranges: as for `build_graph`.

    Returns:
        An `openvino.Model` from `windows` (n, height, width) uint8 pixels and `tones` (n, 2) float32, what they are to
        be lowered by and then divided by, to `peaks` (n, 32) float32.
    """
    import openvino as ov
    from openvino import opset13 as ops

    windows = ops.parameter([-1, -1, -1], np.uint8, "windows")
    tones = ops.parameter([-1, 2], np.float32, "tones")
    windows.output(0).set_names({"windows"})
    tones.output(0).set_names({"tones"})
    mean, spread = ops.split(ops.unsqueeze(tones, np.array([2, 3])), np.int32(1), 2).outputs()
    x = ops.unsqueeze(ops.convert(windows, np.float32), np.array([1]))
    x = ops.clamp(ops.divide(ops.subtract(x, mean), spread), *INPUT["sigma-clip"])
    x = _layers(
        in_bytes(x, *INPUT["sigma-clip"]), range(1, len(CONVOLUTIONS) + 1), drop_inactive(bundle.weights), ranges
    )
    peaks = named(ops.result(ops.reduce_max(x, np.array([2, 3]), False)), "peaks")
    return ov.Model([peaks], [windows, tones], "crater_network_windows")


def _layers(x: Any, numbers: range, arrays: Weights, ranges: Ranges | None, watched: list[Any] | None = None) -> Any:
    """Some of the convolutions, with the pools behind them; `watched` is given results of what becomes 8-bit."""
    from openvino import opset13 as ops

    for number in numbers:
        name = f"conv{number}"
        kernel = np.ascontiguousarray(arrays[f"{name}/kernel"].transpose(3, 2, 0, 1))
        weights = ops.constant(kernel)
        if ranges is not None and (number == 1 or f"conv{number - 1}" in ranges):
            weights = weights_in_bytes(kernel)
        x = ops.convolution(x, weights, [1, 1], [0, 0], [0, 0], [1, 1])
        x = ops.relu(ops.add(x, ops.constant(arrays[f"{name}/bias"].reshape(1, -1, 1, 1))))
        if ranges is not None and name in ranges:
            x = in_bytes(x, 0.0, ranges[name])
        if watched is not None and name in QUANTISED:
            watched.append(named(ops.result(x), name))
        if CONVOLUTIONS[number - 1][1]:
            x = ops.max_pool(x, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2]).output(0)
    return x


def in_bytes(x: Any, low: float, top: float) -> Any:
    """Values between two bounds as 8-bit numbers."""
    from openvino import opset13 as ops

    bounds = np.float32(low), np.float32(max(top, low + 1e-12))
    return ops.fake_quantize(x, *bounds, *bounds, 256)


def weights_in_bytes(kernel: np.ndarray) -> Any:
    """A kernel (out, in, rows, columns) as 8-bit numbers, with a step per output channel."""
    from openvino import opset13 as ops

    whole, step = rounded(kernel)
    # OpenVINO knows weights of 255 levels; those beyond the largest stay unused.
    top = np.float32(127) * step
    return ops.fake_quantize(ops.constant(whole * step), -top, top, -top, top, 255)


def _rows(x: Any, low: int, high: int) -> Any:
    """Rows of a (n, channels, rows, columns) tensor."""
    from openvino import opset13 as ops

    return ops.slice(x, np.array([low]), np.array([high]), np.array([1]), np.array([2]))


def named(result: Any, name: str) -> Any:
    """Give an output its name."""
    result.output(0).get_tensor().set_names({name})
    return result


def _normalise(x: Any, preprocessing: Preprocessing) -> Any:
    """What `crater_ray.network.normalize.Normalize` does, operation by operation."""
    from openvino import opset13 as ops

    def number(value: float) -> Any:
        return ops.constant(np.float32(value))

    if preprocessing == "minmax":
        low, high = ops.reduce_min(x, PIXELS, True), ops.reduce_max(x, PIXELS, True)
        return ops.divide(ops.subtract(x, low), ops.maximum(ops.subtract(high, low), number(1.0)))
    deviation, mean = deviation_and_mean(x, PIXELS)
    scaled = ops.divide(ops.subtract(x, mean), ops.maximum(ops.multiply(deviation, number(3.0)), number(1.0)))
    return ops.clamp(scaled, *INPUT["sigma-clip"])


def deviation_and_mean(x: Any, axes: np.ndarray) -> tuple[Any, Any]:
    """Standard deviation and mean over the values within three deviations of the mean of all."""
    from openvino import opset13 as ops

    mean = ops.reduce_mean(x, axes, True)
    centred = ops.subtract(x, mean)
    deviation = ops.sqrt(ops.reduce_mean(ops.multiply(centred, centred), axes, True))
    limit = ops.multiply(deviation, ops.constant(np.float32(3.0)))
    kept = ops.convert(ops.less_equal(ops.abs(centred), limit), np.float32)
    count = ops.maximum(ops.reduce_sum(kept, axes, True), ops.constant(np.float32(1.0)))
    mean = ops.divide(ops.reduce_sum(ops.multiply(x, kept), axes, True), count)
    centred = ops.subtract(x, mean)
    squares = ops.multiply(ops.multiply(centred, centred), kept)
    return ops.sqrt(ops.divide(ops.reduce_sum(squares, axes, True), count)), mean

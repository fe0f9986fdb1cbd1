"""The finder as an OpenVINO graph, straight from a bundle's arrays; its convolutions in 8-bit numbers when asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from crater_ray.engines.openvino_graph import in_bytes, named, weights_in_bytes
from crater_ray.network.finder import BEND, CELL, CLIP, FLOOR, NEIGHBOURHOOD, layer_table, width_of
from crater_ray.network.stardust import Weights

QUANTIZED = tuple(layer.name for layer in layer_table() if layer.active and layer.name != "quarter4")
"""Activations that become 8-bit numbers. What the maps are made from stays exact: rounding it would reach the score."""


def build_finder_graph(
    weights: Weights,
    ranges: Mapping[str, float] | None = None,
    size: tuple[int, int] | None = None,
    *,
    activations: bool = False,
) -> Any:
    """Build the graph of a finder.

    Args:
        weights: by name, as `crater_ray.network.finder.width_of` takes them.
        ranges: largest value of each activation that becomes an 8-bit number, by its convolution; float32 when None.
        size: height and width of the images, multiples of 16, when all have one size: the same numbers, sooner.
        activations: also give every activation of `QUANTIZED`, for calibration.

    Returns:
        An `openvino.Model` from (n, height, width) uint8 pixels to `maps` (n, height / 4, width / 4, 4) float32 and,
        with `activations`, each of `QUANTIZED` (n, channels, rows, columns).
    """
    import openvino as ov
    from openvino import opset13 as ops

    layers = {layer.name: layer for layer in layer_table(width_of(weights))}
    watched: list[Any] = []

    def convolve(name: str, x: Any, exact: bool = False) -> Any:
        layer = layers[name]
        kernel = np.ascontiguousarray(weights[f"{name}/kernel"].transpose(3, 2, 0, 1))
        constant = ops.constant(kernel) if ranges is None or exact else weights_in_bytes(kernel)
        strides = [layer.stride, layer.stride]
        x = ops.convolution(x, constant, strides, [0, 0], [0, 0], [1, 1], "same_upper")
        x = ops.add(x, ops.constant(weights[f"{name}/bias"].reshape(1, -1, 1, 1)))
        if not layer.active:
            return x
        x = ops.relu(x)
        if ranges is not None and name in ranges:
            x = in_bytes(x, 0.0, ranges[name])
        if activations and name in QUANTIZED:
            watched.append(named(ops.result(x), name))
        return x

    images = ops.parameter([-1, *(size or (-1, -1))], np.uint8, "images")
    x = _contrast(ops.unsqueeze(ops.convert(images, np.float32), np.array([1])))
    if ranges is not None:
        x = in_bytes(x, -CLIP, CLIP)
    x = convolve("half1", convolve("stem", x))
    quarter = convolve("quarter2", convolve("quarter1", convolve("down4", x)))
    eighth = convolve("eighth2", convolve("eighth1", convolve("down8", quarter)))
    deep = convolve("sixteenth2", convolve("sixteenth1", convolve("down16", eighth)))
    x = ops.add(_doubled(convolve("up16", deep)), eighth)
    # A sum of both signs: it is not rounded, nor are the few products that take it.
    x = ops.add(_doubled(convolve("up8", convolve("eighth3", x, exact=True))), quarter)
    x = convolve("quarter4", convolve("quarter3", x, exact=True))
    maps = ops.transpose(convolve("maps", x, exact=True), np.array([0, 2, 3, 1]))
    if BEND in weights:
        knee, gain = (ops.constant(np.array([value, 0, 0, 0], np.float32)) for value in weights[BEND])
        maps = ops.add(maps, ops.multiply(ops.relu(ops.subtract(maps, knee)), gain))
    return ov.Model([named(ops.result(maps), "maps"), *watched], [images], "finder")


def _contrast(x: Any) -> Any:
    """What `crater_ray.network.finder.LocalContrast` does, operation by operation; (n, 1, height, width).

    It is the same for images that are darker by a whole number, and squares of small numbers lose less in bfloat16:
    in that, the contrast of the pixels as they are would come out with errors as large as itself.
    """
    from openvino import opset13 as ops

    x = ops.subtract(x, ops.round(ops.reduce_mean(x, np.array([1, 2, 3]), True), "half_to_even"))
    both = ops.concat([x, ops.multiply(x, x)], 1)
    both = ops.avg_pool(both, [CELL, CELL], [0, 0], [0, 0], [CELL, CELL], True)
    reach = NEIGHBOURHOOD // 2
    side = [NEIGHBOURHOOD, NEIGHBOURHOOD]
    both = ops.avg_pool(both, [1, 1], [reach, reach], [reach, reach], side, True)
    mean, square = ops.split(both, np.int32(1), 2).outputs()
    spread = ops.maximum(ops.subtract(square, ops.multiply(mean, mean)), ops.constant(np.float32(0)))
    factor = ops.divide(ops.constant(np.float32(1)), ops.add(ops.sqrt(spread), ops.constant(np.float32(FLOOR))))
    both = _enlarged(ops.concat([mean, factor], 1), CELL, "linear_onnx", "half_pixel")
    mean, factor = ops.split(both, np.int32(1), 2).outputs()
    return ops.clamp(ops.multiply(ops.subtract(x, mean), factor), -CLIP, CLIP)


def _doubled(x: Any) -> Any:
    return _enlarged(x, 2, "nearest", "asymmetric")


def _enlarged(x: Any, times: int, mode: str, coordinates: str) -> Any:
    from openvino import opset13 as ops

    return ops.interpolate(
        x,
        np.array([times, times], np.float32),
        mode,
        "scales",
        np.array([0, 0]),
        np.array([0, 0]),
        coordinates,
        nearest_mode="floor",
        axes=np.array([2, 3]),
    )

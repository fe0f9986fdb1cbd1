"""The finder as an OpenVINO graph, straight from a bundle's arrays; its convolutions in 8-bit numbers when asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from crater_ray.engines.openvino_graph import in_bytes, named, weights_in_bytes
from crater_ray.network.finder import CELL, CLIP, FLOOR, NEIGHBOURHOOD, SCORE, VIEW, layer_table, widths_of
from crater_ray.network.second_view import TWICE
from crater_ray.network.stardust import Weights

SUMS = ("up16", "up8")
"""Convolutions whose output is added to finer features; the sums, of both signs, go by these names."""
QUANTIZED = tuple(
    layer.name for layer in layer_table() if layer.name in SUMS or (layer.active and layer.name != "quarter4")
)
"""Activations that become 8-bit numbers. What the maps are made from stays exact: rounding it would reach the score."""
OF_HALF = "/half"
"""Behind the name of an activation: the second view's, whose range is that of the first, as they share what follows."""


def build_finder_graph(
    weights: Weights,
    ranges: Mapping[str, float] | None = None,
    size: tuple[int, int] | None = None,
    *,
    activations: bool = False,
) -> Any:
    """Build the graph of a finder.

    Args:
        weights: by name, as `crater_ray.network.finder.widths_of` takes them.
        ranges: largest value of each activation that becomes an 8-bit number, by its convolution (of a sum, without
            its sign; see `SUMS`); float32 when None.
        size: height and width of the images, multiples of 16 (of 32 with two views), when all have one size: the same
            numbers, sooner.
        activations: also give every activation of `QUANTIZED`, for calibration.

    Returns:
        An `openvino.Model` from (n, height, width) uint8 pixels to `maps` (n, height / 4, width / 4, 4) float32 and,
        with `activations`, each of `QUANTIZED` (n, channels, rows, columns); those of a second view have `OF_HALF`
        behind their names.
    """
    import openvino as ov
    from openvino import opset13 as ops

    layers = {layer.name: layer for layer in layer_table(widths_of(weights))}
    watched: dict[str, Any] = {}

    def watch(name: str, x: Any) -> None:
        """The first time an activation is that of the image, the second time that of its half."""
        if activations and name in QUANTIZED:
            name += OF_HALF if name in watched else ""
            watched[name] = named(ops.result(x), name)

    def joined(name: str, coarse: Any, fine: Any) -> Any:
        """Coarse features, twice as large, added to fine ones; products that take the sum are exact if it is."""
        x = ops.add(_doubled(convolve(name, coarse)), fine)
        if ranges is not None and name in ranges:
            x = in_bytes(x, -ranges[name], ranges[name])
        watch(name, ops.abs(x))
        return x

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
        watch(name, x)
        return x

    def maps_of(x: Any) -> Any:
        x = _contrast(x)
        if ranges is not None:
            x = in_bytes(x, -CLIP, CLIP)
        x = convolve("half1", convolve("stem", x))
        quarter = convolve("quarter2", convolve("quarter1", convolve("down4", x)))
        eighth = convolve("eighth2", convolve("eighth1", convolve("down8", quarter)))
        deep = convolve("sixteenth2", convolve("sixteenth1", convolve("down16", eighth)))
        exact = [ranges is None or name not in ranges for name in SUMS]
        x = convolve("eighth3", joined("up16", deep, eighth), exact[0])
        x = convolve("quarter4", convolve("quarter3", joined("up8", x, quarter), exact[1]))
        maps = ops.transpose(convolve("maps", x, exact=True), np.array([0, 2, 3, 1]))
        return _compared(maps, weights[SCORE]) if SCORE in weights else maps

    images = ops.parameter([-1, *(size or (-1, -1))], np.uint8, "images")
    pixels = ops.unsqueeze(ops.convert(images, np.float32), np.array([1]))
    maps = maps_of(pixels)
    if VIEW in weights:
        maps = _together(maps, maps_of(_means(pixels, ops.shape_of(pixels), 2)), weights[VIEW])
    if SCORE in weights:
        maps = _on_scale(maps, weights[SCORE])
    return ov.Model([named(ops.result(maps), "maps"), *watched.values()], [images], "finder")


def _contrast(x: Any) -> Any:
    """What `crater_ray.network.finder.LocalContrast` does, operation by operation; (n, 1, height, width).

    It is the same for images that are darker by a whole number, and squares of small numbers lose less in bfloat16:
    in that, the contrast of the pixels as they are would come out with errors as large as itself.

    Cells and what lies between them are small matrix products: pooling and interpolation of OpenVINO would take sixteen
    channels for the one that there is, and longer than all convolutions together.
    """
    from openvino import opset13 as ops

    shape = ops.shape_of(x)
    x = ops.subtract(x, ops.round(ops.reduce_mean(x, np.array([1, 2, 3]), True), "half_to_even"))
    both = ops.concat([_means(x, shape, CELL), _means(ops.multiply(x, x), shape, CELL)], 1)
    reach = NEIGHBOURHOOD // 2
    side = [NEIGHBOURHOOD, NEIGHBOURHOOD]
    both = ops.avg_pool(both, [1, 1], [reach, reach], [reach, reach], side, True)
    mean, square = ops.split(both, np.int32(1), 2).outputs()
    spread = ops.maximum(ops.subtract(square, ops.multiply(mean, mean)), ops.constant(np.float32(0)))
    factor = ops.divide(ops.constant(np.float32(1)), ops.add(ops.sqrt(spread), ops.constant(np.float32(FLOOR))))
    mean, factor = _between_cells(mean, shape), _between_cells(factor, shape)
    return ops.clamp(ops.multiply(ops.subtract(x, mean), factor), -CLIP, CLIP)


def _means(x: Any, shape: Any, side: int) -> Any:
    """The mean of each cell of so many px: (n, 1, height, width) to (n, 1, height / side, width / side)."""
    from openvino import opset13 as ops

    columns = ops.reshape(x, np.array([0, -1, side]), True)
    columns = ops.matmul(columns, ops.constant(np.full((side, 1), 1 / side, np.float32)), False, False)
    cells = ops.divide(ops.gather(shape, np.array([0, 2, 1, 3]), np.int64(0)), np.array([1, side, 1, side]))
    apart = ops.multiply(cells, np.array([1, 1, side, 1]))
    rows = ops.reduce_mean(ops.reshape(columns, apart, False), np.array([2]))
    return ops.unsqueeze(rows, np.array([1]))


def _between_cells(cells: Any, shape: Any) -> Any:
    """Linear interpolation between the middles of cells, (n, 1, rows, columns), to the size of the images."""
    from openvino import opset13 as ops

    # Each of the CELL pixels of a cell lies between the middles of two of three cells.
    offset = (np.arange(CELL) + 0.5) / CELL - 0.5
    weight = np.stack([np.maximum(-offset, 0), 1 - np.abs(offset), np.maximum(offset, 0)], 1).astype(np.float32)
    three = ((0, -2), (1, -1), (2, np.iinfo(np.int64).max))

    def neighbours(x: Any, axis: int) -> Any:
        """Each position, that before and that after it, along a new axis behind `axis`."""
        parts = [ops.slice(x, *(np.array([value]) for value in (first, last, 1, axis))) for first, last in three]
        return ops.concat([ops.unsqueeze(part, np.array([axis + 1])) for part in parts], axis + 1)

    border = np.array([0, 0, 1, 1])
    x = ops.pad(cells, border, border, "edge")
    x = ops.matmul(neighbours(x, 3), ops.constant(np.ascontiguousarray(weight.T)), False, False)
    x = ops.reshape(x, np.array([0, 0, 0, -1]), True)
    x = ops.matmul(ops.constant(weight), neighbours(x, 2), False, False)
    return ops.reshape(x, shape, False)


def _compared(maps: Any, score: np.ndarray) -> Any:
    """What `crater_ray.network.finder.compared` does, operation by operation."""
    from openvino import opset13 as ops

    logit, others = ops.variadic_split(maps, np.int32(3), np.array([1, 3])).outputs()
    odds = ops.exp(ops.minimum(logit, ops.constant(np.float32(0))))
    everywhere = ops.log(ops.reduce_mean(odds, np.array([1, 2]), True))
    return ops.concat([ops.subtract(logit, ops.multiply(everywhere, ops.constant(score[0]))), others], 3)


def _on_scale(maps: Any, score: np.ndarray) -> Any:
    """What `crater_ray.network.finder.on_scale` does, operation by operation."""
    from openvino import opset13 as ops

    _, slope, offset, knee, gain = (ops.constant(np.float32(value)) for value in score)
    logit, others = ops.variadic_split(maps, np.int32(3), np.array([1, 3])).outputs()
    logit = ops.add(ops.multiply(logit, slope), offset)
    logit = ops.add(logit, ops.multiply(ops.relu(ops.subtract(logit, knee)), gain))
    return ops.concat([logit, others], 3)


def _together(maps: Any, half: Any, added: np.ndarray) -> Any:
    """What `crater_ray.network.second_view.together` does, operation by operation."""
    from openvino import opset13 as ops

    half = ops.add(half, ops.constant(np.array([added[0], TWICE, 0, 0], np.float32)))
    half = ops.multiply(half, ops.constant(np.array([1, 1, 2, 2], np.float32)))
    for axis, channel in ((2, 2), (1, 3)):
        shift = np.zeros(4, np.float32)
        shift[channel] = 0.5
        half = _interleaved(ops.add(half, ops.constant(shift)), ops.subtract(half, ops.constant(shift)), axis)
    logit, others = ops.variadic_split(maps, np.int32(3), np.array([1, 3])).outputs()
    second, of_half = ops.variadic_split(half, np.int32(3), np.array([1, 3])).outputs()
    apart = ops.abs(ops.subtract(logit, second))
    one = ops.constant(np.float32(1))
    both = ops.add(ops.maximum(logit, second), ops.log(ops.add(one, ops.exp(ops.negative(apart)))))
    return ops.concat([both, ops.select(ops.greater(second, logit), of_half, others)], 3)


def _interleaved(first: Any, second: Any, axis: int) -> Any:
    """The positions of two maps (n, rows, columns, channels) in turns along an axis, 1 or 2."""
    from openvino import opset13 as ops

    behind = np.array([axis + 1])
    both = ops.concat([ops.unsqueeze(first, behind), ops.unsqueeze(second, behind)], axis + 1)
    times = np.ones(4, np.int64)
    times[axis] = 2
    return ops.reshape(both, ops.multiply(ops.shape_of(first), ops.constant(times)), False)


def _doubled(x: Any) -> Any:
    from openvino import opset13 as ops

    scales, axes = np.array([2, 2], np.float32), np.array([2, 3])
    none = np.array([0, 0])
    return ops.interpolate(x, scales, "nearest", "scales", none, none, "asymmetric", nearest_mode="floor", axes=axes)

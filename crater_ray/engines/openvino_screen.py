"""The screen through OpenVINO, in 8-bit numbers, with the full network's second look at what it finds suspicious."""

from __future__ import annotations

from typing import Any

import numpy as np

from crater_ray.engines.base import Screened
from crater_ray.engines.dense import logits, sigmoid
from crater_ray.engines.openvino_graph import INPUT, PIXELS, deviation_and_mean, in_bytes, named, weights_in_bytes
from crater_ray.engines.second_look import WindowNetwork
from crater_ray.engines.streams import Streams
from crater_ray.network.bundle import Bundle
from crater_ray.network.screen import (
    BORDER,
    CONVOLUTIONS,
    FEATURES,
    SAMPLE,
    SECOND_LOOK,
    WINDOWS,
    Convolution,
    Screen,
    positions,
)
from crater_ray.network.stardust import DENSE, Weights

QUANTISED = tuple(f"conv{number}" for number in range(1, len(CONVOLUTIONS) + 1))
"""Activations that become 8-bit numbers, as the normalised pixels do."""
SEEN = 1e4
"""A position in a window is so much less suspicious, as a logit, when the next window is chosen."""


class OpenVinoScreen:
    """A screen on the processor.

    Args:
        bundle: the full network, for the second look.
        screen: what to compute, in 8-bit numbers where it has ranges for them; its `size` is the only one it takes.
        threads: processor threads; all when None.
        batch: images in a request; a few together cost a fifth less than one by one.
    """

    def __init__(self, bundle: Bundle, screen: Screen, threads: int | None = None, batch: int = 4) -> None:
        self._screen, self._batch = screen, batch
        of = {"screen": screen.id, "ranges": dict(screen.ranges), "size": [batch, *screen.size]}
        # In bfloat16 what is not 8-bit would cost 3% less, but scores would differ from processor to processor.
        self._streams = Streams(self._graph, of, "f32", threads)
        self._full_weights = bundle.weights
        self._windows = WindowNetwork(bundle, screen.second_look.ranges, threads, batch) if screen.second_look else None

    def _graph(self) -> Any:
        graph = screen_graph(self._screen)
        graph.reshape([self._batch, *self._screen.size])
        return graph

    def look(self, images: np.ndarray) -> Screened:
        n, screen, second = len(images), self._screen, self._screen.second_look
        answers = {"peaks": np.empty((n, FEATURES), np.float32)}
        if second:
            answers["outside"] = np.empty((n, WINDOWS, FEATURES), np.float32)
            answers["corners"] = np.empty((n, WINDOWS, 2), np.int32)
            answers["tones"] = np.empty((n, 2), np.float32)
        self._streams.ask([images], answers, self._batch)
        scores = sigmoid(logits(answers["peaks"], screen.weights))
        if not second or not self._windows:
            return Screened(scores, scores >= np.float32(screen.threshold))
        start, threshold = np.float32(second.start), np.float32(second.threshold)
        passed = np.zeros(n, bool)
        found = np.zeros((n, FEATURES), np.float32)
        rows = np.flatnonzero(scores >= start)
        scores[rows] = 0.0
        for window in range(WINDOWS):
            if not len(rows):
                break
            peaks = self._windows.peaks(images, rows, answers["corners"][rows, window], answers["tones"][rows])
            found[rows] = np.maximum(found[rows], peaks)
            outside = answers["outside"][rows, window]
            said = sigmoid(logits(np.maximum(found[rows], outside), self._full_weights))
            scores[rows] = np.maximum(scores[rows], said)
            passed[rows] = scores[rows] >= threshold
            suspicious = sigmoid(logits(outside, screen.weights)) >= start
            rows = rows[suspicious & ~passed[rows]]
        return Screened(scores, passed)


def screen_graph(screen: Screen, *, activations: bool = False) -> Any:
    """The screen up to the global max-pool as an OpenVINO graph, from (n, height, width) uint8.

    It gives `peaks` (n, 32) and, for a second look, `corners` (n, windows, 2) int32, the row and column of the full
    network's last map at which each window begins, `outside` (n, windows, 32), the peaks beyond that window and those
    before it, and `tones` (n, 2), what a pixel is to be lowered by and then divided by.

    Args:
        screen: what to compute; with `ranges` these activations, and the weights that meet them, are 8-bit numbers.
        activations: also give each activation's largest value, for calibration, and make nothing 8-bit.
    """
    import openvino as ov
    from openvino import opset13 as ops

    ranges = {} if activations else screen.ranges
    images = ops.parameter([-1, -1, -1], np.uint8, "images")
    x = ops.unsqueeze(ops.convert(images, np.float32), np.array([1]))
    mean, spread = _tones(x, screen.size)
    x = ops.clamp(ops.divide(ops.subtract(x, mean), spread), *INPUT["sigma-clip"])
    if ranges:
        x = in_bytes(x, *INPUT["sigma-clip"])
    watched = []
    for number, one in enumerate(CONVOLUTIONS, start=1):
        name = f"conv{number}"
        rounded = bool(ranges) if number == 1 else f"conv{number - 1}" in ranges
        x = (_stem if number == 1 else _convolution)(x, screen.weights, name, one, rounded)
        if activations:
            watched.append(named(ops.result(ops.reduce_max(x, PIXELS, False)), name))
        if name in ranges:
            x = in_bytes(x, 0.0, ranges[name])
        if one.pooled:
            x = ops.max_pool(x, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2]).output(0)
    before, after = BORDER
    inner = [np.array([before, before]), np.array([-after, -after]), np.array([1, 1]), np.array([2, 3])]
    x = ops.slice(x, *inner)
    features = Convolution(FEATURES, side=1)
    x = _convolution(x, screen.weights, "features", features, f"conv{len(CONVOLUTIONS)}" in ranges)
    results = [named(ops.result(ops.reduce_max(x, np.array([2, 3]), False)), "peaks")]
    if screen.second_look and not activations:
        corners, outside = _suspicious(x, screen.weights, *positions(screen.size))
        # Taken again from the pixels: where the ones above are also given out, all pixels are normalised in float32.
        tones = ops.concat(list(_tones(ops.unsqueeze(images, np.array([1])), screen.size)), 1)
        tones = ops.reshape(tones, np.array([0, 2]), True)
        results += [
            named(ops.result(node), name)
            for name, node in (("corners", corners), ("outside", outside), ("tones", tones))
        ]
    return ov.Model([*results, *watched], [images], "screen")


def _suspicious(x: Any, weights: Weights, rows: int, columns: int) -> tuple[Any, Any]:
    """Corners of windows around the positions at which the dense layers see most, and the features' peaks outside."""
    from openvino import opset13 as ops

    said = x
    for number in range(1, len(DENSE) + 2):
        kernel = np.ascontiguousarray(weights[f"dense{number}/kernel"].T[:, :, None, None])
        said = ops.convolution(said, ops.constant(kernel), [1, 1], [0, 0], [0, 0], [1, 1])
        said = ops.add(said, ops.constant(weights[f"dense{number}/bias"].reshape(1, -1, 1, 1)))
        if number <= len(DENSE):
            said = ops.relu(said)
    corners, outside = [], []
    for _ in range(WINDOWS):
        flat = ops.reshape(said, np.array([0, -1]), True)
        best = ops.topk(flat, np.int32(1), 1, "max", "index", "i32").output(1)
        row = _first(ops.divide(best, np.int32(columns)), rows)
        column = _first(ops.floor_mod(best, np.int32(columns)), columns)
        window = ops.multiply(_within(row, rows, [0, 1, rows, 1]), _within(column, columns, [0, 1, 1, columns]))
        said = ops.subtract(said, ops.multiply(window, np.float32(SEEN)))
        x = ops.multiply(x, ops.subtract(np.float32(1.0), window))
        corners.append(ops.unsqueeze(ops.concat([row, column], 1), np.array([1])))
        outside.append(ops.unsqueeze(ops.reduce_max(x, np.array([2, 3]), False), np.array([1])))
    return ops.concat(corners, 1), ops.concat(outside, 1)


def _first(index: Any, length: int) -> Any:
    """Where the window around a row or column begins; it lies within the map."""
    from openvino import opset13 as ops

    first = ops.subtract(index, np.int32(SECOND_LOOK // 2))
    return ops.minimum(ops.maximum(first, np.int32(0)), np.int32(length - SECOND_LOOK))


def _within(first: Any, length: int, shape: list[int]) -> Any:
    """One for the rows or columns of the window that begins at `first` (n, 1), zero for the others."""
    from openvino import opset13 as ops

    after = ops.subtract(ops.constant(np.arange(length, dtype=np.int32)[None]), first)
    inside = ops.logical_and(ops.greater_equal(after, np.int32(0)), ops.less(after, np.int32(SECOND_LOOK)))
    return ops.reshape(ops.convert(inside, np.float32), np.array(shape), True)


def _stem(x: Any, weights: Weights, name: str, one: Convolution, rounded: bool) -> Any:
    """The first convolution, over a map whose channels are the pixels of a step in a row: the same numbers.

    The processor's 8-bit instructions add up four products each, along channels; of one channel three would be idle.
    """
    from openvino import opset13 as ops

    step = one.step
    kernel = weights[f"{name}/kernel"].reshape(one.side, one.side // step, step, one.filters).transpose(3, 2, 0, 1)
    x = ops.reshape(ops.squeeze(x, np.array([1])), np.array([0, 0, -1, step]), True)
    x = ops.transpose(x, np.array([0, 3, 1, 2]))
    _, after = one.padding
    return _activated(x, weights, name, kernel, [step, 1], [0, 0], [after, after // step], rounded)


def _convolution(x: Any, weights: Weights, name: str, one: Convolution, rounded: bool) -> Any:
    kernel = weights[f"{name}/kernel"].transpose(3, 2, 0, 1)
    before, after = one.padding
    return _activated(x, weights, name, kernel, [one.step] * 2, [before] * 2, [after] * 2, rounded)


def _activated(
    x: Any,
    weights: Weights,
    name: str,
    kernel: np.ndarray,
    step: list[int],
    before: list[int],
    after: list[int],
    rounded: bool,
) -> Any:
    """A convolution of kernel (out, in, rows, columns) with its bias, behind ReLU."""
    from openvino import opset13 as ops

    kernel = np.ascontiguousarray(kernel)
    constant = weights_in_bytes(kernel) if rounded else ops.constant(kernel)
    x = ops.convolution(x, constant, step, before, after, [1, 1])
    return ops.relu(ops.add(x, ops.constant(weights[f"{name}/bias"].reshape(1, -1, 1, 1))))


def _tones(x: Any, size: tuple[int, int]) -> tuple[Any, Any]:
    """What pixels (n, 1, height, width) of any kind are lowered by and divided by: float32 (n, 1, 1, 1) each.

    As in `crater_ray.engines.keras_screen`.
    """
    from openvino import opset13 as ops

    # Gathered row by row, then column by column: a slice in steps takes OpenVINO four times as long.
    some = x
    for axis, length in zip((2, 3), size, strict=True):
        some = ops.gather(some, np.arange(0, length, SAMPLE), np.int32(axis))
    some = ops.convert(some, np.float32)
    deviation, mean = deviation_and_mean(some, PIXELS)
    return mean, ops.maximum(ops.multiply(deviation, np.float32(3.0)), np.float32(1.0))

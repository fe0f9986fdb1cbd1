"""The network on Intel and AMD processors through OpenVINO: 8-bit integers, bfloat16 or float32."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from crater_ray.engines.base import Kind
from crater_ray.engines.dense import logits, sigmoid
from crater_ray.engines.openvino_finder import QUANTIZED, build_finder_graph
from crater_ray.engines.openvino_graph import QUANTISED, Ranges, build_graph
from crater_ray.engines.processor import computes_in_bfloat16
from crater_ray.engines.streams import Streams
from crater_ray.errors import UsageError
from crater_ray.network.bundle import Bundle
from crater_ray.network.evidence import Answer, Evidence, Maps
from crater_ray.network.finder import OUTPUTS, STRIDE, filled_up
from crater_ray.network.stardust import TILE, feature_size

WORTH_A_GRAPH = 16
"""So many images of one size in a call earn that size its own compiled graph; others share a slower one."""
MAX_GRAPHS = 4


class OpenVinoEngine:
    """Runs a bundle on the processor, one image per stream.

    Args:
        bundle: the network.
        numbers: `int8`, `bf16` or `f32`.
        threads: processor threads; all when None.
        ranges: of the activations, for `int8`; see `crater_ray.engines.calibration.calibrate`.

    Raises:
        UsageError: the ranges are not of this network.
    """

    stage = "full"
    kind: Kind = "cpu"

    def __init__(
        self, bundle: Bundle, numbers: str = "int8", threads: int | None = None, ranges: Ranges | None = None
    ) -> None:
        known = rounded_activations(bundle)
        if numbers == "int8" and (not ranges or not set(ranges) <= set(known)):
            raise UsageError(
                f"The calibration of the bundle {bundle.name!r} must have ranges for some of {', '.join(known)}; "
                f"received: {', '.join(ranges or ['none'])}. Make one with `crater-ray calibrate --bundle DIR --write`."
            )
        self._bundle, self._ranges = bundle, ranges if numbers == "int8" else None
        self._weights = bundle.weights
        # bfloat16 is also how the parts of an 8-bit graph that stay exact would be computed; they must not be.
        # Processors without bfloat16 compute in float32: OpenVINO sees to that, but not under ONEDNN_MAX_CPU_ISA.
        self._numbers = "bf16" if numbers == "bf16" and computes_in_bfloat16() else "f32"
        self._threads = threads
        self._graphs: dict[tuple[int, int, bool], Streams] = {}
        self._compiling = threading.Lock()
        self.device = f"CPU, OpenVINO {numbers}, {threads or os.cpu_count()} threads"

    def score(self, images: np.ndarray) -> Answer:
        if not self._bundle.gives_maps:
            return self._score_pooled(images)
        _, height, width = images.shape
        images = filled_up(images, self._weights)
        maps = np.empty((len(images), images.shape[1] // STRIDE, images.shape[2] // STRIDE, OUTPUTS), np.float32)

        def take(request: Any, number: int) -> None:
            maps[number] = request.get_tensor("maps").data[0]

        self._each(images, take)
        return Maps.of(maps, height, width)

    def _score_pooled(self, images: np.ndarray) -> Evidence:
        n = len(images)
        peaks = np.empty((n, self._weights["dense1/kernel"].shape[0]), np.float32)
        positions = np.empty(peaks.shape, np.int32)

        def take(request: Any, number: int) -> None:
            peaks[number] = request.get_tensor("peaks").data[0]
            positions[number] = request.get_tensor("positions").data[0]

        self._each(images, take)
        return Evidence(sigmoid(logits(peaks, self._weights)), peaks, positions)

    def features(self, images: np.ndarray) -> np.ndarray:
        """The last feature map; see `crater_ray.engines.base.FeatureEngine`."""
        n, height, width = images.shape
        channels = self._weights["dense1/kernel"].shape[0]
        features = np.empty((n, feature_size(height), feature_size(width), channels), np.float32)

        def take(request: Any, number: int) -> None:
            features[number] = request.get_tensor("features").data[0]

        self._each(images, take, unpooled=True)
        return features

    def _each(self, images: np.ndarray, take: Callable[[Any, int], None], unpooled: bool = False) -> None:
        """Run the graph on each image, and hand over its finished request with the image's number."""
        n, height, width = images.shape
        with self._compiling:
            streams = self._streams(n, height, width, unpooled)
        with streams.queue() as queue:
            queue.set_callback(take)
            for number in range(n):
                # Copied into its stream: pixels from Arrow are read-only, which OpenVINO refuses.
                queue.start_async({0: images[number : number + 1]}, number)
            queue.wait_all()

    def _streams(self, n: int, height: int, width: int, unpooled: bool) -> Streams:
        """Streams for images of that size: a graph compiled for it, or the one that takes any size."""
        key = (height, width, unpooled)
        if key in self._graphs:
            return self._graphs[key]
        if (height, width) != TILE and (n < WORTH_A_GRAPH or len(self._graphs) >= MAX_GRAPHS):
            key = (-1, -1, unpooled)
        if key not in self._graphs:
            ranges = dict(self._ranges) if self._ranges is not None else None
            of = {"network": self._bundle.id, "ranges": ranges, "size": key[:2], "unpooled": unpooled}
            self._graphs[key] = Streams(partial(self._graph, *key), of, self._numbers, self._threads)
        return self._graphs[key]

    def _graph(self, height: int, width: int, unpooled: bool) -> Any:
        size = (height, width) if height > 0 else None
        if unpooled:
            graph = build_graph(self._bundle, self._ranges, size, unpooled=True)
        else:
            graph = graph_of(self._bundle, self._ranges, size)
        graph.reshape([1, height, width])
        return graph


def rounded_activations(bundle: Bundle) -> tuple[str, ...]:
    """The activations of the bundle's network that may become 8-bit numbers, by the convolutions that make them."""
    return QUANTIZED if bundle.gives_maps else QUANTISED


def graph_of(
    bundle: Bundle, ranges: Ranges | None = None, size: tuple[int, int] | None = None, *, activations: bool = False
) -> Any:
    """The graph of the bundle's network; see `build_graph` and `build_finder_graph`."""
    if bundle.gives_maps:
        return build_finder_graph(bundle.weights, ranges, size, activations=activations)
    return build_graph(bundle, ranges, size, activations=activations)

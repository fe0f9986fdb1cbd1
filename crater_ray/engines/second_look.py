"""The second look: what the full network finds in a window of an image."""

from __future__ import annotations

from typing import Any

import numpy as np

from crater_ray.engines.openvino_graph import Ranges, window_graph
from crater_ray.engines.streams import Streams
from crater_ray.network.bundle import Bundle
from crater_ray.network.screen import FEATURES, SECOND_LOOK, STEP
from crater_ray.network.stardust import RECEPTIVE_FIELD

SIDE = RECEPTIVE_FIELD + (SECOND_LOOK - 1) * STEP
"""Of a window in pixels."""


class WindowNetwork:
    """The full network on windows, in 8-bit numbers.

    Args:
        bundle: the network.
        ranges: of its activations.
        threads: processor threads; all when None.
        batch: windows in a request.
    """

    def __init__(self, bundle: Bundle, ranges: Ranges, threads: int | None = None, batch: int = 4) -> None:
        self._batch = batch
        self._bundle, self._ranges = bundle, ranges
        of = {"windows": bundle.id, "ranges": dict(ranges), "size": [batch, SIDE]}
        self._streams = Streams(self._graph, of, "f32", threads)

    def _graph(self) -> Any:
        graph = window_graph(self._bundle, self._ranges)
        graph.reshape({"windows": [self._batch, SIDE, SIDE], "tones": [self._batch, 2]})
        return graph

    def peaks(self, images: np.ndarray, rows: np.ndarray, corner: np.ndarray, tones: np.ndarray) -> np.ndarray:
        """The maxima of the last map's features over the window of some images.

        Args:
            images: (n, height, width) uint8.
            rows: (m,) which of them.
            corner: (m, 2) int32, row and column of the last map at which each window begins.
            tones: (m, 2) float32, what pixels are to be lowered by and then divided by.

        Returns:
            (m, 32) float32.
        """
        windows = np.empty((len(rows), SIDE, SIDE), np.uint8)
        for window, number, (top, left) in zip(windows, rows, corner * STEP, strict=True):
            window[:] = images[number, top : top + SIDE, left : left + SIDE]
        peaks = np.empty((len(rows), FEATURES), np.float32)
        self._streams.ask([windows, tones], {"peaks": peaks}, self._batch)
        return peaks

"""A compiled OpenVINO graph that several threads use at the same time, each with requests of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Streams:
    """Queues of requests to one compiled graph; its streams work on those of all queues in turn.

    Args:
        compiled: the graph.
    """

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._free: list[Any] = []

    @contextmanager
    def queue(self) -> Iterator[Any]:
        """A queue that nobody else has. After an error in between it is not used again."""
        import openvino as ov

        try:
            queue = self._free.pop()
        except IndexError:
            queue = ov.AsyncInferQueue(self._compiled)
        yield queue
        self._free.append(queue)

"""A compiled OpenVINO graph that several threads use at the same time, each with requests of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from crater_ray.engines.compiled import compiled


class Streams:
    """Queues of requests to one compiled graph; its streams work on those of all queues in turn.

    Args:
        build: gives the OpenVINO model; not called where it was compiled before and kept.
        of: all that the model depends on, but for the code that builds it; JSON values.
        numbers: `bf16` or `f32`: in what is computed whatever the graph does not say to be 8-bit. What must stay exact
            in an 8-bit graph wants `f32`.
        threads: processor threads; all when None.
    """

    def __init__(
        self, build: Callable[[], Any], of: Mapping[str, Any], numbers: str, threads: int | None = None
    ) -> None:
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": numbers}
        if threads:
            settings["INFERENCE_NUM_THREADS"] = threads
        self._compiled = compiled(build, of, settings)
        _know_numpy()
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

    def ask(self, inputs: Sequence[np.ndarray], answers: Mapping[str, np.ndarray], batch: int) -> None:
        """Have rows answered, so many to a request.

        Args:
            inputs: the graph's inputs in order, (n, ...) each.
            answers: by name of output, (n, ...): what it says of each row is put there.
            batch: rows that the graph takes.
        """
        n = len(inputs[0])

        def take(request: Any, start: int) -> None:
            for name, rows in answers.items():
                rows[start : start + batch] = request.get_tensor(name).data[: n - start]

        with self.queue() as queue:
            queue.set_callback(take)
            for start in range(0, n, batch):
                some = [rows[start : start + batch] for rows in inputs]
                if n - start < batch:
                    some = [np.concatenate([rows, np.repeat(rows[-1:], batch - len(rows), axis=0)]) for rows in some]
                # Copied into its stream: pixels from Arrow are read-only, which OpenVINO refuses.
                queue.start_async(dict(enumerate(some)), start)
            queue.wait_all()


def _know_numpy() -> None:
    """Have OpenVINO look NumPy up now, by one thread: those that do it with their first arrays may wait forever.

    It keeps what it finds behind a lock that one waits for while it holds Python's (seen with OpenVINO 2026.4, where
    nothing had been compiled because the graph had been kept).
    """
    import openvino as ov

    ov.Tensor(np.zeros(1, np.float32))

"""Publishing beside the pipeline: a few threads write parts while the next shards are being scored."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Self

import pyarrow as pa

from crater_ray.runs.part import Footer
from crater_ray.runs.run import Run

THREADS = 4
QUEUE = 16
"""So many parts may wait to be written before no more work is begun."""


class Publisher:
    """Writes parts of a run; leaving the context waits for those under way.

    Args:
        run: the run.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="publish")
        self._writing: set[Future[Footer]] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True)

    def publish(self, shard: int, rows: pa.Table) -> None:
        """Write a shard's rows, soon."""
        self._writing.add(self._pool.submit(self._run.publish, shard, rows))

    @property
    def busy(self) -> bool:
        return bool(self._writing)

    @property
    def full(self) -> bool:
        return len(self._writing) >= QUEUE

    def collect(self, block: bool = False) -> list[Footer]:
        """The parts written since the last call.

        Args:
            block: wait for all that are under way.

        Raises:
            CraterRayError: one could not be written.
        """
        done = wait(self._writing, None if block else 0).done
        self._writing -= done
        return [future.result() for future in done]

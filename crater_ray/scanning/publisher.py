"""Publishing: verdicts on blocks become rows of shards, and a few threads write each complete shard as a part."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Self

import numpy as np

from crater_ray.runs.part import Footer
from crater_ray.scanning.backlog import Backlog
from crater_ray.scanning.loader import Loaded
from crater_ray.scanning.scorer import Scored
from crater_ray.scanning.shard import Block
from crater_ray.scanning.work import Work
from crater_ray.watching.log import at, log, log_refused
from crater_ray.watching.progress import Progress

THREADS = 4
QUEUE = 16
"""So many parts may wait to be written before no more work is begun."""


class Publisher:
    """Gathers verdicts and writes parts; leaving the context waits for those that are being written.

    Args:
        work: the run, and what its rows say of the network.
        backlog: has the shards; is told which are complete and published.
        progress: counts what is settled and published.
    """

    def __init__(self, work: Work, backlog: Backlog, progress: Progress) -> None:
        self._work = work
        self._backlog = backlog
        self._progress = progress
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="publish")
        self._writing: set[Future[Footer]] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True)

    def settle(self, block: Block, loaded: Loaded, scored: Scored | None) -> None:
        """Take the verdicts on a block, unless another copy of it was quicker.

        Args:
            block: the one.
            loaded: what became of each image when it was loaded.
            scored: the scores of those with pixels; None when there are none.
        """
        if not self._backlog.wanted(block):
            return
        new = self._backlog.shard(block).take(block, loaded, scored)
        candidates = 0
        if scored is not None:
            chosen = np.isin(scored.row, new) & (scored.score >= np.float32(self._work.threshold))
            candidates = int(np.count_nonzero(chosen))
        self._progress.settled(Counter(loaded.status[row] for row in new), candidates)
        self._publish_if_complete(block)

    def give_up(self, block: Block, why: str) -> None:
        """Settle a block of one image over which processes died again and again."""
        self._backlog.shard(block).take_crash(block, why)
        self._progress.settled(Counter(unreadable=1))
        self._publish_if_complete(block)

    def _publish_if_complete(self, block: Block) -> None:
        shard = self._backlog.shard(block)
        if shard.complete:
            self._backlog.close(shard)
            rows = shard.rows(self._work.bundle_id)
            log_refused(shard.number, rows)
            self._writing.add(self._pool.submit(self._work.run.publish, shard.number, rows))

    @property
    def busy(self) -> bool:
        return bool(self._writing)

    @property
    def full(self) -> bool:
        return len(self._writing) >= QUEUE

    def note_published(self, block: bool = False) -> None:
        """Count the parts written since the last call.

        Args:
            block: wait for all that are being written.

        Raises:
            CraterRayError: one could not be written.
        """
        done = wait(self._writing, None if block else 0).done
        self._writing -= done
        for footer in [future.result() for future in done]:
            self._progress.published += footer.rows
            self._backlog.published()
            log.info("published with %d rows", footer.rows, extra=at(footer.shard))

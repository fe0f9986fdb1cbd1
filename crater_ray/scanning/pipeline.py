"""The pipeline: an event loop that keeps loaders and scorers busy, block by block, until every shard is published.

The driver only moves references: pixels go from a loader's memory to a scorer's without passing through it. What is
in flight is in `in_flight`; `recovery` says what becomes of what failed, `speculation` what is given a second time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from crater_ray.scanning.backlog import MAX_TRIES, Backlog
from crater_ray.scanning.faults import Fault
from crater_ray.scanning.in_flight import InFlight, Loading, Localizing, Ready, Scoring
from crater_ray.scanning.loader import Loaded
from crater_ray.scanning.pool import Member, ScorerPool
from crater_ray.scanning.publisher import Publisher
from crater_ray.scanning.recovery import Recovery
from crater_ray.scanning.scorer import Scored
from crater_ray.scanning.shard import Block
from crater_ray.scanning.speculation import Speculation
from crater_ray.scanning.tasks import Tasks
from crater_ray.scanning.work import Work
from crater_ray.watching.progress import Progress


class Pipeline:
    """Works off shards. Make one per scan, inside `crater_ray.scanning.cluster.connected`.

    Args:
        work: what to work with.
        shards: numbers of the shards to do.
        progress: counters to keep.
        show: called a few times a second.
    """

    def __init__(self, work: Work, shards: Sequence[int], progress: Progress, show: Callable[[], None]) -> None:
        self._work = work
        self._progress = progress
        self._show = show
        self._tasks = Tasks(work)
        self._pool = ScorerPool(self._tasks.create_scorer)
        self._backlog = Backlog(work.run.manifest, shards, self._pool.quickest)
        self._in_flight = InFlight()
        self._publisher = Publisher(work, self._backlog, progress)
        self._speculation = Speculation(self._backlog, self._in_flight)
        self._recovery = Recovery(self._backlog, self._in_flight, self._pool, self._publisher, progress)

    def execute(self) -> dict[int, str]:
        """Do all shards.

        Returns:
            Why, by number, for the shards that could not be done.

        Raises:
            CraterRayError: going on makes no sense (scorers keep dying, storage is down, no room for parts).
            KeyboardInterrupt: the user stopped it; what was complete has been published.
        """
        with self._publisher:
            try:
                self._loop()
            finally:
                # Loaders are left to end by themselves: they change nothing, and cancelling them while their answer
                # arrives can bring Ray 2.60 down with the whole process.
                self._pool.close()
                self._publisher.note_published(block=True)
        return self._backlog.failed

    def _loop(self) -> None:
        self._pool.refresh()
        while self._start_loading():
            self._start_scoring()
            self._speculate()
            for ref in self._wait():
                if ref in self._in_flight.loading:
                    self._finish_loading(ref)
                elif ref in self._in_flight.scoring:
                    self._finish_scoring(ref)
                elif ref in self._in_flight.localizing:
                    self._finish_localizing(ref)
                elif self._pool.is_starting(ref):
                    self._pool.answered(ref)
            self._publisher.note_published()
            self._recovery.take_back_stuck()
            self._pool.refresh()
            self._update_progress()
        self._publisher.note_published(block=True)
        self._update_progress()

    def _wait(self) -> list[Any]:
        """References that are ready, after waiting a moment for the first."""
        import ray

        refs = [*self._in_flight.refs(), *self._pool.starting()]
        if not refs:
            time.sleep(0.05)
            return []
        ready: list[Any]
        ready, _ = ray.wait(refs, num_returns=1, timeout=0.25, fetch_local=False)
        if ready:  # take along whatever else is ready by now
            ready, _ = ray.wait(refs, num_returns=len(refs), timeout=0, fetch_local=False)
        return ready

    def _start_loading(self) -> bool:
        """Prefetch: keep more blocks loaded than are being scored. False once there is nothing left to wait for."""
        flying = self._in_flight
        processors = self._pool.processors
        prefetch = processors + 2 * max(1, len(self._pool.members))
        while (
            len(flying.loading) < processors
            and len(flying.loading) + len(flying.ready) + len(flying.localizing) < prefetch
        ):
            # When storage is slower than scoring, rows are not piled up.
            block = self._backlog.next(fresh=not self._publisher.full)
            if block is None:
                break
            self._give_loader(block)
        # A second copy that is still in flight when all shards are complete is not waited for.
        return bool(self._publisher.busy or (self._backlog.left and (flying or self._backlog.pending)))

    def _give_loader(self, block: Block) -> None:
        uris, sizes = self._backlog.shard(block).addresses(block)
        summary, pixels = self._tasks.load(uris, sizes, last_try=block.tries == MAX_TRIES - 1)
        self._in_flight.loading[summary] = Loading(block, pixels, time.monotonic())
        block.copies += 1

    def _finish_loading(self, ref: Any) -> None:
        import ray
        from ray.exceptions import RayError

        loading = self._in_flight.loading.pop(ref)
        block = loading.block
        try:
            loaded: Loaded = ray.get(ref)
        except RayError as problem:
            self._recovery.task_failed(block, problem)
            return
        if block.loaded or not self._backlog.wanted(block):  # another copy was quicker
            block.copies -= 1
            return
        if loaded.done > len(block):  # it was cut, and what this copy has is of no use
            self._recovery.failed(block, Fault.LOSS, "another copy of the block ended earlier")
            return
        block.loaded = True
        if loaded.done < len(block):
            self._backlog.put_back(Block(block.shard, block.start + loaded.done, block.stop, block.tries), first=True)
            block.stop = block.start + loaded.done
        self._speculation.note_load(time.monotonic() - loading.since)
        self._progress.bytes_read += loaded.bytes_read
        if loaded.readable:
            self._in_flight.ready.append(Ready(block, loaded, loading.pixels))
        else:
            self._settle(block, loaded, None)

    def _start_scoring(self) -> None:
        queue = self._in_flight.ready
        while queue and (member := self._pool.free(isolated=queue[0].block.crashes > 0)):
            ready = queue.popleft()
            if not self._backlog.wanted(ready.block):
                ready.block.copies -= 1
            elif ready.loaded.node in self._pool.gone:  # a scorer would wait for the pixels for a while, in vain
                self._recovery.failed(ready.block, Fault.LOSS, "the machine that had its pixels is gone")
            else:
                self._give_scorer(member, ready)

    def _give_scorer(self, member: Member, ready: Ready | Scoring) -> None:
        block, loaded, pixels = ready.block, ready.loaded, ready.pixels
        audited = self._backlog.shard(block).audited(block, self._work.run.id) if self._work.screened else None
        ref = member.actor.score.remote(pixels, audited)
        member.give(ref, loaded.readable, isolated=block.crashes > 0)
        self._in_flight.scoring[ref] = Scoring(block, loaded, pixels, member, time.monotonic())

    def _finish_scoring(self, ref: Any) -> None:
        import ray
        from ray.exceptions import RayActorError, RayError

        scoring = self._in_flight.scoring[ref]
        block, member = scoring.block, scoring.member
        at_work = [self._in_flight.scoring[other].block for other in member.at_work()]
        del self._in_flight.scoring[ref]
        try:
            scored: Scored = ray.get(ref)
        except RayActorError as problem:
            self._recovery.scorer_died(ref, scoring, problem, at_work)
            return
        except RayError as problem:
            self._recovery.scorer_failed(ref, scoring, problem)
            return
        member.answered(ref, scored.seconds)
        self._pool.scored(member)
        if scored.unlocalized is not None and self._backlog.wanted(block):
            found = self._tasks.localize(scoring.pixels, scored.unlocalized)
            self._in_flight.localizing[found] = Localizing(block, scoring.loaded, scored, time.monotonic())
        else:
            self._settle(block, scoring.loaded, scored)

    def _finish_localizing(self, ref: Any) -> None:
        import ray
        from ray.exceptions import RayError

        localizing = self._in_flight.localizing.pop(ref)
        try:
            found: np.ndarray = ray.get(ref)
        except RayError as problem:
            self._recovery.task_failed(localizing.block, problem)
            return
        self._settle(localizing.block, localizing.loaded, localizing.scored.with_places(found))

    def _settle(self, block: Block, loaded: Loaded, scored: Scored | None) -> None:
        block.copies -= 1
        self._publisher.settle(block, loaded, scored)

    def _speculate(self) -> None:
        if not self._speculation.due:
            return
        for loading in self._speculation.slow_loads():
            self._give_loader(loading.block)
        while (idle := self._pool.free(idle=True)) and (slowest := self._speculation.slowest_score(idle)):
            slowest.block.copies += 1
            self._give_scorer(idle, slowest)

    def _update_progress(self) -> None:
        now = time.monotonic()
        self._progress.devices = [
            (member.name, min(1.0, member.busy_seconds / max(now - member.started, 1e-9)))
            for member in self._pool.members.values()
        ]
        self._progress.waiting = self._pool.waiting
        self._progress.queue = len(self._in_flight.ready)
        self._show()

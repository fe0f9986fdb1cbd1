"""The pipeline: keeps loaders and scorers busy, block by block, and publishes each shard once it is complete.

The driver only moves references: pixels go from a loader's memory to a scorer's without passing through it.
What fails is told apart: a dead process or node is nobody's fault and its block is done again; an error that
storage or the network reports is retried later, and fails the block's shard after a few tries (`backlog.py`).
When nothing else is left, blocks that a slow machine has are given a second time: whichever copy is first counts.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from crater_ray.engines.base import AT_ONCE
from crater_ray.network.bundle import Bundle
from crater_ray.runs.run import Run
from crater_ray.scanning.backlog import MAX_CRASHES, MAX_TRIES, Backlog
from crater_ray.scanning.cluster import Device
from crater_ray.scanning.faults import Fault, classify, reason
from crater_ray.scanning.in_flight import Loading, Placing, Scoring
from crater_ray.scanning.loader import Loaded, load
from crater_ray.scanning.localization import find_craters
from crater_ray.scanning.pool import Member, ScorerPool
from crater_ray.scanning.publisher import Publisher
from crater_ray.scanning.scorer import Scored, Scorer
from crater_ray.scanning.shard import Block
from crater_ray.storage.access import Access
from crater_ray.watching.log import at, log, log_refused
from crater_ray.watching.progress import Progress

STUCK_SECONDS = 1_800.0
"""A block that has not been loaded or scored for so long is taken from whoever has it."""
SLOW_LOAD_SECONDS = 10.0
"""At the end, a block that has not been loaded for so long, and for much longer than usual, is given a second time."""
SLOW_LOAD_TIMES = 4


@dataclass(frozen=True)
class Work:
    """What a pipeline works with.

    Attributes:
        run: where shards come from and parts go to.
        access: how to reach the images.
        bundle, bundle_id: the network, and how the rows name it.
        engine: name of a resolved engine.
        threshold: from which score an image is a candidate.
        screened: whether the bundle's screen looks first.
    """

    run: Run
    access: Access
    bundle: Bundle
    bundle_id: str
    engine: str
    threshold: float
    screened: bool = False


@dataclass
class Pipeline:
    """Works off shards. Make one per scan, inside `crater_ray.scanning.cluster.connected`.

    Args:
        work: what to work with.
        shards: numbers of the shards to do.
        progress: counters to keep.
        show: called a few times a second.
    """

    work: Work
    shards: Sequence[int]
    progress: Progress
    show: Callable[[], None]
    _loading: dict[Any, Loading] = field(default_factory=dict)
    _loaded: deque[tuple[Block, Loaded, Any]] = field(default_factory=deque)
    _scoring: dict[Any, Scoring] = field(default_factory=dict)
    _placing: dict[Any, Placing] = field(default_factory=dict)
    _load_seconds: float = 0.0

    def execute(self) -> dict[int, str]:
        """Do all shards.

        Returns:
            Why, by number, for the shards that could not be done.

        Raises:
            CraterRayError: going on makes no sense (scorers keep dying, storage is down, no room for parts).
            KeyboardInterrupt: the user stopped it; what was complete has been published.
        """
        import ray

        bundle = ray.put(self.work.bundle)
        scorer = ray.remote(Scorer)

        def create(device: Device) -> Any:
            from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

            # A scorer reserves no processor: it would starve the loaders that feed it.
            options: dict[str, Any] = {"num_cpus": 0, "num_gpus": 1 if device.gpu else 0, "max_restarts": 0}
            options["max_concurrency"] = AT_ONCE
            options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(device.node, soft=False)
            arguments = (
                bundle,
                self.work.engine,
                self.work.threshold,
                device.threads or None,
                self.work.screened,
                not device.gpu,  # a GPU has more to do than to wait for what processors look for
            )
            return scorer.options(**options).remote(*arguments)

        self._load = ray.remote(load).options(num_cpus=1, num_returns=2, max_retries=0)
        self._find_craters = ray.remote(find_craters).options(num_cpus=1, max_retries=0)
        self._weights = ray.put(self.work.bundle.weights)
        self._access = ray.put(self.work.access)
        self._pool = ScorerPool(create)
        self._backlog = Backlog(self.work.run.manifest, self.shards, self._pool.quickest, self._give_up)
        with Publisher(self.work.run) as self._publisher:
            try:
                self._loop()
            finally:
                # Loaders are left to end by themselves: they change nothing, and cancelling them while their answer
                # arrives can bring Ray 2.60 down with the whole process.
                for member in self._pool.members.values():
                    ray.kill(member.actor)
                self._note_published(block=True)
        return self._backlog.failed

    def _loop(self) -> None:
        import ray

        self._pool.refresh()
        while self._start_loading():
            self._start_scoring()
            self._give_twice()
            refs = [*self._loading, *self._scoring, *self._placing, *self._pool.starting()]
            if refs:
                ready, _ = ray.wait(refs, num_returns=1, timeout=0.25, fetch_local=False)
                if ready:  # take along whatever else is ready by now
                    ready, _ = ray.wait(refs, num_returns=len(refs), timeout=0, fetch_local=False)
            else:
                ready = []
                time.sleep(0.05)
            for ref in ready:
                if ref in self._loading:
                    self._finish_loading(ref)
                elif ref in self._scoring:
                    self._finish_scoring(ref)
                elif ref in self._placing:
                    self._finish_placing(ref)
                elif self._pool.is_starting(ref):
                    self._pool.answered(ref)
            self._note_published()
            self._take_back_stuck()
            self._pool.refresh()
            self._report()
        self._note_published(block=True)
        self._report()

    def _start_loading(self) -> bool:
        """Keep loaders ahead of the scorers. False once there is nothing left to wait for."""
        processors = self._pool.processors
        ahead = processors + 2 * max(1, len(self._pool.members))
        while len(self._loading) < processors and len(self._loading) + len(self._loaded) + len(self._placing) < ahead:
            # When storage is slower than scoring, rows are not piled up.
            block = self._backlog.next(fresh=not self._publisher.full)
            if block is None:
                break
            self._give_loader(block)
        under_way = self._loading or self._loaded or self._scoring or self._placing or self._backlog.pending
        # A second copy that is still under way when all shards are complete is not waited for.
        return bool(self._publisher.busy or (self._backlog.left and under_way))

    def _give_loader(self, block: Block) -> None:
        uris, sizes = self._backlog.shard(block).addresses(block)
        summary, pixels = self._load.remote(uris, self._access, block.tries == MAX_TRIES - 1, sizes)
        self._loading[summary] = Loading(block, pixels, time.monotonic())
        block.copies += 1

    def _finish_loading(self, ref: Any) -> None:
        import ray
        from ray.exceptions import RayError

        given = self._loading.pop(ref)
        block = given.block
        try:
            loaded: Loaded = ray.get(ref)
        except RayError as problem:
            block.crashes += classify(problem) is Fault.CRASH
            self._again(block, problem)
            return
        if block.loaded or not self._backlog.wanted(block):  # another copy was quicker
            block.copies -= 1
            return
        if loaded.done > len(block):  # it was cut, and what this copy has is of no use
            self._failed(block, Fault.LOSS, "another copy of the block ended earlier")
            return
        block.loaded = True
        if loaded.done < len(block):
            self._backlog.put_back(Block(block.shard, block.start + loaded.done, block.stop, block.tries), first=True)
            block.stop = block.start + loaded.done
        seconds = time.monotonic() - given.since
        self._load_seconds = (self._load_seconds + seconds) / 2 if self._load_seconds else seconds
        self.progress.bytes_read += loaded.bytes_read
        if loaded.readable:
            self._loaded.append((block, loaded, given.pixels))
        else:
            block.copies -= 1
            self._settle(block, loaded, None)

    def _start_scoring(self) -> None:
        while self._loaded and (member := self._pool.free(suspect=self._loaded[0][0].crashes > 0)):
            block, loaded, pixels = self._loaded.popleft()
            if not self._backlog.wanted(block):
                block.copies -= 1
            elif loaded.node in self._pool.gone:  # a scorer would wait for the pixels for a while, in vain
                self._failed(block, Fault.LOSS, "the machine that had its pixels is gone")
            else:
                self._give_scorer(member, block, loaded, pixels)

    def _give_scorer(self, member: Member, block: Block, loaded: Loaded, pixels: Any) -> None:
        audited = self._backlog.shard(block).audited(block, self.work.run.id) if self.work.screened else None
        ref = member.actor.score.remote(pixels, audited)
        member.give(ref, loaded.readable, block.crashes > 0)
        self._scoring[ref] = Scoring(block, loaded, pixels, member, time.monotonic())

    def _finish_scoring(self, ref: Any) -> None:
        import ray
        from ray.exceptions import RayActorError, RayError

        given = self._scoring[ref]
        block, member = given.block, given.member
        at_work = [self._scoring[other].block for other in member.at_work()]
        del self._scoring[ref]
        try:
            scored: Scored = ray.get(ref)
        except RayActorError as problem:
            # Every batch given to the dead scorer comes here; only what it worked on may be the cause.
            if self._pool.lost(member, " ".join(str(problem).split())[:300]):
                self.progress.retries += 1
                for suspect in at_work:
                    suspect.crashes += 1
            member.answered(ref, None)
            if block.crashes >= MAX_CRASHES:  # an image in it may be the cause
                self._again(block, problem)
            else:  # its pixels are still where the loader put them
                self._loaded.appendleft((block, given.loaded, given.pixels))
            return
        except RayError as problem:
            member.answered(ref, None)
            self._again(block, problem)
            return
        member.answered(ref, scored.seconds)
        self._pool.scored(member)
        if scored.sought is not None and self._backlog.wanted(block):
            found = self._find_craters.remote(given.pixels, scored.sought, self._weights)
            self._placing[found] = Placing(block, given.loaded, scored, scored.sought, time.monotonic())
            return
        block.copies -= 1
        self._settle(block, given.loaded, scored)

    def _finish_placing(self, ref: Any) -> None:
        import ray
        from ray.exceptions import RayError

        given = self._placing.pop(ref)
        try:
            found: np.ndarray = ray.get(ref)
        except RayError as problem:
            given.block.crashes += classify(problem) is Fault.CRASH
            self._again(given.block, problem)
            return
        given.block.copies -= 1
        self._settle(given.block, given.loaded, given.scored.with_places(found))

    def _give_twice(self) -> None:
        """When nothing else is left, blocks that are slow to come are given to others too: the first answer counts."""
        if not self._backlog.all_begun or self._backlog.pending or self._loaded:
            return
        now = time.monotonic()
        patience = max(SLOW_LOAD_SECONDS, SLOW_LOAD_TIMES * self._load_seconds)
        for loading in list(self._loading.values()):
            if now - loading.since > patience and self._alone(loading.block) and not loading.block.loaded:
                self._give_loader(loading.block)
        while idle := self._pool.free(idle=True):
            due = [(s.member.seconds_until(ref), s) for ref, s in self._scoring.items() if self._alone(s.block)]
            seconds, slowest = max(due, key=lambda item: item[0], default=(0.0, None))
            if slowest is None or seconds <= slowest.loaded.readable * (idle.pace or 0.0):
                break
            slowest.block.copies += 1
            self._give_scorer(idle, slowest.block, slowest.loaded, slowest.pixels)

    def _alone(self, block: Block) -> bool:
        return block.copies == 1 and self._backlog.wanted(block)

    def _take_back_stuck(self) -> None:
        """Bound every wait: a loader or scorer that says nothing for `STUCK_SECONDS` is given up."""
        import ray

        now = time.monotonic()
        minutes = STUCK_SECONDS / 60
        for ref, loading in list(self._loading.items()):
            if now - loading.since > STUCK_SECONDS:
                del self._loading[ref]
                ray.cancel(ref, force=True)
                # Storage or a busy cluster is at fault, not the images: never a verdict on them.
                self._failed(loading.block, Fault.ERROR, f"loading its images took more than {minutes:g} minutes")
        for ref, placing in list(self._placing.items()):
            if now - placing.since > STUCK_SECONDS:
                del self._placing[ref]
                ray.cancel(ref, force=True)
                self._failed(placing.block, Fault.ERROR, f"looking for its craters took more than {minutes:g} minutes")
        for scoring in self._scoring.values():
            if now - scoring.since > STUCK_SECONDS and self._pool.lost(
                scoring.member, f"no answer for {minutes:g} minutes"
            ):
                scoring.block.crashes += 1

    def _settle(self, block: Block, loaded: Loaded, scored: Scored | None) -> None:
        if not self._backlog.wanted(block):
            return
        shard = self._backlog.shard(block)
        new = shard.take(block, loaded, scored)
        candidates = 0
        if scored is not None:
            chosen = np.isin(scored.row, new) & (scored.score >= np.float32(self.work.threshold))
            candidates = int(np.count_nonzero(chosen))
        self.progress.settled(Counter(loaded.status[row] for row in new), candidates)
        self._publish_if_complete(block)

    def _give_up(self, block: Block, why: str) -> None:
        self._backlog.shard(block).take_crash(block, why)
        self.progress.settled(Counter(unreadable=1))
        self._publish_if_complete(block)

    def _publish_if_complete(self, block: Block) -> None:
        shard = self._backlog.shard(block)
        if shard.complete:
            self._backlog.close(shard)
            rows = shard.rows(self.work.bundle_id)
            log_refused(shard.number, rows)
            self._publisher.publish(shard.number, rows)

    def _note_published(self, block: bool = False) -> None:
        for footer in self._publisher.collect(block):
            self.progress.published += footer.rows
            self._backlog.published()
            log.info("published with %d rows", footer.rows, extra=at(footer.shard))

    def _again(self, block: Block, problem: Exception) -> None:
        self._failed(block, classify(problem), reason(problem))

    def _failed(self, block: Block, fault: Fault, why: str) -> None:
        """A copy of a block came to nothing; while there is another, nothing is lost."""
        self.progress.retries += 1
        log.warning("images %d to %d: %s: %s", block.start, block.stop - 1, fault.name, why, extra=at(block.shard))
        block.copies -= 1
        if block.copies == 0 and self._backlog.wanted(block):
            self._backlog.again(block, fault, why)

    def _report(self) -> None:
        now = time.monotonic()
        self.progress.devices = [
            (member.name, min(1.0, member.busy_seconds / max(now - member.started, 1e-9)))
            for member in self._pool.members.values()
        ]
        self.progress.queue = len(self._loaded)
        self.show()

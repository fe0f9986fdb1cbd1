"""The pipeline: keeps loaders and scorers busy, block by block, and publishes each shard once it is complete.

The driver only moves references: pixels go from a loader's memory to a scorer's without passing through it.
What fails is told apart: a dead process or node is nobody's fault and its block is done again; an error that
storage or the network reports is retried later, and fails the block's shard after `MAX_TRIES`.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from crater_ray.bundle import Bundle
from crater_ray.cluster import Device
from crater_ray.errors import CraterRayError
from crater_ray.faults import Fault, classify, reason
from crater_ray.loader import BLOCK_IMAGES, Loaded, load
from crater_ray.pool import Member, ScorerPool
from crater_ray.progress import Progress
from crater_ray.publisher import Publisher
from crater_ray.run import Run
from crater_ray.scorer import Scored, Scorer
from crater_ray.shard import Block, ShardWork
from crater_ray.storage import Access

MAX_TRIES = 3
MAX_CRASHES = 3
RETRY_SECONDS = (1.0, 5.0)
MAX_FAILED_SHARDS = 3
"""So many failed shards without a published one between them end the run: storage, not a shard, is at fault."""
STUCK_SECONDS = 1_800.0
"""A block that has not been loaded or scored for so long is taken from whoever has it."""


@dataclass(frozen=True)
class Work:
    """What a pipeline works with.

    Attributes:
        run: where shards come from and parts go to.
        access: how to reach the images.
        bundle, bundle_id: the network, and how the rows name it.
        engine: name of a resolved engine.
        threshold: from which score an image is a candidate.
    """

    run: Run
    access: Access
    bundle: Bundle
    bundle_id: str
    engine: str
    threshold: float


@dataclass
class Pipeline:
    """Works off shards. Make one per scan, inside `crater_ray.cluster.connected`.

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
    failed: dict[int, str] = field(default_factory=dict)
    _waiting: deque[Block] = field(default_factory=deque)
    _delayed: list[tuple[float, int, Block]] = field(default_factory=list)
    _loading: dict[Any, tuple[Block, Any]] = field(default_factory=dict)
    _given: dict[Any, float] = field(default_factory=dict)
    _loaded: deque[tuple[Block, Loaded, Any]] = field(default_factory=deque)
    _scoring: dict[Any, tuple[Block, Loaded, Any, Member]] = field(default_factory=dict)
    _open: dict[int, ShardWork] = field(default_factory=dict)
    _failures_in_a_row: int = 0
    _order: int = 0

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
            options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(device.node, soft=False)
            arguments = (bundle, self.work.engine, self.work.threshold, device.threads or None)
            return scorer.options(**options).remote(*arguments)

        self._load = ray.remote(load).options(num_cpus=1, num_returns=2, max_retries=0)
        self._access = ray.put(self.work.access)
        self._pool = ScorerPool(create)
        self._queue = self._blocks()
        with Publisher(self.work.run) as self._publisher:
            try:
                self._loop()
            finally:
                # Loaders are left to end by themselves: they change nothing, and cancelling them while their answer
                # arrives can bring Ray 2.60 down with the whole process.
                for member in self._pool.members.values():
                    ray.kill(member.actor)
                self._note_published(block=True)
        return self.failed

    def _loop(self) -> None:
        import ray

        self._pool.refresh()
        while self._start_loading():
            self._start_scoring()
            refs = [*self._loading, *self._scoring, *self._pool.starting()]
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
                elif self._pool.is_starting(ref):
                    self._pool.answered(ref)
            self._note_published()
            self._take_back_stuck()
            self._pool.refresh()
            self._report()
        self._note_published(block=True)
        self._report()

    def _blocks(self) -> Iterator[Block]:
        for number in self.shards:
            shard = ShardWork(number, self.work.run.manifest.shard(number))
            self._open[number] = shard
            yield from shard.blocks(BLOCK_IMAGES)

    def _next_block(self) -> Block | None:
        while self._delayed and self._delayed[0][0] <= time.monotonic():
            self._waiting.append(heapq.heappop(self._delayed)[2])
        while self._waiting:
            block = self._waiting.popleft()
            if block.shard not in self.failed:
                return block
        if self._publisher.full:  # storage is slower than scoring: do not pile up rows
            return None
        return next((block for block in self._queue if block.shard not in self.failed), None)

    def _start_loading(self) -> bool:
        """Keep loaders ahead of the scorers. False once there is nothing left to wait for."""
        processors = self._pool.processors
        ahead = processors + 2 * max(1, len(self._pool.members))
        while len(self._loading) < processors and len(self._loading) + len(self._loaded) < ahead:
            block = self._next_block()
            if block is None:
                break
            uris, sizes = self._open[block.shard].addresses(block)
            summary, pixels = self._load.remote(uris, self._access, block.tries == MAX_TRIES - 1, sizes)
            self._loading[summary] = (block, pixels)
            self._given[summary] = time.monotonic()
        return bool(
            self._loading or self._loaded or self._scoring or self._delayed or self._publisher.busy or self._waiting
        )

    def _finish_loading(self, ref: Any) -> None:
        import ray
        from ray.exceptions import RayError

        block, pixels = self._loading.pop(ref)
        del self._given[ref]
        try:
            loaded: Loaded = ray.get(ref)
        except RayError as problem:
            self._again(block, problem)
            return
        if loaded.done < len(block):
            self._waiting.appendleft(Block(block.shard, block.start + loaded.done, block.stop, block.tries))
            block = Block(block.shard, block.start, block.start + loaded.done, block.tries, block.crashes)
        self.progress.bytes_read += loaded.bytes_read
        if loaded.readable:
            self._loaded.append((block, loaded, pixels))
        else:
            self._settle(block, loaded, None)

    def _start_scoring(self) -> None:
        while self._loaded and (member := self._pool.free()):
            block, loaded, pixels = self._loaded.popleft()
            if block.shard in self.failed:
                continue
            member.waiting += 1
            ref = member.actor.score.remote(pixels)
            self._scoring[ref] = (block, loaded, pixels, member)
            self._given[ref] = time.monotonic()

    def _finish_scoring(self, ref: Any) -> None:
        import ray
        from ray.exceptions import RayActorError, RayError

        block, loaded, pixels, member = self._scoring.pop(ref)
        del self._given[ref]
        member.waiting -= 1
        try:
            scored: Scored = ray.get(ref)
        except RayActorError as problem:
            # Every batch given to the dead scorer comes here, oldest first; only that one may be the cause.
            if self._pool.lost(member, " ".join(str(problem).split())[:300]):
                self._again(block, problem)
            else:
                self._loaded.appendleft((block, loaded, pixels))
            return
        except RayError as problem:
            self._again(block, problem)
            return
        member.busy_seconds += scored.seconds
        self._pool.scored()
        self._settle(block, loaded, scored)

    def _take_back_stuck(self) -> None:
        """Bound every wait: a loader or scorer that says nothing for `STUCK_SECONDS` is given up."""
        import ray

        now = time.monotonic()
        for ref in [ref for ref, since in self._given.items() if now - since > STUCK_SECONDS]:
            minutes = STUCK_SECONDS / 60
            if ref in self._loading:
                block, _ = self._loading.pop(ref)
                del self._given[ref]
                ray.cancel(ref, force=True)
                self.progress.retries += 1
                # Storage or a busy cluster is at fault, not the images: never a verdict on them.
                self._failed_try(block, f"loading its images took more than {minutes:g} minutes")
            else:
                *_, member = self._scoring[ref]
                self._given[ref] = now
                self._pool.lost(member, f"no answer for {minutes:g} minutes")

    def _settle(self, block: Block, loaded: Loaded, scored: Scored | None) -> None:
        shard = self._open.get(block.shard)
        if shard is None or block.shard in self.failed:
            return
        shard.take_loaded(block, loaded)
        candidates = 0
        if scored is not None:
            shard.take_scored(block, scored)
            candidates = int(np.count_nonzero(scored.score >= np.float32(self.work.threshold)))
        self.progress.settled(Counter(loaded.status), candidates)
        self._publish_if_complete(shard)

    def _publish_if_complete(self, shard: ShardWork) -> None:
        if shard.complete:
            del self._open[shard.number]
            self._publisher.publish(shard.number, shard.rows(self.work.bundle_id))

    def _note_published(self, block: bool = False) -> None:
        for footer in self._publisher.collect(block):
            self.progress.published += footer.rows
            self._failures_in_a_row = 0

    def _again(self, block: Block, problem: Exception) -> None:
        """Decide what becomes of a block whose loading or scoring did not end well."""
        self.progress.retries += 1
        match classify(problem):
            case Fault.ERROR:
                self._failed_try(block, reason(problem))
            case Fault.CRASH:
                self._crashed(block)
            case Fault.LOSS:
                self._waiting.append(block)

    def _failed_try(self, block: Block, why: str) -> None:
        block.tries += 1
        if block.tries < MAX_TRIES:
            self._order += 1
            due = time.monotonic() + RETRY_SECONDS[block.tries - 1]
            heapq.heappush(self._delayed, (due, self._order, block))
            return
        if block.shard in self.failed:
            return
        self.failed[block.shard] = why
        self._open.pop(block.shard, None)
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= MAX_FAILED_SHARDS:
            raise CraterRayError(f"{self._failures_in_a_row} shards failed in a row; the last one: {why}")

    def _crashed(self, block: Block) -> None:
        block.crashes += 1
        if block.crashes < MAX_CRASHES:
            self._waiting.append(block)
        elif len(block) > 1:  # an image in it may be the cause: halve until it is alone
            middle = (block.start + block.stop) // 2
            for start, stop in ((block.start, middle), (middle, block.stop)):
                self._waiting.append(Block(block.shard, start, stop, block.tries, MAX_CRASHES - 1))
        elif block.shard not in self.failed:
            shard = self._open[block.shard]
            shard.take_crash(block, f"the process that read this image died {block.crashes} times")
            self.progress.settled(Counter(unreadable=1))
            self._publish_if_complete(shard)

    def _report(self) -> None:
        now = time.monotonic()
        self.progress.devices = [
            (member.name, min(1.0, member.busy_seconds / max(now - member.started, 1e-9)))
            for member in self._pool.members.values()
        ]
        self.show()

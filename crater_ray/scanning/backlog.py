"""The backlog: which block of images is next, what becomes of one that failed, and when its shard is complete."""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from crater_ray.errors import CraterRayError
from crater_ray.runs.manifest import Manifest
from crater_ray.scanning.faults import Fault
from crater_ray.scanning.loader import BLOCK_IMAGES
from crater_ray.scanning.shard import Block, ShardWork
from crater_ray.watching.log import at, log

MAX_TRIES = 3
MAX_CRASHES = 3
RETRY_SECONDS = (1.0, 5.0)
MAX_FAILED_SHARDS = 3
"""So many failed shards without a published one between them end the run: storage, not a shard, is at fault."""
BLOCK_SECONDS = 2.0
"""Blocks are made so small that the quickest scorer needs no longer for one: so much is lost when a process dies."""
MIN_BLOCK_IMAGES = 16
"""And never smaller than this, nor other than a multiple of it: engines compute in batches of 8."""


@dataclass
class Backlog:
    """The work that is left.

    Args:
        manifest: the run's.
        shards: numbers of the shards to do.
        pace: gives seconds per image of the quickest scorer; None while that is not known.

    Attributes:
        failed: why, by number, for the shards that could not be done.
        left: shards that are neither complete nor failed.
        all_begun: whether there is no block left that was never begun.
    """

    manifest: Manifest
    shards: Sequence[int]
    pace: Callable[[], float | None]
    failed: dict[int, str] = field(default_factory=dict)
    left: set[int] = field(default_factory=set)
    all_begun: bool = False
    _open: dict[int, ShardWork] = field(default_factory=dict)
    _waiting: deque[Block] = field(default_factory=deque)
    _delayed: list[tuple[float, int, Block]] = field(default_factory=list)
    _failures_in_a_row: int = 0
    _order: int = 0

    def __post_init__(self) -> None:
        self.left = set(self.shards)
        self._fresh = self._blocks()

    def next(self, fresh: bool = True) -> Block | None:
        """The block to load next; None when there is none for now.

        Args:
            fresh: whether it may be one that was never begun.
        """
        while self._delayed and self._delayed[0][0] <= time.monotonic():
            self._waiting.append(heapq.heappop(self._delayed)[2])
        while self._waiting:
            again = self._waiting.popleft()
            if self.wanted(again):
                return again
        if not fresh:
            return None
        block = next((block for block in self._fresh if self.wanted(block)), None)
        self.all_begun = block is None
        return block

    def wanted(self, block: Block) -> bool:
        """Whether the verdicts on a block are still asked for: its shard has not failed, no copy has given them."""
        shard = self._open.get(block.shard)
        return shard is not None and not shard.is_settled(block)

    @property
    def pending(self) -> bool:
        """Whether there are blocks to be done again, now or later."""
        return bool(self._waiting or self._delayed)

    def shard(self, block: Block) -> ShardWork:
        """The shard of a block that is wanted."""
        return self._open[block.shard]

    def close(self, shard: ShardWork) -> None:
        """A shard is complete."""
        del self._open[shard.number]
        self.left.discard(shard.number)

    def published(self) -> None:
        """A part was published: storage works."""
        self._failures_in_a_row = 0

    def put_back(self, block: Block, first: bool = False) -> None:
        """A block, or what is left of one, has to be loaded (again); `first`, before all others."""
        block.loaded = False
        if first:
            self._waiting.appendleft(block)
        else:
            self._waiting.append(block)

    def again(self, block: Block, fault: Fault, why: str) -> str | None:
        """Decide what becomes of a block of which no copy is in flight any more.

        Args:
            block: the one.
            fault: whose fault it was.
            why: for people.

        Returns:
            Why the block's only image is to be given up; None unless processes died over it again and again.

        Raises:
            CraterRayError: too many shards failed.
        """
        match fault:
            case Fault.ERROR:
                self._failed_try(block, why)
            case Fault.CRASH if block.crashes >= MAX_CRASHES and len(block) == 1:
                return f"the process that read this image died {block.crashes} times"
            case Fault.CRASH if block.crashes >= MAX_CRASHES:
                self._halve(block)
            case _:
                self.put_back(block)
        return None

    def _failed_try(self, block: Block, why: str) -> None:
        block.tries += 1
        block.loaded = False
        if block.tries < MAX_TRIES:
            self._order += 1
            due = time.monotonic() + RETRY_SECONDS[block.tries - 1]
            heapq.heappush(self._delayed, (due, self._order, block))
            return
        self.failed[block.shard] = why
        log.error("left out after %d tries: %s", MAX_TRIES, why, extra=at(block.shard))
        self._open.pop(block.shard, None)
        self.left.discard(block.shard)
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= MAX_FAILED_SHARDS:
            raise CraterRayError(f"{self._failures_in_a_row} shards failed in a row; the last one: {why}")

    def _halve(self, block: Block) -> None:
        """An image in the block may be what kills processes: halve it until that one is alone."""
        middle = (block.start + block.stop) // 2
        for start, stop in ((block.start, middle), (middle, block.stop)):
            self.put_back(Block(block.shard, start, stop, block.tries, MAX_CRASHES - 1))

    def _blocks(self) -> Iterator[Block]:
        for number in self.shards:
            shard = ShardWork(number, self.manifest.shard(number))
            self._open[number] = shard
            yield from shard.blocks(self._block_images())

    def _block_images(self) -> int:
        pace = self.pace()
        if not pace:
            return BLOCK_IMAGES
        images = int(BLOCK_SECONDS / pace) // MIN_BLOCK_IMAGES * MIN_BLOCK_IMAGES
        return max(MIN_BLOCK_IMAGES, min(BLOCK_IMAGES, images))

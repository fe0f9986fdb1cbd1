"""Recovery: what becomes of a block whose copy failed, crashed, was lost with its machine, or is stuck.

A dead process or node is nobody's fault: its block is done again. What storage or the network reports is retried later,
and fails the block's shard after a few tries; `crater_ray.scanning.backlog` decides that.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from crater_ray.scanning.backlog import MAX_CRASHES, Backlog
from crater_ray.scanning.faults import Fault, classify, reason
from crater_ray.scanning.in_flight import InFlight, Ready, Scoring
from crater_ray.scanning.pool import ScorerPool
from crater_ray.scanning.publisher import Publisher
from crater_ray.scanning.shard import Block
from crater_ray.watching.log import at, log
from crater_ray.watching.progress import Progress

STUCK_SECONDS = 1_800.0
"""A block that has not been loaded, scored or localised for so long is taken from whoever has it."""


@dataclass
class Recovery:
    """Puts back what failed.

    Args:
        backlog: takes blocks to be done again.
        in_flight: the copies that there are.
        pool: is told of scorers that died.
        publisher: gets the row of an image over which processes die again and again.
        progress: counts what has to be done again.
    """

    backlog: Backlog
    in_flight: InFlight
    pool: ScorerPool
    publisher: Publisher
    progress: Progress

    def failed(self, block: Block, fault: Fault, why: str) -> None:
        """A copy of a block came to nothing; while there is another, nothing is lost."""
        self.progress.retries += 1
        log.warning("images %d to %d: %s: %s", block.start, block.stop - 1, fault.name, why, extra=at(block.shard))
        block.copies -= 1
        if block.copies == 0 and self.backlog.wanted(block):
            given_up = self.backlog.again(block, fault, why)
            if given_up:
                self.publisher.give_up(block, given_up)

    def task_failed(self, block: Block, problem: Exception) -> None:
        """A task that loaded or localised a block ended in an exception; if its process died, the block may be why."""
        block.crashes += classify(problem) is Fault.CRASH
        self.failed(block, classify(problem), reason(problem))

    def scorer_failed(self, ref: Any, scoring: Scoring, problem: Exception) -> None:
        """A scorer answered with an exception, and goes on."""
        scoring.member.answered(ref, None)
        self.failed(scoring.block, classify(problem), reason(problem))

    def scorer_died(self, ref: Any, scoring: Scoring, problem: Exception, at_work: Sequence[Block]) -> None:
        """A scorer's process died.

        Args:
            ref: of one of the batches that it had; each of them comes here.
            scoring: the record of that batch.
            problem: what Ray says.
            at_work: the blocks that it worked on; one of them may be the cause, those that waited are not.
        """
        block = scoring.block
        if self.pool.lost(scoring.member, " ".join(str(problem).split())[:300]):
            self.progress.retries += 1
            for suspect in at_work:
                suspect.crashes += 1
        scoring.member.answered(ref, None)
        if block.crashes >= MAX_CRASHES:  # an image in it may be the cause
            self.failed(block, classify(problem), reason(problem))
        else:  # its pixels are still where the loader put them
            self.in_flight.ready.appendleft(Ready(block, scoring.loaded, scoring.pixels))

    def take_back_stuck(self) -> None:
        """Bound every wait: whoever says nothing for `STUCK_SECONDS` is given up."""
        minutes = STUCK_SECONDS / 60
        # Storage or a busy cluster is at fault, not the images: never a verdict on them.
        for block in _cancel_stuck(self.in_flight.loading):
            self.failed(block, Fault.ERROR, f"loading its images took more than {minutes:g} minutes")
        for block in _cancel_stuck(self.in_flight.localizing):
            self.failed(block, Fault.ERROR, f"looking for its craters took more than {minutes:g} minutes")
        for scoring in self.in_flight.scoring.values():
            if _stuck(scoring) and self.pool.lost(scoring.member, f"no answer for {minutes:g} minutes"):
                scoring.block.crashes += 1


def _stuck(record: Any) -> bool:
    return bool(time.monotonic() - record.since > STUCK_SECONDS)


def _cancel_stuck(records: dict[Any, Any]) -> list[Block]:
    """Cancel the tasks that are stuck and forget their records; gives their blocks."""
    import ray

    blocks = []
    for ref in [ref for ref, record in records.items() if _stuck(record)]:
        blocks.append(records.pop(ref).block)
        ray.cancel(ref, force=True)
    return blocks

"""Speculative execution: at the end of a scan, blocks that are slow to come are given to a second process as well.

The first answer counts, the other is not waited for: one slow or hanging machine does not hold up the whole scan.
Source of the idea: backup tasks of MapReduce (Dean and Ghemawat 2004).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from crater_ray.scanning.backlog import Backlog
from crater_ray.scanning.in_flight import InFlight, Loading, Scoring
from crater_ray.scanning.pool import Member
from crater_ray.scanning.shard import Block

SLOW_LOAD_SECONDS = 10.0
"""A block that has not been loaded for so long, and for much longer than usual, is given a second time."""
SLOW_LOAD_TIMES = 4


@dataclass
class Speculation:
    """Says which blocks are worth a second copy.

    Args:
        backlog: the work that is left.
        in_flight: the copies that there are.
    """

    backlog: Backlog
    in_flight: InFlight
    _load_seconds: float = 0.0

    def note_load(self, seconds: float) -> None:
        """Note how long a block took to load: what is usual is a running mean."""
        self._load_seconds = (self._load_seconds + seconds) / 2 if self._load_seconds else seconds

    @property
    def due(self) -> bool:
        """Whether there is nothing else left to do."""
        return self.backlog.all_begun and not self.backlog.pending and not self.in_flight.ready

    def slow_loads(self) -> list[Loading]:
        """Blocks that should have been loaded by now."""
        now = time.monotonic()
        patience = max(SLOW_LOAD_SECONDS, SLOW_LOAD_TIMES * self._load_seconds)
        return [
            loading
            for loading in self.in_flight.loading.values()
            if now - loading.since > patience and self._single(loading.block) and not loading.block.loaded
        ]

    def slowest_score(self, idle: Member) -> Scoring | None:
        """The block that would be scored last; None when an idle scorer would not be quicker."""
        due = [
            (scoring.member.seconds_until(ref), scoring)
            for ref, scoring in self.in_flight.scoring.items()
            if self._single(scoring.block)
        ]
        seconds, slowest = max(due, key=lambda item: item[0], default=(0.0, None))
        if slowest is None or seconds <= slowest.loaded.readable * (idle.pace or 0.0):
            return None
        return slowest

    def _single(self, block: Block) -> bool:
        return block.copies == 1 and self.backlog.wanted(block)

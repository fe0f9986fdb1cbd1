"""How far a scan is: counters, rates and time left, for whoever shows them."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field

WINDOW_SECONDS = 30.0
SETTLING_SECONDS = 2.0


@dataclass
class Progress:
    """Counters of a scan.

    Attributes:
        total: images of the manifest.
        before: images that earlier sessions had already published.
        done: images settled in this session.
        published: images published in this session.
        candidates, refused: among the images settled in this session.
        reasons: settled images by status.
        retries: blocks that had to be loaded or scored again.
        queue: blocks that are loaded and wait for a scorer.
        devices: name and share of the time spent computing (0..1) of each scorer; name None while it starts.
        waiting: scorers among them whose GPU others on the cluster have.
    """

    total: int
    before: int = 0
    done: int = 0
    published: int = 0
    candidates: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    queue: int = 0
    bytes_read: int = 0
    devices: list[tuple[str | None, float]] = field(default_factory=list)
    waiting: int = 0
    started: float = field(default_factory=time.monotonic)
    first: float | None = None
    _samples: deque[tuple[float, int]] = field(default_factory=deque)

    @property
    def refused(self) -> int:
        return sum(count for status, count in self.reasons.items() if status != "ok")

    def settled(self, statuses: Counter[str], candidates: int = 0) -> None:
        """Count images whose row is known."""
        now = time.monotonic()
        if self.first is None:
            self.first = now
        images = statuses.total()
        self.done += images
        self.reasons.update(statuses)
        self.candidates += candidates
        self._samples.append((now, self.done))
        while self._samples and now - self._samples[0][0] > WINDOW_SECONDS:
            self._samples.popleft()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def per_minute(self) -> float:
        """Images a minute on average, from the scan's start."""
        return 60.0 * self.done / max(self.seconds, 1e-9)

    def per_minute_now(self) -> float:
        """Images a minute over the last half minute."""
        if not self._samples:
            return self.per_minute()
        (start, before), (stop, after) = self._samples[0], self._samples[-1]
        if stop - start < SETTLING_SECONDS:
            return self.per_minute()
        return 60.0 * (after - before) / max(stop - start, 1e-9)

    def seconds_left(self) -> float | None:
        """By the rate of late; None while nothing is known."""
        rate = self.per_minute_now()
        return None if rate <= 0 else 60.0 * (self.total - self.before - self.done) / rate

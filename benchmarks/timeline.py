"""When which images of a scan were settled and published: a scan's own counters, with the clock read at each."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from io import StringIO
from typing import Any
from unittest.mock import patch

from crater_ray.errors import UsageError
from crater_ray.scanning.scan import Outcome, scan
from crater_ray.settings import ScanSettings
from crater_ray.watching.progress import Progress


@dataclass
class Timeline(Progress):
    """A scan's progress that remembers.

    Attributes:
        settles: per settled block: time.monotonic() in s, images settled so far, processor seconds of this process.
    """

    settles: list[tuple[float, int, float]] = field(default_factory=list)

    def settled(self, statuses: Counter[str], candidates: int = 0) -> None:
        super().settled(statuses, candidates)
        self.settles.append((time.monotonic(), self.done, time.process_time()))


@dataclass(frozen=True)
class Observed:
    """A scan that was watched.

    Attributes:
        outcome: what the scan returned.
        timeline: when its blocks were settled.
        published: time.monotonic() when the last part was on storage.
    """

    outcome: Outcome
    timeline: Timeline
    published: float

    def after(self, images: int) -> tuple[int, float]:
        """Images settled after the moment at which `images` were, and the seconds from then to the last published part.

        With `images` = 1 the moment is that of the first settled block: all start-up lies before it.

        Raises:
            UsageError: none was settled later.
        """
        moment, done = next((moment, done) for moment, done, _ in self.timeline.settles if done >= images)
        if done == self.timeline.done:
            raise UsageError(f"A run of {done:,} images is too short to time; give more --images.")
        return self.timeline.done - done, self.published - moment


def observe(settings: ScanSettings, **patches: Any) -> Observed:
    """Run a scan, the real one, and watch it.

    Args:
        settings: the scan's.
        patches: names of `crater_ray.scanning.tasks` to replace for this scan.

    Raises:
        RuntimeError: shards failed.
    """
    from rich.console import Console

    from crater_ray.runs.run import Run

    timelines: list[Timeline] = []
    published: list[float] = []
    publish = Run.publish

    def watch(*arguments: Any, **options: Any) -> Timeline:
        timelines.append(Timeline(*arguments, **options))
        return timelines[-1]

    def note(self: Run, shard: int, rows: Any) -> Any:
        footer = publish(self, shard, rows)
        published.append(time.monotonic())
        return footer

    quiet = Console(file=StringIO())
    replaced = {f"crater_ray.scanning.tasks.{name}": value for name, value in patches.items()}
    with patch("crater_ray.scanning.scan.Progress", watch), patch.object(Run, "publish", note):
        started = [patch(name, value) for name, value in replaced.items()]
        for replacement in started:
            replacement.start()
        try:
            outcome = scan(settings, quiet)
        finally:
            for replacement in started:
                replacement.stop()
    if outcome.failed:
        raise RuntimeError(f"shards failed: {outcome.failed}")
    return Observed(outcome, timelines[0], max(published))

"""The memory of every process of a scan while it runs, by what the processes do."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from crater_ray.errors import UsageError

SAMPLE_SECONDS = 0.2
OTHERS_SHARE = 0.1
"""Of the time, at most so much is spent looking at all others, which costs more than looking at the driver."""
DRIVER, LOADERS, SCORERS, RAY = "driver", "loaders", "scorers", "Ray"
ROLES = (DRIVER, LOADERS, SCORERS, RAY)


@dataclass
class Course:
    """Memory over time.

    Attributes:
        moments: seconds since the driver's start.
        mib: as many MiB.
    """

    moments: list[float] = field(default_factory=list)
    mib: list[float] = field(default_factory=list)

    def note(self, moment: float, mib: float) -> None:
        self.moments.append(moment)
        self.mib.append(mib)

    def between(self, begin: float, end: float) -> list[float]:
        """What was held from `begin` to `end`; the last of all if that is nothing."""
        pairs = zip(self.moments, self.mib, strict=True)
        return [mib for moment, mib in pairs if begin <= moment <= end] or self.mib[-1:]

    def thinned(self, points: int) -> list[tuple[float, float]]:
        step = max(1, len(self.moments) // points)
        pairs = list(zip(self.moments, self.mib, strict=True))
        return [(round(moment, 2), round(mib, 1)) for moment, mib in pairs[::step]]


def watch(process_id: int, courses: dict[str, Course]) -> None:
    """Note the memory of a driver and of all that it started, until it has ended.

    The driver: resident memory. Others: their proportional share of what is resident (PSS), summed over the processes
    of a role, so that the memory that Ray's processes share counts once.
    """
    driver, started, next_look = psutil.Process(process_id), time.monotonic(), 0.0
    while True:
        try:
            if driver.status() == psutil.STATUS_ZOMBIE:
                return
            moment = time.monotonic() - started
            courses[DRIVER].note(moment, driver.memory_info().rss / 2**20)
            if moment >= next_look:
                for role, mib in _others(driver).items():
                    courses[role].note(moment, mib)
                took = time.monotonic() - started - moment
                next_look = moment + took / OTHERS_SHARE
        except psutil.NoSuchProcess:
            return
        time.sleep(SAMPLE_SECONDS)


def _others(driver: psutil.Process) -> dict[str, float]:
    held: defaultdict[str, float] = defaultdict(float, dict.fromkeys(ROLES[1:], 0.0))
    for process in driver.children(recursive=True):
        try:
            name = (process.cmdline() or [""])[0]
            held[_role(name)] += process.memory_full_info().pss / 2**20
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return held


def _role(title: str) -> str:
    """By the title that Ray gives its workers: that of a scorer's class, and the task's of those that load."""
    if not title.startswith("ray::"):
        return RAY
    return SCORERS if "Scorer" in title else LOADERS


def draw(runs: Sequence[tuple[int, dict[str, Course]]], path: Path) -> None:
    """Draw the courses of one or more scans, given with their images, into a PNG.

    Raises:
        UsageError: it cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure((8.5, 3.2 * len(runs)), layout="constrained")
    for axes, (images, courses) in zip(figure.subplots(len(runs), squeeze=False)[:, 0], runs, strict=True):
        for role in ROLES:
            axes.plot(courses[role].moments, courses[role].mib, label=role, linewidth=1.2)
        axes.set(title=f"{images:,} images", xlabel="seconds since the start", ylabel="MiB", ylim=(0, None))
        axes.grid(alpha=0.3)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110, format="png")
    except OSError as problem:
        raise UsageError(f"--plot {str(path)!r} cannot be written: {problem}") from None

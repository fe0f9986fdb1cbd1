"""Metrics: what loaders, scorers and the driver count, exported to Prometheus by the Ray they run on.

Ray serves them on every node (`ray start --metrics-export-port`), with the prefix `ray_`, where `ray[default]` is
installed; elsewhere they go nowhere and cost next to nothing. They are recorded per block, never per image.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from crater_ray.watching.progress import Progress

STAGES = ("fetch", "decode", "score")
SECONDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Upper bounds of a block's seconds in a stage."""
INTERVAL_SECONDS = 2.0


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        kind: `counter`, `gauge` or `histogram`.
        tags: what tells its series apart.
        description: for people.
    """

    kind: str
    tags: tuple[str, ...]
    description: str


METRICS = {
    "crater_ray_images": Metric("counter", ("run", "status"), "Images settled by this scan, by status"),
    "crater_ray_candidates": Metric("counter", ("run",), "Images at or above the threshold"),
    "crater_ray_images_published": Metric("counter", ("run",), "Images whose part has been published"),
    "crater_ray_images_left": Metric("gauge", ("run",), "Images that are not settled yet"),
    "crater_ray_retries": Metric("counter", ("run",), "Blocks that had to be loaded or scored again"),
    "crater_ray_queue": Metric("gauge", ("run",), "Blocks that are loaded and wait for a scorer"),
    "crater_ray_devices": Metric("gauge", ("run", "state"), "Scorers that are ready, and that are starting"),
    "crater_ray_device_busy": Metric("gauge", ("run", "device"), "Share of its time that a device computes, 0 to 1"),
    "crater_ray_bytes": Metric("counter", (), "Bytes read from storage"),
    "crater_ray_stage_seconds": Metric("histogram", ("stage",), "Seconds that a block spent in a stage"),
}


def exported() -> set[str]:
    """The names under which Prometheus sees them."""
    names = set()
    for name, metric in METRICS.items():
        endings = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}[metric.kind]
        names |= {f"ray_{name}{ending}" for ending in endings}
    return names


def note_loaded(bytes_read: int, seconds_fetching: float, seconds_decoding: float) -> None:
    """A block was loaded, in this process."""
    if _in_ray():
        _add("crater_ray_bytes", bytes_read)
        _metric("crater_ray_stage_seconds").observe(seconds_fetching, {"stage": "fetch"})
        _metric("crater_ray_stage_seconds").observe(seconds_decoding, {"stage": "decode"})


def note_scored(seconds: float) -> None:
    """A block was scored, in this process."""
    if _in_ray():
        _metric("crater_ray_stage_seconds").observe(seconds, {"stage": "score"})


@dataclass
class Meter:
    """Exports a scan's counters, every few seconds and at its end.

    Args:
        progress: the counters.
        run_id: of the run.
    """

    progress: Progress
    run_id: str
    _told: Counter[str] = field(default_factory=Counter)
    _busy: set[str] = field(default_factory=set)
    _last: float = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.tell()

    def show(self) -> None:
        """Export what is new, if it is time to."""
        if time.monotonic() - self._last >= INTERVAL_SECONDS:
            self.tell()

    def tell(self) -> None:
        """Export what is new."""
        self._last = time.monotonic()
        if not _in_ray():
            return
        p = self.progress
        for status, count in p.reasons.items():
            self._count("crater_ray_images", count, status=status)
        self._count("crater_ray_candidates", p.candidates)
        self._count("crater_ray_images_published", p.published)
        self._count("crater_ray_retries", p.retries)
        self._set("crater_ray_images_left", p.total - p.before - p.done)
        self._set("crater_ray_queue", p.queue)
        ready = {f"{number}: {name}": busy for number, (name, busy) in enumerate(p.devices) if name is not None}
        self._set("crater_ray_devices", len(ready), state="ready")
        self._set("crater_ray_devices", len(p.devices) - len(ready), state="starting")
        for device in self._busy | set(ready):  # a device that is gone is not busy
            self._set("crater_ray_device_busy", ready.get(device, 0.0), device=device)
        self._busy |= set(ready)

    def _count(self, name: str, total: int, **tags: str) -> None:
        series = name + "".join(tags.values())
        _add(name, total - self._told[series], run=self.run_id, **tags)
        self._told[series] = total

    def _set(self, name: str, value: float, **tags: str) -> None:
        _metric(name).set(value, {"run": self.run_id, **tags})


def _in_ray() -> bool:
    """Whether this process belongs to a Ray; never imports it."""
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def _add(name: str, more: float, **tags: str) -> None:
    if more > 0:
        _metric(name).inc(more, tags)


@cache
def _metric(name: str) -> Any:
    from ray.util import metrics

    metric = METRICS[name]
    if metric.kind == "histogram":
        return metrics.Histogram(name, metric.description, boundaries=list(SECONDS), tag_keys=metric.tags)
    kind = metrics.Counter if metric.kind == "counter" else metrics.Gauge
    return kind(name, metric.description, tag_keys=metric.tags)

"""The scorers of a scan: one actor per device, replaced when they die, added when machines join."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from crater_ray.engines.base import AT_ONCE
from crater_ray.errors import CraterRayError
from crater_ray.scanning.cluster import Device, devices, gone, has_process, processors
from crater_ray.scanning.faults import reason
from crater_ray.watching.log import log

START_SECONDS = 300
"""How long a scorer may take until it answers (network storage, a cold TensorFlow) before it is given up."""
REFRESH_SECONDS = 3
"""How often machines that joined or left are looked for: three short questions to Ray."""
MAX_DEATHS = 5
"""A device whose scorers die so many times without a batch scored in between is left out: more tries would not help."""
QUEUE = AT_ONCE + 1
"""Batches in flight per scorer: while some are computed the next is already there."""


@dataclass
class Member:
    """One scorer.

    Attributes:
        device: where it runs.
        actor: the Ray actor handle.
        started: when it was asked to start, then when it was ready.
        name: what it computes on, once it has answered.
        batches: images of each batch given to it and not yet answered, oldest first.
        pace: seconds per image, of late; None before its first answer.
        busy_seconds: time it has spent computing.
        leaving: it gets no more work.
        isolated: it works on a batch that may kill it, and gets no other meanwhile.
    """

    device: Device
    actor: Any
    started: float
    name: str | None = None
    batches: dict[Any, int] = field(default_factory=dict)
    pace: float | None = None
    busy_seconds: float = 0.0
    leaving: bool = False
    isolated: bool = False
    _turned: float = 0.0

    def takes(self, isolated: bool = False) -> bool:
        """Whether it may be given a batch, or one that may kill it and must be isolated from others."""
        if isolated:
            return not self.batches
        return not self.isolated and len(self.batches) < QUEUE

    def give(self, ref: Any, images: int, isolated: bool = False) -> None:
        """Note that it was given a batch."""
        if not self.batches:
            self._turned = time.monotonic()
        self.batches[ref] = images
        self.isolated = isolated

    def at_work(self) -> list[Any]:
        """The batches that it works on, oldest first."""
        return list(self.batches)[:AT_ONCE]

    def answered(self, ref: Any, seconds: float | None) -> None:
        """Note that a batch came back, computed in so many seconds; None when it failed."""
        images = self.batches.pop(ref)
        self.isolated = False
        since, self._turned = self._turned, time.monotonic()
        if seconds is not None:
            seconds = min(seconds, self._turned - since)  # what was done at the same time counts once
            self.busy_seconds += seconds
            latest = seconds / max(1, images)
            self.pace = latest if self.pace is None else (self.pace + latest) / 2

    def seconds_until(self, ref: Any) -> float:
        """When it will answer a batch, by its pace. One that is late by some time is believed to need as long again."""
        images = 0
        for given, size in self.batches.items():
            images += size
            if given == ref:
                break
        return abs(images * (self.pace or 0.0) - (time.monotonic() - self._turned))


@dataclass
class ScorerPool:
    """Keeps one scorer on every device.

    Args:
        create: makes the actor for a device.

    Attributes:
        members: the scorers by device.
        processors: cores of the whole cluster, for loaders.
        deaths: of each device's scorers since it last scored a batch.
        gone: ids of machines that have left.
        waiting: scorers for whose GPU Ray has to wait: another scan on the cluster has it.
    """

    create: Callable[[Device], Any]
    members: dict[Device, Member] = field(default_factory=dict)
    processors: int = 1
    deaths: Counter[Device] = field(default_factory=Counter)
    gone: set[str] = field(default_factory=set)
    waiting: int = 0
    _listed: list[Device] = field(default_factory=list)
    _starting: dict[Any, Member] = field(default_factory=dict)
    _refreshed: float = 0.0
    _last_words: str = ""

    def refresh(self) -> None:
        """Put a scorer on every device that has none, and let go of those whose device is gone.

        Raises:
            CraterRayError: scorers keep dying, on every device.
        """
        if time.monotonic() - self._refreshed < REFRESH_SECONDS and self.members:
            self._give_up_silent()
            return
        self._refreshed = time.monotonic()
        self.processors = processors()
        self._listed = devices()
        self.gone = gone()
        self._release()
        self._watch_waiting()
        for device in self._listed:
            if device not in self.members and self.deaths[device] < MAX_DEATHS:
                member = Member(device, self.create(device), time.monotonic())
                self.members[device] = member
                self._starting[member.actor.device.remote()] = member
        if self._listed and not self.members:
            raise CraterRayError(
                f"Scorers keep dying: {MAX_DEATHS} in a row on every device without a batch scored. "
                f"The last one said: {self._last_words}"
            )

    def starting(self) -> list[Any]:
        """References that become ready when a scorer does."""
        return list(self._starting)

    def is_starting(self, ref: Any) -> bool:
        return ref in self._starting

    def answered(self, ref: Any) -> None:
        """A scorer that was starting is ready, or has died doing so."""
        import ray
        from ray.exceptions import RayError

        member = self._starting.pop(ref)
        try:
            member.name = ray.get(ref)
            log.info("a scorer is ready on %s: %s", member.device.address, member.name)
            member.started = time.monotonic()
        except RayError as problem:
            cause = getattr(problem, "cause", None)
            if isinstance(cause, CraterRayError):
                raise cause from None
            self.lost(member, reason(problem))

    def free(self, *, isolated: bool = False, idle: bool = False) -> Member | None:
        """The ready scorer with the least to do that takes a batch, if any; of equals the quickest.

        Args:
            isolated: the batch may kill it, and must be the only one that it has.
            idle: it must have nothing to do.
        """
        ready = [
            member
            for member in self.members.values()
            if member.name is not None
            and not member.leaving
            and member.takes(isolated)
            and not (idle and member.batches)
        ]
        return min(ready, key=lambda member: (len(member.batches), member.pace or 0.0), default=None)

    def quickest(self) -> float | None:
        """Seconds per image of the quickest scorer; None before any has answered."""
        return min((member.pace for member in self.members.values() if member.pace is not None), default=None)

    def close(self) -> None:
        """Stop all scorers."""
        import ray

        for member in self.members.values():
            ray.kill(member.actor)

    def scored(self, member: Member) -> None:
        """A scorer has scored a batch: whatever killed scorers of its device before does not do so always."""
        del self.deaths[member.device]

    def lost(self, member: Member, why: str) -> bool:
        """A scorer died; its device, if it is still there, gets a new one at the next refresh.

        Returns:
            Whether this was news.
        """
        if not self._remove(member):
            return False
        log.warning("a scorer on %s was lost: %s", member.device.address, why)
        self.deaths[member.device] += 1
        self._last_words = why
        self._refreshed = 0.0
        return True

    def _remove(self, member: Member) -> bool:
        import ray

        if self.members.get(member.device) is not member:
            return False
        del self.members[member.device]
        for ref in [ref for ref, starting in self._starting.items() if starting is member]:
            del self._starting[ref]
        ray.kill(member.actor)
        return True

    def _release(self) -> None:
        """A machine that went away took its scorers along; a processor is no longer needed once there are GPUs."""
        for member in list(self.members.values()):
            member.leaving = member.device not in self._listed
            if member.leaving and (member.device.node in self.gone or not member.batches):
                self._remove(member)  # what it was given fails now, and is given to others

    def _watch_waiting(self) -> None:
        """A scorer that gets no GPU because others have them all is not at fault: its time to start has not begun."""
        waiting = [member for member in self._starting.values() if member.device.gpu and not has_process(member.actor)]
        for member in waiting:
            member.started = time.monotonic()
        if waiting and not self.waiting:
            log.info("GPUs are in use by others on the cluster: %d scorers wait for theirs", len(waiting))
        self.waiting = len(waiting)

    def _give_up_silent(self) -> None:
        for member in list(self._starting.values()):
            if time.monotonic() - member.started > START_SECONDS:
                what = "GPU" if member.device.gpu else "processor"
                self.lost(member, f"no answer within {START_SECONDS} s; is the {what} in use by another program?")

"""The scorers of a scan: one actor per device, replaced when they die, added when machines join."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from crater_ray.cluster import Device, devices, processors
from crater_ray.errors import CraterRayError
from crater_ray.faults import reason

START_SECONDS = 300
"""How long a scorer may take until it answers (network storage, a cold TensorFlow) before it is given up."""
REFRESH_SECONDS = 10
MAX_DEATHS = 5
"""So many deaths of scorers without a single batch scored in between end the run: more tries would not help."""
QUEUE = 2
"""Batches under way per scorer: while one is computed the next is already there."""


@dataclass
class Member:
    """One scorer.

    Attributes:
        device: where it runs.
        actor: the Ray actor handle.
        started: when it was asked to start, then when it was ready.
        name: what it computes on, once it has answered.
        waiting: batches given to it and not yet answered.
        busy_seconds: time it has spent computing.
    """

    device: Device
    actor: Any
    started: float
    name: str | None = None
    waiting: int = 0
    busy_seconds: float = 0.0


@dataclass
class ScorerPool:
    """Keeps one scorer on every device.

    Args:
        create: makes the actor for a device.

    Attributes:
        members: the scorers by device.
        processors: cores of the whole cluster, for loaders.
        deaths: scorers that died since the last batch was scored.
    """

    create: Callable[[Device], Any]
    members: dict[Device, Member] = field(default_factory=dict)
    processors: int = 1
    deaths: int = 0
    _starting: dict[Any, Member] = field(default_factory=dict)
    _refreshed: float = 0.0

    def refresh(self) -> None:
        """Put a scorer on every device that has none."""
        if time.monotonic() - self._refreshed < REFRESH_SECONDS and self.members:
            self._give_up_silent()
            return
        self._refreshed = time.monotonic()
        self.processors = processors()
        for device in devices():
            if device not in self.members:
                member = Member(device, self.create(device), time.monotonic())
                self.members[device] = member
                self._starting[member.actor.device.remote()] = member

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
            member.started = time.monotonic()
        except RayError as problem:
            cause = getattr(problem, "cause", None)
            if isinstance(cause, CraterRayError):
                raise cause from None
            self.lost(member, reason(problem))

    def free(self) -> Member | None:
        """The ready scorer with the least to do, if any has room."""
        ready = [member for member in self.members.values() if member.name is not None and member.waiting < QUEUE]
        return min(ready, key=lambda member: member.waiting, default=None)

    def scored(self) -> None:
        """A batch was scored: whatever killed scorers before is not general."""
        self.deaths = 0

    def lost(self, member: Member, why: str) -> bool:
        """A scorer died; its device gets a new one at the next refresh.

        Returns:
            Whether this was news.

        Raises:
            CraterRayError: they keep dying.
        """
        import ray

        if self.members.get(member.device) is not member:
            return False
        del self.members[member.device]
        for ref in [ref for ref, starting in self._starting.items() if starting is member]:
            del self._starting[ref]
        ray.kill(member.actor)
        self.deaths += 1
        self._refreshed = 0.0
        if self.deaths >= MAX_DEATHS:
            raise CraterRayError(
                f"Scorers keep dying: {self.deaths} in a row without a batch scored. The last one said: {why}"
            )
        return True

    def _give_up_silent(self) -> None:
        for member in list(self._starting.values()):
            if time.monotonic() - member.started > START_SECONDS:
                what = "GPU" if member.device.gpu else "processor"
                self.lost(member, f"no answer within {START_SECONDS} s; is the {what} in use by another program?")

"""In flight: every copy of a block that is being loaded, waits for a scorer, is being scored or localised."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from crater_ray.scanning.loader import Loaded
from crater_ray.scanning.pool import Member
from crater_ray.scanning.scorer import Scored
from crater_ray.scanning.shard import Block


@dataclass(frozen=True)
class Loading:
    """A copy of a block that a loader has.

    Attributes:
        pixels: reference to where its pixels will be.
        since: when it was given, by `time.monotonic`.
    """

    block: Block
    pixels: Any
    since: float


@dataclass(frozen=True)
class Ready:
    """A copy of a block that is loaded and waits for a scorer."""

    block: Block
    loaded: Loaded
    pixels: Any


@dataclass(frozen=True)
class Scoring:
    """A copy of a block that a scorer has."""

    block: Block
    loaded: Loaded
    pixels: Any
    member: Member
    since: float


@dataclass(frozen=True)
class Localizing:
    """A scored block whose candidates are being localised by another process."""

    block: Block
    loaded: Loaded
    scored: Scored
    since: float


@dataclass
class InFlight:
    """The records of all copies, by the reference that becomes ready when the copy is done.

    Attributes:
        loading, scoring, localizing: by reference.
        ready: oldest first.
    """

    loading: dict[Any, Loading] = field(default_factory=dict)
    ready: deque[Ready] = field(default_factory=deque)
    scoring: dict[Any, Scoring] = field(default_factory=dict)
    localizing: dict[Any, Localizing] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.loading or self.ready or self.scoring or self.localizing)

    def refs(self) -> list[Any]:
        """What to wait for."""
        return [*self.loading, *self.scoring, *self.localizing]

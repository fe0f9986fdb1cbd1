"""Under way: copies of blocks that were given to a loader, to a scorer, or to whoever looks for craters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from crater_ray.scanning.loader import Loaded
from crater_ray.scanning.localization import Sought
from crater_ray.scanning.pool import Member
from crater_ray.scanning.scorer import Scored
from crater_ray.scanning.shard import Block


@dataclass(frozen=True)
class Loading:
    """A copy of a block that was given to a loader."""

    block: Block
    pixels: Any
    since: float


@dataclass(frozen=True)
class Scoring:
    """A copy of a block that was given to a scorer."""

    block: Block
    loaded: Loaded
    pixels: Any
    member: Member
    since: float


@dataclass(frozen=True)
class Placing:
    """A scored block whose candidates' craters are looked for."""

    block: Block
    loaded: Loaded
    scored: Scored
    sought: Sought
    since: float

"""The foil's own craters: to those that people confirmed, how many more there are, and which share was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from crater_ray.completeness.shares import Share
from crater_ray.results.intervals import likely_missed


@dataclass(frozen=True)
class Own:
    """What a run has found, and will have missed, of the craters that are in its images.

    Attributes:
        name: of the class of diameter, px; `all sizes` for all.
        low, high: its bounds; None for all.
        found: craters that people confirmed. Each counts as one that an observer could see.
        missed_fewest, missed, missed_most: of those that an observer could see: between the ends in 95 of 100 cases,
            as likely more as fewer than the middle.
    """

    name: str
    low: float | None
    high: float | None
    found: int
    missed_fewest: int
    missed: int
    missed_most: int

    @property
    def share(self) -> float:
        """Found of those that are there; 0 where none was confirmed."""
        return self._share(self.missed)

    @property
    def lower(self) -> float:
        """The same at the least."""
        return self._share(self.missed_most)

    @property
    def upper(self) -> float:
        """The same at the most."""
        return self._share(self.missed_fewest)

    def _share(self, missed: int) -> float:
        return self.found / (self.found + missed) if self.found else 0.0

    def record(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self) | {"share": self.share, "lower": self.lower, "upper": self.upper}


def own_craters(whole: Share, sizes: Sequence[Share], diameter: np.ndarray) -> list[Own]:
    """Found and missed craters of all sizes, then by size.

    Args:
        whole: share of the visible craters of all sizes that is found.
        sizes: the same by diameter in px.
        diameter: (n,) of the confirmed craters, px; not a number where it is not known. Those outside all classes
            count for the nearest.
    """
    found = [_own("all sizes", None, None, len(diameter), whole)]
    for number, share in enumerate(sizes):
        low = -np.inf if number == 0 or share.low is None else share.low
        high = np.inf if number == len(sizes) - 1 or share.high is None else share.high
        inside = int(((diameter >= low) & (diameter < high)).sum())
        found.append(_own(share.name, share.low, share.high, inside, share))
    return found


def _own(name: str, low: float | None, high: float | None, found: int, share: Share) -> Own:
    return Own(name, low, high, found, *likely_missed(share.efficiency, found))

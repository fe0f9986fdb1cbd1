"""The foil's own craters: to those that people confirmed, how many more there are, and which share was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from crater_ray.completeness.planted import PlantedCraters
from crater_ray.completeness.shares import Share

DRAWS = 5_000
"""Of what may be true, from which intervals are taken."""
LIKE = 0.12
"""Standard deviation of the logarithm of diameters that count as alike."""
ENDS = (0.025, 0.5, 0.975)


@dataclass(frozen=True)
class Own:
    """What a run has found, and will have missed, of the craters in its images that an observer could see.

    Attributes:
        name: of the class of diameter, px; `all sizes` for all.
        low, high: its bounds; None for all.
        confirmed: craters that people confirmed, by the diameter that the network gave them.
        missed_fewest, missed, missed_most: between the ends in 95 of 100 cases, as likely more as fewer than the middle
            one. `missed_most` is None where none of the planted craters was found: there is no limit.
        lower, share, upper: found of those that are there, likewise; None where nobody confirmed a crater that may be
            of the class, by its diameter.
        foil: of this foil alone; empty for all foils.
    """

    name: str
    low: float | None
    high: float | None
    confirmed: int
    missed_fewest: int
    missed: int
    missed_most: int | None
    lower: float | None
    share: float | None
    upper: float | None
    foil: str = ""

    def record(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def own_craters(
    craters: PlantedCraters,
    shares: Sequence[Share],
    diameter: np.ndarray,
    certain: np.ndarray,
    cut: float,
    weight: np.ndarray,
) -> list[Own]:
    """Found and missed craters of all sizes, then by size.

    The network's diameters may put a crater into another class than its own, and some that are confirmed an observer
    would hardly see: planted craters that were found with alike diameters say how many. Of those found, missed ones
    follow: the number found is Poisson's around a mean of which nothing is known (Jeffreys' prior), so that those
    missed are negative binomial, averaged over what is believed of the efficiency.

    Args:
        craters: the planted ones.
        shares: of the visible ones that is found: of all sizes, then by diameter in px.
        diameter: (n,) of what may be craters, px; not a number where it is not known.
        certain: (n,) bool, whether people confirmed it; of the others any share may be craters.
        cut: all from this score on were judged.
        weight: (planted,) how much each planted crater is as a foil's own, in any unit.
    """
    rng = np.random.default_rng(0)
    true, visible = craters.column("diameter"), craters.column("visible").astype(bool)
    alike = _alike(craters, diameter, cut, weight)
    of_unsure = rng.random(DRAWS)
    made = []
    for number, share in enumerate(shares):
        whole = number == 0 or share.low is None or share.high is None
        low, high = (-np.inf, np.inf) if whole else (share.low, share.high)
        inside = np.ones(len(diameter), bool) if whole else (diameter >= low) & (diameter < high)
        # One crater more, alike in every way, counts with the planted ones: there may be few of these.
        chance = (alike @ (visible & (true >= low) & (true < high)) + inside) / (alike.sum(axis=1) + 1)
        found = np.zeros(DRAWS, int)
        for one, sure in zip(chance, certain, strict=True):
            found += rng.random(DRAWS) < (one if sure else one * of_unsure)
        missed = rng.negative_binomial(found + 0.5, rng.choice(share.efficiency.beliefs(), DRAWS).clip(1e-6, 1 - 1e-9))
        some, confirmed = found + missed > 0, int((inside & certain).sum())
        fewest, middle, most = (int(end) for end in _ends(missed))
        least, part, greatest = _shares(found[some], missed[some]) if certain.any() else (None, None, None)
        name, bounds = ("all sizes", (None, None)) if whole else (share.name, (share.low, share.high))
        limit = most if share.found else None
        made.append(Own(name, *bounds, confirmed, fewest, middle, limit, least, part, greatest))
    return made


def _ends(values: np.ndarray) -> tuple[float, float, float]:
    low, middle, high = (float(end) for end in np.quantile(values, ENDS, method="inverted_cdf"))
    return low, middle, high


def _shares(found: np.ndarray, missed: np.ndarray) -> tuple[float, float, float] | tuple[None, None, None]:
    """Ends of the share found of what is there, (n,) each at least one; None where none was found, or next to never."""
    ends = _ends(found / (found + missed)) if len(found) else (0.0, 0.0, 0.0)
    return ends if ends[2] > 0 else (None, None, None)


def _alike(craters: PlantedCraters, diameter: np.ndarray, cut: float, weight: np.ndarray) -> np.ndarray:
    """(n, planted) how alike each planted crater that was found is to each confirmed one, by what the network says."""
    given = craters.found_diameter
    known = craters.found(cut) & np.isfinite(given)
    away = (np.log(np.where(known, given, 1.0)) - np.log(diameter)[:, None]) / LIKE
    alike = np.where(np.isfinite(diameter)[:, None], np.exp(-0.5 * np.square(away)), 1.0) * known
    alike *= weight / weight.mean()
    return np.asarray(alike)

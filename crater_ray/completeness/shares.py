"""Shares: how many of the planted craters are found, by size, by contrast, by foil and so on, with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from crater_ray.completeness.planted import NEAR, PlantedCraters
from crater_ray.results.intervals import Efficiency, likely_found, wilson

DIAMETERS = (3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 40.0)
"""Edges of size classes, px."""
DIAMETERS_NM = (100.0, 150.0, 200.0, 300.0, 400.0, 600.0, 800.0, 1200.0, 2000.0, 4000.0)
CONTRASTS = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, np.inf)
"""Edges of classes of contrast-to-noise."""
TERCILES = ("lowest third", "middle third", "highest third")


@dataclass(frozen=True)
class Share:
    """How many of some planted craters are found.

    Attributes:
        by: what divides them: `all`, `diameter_px`, `diameter_nm`, `contrast_to_noise`, `foil`, `look`, `noise` or
            `blur`. Those of `crater_ray.completeness.matched` are of a foil's own craters, and `planted` and `found`
            of the planted ones of their class.
        low, high: bounds of the class, where it is one of numbers; the upper one is not in it.
        name: of the class, otherwise.
        planted, found: craters.
        share: found, weighted so that every image of the run counts once.
        lower, upper: 95% Wilson interval of the share, on the effective number of craters.
        effective: that number (Kish 1965): fewer than `planted` where they stand for unlike numbers of images.
    """

    by: str
    low: float | None
    high: float | None
    name: str
    planted: int
    found: int
    share: float
    lower: float
    upper: float
    effective: float

    @property
    def efficiency(self) -> Efficiency:
        """The same for an estimate of how many craters there are."""
        return Efficiency(self.share * self.effective if self.planted else 0.0, self.effective)

    def found_of(self, craters: int) -> tuple[int, int]:
        """How many of so many craters of this class are found in 95 of 100 cases, at the fewest and at the most.

        `lower` and `upper` bound the share of very many; of a few, chance alone finds more or fewer.
        """
        return likely_found(self.efficiency, craters)

    def record(self) -> dict[str, Any]:
        """JSON values; not-a-numbers and infinities are None."""
        return {name: _finite(value) for name, value in asdict(self).items()}


def share_of(
    by: str, name: str, craters: PlantedCraters, some: np.ndarray, cut: float, bounds: tuple[float, float] | None = None
) -> Share:
    """The share of some of the craters, (n,) bool, that is found from a score on."""
    found, weight = craters.found(cut)[some], craters.column("weight")[some]
    share = float(np.average(found, weights=weight)) if len(found) else float("nan")
    effective = float(weight.sum() ** 2 / np.square(weight).sum()) if len(found) else 0.0
    lower, upper = wilson(share * effective, effective) if len(found) else (0.0, 1.0)
    low, high = bounds or (None, None)
    return Share(by, low, high, name, len(found), int(found.sum()), share, lower, upper, effective)


def by_number(
    by: str, values: np.ndarray, edges: Sequence[float], craters: PlantedCraters, some: np.ndarray, cut: float
) -> list[Share]:
    """Shares of the classes between these edges that have craters; `values` (n,) tell the class."""
    shares = []
    for low, high in pairwise(edges):
        last = high == edges[-1]
        inside = some & (values >= low) & ((values < high) | (last & (values == high)))
        name = f"{low:g} and more" if np.isinf(high) else f"{low:g}-{high:g}"
        if inside.any():
            shares.append(share_of(by, name, craters, inside, cut, (low, high)))
    return shares


def by_name(by: str, names: np.ndarray, craters: PlantedCraters, some: np.ndarray, cut: float) -> list[Share]:
    """Shares of each of the (n,) names."""
    return [share_of(by, str(name), craters, some & (names == name), cut) for name in np.unique(names[some])]


def by_third(by: str, values: np.ndarray, craters: PlantedCraters, some: np.ndarray, cut: float) -> list[Share]:
    """Shares of the lowest, the middle and the highest third of (n,) values."""
    if not some.any():
        return []
    edges = [-np.inf, *np.quantile(values[some], (1 / 3, 2 / 3)), np.inf]
    return [
        share_of(by, name, craters, some & (values >= low) & (values < high), cut, (low, high))
        for name, low, high in zip(TERCILES, edges[:-1], edges[1:], strict=True)
    ]


def all_shares(craters: PlantedCraters, cut: float) -> dict[str, list[Share]]:
    """Every division of the craters at one score.

    All are of the visible craters, but `every_diameter_px` and `every_diameter_nm`, which are of all, as a foil's own
    craters are.
    """
    visible = craters.column("visible").astype(bool)
    diameter, every = craters.column("diameter"), np.ones(len(craters), bool)
    nm = diameter * craters.pixel_nm
    size = edges_within(DIAMETERS, diameter)
    tables = {
        "all": [
            share_of("all", "visible", craters, visible, cut),
            share_of("all", "not visible", craters, ~visible, cut),
            share_of("all", "all", craters, every, cut),
        ],
        "diameter_px": by_number("diameter_px", diameter, size, craters, visible, cut),
        "every_diameter_px": by_number("diameter_px", diameter, size, craters, every, cut),
        "contrast_to_noise": by_number(
            "contrast_to_noise", craters.column("contrast_to_noise"), CONTRASTS, craters, visible, cut
        ),
        "foil": by_name("foil", craters.column("foil"), craters, visible, cut),
        "look": by_name("look", craters.column("look"), craters, visible, cut),
        "noise": by_third("noise", craters.column("noise"), craters, visible, cut),
        "blur": by_third("blur", craters.column("blur"), craters, visible, cut),
    }
    known = np.isfinite(nm)
    if known.any():
        edges = edges_within(DIAMETERS_NM, nm[known])
        tables["diameter_nm"] = by_number("diameter_nm", nm, edges, craters, visible & known, cut)
        tables["every_diameter_nm"] = by_number("diameter_nm", nm, edges, craters, known, cut)
    return tables


def edges_within(edges: Sequence[float], values: np.ndarray) -> list[float]:
    """Edges that hold all values: the outermost give way where there are smaller or larger ones."""
    inner = [edge for edge in edges if values.min(initial=np.inf) < edge < values.max(initial=-np.inf)]
    below = max((edge for edge in edges if edge <= values.min(initial=np.inf)), default=float(np.floor(values.min())))
    above = min((edge for edge in edges if edge >= values.max(initial=-np.inf)), default=float(np.ceil(values.max())))
    return [below, *inner, above]


@dataclass(frozen=True)
class Place:
    """How well craters that are found are placed and measured.

    Attributes:
        low, high: bounds of diameter, px.
        found: visible craters at or above the run's threshold, wherever the place was; those are the trials.
        near: of these, with a place within 8 px and half a diameter of the crater.
        median_offset: px, of those.
        measured: of those, with a diameter.
        right: of these, within a quarter of the planted diameter.
    """

    low: float
    high: float
    found: int
    near: int
    median_offset: float
    measured: int
    right: int

    def record(self) -> dict[str, Any]:
        """JSON values, with 95% Wilson intervals of the shares."""
        pairs = {"near": (self.near, self.found), "right": (self.right, self.measured)}
        intervals = {f"{name}_interval": list(wilson(*pair)) if pair[1] else None for name, pair in pairs.items()}
        return {name: _finite(value) for name, value in asdict(self).items()} | intervals


def places(craters: PlantedCraters) -> list[Place]:
    """Places and diameters by size, at the run's threshold."""
    diameter = craters.column("diameter")
    raised = craters.column("visible").astype(bool) & (craters.score >= np.float32(craters.threshold))
    near = craters.found(craters.threshold) & (craters.offset <= NEAR + diameter / 2)
    right = np.abs(craters.found_diameter / diameter - 1) <= 0.25
    table = []
    edges = edges_within(DIAMETERS, diameter)
    for low, high in pairwise(edges):
        some = raised & (diameter >= low) & ((diameter < high) | (high == edges[-1]))
        here = some & near
        measured = here & np.isfinite(craters.found_diameter)
        offset = float(np.median(craters.offset[here])) if here.any() else float("nan")
        counts = (int(part.sum()) for part in (measured, measured & right))
        table.append(Place(low, high, int(some.sum()), int(here.sum()), offset, *counts))
    return table


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value

"""The population: how clearly a foil's own craters stand out, told by those confirmed, and how many of such are found.

Planted craters are drawn from a range of strengths; a foil's own may be fainter. Those confirmed are the clearest of
them, so their clearness says what it was before the scan chose (selection as in Loredo 2004, AIP Conf. Proc. 735, 195):
p(ratio measured) = integral of p(measured | ratio) efficiency(ratio) N(ratio) / integral of efficiency(ratio) N(ratio),
with N a normal distribution of the logarithm of the matched filter's ratio.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from crater_ray.completeness.planted import PlantedCraters
from crater_ray.completeness.shares import Share
from crater_ray.planting.patch import LOOKS
from crater_ray.planting.visibility import SEEN
from crater_ray.results.intervals import wilson

LEAST_COMPARED = 50
"""Planted craters, measured as the confirmed ones are, that tell how the measure behaves."""
RATIOS = np.linspace(np.log(0.3), np.log(2000.0), 110)
"""Logarithms of the matched filter's ratio, over which is integrated."""
OFFSETS, OFFSET_SPREAD = np.linspace(-3.0, 1.5, 31), 1.5
"""How much clearer than planted craters of their size, as a logarithm; standard deviation of what is believed before
anything is confirmed."""
SLOPES, SLOPE_SPREAD = np.linspace(-0.5, 0.5, 7), 0.25
"""The same for how that changes with the logarithm of the diameter."""
WIDTHS, WIDTH_SPREAD = np.linspace(-0.6, 0.6, 7), 0.3
"""Logarithm of how much wider than that of planted craters their distribution is, and the same of it."""
MIXTURES = np.linspace(0.0, 1.0, 5)
"""Share of the craters whose look is the first of `LOOKS`; all are believed alike."""
SHIFTS, SHIFT_SPREAD = np.linspace(-0.5, 0.5, 5), 0.25
"""Logarithm of how much easier than planted craters of their ratio they are to find, as they may look otherwise.
On five archives of foreign craters it was between -0.5 and 0.0, and the width between -0.2 and 0.6."""
SIZES = 12
"""Sizes of a class over which is averaged."""


@dataclass(frozen=True)
class Clearness:
    """Found craters and their ratio as pixels tell it.

    Attributes:
        diameter, ratio: (n,) of confirmed ones, px and `crater_ray.planting.visibility.ratio_in_pixels`.
        foil: (n,) of each.
        compared: (m,) rows of the planted craters that were measured likewise.
        compared_diameter, compared_ratio: (m,) as found and measured.
    """

    diameter: np.ndarray
    ratio: np.ndarray
    foil: np.ndarray
    compared: np.ndarray
    compared_diameter: np.ndarray
    compared_ratio: np.ndarray


def clearness_of(measured: pa.Table, craters: PlantedCraters, confirmed: Iterable[tuple[str, str]]) -> Clearness:
    """Found craters among what was measured.

    Args:
        measured: schema `crater_ray.completeness.clearness.SCHEMA`.
        craters: the planted ones.
        confirmed: keys and foils of the craters that people confirmed.
    """
    foil_of = dict(confirmed)
    row_of = {key: row for row, key in enumerate(craters.plan["key"].to_pylist())}
    known = [row for row in measured.to_pylist() if row["ratio"] is not None]
    own = [row for row in known if not row["planted"] and row["key"] in foil_of]
    planted = [row for row in known if row["planted"] and row["key"] in row_of]
    return Clearness(
        np.array([row["diameter"] for row in own], float),
        np.array([row["ratio"] for row in own], float),
        np.array([foil_of[row["key"]] for row in own], object),
        np.array([row_of[row["key"]] for row in planted], int),
        np.array([row["diameter"] for row in planted], float),
        np.array([row["ratio"] for row in planted], float),
    )


class Population:
    """What is believed of a foil's own craters.

    The logarithm of their ratio is normal around that of planted craters of their size on their foil, shifted by an
    offset and a slope over size, with a width of its own; their looks are a mixture, and they may be easier or harder
    to find than planted ones of their ratio. What is believed of these five is computed on a grid.

    Attributes:
        confirmed: how many confirmed craters it was learnt from.
        offset, slope, width: (g,) of the grid.
        belief: (g, MIXTURES x SHIFTS) probabilities.
    """

    def __init__(self, craters: PlantedCraters, seen: Clearness, cut: float) -> None:
        """Learn it.

        Args:
            craters: the planted ones.
            seen: the confirmed ones; all that the run holds from `cut` on.
            cut: the lowest score of a confirmed crater, had there been one.
        """
        self.craters, self.confirmed = craters, len(seen.ratio)
        self.size = np.log(craters.column("diameter"))
        self.ratio = np.log(np.maximum(craters.column("ratio"), np.exp(RATIOS[0])))
        self.weight = craters.column("weight")
        self.middle = float(self.size.mean())
        self._curves = cache(self._curves_from)
        self._learn_planted()
        self._learn_population(seen, cut)

    def _learn_planted(self) -> None:
        """How clear planted craters are to be expected of a size, on a foil; and how far they scatter."""
        powers = self._powers(self.size)
        self.of_size = np.linalg.lstsq(powers, self.ratio, rcond=None)[0]
        left, foils = self.ratio - powers @ self.of_size, self.craters.column("foil")
        self.of_foil = {str(foil): float(left[foils == foil].mean()) for foil in np.unique(foils)}
        self.expected = self._expected(self.size, foils)
        self.spread = float((self.ratio - self.expected).std())

    def _powers(self, size: np.ndarray) -> np.ndarray:
        return np.stack([(size - self.middle) ** power for power in range(3)], axis=-1)

    def _expected(self, size: np.ndarray, foils: np.ndarray) -> np.ndarray:
        expected: np.ndarray = self._powers(size) @ self.of_size + [self.of_foil.get(foil, 0.0) for foil in foils]
        return expected

    def _curves_from(self, cut: float) -> list[np.ndarray]:
        """Efficiency of each look from a score on, as numbers for `efficiency`: the likeliest ones."""
        found, look = self.craters.found(cut), self.craters.column("look")
        return [
            fit_efficiency(self.ratio[look == name], self.size[look == name] - self.middle, found[look == name])
            for name in LOOKS
        ]

    def _efficiencies(self, size: float, cut: float) -> np.ndarray:
        """(RATIOS, MIXTURES x SHIFTS) share found."""
        ratio = RATIOS[:, None] + SHIFTS
        first, second = (efficiency(curve, ratio, size - self.middle) for curve in self._curves(cut))
        mixed: np.ndarray = first[:, None] * MIXTURES[:, None] + second[:, None] * (1 - MIXTURES)[:, None]
        return mixed.reshape(len(RATIOS), -1)

    def _learn_population(self, seen: Clearness, cut: float) -> None:
        offset, slope, width = (one.ravel() for one in np.meshgrid(OFFSETS, SLOPES, WIDTHS, indexing="ij"))
        self.offset, self.slope, self.width = offset, slope, self.spread * np.exp(width)
        logarithm = -0.5 * ((offset / OFFSET_SPREAD) ** 2 + (slope / SLOPE_SPREAD) ** 2 + (width / WIDTH_SPREAD) ** 2)
        belief = logarithm[:, None] - 0.5 * np.tile((SHIFTS / SHIFT_SPREAD) ** 2, len(MIXTURES))
        size, measured = np.log(seen.diameter), np.log(seen.ratio)
        expected = self._expected(size, seen.foil)
        likely = _likelihoods(
            (self.ratio[seen.compared], np.log(seen.compared_diameter) - self.middle, np.log(seen.compared_ratio)),
            (size - self.middle, measured),
        )
        for number in range(len(size)):
            drawn, found = self._drawn(size[number], expected[number]), self._efficiencies(size[number], cut)
            belief += np.log(drawn @ (likely[number][:, None] * found)) - np.log(drawn @ found)
        belief = np.exp(belief - belief.max())
        some = belief.sum(axis=1) > 1e-4 * belief.sum(axis=1).max()  # the rest costs time and changes nothing
        self.belief = belief[some] / belief[some].sum()
        self.offset, self.slope, self.width = self.offset[some], self.slope[some], self.width[some]

    def _drawn(self, size: float, expected: float) -> np.ndarray:
        """(beliefs, RATIOS) how many craters of a size have which ratio; sums are 1."""
        centre = expected + self.offset + self.slope * (size - self.middle)
        drawn: np.ndarray = np.exp(-0.5 * ((RATIOS - centre[:, None]) / self.width[:, None]) ** 2) + 1e-300
        drawn /= drawn.sum(axis=1, keepdims=True)
        return drawn

    def share(self, share: Share, some: np.ndarray, visible: bool, cut: float) -> Share:
        """The share of a foil's own craters that is found, of a class of size.

        Args:
            share: of the same class, of planted craters; its name and bounds stay.
            some: (n,) bool, the planted craters of the class, visible or not.
            visible: of those alone that an observer could see.
            cut: found from this score on.
        """
        ordered = np.flatnonzero(some)[np.argsort(self.size[some], kind="stable")]
        part = np.cumsum(self.weight[ordered]) / self.weight[ordered].sum()
        seen = np.heaviside(RATIOS - np.log(SEEN), 1.0) if visible else np.ones(len(RATIOS))
        found, there = np.zeros(self.belief.shape), np.full(self.belief.shape, 1e-12)
        for row in ordered[np.searchsorted(part, (np.arange(SIZES) + 0.5) / SIZES)]:
            drawn = self._drawn(self.size[row], self.expected[row])
            found += drawn @ (seen[:, None] * self._efficiencies(self.size[row], cut))
            there += (drawn @ seen)[:, None]
        shares = found / there
        mean = float((self.belief * shares).sum())
        # What is believed scatters; and the efficiency is only known from so many planted craters of this clearness.
        variance = float((self.belief * (shares - mean) ** 2).sum()) + mean * (1 - mean) / (1 + self._like(some))
        effective = max(mean * (1 - mean) / max(variance, 1e-12) - 1, 1.0)
        lower, upper = wilson(mean * effective, effective)
        return replace(share, share=mean, lower=lower, upper=upper, effective=effective)

    def _like(self, some: np.ndarray) -> float:
        """How many of some planted craters are as clear as a foil's own: the effective number (Kish 1965)."""
        weight = self.likeness[some]
        return float(weight.sum() ** 2 / np.square(weight).sum())

    @cached_property
    def likeness(self) -> np.ndarray:
        """(n,) how many of a foil's own craters each planted one stands for, by its size and clearness."""
        chance = self.belief.sum(axis=1)
        offset, slope, width = (float(chance @ one) for one in (self.offset, self.slope, self.width))
        away = self.ratio - self.expected
        moved = away - offset - slope * (self.size - self.middle)
        likeness: np.ndarray = self.weight * np.exp(0.5 * ((away / self.spread) ** 2 - (moved / width) ** 2))
        return likeness

    @cached_property
    def clearer(self) -> tuple[float, float, float]:
        """By which factor they are clearer than planted ones of a middle size: median, and 95% interval."""
        order = np.argsort(self.offset, kind="stable")
        chance = np.cumsum(self.belief.sum(axis=1)[order])
        ends = self.offset[order][np.searchsorted(chance, (0.5, 0.025, 0.975)).clip(max=len(order) - 1)]
        middle, low, high = (float(np.exp(end)) for end in ends)
        return middle, low, high

    def record(self) -> dict[str, Any]:
        """JSON values."""
        middle, low, high = self.clearer
        return {"confirmed": self.confirmed, "clearer": middle, "clearer_lower": low, "clearer_upper": high}


def population_of(craters: PlantedCraters, seen: Clearness, cut: float) -> Population | None:
    """What is believed of a foil's own craters; None where none is confirmed, or too few are compared, to tell."""
    usable = len(seen.ratio) > 0 and len(seen.compared) >= LEAST_COMPARED
    return Population(craters, seen, cut) if usable else None


def efficiency(curve: np.ndarray, ratio: np.ndarray, size: np.ndarray | float) -> np.ndarray:
    """The share found of craters with these logarithms of ratio and of diameter: a logistic curve below a ceiling."""
    from scipy.special import expit

    share: np.ndarray = expit(curve[3]) * expit(curve[0] + curve[1] * (ratio - np.log(SEEN)) + curve[2] * size)
    return share


def fit_efficiency(ratio: np.ndarray, size: np.ndarray, found: np.ndarray) -> np.ndarray:
    """(4,) numbers for `efficiency`: the greatest posterior probability, with little known before."""
    from scipy.optimize import minimize

    def against(curve: np.ndarray) -> float:
        share = efficiency(curve, ratio, size).clip(1e-6, 1 - 1e-6)
        before = np.square((curve - (0.0, 4.0, 0.0, 3.0)) / (5.0, 3.0, 1.0, 1.0)).sum() / 2
        return float(before - np.log(np.where(found, share, 1 - share)).sum())

    best: np.ndarray = minimize(against, np.array([0.0, 4.0, 0.0, 3.0])).x
    return best


def _likelihoods(planted: tuple[np.ndarray, ...], own: tuple[np.ndarray, ...]) -> np.ndarray:
    """(n, RATIOS) how likely each measured ratio is, had the crater such a ratio.

    A regression on ratio and size, robust against outliers by weights, and Student's distribution with 4 degrees of
    freedom around it (Lange, Little and Taylor 1989, JASA 84, 881).

    Args:
        planted: (m,) logarithms of ratio, of found diameter, and of measured ratio.
        own: (n,) logarithms of found diameter and of measured ratio.
    """

    def terms(ratio: np.ndarray, size: np.ndarray) -> np.ndarray:
        ratio = ratio - np.log(SEEN)
        return np.stack([np.ones_like(ratio), ratio, size, ratio * size, ratio**2], axis=-1)

    ratio, size, measured = planted
    known, weight, scale = terms(ratio, size), np.ones(len(ratio)), 1.0
    for _ in range(10):
        root = np.sqrt(weight)
        numbers = np.linalg.lstsq(known * root[:, None], measured * root, rcond=None)[0]
        left = measured - known @ numbers
        scale = max(float(np.sqrt((weight * left**2).mean())), 0.05)
        weight = 5 / (4 + (left / scale) ** 2)
    away = [(value - terms(RATIOS, np.full(len(RATIOS), at)) @ numbers) / scale for at, value in zip(*own, strict=True)]
    return np.asarray((1 + np.square(away) / 4) ** -2.5).reshape(-1, len(RATIOS))

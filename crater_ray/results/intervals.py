"""Intervals: of proportions, of counts, and of a rate that is seen with an efficiency that is itself measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Z95 = 1.959963984540054
"""Standard normal quantile of a two-sided 95% interval."""
BELIEFS = 2_000
"""Efficiencies, equally probable, over which is averaged."""


def wilson(hits: float, trials: float, z: float = Z95) -> tuple[float, float]:
    """Interval of a proportion (Wilson 1927, JASA 22, 209): for `hits` of `trials`, lower and upper end in 0..1.

    Both may be fractions: the effective numbers of a weighted sample.
    """
    if trials <= 0:
        return 0.0, 1.0
    share, spread = hits / trials, z * z / trials
    centre = (share + spread / 2.0) / (1.0 + spread)
    half = z / (1.0 + spread) * np.sqrt(share * (1.0 - share) / trials + spread / (4.0 * trials))
    return float(max(0.0, centre - half)), float(min(1.0, centre + half))


def garwood(count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact interval of a Poisson mean (Garwood 1936, Biometrika 28, 437), with equal tails.

    Where nothing was counted, the upper end is one-sided, with the whole confidence: 3.0 at 95%.
    """
    from scipy.stats import chi2

    tail = (1 - confidence) / (2 if count else 1)
    low = float(chi2.ppf(tail, 2 * count)) / 2 if count else 0.0
    return low, float(chi2.ppf(1 - tail, 2 * count + 2)) / 2


@dataclass(frozen=True)
class Efficiency:
    """A share of craters that is found, as measured: `found` of `planted`, or the effective numbers of both."""

    found: float
    planted: float

    @property
    def share(self) -> float:
        """0..1; not a number where none was planted."""
        return self.found / self.planted if self.planted else float("nan")

    def beliefs(self) -> np.ndarray:
        """(BELIEFS,) equally probable efficiencies: quantiles of Beta(found + 1/2, missed + 1/2), by Jeffreys' rule."""
        from scipy.stats import beta

        at = (np.arange(BELIEFS) + 0.5) / BELIEFS
        missed = max(self.planted - self.found, 0.0)
        quantiles: np.ndarray = beta.ppf(at, self.found + 0.5, missed + 0.5)
        return quantiles


def likely_found(efficiency: Efficiency, craters: int, confidence: float = 0.95) -> tuple[int, int]:
    """How many of so many craters are found, at the fewest and at the most: a predictive interval.

    Of a few craters chance finds more or fewer than their share, however well that is known. What is believed of the
    efficiency is that of `Efficiency.beliefs`, so the number found is beta-binomial.

    Args:
        efficiency: as measured.
        craters: whole number from 0.
    """
    from scipy.special import betaln  # scipy.stats has this distribution, but takes a second to import

    a, b = efficiency.found + 0.5, max(efficiency.planted - efficiency.found, 0.0) + 0.5
    found = np.arange(craters + 1)
    ways = -np.log(craters + 1) - betaln(craters - found + 1, found + 1)
    chance = np.cumsum(np.exp(ways + betaln(found + a, craters - found + b) - betaln(a, b)))
    fewest, most = np.searchsorted(chance, [(1 - confidence) / 2, (1 + confidence) / 2])
    return int(fewest), min(int(most), craters)


def rate(
    least: int, most: int, exposure: float, efficiency: Efficiency, confidence: float = 0.95
) -> tuple[float, float]:
    """Interval of a rate: of craters per unit of exposure, when each is found with some efficiency.

    The exact Poisson interval of Garwood, with its probabilities averaged over what is believed of the efficiency
    (Cousins and Highland 1992, NIM A 320, 331). With an efficiency known for certain it is Garwood's, divided.

    Args:
        least: craters counted for certain; they decide the lower end.
        most: these, and those that may be craters; they decide the upper end.
        exposure: such as mm2 of foil; above 0.
        efficiency: as measured.

    Returns:
        Lower and upper end. The upper one is one-sided where none was counted; infinite where none of those that were
        planted was found.
    """
    from scipy.optimize import brentq
    from scipy.stats import poisson

    beliefs = efficiency.beliefs()
    tail = (1 - confidence) / (2 if most else 1)

    def ending(count: int, upper: bool) -> float:
        def beyond(logarithm: float) -> float:
            means = np.exp(logarithm) * beliefs
            chance = poisson.cdf(count, means) if upper else poisson.sf(count - 1, means)
            return float(np.mean(chance)) - tail

        start = np.log(garwood(max(count, 1))[1] / max(efficiency.share, 1e-3))
        return float(np.exp(brentq(beyond, start - 30, start + 30, xtol=1e-6)))

    low = ending(least, upper=False) / exposure if least and efficiency.found > 0 else 0.0
    high = ending(most, upper=True) / exposure if efficiency.found > 0 else float("inf")
    return low, high

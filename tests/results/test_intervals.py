"""Intervals against published values, and their coverage by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from crater_ray.results.intervals import Efficiency, garwood, likely_found, rate, wilson

GARWOOD = {0: (0.0, 2.996), 1: (0.0253, 5.572), 3: (0.6187, 8.767), 10: (4.795, 18.39), 50: (37.11, 65.92)}
"""Of tables of exact 95% limits of a Poisson mean; for 0 the one-sided upper limit, -ln 0.05."""


@pytest.mark.parametrize("count", list(GARWOOD))
def test_exact_poisson_intervals(count: int) -> None:
    assert garwood(count) == pytest.approx(GARWOOD[count], rel=1e-3)


def test_wilson_takes_effective_numbers() -> None:
    assert wilson(18, 27) == pytest.approx((0.478, 0.814), abs=0.001)
    low, high = wilson(9.5, 20.25)
    assert wilson(9, 20)[0] < low < high < wilson(11, 21)[1]
    assert wilson(0, 0) == (0, 1)


@pytest.mark.parametrize("count", [0, 1, 7])
def test_a_known_efficiency_gives_garwoods_interval(count: int) -> None:
    low, high = rate(count, count, 2.0, Efficiency(4e6, 8e6))
    expected = garwood(count)
    assert (low, high) == pytest.approx((expected[0], expected[1]), rel=2e-3)  # / (2 mm2 x 0.5)


def test_what_is_not_known_widens_and_what_is_not_certain_counts_above() -> None:
    sure, unsure = rate(3, 3, 1.0, Efficiency(800, 1000)), rate(3, 3, 1.0, Efficiency(8, 10))
    assert sure[1] < unsure[1]
    assert unsure[1] - unsure[0] > 1.1 * (sure[1] - sure[0])
    assert rate(3, 5, 1.0, Efficiency(800, 1000))[1] == pytest.approx(rate(5, 5, 1.0, Efficiency(800, 1000))[1])
    assert rate(0, 2, 1.0, Efficiency(800, 1000))[0] == 0
    assert rate(0, 0, 1.0, Efficiency(0, 50)) == (0.0, float("inf"))


@pytest.mark.slow
@pytest.mark.parametrize(("mean", "efficiency", "planted"), [(2.0, 0.3, 30), (6.0, 0.8, 40), (25.0, 0.5, 100)])
def test_limits_cover_the_truth(mean: float, efficiency: float, planted: int) -> None:
    """In 400 experiments, each with an efficiency measured anew, intervals cover in 95% or more, within chance."""
    rng = np.random.default_rng(1)
    inside = above = 0
    cache: dict[tuple[int, int], tuple[float, float]] = {}
    for _ in range(400):
        measured, count = int(rng.binomial(planted, efficiency)), int(rng.poisson(mean * efficiency))
        if (measured, count) not in cache:
            cache[measured, count] = rate(count, count, 1.0, Efficiency(measured, planted))
        low, high = cache[measured, count]
        inside += low <= mean <= high
        above += mean <= high
    assert inside >= 0.93 * 400
    assert above >= 0.94 * 400


def test_of_few_craters_chance_finds_more_or_fewer() -> None:
    assert likely_found(Efficiency(8e5, 1e6), 10) == (5, 10)  # binomial: 2.5% and 97.5% of 10 at 0.8
    assert likely_found(Efficiency(8, 10), 10)[0] < 5
    assert likely_found(Efficiency(0, 20), 0) == (0, 0)
    rng = np.random.default_rng(2)
    inside = 0
    for _ in range(400):
        low, high = likely_found(Efficiency(float(rng.binomial(60, 0.7)), 60.0), 7)
        inside += low <= rng.binomial(7, 0.7) <= high
    assert inside >= 0.94 * 400

"""Diameters, on simulated craters whose size is known, with places as wrong as a network's."""

from __future__ import annotations

import numpy as np
import pytest

from crater_ray.places.diameter import estimate_diameter
from crater_ray.simulate import simulate_frame


def test_most_diameters_that_are_given_are_within_a_quarter() -> None:
    rng = np.random.default_rng(11)
    given, right = [], []
    for number in range(40):
        frame = simulate_frame(rng, (160, 192), (10.0 + 0.6 * number,))
        crater = frame.craters[0]
        off = rng.normal(0, 3, 2)
        found = estimate_diameter(frame.pixels, crater.x + off[0], crater.y + off[1])
        given.append(found is not None)
        if found is not None:
            right.append(abs(np.log(found / crater.diameter_px)) < np.log(1.25))
    assert np.mean(given) >= 0.7
    assert np.mean(right) >= 0.9


@pytest.mark.parametrize("diameter", [8.0, 13.0, 21.0, 34.0])
@pytest.mark.parametrize("place", [(60.0, 60.0), (22.0, 98.0)])
def test_a_plain_ring(diameter: float, place: tuple[float, float]) -> None:
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:120, :160]
    far = np.hypot(columns - place[0], rows - place[1])
    pixels = 100 + 60 * np.exp(-(((far - diameter / 2) / 1.5) ** 2)) - 50 * (far < diameter / 2 - 2)
    pixels = np.clip(pixels + rng.normal(0, 4, pixels.shape), 0, 255).astype(np.uint8)
    assert estimate_diameter(pixels, place[0] + 5, place[1] - 4) == pytest.approx(diameter, rel=0.2)


def test_nothing_has_no_diameter() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(90, 110, (384, 512), dtype=np.uint8)
    assert [estimate_diameter(noise, x, 200.0) for x in (0.0, 100.0, 511.0)] == [None] * 3
    assert estimate_diameter(np.full((92, 92), 77, np.uint8), 45.5, 45.5) is None

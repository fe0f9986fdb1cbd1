"""Craters read from the finder's maps."""

from __future__ import annotations

import numpy as np

from crater_ray.network.finder import BASE_DIAMETER
from crater_ray.places.centres import find_centres


def maps_with(*craters: tuple[int, int, float, float, float, float]) -> np.ndarray:
    maps = np.zeros((24, 32, 4), np.float32)
    maps[..., 0] = -8.0
    for row, column, logit, diameter, right, down in craters:
        maps[row, column] = logit, np.log(diameter / BASE_DIAMETER), right, down
    return maps


def test_place_and_diameter_of_each_crater_best_first() -> None:
    maps = maps_with((5, 7, 1.0, 6.0, 0.25, -0.5), (15, 20, 3.0, 20.0, 0.0, 0.0))
    found = find_centres(maps, 0.01, 96, 128)
    np.testing.assert_allclose(found.x, [81.5, 7 * 4 + 1.5 + 1.0], atol=1e-4)
    np.testing.assert_allclose(found.y, [61.5, 5 * 4 + 1.5 - 2.0], atol=1e-4)
    np.testing.assert_allclose(found.diameter, [20.0, 6.0], rtol=1e-5)
    np.testing.assert_allclose(found.score, 1 / (1 + np.exp([-3.0, -1.0])), rtol=1e-5)


def test_one_crater_is_listed_once() -> None:
    maps = maps_with((10, 10, 2.0, 30.0, 0, 0), (10, 12, 1.0, 30.0, 0, 0), (10, 20, 1.5, 30.0, 0, 0))
    assert len(find_centres(maps, 0.01, 96, 128).x) == 2


def test_what_lies_beyond_the_image_or_below_the_floor_is_none() -> None:
    maps = maps_with((22, 5, 4.0, 8.0, 0, 0), (3, 3, -5.0, 8.0, 0, 0))
    assert len(find_centres(maps, 0.01, 80, 128).x) == 0


def test_beside_a_likelier_position_there_is_none_at_the_border_either() -> None:
    for row, column, beside in ((0, 0, 1), (23, 31, 30), (10, 10, 11)):
        # The neighbour's own place is so far away that it would be a crater of its own.
        far = 5.0 * (beside - column)
        maps = maps_with((row, column, 2.0, 8.0, 0, 0), (row, beside, 1.0, 8.0, far, 0))
        found = find_centres(maps, 0.01, 96, 128)
        np.testing.assert_allclose(found.x, [column * 4 + 1.5])

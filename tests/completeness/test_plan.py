"""The plan knows where in an image a crater may lie without reading it: the run says what was looked at."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from crater_ray.completeness.plan import draw_recipe, looked_at
from crater_ray.completeness.settings import Measurement
from crater_ray.images.crop import Crop
from crater_ray.images.picture import Picture, Reading
from crater_ray.scanning.planted import read_planted
from crater_ray.simulate import simulate_frame
from tests.images.made_bars import draw_bar


@pytest.mark.parametrize("bar", [0, 48])
@pytest.mark.parametrize("crop", ["auto", "none", "bottom=64", "left=30,top=20", "150x140+40+11"])
def test_craters_lie_in_what_a_scan_looks_at(crop: str, bar: int) -> None:
    rng = np.random.default_rng(3)
    pixels = simulate_frame(rng, (200, 240)).pixels
    if bar:
        pixels = np.vstack([pixels, draw_bar("text", 240, bar)])
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    for seed in range(20):
        row = {"height": len(pixels), "width": 240, "bar": bar if bar and crop == "auto" else None}
        recipe = draw_recipe(np.random.default_rng(seed), looked_at(row, Crop(crop)), Measurement("run"), [])
        picture = read_planted(file.getvalue(), recipe, Reading(Crop(crop)))
        assert isinstance(picture, Picture), "the loader would refuse this place"
        assert looked_at(row, Crop(crop)) == (picture.left, picture.top, *picture.pixels.shape[::-1])
        assert picture.planted[0]["ratio"] > 0

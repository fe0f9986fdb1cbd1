"""What `--crop` takes, and which part of an image it means."""

from __future__ import annotations

import numpy as np
import pytest

from crater_ray.errors import UsageError
from crater_ray.images.crop import Crop

IMAGE = np.arange(200 * 300).reshape(200, 300)


@pytest.mark.parametrize(
    ("text", "rows", "columns"),
    [
        ("auto", (0, 200), (0, 300)),
        ("none", (0, 200), (0, 300)),
        ("250x150", (0, 150), (0, 250)),
        ("250x150+10+20", (20, 170), (10, 260)),
        ("1000x1000+100+100", (100, 200), (100, 300)),
        ("bottom=48", (0, 152), (0, 300)),
        ("top=20,bottom=30, left=5,right=7", (20, 170), (5, 293)),
    ],
)
def test_a_part_of_an_image(text: str, rows: tuple[int, int], columns: tuple[int, int]) -> None:
    part = Crop(text).part(200, 300)
    assert (part[0], part[1]) == (slice(*rows), slice(*columns))


@pytest.mark.parametrize("text", ["bottom=500", "10x10+400+400", "left=200,right=200", "0x0"])
def test_nothing_is_left_of_a_small_image(text: str) -> None:
    assert IMAGE[Crop(text).part(200, 300)].size == 0


@pytest.mark.parametrize("text", ["", "48", "bottom", "bottom=-4", "bottom=4,bottom=5", "1024", "1024x", "axb", "-1x5"])
def test_what_is_no_part_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--crop must be"):
        Crop(text)

"""Image quality: what is put into an image comes out, and more of it is more."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from crater_ray.images.quality import measure

RNG = np.random.default_rng(11)
SURFACE = 120 + 25 * gaussian_filter(RNG.normal(0, 1, (384, 512)), 1.5) / 0.19
"""Detail a little larger than the optics' blur, everywhere."""
NOISE = RNG.normal(0, 1, SURFACE.shape)


def as_image(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def test_more_blur_is_less_focus() -> None:
    found = [measure(as_image(gaussian_filter(SURFACE, blur) + 4 * NOISE)) for blur in (0, 1, 1.5, 2, 3, 5)]
    focus = [one.focus for one in found]
    assert all(sharp > dull for sharp, dull in pairwise(focus[:5])), focus
    assert focus[-1] == pytest.approx(1, abs=0.05), "nothing is left but noise"
    assert all(one.noise == pytest.approx(4, rel=0.2) for one in found), "structure is not taken for noise"


@pytest.mark.parametrize("quality", [75, 92])
def test_more_blur_is_less_focus_also_after_compression(quality: int) -> None:
    focus = []
    for blur in (0, 1, 2, 3):
        out = io.BytesIO()
        Image.fromarray(as_image(gaussian_filter(SURFACE, blur) + 4 * NOISE)).save(out, "JPEG", quality=quality)
        focus.append(measure(np.asarray(Image.open(out))).focus)
    assert all(sharp > dull for sharp, dull in pairwise(focus)), focus


def test_noise_is_measured_in_gray_levels() -> None:
    for sigma in (1, 2, 4, 8, 16):
        for under in (np.full(SURFACE.shape, 128.0), gaussian_filter(SURFACE, 3)):
            assert measure(as_image(under + sigma * NOISE)).noise == pytest.approx(sigma, rel=0.1)
    assert measure(np.full((100, 100), 7, np.uint8)).noise == 0


def test_contrast_and_saturation() -> None:
    ramp = np.tile(np.linspace(50, 150, 384)[:, None], (1, 512))
    assert measure(as_image(ramp)).contrast == pytest.approx(98 / 255, abs=0.01)
    burnt = np.full((384, 512), 100, np.uint8)
    chance = RNG.random(burnt.shape)
    burnt[chance < 0.1], burnt[chance > 0.8] = 0, 255
    assert measure(burnt).saturated == pytest.approx(0.3, abs=0.02)
    flat = measure(np.full((100, 100), 7, np.uint8))
    assert (flat.focus, flat.contrast, flat.saturated) == (None, 0, 0)


def test_images_of_any_size_are_measured() -> None:
    for height, width in ((92, 92), (92, 4000), (4000, 92), (2000, 3000), (93, 101)):
        found = measure(as_image(128 + 5 * RNG.normal(0, 1, (height, width))))
        assert found.noise == pytest.approx(5, rel=0.15)
        assert found.focus == pytest.approx(1, abs=0.15)

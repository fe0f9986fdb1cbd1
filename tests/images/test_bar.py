"""Information bars by their look: found to the row where there is one, and never where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from crater_ray.images.bar import MOST, begins_at, find_bar
from crater_ray.simulate.archive import simulate_archive
from tests.images.made_bars import KINDS, draw_bar, jpeg


@pytest.fixture(scope="module")
def foils(tmp_path_factory: pytest.TempPathFactory) -> list[np.ndarray]:
    """Simulated foil, half of it with craters."""
    folder = tmp_path_factory.mktemp("foils")
    simulate_archive(folder, 16, 8, seed=5, workers=1)
    return [np.asarray(Image.open(path).convert("L")) for path in sorted(folder.rglob("*.jpg"))]


@pytest.mark.parametrize("rows", [24, 48, 64])
@pytest.mark.parametrize("kind", KINDS)
def test_a_bar_is_found_to_the_row(foils: list[np.ndarray], kind: str, rows: int) -> None:
    for foil in foils[:6]:
        bar = draw_bar(kind, foil.shape[1], rows)
        for image in (np.vstack([foil, bar]), np.vstack([foil[:-rows], bar])):
            assert find_bar(image) == rows
            for quality in (75, 90):
                assert abs(find_bar(jpeg(image, quality)) - rows) <= 1


@pytest.mark.parametrize("rows", [24, 48, 64])
def test_a_gray_bar_on_a_picture_of_its_gray_is_found_to_the_row(foils: list[np.ndarray], rows: int) -> None:
    for foil in foils[:6]:
        picture = (foil * 0.6 + 40).astype(np.uint8)
        gray = int(np.median(picture))
        ink = 255 if gray < 128 else 0
        drawn = draw_bar("text", foil.shape[1], rows) / 255
        bar = np.round(gray + (ink - gray) * drawn).astype(np.uint8)
        for image in (np.vstack([picture, bar]), np.vstack([picture[:-rows], bar])):
            assert find_bar(image) == rows
            assert find_bar(jpeg(image, 95)) == rows


def test_specks_on_a_band_of_another_exposure_are_no_writing(foils: list[np.ndarray]) -> None:
    rng = np.random.default_rng(4)
    for foil in foils[:6]:
        image = foil.astype(float) / 2 + 60
        image[-60:] += 40
        image[-60:] += 90 * (gaussian_filter(rng.normal(size=(60, foil.shape[1])), 2) > 0.18)
        image = np.clip(image + rng.normal(0, 3, image.shape), 0, 255).astype(np.uint8)
        assert find_bar(image) == find_bar(jpeg(image, 90)) == 0


def test_a_bar_in_an_image_made_smaller_is_found(foils: list[np.ndarray]) -> None:
    for foil in foils[:6]:
        image = Image.fromarray(np.vstack([foil, draw_bar("text", foil.shape[1])]))
        half = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
        assert find_bar(np.asarray(half)) == 24


def test_pictures_without_a_bar_have_none(foils: list[np.ndarray]) -> None:
    rng = np.random.default_rng(3)
    pictures = list(foils)
    smooth = gaussian_filter(rng.normal(0, 1, (400, 500)), 40)
    smooth = 120 + 60 * smooth / np.abs(smooth).max()
    for noise in (0, 0.5, 2, 8):
        pictures.append(np.clip(smooth + rng.normal(0, noise, smooth.shape), 0, 255).astype(np.uint8))
    ramp = np.linspace(-60, 255, 400)[:, None] + rng.normal(0, 1, (400, 500))
    pictures.append(np.clip(ramp[::-1], 0, 255).astype(np.uint8))  # fades into black
    pictures.append(np.clip(1.5 * ramp, 0, 255).astype(np.uint8))  # and into white
    slanted = np.where(np.arange(400)[:, None] > 350 + np.arange(500)[None] / 12, 0, 140)
    pictures.append(np.clip(slanted + rng.normal(0, 3, slanted.shape), 0, 255).astype(np.uint8))
    jump = np.where(np.arange(400)[:, None] > 340, 190, 140) + rng.normal(0, 3, (400, 500))
    pictures += [np.zeros((400, 500), np.uint8), np.full((400, 500), 255, np.uint8), np.zeros((92, 92), np.uint8)]
    assert find_bar(jump.astype(np.uint8)) == 0  # the exposure changes from one line to the next
    for picture in pictures:
        for turn in range(4):
            turned = np.ascontiguousarray(np.rot90(picture, turn))
            for image in (turned, jpeg(turned, 60), np.clip(2.5 * turned.astype(int) - 150, 0, 255).astype(np.uint8)):
                assert find_bar(image) == 0


def test_half_an_image_is_no_bar(foils: list[np.ndarray]) -> None:
    foil = foils[0]
    rows = int(foil.shape[0] * MOST) + 20
    assert find_bar(np.vstack([foil[:-rows], draw_bar("black", foil.shape[1], rows)])) == 0


def test_a_gray_bar_that_the_look_leaves_open_begins_where_the_file_says(foils: list[np.ndarray]) -> None:
    foil = np.clip(foils[0].astype(int) + 40, 0, 255).astype(np.uint8)
    image = np.vstack([foil, (draw_bar("text", foil.shape[1]) * 0.4 + 20).astype(np.uint8)])
    assert begins_at(image, 48)
    assert not begins_at(image, 40) and not begins_at(image, 60) and not begins_at(foil, 48)

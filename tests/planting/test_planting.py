"""Craters planted into images: the same recipe gives the same pixels, in the image's own blur, noise and JPEG."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from crater_ray.errors import CraterRayError
from crater_ray.images.decode import decode
from crater_ray.images.pixels import unpack
from crater_ray.planting.jpeg import compressed, luma_table
from crater_ray.planting.patch import draw_patch, look_of
from crater_ray.planting.plant import plant
from crater_ray.planting.recipe import Recipe, split
from crater_ray.planting.spectrum import spectrum_of
from crater_ray.planting.visibility import LEAST_RATIO, matched_filter_ratio, ratio_in_pixels
from crater_ray.scanning.loader import load
from crater_ray.simulate.frame import contrast_to_noise
from crater_ray.storage.access import Access

CRATER = Recipe.rounded(171.3, 120.7, 22.0, 1.0, 6)


def foil(noise: float, blur: float = 0.0, level: float = 120.0) -> np.ndarray:
    """(256, 320) uint8: plain foil with a fine texture, blurred, then noise."""
    rng = np.random.default_rng(3)
    texture = gaussian_filter(rng.normal(0, 1, (256, 320)), max(blur, 0.5))
    texture *= 5 / texture.std()
    return np.clip(level + texture + rng.normal(0, noise, texture.shape), 0, 255).astype(np.uint8)


def as_jpeg(pixels: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", **({"quality": 80} | options))
    return file.getvalue()


def decoded(data: bytes) -> np.ndarray:
    pixels = decode(data)
    assert isinstance(pixels, np.ndarray)
    return pixels


def test_a_recipe_survives_being_written_behind_any_address() -> None:
    recipes = [Recipe.rounded(1 / 3, 1e3 / 7, 3.14159, 0.45678, 2**31 - 1), CRATER]
    addresses = ["s3://bucket/a#b#crater=x:1.jpg", "file:///a%23b/c.jpg"]
    written = [recipe.added_to(address) for recipe, address in zip(recipes, addresses, strict=True)]
    assert split(written) == (addresses, recipes)
    with pytest.raises(CraterRayError, match="does not say which crater"):
        split(["s3://bucket/a#crater=x:1,y:2"])


def test_only_a_planted_run_reads_an_address_as_a_recipe(tmp_path: Path) -> None:
    """A file whose name ends like a recipe is a file; with the flag, the crater comes into the pixels of the other."""
    plain = tmp_path / "a.jpg"
    plain.write_bytes(as_jpeg(foil(3)))
    strange = Path(CRATER.added_to(str(plain)))
    strange.write_bytes(as_jpeg(foil(9)))
    loaded, batch = load([str(strange)], Access())
    assert loaded.status == ["ok"]
    assert np.array_equal(next(unpack(batch))[1][0], decoded(strange.read_bytes()))
    loaded, batch = load([CRATER.added_to(plain.as_uri())], Access(), planted=True)
    assert loaded.status == ["ok"]
    expected = plant(decoded(plain.read_bytes()), plain.read_bytes(), CRATER).pixels
    assert np.array_equal(next(unpack(batch))[1][0], expected)
    gone = Recipe.rounded(500, 20, 9, 1, 1)
    loaded, _ = load([gone.added_to(plain.as_uri())], Access(), planted=True)
    assert (loaded.status, "changed since" in loaded.values["error"][0]) == (["unreadable"], True)


def test_the_same_recipe_gives_the_same_crater_and_leaves_the_rest_alone() -> None:
    data = as_jpeg(foil(4))
    pixels = decoded(data)
    first, again = plant(pixels, data, CRATER), plant(pixels.copy(), bytes(data), CRATER)
    assert np.array_equal(first.pixels, again.pixels)
    other = plant(pixels, data, Recipe(CRATER.x, CRATER.y, CRATER.diameter, CRATER.strength, 8))
    assert not np.array_equal(first.pixels, other.pixels)
    row, column = np.mgrid[:256, :320]
    distance = np.hypot(row - CRATER.y, column - CRATER.x)
    difference = np.abs(first.pixels.astype(int) - pixels)
    assert difference[distance > 3 * CRATER.diameter].max() <= 2  # a second JPEG with the same steps changes little
    assert difference[distance < 0.3 * CRATER.diameter].mean() > 25
    ring = (distance > 0.42 * CRATER.diameter) & (distance < 0.6 * CRATER.diameter)
    assert first.pixels[ring].mean() > pixels[ring].mean() + 5 > first.pixels[distance < 5].mean() + 30


def test_a_crater_is_as_blurred_as_the_image() -> None:
    sharp, soft = foil(1, 0.0), foil(1, 2.5)
    edges = []
    for pixels in (sharp, soft):
        planted = plant(pixels, b"", CRATER)
        gradient = np.hypot(*np.gradient(gaussian_filter(planted.change, 0.3)))
        edges.append(gradient.max())
    assert spectrum_of(soft.astype(np.float32)).sigma > 1.4 * spectrum_of(sharp.astype(np.float32)).sigma
    assert edges[1] < 0.75 * edges[0]


def test_a_crater_keeps_the_noise_of_its_spot() -> None:
    """The floor of a large crater has noise, less of it where it is darker; brighter noise, a fainter crater."""
    large = Recipe(160, 128, 40, 0.5, 5)
    quiet, noisy = (plant(foil(noise, 2.0), b"", large).pixels.astype(float) for noise in (2, 14))
    floors = [pixels[122:135, 154:167] for pixels in (quiet, noisy)]
    spread = [(floor - gaussian_filter(floor, 2)).std() for floor in floors]
    assert spread[1] > 3 * spread[0]
    assert 4 < spread[1] < 14
    assert contrast_to_noise(quiet.astype(np.uint8), 160, 128, 40) > 2 * contrast_to_noise(
        noisy.astype(np.uint8), 160, 128, 40
    )


def test_strength_and_noise_decide_what_can_be_seen() -> None:
    ratios = []
    for noise, strength in ((3, 1.0), (3, 0.2), (25, 0.2)):
        pixels = foil(noise)
        planted = plant(pixels, b"", Recipe(160, 128, 6, strength, 5))
        ratios.append(matched_filter_ratio(planted.change, pixels, 160, 128, 6))
    assert ratios[0] > 2 * ratios[1] > 4 * ratios[2]


@pytest.mark.parametrize("noise", [2, 8])
def test_pixels_tell_how_clear_a_crater_is(noise: int) -> None:
    """Without the image before it about as the filter knows it, also where place and size are a little off; but not
    where all that a crater does is to take away texture, as one of these does."""
    pixels = foil(noise, blur=1.0)
    known, told, off = [], [], []
    for number in range(24):
        recipe = Recipe(160, 128, (6.0, 14.0, 30.0)[number % 3], float(np.geomspace(0.3, 2.0, 24)[number]), number)
        planted = plant(pixels, b"", recipe)
        known.append(matched_filter_ratio(planted.change, pixels, 160, 128, recipe.diameter))
        told.append(ratio_in_pixels(planted.pixels, 160, 128, recipe.diameter))
        off.append(ratio_in_pixels(planted.pixels, 161.5, 127, 1.15 * recipe.diameter))
    clear = np.array(known) >= 12
    assert clear.sum() >= 10
    for measured in (told, off):
        away = np.log(np.array(measured) / known)[clear]
        assert (np.abs(away) < np.log(1.9)).mean() > 0.9
        assert abs(np.median(away)) < np.log(1.4)
        assert np.corrcoef(np.log(measured), np.log(known))[0, 1] > 0.75
    assert ratio_in_pixels(foil(noise), 160, 128, 6) < 12
    assert ratio_in_pixels(np.full((92, 92), 100, np.uint8), 40, 40, 6) == LEAST_RATIO


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg_again_is_jpeg_as_the_files(mode: str) -> None:
    """With the file's own steps a second time changes hardly a pixel; with coarser ones many."""
    data = as_jpeg(np.asarray(Image.fromarray(foil(6)).convert(mode)), quality=72)
    pixels = decoded(data)
    again = compressed(pixels, luma_table(data)).astype(int)
    coarse = compressed(pixels, luma_table(as_jpeg(foil(6), quality=20))).astype(int)
    assert np.abs(again - pixels).mean() < 0.2
    assert np.abs(coarse - pixels).mean() > 2


def test_other_files_are_not_compressed() -> None:
    file = io.BytesIO()
    Image.fromarray(foil(6)).save(file, "PNG")
    assert luma_table(file.getvalue()) is None
    assert np.array_equal(compressed(foil(6), None), foil(6))


@pytest.mark.parametrize("place", [(2.0, 2.0), (98.9, 2.0), (50.0, 97.0)])
def test_craters_at_borders_of_small_images(place: tuple[float, float]) -> None:
    pixels = foil(5)[:100, :100]
    planted = plant(pixels, b"", Recipe(*place, 40.0, 1.0, 1))
    assert planted.pixels.shape == pixels.shape
    assert (planted.pixels != pixels).any()


def test_half_of_the_craters_are_shallow() -> None:
    """Their floors are brighter, on average, and their looks are told by the seed."""
    floors: dict[str, list[float]] = {"fresh": [], "shallow": []}
    for seed in range(30):
        recipe = Recipe(50, 50, 20, 1.0, seed)
        patch = draw_patch(recipe, 0.8)
        middle = patch.gain.shape[0] // 2
        floors[look_of(recipe)].append(float(patch.gain[middle - 2 : middle + 3, middle - 2 : middle + 3].mean()))
    assert [len(some) for some in floors.values()] == [15, 15]
    assert np.mean(floors["shallow"]) > np.mean(floors["fresh"]) + 0.15

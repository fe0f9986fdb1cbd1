"""The finder: its arithmetic, its maps, and bundles that hold it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from crater_ray.errors import UsageError
from crater_ray.network import finder
from crater_ray.network.bundle import Bundle, load, shipped


def random_weights(seed: int = 0, widths: finder.Widths = finder.WIDTHS) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    weights = {}
    for layer in finder.layer_table(widths):
        scale = np.sqrt(2 / (layer.size**2 * layer.inputs))
        shape = (layer.size, layer.size, layer.inputs, layer.filters)
        weights[f"{layer.name}/kernel"] = rng.normal(0, scale, shape).astype(np.float32)
        weights[f"{layer.name}/bias"] = rng.normal(0, 0.1, layer.filters).astype(np.float32)
    return weights


def finder_bundle(weights: dict[str, np.ndarray] | None = None) -> Bundle:
    return Bundle(
        random_weights() if weights is None else weights, "local-contrast", 0.5, architecture=finder.ARCHITECTURE
    )


def test_at_most_the_arithmetic_of_the_pruned_network() -> None:
    assert finder.multiply_adds(384, 512) < 2.1e9


def test_maps_have_a_position_every_four_pixels() -> None:
    model = finder_bundle().model()
    for size in ((96, 128), (384, 512)):
        maps = np.asarray(model(np.zeros((2, *size, 1), np.uint8), training=False)["maps"])
        assert maps.shape == (2, size[0] // 4, size[1] // 4, 4)


def test_brightness_and_contrast_of_the_whole_image_are_no_evidence() -> None:
    rng = np.random.default_rng(3)
    pixels = np.clip(rng.normal(60, 15, (1, 192, 192, 1)), 0, 120).astype(np.float32)
    model = finder_bundle().model()
    maps, brighter = (np.asarray(model(some, training=False)["maps"]) for some in (pixels, 2 * pixels + 10))
    assert np.abs(maps - brighter).mean() < 0.1 * np.abs(maps).mean()


def test_a_shifted_image_has_shifted_maps() -> None:
    rng = np.random.default_rng(4)
    wide = rng.integers(0, 255, (1, 384, 512, 1), np.uint8)
    model = finder_bundle().model()
    whole = np.asarray(model(wide, training=False)["maps"])
    shifted = np.asarray(model(wide[:, :, 16:], training=False)["maps"])
    # Far from the borders, which both see differently.
    np.testing.assert_allclose(whole[:, 36:-36, 44:-40], shifted[:, 36:-36, 40:-40], atol=1e-3)


def test_a_bundle_with_a_finder_comes_back(tmp_path: Path) -> None:
    bundle = finder_bundle()
    again = load(bundle.save(tmp_path / "bundle"))
    assert again.architecture == finder.ARCHITECTURE
    assert again.id == bundle.id


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    weights = random_weights()
    weights["half1/kernel"] = weights["half1/kernel"][:, :, :-1]
    folder = finder_bundle(weights).save(tmp_path / "bundle")
    with pytest.raises(UsageError, match="half1/kernel"):
        load(folder)


def test_bundles_that_ship_are_loaded_by_name() -> None:
    assert shipped() == ["finder", "stardust"]
    assert load("finder").gives_maps
    assert load("default").id == load().id
    with pytest.raises(UsageError, match="finder, stardust"):
        load("nonesuch")


def blob(size: int, x: float, y: float, sigma: float) -> np.ndarray:
    """A dark round spot on an even surface, (1, size, size, 1) float32."""
    row, column = np.indices((size, size), np.float32)
    far = np.square(column - x) + np.square(row - y)
    return (150 - 90 * np.exp(-far / (2 * sigma**2)))[None, ..., None]


def test_the_second_view_adds_its_odds_and_keeps_places() -> None:
    """What both views say of an image, put together by hand."""
    plain, twofold = random_weights(2), random_weights(2) | {finder.VIEW: np.array([-0.7], np.float32)}
    images = blob(192, 87.0, 61.0, 9.0)
    half = images.reshape(1, 96, 2, 96, 2, 1).mean(axis=(2, 4))
    first, second, both = (
        np.asarray(finder.model_of(weights)(pixels, training=False)["maps"])[0]
        for weights, pixels in ((plain, images), (plain, half), (twofold, images))
    )
    added = second[..., 0].repeat(2, axis=0).repeat(2, axis=1) - 0.7
    np.testing.assert_allclose(both[..., 0], np.logaddexp(first[..., 0], added), atol=1e-4)
    row, column = np.indices(added.shape)
    seen = added > first[..., 0]
    assert 0.05 < seen.mean() < 0.95
    # A pixel of the half is two of the image; its middle lies half a pixel further.
    small = np.indices(second.shape[:2])
    for channel, position, index in ((2, column, 1), (3, row, 0)):
        place = (small[index] + second[..., channel]) * finder.STRIDE + 1.5
        expected = (2 * place + 0.5).repeat(2, axis=0).repeat(2, axis=1)
        told = (position + both[..., channel]) * finder.STRIDE + 1.5
        np.testing.assert_allclose(told[seen], expected[seen], atol=1e-3)
    size = np.exp(second[..., 1]).repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_allclose(np.exp(both[..., 1])[seen], 2 * size[seen], rtol=1e-4)
    np.testing.assert_array_equal(both[~seen][:, 1:], first[~seen][:, 1:])


def test_images_are_filled_up_for_both_views() -> None:
    images = np.arange(48 * 80, dtype=np.uint8).reshape(1, 48, 80)
    assert finder.filled_up(images, random_weights()) is images
    both = finder.filled_up(images, {finder.VIEW: np.zeros(1, np.float32)})
    assert both.shape == (1, 64, 96)
    np.testing.assert_array_equal(both[:, 48:, :80], np.broadcast_to(images[:, -1:], (1, 16, 80)))

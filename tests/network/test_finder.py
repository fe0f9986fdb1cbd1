"""The finder: its arithmetic, its maps, and bundles that hold it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from crater_ray.errors import UsageError
from crater_ray.network import finder
from crater_ray.network.bundle import Bundle, load, shipped


def random_weights(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    weights = {}
    for layer in finder.layer_table():
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

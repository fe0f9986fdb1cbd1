"""Scenes: what is drawn is what the truth says, and always the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from crater_ray.simulate.seeds import seed_crater
from training.finder.targets import draw_targets
from training.scenes.cutouts import relative
from training.scenes.relief import draw_crater
from training.scenes.scene import VISIBLE, Sources, draw_floor, draw_scene


def sources(crater_share: float = 1.0, cutout_share: float = 0.5) -> Sources:
    rng = np.random.default_rng(1)
    pictures = [np.clip(rng.normal(120, 8, (160, 200)), 0, 255).astype(np.uint8)]
    seeds = [seed_crater(np.random.default_rng(number), 30.0) for number in range(3)]
    cutouts = [(relative(seed), (seed.shape[0] - 4) / 1.9 / seed.shape[0]) for seed in seeds]
    return Sources(pictures, cutouts=cutouts, crater_share=crater_share, cutout_share=cutout_share)


def test_the_same_number_draws_the_same_scene() -> None:
    first, second = (draw_scene(np.random.default_rng(5), sources(), 96) for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.craters, second.craters)


def test_scenes_without_craters_have_none() -> None:
    assert all(len(draw_scene(np.random.default_rng(n), sources(0.0), 96).craters) == 0 for n in range(20))


def test_a_crater_changes_the_image_where_the_truth_says() -> None:
    """The same scene with and without its last steps: craters, both ways of making them, change only their places."""
    for cutout_share in (0.0, 1.0):
        near, far = [], []
        for number in range(40):
            scene = draw_scene(np.random.default_rng(number), sources(1.0, cutout_share), 128)
            grid = np.arange(128)
            distance = np.full((128, 128), np.inf)
            for x, y, diameter, visibility in scene.craters:
                if visibility >= 3 * VISIBLE and diameter > 6:
                    away = np.hypot(grid[None, :] - x, grid[:, None] - y) / (diameter / 2)
                    distance = np.minimum(distance, away)
            spread = scene.image.astype(float) - np.median(scene.image)
            if np.isfinite(distance).any() and (distance < 1.2).any() and (distance > 3).any():
                near.append(np.abs(spread[distance < 1.2]).mean())
                far.append(np.abs(spread[distance > 3]).mean())
        assert len(near) > 8
        assert np.mean(near) > 1.2 * np.mean(far)


def test_floors_go_from_dark_to_as_bright_as_their_surroundings() -> None:
    floors = []
    for number in range(200):
        patch = draw_crater(np.random.default_rng(number), 20.0, 0.0)
        row, column = round(patch.y), round(patch.x)
        floors.append(float(patch.change[row - 3 : row + 4, column - 3 : column + 4].mean()))
    assert np.quantile(floors, 0.1) < -0.5
    assert np.quantile(floors, 0.9) > -0.1


def test_a_crater_of_which_only_the_floor_is_seen_is_not_asked() -> None:
    """Nothing tells it from a stain: its place is neither a crater nor a blank."""
    whole = sources(cutout_share=1.0)
    dark = replace(whole, cutouts=[(np.minimum(change, 0), share) for change, share in whole.cutouts])
    visibility = [
        np.concatenate([draw_scene(np.random.default_rng(n), made, 128).craters[:, 3] for n in range(20)])
        for made in (whole, dark)
    ]
    assert (visibility[0] >= VISIBLE).mean() > 0.5
    assert not visibility[1].any()


def test_a_floor_without_its_rim_is_a_defect_as_dark_as_a_crater() -> None:
    for number in range(50):
        patch = draw_floor(np.random.default_rng(number), sources(), 0.0)
        assert patch.change.max() == 0
        assert patch.change.min() == -1


def test_targets_ask_for_visible_craters_and_nothing_of_faint_ones() -> None:
    craters = np.array([[40.0, 30.0, 8.0, 2 * VISIBLE], [80.0, 90.0, 12.0, 0.5 * VISIBLE]], np.float32)
    target = draw_targets(craters, 128)
    row, column = round((30 - 1.5) / 4), round((40 - 1.5) / 4)
    assert target[row, column, 0] == 1
    assert (target[..., 0] * target[..., 1]).sum() == 1
    np.testing.assert_allclose(target[row, column, 3], (40 - (4 * column + 1.5)) / 4)
    faint = target[round((90 - 1.5) / 4), round((80 - 1.5) / 4)]
    assert faint[0] == 0 and faint[1] == 0

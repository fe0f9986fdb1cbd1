"""The older methods find a clean crater, and take part in the same evaluation as the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from crater_ray.errors import UsageError
from training.data_sets import seeds
from training.data_sets.dataset import DataSet
from training.older_methods import contender, tune
from training.older_methods.hough import HoughSettings
from training.older_methods.hough import respond as hough
from training.older_methods.responses import DIAMETERS_PX
from training.older_methods.template_matching import TemplateSettings, choose
from training.older_methods.template_matching import respond as match


def clean(x: float, y: float, diameter: float) -> np.ndarray:
    """A bright ring around a dark floor on even foil with a little noise."""
    rows, columns = np.indices((150, 180))
    radius = np.hypot(rows - y, columns - x) / (diameter / 2)
    image = 110 + 90 * np.exp(-(((radius - 1) / 0.22) ** 2)) - 60 * (radius < 0.8)
    image = ndimage.gaussian_filter(image, 0.7) + np.random.default_rng(0).normal(0, 3, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("x", "y", "diameter"), [(60, 40, 9), (120, 100, 18), (70, 80, 34)])
def test_template_matching_finds_a_clean_crater(x: float, y: float, diameter: float) -> None:
    library = choose(seeds.default_library(0)[:20], 4)
    found = match(clean(x, y, diameter), library, TemplateSettings(templates=4, rotations=1))
    best = found[np.argmax(found[:, 0])]
    assert best[0] > 0.6
    assert np.hypot(best[1] - x, best[2] - y) < diameter / 2


@pytest.mark.parametrize(("x", "y", "diameter"), [(60, 40, 15), (120, 100, 23), (70, 80, 31)])
def test_hough_finds_a_clean_crater(x: float, y: float, diameter: float) -> None:
    found = hough(clean(x, y, diameter), HoughSettings(smooth_px=1.7))
    nearest = found[np.argmin(np.abs(np.asarray(DIAMETERS_PX) - diameter))]
    assert np.hypot(nearest[1] - x, nearest[2] - y) < diameter / 2


def test_chosen_templates_differ() -> None:
    library = seeds.default_library(0)[:12]
    assert len({seed.number for seed in choose(library, 5)}) == 5


@pytest.mark.slow
def test_a_tuned_method_scores_a_test_set(sets: dict[str, DataSet], tmp_path: Path) -> None:
    path = tmp_path / "hough.json"
    best = tune("canny-hough", sets["train"], path, images=40, workers=1, say=lambda _: None)
    assert best["seconds_per_image_and_core"] > 0
    score = contender(path, workers=1).score(sets["test"].first(10))
    assert score.shape == (10,)
    assert np.isfinite(score).all()
    with pytest.raises(UsageError, match="training split"):
        tune("canny-hough", sets["test"], path)
    with pytest.raises(UsageError, match="template-matching"):
        tune("eyes", sets["train"], path)
    with pytest.raises(UsageError, match="no tuned method"):
        contender(tmp_path / "nothing.json")

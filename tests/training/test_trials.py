"""Trials of bundles on images of foreign origin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from crater_ray.planting.visibility import SEEN, matched_filter_ratio
from tests.network.test_finder import finder_bundle
from training.data_sets.backgrounds import Photograph
from training.evaluation.judge import EDGES, Answers, ask, judge, markdown
from training.evaluation.montage import draw_montage
from training.evaluation.trials import draw_trials


@pytest.mark.slow
def test_who_knows_the_truth_is_told_so() -> None:
    """An oracle gets full marks on every line, one that knows nothing gets the budget's share."""
    photographs = [Photograph("a", np.random.default_rng(0).integers(80, 120, (400, 520), np.uint8))]
    trials = draw_trials(photographs, photographs, 6)
    oracle = {}
    for name, trial in trials.items():
        known = trial.label if name != "crowded" else np.ones(len(trial.label))
        oracle[name] = Answers((0.9 * known).astype(np.float32), trial.truth[:, :3])
    figures = judge(trials, oracle)
    for key, value in figures.items():
        if key.startswith("blanks"):
            assert value["hits"] == 0
        elif "hits" in value:
            assert value["hits"] == value["of"]
    assert figures["foil"]["area under ROC"] == 1.0
    classes = [value["of"] for key, value in figures["foil"].items() if key.startswith("contrast") and "4%" in key]
    assert sum(classes) == 6, "each crater has its contrast"
    blind = {
        name: Answers(np.zeros(len(trial.images), np.float32), trial.truth[:, :3]) for name, trial in trials.items()
    }
    assert judge(trials, blind)["foil"]["4-36 px at 4%"]["hits"] == 0
    assert "| foil: area under ROC | 1.000 | 0.500 |" in markdown({"oracle": figures, "blind": judge(trials, blind)})


@pytest.mark.slow
def test_a_bundle_is_asked_as_a_scan_would() -> None:
    trials = {name: trial for name, trial in draw_trials([], [], 2).items() if name == "foil"}
    answers = ask(finder_bundle(), trials, "openvino-float")
    assert answers["foil"].score.shape == (4,)
    assert answers["foil"].place.shape == (4, 3)


def test_the_matched_filter_knows_white_noise() -> None:
    """In white noise its ratio is the root of the summed squares over the deviation; texture of its own size hides."""
    rng = np.random.default_rng(4)
    row, column = np.mgrid[:200, :240]
    change = 20.0 * (np.hypot(row - 90, column - 130) < 6)
    noise = rng.normal(0, 5, change.shape)
    expected = np.sqrt(np.square(change).sum() / 25)
    assert abs(matched_filter_ratio(change, 100 + noise, 130, 90, 12) / expected - 1) < 0.1
    coarse = gaussian_filter(rng.normal(0, 1, change.shape), 3)
    coarse *= 20 / coarse.std()
    assert matched_filter_ratio(change, 100 + noise + coarse, 130, 90, 12) < 0.5 * expected
    assert matched_filter_ratio(0 * change, 100 + noise, 130, 90, 12) == 0


@pytest.mark.slow
def test_a_montage_shows_what_was_found_and_missed(tmp_path: Path) -> None:
    trial = draw_trials([], [], 5)["foil"]
    score = (0.9 * trial.label).astype(np.float32)
    missed = int(np.flatnonzero(trial.label)[0])
    score[missed] = 0
    picture = draw_montage(trial, Answers(score, trial.truth[:, :3]), tmp_path / "foil.png")
    with Image.open(picture) as page:
        shown = np.asarray(page)
    x, y, diameter, _ = trial.truth[missed]
    left, top = min(max(round(float(x)) - 32, 0), 448), min(max(round(float(y)) - 32, 0), 320)
    cut = trial.images[missed][top : top + 64, left : left + 64]
    # Right of the middle: the missed one, in the row of its diameter.
    row = int(np.searchsorted(EDGES, diameter, side="right")) - 1
    high, wide = shown.shape[0] // 6, shown.shape[1] // 2
    there = shown[row * high + 14 : row * high + 14 + 96, wide + 4 : wide + 100]
    np.testing.assert_array_equal(there, np.asarray(Image.fromarray(cut).resize((96, 96), Image.Resampling.NEAREST)))


def test_craters_of_the_trials_can_be_seen() -> None:
    trial = draw_trials([], [], 4)["foil"]
    assert (trial.truth[trial.label == 1, 3] >= SEEN).all()

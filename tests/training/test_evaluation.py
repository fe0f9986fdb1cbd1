"""Figures of merit, the report, calibration and the older methods."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from crater_ray.errors import UsageError
from training.data_sets.dataset import DataSet, read
from training.data_sets.synthesize import Order, synthesize
from training.evaluation.evaluate import Contender, evaluate
from training.evaluation.intervals import budget_threshold, roc_area, wilson
from training.evaluation.measures import average_precision, calibration, measure
from training.fitting.calibrate import platt
from training.network.scoring import probability


def test_wilson_intervals_agree_with_the_published_figures() -> None:
    assert wilson(18, 27) == pytest.approx((0.478, 0.814), abs=1e-3)
    assert wilson(499, 500) == pytest.approx((0.9888, 0.9996), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)


def test_areas_of_known_orders() -> None:
    label = np.array([1, 1, 0, 0])
    assert roc_area(label, np.array([4, 3, 2, 1.0])) == 1.0
    assert roc_area(label, np.array([1, 2, 3, 4.0])) == 0.0
    assert roc_area(label, np.zeros(4)) == 0.5
    assert average_precision(label, np.array([4, 3, 2, 1.0])) == 1.0
    assert average_precision(label, np.array([4, 1, 3, 2.0])) == pytest.approx(0.75)


def test_a_budget_is_never_exceeded() -> None:
    rng = np.random.default_rng(0)
    for scores in (rng.uniform(size=500), np.round(rng.uniform(size=500), 1)):
        assert (scores >= budget_threshold(scores, 0.04)).mean() <= 0.04
    assert (np.arange(100.0) >= budget_threshold(np.arange(100.0), 0.04)).sum() == 4


def test_platt_scaling_makes_overconfident_scores_honest() -> None:
    rng = np.random.default_rng(1)
    label = (np.arange(4000) % 2).astype(int)
    honest = rng.normal(np.where(label == 1, 1.0, -1.0), 1.0) * 2.0
    overconfident = 6.0 * honest + 3.0
    slope, offset = platt(label, overconfident)
    before = calibration(label, probability(overconfident))["expected_calibration_error"]
    after = calibration(label, probability(slope * overconfident + offset))["expected_calibration_error"]
    assert slope == pytest.approx(1 / 6, rel=0.15)
    assert after < 0.03 < before


def test_platt_scaling_of_a_perfect_separation_stays_finite() -> None:
    slope, offset = platt(np.array([0, 0, 1, 1]), np.array([-30.0, -20.0, 20.0, 30.0]))
    assert math.isfinite(slope)
    assert math.isfinite(offset)
    assert slope > 0


def test_the_report_names_every_set_and_contender(sets: dict[str, DataSet], tmp_path: Path) -> None:
    def knows(data: DataSet) -> np.ndarray:
        rng = np.random.default_rng(0)
        return np.clip(0.7 * data.column("label") + rng.uniform(0, 0.3, len(data)), 0, 1)

    def guesses(data: DataSet) -> np.ndarray:
        return np.random.default_rng(1).uniform(size=len(data))

    contenders = [Contender("oracle", knows, 0.5, {}), Contender("coin", guesses, None, {})]
    evaluate(contenders, {"tiny": sets["test"]}, tmp_path, say=lambda _: None)
    written = json.loads((tmp_path / "report.json").read_text())
    oracle, coin = (written["figures"][name]["tiny"] for name in ("oracle", "coin"))
    assert oracle["roc_area"] == 1.0
    assert oracle["thresholds"]["0.5"]["sensitivity"]["share"] == 1.0
    assert "calibration" in oracle
    assert "calibration" not in coin
    assert 0.2 < coin["roc_area"] < 0.8
    found = sum(one["of"] for one in oracle["recall_by_diameter_px"].values())
    assert found == oracle["craters"]
    text = (tmp_path / "report.md").read_text()
    assert "oracle" in text
    assert "## tiny" in text
    assert (tmp_path / "tiny.png").stat().st_size > 10_000


@pytest.mark.slow
def test_diameters_without_craters_are_left_out_of_the_picture(tmp_path: Path) -> None:
    synthesize(Order("matched", 20, (104, 104), "test", least_diameter=20.0), tmp_path / "large", workers=1)
    blind = Contender("blind", lambda data: np.zeros(len(data)), None, {})
    figures = evaluate([blind], {"large": read(tmp_path / "large")}, tmp_path, say=lambda _: None)["figures"]
    small = figures["blind"]["large"]["recall_by_diameter_px"]["5-8"]
    assert (small["of"], small["share"]) == (0, None)
    assert (tmp_path / "large.png").stat().st_size > 10_000


def test_training_images_are_no_test_set(sets: dict[str, DataSet], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="split test"):
        evaluate([Contender("any", lambda data: np.zeros(len(data)), None, {})], {"a": sets["train"]}, tmp_path)
    with pytest.raises(UsageError, match="Nothing to evaluate"):
        evaluate([], {"a": sets["test"]}, tmp_path)


def test_every_crater_and_blank_is_counted_once_by_kind(sets: dict[str, DataSet]) -> None:
    data = sets["test"]
    figures = measure(data, np.random.default_rng(2).uniform(size=len(data)))
    assert sum(one["of"] for one in figures["false_alarms_by_defect"].values()) == figures["blanks"]
    assert sum(one["of"] for one in figures["recall_by_source"].values()) == figures["craters"]
    assert sum(one["of"] for one in figures["recall_by_contrast_to_noise"].values()) == figures["craters"]

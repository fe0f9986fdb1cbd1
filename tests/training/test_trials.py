"""Trials of bundles on images of foreign origin."""

from __future__ import annotations

import numpy as np

from tests.network.test_finder import finder_bundle
from training.data_sets.backgrounds import Photograph
from training.evaluation.judge import Answers, ask, judge, markdown
from training.evaluation.trials import draw_trials


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
    blind = {
        name: Answers(np.zeros(len(trial.images), np.float32), trial.truth[:, :3]) for name, trial in trials.items()
    }
    assert judge(trials, blind)["foil"]["4-36 px at 4%"]["hits"] == 0
    assert "| foil: area under ROC | 1.000 | 0.500 |" in markdown({"oracle": figures, "blind": judge(trials, blind)})


def test_a_bundle_is_asked_as_a_scan_would() -> None:
    trials = {name: trial for name, trial in draw_trials([], [], 2).items() if name == "foil"}
    answers = ask(finder_bundle(), trials, "openvino-float")
    assert answers["foil"].score.shape == (4,)
    assert answers["foil"].place.shape == (4, 3)

"""Judging bundles on the trials: recall at budgets, by diameter and contrast, false alarms, places and sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from crater_ray.images.pixels import pack_stack
from crater_ray.network.bundle import Bundle
from crater_ray.scanning.scorer import Scorer
from crater_ray.simulate.frame import contrast_to_noise
from training.evaluation.intervals import budget_threshold, roc_area, wilson
from training.evaluation.trials import Trial

BUDGETS = (0.04, 0.01)
EDGES = (3.0, 5.0, 8.0, 12.0, 20.0, 40.0)
RATIOS = (12.0, 20.0, 50.0, np.inf)
CONTRASTS = (0.0, 1.0, 2.0, 4.0, np.inf)
CHUNK = 16
FLOOR = 1e-5
"""Score from which a finder is asked for places: below any threshold that a budget gives."""


@dataclass(frozen=True)
class Answers:
    """What a bundle says of the images of one trial.

    Attributes:
        score: (n,) float32.
        place: (n, 3) float32: x, y and diameter in px of the best crater; not a number where none is given.
    """

    score: np.ndarray
    place: np.ndarray


def ask(bundle: Bundle, trials: Mapping[str, Trial], engine: str) -> dict[str, Answers]:
    """Score all trials as a scan would, with places also below the typical threshold."""
    scorer = Scorer(bundle, engine, FLOOR if bundle.gives_maps else bundle.typical_threshold)
    answers = {}
    for name, trial in trials.items():
        parts = [
            scorer.score(pack_stack(trial.images[start : start + CHUNK]))
            for start in range(0, len(trial.images), CHUNK)
        ]
        score, place = (np.concatenate([getattr(part, what) for part in parts]) for what in ("score", "place"))
        answers[name] = Answers(score, place)
    return answers


def judge(trials: Mapping[str, Trial], answers: Mapping[str, Answers]) -> dict[str, Any]:
    """All figures of one bundle; shares as `hits` and `of`."""
    figures: dict[str, Any] = {}
    for name in ("foil", "photographs"):
        if name in trials:
            figures[name] = _recall(trials[name], answers[name])
    foil = trials["foil"]
    blanks = answers["foil"].score[foil.label == 0]
    threshold = budget_threshold(blanks, BUDGETS[0])
    for name in ("photographs", "strange"):
        if name in trials:
            among = answers[name].score[trials[name].label == 0]
            figures[f"blanks of {name} at the threshold of foil"] = _share(among >= threshold)
            figures[f"blanks of {name} at 0.01"] = _share(among >= 0.01)
    figures["blanks of foil at 0.01"] = _share(blanks >= 0.01)
    figures["crowded images above 0.5"] = _share(answers["crowded"].score > 0.5)
    figures["crowded images at the threshold of foil"] = _share(answers["crowded"].score >= threshold)
    for name in ("foil", "doubled", "blurred"):
        large = (trials[name].truth[:, 2] >= 12) & (trials[name].truth[:, 2] <= 40)
        own = budget_threshold(answers[name].score[trials[name].label == 0], BUDGETS[0])
        figures[f"12-40 px, {name}"] = _share(answers[name].score[large] >= own)
    figures |= _places(foil, answers["foil"], threshold)
    return figures


def _recall(trial: Trial, answers: Answers) -> dict[str, Any]:
    label, score, diameter = trial.label, answers.score, trial.truth[:, 2]
    contrast = np.full(len(label), np.nan)
    for number in np.flatnonzero(label):
        contrast[number] = contrast_to_noise(trial.images[number], *trial.truth[number, :3].tolist())
    found: dict[str, Any] = {"area under ROC": roc_area(label, score)}
    for budget in BUDGETS:
        hit = score >= budget_threshold(score[label == 0], budget)
        usual = (diameter >= 4) & (diameter <= 36)
        found[f"4-36 px at {budget:.0%}"] = _share(hit[usual])
        for low, high in pairwise(EDGES):
            found[f"{low:g}-{high:g} px at {budget:.0%}"] = _share(hit[(diameter >= low) & (diameter < high)])
        for low, high in pairwise(RATIOS):
            inside = (trial.truth[:, 3] >= low) & (trial.truth[:, 3] < high)
            found[f"signal over noise {low:g}-{high:g} at {budget:.0%}"] = _share(hit[inside])
        for low, high in pairwise(CONTRASTS):
            inside = (contrast >= low) & (contrast < high)
            found[f"contrast-to-noise {low:g}-{high:g} at {budget:.0%}"] = _share(hit[inside])
    return found


def _places(trial: Trial, answers: Answers, threshold: float) -> dict[str, Any]:
    x, y, diameter, _ = trial.truth.T
    detected = (answers.score >= threshold) & (diameter >= 5)
    near = np.hypot(answers.place[:, 0] - x, answers.place[:, 1] - y) <= np.maximum(4, diameter / 4)
    sized = np.abs(answers.place[:, 2] / np.maximum(diameter, 1e-6) - 1) <= 0.25
    return {
        "detected from 5 px: within 4 px or a quarter": _share(near[detected]),
        "detected from 5 px: diameter within 25%": _share(sized[detected]),
    }


def _share(hit: np.ndarray) -> dict[str, int]:
    return {"hits": int(hit.sum()), "of": len(hit)}


def markdown(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """One table of several bundles, by name."""
    names = list(figures)
    lines = [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]

    def row(title: str, values: list[Any]) -> None:
        lines.append(f"| {title} | {' | '.join(_cell(value) for value in values)} |")

    for key, value in figures[names[0]].items():
        if "hits" in value:
            row(key, [figures[name][key] for name in names])
        else:
            for part in value:
                row(f"{key}: {part}", [figures[name][key][part] for name in names])
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    if not value["of"]:
        return "-"
    low, high = wilson(value["hits"], value["of"])
    return f"{value['hits'] / value['of']:.1%} ({low:.1%}-{high:.1%}, n={value['of']})"

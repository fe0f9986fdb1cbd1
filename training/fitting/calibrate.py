"""Calibration: make a score of 0.8 mean that 80 of 100 such images have a crater, without one more parameter.

Platt scaling (Platt 1999, "Probabilistic outputs for support vector machines") fits a line a * logit + b on held-out
images; the line is then multiplied into the last dense layer. Calibrated means: among as many craters as blanks.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import optimize

from crater_ray.network.bundle import Bundle
from crater_ray.network.stardust import DENSE, Preprocessing, Weights
from training.data_sets.dataset import DataSet
from training.evaluation.intervals import budget_threshold, roc_area
from training.fitting import checkpoint
from training.fitting.best import load_best
from training.network.scoring import logits, probability
from training.recipes import find

LAST = f"dense{len(DENSE) + 1}"

REVIEW_BUDGET = 0.04
"""Share of the blanks that the typical threshold lets through."""


def platt(label: np.ndarray, logit: np.ndarray, odds: float = 1.0) -> tuple[float, float]:
    """Slope and offset that make `logit` (n,) agree best with `label` (n,) of 0 and 1.

    Targets are drawn in from 0 and 1 by one image each, as Platt does, so that a perfect separation stays finite.

    Args:
        label: (n,) 1 with a crater and 0 without.
        logit: (n,) of the network.
        odds: so many blanks for one crater: what both classes weigh. Where craters are rare, the line is that of the
            highest blanks, on which it then depends whether an image has a crater.
    """
    craters, blanks = int((label == 1).sum()), int((label == 0).sum())
    target = np.where(label == 1, (craters + 1.0) / (craters + 2.0), 1.0 / (blanks + 2.0) / odds)
    weight = np.where(label == 1, 0.5 / max(craters, 1), 0.5 * odds / max(blanks, 1))
    centre, spread = float(np.mean(logit)), float(np.std(logit)) or 1.0
    scaled = (logit - centre) / spread

    def loss(line: np.ndarray) -> float:
        z = line[0] * scaled + line[1]
        return float(np.sum(weight * (np.logaddexp(0.0, z) - target * z)))

    begin = np.array([1.0, -np.log(odds)])
    slope, offset = optimize.minimize(loss, begin, method="BFGS" if odds == 1 else "Nelder-Mead").x
    slope = max(float(slope), 1e-3)
    return slope / spread, float(offset) - slope * centre / spread


def fold_line(weights: Weights, slope: float, offset: float) -> Weights:
    """The same network with its logit replaced by slope * logit + offset."""
    kernel, bias = weights[f"{LAST}/kernel"], weights[f"{LAST}/bias"]
    return {
        **weights,
        f"{LAST}/kernel": (kernel * slope).astype(np.float32),
        f"{LAST}/bias": (bias * slope + offset).astype(np.float32),
    }


@dataclass(frozen=True)
class Calibrated:
    """Weights with calibrated scores.

    Attributes:
        weights: with the line multiplied into the last dense layer.
        slope, offset: of the line.
        typical_threshold: the score that `REVIEW_BUDGET` of the held-out blanks reach, rounded for the card.
        facts: what was measured on the held-out images.
    """

    weights: Weights
    slope: float
    offset: float
    typical_threshold: float
    facts: dict[str, Any]


def calibrate(
    weights: Weights, preprocessing: Preprocessing, data: DataSet, *, as_they_are: bool = False
) -> Calibrated:
    """Calibrate a network's scores, or leave them as they are, and choose its typical threshold, on held-out images."""
    label = data.column("label")
    logit = logits(weights, preprocessing, data)
    slope, offset = (1.0, 0.0) if as_they_are else platt(label, logit)
    score = probability(slope * logit + offset)
    threshold = budget_threshold(score[label == 0], REVIEW_BUDGET)
    facts = {
        "data": data.digest,
        "images": len(data),
        "roc_area": round(roc_area(label, logit), 4),
        "recall_at_typical_threshold": round(float((score[label == 1] >= threshold).mean()), 4),
        "false_alarms_at_typical_threshold": round(float((score[label == 0] >= threshold).mean()), 4),
    }
    rounded = round(float(np.clip(threshold, 1e-4, 0.999)), 4)
    return Calibrated(fold_line(weights, slope, offset), slope, offset, rounded, facts)


def calibrated_bundle(
    fit_folder: Path, data: DataSet, *, name: str, note: str = "", as_they_are: bool = False
) -> Bundle:
    """Make a bundle of a fit's best weights.

    Args:
        fit_folder: folder of a fit, finished or not.
        data: held-out whole images: the line and the typical threshold are chosen on them.
        name: what people will call the bundle.
        note: what they should know about it.
        as_they_are: leave scores as the network gives them, uncalibrated.
    """
    weights = load_best(fit_folder)
    state = checkpoint.peek(fit_folder / checkpoint.FILE) or checkpoint.State()
    recipe = find(state.settings["recipe"])
    made = calibrate(weights, recipe.learning.preprocessing, data, as_they_are=as_they_are)
    odds = "scores as the network gives them" if as_they_are else "as many craters as blanks"
    line = {"data": data.digest, "slope": made.slope, "offset": made.offset, "odds": odds}
    return Bundle(
        weights=made.weights,
        preprocessing=recipe.learning.preprocessing,
        typical_threshold=made.typical_threshold,
        trained=_trained(state, recipe.card(), line, note),
        figures={"calibration_set": made.facts},
        name=name,
    )


def _trained(state: checkpoint.State, recipe: dict[str, Any], calibration: dict[str, Any], note: str) -> dict[str, Any]:
    import keras

    return {
        "recipe": recipe,
        "data": state.settings.get("data"),
        "seed": state.settings.get("seed"),
        "begun": state.settings.get("begun"),
        "filters": state.settings.get("filters"),
        "precision": state.settings.get("dtype"),
        "step": state.step,
        "epoch": state.epoch,
        "minutes": round(state.seconds / 60.0, 1),
        "images_seen": state.images,
        "megapixels_seen": round(state.megapixels, 1),
        "calibration": calibration,
        "versions": {
            "python": platform.python_version(),
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
            "numpy": np.__version__,
        },
        **({"note": note} if note else {}),
    }

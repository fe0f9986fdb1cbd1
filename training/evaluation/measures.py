"""What a detector's scores are worth on one test set: recall, false alarms, budgets, calibration, by what and where."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from training.data_sets.dataset import DataSet
from training.evaluation.intervals import budget_threshold, roc_area, wilson

DIAMETER_BINS = (3.0, 5.0, 8.0, 12.0, 20.0, 40.0)
CONTRAST_BINS = (0.0, 1.0, 2.0, 4.0, 8.0, float("inf"))
THRESHOLDS = (0.01, 0.1, 0.5)
BUDGET = 0.04
ORIGINAL_RANGE = (4.0, 36.0)
"""Diameters in pixels over which methods are compared."""


def measure(data: DataSet, score: np.ndarray, *, typical: float | None = None) -> dict[str, Any]:
    """All figures of one detector on one test set.

    Args:
        data: the test set.
        score: one score an image, (n,), of any rising scale.
        typical: the threshold its bundle recommends; scores are then probabilities, and their calibration and the
            fixed thresholds are measured too. Nothing for methods whose scores are no probabilities.
    """
    label = data.column("label")
    craters, blanks = label == 1, label == 0
    at_budget = budget_threshold(score[blanks], BUDGET)
    thresholds = {f"budget {BUDGET:.0%}": at_budget}
    if typical is not None:
        thresholds |= {f"{value:g}": value for value in THRESHOLDS} | {"typical": typical}
    diameter = data.column("diameter_px")
    compared = craters & (diameter >= ORIGINAL_RANGE[0]) & (diameter <= ORIGINAL_RANGE[1])
    figures: dict[str, Any] = {
        "images": len(data),
        "craters": int(craters.sum()),
        "blanks": int(blanks.sum()),
        "roc_area": roc_area(label, score),
        "average_precision": average_precision(label, score),
        "thresholds": {name: _at(label, score, value) for name, value in thresholds.items()},
        "recall_at_budget_4_to_36_px": _share(score[compared] >= at_budget),
        "recall_by_diameter_px": _binned(diameter, craters, score >= at_budget, DIAMETER_BINS),
        "recall_by_contrast_to_noise": _binned(
            data.column("contrast_to_noise"), craters, score >= at_budget, CONTRAST_BINS
        ),
        "recall_by_source": _grouped(data.column("source"), craters, score >= at_budget),
        "false_alarms_by_defect": _grouped(data.column("defect"), blanks, score >= at_budget),
        "false_alarms_by_source": _grouped(data.column("source"), blanks, score >= at_budget),
        "distinct_among_top_200": len(np.unique(np.sort(score.astype(np.float32))[::-1][:200])),
    }
    if typical is not None:
        figures["calibration"] = calibration(label, score)
    return figures


def average_precision(label: np.ndarray, score: np.ndarray) -> float:
    """Mean precision over the recalls at which craters are met, best score first."""
    precision, recall = precision_recall(label, score)
    return float(np.sum(np.diff(np.concatenate([[0.0], recall])) * precision))


def precision_recall(label: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall at each distinct threshold, highest first."""
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(label[order] == 1)
    last = np.append(np.diff(score[order]) != 0, True)
    return (hits / np.arange(1, len(label) + 1))[last], (hits / max(int((label == 1).sum()), 1))[last]


def roc(label: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False-alarm share and recall at each distinct threshold, highest first, beginning at none."""
    order = np.argsort(-score, kind="stable")
    last = np.append(np.diff(score[order]) != 0, True)
    hits = np.cumsum(label[order] == 1)[last] / max(int((label == 1).sum()), 1)
    alarms = np.cumsum(label[order] == 0)[last] / max(int((label == 0).sum()), 1)
    return np.concatenate([[0.0], alarms]), np.concatenate([[0.0], hits])


def calibration(label: np.ndarray, score: np.ndarray, bins: int = 10, odds: float = 1.0) -> dict[str, Any]:
    """Reliability over equally wide bins, and the expected calibration error (Guo et al. 2017, ICML).

    There are `odds` blanks for one crater, whatever the images given: both classes count alike when it is 1.
    """
    weight = np.where(label == 1, 1 / max((label == 1).sum(), 1), odds / max((label == 0).sum(), 1)) / (1 + odds)
    place = np.minimum((score * bins).astype(int), bins - 1)
    curve, error = [], 0.0
    for number in range(bins):
        inside = place == number
        total = float(weight[inside].sum())
        if total > 0:
            mean_score = float((weight * score)[inside].sum()) / total
            share = float((weight * label)[inside].sum()) / total
            error += total * abs(mean_score - share)
            curve.append({"mean_score": mean_score, "craters": share, "images": int(inside.sum())})
    return {"expected_calibration_error": error, "curve": curve}


def _at(label: np.ndarray, score: np.ndarray, threshold: float) -> dict[str, Any]:
    flagged = score >= threshold
    return {
        "threshold": float(threshold),
        "sensitivity": _share(flagged[label == 1]),
        "specificity": _share(~flagged[label == 0]),
        "blanks_to_review": float(flagged[label == 0].mean()),
    }


def _share(hit: np.ndarray) -> dict[str, Any]:
    """A proportion, of nothing None, with its 95% Wilson interval."""
    low, high = wilson(int(hit.sum()), len(hit))
    share = float(hit.mean()) if len(hit) else None
    return {"share": share, "of": len(hit), "low": low, "high": high}


def _binned(value: np.ndarray, among: np.ndarray, hit: np.ndarray, edges: tuple[float, ...]) -> dict[str, Any]:
    named = {}
    for low, high in itertools.pairwise(edges):
        inside = among & (value >= low) & ((value < high) | (high == edges[-1]) & (value <= high))
        named[f"{low:g}-{high:g}"] = _share(hit[inside])
    return named


def _grouped(group: np.ndarray, among: np.ndarray, hit: np.ndarray) -> dict[str, Any]:
    return {str(name) or "none": _share(hit[among & (group == name)]) for name in sorted(set(group[among]))}

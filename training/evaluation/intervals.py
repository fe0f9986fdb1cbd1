"""Figures of merit and their uncertainty: Wilson intervals, areas under curves, thresholds for a review budget."""

from __future__ import annotations

import numpy as np

from crater_ray.results.intervals import Z95, wilson

__all__ = ["Z95", "budget_threshold", "roc_area", "wilson"]


def roc_area(label: np.ndarray, score: np.ndarray) -> float:
    """Area under the receiver operating curve: the odds that a crater scores above a blank, ties counting half.

    Args:
        label: (n,), 1 for craters and 0 for blanks.
        score: (n,), any scale.
    """
    craters, blanks = score[label == 1], np.sort(score[label == 0])
    if not len(craters) or not len(blanks):
        return 0.5
    below, upto = np.searchsorted(blanks, craters, "left"), np.searchsorted(blanks, craters, "right")
    return float((below + upto).mean() / 2.0 / len(blanks))


def budget_threshold(blank_scores: np.ndarray, budget: float) -> float:
    """The lowest threshold at which at most `budget` (0..1) of the blanks score at or above it."""
    ordered = np.sort(blank_scores)[::-1]
    allowed = int(np.floor(budget * len(ordered)))
    if allowed >= len(ordered):
        return float(ordered[-1])
    return float(np.nextafter(np.float32(ordered[allowed]), np.float32(np.inf)))

"""How the scores of a whole run are distributed, small enough for a page: a histogram and images per threshold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

LOWEST = 1e-4
"""Scores from 0 to here share the first bin; likewise from one minus this to 1 the last."""
BINS = 60
STEPS = 240
"""Thresholds between which the slider moves."""


def to_axis(score: np.ndarray) -> np.ndarray:
    """Scores to 0..1 along an axis on which 0.001, 0.01, 0.1 and 0.9, 0.99, 0.999 are equally far apart (logit)."""
    p = np.clip(np.asarray(score, np.float64), LOWEST, 1 - LOWEST)
    end = np.log((1 - LOWEST) / LOWEST)
    return np.asarray((np.log(p / (1 - p)) / end + 1) / 2)


def from_axis(place: np.ndarray) -> np.ndarray:
    """The inverse of `to_axis`."""
    end = np.log((1 - LOWEST) / LOWEST)
    return np.asarray(1 / (1 + np.exp(-(2 * np.asarray(place, np.float64) - 1) * end)))


@dataclass
class Distribution:
    """What a gallery says of all images of a run.

    Attributes:
        statuses: rows by status.
        bins: (BINS,) images by place of their score along `to_axis`.
        thresholds: rising, with 0 and the usual cut-offs among them.
        reached: for each threshold how many images have that score or more.
    """

    statuses: Counter[str]
    bins: np.ndarray
    thresholds: np.ndarray
    reached: np.ndarray

    def as_json(self) -> dict[str, Any]:
        return {
            "statuses": self.statuses.most_common(),
            "bins": self.bins.tolist(),
            "thresholds": self.thresholds.tolist(),
            "reached": self.reached.tolist(),
        }


def distribution(parts: Iterable[pa.Table], cuts: Iterable[float]) -> Distribution:
    """Count the scores of a run, part by part.

    Args:
        parts: tables with `status` and `score`.
        cuts: thresholds that must be among those counted, such as the run's.
    """
    steps = [float(f"{value:.3g}") for value in from_axis(np.linspace(0, 1, STEPS))]
    thresholds = np.unique([0.0, 0.01, 0.1, 0.5, 1.0, *cuts, *steps])
    edges = thresholds.astype(np.float32)
    statuses: Counter[str] = Counter()
    bins = np.zeros(BINS, np.int64)
    below = np.zeros(len(thresholds), np.int64)
    scored = 0
    for rows in parts:
        for entry in rows["status"].value_counts().to_pylist():
            statuses[entry["values"]] += entry["counts"]
        scores = rows["score"].drop_null().to_numpy()
        scored += len(scores)
        places = np.minimum((to_axis(scores) * BINS).astype(int), BINS - 1)
        bins += np.bincount(places, minlength=BINS)
        below += np.searchsorted(np.sort(scores), edges, side="left")
    return Distribution(statuses, bins, thresholds, scored - below)

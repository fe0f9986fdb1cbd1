"""The figures of the claim, measured with a saved bundle, and those that were published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crater_ray.network.bundle import load
from training.data_sets.dataset import DataSet
from training.evaluation.evaluate import of_bundle
from training.evaluation.intervals import wilson
from training.evaluation.measures import measure

PUBLISHED = {
    "specificity": {"share": 499 / 500, "of": 500, "low": wilson(499, 500)[0], "high": wilson(499, 500)[1]},
    "sensitivity": {"share": 499 / 500, "of": 500, "low": wilson(499, 500)[0], "high": wilson(499, 500)[1]},
}
"""Of the abstract: 99.8% of 500 blanks and of 500 pasted craters, at 0.5, with 95% Wilson intervals."""


def claim(bundle: Path, test: DataSet) -> dict[str, Any]:
    """What the bundle in a folder makes of test images.

    Returns:
        `bundle`, its id; `specificity` and `sensitivity` at 0.5 and `blanks_at_0.01`, the share of blanks that score
        0.01 or more: each with `share`, `of`, and the 95% Wilson interval from `low` to `high`; `roc_area`.
    """
    loaded = load(bundle)
    figures = measure(test, of_bundle(loaded).score(test), typical=loaded.typical_threshold)
    half, low = figures["thresholds"]["0.5"], figures["thresholds"]["0.01"]["specificity"]
    return {
        "bundle": loaded.id,
        "specificity": half["specificity"],
        "sensitivity": half["sensitivity"],
        "blanks_at_0.01": {
            "share": 1.0 - low["share"],
            "of": low["of"],
            "low": 1.0 - low["high"],
            "high": 1.0 - low["low"],
        },
        "roc_area": figures["roc_area"],
    }

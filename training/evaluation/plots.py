"""The plots of an evaluation, as PNG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from training.evaluation.measures import precision_recall, roc


def plot(
    results: dict[str, Any], labels: dict[str, np.ndarray], scores: dict[str, np.ndarray], folder: Path
) -> list[Path]:
    """Draw, for each test set, ROC, precision-recall, recall by diameter and reliability; return the files."""
    from matplotlib.figure import Figure

    files = []
    for test, label in labels.items():
        figure = Figure(figsize=(12, 9), layout="constrained")
        axes = figure.subplots(2, 2)
        for name, figures in results["figures"].items():
            score = scores[f"{name}|{test}"]
            axes[0, 0].step(*roc(label, score), where="post", label=name)
            precision, recall = precision_recall(label, score)
            axes[0, 1].plot(recall, precision, label=name)
            bins = figures[test]["recall_by_diameter_px"]
            # A bin without craters has no share: as a float that is not a number, and is not drawn.
            shares = np.array([one["share"] for one in bins.values()], float)
            ends = np.array([[one["low"], one["high"]] for one in bins.values()], float).T
            axes[1, 0].errorbar(
                list(bins), shares, yerr=np.abs(np.nan_to_num(ends - shares)), capsize=4, marker="o", label=name
            )
            if "calibration" in figures[test]:
                curve = figures[test]["calibration"]["curve"]
                axes[1, 1].plot(
                    [one["mean_score"] for one in curve], [one["craters"] for one in curve], marker="o", label=name
                )
        axes[0, 0].axvline(0.04, color="grey", linewidth=0.8, linestyle="--")
        axes[1, 1].plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle="--")
        for axis, title, across, up in zip(
            axes.flat,
            ("Receiver operating curve", "Precision and recall", "Recall at 4% of blanks", "Reliability"),
            ("blanks flagged", "recall", "diameter (px)", "score"),
            ("craters found", "precision (as many craters as blanks)", "craters found", "share of craters"),
            strict=True,
        ):
            axis.set(title=title, xlabel=across, ylabel=up, ylim=(0, 1.02))
        axes[0, 0].set_xscale("symlog", linthresh=0.01)
        axes[0, 0].legend(loc="lower right", fontsize=8)
        figure.suptitle(test)
        path = folder / f"{test}.png"
        figure.savefig(path, dpi=110)
        files.append(path)
    return files

"""The report of an evaluation: Markdown tables and PNG plots of its figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from training.evaluation.measures import precision_recall, roc


def markdown(results: dict[str, Any]) -> str:
    """The tables of a report, as Markdown; every share with its 95% Wilson interval."""
    lines: list[str] = []
    names = list(results["figures"])
    for test in results["sets"]:
        first = results["figures"][names[0]][test]
        lines += [f"## {test}", "", f"{first['craters']} craters, {first['blanks']} blanks", ""]
        lines += _table(
            ["", *names],
            [
                [row, *(pick(results["figures"][name][test]) for name in names)]
                for row, pick in (
                    ("recall of 4-36 px at 4% of blanks", lambda f: share(f["recall_at_budget_4_to_36_px"])),
                    ("area under ROC", lambda f: f"{f['roc_area']:.4f}"),
                    ("average precision", lambda f: f"{f['average_precision']:.4f}"),
                    ("expected calibration error", _calibration_error),
                    ("distinct scores among top 200", lambda f: str(f["distinct_among_top_200"])),
                )
            ],
        )
        for title, key in (
            ("Recall by diameter in pixels, at 4% of blanks", "recall_by_diameter_px"),
            ("Recall by contrast-to-noise, at 4% of blanks", "recall_by_contrast_to_noise"),
            ("Recall by source, at 4% of blanks", "recall_by_source"),
            ("False alarms by the largest defect of the blank, at 4% of blanks", "false_alarms_by_defect"),
            ("False alarms by source, at 4% of blanks", "false_alarms_by_source"),
        ):
            rows = [
                [group, *(share(results["figures"][name][test][key][group]) for name in names)] for group in first[key]
            ]
            lines += [f"**{title}**", "", *_table(["", *names], rows)]
        rows = [
            [name, label, f"{at['threshold']:.4g}", share(at["sensitivity"]), share(at["specificity"])]
            for name in names
            for label, at in results["figures"][name][test]["thresholds"].items()
        ]
        lines += ["**Thresholds**", "", *_table(["", "threshold", "value", "sensitivity", "specificity"], rows)]
    return "\n".join(lines) + "\n"


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


def _calibration_error(figures: dict[str, Any]) -> str:
    if "calibration" not in figures:
        return "-"
    return f"{figures['calibration']['expected_calibration_error']:.4f}"


def share(one: dict[str, Any]) -> str:
    """A proportion of `training.evaluation.measures`, with its interval, for people."""
    if not one["of"]:
        return "-"
    return f"{one['share']:.1%} ({one['low']:.1%}-{one['high']:.1%}, n={one['of']})"


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows)] + [""]

"""The report of a reproduction, written after every epoch: JSON, Markdown, and the curve of validation as a picture."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from training.fitting.checkpoint import State
from training.fitting.fit import CHANCE
from training.reproduction.figures import PUBLISHED
from training.reproduction.protocol import Protocol

CAUTION = (
    "These figures flatter: the same seed craters and the same frames are in training, validation and test, "
    "as they were in the original."
)
LAST = 20
"""Epochs in the table."""


def write_report(
    folder: Path, protocol: Protocol, state: State, *, ended: bool, figures: dict[str, Any] | None = None
) -> None:
    """Write report.json, report.md and curve.png.

    Args:
        folder: of the reproduction.
        protocol: by which it goes.
        state: of its fit.
        ended: whether both steps have ended.
        figures: as `claim` gives them, with the step and epoch of `state` to be added; those of an earlier report
            stay when there are no newer ones.
    """
    epochs = read_log(folder / "fit" / "log.csv")
    path = folder / "report.json"
    if figures is None and path.exists():
        figures = json.loads(path.read_text(encoding="utf-8"))["figures"]
    report = {
        "caution": CAUTION,
        "ended": ended,
        "step": state.step,
        "epoch": state.epoch,
        "images_seen": state.images,
        "megapixels_seen": round(state.megapixels, 1),
        "minutes": round(state.seconds / 60.0, 1),
        "best_accuracy": state.best,
        "epochs_without_better": state.waited,
        "figures": figures,
        "published": PUBLISHED,
        "protocol": asdict(protocol),
        "epochs": epochs,
    }
    _replace(path, json.dumps(report, indent=2) + "\n")
    _replace(folder / "report.md", _markdown(report, protocol))
    if epochs:
        draw_curve(epochs, folder / "curve.png")


def read_log(path: Path) -> list[dict[str, float]]:
    """The epochs of a fit's log.csv; none before its first."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)]


def draw_curve(epochs: list[dict[str, float]], path: Path) -> None:
    """Draw validation accuracy and loss over the images seen."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 7), layout="constrained")
    axes = figure.subplots(2, 1, sharex=True)
    seen = [one["images"] for one in epochs]
    axes[0].plot(seen, [one["accuracy"] for one in epochs], marker=".", label="validation")
    axes[0].axhline(0.5, color="grey", linewidth=0.8, linestyle="--", label="guessing")
    axes[1].plot(seen, [one["validation_loss"] for one in epochs], marker=".", label="validation")
    axes[0].set(ylabel="accuracy", ylim=(0.4, 1.01), title="As the original trained: same seeds and frames throughout")
    axes[1].set(ylabel="loss (cross-entropy)", xlabel="images seen", yscale="log")
    second = [one["images"] for one in epochs if one["step"] == 2]
    for axis in axes:
        if second:
            axis.axvline(second[0], color="black", linewidth=0.8, linestyle=":", label="step 2, whole images")
        axis.legend(fontsize=8)
    temporary = path.with_suffix(".partial")
    figure.savefig(temporary, dpi=110, format="png")
    temporary.replace(path)


def _markdown(report: dict[str, Any], protocol: Protocol) -> str:
    foil = f"Blanks are cut from {protocol.frames} simulated frames: the original's foils are not at hand."
    if protocol.frames_folder:
        foil = "Blanks are cut from given images."
    seeds = "Seeds are given cut-outs." if protocol.seeds_folder else "Seeds are 97 simulated craters."
    state = (
        f"{'Training has ended.' if report['ended'] else 'Training has not ended.'} Step {report['step']} of 2, "
        f"epoch {report['epoch']}: {report['images_seen']:,} images in {report['minutes']:,.0f} minutes; best "
        f"validation accuracy of this step {max(report['best_accuracy'], 0.0):.4f}, "
        f"{report['epochs_without_better']} of {protocol.patience} epochs without a better one."
    )
    if report["best_accuracy"] <= CHANCE:
        state += " It still guesses; the original's sat at 0.50 for its first epochs too."
    lines = [CAUTION, "", "# The original's claim, by its own protocol", "", f"{foil} {seeds}", "", state, ""]
    lines += [*_claim(report["figures"]), "![Validation over images seen](curve.png)", ""]
    header = ("step", "epoch", "images", "loss", "validation accuracy", "validation loss", "validation AUC")
    lines += [f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    for one in report["epochs"][-LAST:]:
        lines.append(
            f"| {one['step']:.0f} | {one['epoch']:.0f} | {one['images']:,.0f} | {one['loss']:.4f} | "
            f"{one['accuracy']:.4f} | {one['validation_loss']:.4f} | {one['validation_auc']:.4f} |"
        )
    return "\n".join(lines) + "\n"


def _claim(figures: dict[str, Any] | None) -> list[str]:
    if figures is None:
        return [
            "Not measured on the test images yet: that is done at the end of a call, once it no longer guesses.",
            "",
        ]
    return [
        f"Bundle {figures['bundle']}: the best weights up to step {figures['step']}, epoch {figures['epoch']}.",
        "",
        "| | here | abstract |",
        "|---|---|---|",
        f"| specificity at 0.5 | {_share(figures['specificity'])} | {_share(PUBLISHED['specificity'])} |",
        f"| sensitivity at 0.5 | {_share(figures['sensitivity'])} | {_share(PUBLISHED['sensitivity'])} |",
        f"| blanks at or above 0.01 | {_share(figures['blanks_at_0.01'])} | "
        "under 15,000 of about 424,000 images of the archive |",
        "",
    ]


def _share(one: dict[str, Any]) -> str:
    return f"{one['share']:.1%} ({one['low']:.2%}-{one['high']:.2%}, n={one['of']})"


def _replace(path: Path, text: str) -> None:
    temporary = path.with_suffix(".partial")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)

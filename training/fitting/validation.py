"""Validation after each epoch: figures on held-out images, and the line of the log that holds them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from training.data_sets.dataset import DataSet
from training.evaluation.intervals import roc_area
from training.fitting.checkpoint import State
from training.fitting.settings import Settings

if TYPE_CHECKING:
    import keras

FIGURES = ("validation_auc", "accuracy", "recall_at_4", "validation_loss")
LOG = ("step", "epoch", "minutes", "images", "megapixels", "learning_rate", "loss", *FIGURES)


def validate(model: keras.Model, validation: DataSet) -> dict[str, float]:
    """The `FIGURES` of a model on held-out images."""
    label = validation.column("label")
    logit = np.empty(len(label), np.float32)
    size = 50 if max(validation.shape) < 256 else 8
    for first in range(0, len(label), size):
        rows = np.arange(first, min(first + size, len(label)))
        logit[rows] = np.asarray(model.predict_on_batch(validation.images(rows)[..., None])["score"])[:, 0]
    blanks = np.sort(logit[label == 0])
    threshold = blanks[min(int(np.ceil(0.96 * len(blanks))), len(blanks) - 1)]
    return {
        "validation_auc": roc_area(label, logit),
        "accuracy": float(((logit > 0) == (label == 1)).mean()),
        "recall_at_4": float((logit[label == 1] > threshold).mean()),
        "validation_loss": float(np.mean(np.logaddexp(0.0, logit) - label * logit)),
    }


def write_log(folder: Path, state: State, loss: float, rate: float, figures: dict[str, float]) -> None:
    """Add a line to log.csv, in place of those of epochs that are done again; a kill leaves it as it was."""
    minutes = round(state.seconds / 60.0, 2)
    values = [state.step, state.epoch, minutes, state.images, round(state.megapixels, 1), f"{rate:.2e}"]
    values += [round(loss, 4), *(round(figures[key], 4) for key in FIGURES)]
    path = folder / "log.csv"
    rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines())) if path.exists() else []
    # The log of a fit that an earlier version began has fewer figures, and may end within a line.
    columns = rows[0] if rows else list(LOG)
    earlier = [
        row for row in rows[1:] if len(row) == len(columns) and (int(row[0]), int(row[1])) < (state.step, state.epoch)
    ]
    partial = path.with_suffix(".partial")
    with partial.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([columns, *earlier, values[: len(columns)]])
    partial.replace(path)


def describe(state: State, settings: Settings, loss: float, figures: dict[str, float]) -> str:
    """One line for people about the epoch that ended."""
    minutes = state.seconds / 60.0
    began = f"step {state.step} epoch {state.epoch}: loss {loss:.4f}, "
    seen = f"{state.images:,} images in {minutes:.1f} min"
    if settings.patience is None:
        used = settings.budget.used(state)
        left = f"{minutes * (1.0 - used) / max(used, 1e-6):.0f} min left"
        quality = f"AUC {figures['validation_auc']:.4f}, recall at 4% false alarms {figures['recall_at_4']:.3f}"
    else:
        quality = f"accuracy {figures['accuracy']:.4f}, loss {figures['validation_loss']:.4f}, best {state.best:.4f}"
        left = f"{state.waited} of {settings.patience} epochs without a better one"
    return f"{began}validation {quality}; {seen}, {left}"

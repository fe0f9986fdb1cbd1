"""The best weights of a fit so far, in its folder: one file a step, as the network ships."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from crater_ray.errors import UsageError
from crater_ray.network.pruning import restore_inactive
from crater_ray.network.stardust import Weights
from training.network.fold import fold

if TYPE_CHECKING:
    import keras


def save_best(folder: Path, step: int, model: keras.Model) -> None:
    """Write the weights of a model made by `build_trainable`, folded, with all their filters."""
    with (folder / f"best-step{step}.partial").open("wb") as stream:
        np.savez(stream, **restore_inactive(fold(model)))  # type: ignore[arg-type]
    (folder / f"best-step{step}.partial").replace(folder / f"best-step{step}.npz")


def load_best(folder: Path, step: int | None = None) -> Weights:
    """The best weights of `step`, or of the last step that has any.

    Raises:
        UsageError: no epoch was finished yet.
    """
    for candidate in (step,) if step else (2, 1):
        path = folder / f"best-step{candidate}.npz"
        if path.exists():
            with np.load(path, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
    raise UsageError(f"No weights in {str(folder)!r} yet: a fit writes them after its first epoch.")

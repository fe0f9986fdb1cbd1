"""A checkpoint: all variables of model and optimizer and the state of the fit, in one file that is whole or absent."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crater_ray.errors import UsageError

if TYPE_CHECKING:
    import keras


FILE = "checkpoint.npz"
"""What it is called in the folder of a fit."""


@dataclass
class State:
    """How far a fit has come.

    Attributes:
        step: 1 on crops, 2 on whole images.
        epoch: epochs finished in this step.
        batches: optimizer steps taken in this step.
        seconds: training time used in both steps, validation not counted.
        megapixels: image area that was trained on in both steps.
        images: how many images that were.
        spent: progress, 0..1 of the budget, at which this step began.
        best: best validation figure of this step.
        waited: epochs since then.
        done: batches of the present epoch that are done, where a call ended within it.
        loss: sum of their losses.
        settings: what must not change between runs.
    """

    step: int = 1
    epoch: int = 0
    batches: int = 0
    seconds: float = 0.0
    megapixels: float = 0.0
    images: int = 0
    spent: float = 0.0
    best: float = -1.0
    waited: int = 0
    done: int = 0
    loss: float = 0.0
    settings: dict[str, Any] = field(default_factory=dict)


def save(path: Path, model: keras.Model, optimizer: keras.Optimizer, state: State) -> None:
    """Write the checkpoint; a kill at any moment leaves the previous one."""
    arrays = {f"model{number}": np.asarray(v.numpy()) for number, v in enumerate(model.variables)}
    arrays |= {f"optimizer{number}": np.asarray(v.numpy()) for number, v in enumerate(optimizer.variables)}
    temporary = path.with_suffix(".partial")
    with temporary.open("wb") as stream:
        np.savez(stream, state=np.array(json.dumps(asdict(state))), **arrays)  # type: ignore[arg-type]
    temporary.replace(path)


def peek(path: Path) -> State | None:
    """The state in a checkpoint; nothing where there is no checkpoint.

    Raises:
        UsageError: the file is no checkpoint.
    """
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            return State(**json.loads(str(stored["state"])))
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise UsageError(f"{str(path)!r} is no checkpoint of a fit: {problem}. Remove it to begin anew.") from None


def restore(path: Path, model: keras.Model, optimizer: keras.Optimizer | None) -> None:
    """Put a checkpoint's variables back; into the model alone when no optimizer is given."""
    with np.load(path, allow_pickle=False) as stored:
        for number, variable in enumerate(model.variables):
            variable.assign(stored[f"model{number}"])
        if optimizer is not None:
            for number, variable in enumerate(optimizer.variables):
                variable.assign(stored[f"optimizer{number}"])

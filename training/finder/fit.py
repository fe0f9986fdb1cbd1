"""Fitting the finder: a budget of batches, one rate or a cosine, averaged weights, a checkpoint every few minutes."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from crater_ray.network.bundle import load
from crater_ray.network.finder import WIDTHS
from training.finder.begin import begin_from
from training.finder.loss import finder_loss
from training.finder.replay import Replay
from training.finder.stream import Batches, stream

WARM_UP = 200
EVERY_SECONDS = 240.0


@dataclass(frozen=True)
class Settings:
    """What is fitted, and how long.

    Attributes:
        batches: of scenes.
        steps: batches in all.
        rate: highest learning rate.
        widths: filters of the finder; see `crater_ray.network.finder.WIDTHS`.
        dtype: Keras policy.
        seed: of first weights.
        stop: batches after which to stop for now; None for the end.
        begin: a bundle, or the folder of a fit, to begin from; None for fresh weights.
        flat: the rate stays as it is: what a cosine does at its end, long averages do at any batch.
        memory: batches over which weights are averaged, at most; at most a third of those so far.
        replayed: scenes of a batch that are shown again, as the network took something in them for a crater.
    """

    batches: Batches
    steps: int = 12_000
    rate: float = 2e-3
    widths: tuple[int, int, int, int] = WIDTHS
    dtype: str = "mixed_bfloat16"
    seed: int = 0
    begin: str | None = None
    stop: int | None = None
    flat: bool = False
    memory: int = 500
    replayed: int = 2


def fit(settings: Settings, folder: Path) -> None:
    """Fit, or go on where a stopped fit was; `folder` keeps model, optimizer state and log."""
    import keras
    import tensorflow as tf

    from crater_ray.network import finder
    from training.finder.normalization import FusedNormalization

    keras.utils.set_random_seed(settings.seed)
    model = finder.build(settings.widths, dtype=settings.dtype, normalization=FusedNormalization)
    bias = np.zeros(finder.OUTPUTS, np.float32)
    bias[0] = -4.6
    model.get_layer("maps").bias.assign(bias)
    if settings.begin is not None and not (folder / "state.json").exists():
        _begin(settings, settings.begin, model)
    optimizer = keras.optimizers.AdamW(settings.rate, weight_decay=1e-3, clipnorm=5.0)
    optimizer.build(model.trainable_variables)
    slow = [tf.Variable(variable) for variable in model.weights]
    state: dict[str, float] = {"step": 0, "seconds": 0.0}
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "state.json").exists():
        state = json.loads((folder / "state.json").read_text())
        with np.load(folder / "state.npz") as stored:
            for group, variables in (("m", model.weights), ("o", optimizer.variables), ("s", slow)):
                for number, variable in enumerate(variables):
                    variable.assign(stored[f"{group}{number}"])
    (folder / "settings.json").write_text(json.dumps(asdict(settings), default=str, indent=1))

    @tf.function  # type: ignore[untyped-decorator]
    def step(images: Any, targets: Any, keep: Any) -> Any:
        with tf.GradientTape() as tape:
            loss, false = finder_loss(targets, tf.cast(model(images, training=True)["maps"], tf.float32))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        for average, variable in zip(slow, model.weights, strict=True):
            average.assign(average * keep + tf.cast(variable, average.dtype) * (1 - keep))
        return loss, false

    def save() -> None:
        arrays = {
            f"{group}{number}": np.asarray(variable)
            for group, variables in (("m", model.weights), ("o", optimizer.variables), ("s", slow))
            for number, variable in enumerate(variables)
        }
        np.savez(folder / "state.tmp.npz", **arrays)  # type: ignore[arg-type]
        (folder / "state.tmp.npz").replace(folder / "state.npz")
        (folder / "state.json").write_text(json.dumps(state))

    began, last, losses = time.monotonic() - state["seconds"], time.monotonic(), []
    replay = Replay(settings.replayed, settings.seed)
    for images, targets in stream(settings.batches, int(state["step"])):
        state["seconds"] = time.monotonic() - began
        if state["step"] >= min(settings.steps, settings.stop or settings.steps):
            break
        warm = min(1.0, (state["step"] + 1) / WARM_UP)
        cosine = 1.0 if settings.flat else 0.5 + 0.5 * np.cos(np.pi * state["step"] / settings.steps)
        optimizer.learning_rate.assign(settings.rate * warm * cosine + 1e-6)
        keep = min(1 - 1 / settings.memory, (1 + state["step"]) / (4 + state["step"]))
        replay.put_into(images, targets)
        loss, false = step(images, targets, tf.constant(keep, tf.float32))
        replay.note(images, targets, false.numpy())
        losses.append(float(loss))
        state["step"] += 1
        if state["step"] % 100 == 0:
            line = f"{state['step']} {state['seconds'] / 60:.1f} min loss {np.mean(losses[-100:]):.4f}"
            line += f", {replay.kept} of {replay.looked} scenes kept to be shown again"
            print(line, flush=True)
            if not np.isfinite(losses[-1]):
                raise SystemExit("loss is not finite")
        if time.monotonic() - last > EVERY_SECONDS:
            save()
            last = time.monotonic()
    save()


def _begin(settings: Settings, begin: str, model: Any) -> None:
    """Weights of an earlier fit, averaged, or of a bundle."""
    if (Path(begin) / "state.npz").exists():
        with np.load(Path(begin) / "state.npz") as stored:
            for number, variable in enumerate(model.weights):
                variable.assign(stored[f"s{number}"])
        return
    scenes = stream(replace(settings.batches, mined=None))
    begin_from(load(begin), model, (images for images, _ in islice(scenes, 16)))
    scenes.close()

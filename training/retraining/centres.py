"""Retraining a finder: verdicts become centres on its map, and elsewhere it goes on saying what it said.

A confirmed crater is one position that must say so; where on the image it lies is the verdict's place, or else the
network's own strongest centre, and its diameter is the network's own. Nothing else of that image is asked. A false
alarm is an image of which every position must say no. Of ordinary images the network must go on saying what it said
(learning without forgetting: Li and Hoiem 2016, arXiv 1606.09282).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from crater_ray.network import finder
from crater_ray.network.stardust import Weights
from training.data_sets.dataset import DataSet
from training.finder.loss import finder_loss
from training.finder.targets import draw_targets
from training.fitting.settings import Budget
from training.retraining.added import Added
from training.scenes.scene import VISIBLE

SIDE = 192
"""Of the crops, px, or what the images allow."""
BATCH = 8
"""Crops of added images in a batch, and as many of ordinary ones."""
RATE = 3e-4
KEPT = 1.0
"""Weight of what is to be kept beside what is to be learnt."""
SAY_EVERY = 30.0


@dataclass(frozen=True)
class Judged:
    """Added images as the map sees them.

    Attributes:
        added: the images.
        craters: for each (k, 3) float32 of x, y and diameter in px; none for a blank.
    """

    added: Added
    craters: tuple[np.ndarray, ...]


def place_verdicts(weights: Weights, added: Added) -> Judged:
    """Say where on each confirmed image the crater is, and how large, as far as the verdict does not."""
    model = finder.model_of(weights)
    craters = []
    for pixels, label, place in zip(added.pixels, added.label, added.places, strict=True):
        if not label:
            craters.append(np.zeros((0, 3), np.float32))
            continue
        maps = np.asarray(model(finder.filled_up(pixels[None], weights)[..., None], training=False)["maps"])[0]
        if np.isfinite(place).all():
            x, y = (float(value) for value in place)
            row, column = (
                min(max(round(at / finder.STRIDE - 0.375), 0), length - 1)
                for at, length in zip((y, x), maps.shape[:2], strict=True)
            )
        else:
            row, column = (int(at) for at in np.unravel_index(int(maps[..., 0].argmax()), maps.shape[:2]))
            x = (column + float(maps[row, column, 2])) * finder.STRIDE + (finder.STRIDE - 1) / 2
            y = (row + float(maps[row, column, 3])) * finder.STRIDE + (finder.STRIDE - 1) / 2
        diameter = finder.BASE_DIAMETER * float(np.exp(np.clip(maps[row, column, 1], -1.5, 2.0)))
        craters.append(np.array([[x, y, diameter]], np.float32))
    return Judged(added, tuple(craters))


def fit_centres(
    weights: Weights, base: DataSet, judged: Judged, budget: Budget, seed: int, say: Callable[[str], None]
) -> Weights:
    """Train all layers of a finder on for a budget.

    Args:
        weights: where to start, not calibrated.
        base: ordinary images.
        judged: added images.
        budget: how long; the images of both count.
        seed: decides images, crops and flips.
        say: is told how it goes.
    """
    import keras
    import tensorflow as tf

    # As in training, positions are learnt for themselves; what compares them with their image comes after.
    others = {name: array for name, array in weights.items() if name in finder.SETTINGS}
    alone = {name: array for name, array in weights.items() if name != finder.SCORE}
    student, teacher = finder.model_of(alone), finder.model_of(alone)
    optimizer = keras.optimizers.AdamW(RATE, weight_decay=1e-4, clipnorm=5.0)
    optimizer.build(student.trainable_variables)

    @tf.function  # type: ignore[untyped-decorator]
    def step(ordinary: Any, added: Any, targets: Any) -> Any:
        said = teacher(ordinary)["maps"]
        with tf.GradientTape() as tape:
            both = student(tf.concat([ordinary, added], 0))["maps"]
            loss = finder_loss(targets, both[BATCH:])[0] + KEPT * _forgotten(said, both[:BATCH])
        gradients = tape.gradient(loss, student.trainable_variables)
        optimizer.apply_gradients(zip(gradients, student.trainable_variables, strict=True))
        return loss

    began = shown = time.monotonic()
    megapixels, losses = 0.0, []
    for ordinary, added, targets in _batches(np.random.default_rng([seed, 41]), base, judged, finder.multiple(weights)):
        now = time.monotonic()
        used = (now - began) / 60 / budget.minutes
        if budget.megapixels is not None:
            used = max(used, megapixels / budget.megapixels)
        if used >= 1:
            break
        optimizer.learning_rate.assign(RATE * min(1.0, used / 0.05 + 0.1) * (0.5 + 0.5 * np.cos(np.pi * used)))
        losses.append(float(step(ordinary, added, targets)))
        megapixels += (ordinary.size + added.size) / 1e6
        if now - shown > SAY_EVERY:
            shown = now
            say(f"{used:.0%} of the budget, {len(losses)} batches, loss {np.mean(losses[-50:]):.3f}")
    return {layer: np.asarray(value) for layer, value in _weights_of(student)} | others


def _weights_of(model: Any) -> Iterator[tuple[str, np.ndarray]]:
    widths = [model.get_layer(name).filters for name in ("stem", "down4", "down8", "down16")]
    for layer in finder.layer_table(widths):
        kernel, bias = model.get_layer(layer.name).weights
        yield f"{layer.name}/kernel", np.asarray(kernel)
        yield f"{layer.name}/bias", np.asarray(bias)


def _forgotten(said: Any, says: Any) -> Any:
    """How far the maps of ordinary images have moved: per image, the divergence of all positions' probabilities."""
    from keras import ops

    was, now = said[..., 0], says[..., 0]
    chance = ops.sigmoid(was)
    divergence = chance * (was - now) + ops.softplus(now) - ops.softplus(was)
    moved = ops.sum(ops.square(said[..., 1:] - says[..., 1:]), axis=-1)
    return ops.mean(ops.sum(divergence + 0.1 * chance * moved, axis=(1, 2)))


def _batches(
    rng: np.random.Generator, base: DataSet, judged: Judged, multiple: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Endless: ordinary crops, added crops, and the targets of these; craters and blanks in equal parts where both."""
    shapes = base.shape, judged.added.pixels.shape[1:]
    side = min(SIDE, *(length // multiple * multiple for shape in shapes for length in shape))
    label = judged.added.label
    pools = [rows for rows in (np.flatnonzero(label == 1), np.flatnonzero(label == 0)) if len(rows)]
    while True:
        rows = rng.integers(len(base), size=BATCH)
        ordinary = [
            _crop(rng, pixels, base.craters[row][:, :3], side)[0]
            for row, pixels in zip(rows, base.images(rows), strict=True)
        ]
        added, targets = [], []
        for number in range(BATCH):
            pool = pools[number % len(pools)]
            row = int(pool[rng.integers(len(pool))])
            crop, craters = _crop(rng, judged.added.pixels[row], judged.craters[row], side)
            added.append(crop)
            targets.append(_asked(craters, side, blank=not label[row]))
        yield np.stack(ordinary)[..., None], np.stack(added)[..., None], np.stack(targets)


def _asked(craters: np.ndarray, side: int, *, blank: bool) -> np.ndarray:
    visible = np.concatenate([craters, np.full((len(craters), 1), VISIBLE, np.float32)], axis=1)
    target = draw_targets(visible, side)
    if not blank:  # nobody said that there is nothing else
        target[..., 1] *= target[..., 0]
    return target


def _crop(
    rng: np.random.Generator, pixels: np.ndarray, craters: np.ndarray, side: int
) -> tuple[np.ndarray, np.ndarray]:
    """A square of an image, with one of its craters in it, flipped and turned; and the craters there."""
    craters = craters[np.isfinite(craters).all(axis=1)]
    height, width = pixels.shape
    if len(craters):
        x, y, diameter = craters[int(rng.integers(len(craters)))]
        margin = min(float(diameter), side / 3)
        top, left = (int(at - margin - rng.uniform(0, max(side - 2 * margin, 1))) for at in (y, x))
    else:
        top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    top, left = min(max(top, 0), height - side), min(max(left, 0), width - side)
    crop = pixels[top : top + side, left : left + side]
    moved = craters - np.array([left, top, 0], np.float32)
    if rng.random() < 0.5:
        crop, moved = crop[:, ::-1], np.column_stack([side - 1 - moved[:, 0], moved[:, 1:]])
    for _ in range(int(rng.integers(4))):
        crop, moved = np.rot90(crop), np.column_stack([moved[:, 1], side - 1 - moved[:, 0], moved[:, 2]])
    return np.ascontiguousarray(crop), np.asarray(moved, np.float32)

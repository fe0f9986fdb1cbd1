"""One epoch of a step: batches, crops and learning rates as the schedule gives them, within the budget."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

import numpy as np

from training import backend
from training.data_sets.batches import Batch, epoch_batches
from training.fitting import schedule
from training.fitting.checkpoint import State
from training.fitting.prefetch import prefetch
from training.fitting.step import FitContext, Step
from training.fitting.teacher import only_where_judged
from training.network.trainable import position_targets

CROP_AREA = 150 * 150
"""Pixels of an image of the first step: batch sizes and epochs are given in such images."""


@dataclass(frozen=True)
class Sizes:
    """How an epoch is cut.

    Attributes:
        crop: height and width in pixels of the part of each image that is used.
        images: in the epoch.
        batch: images in a batch.
    """

    crop: tuple[int, int]
    images: int
    batch: int


@dataclass(frozen=True)
class Epoch:
    """What became of an epoch.

    Attributes:
        loss: mean over its batches.
        rate: the last learning rate.
        whole: whether it was not cut short.
    """

    loss: float
    rate: float
    whole: bool


def run_epoch(context: FitContext, step: Step, state: State, tell: Callable[[int, int], None]) -> Epoch:
    """Train for one epoch, or the rest of one, cut short when the step's budget is used.

    Args:
        context: the fit.
        step: its present step; its model is trained.
        state: counts what was done.
        tell: is told batches done, and batches of the epoch.
    """
    budget, recipe = context.settings.budget, context.recipe
    progress = (budget.used(state) - state.spent) / max(step.end - state.spent, 1e-9)
    phase = schedule.phase(recipe, state.step, progress, pretrained=context.pretrained)
    sizes = _sizes(context, step, state, phase)
    highest = _highest_rate(context)
    # Random numbers depend on step and epoch only: a resumed fit sees the same batches.
    rng = np.random.default_rng([context.settings.seed, state.step, state.epoch])
    batches = epoch_batches(
        step.train,
        rng,
        images=sizes.images,
        batch=sizes.batch,
        crop=sizes.crop,
        least_diameter=phase.least_diameter,
        gamma_spread=recipe.learning.gamma_spread,
    )
    rest, rate, whole = islice(batches, state.done, None), 0.0, True
    began = time.monotonic()
    for batch, positions in prefetch((batch, position_targets(sizes.crop, batch.craters)) for batch in rest):
        used = budget.used(state)
        if used >= step.end:
            whole = False
            break
        rate = schedule.learning_rate(recipe, state.batches, used, highest=highest, pretrained=context.pretrained)
        step.optimizer.learning_rate.assign(rate)
        targets = _targets(step, batch, positions)
        backend.complete(step.model, batch.images, targets)
        state.loss += float(step.model.train_on_batch(batch.images, targets, return_dict=True)["loss"])
        step.model.reset_metrics()
        state.done += 1
        state.batches += 1
        state.images += len(batch.images)
        state.megapixels += batch.images.size / 1e6
        state.seconds, began = state.seconds + time.monotonic() - began, time.monotonic()
        tell(state.done, sizes.images // sizes.batch)
    return Epoch(state.loss / max(state.done, 1), rate, whole)


def _sizes(context: FitContext, step: Step, state: State, phase: schedule.Phase) -> Sizes:
    """Batches and epochs of smaller crops have more of them: an optimizer step costs the same."""
    height, width = step.train.shape
    crop = (phase.crop, phase.crop) if phase.crop and phase.crop < min(height, width) else (height, width)
    area, whole = crop[0] * crop[1], height * width
    batch = context.settings.batches[state.step - 1]
    batch = max(2, batch * (whole if state.step == 2 else min(whole, CROP_AREA)) // area // 2 * 2)
    images = max(2 * batch, context.settings.epoch_images * min(whole, CROP_AREA) // area)
    return Sizes(crop, images, batch)


def _highest_rate(context: FitContext) -> float:
    if context.settings.learning_rate:
        return context.settings.learning_rate
    lowered = schedule.PRETRAINED_RATE if context.pretrained and context.recipe.learning.cosine else 1.0
    return context.recipe.learning.learning_rate * lowered


def _targets(step: Step, batch: Batch, positions: np.ndarray) -> dict[str, np.ndarray]:
    """What each output of the model should say of a batch."""
    targets = {"score": batch.labels, "local": positions, "map": positions}
    if step.teacher is not None:
        targets |= step.teacher.targets(batch.images)
    if step.judged is not None:
        targets = only_where_judged(targets, step.judged[batch.rows])
    return targets

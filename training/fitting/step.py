"""One step of a fit, prepared: the compiled model with the weights that it starts from, and what it learns from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from crater_ray.network.bundle import Bundle
from training import backend
from training.data_sets.dataset import ADDED, DataSet
from training.fitting import checkpoint
from training.fitting.best import load_best
from training.fitting.checkpoint import State
from training.fitting.initial_weights import InitialWeights
from training.fitting.settings import Data, Settings
from training.fitting.teacher import Teacher
from training.network.fold import pour
from training.network.trainable import build_trainable, losses
from training.recipes import Recipe

if TYPE_CHECKING:
    import keras

SAMPLE = 32
"""Training images on which the activations of a network that was trained before are measured."""


@dataclass(frozen=True)
class FitContext:
    """What stays the same through both steps of a fit.

    Attributes:
        settings, recipe, data: how, by which recipe, on what.
        folder: where checkpoint, log and best weights are kept.
        initial: what the fit starts from.
        kept: what the network should go on saying of images that were not added.
    """

    settings: Settings
    recipe: Recipe
    data: Data
    folder: Path
    initial: InitialWeights
    kept: Bundle | None

    @property
    def teacher(self) -> Bundle | None:
        """The network that is learnt from, beside the truth."""
        return self.initial.teacher or self.kept

    @property
    def retraining(self) -> bool:
        """Whether given weights are trained on, in the second step alone."""
        return self.initial.weights is not None

    @property
    def pretrained(self) -> bool:
        """Whether the network was trained before, in whole or in part."""
        return self.retraining or self.initial.earlier is not None or self.teacher is not None


@dataclass(frozen=True)
class Step:
    """One step, ready to be trained.

    Attributes:
        train, validation: its data sets.
        model, optimizer: compiled, with the weights that the step starts or goes on from.
        teacher: says what it makes of training images.
        judged: (n,) bool, the training images of which the truth alone counts; None when it counts for all.
        end: share of the whole budget at which the step ends.
    """

    train: DataSet
    validation: DataSet
    model: keras.Model
    optimizer: keras.Optimizer
    teacher: Teacher | None
    judged: np.ndarray | None
    end: float


def prepare(context: FitContext, state: State) -> Step:
    """Build and compile the model of the step that a fit is in, and fill it with weights."""
    import keras

    settings, recipe = context.settings, context.recipe
    train, validation = context.data.of(state.step)
    keras.utils.set_random_seed(settings.seed + 1000 * state.step)
    model = build_trainable(
        recipe,
        batch_norm=recipe.learning.batch_norm and not context.retraining,
        dtype=settings.dtype,
        filters=settings.filters,
        with_teacher=context.teacher is not None,
    )
    sample = train.images(np.linspace(0, len(train) - 1, min(SAMPLE, len(train))).astype(int))[..., None]
    share = screen_share(context, state)
    teacher = Teacher(context.teacher, settings.dtype, sample, share) if context.teacher is not None else None
    optimizer = keras.optimizers.Nadam(recipe.learning.learning_rate, clipnorm=5.0 if recipe.learning.cosine else None)
    _compile(context, model, optimizer, teacher)
    _fill(context, state, model, optimizer, sample)
    judged = train.column("source") == ADDED if context.kept is not None else None
    end = 1.0 - settings.step_two_share if state.step == 1 and settings.patience is None else 1.0
    return Step(train, validation, model, optimizer, teacher, judged, end)


def screen_share(context: FitContext, state: State) -> float:
    """Share of the teacher's screen in this step: a screen is for images of one size."""
    return context.settings.screen_share if state.step == 2 else 0.0


def _compile(context: FitContext, model: keras.Model, optimizer: keras.Optimizer, teacher: Teacher | None) -> None:
    weight = context.recipe.learning.position_loss
    # Training on, the map's own layer would begin by teaching noise: it does not ship.
    weights = {"score": 1.0, "local": weight, "map": 0.0 if context.retraining else weight}
    loss = losses(context.recipe)
    if teacher is not None:
        # What the teacher makes of each position says more than one layer of its own would.
        loss, weights = loss | teacher.losses(), weights | {"map": 0.0, "features": 1.0, "answers": 1.0}
    model.compile(optimizer=optimizer, loss=loss, loss_weights=weights, jit_compile=backend.compiles())
    optimizer.build(model.trainable_variables)


def _fill(
    context: FitContext, state: State, model: keras.Model, optimizer: keras.Optimizer, sample: np.ndarray
) -> None:
    path = context.folder / checkpoint.FILE
    if state.epoch or state.done:
        checkpoint.restore(path, model, optimizer)
    elif state.step == 1 or context.retraining:
        context.initial.fill(model, context.recipe, sample, context.settings.filters)
    elif context.recipe.learning.batch_norm:
        # Normalised weights go on as they are: folding them would change what the optimizer can do with them.
        checkpoint.restore(path, model, None)
    else:
        pour(load_best(context.folder, 1), model)

"""Fitting: step 1 on crops, step 2 on whole images from step 1's weights; resumable, within a budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crater_ray.errors import UsageError
from crater_ray.network.bundle import Bundle
from crater_ray.network.stardust import Weights
from training.fitting import checkpoint
from training.fitting.best import load_best, save_best
from training.fitting.checkpoint import State
from training.fitting.epoch import run_epoch
from training.fitting.initial_weights import InitialWeights
from training.fitting.settings import Data, Settings
from training.fitting.step import FitContext, prepare, screen_share
from training.fitting.validation import describe, validate, write_log
from training.recipes import find

if TYPE_CHECKING:
    import keras

BUDGETS = ("minutes", "megapixels")
"""Keys that checkpoints of earlier versions hold; a budget may be raised to train longer."""

CHANCE = 0.55
"""A validation accuracy that is no better than guessing: a step with `patience` is not given up before it rises."""


def fit(
    settings: Settings,
    data: Data,
    folder: Path,
    initial: InitialWeights = InitialWeights(),
    *,
    kept: Bundle | None = None,
    say: Callable[[str], None] = print,
) -> Weights:
    """Fit the network, or go on where a killed fit stopped.

    Args:
        settings: recipe, seed, budget.
        data: what to learn from.
        folder: where checkpoint, log and best weights are kept.
        initial: what the fit starts from. With given weights there is no first step.
        kept: when given weights are trained on: what the network should go on saying of images that were not added;
            the truth about them is then not looked at (learning without forgetting: Li and Hoiem 2016,
            arXiv 1606.09282).
        say: is told one line after each epoch.

    Returns:
        The weights with the best validation of the last step, folded; with a `screen_share` those of its end.

    Raises:
        UsageError: the folder holds a fit with other settings, or data are missing.
    """
    train(settings, data, folder, initial, kept=kept, say=say)
    return load_best(folder, _last_step(settings, initial))


def train(
    settings: Settings,
    data: Data,
    folder: Path,
    initial: InitialWeights = InitialWeights(),
    *,
    kept: Bundle | None = None,
    say: Callable[[str], None] = print,
    tell: Callable[[int, int], None] = lambda done, wanted: None,
) -> bool:
    """Train as `fit`, and say whether the fit has ended: with `patience` a call may end before.

    Args:
        settings, data, folder, initial, kept, say: as of `fit`.
        tell: is told batches done, and batches of the epoch.
    """
    folder.mkdir(parents=True, exist_ok=True)
    recipe = find(settings.recipe)
    filters = initial.filters(recipe, settings.filters, settings.screen_share)
    context = FitContext(replace(settings, filters=filters), recipe, data, folder, initial, kept)
    data.of(_last_step(settings, initial))  # what it lacks is said at once, not after the first step
    state = _resume(context)
    while True:
        if not _fit_step(context, state, say, tell):
            return False
        if state.step == _last_step(settings, initial):
            return True
        used = settings.budget.used(state) if settings.patience is None else 0.0
        state.step, state.epoch, state.batches, state.best, state.waited, state.spent = 2, 0, 0, -1.0, 0, used


def _last_step(settings: Settings, initial: InitialWeights) -> int:
    return 2 if settings.step_two_share > 0 or initial.weights is not None else 1


def _fit_step(context: FitContext, state: State, say: Callable[[str], None], tell: Callable[[int, int], None]) -> bool:
    """Train a step to its end; False where the call's budget ended before."""
    step, settings, budget = prepare(context, state), context.settings, context.settings.budget
    path = context.folder / checkpoint.FILE
    while state.waited < settings.patience if settings.patience is not None else budget.used(state) < step.end:
        epoch = run_epoch(context, step, state, tell)
        if settings.patience is not None and not epoch.whole:
            checkpoint.save(path, step.model, step.optimizer, state)
            return False
        figures = validate(step.model, step.validation)
        state.epoch, state.done, state.loss = state.epoch + 1, 0, 0.0
        _compare(context, state, step.model, figures)
        # Before the checkpoint: an epoch that a kill has done again takes its line's place.
        write_log(context.folder, state, epoch.loss, epoch.rate, figures)
        checkpoint.save(path, step.model, step.optimizer, state)
        say(describe(state, settings, epoch.loss, figures))
    return True


def _compare(context: FitContext, state: State, model: keras.Model, figures: dict[str, float]) -> None:
    """Keep the weights if they are the best of their step so far."""
    figure = figures["validation_auc" if context.settings.patience is None else "accuracy"]
    # Validation does not see what is learnt from a screen beside the truth: the last epoch has most of that.
    if screen_share(context, state) or figure > state.best:
        state.best, state.waited = figure, 0
        save_best(context.folder, state.step, model)
    elif state.best > CHANCE:
        state.waited += 1


def _resume(context: FitContext) -> State:
    """The state that the folder holds, or a fresh one.

    Raises:
        UsageError: it is that of a fit with other settings.
    """
    fixed = _fixed(context)
    path = context.folder / checkpoint.FILE
    state = checkpoint.peek(path) or State(step=2 if context.retraining else 1, settings=fixed)
    state.settings = {key: value for key, value in state.settings.items() if key not in BUDGETS}
    if state.settings != fixed:
        changed = {key: (state.settings.get(key), fixed[key]) for key in fixed if state.settings.get(key) != fixed[key]}
        raise UsageError(
            f"{str(context.folder)!r} holds a fit with other settings (there, now): {changed}. "
            "Use the same settings to go on, or another folder."
        )
    return state


def _fixed(context: FitContext) -> dict[str, Any]:
    """What must not change while a fit goes on, as it comes back from JSON."""
    settings = context.settings
    return {
        "recipe": settings.recipe,
        "seed": settings.seed,
        "step_two_share": settings.step_two_share,
        "epoch_images": settings.epoch_images,
        "batches": list(settings.batches),
        "dtype": settings.dtype,
        "learning_rate": settings.learning_rate,
        "begun": context.teacher.id if context.teacher is not None else context.initial.digest(),
        "filters": list(settings.filters),
        "screen_share": settings.screen_share,
        "data": context.data.digests(),
        # Checkpoints of earlier versions do not have it.
        **({} if settings.patience is None else {"best_by": "accuracy"}),
    }

"""Fitting: step 1 on crops, step 2 on whole images from step 1's weights; resumable, within a budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

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

BUDGETS = ("minutes", "megapixels")
"""Keys that checkpoints of earlier versions hold; a budget may be raised to train longer."""


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
    folder.mkdir(parents=True, exist_ok=True)
    recipe = find(settings.recipe)
    filters = initial.filters(recipe, settings.filters, settings.screen_share)
    context = FitContext(replace(settings, filters=filters), recipe, data, folder, initial, kept)
    state = _resume(context)
    last_step = 2 if settings.step_two_share > 0 or context.retraining else 1
    while True:
        _fit_step(context, state, say)
        if state.step == last_step:
            return load_best(folder, state.step)
        used = settings.budget.used(state)
        state.step, state.epoch, state.batches, state.best, state.spent = 2, 0, 0, -1.0, used


def _fit_step(context: FitContext, state: State, say: Callable[[str], None]) -> None:
    step, budget = prepare(context, state), context.settings.budget
    while budget.used(state) < step.end:
        loss, rate = run_epoch(context, step, state)
        figures = validate(step.model, step.validation)
        state.epoch += 1
        # Validation does not see what is learnt from a screen beside the truth: the last epoch has most of that.
        if screen_share(context, state) or figures["validation_auc"] > state.best:
            state.best = figures["validation_auc"]
            save_best(context.folder, state.step, step.model)
        checkpoint.save(context.folder / checkpoint.FILE, step.model, step.optimizer, state)
        write_log(context.folder, state, loss, rate, figures)
        say(describe(state, budget.used(state), loss, figures))


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
    }

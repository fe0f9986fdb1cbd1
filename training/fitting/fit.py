"""Fitting: step 1 on crops, step 2 on whole images from step 1's weights; resumable, within a budget."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crater_ray.errors import UsageError
from crater_ray.network.bundle import Bundle
from crater_ray.network.pruning import restore_inactive
from crater_ray.network.stardust import FILTERS, Weights
from training import backend
from training.data_sets.batches import epoch
from training.data_sets.dataset import ADDED, DataSet
from training.evaluation.intervals import roc_area
from training.fitting import checkpoint
from training.fitting import schedule as plan
from training.fitting.checkpoint import State
from training.fitting.initial_weights import Beginning
from training.fitting.prefetch import ahead
from training.fitting.pruning import Teacher, either
from training.network.fold import fold, pour
from training.network.trainable import build_trainable, losses, position_targets
from training.recipes import Recipe, find

if TYPE_CHECKING:
    import keras

CROP_AREA = 150 * 150
"""Pixels of an image of the first step: batch sizes and epochs are given in such images."""

SOME = 32
"""Training images on which a bundle's activations are measured before it is trained on."""

BUDGETS = ("minutes", "megapixels")
FIGURES = ("validation_auc", "accuracy", "recall_at_4")
LOG = ("step", "epoch", "minutes", "images", "megapixels", "learning_rate", "loss", *FIGURES)


@dataclass(frozen=True)
class Settings:
    """What is to be fitted, and how long.

    Attributes:
        recipe: name of the recipe.
        seed: decides first weights, order and crops.
        minutes: wall-clock budget of both steps together, validation not counted.
        megapixels: budget in image area trained on: the same for two recipes is the same compute, also on a machine
            that does other things meanwhile.
        step_two_share: part of the budget for the second step; 0 leaves it out.
        epoch_images: images in an epoch of step 1; a checkpoint and a validation follow each.
        batches: images in a batch, of the first and of the second step.
        dtype: Keras policy of the layers.
        learning_rate: the highest; the recipe's, or less for a network that was trained before, when None.
        begun: digest of what a fit that goes on from another, or learns from a teacher, began with; see `fit`.
        filters: of each convolution, for a network that is pruned; the others will be inactive in what ships.
        screen_share: of the teacher's screen in what is taught of whole images; see `training.fitting.pruning.Teacher`.
    """

    recipe: str
    seed: int = 0
    minutes: float = 60.0
    megapixels: float | None = None
    step_two_share: float = 0.2
    epoch_images: int = 6400
    batches: tuple[int, int] = (64, 8)
    dtype: str = "float32"
    learning_rate: float | None = None
    begun: str | None = None
    filters: tuple[int, ...] = FILTERS
    screen_share: float = 0.0

    def used(self, state: State) -> float:
        """Share of the budget that is used, 0..1."""
        share = state.seconds / 60.0 / self.minutes
        if self.megapixels is not None:
            share = max(share, state.megapixels / self.megapixels)
        return min(share, 1.0)


@dataclass(frozen=True)
class Data:
    """Data sets of both steps; the whole images may be absent when the second step is left out."""

    crops: DataSet
    validation: DataSet
    whole: DataSet | None = None
    whole_validation: DataSet | None = None

    def of(self, step: int) -> tuple[DataSet, DataSet]:
        """What to train and to validate on."""
        if step == 1:
            return self.crops, self.validation
        if self.whole is None or self.whole_validation is None:
            raise UsageError("The second step needs whole images: give --whole and --whole-validation.")
        return self.whole, self.whole_validation


def fit(
    settings: Settings,
    data: Data,
    folder: Path,
    *,
    start: Weights | None = None,
    earlier: Path | None = None,
    teacher: Bundle | None = None,
    kept: Bundle | None = None,
    say: Callable[[str], None] = print,
) -> Weights:
    """Fit the network, or go on where a killed fit stopped.

    Args:
        settings: recipe, seed, budget.
        data: what to learn from.
        folder: where checkpoint, log and best weights are kept.
        start: weights to begin with, for training on. There is then no first step.
        earlier: folder of another fit, or of a bundle, to go on from, in both steps.
        teacher: begin as its most important filters and learn from it too; see `training.fitting.pruning`.
        kept: with `start`: what the network should go on saying of images that were not added; the truth about them is
            then not looked at (learning without forgetting: Li and Hoiem 2016, arXiv 1606.09282).
        say: is told one line after each epoch.

    Returns:
        The weights with the best validation of the last step, folded; with a `screen_share` those of its end.

    Raises:
        UsageError: the folder holds a fit with other settings, or data are missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    recipe = find(settings.recipe)
    beginning = Beginning(start, earlier, teacher, kept)
    filters = beginning.filters(recipe, settings.filters, settings.screen_share)
    settings = replace(settings, begun=beginning.digest(), filters=filters)
    fixed = _fixed(settings, data)
    state = checkpoint.peek(folder / checkpoint.FILE) or State(step=1 if start is None else 2, settings=fixed)
    state.settings = {key: value for key, value in state.settings.items() if key not in BUDGETS}
    if state.settings != fixed:
        changed = {key: (state.settings.get(key), fixed[key]) for key in fixed if state.settings.get(key) != fixed[key]}
        raise UsageError(
            f"{str(folder)!r} holds a fit with other settings (there, now): {changed}. "
            "Use the same settings to go on, or another folder."
        )
    last_step = 2 if settings.step_two_share > 0 or start is not None else 1
    while True:
        _step(settings, recipe, data, folder, state, beginning, say)
        if state.step == last_step:
            return load_best(folder, state.step)
        state.step, state.epoch, state.batches, state.best, state.spent = 2, 0, 0, -1.0, settings.used(state)


def load_best(folder: Path, step: int | None = None) -> Weights:
    """The best weights of a fit so far: of `step`, or of the last step that has any.

    Raises:
        UsageError: no epoch was finished yet.
    """
    for candidate in (step,) if step else (2, 1):
        path = folder / f"best-step{candidate}.npz"
        if path.exists():
            with np.load(path, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
    raise UsageError(f"No weights in {str(folder)!r} yet: a fit writes them after its first epoch.")


def _step(
    settings: Settings,
    recipe: Recipe,
    data: Data,
    folder: Path,
    state: State,
    beginning: Beginning,
    say: Callable[[str], None],
) -> None:
    import keras

    train, validation = data.of(state.step)
    retraining = beginning.start is not None
    keras.utils.set_random_seed(settings.seed + 1000 * state.step)
    model = build_trainable(
        recipe,
        batch_norm=recipe.batch_norm and not retraining,
        dtype=settings.dtype,
        filters=settings.filters,
        taught=(beginning.teacher or beginning.kept) is not None,
    )
    some = train.images(np.linspace(0, len(train) - 1, min(SOME, len(train))).astype(int))[..., None]
    share = settings.screen_share if state.step == 2 else 0.0  # a screen is for images of one size
    speaks = beginning.teacher or beginning.kept
    teacher = Teacher(speaks, settings.dtype, some, share) if speaks is not None else None
    known = train.column("source") == ADDED if beginning.kept is not None else None
    optimizer = keras.optimizers.Nadam(recipe.learning_rate, clipnorm=5.0 if recipe.cosine else None)
    # Training on, the map's own layer would begin by teaching noise: it does not ship.
    loss_weights = {"score": 1.0, "local": recipe.position_loss, "map": 0.0 if retraining else recipe.position_loss}
    loss = losses(recipe)
    if teacher is not None:
        # What the teacher makes of each position says more than one layer of its own would.
        loss, loss_weights = loss | teacher.losses(), loss_weights | {"map": 0.0, "features": 1.0, "answers": 1.0}
    model.compile(optimizer=optimizer, loss=loss, loss_weights=loss_weights, jit_compile=backend.compiles())
    optimizer.build(model.trainable_variables)
    if state.epoch:
        checkpoint.restore(folder / checkpoint.FILE, model, optimizer)
    elif state.step == 1 or retraining:
        beginning.fill(model, recipe, some, settings.filters)
    elif recipe.batch_norm:
        # Normalised weights go on as they are: folding them would change what the optimizer can do with them.
        checkpoint.restore(folder / checkpoint.FILE, model, None)
    else:
        pour(load_best(folder, 1), model)
    end = 1.0 - settings.step_two_share if state.step == 1 else 1.0
    while (used := settings.used(state)) < end:
        progress = (used - state.spent) / max(end - state.spent, 1e-9)
        mean, rate = _epoch(settings, recipe, train, model, optimizer, state, progress, end, retraining, teacher, known)
        figures = _validate(model, validation)
        state.epoch += 1
        # Validation does not see what is learnt from a screen beside the truth: the last epoch has most of that.
        if share or figures["validation_auc"] > state.best:
            state.best = figures["validation_auc"]
            _save_best(folder, state.step, model)
        checkpoint.save(folder / checkpoint.FILE, model, optimizer, state)
        _log(folder, settings, state, mean, rate, figures, say)


def _epoch(
    settings: Settings,
    recipe: Recipe,
    train: DataSet,
    model: keras.Model,
    optimizer: keras.Optimizer,
    state: State,
    progress: float,
    end: float,
    retraining: bool,
    teacher: Teacher | None,
    known: np.ndarray | None,
) -> tuple[float, float]:
    """One epoch, cut short when the step's budget is used; gives mean loss and last learning rate."""
    begun = retraining or settings.begun is not None
    now = plan.stage(recipe, state.step, progress, begun=begun)
    highest = settings.learning_rate or recipe.learning_rate * (plan.BEGUN_RATE if begun and recipe.cosine else 1.0)
    crop = (now.crop, now.crop) if now.crop and now.crop < min(train.shape) else train.shape
    size, images = settings.batches[state.step - 1], settings.epoch_images
    area = crop[0] * crop[1]
    # Batches and epochs of smaller crops have more of them: an optimizer step costs the same.
    whole = train.shape[0] * train.shape[1]
    size = max(2, size * (whole if state.step == 2 else min(whole, CROP_AREA)) // area // 2 * 2)
    images = max(2 * size, settings.epoch_images * min(whole, CROP_AREA) // area)
    # Random numbers depend on step and epoch only: a resumed fit sees the same batches.
    rng = np.random.default_rng([settings.seed, state.step, state.epoch])
    total, count, rate = 0.0, 0, 0.0
    batches = epoch(
        train,
        rng,
        images=images,
        batch=size,
        crop=crop,
        least_diameter=now.least_diameter,
        gamma_spread=recipe.gamma_spread,
    )
    began = time.monotonic()
    for batch, where in ahead((batch, position_targets(crop, batch.craters)) for batch in batches):
        used = settings.used(state)
        if used >= end:
            break
        rate = plan.learning_rate(recipe, state.batches, used, highest=highest, begun=begun)
        optimizer.learning_rate.assign(rate)
        targets = {"score": batch.labels, "local": where, "map": where}
        if teacher is not None:
            targets |= teacher.targets(batch.images)
        if known is not None:
            targets = either(targets, known[batch.rows])
        total += float(model.train_on_batch(batch.images, targets, return_dict=True)["loss"])
        model.reset_metrics()
        count += 1
        state.batches += 1
        state.images += len(batch.images)
        state.megapixels += batch.images.size / 1e6
        state.seconds, began = state.seconds + time.monotonic() - began, time.monotonic()
    return total / max(count, 1), rate


def _validate(model: keras.Model, validation: DataSet) -> dict[str, float]:
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
    }


def _save_best(folder: Path, step: int, model: keras.Model) -> None:
    with (folder / f"best-step{step}.partial").open("wb") as stream:
        np.savez(stream, **restore_inactive(fold(model)))  # type: ignore[arg-type]
    (folder / f"best-step{step}.partial").replace(folder / f"best-step{step}.npz")


def _fixed(settings: Settings, data: Data) -> dict[str, Any]:
    sets = (data.crops, data.validation, data.whole, data.whole_validation)
    fixed = {**asdict(settings), "data": [one.digest if one else None for one in sets]}
    fixed |= {"batches": list(settings.batches), "filters": list(settings.filters)}  # as they come back from JSON
    # A budget may be raised to train longer; everything else would make another fit of it.
    return {key: value for key, value in fixed.items() if key not in BUDGETS}


def _log(
    folder: Path,
    settings: Settings,
    state: State,
    loss: float,
    rate: float,
    figures: dict[str, float],
    say: Callable[[str], None],
) -> None:
    minutes = state.seconds / 60.0
    values = [state.step, state.epoch, round(minutes, 2), state.images, round(state.megapixels, 1), f"{rate:.2e}"]
    path = folder / "log.csv"
    fresh = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        if fresh:
            writer.writerow(LOG)
        writer.writerow([*values, round(loss, 4), *(round(figures[key], 4) for key in FIGURES)])
    used = settings.used(state)
    left = minutes * (1.0 - used) / max(used, 1e-6)
    say(
        f"step {state.step} epoch {state.epoch}: loss {loss:.4f}, validation AUC {figures['validation_auc']:.4f}, "
        f"recall at 4% false alarms {figures['recall_at_4']:.3f}; {state.images:,} images in {minutes:.1f} min, "
        f"{left:.0f} min left"
    )

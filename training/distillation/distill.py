"""Distilling the screen: a small student learns its teacher's last feature map and answer, then gets its threshold.

Source of the idea: Hinton, Vinyals, Dean 2015 (arXiv 1503.02531); learning intermediate maps too: Romero et al. 2014
(arXiv 1412.6550). The teacher is the full network. No labels are needed: the best images are such as will be scanned.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from crater_ray.engines.keras_screen import build_screen
from crater_ray.errors import UsageError
from crater_ray.network.bundle import Bundle
from crater_ray.network.screen import CONVOLUTIONS, Screen
from training import backend
from training.distillation.answers import Answered, feature_map
from training.distillation.batches import AugmentedBatches
from training.distillation.screen_threshold import Promise, set_threshold
from training.distillation.screen_weights import fold_screen, in_units, screen_feature_map, start_dense, units
from training.distillation.student import build_distillation
from training.network.fold import unfold

if TYPE_CHECKING:
    import keras

RATE = 2e-3
"""Highest learning rate, for batches of 8."""
PRETRAINED_RATE = 0.5
"""Highest learning rate of a screen that was distilled before, of that of a fresh one."""
WARM_UP = 200
MEASURED_AT_ONCE = 16
"""Images at once where a finished screen is measured."""
MAP_UNTIL = 0.8
"""Share of the time after which the map counts less: in the end only the answer matters."""
SAMPLE = 192
"""Augmented images on which features are measured."""


@dataclass(frozen=True)
class Settings:
    """How a screen is distilled.

    Attributes:
        minutes: wall time of fitting.
        images: augmented images to see at most; None for no limit, 0 to learn nothing.
        batch: images in a batch.
        rate: highest learning rate; None for one that goes with the batch and with whether the screen is new.
        settle: leave the normalisation as it is where a screen is gone on from: for its last steps, at a small rate.
        seed: decides first weights and order.
        dtype: Keras policy of the convolutions while fitting.
        promise: what the threshold has to keep.
    """

    minutes: float = 15.0
    images: int | None = None
    batch: int = 8
    rate: float | None = None
    settle: bool = False
    seed: int = 0
    dtype: str = "float32"
    promise: Promise = field(default_factory=Promise)


def distill(
    bundle: Bundle,
    examples: Sequence[Answered],
    held_out: Sequence[Answered],
    settings: Settings,
    say: Callable[[str], None] = print,
    start: Screen | None = None,
) -> Screen:
    """Make a screen for a bundle.

    Args:
        bundle: the full network, the teacher.
        examples: images to learn from, all of one size, with its answers.
        held_out: other images of that size, with its answers in float32: the threshold is set on them. Without any
            the screen lets all images pass, until it is gone on from with some.
        settings: how.
        say: is told one line a minute.
        start: a screen to go on from, such as that of the network from which this one was pruned.

    Raises:
        UsageError: the held-out images hold no candidate of the full network, or sizes do not fit.
    """
    import keras

    shape = examples[0].data.shape
    step = CONVOLUTIONS[0].step
    if shape[0] % step or shape[1] % step or any(one.data.shape != shape for one in (*examples, *held_out)):
        size = f"{shape[0]}x{shape[1]}"
        raise UsageError(f"All images must have one size, a multiple of {step} px each way; the first are {size}.")
    keras.utils.set_random_seed(settings.seed)
    sample = AugmentedBatches(bundle, examples, SAMPLE, settings.seed).make(0)[..., None]
    features = np.asarray(feature_map(bundle, settings.dtype).predict(sample, MEASURED_AT_ONCE, verbose=0))
    scale = features.std(axis=(0, 1, 2)) + 1e-3
    model = _build_student(bundle, settings, start, sample, features, scale)
    # Adam's steps are as noisy in a larger batch when they are longer by the square root (Malladi et al. 2022).
    rate = settings.rate or RATE * np.sqrt(settings.batch / 8) * (PRETRAINED_RATE if start else 1.0)
    images = 0
    if settings.images != 0:
        distillation = build_distillation(bundle, model, scale, shape, settings.dtype, rate)
        batches = AugmentedBatches(bundle, examples, settings.batch, settings.seed)
        images = _fit(distillation, batches, rate, settings, say)
    drawn = np.asarray(screen_feature_map(model).predict(sample, MEASURED_AT_ONCE, verbose=0))
    screen = Screen(
        weights=in_units(fold_screen(model), units(drawn, features)),
        threshold=0.0,
        full_threshold=bundle.typical_threshold,
        size=shape,
        promise=settings.promise.keep,
        bundle=bundle.id,
        made={
            **{key: value for key, value in asdict(settings).items() if key != "promise"},
            "images_seen": images,
            "start": {"id": start.id, **start.made} if start else None,
            "backend": keras.backend.backend(),
            "data": [{"digest": one.data.digest, "images": len(one)} for one in examples],
            "held_out": [{"digest": one.data.digest, "images": len(one)} for one in held_out],
            "python": platform.python_version(),
        },
    )
    return set_threshold(bundle, screen, sample[..., 0], held_out, settings.promise) if held_out else screen


def _build_student(
    bundle: Bundle,
    settings: Settings,
    start: Screen | None,
    sample: np.ndarray,
    features: np.ndarray,
    scale: np.ndarray,
) -> keras.Model:
    """A screen that can be trained, whose features are the full network's divided by `scale`."""
    model = build_screen(dtype=settings.dtype, trainable=True)
    if start is None:
        start_dense(model, bundle.weights, scale)
        return model
    drawn = screen_feature_map(build_screen(start.weights, settings.dtype)).predict(sample, MEASURED_AT_ONCE, verbose=0)
    unfold(in_units(start.weights, units(drawn, features) / scale), model, sample)
    for number in range(1, len(CONVOLUTIONS) + 1):
        model.get_layer(f"norm{number}").trainable = not settings.settle
    return model


def _fit(
    distillation: keras.Model,
    batches: Iterable[np.ndarray],
    highest: float,
    settings: Settings,
    say: Callable[[str], None],
) -> int:
    """Train until the budget is used; how many augmented images were seen."""
    began = told = time.monotonic()
    seen, step, losses = 0, 0, []
    for batch in batches:
        if (used := _used(settings, time.monotonic() - began, seen)) >= 1.0:
            break
        warmth = min(1.0, (step + 1) / WARM_UP)
        distillation.optimizer.learning_rate = highest * warmth * (0.01 + 0.99 * 0.5 * (1.0 + np.cos(np.pi * used)))
        weights = np.array([1.0 if used < MAP_UNTIL else 0.3, 1.0, 1.0], np.float32)
        # Not [..., None]: JAX takes that axis's stride of 0 for another layout, and copies pixel by pixel.
        images = batch.reshape(*batch.shape, 1)
        wanted = np.tile(weights, (len(batch), 1))
        backend.complete(distillation, images, wanted)
        logs = distillation.train_on_batch(images, wanted, return_dict=True)
        losses.append((float(logs["map_cost"]), float(logs["score_cost"])))
        seen, step = seen + len(batch), step + 1
        if time.monotonic() - told > 60.0:
            told = time.monotonic()
            map_loss, score_loss = np.mean(losses[-200:], axis=0)
            say(
                f"{100 * used:.0f}%: {seen:,} images, {seen / (told - began):.0f} a second, "
                f"loss of map {map_loss:.3f}, of score {score_loss:.4f}"
            )
    return seen


def _used(settings: Settings, seconds: float, images: int) -> float:
    """Share of the budget that is used."""
    share = seconds / 60.0 / settings.minutes
    return max(share, images / settings.images) if settings.images else share

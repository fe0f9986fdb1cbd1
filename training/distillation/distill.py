"""Distilling the screen: a small network learns the full one's last feature map and answer, then gets its threshold.

Source of the idea: Hinton, Vinyals, Dean 2015 (arXiv 1503.02531); learning intermediate maps too: Romero et al. 2014
(arXiv 1412.6550). No labels are needed: the best images are such as will be scanned.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from crater_ray.engines.keras_screen import build_screen
from crater_ray.errors import UsageError
from crater_ray.network.bundle import Bundle
from crater_ray.network.screen import CONVOLUTIONS, Screen
from crater_ray.network.stardust import DENSE, Weights
from training.distillation.answers import Taught, last_map
from training.distillation.augmentation import Views
from training.distillation.screen_threshold import Promise, set_threshold
from training.distillation.student import build_lesson
from training.network.fold import unfold

if TYPE_CHECKING:
    import keras

RATE = 2e-3
"""Highest learning rate, for batches of 8."""
BEGUN_RATE = 0.5
"""Highest learning rate of a screen that was distilled before, of that of a fresh one."""
WARM_UP = 200
LEAST_UNIT = 1e-3
"""Of a feature that the full network never shows where the screen does."""
BATCH = 16
"""Images at once where a finished screen is measured."""
MAP_UNTIL = 0.8
"""Share of the time after which the map counts less: in the end only the answer matters."""
SOME = 192
"""Views on which features are measured."""


@dataclass(frozen=True)
class Settings:
    """How a screen is distilled.

    Attributes:
        minutes: wall time of fitting.
        images: views of images to see at most; None for no limit, 0 to learn nothing.
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
    lessons: Sequence[Taught],
    held_out: Sequence[Taught],
    settings: Settings,
    say: Callable[[str], None] = print,
    start: Screen | None = None,
) -> Screen:
    """Make a screen for a bundle.

    Args:
        bundle: the full network.
        lessons: what it says of the images to learn from, all of one size.
        held_out: what it says, in float32, of other images of that size: the threshold is set on them. Without any
            the screen lets all images pass, until it is gone on from with some.
        settings: how.
        say: is told one line a minute.
        start: a screen to go on from, such as that of the network's teacher.

    Raises:
        UsageError: the held-out images hold no candidate of the full network, or sizes do not fit.
    """
    import keras

    shape = lessons[0].data.shape
    step = CONVOLUTIONS[0].step
    if shape[0] % step or shape[1] % step or any(one.data.shape != shape for one in (*lessons, *held_out)):
        size = f"{shape[0]}x{shape[1]}"
        raise UsageError(f"All images must have one size, a multiple of {step} px each way; the first are {size}.")
    keras.utils.set_random_seed(settings.seed)
    some = Views(bundle, lessons, SOME, settings.seed).make(0)[..., None]
    features = np.asarray(last_map(bundle, settings.dtype).predict(some, BATCH, verbose=0))
    scale = features.std(axis=(0, 1, 2)) + 1e-3
    model = _begin(bundle, settings, start, some, features, scale)
    # Adam's steps are as noisy in a larger batch when they are longer by the square root (Malladi et al. 2022).
    rate = settings.rate or RATE * np.sqrt(settings.batch / 8) * (BEGUN_RATE if start else 1.0)
    images = 0 if settings.images == 0 else _fit(bundle, model, lessons, scale, rate, settings, say)
    drawn = np.asarray(map_of(model).predict(some, BATCH, verbose=0))
    screen = Screen(
        weights=_in_units(_fold(model), units(drawn, features)),
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
            "data": [{"digest": one.data.digest, "images": len(one)} for one in lessons],
            "held_out": [{"digest": one.data.digest, "images": len(one)} for one in held_out],
            "python": platform.python_version(),
        },
    )
    return set_threshold(bundle, screen, some[..., 0], held_out, settings.promise) if held_out else screen


def _begin(
    bundle: Bundle, settings: Settings, start: Screen | None, some: np.ndarray, features: np.ndarray, scale: np.ndarray
) -> keras.Model:
    """A screen that can be trained, whose features are the full network's divided by `scale`."""
    model = build_screen(dtype=settings.dtype, trainable=True)
    if start is None:
        _start_dense(model, bundle.weights, scale)
        return model
    drawn = map_of(build_screen(start.weights, settings.dtype)).predict(some, BATCH, verbose=0)
    unfold(_in_units(start.weights, units(drawn, features) / scale), model, some)
    for number in range(1, len(CONVOLUTIONS) + 1):
        model.get_layer(f"norm{number}").trainable = not settings.settle
    return model


def _fit(
    bundle: Bundle,
    model: keras.Model,
    lessons: Sequence[Taught],
    scale: np.ndarray,
    highest: float,
    settings: Settings,
    say: Callable[[str], None],
) -> int:
    """Train until the budget is used; how many views were seen."""
    lesson = build_lesson(bundle, model, scale, lessons[0].data.shape, settings.dtype, highest)
    began = told = time.monotonic()
    seen, step, losses = 0, 0, []
    for views in Views(bundle, lessons, settings.batch, settings.seed):
        if (used := _used(settings, time.monotonic() - began, seen)) >= 1.0:
            break
        warmth = min(1.0, (step + 1) / WARM_UP)
        lesson.optimizer.learning_rate = highest * warmth * (0.01 + 0.99 * 0.5 * (1.0 + np.cos(np.pi * used)))
        weights = np.array([1.0 if used < MAP_UNTIL else 0.3, 1.0, 1.0], np.float32)
        # Not [..., None]: JAX takes that axis's stride of 0 for another layout, and copies pixel by pixel.
        images = views.reshape(*views.shape, 1)
        logs = lesson.train_on_batch(images, np.tile(weights, (len(views), 1)), return_dict=True)
        losses.append((float(logs["map_cost"]), float(logs["score_cost"])))
        seen, step = seen + len(views), step + 1
        if time.monotonic() - told > 60.0:
            told = time.monotonic()
            map_loss, score_loss = np.mean(losses[-200:], axis=0)
            say(
                f"{100 * used:.0f}%: {seen:,} images, {seen / (told - began):.0f} a second, "
                f"loss of map {map_loss:.3f}, of score {score_loss:.4f}"
            )
    return seen


def map_of(model: keras.Model) -> keras.Model:
    """A screen up to its map of features."""
    import keras

    return keras.Model(model.inputs, model.get_layer("features").output)


def units(drawn: np.ndarray, features: np.ndarray) -> np.ndarray:
    """What a screen's features are to be multiplied by to be the full network's: float32 (32,), by least squares.

    Args:
        drawn: the screen's map of some images, (n, rows, columns, 32).
        features: the full network's, of the same images; at some sizes it has a few positions more.
    """
    axes = (0, 1, 2)
    features = features[:, : drawn.shape[1], : drawn.shape[2]].astype(np.float32)
    slope = (drawn * features).sum(axes) / np.maximum(np.square(drawn).sum(axes), 1e-6)
    return np.maximum(np.asarray(slope, np.float32), LEAST_UNIT)


def _in_units(weights: Weights, scale: np.ndarray) -> Weights:
    """The same screen with features in the full network's units: a second look compares the two."""
    return {
        **weights,
        "features/kernel": weights["features/kernel"] * scale,
        "features/bias": weights["features/bias"] * scale,
        "dense1/kernel": weights["dense1/kernel"] / scale[:, None],
    }


def _used(settings: Settings, seconds: float, images: int) -> float:
    """Share of the budget that is used."""
    share = seconds / 60.0 / settings.minutes
    return max(share, images / settings.images) if settings.images else share


def _start_dense(model: keras.Model, weights: Weights, scale: np.ndarray) -> None:
    """Begin with the full network's dense layers; they meet features divided by `scale`."""
    for number in range(1, len(DENSE) + 2):
        layer = model.get_layer(f"dense{number}")
        kernel = weights[f"dense{number}/kernel"]
        layer.kernel.assign(kernel * scale[:, None] if number == 1 else kernel)
        layer.bias.assign(weights[f"dense{number}/bias"])


def _fold(model: keras.Model) -> Weights:
    """The weights of the screen as it ships: batch normalisation is multiplied into the convolutions."""
    weights: Weights = {}
    for number in range(1, len(CONVOLUTIONS) + 1):
        layer, norm = model.get_layer(f"conv{number}"), model.get_layer(f"norm{number}")
        gamma, beta, mean, variance = (
            np.asarray(v.numpy(), np.float64) for v in (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
        )
        scale = gamma / np.sqrt(variance + norm.epsilon)
        weights[f"conv{number}/kernel"] = (layer.kernel.numpy() * scale).astype(np.float32)
        weights[f"conv{number}/bias"] = ((layer.bias.numpy() - mean) * scale + beta).astype(np.float32)
    for name in ("features", *(f"dense{number}" for number in range(1, len(DENSE) + 2))):
        layer = model.get_layer(name)
        weights[f"{name}/kernel"] = np.asarray(layer.kernel.numpy(), np.float32)
        weights[f"{name}/bias"] = np.asarray(layer.bias.numpy(), np.float32)
    return weights

"""Distilling the screen: a small network learns the full one's last feature map and answer, then gets its threshold.

Source of the idea: Hinton, Vinyals, Dean 2015 (arXiv 1503.02531); learning intermediate maps too: Romero et al. 2014
(arXiv 1412.6550). No labels are needed: the best images are such as will be scanned.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from crater_ray.bundle import Bundle
from crater_ray.engine.screens import build_screen
from crater_ray.errors import UsageError
from crater_ray.network import DENSE, Weights
from crater_ray.screen import CONVOLUTIONS, Screen, positions
from training.fold import unfold
from training.imitation import answer_costs, map_costs
from training.scoring import to_logit
from training.screen_threshold import Promise, set_threshold
from training.teacher import Taught
from training.views import Views

if TYPE_CHECKING:
    import keras

RATE = 2e-3
BEGUN_RATE = 0.5
"""Highest learning rate of a screen that was distilled before, of that of a fresh one."""
WARM_UP = 200
LEAST_UNIT = 1e-3
"""Of a feature that the full network never shows where the screen does."""
BATCH = 16
"""Images at once where a finished screen is measured."""
MAP_UNTIL = 0.8
"""Share of the time after which the map counts less: in the end only the answer matters."""
SOME = 32
"""Images on which a screen that was distilled before is measured."""
MISSED = 0.5
"""Weight of the square by which a candidate's answer stays below the threshold: the promise hangs on the worst."""


@dataclass(frozen=True)
class Settings:
    """How a screen is distilled.

    Attributes:
        minutes: wall time of fitting.
        images: views of images to see at most; None for no limit, 0 to learn nothing.
        batch: images in a batch.
        seed: decides first weights and order.
        dtype: Keras policy of the convolutions while fitting.
        promise: what the threshold has to keep.
    """

    minutes: float = 15.0
    images: int | None = None
    batch: int = 8
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
        held_out: what it says, in float32, of other images of that size: the threshold is set on them.
        settings: how.
        say: is told one line a minute.
        start: a screen to go on from, such as that of the network's teacher.

    Raises:
        UsageError: the held-out images hold no candidate of the full network, or sizes do not fit.
    """
    shape = lessons[0].data.shape
    step = CONVOLUTIONS[0].step
    if shape[0] % step or shape[1] % step or any(one.data.shape != shape for one in (*lessons, *held_out)):
        size = f"{shape[0]}x{shape[1]}"
        raise UsageError(f"All images must have one size, a multiple of {step} px each way; the first are {size}.")
    model, images = _fit(bundle, lessons, settings, say, start)
    some = lessons[0].data.images(np.arange(min(200, len(lessons[0]))))
    scale = units(np.asarray(model.predict(some[..., None], BATCH, verbose=0)[1]), lessons[0].features[: len(some)])
    screen = Screen(
        weights=_in_units(_fold(model), scale),
        threshold=0.0,
        full_threshold=bundle.typical_threshold,
        size=shape,
        promise=settings.promise.keep,
        bundle=bundle.id,
        made={
            **{key: value for key, value in asdict(settings).items() if key != "promise"},
            "images_seen": images,
            "start": start.id if start else None,
            "data": [{"digest": one.data.digest, "images": len(one)} for one in lessons],
            "held_out": [{"digest": one.data.digest, "images": len(one)} for one in held_out],
            "python": platform.python_version(),
        },
    )
    return set_threshold(bundle, screen, some, held_out, settings.promise)


def _fit(
    bundle: Bundle, lessons: Sequence[Taught], settings: Settings, say: Callable[[str], None], start: Screen | None
) -> tuple[keras.Model, int]:
    import keras

    keras.utils.set_random_seed(settings.seed)
    model = build_screen(dtype=settings.dtype, trainable=True)
    some = lessons[0].features[:200].astype(np.float32)
    if start is None:
        scale, highest = some.std(axis=(0, 1, 2)) + 1e-3, RATE
        _start_dense(model, bundle.weights, scale)
    else:
        seen = lessons[0].data.images(np.arange(min(SOME, len(lessons[0]))))[..., None]
        unfold(start.weights, model, seen)
        scale, highest = units(np.asarray(model.predict_on_batch(seen)[1]), some[: len(seen)]), RATE * BEGUN_RATE
    step = _stepper(model, bundle.typical_threshold, keras.optimizers.Adam(highest, clipnorm=5.0))
    views = iter(Views(bundle, lessons, settings.batch, settings.seed, settings.dtype))
    # At the trained size all positions are those of the full network; at some others the last ones are not covered.
    rows, columns = positions(lessons[0].data.shape)
    began = told = time.monotonic()
    count, losses = 0, []
    while (used := _used(settings, time.monotonic() - began, count * settings.batch)) < 1.0:
        view = next(views)
        features = view.features[:, :rows, :columns] / scale
        rate = highest * min(1.0, (count + 1) / WARM_UP) * (0.01 + 0.99 * 0.5 * (1.0 + np.cos(np.pi * used)))
        losses.append(step(view.images[..., None], features, view.logit, rate, 1.0 if used < MAP_UNTIL else 0.3))
        count += 1
        if time.monotonic() - told > 60.0:
            told = time.monotonic()
            map_loss, score_loss = np.mean(losses[-200:], axis=0)
            say(
                f"{100 * used:.0f}%: {count * settings.batch:,} images, {count * settings.batch / (told - began):.0f} "
                f"a second, loss of map {map_loss:.3f}, of score {score_loss:.4f}"
            )
    return model, count * settings.batch


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
    if settings.images is None:
        return share
    return max(share, images / settings.images) if settings.images else 1.0


def _start_dense(model: keras.Model, weights: Weights, scale: np.ndarray) -> None:
    """Begin with the full network's dense layers; they meet features divided by `scale`."""
    for number in range(1, len(DENSE) + 2):
        layer = model.get_layer(f"dense{number}")
        kernel = weights[f"dense{number}/kernel"]
        layer.kernel.assign(kernel * scale[:, None] if number == 1 else kernel)
        layer.bias.assign(weights[f"dense{number}/bias"])


def _stepper(model: keras.Model, threshold: float, optimizer: Any) -> Callable[..., tuple[float, float]]:
    """A function that takes one step of training and gives the losses of map and score."""
    import tensorflow as tf

    cut = float(to_logit(threshold))
    optimizer.build(model.trainable_variables)

    @tf.function  # type: ignore[untyped-decorator, misc]
    def step(images: Any, features: Any, logit: Any, map_weight: Any) -> Any:
        with tf.GradientTape() as tape:
            said, drawn = model(images, training=True)
            map_loss = tf.reduce_mean(map_costs(features, drawn))
            score_loss = tf.reduce_mean(answer_costs(logit, said[:, 0], cut))
            short = tf.where(logit >= cut, tf.nn.relu(cut - said[:, 0]), 0.0)
            loss = map_weight * map_loss + score_loss + MISSED * tf.reduce_mean(tf.square(short))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return map_loss, score_loss

    def take(
        images: np.ndarray, features: np.ndarray, logit: np.ndarray, rate: float, map_weight: float
    ) -> tuple[float, float]:
        optimizer.learning_rate.assign(rate)
        map_loss, score_loss = step(images, features, logit, tf.constant(map_weight, tf.float32))
        return float(map_loss), float(score_loss)

    return take


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

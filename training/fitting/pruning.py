"""Pruning: a network with fewer filters begins as a teacher's most important ones and learns from it what they missed.

Source of the ideas: filters are dropped whole (Li et al. 2017, arXiv 1608.08710), the rest learns the teacher's last
feature map (Romero et al. 2014, arXiv 1412.6550) and its answers (Hinton, Vinyals, Dean 2015, arXiv 1503.02531), here
at every position of that map, beside the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from crater_ray.errors import UsageError
from crater_ray.network.bundle import Bundle
from crater_ray.network.stardust import CONVOLUTIONS, FILTERS, Weights, apply_weights, build
from training.data_sets.batches import UNKNOWN
from training.distillation.answers import last_map
from training.distillation.distill import map_of, units
from training.distillation.loss import LEAST, answer_costs, map_costs
from training.network.fold import unfold
from training.network.scoring import head, to_logit
from training.network.trainable import build_trainable
from training.recipes import Recipe

if TYPE_CHECKING:
    import keras


def check_filters(filters: Sequence[int]) -> tuple[int, ...]:
    """The number of filters of each convolution, checked.

    Raises:
        UsageError: they are not as many as there are convolutions, or one is out of range.
    """
    chosen = tuple(filters)
    fits = len(chosen) == len(FILTERS) and all(0 < few <= all_ for few, all_ in zip(chosen, FILTERS, strict=True))
    if not fits or chosen[-1] != FILTERS[-1]:
        raise UsageError(
            f"--filters must be {len(FILTERS)} numbers, none above {','.join(map(str, FILTERS))}, the last as it is "
            f"there; received: {','.join(map(str, chosen))}"
        )
    return chosen


def important(weights: Weights, preprocessing: Any, images: np.ndarray, filters: Sequence[int]) -> list[np.ndarray]:
    """Which filters of each convolution to keep: those that give most to the next one on some images.

    A filter gives the root mean square of what it sees behind ReLU times the norm of the kernels that take it.

    Args:
        weights: of the network.
        preprocessing: how raw pixels become its input.
        images: uint8 (n, h, w, 1).
        filters: how many to keep.

    Returns:
        Ascending indices, by convolution.
    """
    import keras

    model = build(preprocessing)
    apply_weights(model, weights)
    names = [f"conv{number}" for number in range(1, len(CONVOLUTIONS) + 1)]
    body = keras.Model(model.inputs, [model.get_layer(name).output for name in names])
    squares = [np.zeros(count) for count in FILTERS]
    for row in range(len(images)):  # one by one: the first maps of many images would fill the memory
        layers = body.predict_on_batch(images[row : row + 1])
        squares = [total + np.square(one).mean(axis=(0, 1, 2)) for total, one in zip(squares, layers, strict=True)]
    kept = []
    for number, (few, given) in enumerate(zip(filters, squares, strict=True), start=1):
        weight = np.sqrt(given)
        if number < len(CONVOLUTIONS):
            weight = weight * np.sqrt(np.square(weights[f"conv{number + 1}/kernel"]).sum(axis=(0, 1, 3)))
        kept.append(np.sort(np.argsort(-weight)[:few]))
    return kept


def begin(bundle: Bundle, recipe: Recipe, model: keras.Model, images: np.ndarray, filters: Sequence[int]) -> None:
    """Start a trainable model with batch normalisation as the most important filters of a bundle.

    Each normalisation gives its filters the mean and deviation that they have in the whole network, so that what the
    next layers were made for still comes, if less clear.

    Args:
        bundle: the teacher.
        recipe: that the model was built for.
        model: made by `build_trainable` with these filters and `batch_norm`.
        images: uint8 (n, h, w, 1), such as will be trained on.
        filters: of each convolution.
    """
    kept = important(bundle.weights, bundle.preprocessing, images, filters)
    full = build_trainable(recipe, batch_norm=True)
    unfold(bundle.weights, full, images)
    for layer in full.layers:
        kind = layer.name.rstrip("0123456789")
        if kind not in ("conv", "norm", "dense"):
            continue
        number = int(layer.name.removeprefix(kind))
        for source, target in zip(layer.weights, model.get_layer(layer.name).weights, strict=True):
            value = np.asarray(source)
            if kind != "dense":
                value = value[..., kept[number - 1]]
            if kind == "conv" and value.ndim == 4 and number > 1:
                value = value[:, :, kept[number - 2]]
            target.assign(value)


def _answers(features: np.ndarray, weights: Weights) -> np.ndarray:
    """The dense layers at every position of a map (n, rows, columns, 32), and for all together: (n, positions + 1)."""
    local = head(weights, features.reshape(-1, features.shape[-1])).reshape(len(features), -1)
    score = head(weights, features.max(axis=(1, 2)))[:, None]
    return np.concatenate([local, score], axis=1).astype(np.float32)


TAUGHT = ("features", "answers")
"""Outputs of which a teacher speaks; of the others the truth."""
IGNORED = -1e6
"""Target of such an output where only the truth counts."""


def either(targets: dict[str, np.ndarray], known: np.ndarray) -> dict[str, np.ndarray]:
    """The truth for images of which it is known, (n,) bool, and for the others only what a teacher says of them."""
    chosen = {}
    for name, target in targets.items():
        chosen[name] = target.copy()
        if name in TAUGHT:
            chosen[name][known] = IGNORED
        else:
            chosen[name][~known] = UNKNOWN
    return chosen


class Teacher:
    """A bundle that says of training images what it makes of them.

    Args:
        bundle: the network.
        dtype: Keras policy of its convolutions.
        images: uint8 (n, h, w, 1), such as will be trained on: the spread of its features is measured on them.
        screen_share: share of the bundle's screen in what is taught of images of its size. A network that learns
            from the mean of both should call fewer images candidates of which the screen sees little.

    Raises:
        UsageError: the bundle has no screen to take a share of, or one for images of another size.
    """

    def __init__(self, bundle: Bundle, dtype: str, images: np.ndarray, screen_share: float = 0.0) -> None:
        from crater_ray.engines.keras_screen import build_screen

        self.bundle, self._share = bundle, screen_share
        self._body = last_map(bundle, dtype)
        features = np.asarray(self._body.predict_on_batch(images))
        self._scale = features.std(axis=(0, 1, 2)) + 1e-3
        if not screen_share:
            return
        screen, size = bundle.screen, images.shape[1:3]
        if screen is None or screen.size != size:
            raise UsageError(
                f"The teacher {bundle.name!r} has no screen for images of {size[0]}x{size[1]} pixels to take a share "
                "of. Make one with `python -m training distill`, or give no --screen-share."
            )
        self._small = map_of(build_screen(screen.weights, dtype))
        self._units = units(np.asarray(self._small.predict_on_batch(images)), features)

    def targets(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """What it makes of uint8 images (n, h, w, 1): the outputs `features` and `answers` of `build_trainable`."""
        features = np.asarray(self._body.predict_on_batch(images), np.float32)
        answers = _answers(features, self.bundle.weights)
        screen = self.bundle.screen
        if self._share and screen is not None and images.shape[1:3] == screen.size:
            drawn = np.asarray(self._small.predict_on_batch(images), np.float32)
            answers += self._share * (_answers(drawn, screen.weights) - answers)
            features += self._share * (drawn * self._units - features)
        return {"features": features, "answers": answers}

    def losses(self) -> dict[str, Any]:
        """The losses of `features` and `answers`."""
        from keras import ops

        scale, cut = self._scale.astype(np.float32), float(to_logit(self.bundle.typical_threshold))

        def mean(costs: Any, truth: Any) -> Any:
            return ops.mean(ops.where(truth > 0.5 * IGNORED, costs, 0.0))

        def feature_loss(truth: Any, said: Any) -> Any:
            return mean(map_costs(truth / scale, said / scale), truth)

        def answer_loss(truth: Any, said: Any) -> Any:
            costs = answer_costs(truth, said, cut)
            # Of an image's answers only the last is that of the whole.
            return 0.5 / LEAST * mean(costs[:, :-1], truth[:, :-1]) + mean(costs[:, -1], truth[:, -1])

        return {"features": feature_loss, "answers": answer_loss}

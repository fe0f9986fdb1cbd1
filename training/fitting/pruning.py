"""Pruning: a network with fewer filters starts as the most important ones of its teacher.

Source of the idea: filters are dropped whole (Li et al. 2017, arXiv 1608.08710). What the rest then learns from the
teacher is in `training.fitting.teacher`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from crater_ray.errors import UsageError
from crater_ray.network.bundle import Bundle
from crater_ray.network.stardust import CONVOLUTIONS, FILTERS, Weights, apply_weights, build
from training.network.fold import unfold
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


def start_from_teacher(
    bundle: Bundle, recipe: Recipe, model: keras.Model, images: np.ndarray, filters: Sequence[int]
) -> None:
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

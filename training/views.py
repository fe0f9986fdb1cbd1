"""Views of images, turned over, moved round and in other tones, with what the full network says of each.

A screen that meets the same images again and again learns them by heart: one distilled from 24,000 images as they are
let 9% of them pass at the score that all but a hundredth of their candidates reached, and 25% of others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from crater_ray.bundle import Bundle
from training.batches import change_tones
from training.scoring import head, to_logit
from training.teacher import Taught, last_map

SELDOM = 0.1
"""An image far from the full network's threshold is drawn so often, against one at the threshold."""
TONES = 0.2
"""Largest natural logarithm of a view's gamma, up or down."""


@dataclass(frozen=True)
class View:
    """A batch of views.

    Attributes:
        images: (n, height, width) uint8.
        features: (n, rows, columns, 32) float32, the full network's last map.
        logit: (n,) float32, its answers.
    """

    images: np.ndarray
    features: np.ndarray
    logit: np.ndarray


class Views:
    """Draws images, those near the threshold more often, and has the full network answer to views of them.

    Args:
        bundle: the full network.
        lessons: the images, with its answers to them as they are.
        batch: views at a time.
        seed: decides which images and which views.
        dtype: Keras policy of the network's convolutions.
    """

    def __init__(self, bundle: Bundle, lessons: Sequence[Taught], batch: int, seed: int, dtype: str) -> None:
        import tensorflow as tf

        self._weights, self._batch = bundle.weights, batch
        self._where = [(one, row) for one in lessons for row in range(len(one))]
        chance = np.concatenate([chance_of(one.logit, bundle.typical_threshold) for one in lessons])
        self._chance = chance / chance.sum()
        self._rng = np.random.default_rng(seed)
        body = last_map(bundle, dtype)
        self._answer = tf.function(lambda images: body(images, training=False), reduce_retracing=True)

    def __iter__(self) -> Iterator[View]:
        """Views without end; the next ones are made while the last ones are learnt from."""
        with ThreadPoolExecutor(1) as thread:
            coming = thread.submit(self._next)
            while True:
                view = coming.result()
                coming = thread.submit(self._next)
                yield view

    def _next(self) -> View:
        chosen = self._rng.choice(len(self._where), self._batch, p=self._chance)
        images = np.concatenate([one.data.images([row]) for one, row in (self._where[number] for number in chosen)])
        images = look_otherwise(self._rng, images)
        features = np.asarray(self._answer(images[..., None]), np.float32)
        peaks = features.max(axis=(1, 2)).astype(np.float64)
        return View(images, features, head(self._weights, peaks).astype(np.float32))


def chance_of(answer: np.ndarray, threshold: float) -> np.ndarray:
    """How often each image is drawn: an archive has few images near the threshold, and there it is decided.

    Args:
        answer: (n,) the full network's logits.
        threshold: of its score.
    """
    return np.asarray(SELDOM + np.exp(-np.abs(answer - to_logit(threshold))))


def look_otherwise(rng: np.random.Generator, images: np.ndarray) -> np.ndarray:
    """Turn images over, up and down and left and right, move some round their edges, and change their tones.

    Args:
        rng: decides how.
        images: (n, height, width) uint8.
    """
    seen = np.empty_like(images)
    for view, image in zip(seen, images, strict=True):
        turned = image[:: rng.choice((1, -1)), :: rng.choice((1, -1))]
        view[:] = np.roll(turned, rng.integers(0, image.shape), (0, 1)) if rng.random() < 0.5 else turned
    return change_tones(rng, seen, TONES)

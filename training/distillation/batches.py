"""Batches for distillation: augmented images, those near the threshold more often.

A screen that meets the same images again and again learns them by heart: one distilled from 24,000 images as they are
let 9% of them pass at the score that all but a hundredth of their candidates reached, and 25% of others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import numpy as np

from crater_ray.network.bundle import Bundle
from training.data_sets.augmentation import augment
from training.distillation.answers import Answered
from training.network.scoring import to_logit

LEAST_WEIGHT = 0.1
"""An image far from the full network's threshold is drawn so often, against one at the threshold."""
THREADS = 12
"""They make batches: a GPU learns from more images than one or two of them augment."""
PREFETCH = 16
"""Batches that are being made or ready."""


class AugmentedBatches:
    """Draws images, those near the threshold more often, and augments them.

    Args:
        bundle: the full network.
        examples: the images, with its answers to them as they are.
        batch: images at a time.
        seed: decides which images and how each is augmented.
    """

    def __init__(self, bundle: Bundle, examples: Sequence[Answered], batch: int, seed: int) -> None:
        self._batch, self._seed = batch, seed
        self._where = [(one, row) for one in examples for row in range(len(one))]
        weight = np.concatenate([sampling_weights(one.logit, bundle.typical_threshold) for one in examples])
        self._sum = np.cumsum(weight / weight.sum())

    def __iter__(self) -> Iterator[np.ndarray]:
        """Batches without end, uint8 (batch, height, width); the next ones are made while the last is learnt from."""
        with ThreadPoolExecutor(THREADS) as threads:
            coming = deque(threads.submit(self.make, number) for number in range(PREFETCH))
            try:
                for number in count(PREFETCH):
                    batch = coming.popleft().result()
                    coming.append(threads.submit(self.make, number))
                    yield batch
            finally:
                threads.shutdown(cancel_futures=True)

    def make(self, number: int) -> np.ndarray:
        """The batch of this number from 0, uint8 (batch, height, width)."""
        rng = np.random.default_rng([self._seed, number])
        chosen = np.minimum(np.searchsorted(self._sum, rng.random(self._batch)), len(self._where) - 1)
        images = np.concatenate([one.data.images([row]) for one, row in (self._where[number] for number in chosen)])
        return augment(rng, images)


def sampling_weights(answer: np.ndarray, threshold: float) -> np.ndarray:
    """How often each image is drawn: an archive has few images near the threshold, and there it is decided.

    Args:
        answer: (n,) the full network's logits.
        threshold: of its score.
    """
    return np.asarray(LEAST_WEIGHT + np.exp(-np.abs(answer - to_logit(threshold))))

"""Mining: the fresh blanks that a network takes most for craters, kept to be shown again in training."""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from crater_ray.network import finder
from crater_ray.network.stardust import Weights
from training.finder.stream import Batches, stream


@dataclass(frozen=True)
class Mining:
    """What is looked through.

    Attributes:
        batches: of scenes; they are drawn without craters.
        blanks: scenes to look through.
        keep: so many of the worst.
    """

    batches: Batches
    blanks: int = 100_000
    keep: int = 4_000


def mine(mining: Mining, weights: Weights, out: Path) -> np.ndarray:
    """Write the worst blanks to a file: `images` (n, size, size) uint8 and `logit` (n,) float32, worst first.

    Args:
        mining: what is looked through.
        weights: of the finder, as `training.finder.export.folded_weights` gives them.
        out: the file, .npz.

    Returns:
        The logits of all blanks' strongest centres, (blanks,) float32.
    """
    import tensorflow as tf

    model = finder.model_of(weights)
    score = tf.function(lambda images: tf.reduce_max(model(images)["maps"][..., 0], axis=(1, 2)))
    worst: list[tuple[float, int, np.ndarray]] = []
    seen: list[np.ndarray] = []
    began, shown = time.monotonic(), 0.0
    count = -(-mining.blanks // mining.batches.images)
    for number, (images, _) in enumerate(islice(stream(replace(mining.batches, blank=True, mined=None)), count)):
        logits = score(tf.constant(images)).numpy()
        seen.append(logits)
        for image, logit in enumerate(logits.tolist()):
            entry = (logit, number * len(images) + image, images[image, ..., 0])
            if len(worst) < mining.keep:
                heapq.heappush(worst, entry)
            elif logit > worst[0][0]:
                heapq.heapreplace(worst, entry)
        seconds = time.monotonic() - began
        if seconds - shown > 60:
            shown = seconds
            left = seconds / (number + 1) * (count - number - 1) / 60
            print(f"{(number + 1) * len(images):,} blanks, {left:.0f} minutes left", flush=True)
    worst.sort(key=lambda entry: (-entry[0], entry[1]))
    partial = out.with_suffix(".tmp.npz")
    np.savez(partial, images=np.stack([entry[2] for entry in worst]), logit=np.array([e[0] for e in worst], np.float32))
    partial.replace(out)
    return np.concatenate(seen)[: mining.blanks]

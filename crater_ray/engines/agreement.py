"""Whether an engine says what full precision says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from crater_ray.engines.base import Engine
from crater_ray.network.bundle import Bundle
from crater_ray.places.middles import middles


@dataclass(frozen=True)
class Agreement:
    """How two engines compare on the same images.

    Attributes:
        images: how many.
        threshold: from which score an image is a candidate.
        largest_difference, mean_difference: of the scores.
        candidates: of the reference.
        kept: candidates of the reference that the other engine has too.
        gained: candidates of the other engine alone.
        largest_shift_px: of the evidence's place, over candidates that both have; None without any.
    """

    images: int
    threshold: float
    largest_difference: float
    mean_difference: float
    candidates: int
    kept: int
    gained: int
    largest_shift_px: float | None

    @property
    def kept_share(self) -> float:
        """Kept candidates over all of the reference; 1 when it has none."""
        return self.kept / self.candidates if self.candidates else 1.0


def compare(
    reference: Engine, other: Engine, batches: Iterable[np.ndarray], bundle: Bundle, threshold: float | None = None
) -> Agreement:
    """Score the same images with two engines.

    Args:
        reference: full precision.
        other: the engine in question.
        batches: (n, height, width) uint8 images, one size per batch.
        bundle: the network of both.
        threshold: from which score an image is a candidate; the bundle's typical one when None.
    """
    threshold = bundle.typical_threshold if threshold is None else threshold
    cut = np.float32(threshold)
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    shifts: list[float] = []
    for images in batches:
        first, second = reference.score(images), other.score(images)
        pairs.append((first.scores, second.scores))
        both = np.flatnonzero((first.scores >= cut) & (second.scores >= cut))
        if len(both):
            _, height, width = images.shape
            places = [middles(said, both, height, width, bundle.weights) for said in (first, second)]
            shifts += np.hypot(*(places[0] - places[1]).T).tolist()
    before, after = (np.concatenate(column) for column in zip(*pairs, strict=True))
    difference = np.abs(before - after)
    there, here = before >= cut, after >= cut
    return Agreement(
        images=len(before),
        threshold=float(threshold),
        largest_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        candidates=int(there.sum()),
        kept=int((there & here).sum()),
        gained=int((here & ~there).sum()),
        largest_shift_px=max(shifts) if shifts else None,
    )

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


@dataclass(frozen=True)
class Compared:
    """What two engines said of the same images.

    Attributes:
        before, after: (n,) float32, scores of the reference and of the other engine.
        shifts: px from the one's place of the evidence to the other's, over candidates that both have.
    """

    before: np.ndarray
    after: np.ndarray
    shifts: tuple[float, ...]

    def agreement(self, threshold: float, confirm: float = 0.0) -> Agreement:
        """How they compare.

        Args:
            threshold: from which score an image is a candidate.
            confirm: as if the other engine's scores this near the threshold were computed again by the reference.
        """
        cut = np.float32(threshold)
        after = np.where(self.close(threshold, confirm), self.before, self.after) if confirm else self.after
        difference = np.abs(self.before - after)
        there, here = self.before >= cut, after >= cut
        return Agreement(
            images=len(after),
            threshold=float(threshold),
            largest_difference=float(difference.max()),
            mean_difference=float(difference.mean()),
            candidates=int(there.sum()),
            kept=int((there & here).sum()),
            gained=int((here & ~there).sum()),
            largest_shift_px=max(self.shifts) if self.shifts else None,
        )

    def close(self, threshold: float, confirm: float) -> np.ndarray:
        """(n,) bool, which of the other engine's scores are so near the threshold."""
        return np.abs(self.after - np.float32(threshold)) <= confirm

    def least_confirm(self, threshold: float, share: float) -> float:
        """How near the threshold scores have to be computed again for a share of the candidates to be kept.

        Where too few are kept, all lost ones here are covered, and half as far again: other images have others.
        """
        if self.agreement(threshold).kept_share >= share:
            return 0.0
        cut = np.float32(threshold)
        lost = self.after[(self.before >= cut) & (self.after < cut)]
        return 1.5 * float((cut - lost).max())


def compare(
    reference: Engine, other: Engine, batches: Iterable[np.ndarray], bundle: Bundle, threshold: float | None = None
) -> Compared:
    """Score the same images with two engines.

    Args:
        reference: full precision.
        other: the engine in question.
        batches: (n, height, width) uint8 images, one size per batch.
        bundle: the network of both.
        threshold: from which score an image is a candidate; the bundle's typical one when None.
    """
    cut = np.float32(bundle.typical_threshold if threshold is None else threshold)
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
    return Compared(before, after, tuple(shifts))

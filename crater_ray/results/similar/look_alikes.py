"""Which places look alike: features of a network made comparable, and the nearest ones to one of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SHORT = 48
"""Numbers per place that a page gets: the directions in which the places of a run differ most."""
STEPS = 127


@dataclass(frozen=True)
class LookAlikes:
    """Features of n places, each a direction: alike is what points the same way.

    Attributes:
        directions: (n, d) float32, of length 1.
    """

    directions: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray) -> LookAlikes:
        """Make features comparable: centred and scaled over all places.

        Args:
            features: (n, d) of any float type, as `crater_ray.engines.features.FeatureMaker` gives them.
        """
        values = features.astype(np.float32)
        if not len(values):
            return cls(values)
        values -= values.mean(axis=0)
        spread = np.sqrt(np.einsum("ij,ij->j", values, values) / len(values))
        values *= np.where(spread > 1e-6, 1 / np.maximum(spread, 1e-6), 0)
        length = np.sqrt(np.einsum("ij,ij->i", values, values))
        values /= np.maximum(length, 1e-9)[:, None]
        return cls(values)

    def nearest(self, place: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The places that look most like one of them.

        Args:
            place: its number; it is not among the answers.
            count: how many are wanted.

        Returns:
            (k,) numbers, nearest first, of equally near ones the first; (k,) float32 how like, from -1 to 1.
        """
        like = self.directions @ self.directions[place]
        like[place] = -np.inf
        count = min(count, len(like) - 1)
        some = np.argpartition(-like, count - 1)[:count] if 0 < count < len(like) else np.arange(0)
        order = some[np.lexsort((some, -like[some]))]
        return order, like[order]

    def short(self) -> np.ndarray:
        """(n, up to `SHORT`) int8 whose angles are about those of the directions, for pages."""
        n, wide = self.directions.shape
        if not n:
            return np.zeros((0, 0), np.int8)
        values, axes = np.linalg.eigh(self.directions.T @ self.directions)
        projected = self.directions @ axes[:, np.argsort(-values)[: min(SHORT, wide)]]
        length = np.linalg.norm(projected, axis=1, keepdims=True)
        largest = np.abs(projected / np.maximum(length, 1e-9)).max()
        scaled = projected / np.maximum(length, 1e-9) * (STEPS / max(largest, 1e-9))
        return np.asarray(np.rint(scaled), np.int8)

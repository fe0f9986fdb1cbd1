"""What a network says of a batch of images: scores, and what tells where they come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crater_ray.network.finder import STRIDE


@dataclass(frozen=True)
class Evidence:
    """The answer of the publication's network for n images, whichever engine computed it.

    Attributes:
        scores: (n,) float32 in 0..1.
        peaks: (n, 32) float32, global maximum of each feature.
        positions: (n, 32) int32, where it lies in the flattened last feature map.
    """

    scores: np.ndarray
    peaks: np.ndarray
    positions: np.ndarray

    def with_answers(self, index: np.ndarray, again: Evidence) -> Evidence:
        """The same, but for the images `index` what `again` says of them."""
        answer = Evidence(self.scores.copy(), self.peaks.copy(), self.positions.copy())
        answer.scores[index], answer.peaks[index], answer.positions[index] = again.scores, again.peaks, again.positions
        return answer


@dataclass(frozen=True)
class Maps:
    """The answer of the finder for n images, whichever engine computed it.

    Attributes:
        scores: (n,) float32 in 0..1: of each image's strongest centre.
        maps: (n, rows, columns, 4) float32, as `crater_ray.network.finder` gives them, of the positions in the image.
    """

    scores: np.ndarray
    maps: np.ndarray

    @staticmethod
    def of(maps: np.ndarray, height: int, width: int) -> Maps:
        """The answer for images of that size, whose maps may have positions beyond their borders."""
        inside = maps[:, : -(-height // STRIDE), : -(-width // STRIDE)]
        strongest = inside[..., 0].reshape(len(inside), -1).max(axis=1).astype(np.float64)
        return Maps((1 / (1 + np.exp(-strongest))).astype(np.float32), inside)

    def with_answers(self, index: np.ndarray, again: Maps) -> Maps:
        """The same, but for the images `index` what `again` says of them."""
        answer = Maps(self.scores.copy(), self.maps.copy())
        answer.scores[index], answer.maps[index] = again.scores, again.maps
        return answer


Answer = Evidence | Maps

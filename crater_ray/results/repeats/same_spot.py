"""Candidates at the same spot of the foil in frames that overlap: one thing, photographed more than once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

WAYS = ((1, 1), (1, -1), (-1, 1), (-1, -1))
"""Which way the stage's axes may run along those of the images."""
CONTROL = 5.0
"""Pairs up to so many times as far apart tell how many come together by chance."""
CLEARLY = 3.0
"""So many deviations more pairs than by chance tell that a way is right, where frames overlap."""


@dataclass(frozen=True)
class Frames:
    """n candidates and where their frames were taken.

    Attributes:
        x, y: (n,) px of the crater in its image.
        height, width: (n,) px of the image.
        stage_x, stage_y: (n,) um, the stage's coordinates of the image.
        pixel_um: (n,) width of a pixel.
        foil: (n,) number of the foil; only candidates of one foil are compared.
    """

    x: np.ndarray
    y: np.ndarray
    height: np.ndarray
    width: np.ndarray
    stage_x: np.ndarray
    stage_y: np.ndarray
    pixel_um: np.ndarray
    foil: np.ndarray

    def spots(self, way: tuple[int, int]) -> np.ndarray:
        """(n, 3) where each candidate is on its foil, in um, and its foil, far from all others."""
        across = way[0] * self.stage_x + (self.x - (self.width - 1) / 2) * self.pixel_um
        down = way[1] * self.stage_y + (self.y - (self.height - 1) / 2) * self.pixel_um
        return np.stack([across, down, self.foil * 1e7], axis=1)


def same_spot(frames: Frames, within: float) -> tuple[list[np.ndarray], tuple[int, int] | None]:
    """Groups of candidates at the same spot of the foil.

    Nobody says which way the stage's axes run along the image's. Of the four ways that one is taken by which most
    candidates come together, if it is clearly more than chance, judged by the pairs that are a little farther apart.

    Args:
        frames: the candidates.
        within: um that the spots of one thing may differ by, as the stage and the places are exact.

    Returns:
        Numbers of the members, ascending, of each group, the largest first; and the way, None where there are none.
    """
    if len(frames.x) < 2:
        return [], None
    best: tuple[float, tuple[int, int], np.ndarray] | None = None
    for way in WAYS:
        spots = frames.spots(way)
        tree = cKDTree(spots)
        pairs = _of_two_frames(frames, tree.query_pairs(within, output_type="ndarray"))
        farther = _of_two_frames(frames, tree.query_pairs(CONTROL * within, output_type="ndarray"))
        expected = (len(farther) - len(pairs)) / (CONTROL**2 - 1)
        excess = (len(pairs) - expected) / np.sqrt(max(expected, 1 / CLEARLY**2))
        if len(pairs) and excess >= CLEARLY and (best is None or excess > best[0]):
            best = excess, way, pairs
    if best is None:
        return [], None
    _, way, pairs = best
    joined = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(frames.x),) * 2)
    _, group = connected_components(joined, directed=False)
    groups = [np.flatnonzero(group == one) for one in np.flatnonzero(np.bincount(group) > 1)]
    return sorted(groups, key=lambda members: (-len(members), int(members[0]))), way


def _of_two_frames(frames: Frames, pairs: np.ndarray) -> np.ndarray:
    """Pairs whose frames were taken at different coordinates: the same picture twice tells nothing of the axes."""
    first, second = pairs[:, 0], pairs[:, 1]
    moved = np.hypot(frames.stage_x[first] - frames.stage_x[second], frames.stage_y[first] - frames.stage_y[second])
    return np.asarray(pairs[moved > 0])

"""Warping a seed crater to a wanted diameter, rotation and aspect ratio."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from training.data_sets.seeds import Seed


@dataclass(frozen=True)
class Warped:
    """A seed crater at its final size.

    Attributes:
        relative: float32 (s, s), brightness against the foil around the crater, relative to it (-0.9..2.5).
        grey: float32 (s, s), brightness 0..255 as it was.
        alpha: float32 (s, s) in 0..1.
        diameter_px: geometric mean of its two axes.
    """

    relative: np.ndarray
    grey: np.ndarray
    alpha: np.ndarray
    diameter_px: float


def shading_angle(seed: Seed) -> float:
    """Direction, in radians, towards which a crater gets brighter: where its detector stood, seen from its floor.

    The brightness-weighted centre of the cut-out against the centre of its alpha.
    """
    rows, columns = np.indices(seed.alpha.shape, dtype=np.float32)
    weight = seed.alpha / max(float(seed.alpha.sum()), 1e-6)
    centre_y, centre_x = float((rows * weight).sum()), float((columns * weight).sum())
    contrast = seed.grey - float((seed.grey * weight).sum())
    down = float((contrast * weight * (rows - centre_y)).sum())
    right = float((contrast * weight * (columns - centre_x)).sum())
    return float(np.arctan2(down, right))


def warp(seed: Seed, diameter_px: float, angle: float, aspect: float, *, mirrored: bool = False) -> Warped:
    """Rotate, scale and stretch a seed crater.

    Args:
        seed: the cut-out.
        diameter_px: wanted diameter, the geometric mean of the two axes.
        angle: rotation in radians.
        aspect: ratio of the two axes, stretched along the rotated cut-out's columns.
        mirrored: flip the cut-out first.
    """
    shrink = seed.diameter_px / diameter_px
    stretch = np.sqrt(np.clip(aspect, 0.5, 2.0))
    size = int(np.ceil(max(seed.alpha.shape) / shrink * max(stretch, 1 / stretch) * 1.1)) | 1
    size = max(size, 5)
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, -sine], [sine, cosine]])
    if mirrored:
        turn = turn @ np.diag([1.0, -1.0])
    # The map goes from the finished patch back to the cut-out: undo the stretch, then the rotation, then the size.
    matrix = shrink * turn @ np.diag([stretch, 1.0 / stretch])
    offset = (np.array(seed.alpha.shape) - 1) / 2.0 - matrix @ np.full(2, (size - 1) / 2.0)
    # Blur before shrinking, or fine detail of the cut-out comes back as false detail (half a finished pixel).
    sigma = 0.45 * max(shrink - 1.0, 0.0)

    def resample(plane: np.ndarray) -> np.ndarray:
        soft = ndimage.gaussian_filter(plane, sigma, mode="constant") if sigma > 0 else plane
        return np.asarray(
            ndimage.affine_transform(soft, matrix, offset, (size, size), order=1, mode="constant"), np.float32
        )

    alpha = resample(seed.alpha)
    # Colours travel multiplied by their alpha, or the transparent surround would bleed into the edge.
    grey = resample(seed.grey * seed.alpha) / np.maximum(alpha, 1e-3)
    level = surround_level(seed)
    # Foil that was nearly black would make any rim infinitely bright: compare with at least a quarter of the range.
    relative = np.clip(np.where(alpha > 1e-3, (grey - level) / max(level, 60.0), 0.0), -0.9, 2.5).astype(np.float32)
    return Warped(relative, grey.astype(np.float32), np.clip(alpha, 0.0, 1.0), diameter_px)


def surround_level(seed: Seed) -> float:
    """Brightness of the foil around the crater, 0..255: the mean over the fading edge of the cut-out."""
    edge = (seed.alpha > 0.02) & (seed.alpha < 0.5)
    if edge.sum() < 8:
        edge = (seed.alpha > 0.5) & ~ndimage.binary_erosion(seed.alpha > 0.5, iterations=2)
    return float(np.median(seed.grey[edge])) if edge.any() else float(seed.grey.mean())

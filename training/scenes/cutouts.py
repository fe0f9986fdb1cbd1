"""Craters as cut-outs of photographed ones: their brightness relative to their own surroundings, warped and re-lit."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from training.scenes.relief import Patch


def relative(cutout: np.ndarray) -> np.ndarray:
    """A seed crater (s, s, 4) uint8, RGBA, as its relative brightness (s, s) float32, 0 outside."""
    grey, alpha = cutout[..., 0].astype(np.float32), cutout[..., 3].astype(np.float32) / 255
    edge = grey[(alpha > 0.05) & (alpha < 0.6)]
    ground = float(np.median(edge)) if edge.size else float(np.median(grey))
    return np.asarray((grey / max(ground, 8.0) - 1) * alpha, np.float32)


def draw_cutout(
    rng: np.random.Generator, library: Sequence[tuple[np.ndarray, float]], diameter: float, side: float
) -> Patch:
    """Draw one crater from a library of relative brightnesses.

    Args:
        rng: where chance comes from.
        library: (s, s) float32 relative brightness, and the share of s that the diameter has.
        diameter: rim crest to rim crest, px.
        side: which way to brighten it, radians.
    """
    change, share = library[int(rng.integers(len(library)))]
    size = change.shape[0]
    scale = diameter / (share * size)
    half = int(np.ceil(size * scale * 0.62)) + 1
    n = 2 * half + 1
    x, y = half + rng.uniform(-0.5, 0.5, 2)
    source = change
    if scale < 0.7:  # the warp samples points: average first
        source = cv2.GaussianBlur(change, (0, 0), 0.45 / scale)
    ratio = np.sqrt(1 + abs(rng.normal(0, 0.12)))
    first, second = rng.uniform(0, 2 * np.pi, 2)
    turn = _rotation(first) @ np.diag([scale * ratio, scale / ratio]) @ _rotation(second)
    if rng.random() < 0.5:
        turn = turn @ np.diag([-1, 1])
    middle = np.full(2, (size - 1) / 2)
    matrix = np.column_stack([turn, np.array([x, y]) - turn @ middle])
    warped = cv2.warpAffine(source, matrix, (n, n), flags=cv2.INTER_LINEAR, borderValue=0.0)
    # Floors from black to as bright as their surroundings, rims from full to barely there and from rings to crescents.
    warped = np.where(warped < 0, warped * rng.uniform(0.05, 1.2), warped * rng.uniform(0.3, 1.3))
    if rng.random() < 0.5:
        grid = np.arange(n) - half
        away = np.arctan2(grid[:, None], grid[None, :])
        warped = warped * np.clip(1 + rng.uniform(0.2, 1.2) * np.cos(away - side), 0, 2)
    warped = np.asarray(warped, np.float32)
    return Patch(warped / max(float(np.ptp(warped)), 1e-6), float(x), float(y), diameter)


def _rotation(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

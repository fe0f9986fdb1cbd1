"""Blending a warped crater into a canvas: matched to the spot it lands on; or pasting it as it is."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from training.data_sets.conditions import Conditions
from training.data_sets.warp import Warped

LEAST_VISIBILITY = 5.0
"""A blended crater has at least this spread of brightness over noise, times the square root of its diameter in
pixels; else its contrast is raised: an image labelled crater in which none can be seen teaches nothing."""


def noise_sigma(pixels: np.ndarray) -> float:
    """Standard deviation of the finest texture and noise of an image (h, w), in grey levels.

    Immerkaer, "Fast noise variance estimation", CVIU 64 (1996), with the median in place of the mean so that edges
    do not count.
    """
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    response = ndimage.convolve(pixels.astype(np.float32), kernel, mode="nearest")[1:-1, 1:-1]
    return float(np.median(np.abs(response)) / 0.6745 / 6.0)


def paste(canvas: np.ndarray, warped: Warped, x: float, y: float) -> None:
    """Paste a crater into a float32 image (h, w) as it is, in place.

    This is what the original training did: no brightness, blur or noise is matched.
    """
    window, patch = _overlap(canvas.shape, warped.alpha.shape, x, y)
    alpha, grey = warped.alpha[patch], warped.grey[patch]
    canvas[window] = canvas[window] * (1.0 - alpha) + grey * alpha


def blend(
    canvas: np.ndarray, warped: Warped, x: float, y: float, conditions: Conditions, rng: np.random.Generator
) -> None:
    """Blend a crater into a float32 image (h, w) so that it agrees with its surroundings, in place.

    Args:
        canvas: the image, grey levels 0..255.
        warped: the crater, already turned to the detector side of the image.
        x: column of its centre. y: row of its centre.
        conditions: blur, contrast and texture treatment of the image.
        rng: where randomness comes from.
    """
    window, patch = _overlap(canvas.shape, warped.alpha.shape, x, y)
    alpha = ndimage.gaussian_filter(warped.alpha, max(conditions.beam_sigma * 0.7, 0.3), mode="constant")
    relative = ndimage.gaussian_filter(warped.relative * warped.alpha, conditions.beam_sigma, mode="constant")
    alpha, relative = alpha[patch], relative[patch]
    around = _around(canvas, x, y, warped.diameter_px)
    noise = max(noise_sigma(around), 0.7)
    spot = canvas[window].copy()
    # Brightness of the foil without its texture, so that gradients and shadows go on through the crater.
    level = ndimage.gaussian_filter(canvas, max(2.0, warped.diameter_px / 5.0), mode="reflect")[window]
    signal = conditions.contrast * relative * np.maximum(level, 12.0)
    ratio = _spread(signal, alpha) / noise
    least = LEAST_VISIBILITY / np.sqrt(warped.diameter_px)
    if ratio < least:
        signal *= least / max(ratio, 1e-2)
    signal = np.maximum(signal, -0.95 * level)
    if conditions.texture == "kept":
        gain = np.clip(1.0 + signal / np.maximum(level, 12.0), 0.05, 4.0)
        canvas[window] = level + signal + (spot - level) * np.sqrt(gain)
        return
    if conditions.texture == "moved":
        texture = _moved_texture(canvas, spot.shape, rng)
    else:
        texture = rng.normal(0.0, noise, spot.shape).astype(np.float32)
    # Mixing two independent textures by alpha weakens both: give the weights unit length instead.
    own = (1.0 - alpha) / np.sqrt((1.0 - alpha) ** 2 + alpha**2)
    other = alpha / np.sqrt((1.0 - alpha) ** 2 + alpha**2)
    canvas[window] = level + signal + (spot - level) * own + texture * other


def _spread(signal: np.ndarray, alpha: np.ndarray) -> float:
    """Spread of a crater's brightness: 5th to 95th percentile inside it."""
    inside = signal[alpha > 0.3]
    if inside.size < 4:
        inside = signal.ravel()
    low, high = np.percentile(np.append(inside, 0.0), (5.0, 95.0))
    return float(high - low)


def _moved_texture(canvas: np.ndarray, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    height, width = shape
    row = int(rng.integers(0, max(canvas.shape[0] - height, 0) + 1))
    column = int(rng.integers(0, max(canvas.shape[1] - width, 0) + 1))
    piece = canvas[row : row + height, column : column + width]
    return np.asarray(piece - ndimage.gaussian_filter(piece, 2.0, mode="reflect"), np.float32)


def _around(canvas: np.ndarray, x: float, y: float, diameter_px: float) -> np.ndarray:
    reach = int(max(12.0, diameter_px * 1.5))
    row, column = round(y), round(x)
    return canvas[max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1]


def _overlap(
    canvas: tuple[int, ...], patch: tuple[int, ...], x: float, y: float
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where a patch centred at x, y lies in the canvas, and which part of the patch that is."""
    slices = []
    for length, size, centre in zip(canvas, patch, (y, x), strict=True):
        start = round(centre) - size // 2
        first, last = max(start, 0), min(start + size, length)
        slices.append((slice(first, last), slice(first - start, last - start)))
    return (slices[0][0], slices[1][0]), (slices[0][1], slices[1][1])

"""Whether an observer could see a crater at all: the signal over noise of a matched filter that knows the surface.

For a known change of brightness d on a background whose noise has the power spectrum P, the best linear observer has
the ratio sqrt(sum(|D|^2 / P)) (North 1943, RCA PTR-6C; Barrett and Myers 2004, Foundations of Image Science, ch. 13).
Texture counts as noise, at its own spatial frequencies. Below about 5 no observer sees anything (Rose 1948, JOSA 38).
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

SEEN = 12.0
"""From which ratio a crater counts as visible to one who does not know where to look, nor at what."""
LEAST_SIDE = 64
EDGE = 8
"""Pixels over which a window fades in at its edges, which do not belong together."""
LEAST_RATIO = 3.0
"""What pixels tell at the least: less than this is lost in the noise of the measure itself."""
ROUNDING = 1 / 12
"""Variance of rounding to whole grey levels."""


def matched_filter_ratio(change: np.ndarray, blank: np.ndarray, x: float, y: float, diameter: float) -> float:
    """The signal over noise of a crater.

    Args:
        change: (h, w) grey levels that the crater adds.
        blank: (h, w) the same image without it, with its noise.
        x, y, diameter: of the crater, px.
    """
    window, taper = _window(blank.shape, x, y, diameter)
    power, _ = _power(blank[window].astype(np.float64), taper)
    signal = np.abs(np.fft.fft2(change[window].astype(np.float64))) ** 2
    return float(np.sqrt((signal / power).sum()))


def ratio_in_pixels(pixels: np.ndarray, x: float, y: float, diameter: float) -> float:
    """About the same, told by an image that has the crater already: how much more there is at its place than elsewhere.

    The window is whitened by the power spectrum of the crater's surroundings. Then each pixel without a crater has a
    mean square of 1, and the squares within the crater add up to their number and the square of the ratio.

    Args:
        pixels: (h, w) of the image.
        x, y, diameter: where the crater is, px; its place may be off by a few px, its diameter by a fifth.

    Returns:
        The ratio, at least `LEAST_RATIO`. It scatters by about a sixth, is too small where a crater takes texture away,
        and too large where there is other structure: compare it with that of known craters in like images.
    """
    window, taper = _window(pixels.shape, x, y, diameter)
    ground = pixels[window].astype(np.float64)
    rows, columns = np.indices(ground.shape)
    away = np.hypot(rows + window[0].start - y, columns + window[1].start - x)
    around = taper * ndimage.gaussian_filter((away >= 0.8 * diameter + 2).astype(np.float64), 1.5)
    power, level = _power(ground, around)
    side = len(ground)
    ramp = np.minimum(1.0, np.minimum(np.arange(side) + 1, np.arange(side, 0, -1)) / EDGE)
    spectrum = np.fft.fft2((ground - level) * ramp[:, None] * ramp[None, :])
    white = np.fft.ifft2(spectrum * side / np.sqrt(power)).real
    inside = away < 0.75 * diameter + 1
    return float(np.sqrt(max(np.square(white[inside]).sum() - inside.sum(), LEAST_RATIO**2)))


def _window(shape: tuple[int, ...], x: float, y: float, diameter: float) -> tuple[tuple[slice, slice], np.ndarray]:
    """The square around a crater in which its surroundings are measured, and a taper (side, side) for it."""
    side = min(max(LEAST_SIDE, 2 * round(2 * diameter)), *shape)
    top, left = (round(min(max(at - side / 2, 0), length - side)) for at, length in ((y, shape[0]), (x, shape[1])))
    taper = np.hanning(side + 2)[1:-1]
    return (slice(top, top + side), slice(left, left + side)), taper[:, None] * taper[None, :]


def _power(ground: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, float]:
    """The power spectrum of a square of pixels, smoothed, and its mean level; both weighted."""
    level = float((ground * weight).sum() / weight.sum())
    power = np.abs(np.fft.fft2((ground - level) * weight)) ** 2 / np.square(weight).mean()
    return ndimage.gaussian_filter(power, 1.5, mode="wrap") + ROUNDING * ground.size, level

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
ROUNDING = 1 / 12
"""Variance of rounding to whole grey levels."""


def matched_filter_ratio(change: np.ndarray, blank: np.ndarray, x: float, y: float, diameter: float) -> float:
    """The signal over noise of a crater.

    Args:
        change: (h, w) grey levels that the crater adds.
        blank: (h, w) the same image without it, with its noise.
        x, y, diameter: of the crater, px.
    """
    side = min(max(LEAST_SIDE, 2 * round(2 * diameter)), *blank.shape)
    top, left = (
        round(min(max(at - side / 2, 0), length - side)) for at, length in ((y, len(blank)), (x, blank.shape[1]))
    )
    window = np.s_[top : top + side, left : left + side]
    taper = np.hanning(side + 2)[1:-1]
    taper = taper[:, None] * taper[None, :]
    ground = blank[window].astype(np.float64)
    ground = (ground - (ground * taper).sum() / taper.sum()) * taper
    power = np.abs(np.fft.fft2(ground)) ** 2 / np.square(taper).mean()
    power = ndimage.gaussian_filter(power, 1.5, mode="wrap") + ROUNDING * side * side
    signal = np.abs(np.fft.fft2(change[window].astype(np.float64))) ** 2
    return float(np.sqrt((signal / power).sum()))

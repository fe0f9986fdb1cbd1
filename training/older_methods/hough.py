"""Canny edges and the circular Hough transform: a ring of edges around a common centre scores high.

Our reimplementation; smoothing, thresholds and radii are guesses, tuned on the training split. scikit-image does
the work (Canny 1986, IEEE PAMI 8; Yuen et al. 1990, Image and Vision Computing 8).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.older_methods.responses import DIAMETERS_PX, Responses


@dataclass(frozen=True)
class HoughSettings:
    """What can be tuned.

    Attributes:
        smooth_px: sigma of the Gaussian before the gradient.
        high_percentile: of the gradient magnitude; an edge begins above it.
        low_percentile: of the gradient magnitude; an edge goes on above it.
    """

    smooth_px: float = 1.5
    high_percentile: float = 97.0
    low_percentile: float = 90.0


def respond(pixels: np.ndarray, settings: HoughSettings) -> Responses:
    """Find the best circle of each size in an image, uint8 (h, w).

    The response is the share of the circle's circumference that lies on edges.
    """
    from skimage.feature import canny
    from skimage.transform import hough_circle

    edges = canny(
        pixels.astype(np.float32) / 255.0,
        sigma=settings.smooth_px,
        low_threshold=settings.low_percentile / 100.0,
        high_threshold=settings.high_percentile / 100.0,
        use_quantiles=True,
    )
    radii = np.maximum(2, np.round(np.asarray(DIAMETERS_PX) / 2.0)).astype(int)
    found = np.zeros((len(radii), 3))
    for place, accumulator in enumerate(hough_circle(edges, radii, normalize=True)):
        y, x = np.unravel_index(int(np.argmax(accumulator)), accumulator.shape)
        found[place] = float(accumulator[y, x]), float(x), float(y)
    return found

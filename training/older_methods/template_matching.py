"""Normalised cross-correlation with crater templates, after Ogliore et al. 2012 (Meteoritics & Planetary Science 47).

Our reimplementation; the number of templates, their choice and the denoising were not published in detail.
OpenCV's zero-mean normalised correlation (TM_CCOEFF_NORMED) does the work. Large templates are matched on a shrunken
image, as there is no detail in them that would need every pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.data_sets.seeds import Seed
from training.data_sets.warp import warp
from training.older_methods.responses import DIAMETERS_PX, Responses

LARGEST_MATCHED_PX = 12.0
"""Templates of larger craters are matched on an image shrunk by 2 or 4 until they are no larger."""


@dataclass(frozen=True)
class TemplateSettings:
    """What can be tuned.

    Attributes:
        templates: how many different craters.
        rotations: how many turns of each.
        denoise_px: sigma of the Gaussian that smooths the image first.
        surround: half width of a template in crater radii: how much foil around the crater it holds.
    """

    templates: int = 8
    rotations: int = 2
    denoise_px: float = 0.7
    surround: float = 1.4


def choose(seeds: Sequence[Seed], count: int) -> list[Seed]:
    """Choose `count` seed craters that differ most: each next one is the farthest from those already chosen.

    Gonzalez 1985, Theoretical Computer Science 38, on the craters shrunk to 24x24 and normalised.
    """
    looks = np.stack([_normalised(template(seed, 16.0, 0.0, 1.4)).ravel() for seed in seeds])
    chosen = [int(np.argmax(looks @ looks.mean(axis=0)))]
    while len(chosen) < min(count, len(seeds)):
        nearest = (looks @ looks[chosen].T).max(axis=1)
        chosen.append(int(np.argmin(nearest)))
    return [seeds[number] for number in chosen]


def template(seed: Seed, diameter_px: float, angle: float, surround: float) -> np.ndarray:
    """A seed crater as a template: float32, square, odd, `surround` radii to each side, on even foil."""
    warped = warp(seed, diameter_px, angle, 1.0)
    filled = warped.relative * warped.alpha
    half = max(2, int(np.ceil(diameter_px / 2.0 * surround)))
    padded = np.pad(filled, half)
    middle = padded.shape[0] // 2
    return np.ascontiguousarray(padded[middle - half : middle + half + 1, middle - half : middle + half + 1])


def respond(pixels: np.ndarray, templates: Sequence[Seed], settings: TemplateSettings) -> Responses:
    """Match one image.

    Args:
        pixels: uint8 (h, w).
        templates: the craters, as `choose` gives them.
        settings: see there.
    """
    import cv2

    cv2.setNumThreads(1)
    found = np.zeros((len(DIAMETERS_PX), 3))
    image = pixels.astype(np.float32)
    if settings.denoise_px > 0:
        image = cv2.GaussianBlur(image, (0, 0), settings.denoise_px)
    pyramid = {1: image}
    for factor in (2, 4):
        size = (pixels.shape[1] // factor, pixels.shape[0] // factor)
        pyramid[factor] = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    turns = np.arange(settings.rotations) * 2.0 * np.pi / settings.rotations
    for place, diameter in enumerate(DIAMETERS_PX):
        factor = next((f for f in (1, 2, 4) if diameter / f <= LARGEST_MATCHED_PX), 4)
        best = (-1.0, 0.0, 0.0)
        for seed in templates:
            for angle in turns:
                kernel = template(seed, diameter / factor, float(angle), settings.surround)
                response = cv2.matchTemplate(pyramid[factor], kernel, cv2.TM_CCOEFF_NORMED)
                _, highest, _, where = cv2.minMaxLoc(response)
                if np.isfinite(highest) and highest > best[0]:
                    half = kernel.shape[0] // 2
                    x, y = ((where[axis] + half + 0.5) * factor - 0.5 for axis in (0, 1))
                    best = (float(highest), x, y)
        found[place] = best
    return found


def _normalised(patch: np.ndarray) -> np.ndarray:
    centred = patch - patch.mean()
    return np.asarray(centred / max(float(np.linalg.norm(centred)), 1e-6))

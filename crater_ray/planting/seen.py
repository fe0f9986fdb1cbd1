"""How well a planted crater can be seen, measured where and when it is planted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crater_ray.planting.plant import Planted
from crater_ray.planting.recipe import Recipe
from crater_ray.planting.visibility import matched_filter_ratio
from crater_ray.simulate.frame import contrast_to_noise


@dataclass(frozen=True)
class Seen:
    """What of a planted crater does not hang on any network.

    Attributes:
        ratio: signal over noise of a matched filter; see `crater_ray.planting.visibility`.
        contrast_to_noise: how it stands out; see `crater_ray.simulate.frame.PlantedCrater`.
        noise: of its spot, grey levels.
        blur: of its spot, px.
    """

    ratio: float
    contrast_to_noise: float
    noise: float
    blur: float

    @classmethod
    def of(cls, planted: Planted, blank: np.ndarray, recipe: Recipe) -> Seen:
        """Measure a crater.

        Args:
            planted: the image with it.
            blank: (h, w) uint8, the image without it.
            recipe: that was planted.
        """
        place = recipe.x, recipe.y, recipe.diameter
        return cls(
            matched_filter_ratio(planted.change, blank, *place),
            contrast_to_noise(planted.pixels, *place),
            planted.spectrum.noise_rms,
            planted.spectrum.sigma,
        )

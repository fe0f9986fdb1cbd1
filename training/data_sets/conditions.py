"""Imaging conditions: how one image was taken, which everything blended into it must agree with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CONTRAST = (0.35, 1.7)
"""Range of the factor by which a blended crater's contrast against its foil is stretched, log-uniform."""

BEAM_SIGMA = (0.3, 1.3)
"""Range in pixels of the blur given to a blended crater."""

SIDE_SPREAD = 0.35
"""How far, in radians, the detector side of one crater may lie from that of its image."""


@dataclass(frozen=True)
class Conditions:
    """How one image was taken.

    Attributes:
        beam_sigma: blur in pixels.
        side: direction of the bright side, in radians.
        contrast: factor on the relative brightness.
        texture: what happens to the foil's texture inside the crater: `kept`, `noise` (replaced by white noise of the
            same strength) or `moved` (replaced by texture from elsewhere in the image).
    """

    beam_sigma: float
    side: float
    contrast: float
    texture: str


def draw_conditions(rng: np.random.Generator) -> Conditions:
    """Draw how an image was taken."""
    return Conditions(
        beam_sigma=float(rng.uniform(*BEAM_SIGMA)),
        side=float(rng.uniform(-np.pi, np.pi)),
        contrast=float(np.exp(rng.uniform(*np.log(CONTRAST)))),
        texture=str(rng.choice(("kept", "noise", "moved"), p=(0.4, 0.3, 0.3))),
    )

"""The schedule of a fit: its curriculum of crops and craters and its learning rate, by the share of the budget used."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.recipes import Recipe


@dataclass(frozen=True)
class Phase:
    """One phase of a step's curriculum.

    Attributes:
        until: share of its step's budget at which it ends.
        crop: pixels each way; 0 for the whole image.
        least_diameter: pixels; smaller craters wait.
    """

    until: float
    crop: int
    least_diameter: float


CURRICULUM = (
    Phase(until=0.08, crop=124, least_diameter=9.0),
    Phase(until=0.2, crop=172, least_diameter=5.5),
    Phase(until=1.0, crop=236, least_diameter=0.0),
)
"""From large craters in small crops to all in larger ones: cheap, easy steps first. A crop of 236 px has 100 positions
for the cost of seven crops of 92 px with one each."""

CURRICULUM_TWO = (Phase(until=1.0, crop=0, least_diameter=0.0),)
"""The second step: whole images, whose worst position must stay below their crater's."""

FLAT = (Phase(until=1.0, crop=0, least_diameter=0.0),)

WARM_UP = 250
"""Optimizer steps over which the learning rate of a fresh network rises to its highest."""

PRETRAINED_WARM_UP = 25
"""The same for a network that was trained before: only the optimizer's averages have to settle."""

PRETRAINED_RATE = 0.25
"""Highest learning rate for a network that was trained before, of that for a fresh one, unless it is given."""

LOWEST_RATE = 0.01
"""The learning rate at the end, of the highest."""


def phase(recipe: Recipe, step: int, progress: float, *, pretrained: bool = False) -> Phase:
    """The phase at a share `progress` (0..1) of the budget of step 1 or 2; the last for a network trained before."""
    phases = {1: CURRICULUM, 2: CURRICULUM_TWO}[step] if recipe.learning.curriculum else FLAT
    if pretrained:
        return phases[-1]
    return next((one for one in phases if progress < one.until), phases[-1])


def learning_rate(recipe: Recipe, batches: int, progress: float, *, highest: float, pretrained: bool = False) -> float:
    """The learning rate for the next optimizer step: along one cosine through both steps.

    Args:
        recipe: says whether it changes.
        batches: optimizer steps already taken in this step of the fit.
        progress: share of the whole budget already used, 0..1.
        highest: rate that is reached after the warm-up.
        pretrained: whether the network was trained before.
    """
    if not recipe.learning.cosine:
        return highest
    falling = LOWEST_RATE + (1.0 - LOWEST_RATE) * 0.5 * (1.0 + np.cos(np.pi * min(progress, 1.0)))
    return float(highest * min(1.0, (batches + 1) / (PRETRAINED_WARM_UP if pretrained else WARM_UP)) * falling)

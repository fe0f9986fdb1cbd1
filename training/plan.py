"""The plan of a fit: what crops and craters when, and how fast to learn, as functions of the budget used."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.recipes import Recipe


@dataclass(frozen=True)
class Stage:
    """One part of a step.

    Attributes:
        until: share of its step's budget at which it ends.
        crop: pixels each way; 0 for the whole image.
        least_diameter: pixels; smaller craters wait.
    """

    until: float
    crop: int
    least_diameter: float


CURRICULUM = (
    Stage(until=0.12, crop=108, least_diameter=9.0),
    Stage(until=0.30, crop=108, least_diameter=5.5),
    Stage(until=0.60, crop=124, least_diameter=0.0),
    Stage(until=1.0, crop=0, least_diameter=0.0),
)
"""From large craters in small crops to all in whole images: cheap, easy steps first."""

CURRICULUM_TWO = (
    Stage(until=0.5, crop=236, least_diameter=0.0),
    Stage(until=1.0, crop=0, least_diameter=0.0),
)
"""The second step: a crop of 236 px has a fifth of the positions of a whole image and costs 0.28 of it, so that craters
come four times as often as in whole images and hard blanks still eight times as often as in small crops."""

FLAT = (Stage(until=1.0, crop=0, least_diameter=0.0),)

WARM_UP = {1: 250, 2: 50}
"""Optimizer steps over which the learning rate rises to its highest, by step: the second starts from good weights."""

STEP_TWO_RATE = 0.25
"""Highest learning rate of the second step, of that of the first."""

LOWEST_RATE = 0.01
"""The learning rate at the end, of the highest."""


def stage(recipe: Recipe, step: int, progress: float) -> Stage:
    """The stage at a share `progress` (0..1) of the budget of step 1 or 2."""
    stages = {1: CURRICULUM, 2: CURRICULUM_TWO}[step] if recipe.curriculum else FLAT
    return next((one for one in stages if progress < one.until), stages[-1])


def learning_rate(recipe: Recipe, step: int, batches: int, progress: float) -> float:
    """The learning rate for the next optimizer step.

    Args:
        recipe: says the highest, and whether it changes.
        step: 1 or 2.
        batches: optimizer steps already taken in this step.
        progress: share of this step's budget already used, 0..1.
    """
    if not recipe.cosine:
        return recipe.learning_rate
    highest = recipe.learning_rate * (1.0 if step == 1 else STEP_TWO_RATE)
    falling = LOWEST_RATE + (1.0 - LOWEST_RATE) * 0.5 * (1.0 + np.cos(np.pi * min(progress, 1.0)))
    return float(highest * min(1.0, (batches + 1) / WARM_UP[step]) * falling)

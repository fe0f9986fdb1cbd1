"""Scores that mean something where craters are rare: calibrated on held-out scenes, at the stated odds of an archive.

Platt scaling at equal odds (`training.fitting.calibrate.platt`), then the logarithm of the odds is added to the logit
(Saerens et al. 2002, Neural Computation 14): an image with a score of 0.5 is as likely to have a crater as not, in an
archive where one image in so many has one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from crater_ray.network import finder
from crater_ray.network.bundle import Bundle
from crater_ray.network.stardust import Weights
from training.evaluation.intervals import budget_threshold, roc_area
from training.finder.export import calibrated
from training.finder.stream import read_sources
from training.fitting.calibrate import REVIEW_BUDGET, platt
from training.network.scoring import probability
from training.scenes.scene import VISIBLE, draw_scene

SIDE = 448
"""Of a held-out scene, px: as many pixels as 384x512 has."""
ODDS = 3000
"""One image in so many has a crater: fewer than a hundred among 424,000, and most of those below what can be seen."""


@dataclass(frozen=True)
class HeldOut:
    """Scenes on photographs that training never saw, or drawn, with one visible crater or none.

    Attributes:
        images: (n, SIDE, SIDE) uint8.
        label: (n,) 1 where there is a crater.
    """

    images: np.ndarray
    label: np.ndarray


def held_out(sources: Path, count: int, seed: int) -> HeldOut:
    """Draw so many scenes, half of them with a crater; `sources` is a folder of `training.finder.sources`."""
    known = replace(read_sources(sources, "test.npz"), crowds=False)
    images: list[np.ndarray] = []
    label: list[int] = []
    number = 0
    while len(images) < count:
        wanted = len(images) % 2
        rng = np.random.default_rng([seed, number, 23])
        scene = draw_scene(rng, replace(known, crater_share=float(wanted)), SIDE)
        number += 1
        if wanted and not (len(scene.craters) and scene.craters[0, 3] >= VISIBLE):
            continue
        images.append(scene.image)
        label.append(wanted)
    return HeldOut(np.stack(images), np.asarray(label))


def strongest(weights: Weights, images: np.ndarray, batch: int = 8) -> np.ndarray:
    """The logit of each image's strongest centre, (n,) float32."""
    model = finder.model_of(weights)
    answers = []
    for start in range(0, len(images), batch):
        maps = np.asarray(model(images[start : start + batch, ..., None], training=False)["maps"])
        answers.append(maps[..., 0].reshape(len(maps), -1).max(axis=1))
    return np.concatenate(answers)


def finder_bundle(weights: Weights, scenes: HeldOut, trained: dict[str, Any], name: str, odds: int = ODDS) -> Bundle:
    """The bundle of a fitted finder, its scores calibrated and its typical threshold chosen on held-out scenes.

    Args:
        weights: as `training.finder.export.folded_weights` gives them.
        scenes: that it was not trained on.
        trained: what the card says of the training.
        name: what people will call it.
        odds: of the archive: one image in so many has a crater.
    """
    logit = strongest(weights, scenes.images)
    slope, offset = platt(scenes.label, logit)
    offset -= float(np.log(odds))
    score = probability(slope * logit + offset)
    threshold = budget_threshold(score[scenes.label == 0], REVIEW_BUDGET)
    facts = {
        "images": len(scenes.label),
        "roc_area": round(roc_area(scenes.label, logit), 4),
        "recall_at_typical_threshold": round(float((score[scenes.label == 1] >= threshold).mean()), 4),
        "false_alarms_at_typical_threshold": round(float((score[scenes.label == 0] >= threshold).mean()), 4),
        "false_alarms_at_0.01": round(float((score[scenes.label == 0] >= 0.01).mean()), 4),
        "recall_at_0.01": round(float((score[scenes.label == 1] >= 0.01).mean()), 4),
    }
    line = {"slope": slope, "offset": offset, "odds": f"one image in {odds} has a crater"}
    return Bundle(
        {key: value.astype(np.float32) for key, value in calibrated(weights, slope, offset).items()},
        "local-contrast",
        float(np.clip(float(f"{threshold:.4g}"), 1e-6, 0.999)),
        {**trained, "calibration": line},
        {"calibration_set": facts},
        name,
        architecture=finder.ARCHITECTURE,
    )

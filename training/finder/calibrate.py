"""Scores that mean something where craters are rare: calibrated on held-out scenes, at the stated odds of an archive.

Platt scaling (`training.fitting.calibrate.platt`) with craters and blanks weighed as an archive has them: an image with
a score of 0.5 is as likely to have a crater as not, where one image in so many has one. At such odds all depends on
the highest blanks, of which thousands are looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count
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
SHARES = (0.5, 0.3, 0.2)
"""Of the scenes: on simulated foil, on drawn surfaces, on photographs of metal and rock."""
DEFECTS = 0.15
"""Over those of training, which are many to learn from: about two an image."""
FOIL = 60
"""Simulated frames of which the foil is cut."""
ODDS = 1000
"""One image in so many has a crater, on foils worth scanning; the foil search found fewer than a hundred in 424,000."""


@dataclass(frozen=True)
class HeldOut:
    """Scenes that training never saw, as an archive of foil might have them, with one visible crater or none.

    Attributes:
        images: (n, SIDE, SIDE) uint8.
        label: (n,) 1 where there is a crater.
    """

    images: np.ndarray
    label: np.ndarray


def held_out(sources: Path, craters: int, blanks: int, seed: int) -> HeldOut:
    """Draw so many scenes with and without a crater; `sources` is a folder of `training.finder.sources`."""
    known = replace(read_sources(sources, "test.npz"), crowds=False, drawn_share=0.0, defects=DEFECTS)
    foil = [_foil(np.random.default_rng([seed, number, 29])) for number in range(FOIL)]
    parts = replace(known, pictures=foil), replace(known, pictures=()), known
    images: list[np.ndarray] = []
    for number in count():
        crater = len(images) < craters
        rng = np.random.default_rng([seed, number, 23])
        part = parts[int(rng.choice(len(parts), p=SHARES))]
        scene = draw_scene(rng, replace(part, crater_share=float(crater)), SIDE)
        if not crater or (len(scene.craters) and scene.craters[0, 3] >= VISIBLE):
            images.append(scene.image)
        if len(images) == craters + blanks:
            break
    return HeldOut(np.stack(images), np.repeat((1, 0), (craters, blanks)))


def _foil(rng: np.random.Generator) -> np.ndarray:
    from crater_ray.simulate import simulate_frame

    return simulate_frame(rng).pixels


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
    made = calibrate_finder(weights, scenes.label, strongest(weights, scenes.images), odds)
    return Bundle(
        made.weights,
        "local-contrast",
        made.typical_threshold,
        {**trained, "calibration": made.line},
        {"calibration_set": made.facts},
        name,
        architecture=finder.ARCHITECTURE,
    )


@dataclass(frozen=True)
class CalibratedFinder:
    """A finder whose scores are probabilities.

    Attributes:
        weights: with the line in their last convolution.
        line: `slope` and `offset` of it, and the odds, as the card says them.
        typical_threshold: the score that `REVIEW_BUDGET` of the held-out blanks reach.
        facts: what was measured on the held-out images.
    """

    weights: Weights
    line: dict[str, Any]
    typical_threshold: float
    facts: dict[str, Any]


def calibrate_finder(weights: Weights, label: np.ndarray, logit: np.ndarray, odds: int = ODDS) -> CalibratedFinder:
    """Calibrate a finder on held-out images.

    Args:
        weights: not calibrated.
        label: (n,) 1 where there is a crater.
        logit: (n,) of each image's strongest centre, by these weights.
        odds: of the archive: one image in so many has a crater.
    """
    slope, offset = platt(label, logit, odds)
    score = probability(slope * logit + offset)
    threshold = budget_threshold(score[label == 0], REVIEW_BUDGET)
    facts = {
        "images": len(label),
        "roc_area": round(roc_area(label, logit), 4),
        "recall_at_typical_threshold": round(float((score[label == 1] >= threshold).mean()), 4),
        "false_alarms_at_typical_threshold": round(float((score[label == 0] >= threshold).mean()), 4),
        "false_alarms_at_0.01": round(float((score[label == 0] >= 0.01).mean()), 4),
        "recall_at_0.01": round(float((score[label == 1] >= 0.01).mean()), 4),
    }
    line = {"slope": slope, "offset": offset, "odds": f"one image in {odds} has a crater", "one_in": odds}
    folded = {key: value.astype(np.float32) for key, value in calibrated(weights, slope, offset).items()}
    return CalibratedFinder(folded, line, float(np.clip(float(f"{threshold:.4g}"), 1e-6, 0.999)), facts)

"""Scores that mean something where craters are rare: calibrated on held-out scenes, at the stated odds of an archive.

Craters and blanks are weighed as an archive has them: an image with a score of 0.5 is as likely to have a crater as
not, where one image in so many has one. At such odds all depends on the highest blanks, of which thousands are looked
at. One line through the logit (Platt scaling) would be bound by the many faint craters that are lost among blanks; it
may be steeper from a knee on, above which hardly any blank comes.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from scipy import optimize

from crater_ray.engines.openvino_finder import build_finder_graph
from crater_ray.network import finder
from crater_ray.network.bundle import Bundle
from crater_ray.network.stardust import Weights
from crater_ray.simulate import simulate_frame
from training.evaluation.intervals import budget_threshold, roc_area
from training.evaluation.measures import calibration
from training.finder.export import Scale, calibrated, compared
from training.finder.stream import read_sources
from training.fitting.calibrate import REVIEW_BUDGET, platt
from training.network.scoring import probability
from training.scenes.scene import VISIBLE, Scene, Sources, draw_scene

SIDE = 448
"""Of a held-out scene, px: as many pixels as 384x512 has."""
SHARES = (0.5, 0.3, 0.2)
"""Of the scenes: on simulated foil, on drawn surfaces, on photographs of metal and rock."""
DEFECTS = 0.15
"""Over those of training, which are many to learn from: about two an image."""
TAIL, TAIL_POINTS = 0.025, 4_000
"""The share of the blanks whose tail is carried on, and in how many points."""
FLATTEST = 0.2
"""Below the knee the line keeps at least so much of the slope that Platt scaling gives it: scores stay distinct."""
SHARE = 0.4
"""Of what an image shows everywhere that is taken off its centres' logits; see `crater_ray.network.finder.compared`."""
CUTS = (0.01, 0.1, 0.5)
"""Scores at which the foil search cut."""
BLOCK = 64
"""Scenes with a crater are drawn so many at a time."""
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


def held_out(sources: Path, craters: int, blanks: int, seed: int, workers: int = 2) -> HeldOut:
    """Draw so many scenes with and without a crater; `sources` is a folder of `training.finder.sources`."""
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin, (sources, seed)) as pool:
        images: list[np.ndarray] = []
        for first in count(0, BLOCK):
            images += [image for image in pool.map(_crater, range(first, first + BLOCK)) if image is not None]
            if len(images) >= craters:
                break
        images = images[:craters] + list(pool.map(_blank, range(blanks), chunksize=8))
    return HeldOut(np.stack(images), np.repeat((1, 0), (craters, blanks)))


@dataclass(frozen=True)
class _Known:
    parts: tuple[Sources, ...]
    seed: int


_KNOWN: _Known | None = None


def _begin(sources: Path, seed: int) -> None:
    """What a process draws from."""
    global _KNOWN  # noqa: PLW0603
    known = replace(read_sources(sources, "test.npz"), textures=(), crowds=False, drawn_share=0.0, grain_share=0.0)
    known = replace(known, defects=DEFECTS)
    _KNOWN = _Known((known, replace(known, pictures=()), known), seed)


def _crater(number: int) -> np.ndarray | None:
    """A scene with one visible crater; None if the one that was drawn is not."""
    scene = _scene(number, 23, 1.0)
    return scene.image if len(scene.craters) and scene.craters[0, 3] >= VISIBLE else None


def _blank(number: int) -> np.ndarray:
    return _scene(number, 24, 0.0).image


def _scene(number: int, stream: int, crater_share: float) -> Scene:
    assert _KNOWN is not None
    rng = np.random.default_rng([_KNOWN.seed, number, stream])
    chosen = int(rng.choice(len(SHARES), p=SHARES))
    part = _KNOWN.parts[chosen]
    if chosen == 0:
        # A frame for each scene: of a few frames, one with something odd would make the whole tail.
        part = replace(part, pictures=(_foil(np.random.default_rng([_KNOWN.seed, number, 29])),))
    return draw_scene(rng, replace(part, crater_share=crater_share), SIDE)


def _foil(rng: np.random.Generator) -> np.ndarray:
    """Simulated foil with all its look-alikes, (384, 512) uint8: an archive has them, and they are no craters.

    Calibrated with few of them, 11% of the simulator's blanks had a score of 0.01, where 4% may; with none 14%.
    """
    return simulate_frame(rng).pixels


def strongest(weights: Weights, images: np.ndarray, batch: int = 8) -> np.ndarray:
    """The logit of each image's strongest centre, (n,) float32; heights and widths are multiples of 16."""
    import openvino as ov

    graph = build_finder_graph(weights, size=(images.shape[1], images.shape[2]))
    compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    answers = []
    for start in range(0, len(images), batch):
        maps = compiled(images[start : start + batch])["maps"]
        answers.append(maps[..., 0].reshape(len(maps), -1).max(axis=1))
    return np.concatenate(answers)


def finder_bundle(
    weights: Weights, scenes: HeldOut, others: HeldOut, trained: dict[str, Any], name: str, odds: int = ODDS
) -> Bundle:
    """The bundle of a fitted finder, its scores calibrated and its typical threshold chosen on held-out scenes.

    Args:
        weights: as `training.finder.export.folded_weights` gives them.
        scenes: that it was not trained on.
        others: more of them, on which the calibrated scores are tried.
        trained: what the card says of the training.
        name: what people will call it.
        odds: of the archive: one image in so many has a crater.
    """
    weights = compared(weights, SHARE)
    made = calibrate_finder(weights, scenes.label, strongest(weights, scenes.images), odds)
    score = probability(strongest(made.weights, others.images))
    tried = {"images": len(score), **calibration(others.label, score, odds=odds)}
    for cut in CUTS:
        tried[f"blanks_at_{cut:g}"] = round(float((score[others.label == 0] >= cut).mean()), 4)
        tried[f"craters_at_{cut:g}"] = round(float((score[others.label == 1] >= cut).mean()), 4)
    return Bundle(
        made.weights,
        "local-contrast",
        made.typical_threshold,
        {**trained, "calibration": made.line},
        {"calibration_set": made.facts, "calibration_tried": tried},
        name,
        architecture=finder.ARCHITECTURE,
    )


@dataclass(frozen=True)
class CalibratedFinder:
    """A finder whose scores are probabilities.

    Attributes:
        weights: with the scale.
        line: of the scale, and the odds, as the card says them.
        typical_threshold: the score that `REVIEW_BUDGET` of the held-out blanks reach.
        facts: what was measured on the held-out images.
    """

    weights: Weights
    line: dict[str, Any]
    typical_threshold: float
    facts: dict[str, Any]


def fitted_scale(label: np.ndarray, logit: np.ndarray, odds: int = ODDS) -> Scale:
    """The scale that agrees best with the images: a line through the logit, and a bend above which it is steeper.

    The bend under which craters and blanks, weighed as an archive has them, are likeliest, of those that never fall
    and whose knee is a logit of craters. The highest blanks are carried on beyond the last of them: their excesses
    over a high logit fall exponentially (Pickands 1975, Ann. Stat. 3, 119), with a mean taken two standard errors
    larger than it is. Without that, the last blank that happened to be drawn would be a wall.

    Args:
        label: (n,) 1 where there is a crater.
        logit: (n,) of each image's strongest centre.
        odds: one image in so many has a crater.
    """
    slope, offset = platt(label, logit, odds)
    craters, blanks = logit[label == 1], logit[label == 0]
    edge = float(np.quantile(blanks, 1 - TAIL))
    low, excess = blanks[blanks <= edge], blanks[blanks > edge] - edge
    mean = float(excess.mean()) * (1 + 2 / np.sqrt(len(excess)))
    tail = edge - mean * np.log((np.arange(TAIL_POINTS) + 0.5) / TAIL_POINTS)
    straight = slope * np.concatenate([craters, low, tail]) + offset
    counts = len(craters), len(low), TAIL_POINTS
    target = np.repeat((1.0, 0.0, 0.0), counts)
    weight = np.repeat((1 / len(craters), odds * (1 - TAIL) / len(low), odds * TAIL / TAIL_POINTS), counts)

    def loss(bend: np.ndarray, above: np.ndarray) -> tuple[float, np.ndarray]:
        z = bend[0] * straight + bend[1] + bend[2] * above
        error = weight * (probability(z) - target)
        gradient = np.array([(error * straight).sum(), error.sum(), (error * above).sum()])
        return float((weight * (np.logaddexp(0.0, z) - target * z)).sum()), gradient

    best = (np.inf, 1.0, 0.0, 0.0, 0.0)
    for knee in np.unique(np.quantile(straight[target == 1], np.linspace(0.025, 0.975, 39))):
        above = np.maximum(straight - knee, 0)
        bounds = [(FLATTEST, None), (None, None), (0.0, None)]
        found = optimize.minimize(loss, [1.0, 0.0, 0.0], (above,), "L-BFGS-B", jac=True, bounds=bounds)
        factor, shift, steeper = (float(value) for value in found.x)
        best = min(best, (float(found.fun), factor, shift, steeper, float(knee)))
    _, factor, shift, steeper, knee = best
    return Scale(slope * factor, offset * factor + shift, knee * factor + shift, steeper / factor)


def calibrate_finder(weights: Weights, label: np.ndarray, logit: np.ndarray, odds: int = ODDS) -> CalibratedFinder:
    """Calibrate a finder on held-out images.

    Args:
        weights: not calibrated.
        label: (n,) 1 where there is a crater.
        logit: (n,) of each image's strongest centre, by these weights.
        odds: of the archive: one image in so many has a crater.
    """
    scale = fitted_scale(label, logit, odds)
    score = probability(scale(logit))
    threshold = budget_threshold(score[label == 0], REVIEW_BUDGET)
    facts = {
        "images": len(label),
        "roc_area": round(roc_area(label, logit), 4),
        "recall_at_typical_threshold": round(float((score[label == 1] >= threshold).mean()), 4),
        "false_alarms_at_typical_threshold": round(float((score[label == 0] >= threshold).mean()), 4),
        "false_alarms_at_0.01": round(float((score[label == 0] >= 0.01).mean()), 4),
        "recall_at_0.01": round(float((score[label == 1] >= 0.01).mean()), 4),
    }
    line = {**asdict(scale), "odds": f"one image in {odds} has a crater", "one_in": odds}
    return CalibratedFinder(
        calibrated(weights, scale), line, float(np.clip(float(f"{threshold:.4g}"), 1e-6, 0.999)), facts
    )

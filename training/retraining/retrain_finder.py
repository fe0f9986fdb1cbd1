"""Retraining a finder: as `training.retraining.retrain`, but all layers at once, and centres, not whole images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from crater_ray.errors import UsageError
from crater_ray.network.bundle import Bundle
from crater_ray.network.stardust import TILE, Weights
from training.evaluation.intervals import budget_threshold
from training.finder.calibrate import ODDS
from training.finder.export import Scale, calibrated, scale_of, uncalibrated
from training.fitting.calibrate import REVIEW_BUDGET, platt
from training.network.scoring import centre_logits, probability
from training.retraining.added import Added, as_data_set
from training.retraining.centres import fit_centres, place_verdicts
from training.retraining.comparison import compare
from training.retraining.retrain import (
    ALL_LAYERS,
    AS_IT_WAS,
    PARTS_OF_THE_WAY,
    RetrainSettings,
    Sets,
    between,
    check,
    halved,
    successor,
)

SLOWEST = 0.2
"""Least growth of the logits before with those after, on ordinary images, for which a line through them means much."""


def retrain_finder(
    bundle: Bundle, added: Added, sets: Sets, settings: RetrainSettings, say: Callable[[str], None] = print
) -> tuple[Bundle, dict[str, Any]]:
    """Train a finder further on its training images and the added ones; compare before and after.

    Args:
        bundle: where to start.
        added: craters and false positives with their verdicts.
        sets: what else to learn from, and to choose and to judge on.
        settings: budget and seed count; a finder has no dense layers.
        say: is told how it goes.

    Returns:
        The new bundle and the comparison, as `training.retraining.retrain.retrain` gives them.

    Raises:
        UsageError: the test set is none, nothing was judged, or only dense layers were asked for.
    """
    check(sets, added)
    if settings.layers == "dense":
        raise UsageError("A finder has no dense layers: give --layers all.")
    start = uncalibrated(bundle)
    learnt, held = added.split()
    budget, seed = halved(settings.fit).budget, settings.fit.seed

    def fit_all(some: Added) -> Weights:
        return fit_centres(start, sets.base, place_verdicts(start, some), budget, seed, say)

    whole = sets.validation.shape == TILE  # the scores of crops are no scale for those of whole images
    fitted = fit_all(learnt)
    parts = {f"{part:.0%} of the way to {ALL_LAYERS}": part for part in PARTS_OF_THE_WAY} | {ALL_LAYERS: 1.0}
    tried = {AS_IT_WAS: start} | {name: between(start, fitted, part) for name, part in parts.items()}
    scale = scale_of(bundle)
    odds = int(bundle.trained.get("calibration", {}).get("one_in", ODDS))
    judged = as_data_set(held)
    said = {name: centre_logits(weights, sets.validation, judged) for name, weights in tried.items()}
    was = said[AS_IT_WAS][0]
    labels = [one.column("label") for one in (sets.validation, judged)]
    losses = {
        name: _held_out_loss(labels, logits, None if whole else _as_before(scale, was, logits[0]), odds)
        for name, logits in said.items()
    }
    chosen = min(losses, key=lambda name: losses[name])
    say("held-out loss: " + ", ".join(f"{name} {loss:.4f}" for name, loss in losses.items()) + f"; kept: {chosen}")
    facts = {"from": bundle.id, "added": len(added.label), "layers": "all", "seed": seed}
    after = successor(bundle, bundle.weights, facts)
    if chosen != AS_IT_WAS:
        say("now with all judged images")
        weights = between(start, fit_all(added), parts[chosen])
        scale = _as_before(scale, was, centre_logits(weights, sets.validation)[0])
        after = replace(after, weights=calibrated(weights, scale))
        if whole:
            blanks = centre_logits(after.weights, sets.validation)[0][sets.validation.column("label") == 0]
            after = replace(after, typical_threshold=budget_threshold(probability(blanks), REVIEW_BUDGET))
    comparison = compare(bundle, after, added, sets.test) | {"held_out_loss": losses, "chosen": chosen}
    comparison["better"] = chosen != AS_IT_WAS and comparison["recall_kept"]
    return replace(after, figures={"retraining": comparison}), comparison


def _as_before(scale: Scale, was: np.ndarray, now: np.ndarray) -> Scale:
    """The scale on which ordinary images keep their scores: judged look-alikes make a network less sure of all."""
    if np.array_equal(was, now) or np.std(now) < 1e-3:
        return scale
    factor, shift = np.polyfit(now, was, 1)
    if factor < SLOWEST:  # the two have little in common: keep the order, move the middle
        factor, shift = 1.0, float(np.mean(was) - np.mean(now))
    return replace(scale, slope=scale.slope * float(factor), offset=scale.slope * float(shift) + scale.offset)


def _held_out_loss(labels: list[np.ndarray], logits: list[np.ndarray], known: Scale | None, odds: int) -> float:
    """Mean cross-entropy of validation set and held-out images, craters and blanks of each counting the same.

    At even odds, as the images are. Calibrated on the validation set where no scale is known: an unsure network must
    not win by its modesty.
    """
    scale = known or Scale(*platt(labels[0], logits[0]))
    shift = np.log(odds) if known else 0.0
    losses = []
    for label, logit in zip(labels, logits, strict=True):
        z = scale(logit) + shift
        loss = np.logaddexp(0.0, z) - label * z
        losses.append(float(np.mean([loss[label == value].mean() for value in np.unique(label)])))
    return float(np.mean(losses))

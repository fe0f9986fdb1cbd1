"""Retraining: a bundle learns from confirmed craters and false positives, and must prove that it got better.

All layers learn the truth from the added images, and from the ordinary ones to go on saying what the network said of
them (learning without forgetting: Li and Hoiem 2016, arXiv 1606.09282): it knows more of such images than the truth
about a few of them could teach.

A quarter of the added images is held out. They and the validation set together choose among what was tried, the
weights as they were included. Tried are also weights part of the way from before the training of all layers to after
it: a short training on few images overshoots, and such weights forget less (Wortsman et al. 2022, arXiv 2109.01903).
Verdicts are too few to leave a quarter of them unlearnt: where a training of all layers was chosen, it is done again
with all of them, and as far of the way is gone. Whether the result is better is judged on a test set that had no part
in this.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from crater_ray.errors import UsageError
from crater_ray.network.bundle import Bundle
from crater_ray.network.stardust import TILE, Weights
from training.data_sets.dataset import DataSet
from training.fitting.calibrate import calibrate, fold_line, platt
from training.fitting.fit import fit
from training.fitting.initial_weights import InitialWeights
from training.fitting.settings import Budget, Data, Settings
from training.network.scoring import dense_logits, pooled
from training.retraining.added import Added, as_data_set, mix
from training.retraining.comparison import compare
from training.retraining.dense_layers import DenseSettings, PooledFeatures, fit_dense_layers, held_out_loss

AS_IT_WAS = "as it was"
DENSE_LAYERS = "dense layers"
ALL_LAYERS = "all layers"

PARTS_OF_THE_WAY = (0.25, 0.5, 0.75)
"""From the weights that the training of all layers began with to those that it ended with."""

BATCH_WHOLE = 4
"""Whole images in a batch, or as many smaller ones as have their area: a short training needs many small steps."""


@dataclass(frozen=True)
class Sets:
    """The data sets of a retraining.

    Attributes:
        base: whole images of the training split, so that nothing is forgotten.
        validation: held-out whole images: the best epoch, calibration and threshold are chosen on them.
        test: the frozen test set; must share nothing with the others.
    """

    base: DataSet
    validation: DataSet
    test: DataSet


@dataclass(frozen=True)
class RetrainSettings:
    """How a bundle is retrained.

    Attributes:
        fit: recipe, budget and seed, for all layers; only whole images are used. Both trainings share the budget.
        dense: how the dense layers are fitted.
        layers: `dense` fits the dense layers alone, in seconds; `all` then goes on with the whole network.
    """

    fit: Settings
    dense: DenseSettings = field(default_factory=DenseSettings)
    layers: Literal["dense", "all"] = "all"


@dataclass(frozen=True)
class Trial:
    """Weights that were tried, and what their convolutions make of the held-out images: validation set, added ones."""

    weights: Weights
    held_out: tuple[PooledFeatures, ...]


def retrain(
    bundle: Bundle,
    added: Added,
    sets: Sets,
    settings: RetrainSettings,
    folder: Path,
    say: Callable[[str], None] = print,
) -> tuple[Bundle, dict[str, Any]]:
    """Train a bundle further on its training images and the added ones; compare before and after.

    Args:
        bundle: where to start.
        added: craters and false positives with their verdicts.
        sets: what else to learn from, and to choose and to judge on.
        settings: how.
        folder: checkpoint, log and best weights of each training of all layers.
        say: is told how it goes.

    Returns:
        The new bundle, and the comparison: recall and false alarms before and after on the test set and on the added
        images, the held-out losses of what was tried and what was chosen, and `better`: false when that is the network
        as it was, or when the test recall fell below the interval of the recall before.

    Raises:
        UsageError: the test set is none, or nothing was judged.
    """
    check(sets, added)
    learnt, held = added.split()
    before = _trial(bundle.weights, bundle, sets.validation, held)
    train = _pooled_both(bundle.weights, bundle, sets.base, learnt)
    dense = fit_dense_layers(bundle.weights, train, before.held_out, settings.dense)[0]
    tried = {AS_IT_WAS: before, DENSE_LAYERS: Trial(dense, before.held_out)}
    parts = {f"{part:.0%} of the way to {ALL_LAYERS}": part for part in PARTS_OF_THE_WAY} | {ALL_LAYERS: 1.0}

    def fit_all(some: Added, name: str) -> Weights:
        mixed = mix(sets.base, some)
        data = Data(mixed, sets.validation, mixed, sets.validation)
        return fit(halved(settings.fit), data, folder / name, InitialWeights(weights=dense), kept=bundle, say=say)

    if settings.layers == "all":
        fitted = fit_all(learnt, "held-out")
        for name, part in parts.items():
            tried[name] = _trial(between(dense, fitted, part), bundle, sets.validation, held)
    whole = sets.validation.shape == TILE  # the scores of crops are no scale for those of whole images
    losses = {name: _held_out_loss(trial, calibrated=whole) for name, trial in tried.items()}
    chosen = min(losses, key=lambda name: losses[name])
    say("held-out loss: " + ", ".join(f"{name} {loss:.4f}" for name, loss in losses.items()) + f"; kept: {chosen}")
    weights = tried[chosen].weights
    if chosen in parts:
        say("now with all judged images")
        weights = between(dense, fit_all(added, "all"), parts[chosen])
    facts = {"from": bundle.id, "added": len(added.label), "layers": settings.layers, "seed": settings.fit.seed}
    after = successor(bundle, weights, facts)
    if whole and chosen != AS_IT_WAS:
        made = calibrate(weights, bundle.preprocessing, sets.validation)
        after = replace(after, weights=made.weights, typical_threshold=made.typical_threshold)
    comparison = compare(bundle, after, added, sets.test) | {"held_out_loss": losses, "chosen": chosen}
    comparison["better"] = chosen != AS_IT_WAS and comparison["recall_kept"]
    return replace(after, figures={"retraining": comparison}), comparison


def check(sets: Sets, added: Added) -> None:
    """Raise `UsageError` where the test set is none, or nothing was judged."""
    if sets.test.card.get("split") != "test":
        raise UsageError(f"--test must be of the test split; received: {sets.test.card.get('split')!r}")
    if len(added.label) == 0:
        raise UsageError("There is no image to learn from: the verdicts name none.")


def halved(settings: Settings) -> Settings:
    """The same fit in half of the time."""
    budget = settings.budget
    return replace(settings, budget=Budget(budget.minutes / 2, budget.megapixels and budget.megapixels / 2))


def between(first: Weights, second: Weights, part: float) -> Weights:
    """Weights that lie a part of the way from the first to the second."""
    return {name: value + np.float32(part) * (second[name] - value) for name, value in first.items()}


def _trial(weights: Weights, bundle: Bundle, validation: DataSet, held: Added) -> Trial:
    return Trial(weights, _pooled_both(weights, bundle, validation, held))


def _pooled_both(weights: Weights, bundle: Bundle, data: DataSet, added: Added) -> tuple[PooledFeatures, ...]:
    """A data set and added images as the dense layers see them."""
    return tuple(
        PooledFeatures(pooled(weights, bundle.preprocessing, one), one.column("label"))
        for one in (data, as_data_set(added))
    )


def _held_out_loss(trial: Trial, *, calibrated: bool) -> float:
    """The held-out loss, after calibration on the validation set: an unsure network must not win by its modesty."""
    weights, validation = trial.weights, trial.held_out[0]
    if calibrated:
        weights = fold_line(weights, *platt(validation.label, dense_logits(weights, validation.peaks)))
    return held_out_loss(weights, trial.held_out)


def successor(bundle: Bundle, weights: Weights, facts: dict[str, Any]) -> Bundle:
    """The bundle with other weights; figures and screen are those of the old network, and left out."""
    return replace(
        bundle,
        weights=weights,
        screen=None,
        trained={**bundle.trained, "retrained": facts},
        figures={},
        name=f"{bundle.name} retrained",
    )

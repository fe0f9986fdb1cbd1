"""Fitting the dense layers alone, on pooled features: what a few verdicts can teach, within seconds.

The convolutions stay as they are, so that each image is one row of 32 numbers, computed once. Batches are made of the
ordinary training images and of the added ones in equal parts, craters and blanks in equal parts within each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crater_ray.network.stardust import DENSE, Weights
from training.network.scoring import dense_logits

LAYERS = tuple(f"dense{number}" for number in range(1, len(DENSE) + 2))
DECAYS = (0.9, 0.999)
"""Adam's (Kingma & Ba 2015) memory of the gradient and of its square."""


@dataclass(frozen=True)
class DenseSettings:
    """How the dense layers are fitted.

    Attributes:
        steps: how many batches at most.
        batch: images in one.
        learning_rate: of Adam.
        every: batches from one look at the held-out images to the next.
        seed: decides the batches.
    """

    steps: int = 1500
    batch: int = 64
    learning_rate: float = 5e-4
    every: int = 25
    seed: int = 0


@dataclass(frozen=True)
class PooledFeatures:
    """Images as the dense layers see them.

    Attributes:
        peaks: (n, 32) float64, the pooled features.
        label: (n,) of 0 and 1.
    """

    peaks: np.ndarray
    label: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: np.ndarray) -> PooledFeatures:
        """The images of these rows."""
        return PooledFeatures(self.peaks[rows], self.label[rows])


def fit_dense_layers(
    weights: Weights, train: tuple[PooledFeatures, ...], held_out: tuple[PooledFeatures, ...], settings: DenseSettings
) -> tuple[Weights, float, float]:
    """Fit the dense layers; the start counts as one of the states among which the held-out images choose.

    Args:
        weights: where to start; left as they are.
        train: pools that make up equal parts of each batch.
        held_out: pools on which the best state is chosen; each counts the same.
        settings: how.

    Returns:
        The weights with the lowest held-out loss, and this loss at the start and of these.
    """
    rng = np.random.default_rng(settings.seed)
    now = {name: np.asarray(value, np.float64) for name, value in weights.items() if name.startswith("dense")}
    first = {name: np.zeros_like(value) for name, value in now.items()}
    second = {name: np.zeros_like(value) for name, value in now.items()}
    best, start = dict(now), held_out_loss(weights, held_out)
    least = start
    for step in range(1, settings.steps + 1):
        rows = [_balanced(rng, pool, settings.batch // len(train)) for pool in train]
        batch = PooledFeatures(np.concatenate([row.peaks for row in rows]), np.concatenate([row.label for row in rows]))
        for name, slope in gradient(now, batch).items():
            first[name] = DECAYS[0] * first[name] + (1 - DECAYS[0]) * slope
            second[name] = DECAYS[1] * second[name] + (1 - DECAYS[1]) * slope * slope
            direction = first[name] / (1 - DECAYS[0] ** step)
            scale = np.sqrt(second[name] / (1 - DECAYS[1] ** step)) + 1e-8
            now[name] = now[name] - settings.learning_rate * direction / scale
        if step % settings.every == 0:
            loss = held_out_loss(now, held_out)
            if loss < least:
                best, least = dict(now), loss
    return {**weights, **{name: value.astype(np.float32) for name, value in best.items()}}, start, least


def held_out_loss(weights: Weights, pools: tuple[PooledFeatures, ...]) -> float:
    """Mean over the pools of their cross-entropy, craters and blanks of a pool counting the same."""
    losses = []
    for pool in pools:
        logit = dense_logits(weights, pool.peaks)
        loss = np.logaddexp(0.0, logit) - pool.label * logit
        losses.append(float(np.mean([loss[pool.label == label].mean() for label in np.unique(pool.label)])))
    return float(np.mean(losses))


def gradient(weights: Weights, batch: PooledFeatures) -> Weights:
    """The slope of the mean cross-entropy of a batch by each kernel and bias of the dense layers."""
    inputs = [batch.peaks]
    for name in LAYERS[:-1]:
        inputs.append(np.maximum(inputs[-1] @ weights[f"{name}/kernel"] + weights[f"{name}/bias"], 0))
    logit = (inputs[-1] @ weights[f"{LAYERS[-1]}/kernel"] + weights[f"{LAYERS[-1]}/bias"])[:, 0]
    back = ((1 / (1 + np.exp(-np.clip(logit, -60, 60))) - batch.label) / len(batch))[:, None]
    slopes: Weights = {}
    for name, given in zip(LAYERS[::-1], inputs[::-1], strict=True):
        slopes[f"{name}/kernel"], slopes[f"{name}/bias"] = given.T @ back, back.sum(axis=0)
        back = (back @ weights[f"{name}/kernel"].T) * (given > 0)
    return slopes


def _balanced(rng: np.random.Generator, pool: PooledFeatures, images: int) -> PooledFeatures:
    """Images of a pool, as many craters as blanks where it has both."""
    labels = np.unique(pool.label)
    rows = [rng.choice(np.flatnonzero(pool.label == label), images // len(labels)) for label in labels]
    return pool.take(np.concatenate(rows))

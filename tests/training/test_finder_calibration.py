"""Scores at the odds of an archive: they say how often an image with such a score has a crater."""

from __future__ import annotations

import numpy as np

from training.finder.calibrate import fitted_scale
from training.network.scoring import probability


def drawn(rng: np.random.Generator, label: np.ndarray) -> np.ndarray:
    """Logits of images: blanks in a narrow heap with a tail, a third of the craters far above it, the rest among it."""
    clear = rng.random(len(label)) < 0.35
    faint = rng.gumbel(-1.2, 0.6, len(label))
    return np.where(label == 0, rng.gumbel(-1.5, 0.5, len(label)), np.where(clear, rng.normal(4, 2, len(label)), faint))


def test_scores_are_the_share_of_craters_at_the_stated_odds() -> None:
    rng, odds = np.random.default_rng(0), 300
    label = np.repeat((1, 0), (800, 6_000))
    scale = fitted_scale(label, drawn(rng, label), odds)
    assert scale.gain > 0.2
    many = np.repeat((1, 0), (10_000, 10_000 * odds))
    score = probability(scale(drawn(rng, many)))
    assert np.abs(score.mean() - many.mean()) < 0.3 * many.mean()
    for low, high in ((0.003, 0.03), (0.1, 0.5), (0.5, 1.0)):
        inside = (score >= low) & (score < high)
        # Rather too low, as the tail of the blanks is taken two standard errors heavier than it is.
        assert -0.2 < score[inside].mean() - many[inside].mean() < 0.05
    assert (score[many == 1] >= 0.5).mean() > 0.15


def test_clear_and_faint_craters_keep_their_order() -> None:
    rng = np.random.default_rng(1)
    label = np.repeat((1, 0), (300, 2_000))
    scale = fitted_scale(label, drawn(rng, label))
    assert (np.diff(scale(np.linspace(-4, 12, 200))) > 0).all()

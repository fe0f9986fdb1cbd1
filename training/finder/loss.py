"""The loss of the finder: focal for centres, the hardest false position of each image once more, place and size."""

from __future__ import annotations

from typing import Any

FOCUS = 2.0
"""How much less an easy position counts: its loss is weighed by the probability of its error to this power (Lin et al.
2017)."""
HARDEST = 0.3
SIZE, PLACE = 1.0, 0.4


def finder_loss(targets: Any, maps: Any) -> Any:
    """The loss of a batch.

    Args:
        targets: (n, h, w, 5) float32; see `training.finder.targets.CHANNELS`.
        maps: (n, h, w, 4) float32, as the finder gives them.
    """
    from keras import ops

    positive, weight = targets[..., 0], targets[..., 1]
    logit = maps[..., 0]
    chance = ops.sigmoid(logit)
    craters = ops.maximum(ops.sum(positive * weight), 1.0)
    found = positive * weight * (1.0 - chance) ** FOCUS * ops.softplus(-logit)
    false = (1.0 - positive) * weight * chance**FOCUS * ops.softplus(logit)
    centres = (ops.sum(found) + ops.sum(false)) / craters
    blank = ops.where((1.0 - positive) * weight > 0, logit, ops.full_like(logit, -30.0))
    hardest = ops.mean(ops.softplus(ops.max(blank, axis=(1, 2))))
    asked = positive * weight
    size = ops.sum(asked * _huber(maps[..., 1] - targets[..., 2])) / craters
    place = ops.sum(asked * (_huber(maps[..., 2] - targets[..., 3]) + _huber(maps[..., 3] - targets[..., 4]))) / craters
    return centres + HARDEST * hardest + SIZE * size + PLACE * place


def _huber(difference: Any) -> Any:
    from keras import ops

    far = ops.abs(difference)
    return ops.where(far < 0.2, far * far * 2.5, far - 0.1)

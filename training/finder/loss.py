"""The loss of the finder: cross-entropy for centres, the hardest false position of each image again, place and size.

Not a focal loss: that stops asking once a centre is fairly sure, and clear craters then score hardly more than faint
ones; how far a crater stands above all blanks is what counts where craters are rare.
"""

from __future__ import annotations

from typing import Any

HARDEST = 0.5
SIZE, PLACE = 1.0, 0.4


def finder_loss(targets: Any, maps: Any) -> tuple[Any, Any]:
    """The loss of a batch, and of each scene the highest logit where there is no crater, (n,).

    Args:
        targets: (n, h, w, 5) float32; see `training.finder.targets.CHANNELS`.
        maps: (n, h, w, 4) float32, as the finder gives them.
    """
    from keras import ops

    positive, weight = targets[..., 0], targets[..., 1]
    logit = maps[..., 0]
    craters = ops.maximum(ops.sum(positive * weight), 1.0)
    found = positive * weight * ops.softplus(-logit)
    false = (1.0 - positive) * weight * ops.softplus(logit)
    centres = (ops.sum(found) + ops.sum(false)) / craters
    blank = ops.where((1.0 - positive) * weight > 0, logit, ops.full_like(logit, -30.0))
    highest = ops.max(blank, axis=(1, 2))
    asked = positive * weight
    size = ops.sum(asked * _huber(maps[..., 1] - targets[..., 2])) / craters
    place = ops.sum(asked * (_huber(maps[..., 2] - targets[..., 3]) + _huber(maps[..., 3] - targets[..., 4]))) / craters
    return centres + HARDEST * ops.mean(ops.softplus(highest)) + SIZE * size + PLACE * place, highest


def _huber(difference: Any) -> Any:
    from keras import ops

    far = ops.abs(difference)
    return ops.where(far < 0.2, far * far * 2.5, far - 0.1)

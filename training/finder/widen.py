"""A wider finder that answers as a narrower one does: each new channel begins as the copy of one that is there.

What takes the copies takes a part of each, so that their sum is what it was (Chen, Goodfellow and Shlens 2016, ICLR);
copies differ a little, so that they may learn different things.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from crater_ray.network import finder
from crater_ray.network.stardust import Weights

APART = 0.1
"""Standard deviation by which a copy's kernel differs, in those of the kernel's values."""
LEVEL = {"stem": 0, "half1": 0, "down4": 1, "quarter": 1, "up8": 1, "down8": 2, "eighth": 2, "up16": 2}
"""Which of the four widths the filters of a convolution have; others have the last one."""


def widened(weights: Weights, widths: Sequence[int], seed: int = 0) -> Weights:
    """Weights of a wider finder.

    Args:
        weights: by name, of a finder without settings.
        widths: as `crater_ray.network.finder.WIDTHS`; none below what there is.
        seed: decides which channels are copied.

    Raises:
        ValueError: it would be narrower.
    """
    before = finder.widths_of(weights)
    if any(new < old for new, old in zip(widths, before, strict=True)):
        raise ValueError(f"a finder of {before} filters cannot be made one of {tuple(widths)}")
    rng = np.random.default_rng(seed)
    copied = [
        np.concatenate([np.arange(old), rng.permutation(np.arange(new - old) % old)])
        for new, old in zip(widths, before, strict=True)
    ]
    wide: Weights = {}
    came = {"stem": None, "down4": 0, "down8": 1, "down16": 2, "up16": 3, "up8": 2, "maps": 1}
    for layer in finder.layer_table(before):
        kernel, bias = weights[f"{layer.name}/kernel"], weights[f"{layer.name}/bias"]
        level = LEVEL.get(layer.name, LEVEL.get(layer.name.rstrip("1234"), 3))
        source = came.get(layer.name, level)
        if source is not None:
            of = copied[source]
            kernel = kernel[:, :, of] / np.bincount(of)[of][:, None]
        if layer.name != "maps":
            of = copied[level]
            kernel, bias = kernel[..., of], bias[of]
            new = np.arange(len(of)) >= before[level]
            kernel = kernel + rng.normal(0, APART * kernel.std(), kernel.shape) * new
        wide[f"{layer.name}/kernel"] = kernel.astype(np.float32)
        wide[f"{layer.name}/bias"] = bias.astype(np.float32)
    return wide

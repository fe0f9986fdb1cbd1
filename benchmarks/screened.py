"""The screen and the network behind it without the scan around them: blocks of pixels in, scores out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from crater_ray.images.pixels import pack_stack
from crater_ray.network.bundle import Bundle
from crater_ray.runs import audit
from crater_ray.scanning.scorer import Scorer

SEED = 0


def screened_scores(bundle: Bundle, engine: str, threads: int | None = None) -> Callable[[np.ndarray], np.ndarray]:
    """A function from (n, height, width) uint8 images to their scores, screened and audited as in a scan.

    Args:
        bundle: the network, with a screen.
        engine: of the full network, resolved.
        threads: processor threads; all when None.
    """
    scorer = Scorer(bundle, engine, bundle.typical_threshold, threads, screened=True)
    scorer.device()
    rng = np.random.default_rng(SEED)

    def score(images: np.ndarray) -> np.ndarray:
        audited = rng.random(len(images)) < audit.SHARE
        return scorer.score(pack_stack(images), audited).score

    return score

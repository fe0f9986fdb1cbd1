"""The screen and the network behind it without the scan around them: blocks of pixels in, scores out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from crater_ray.network.bundle import Bundle
from crater_ray.runs import audit
from crater_ray.scanning.loader import BATCH
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
        return scorer.score(as_batch(images), audited).score

    return score


def as_batch(images: np.ndarray) -> pa.RecordBatch:
    """Images of one size as a loader hands them to a scorer."""
    n, height, width = images.shape
    offsets = np.arange(n + 1, dtype=np.int64) * (height * width)
    pixels = np.ascontiguousarray(images).reshape(-1)
    binary = pa.Array.from_buffers(
        pa.large_binary(), n, [None, pa.py_buffer(offsets), pa.py_buffer(pixels)], null_count=0
    )
    sizes = [pa.array(np.full(n, length, np.int32)) for length in (height, width)]
    return pa.RecordBatch.from_arrays([pa.array(np.arange(n, dtype=np.int32)), *sizes, binary], schema=BATCH)

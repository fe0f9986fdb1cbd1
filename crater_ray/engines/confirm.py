"""Close calls in full precision: rounding must not decide which images are candidates."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from crater_ray.engines.base import Engine
from crater_ray.network.evidence import Answer


class Confirming:
    """An engine whose scores near the threshold are computed again by an exact one.

    Args:
        engine: the quick one.
        exact: makes the exact one; called when the first close call comes.
        threshold: from which score an image is a candidate.
        within: scores no farther from it than this are close calls.
    """

    def __init__(self, engine: Engine, exact: Callable[[], Engine], threshold: float, within: float) -> None:
        self.stage, self.kind = engine.stage, engine.kind
        self.device = f"{engine.device}, close calls in float32"
        self._engine, self._make, self._exact = engine, exact, None
        self._threshold, self._within = threshold, within
        self._making = threading.Lock()

    _exact: Engine | None

    def score(self, images: np.ndarray) -> Answer:
        said = self._engine.score(images)
        close = np.flatnonzero(np.abs(said.scores - self._threshold) <= self._within)
        if not len(close):
            return said
        with self._making:
            if self._exact is None:
                self._exact = self._make()
        again = self._exact.score(images[close])
        return said.with_answers(close, again)  # type: ignore[arg-type]  # both engines compute one bundle

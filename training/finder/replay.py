"""Replay: scenes in which the network so far takes a blank place for a crater are soon shown again.

Mining without a pause: every scene of the stream is fresh and is scored by the step that learns from it, so that the
worst of all that training ever drew are known at no cost. A scene is shown again a few times at most: one that stays
wrong may be labelled wrong.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

SHARE = 0.06
"""Of the scenes that are kept: those with the highest false centres of late."""
LATELY = 4_096
"""Scenes by which that is judged."""
KEPT = 1_024
TIMES = 3
"""How often a scene is shown again at most."""


@dataclass
class _Kept:
    image: np.ndarray
    target: np.ndarray
    shown: int


@dataclass
class Replay:
    """The worst scenes of late.

    Args:
        images: of each batch that are shown again.
        seed: decides which.

    Attributes:
        looked: scenes that were scored.
        kept: of them, how often one was kept to be shown again.
    """

    images: int
    seed: int
    looked: int = 0
    kept: int = 0
    _waiting: list[_Kept] = field(default_factory=list)
    _lately: deque[float] = field(default_factory=lambda: deque(maxlen=LATELY))
    _shown: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng([self.seed, 31])

    def put_into(self, images: np.ndarray, targets: np.ndarray) -> None:
        """Let kept scenes take the places of the last of a batch: (n, size, size, 1) and (n, h, w, 5), in place."""
        self._shown = [0] * len(images)
        for place in range(len(images) - min(self.images, len(self._waiting)), len(images)):
            chosen = self._waiting.pop(int(self._rng.integers(len(self._waiting))))
            images[place], targets[place] = chosen.image, chosen.target
            self._shown[place] = chosen.shown

    def note(self, images: np.ndarray, targets: np.ndarray, false: np.ndarray) -> None:
        """Keep the worst of the batch that was just learnt.

        Args:
            images, targets: as `put_into` left them.
            false: (n,) float32, the highest logit of each scene where there is no crater.
        """
        edge = np.quantile(self._lately, 1 - SHARE) if len(self._lately) >= LATELY // 4 else np.inf
        for number, logit in enumerate(false.tolist()):
            if not self._shown[number]:
                self._lately.append(logit)
                self.looked += 1
            if logit >= edge and self._shown[number] < TIMES:
                self.kept += 1
                self._waiting.append(_Kept(images[number].copy(), targets[number].copy(), self._shown[number] + 1))
        del self._waiting[:-KEPT]

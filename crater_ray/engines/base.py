"""What engines and screens are and give: one interface each, several ways to compute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from crater_ray.network.evidence import Answer

Kind = Literal["cpu", "gpu"]
"""Of devices: processors or GPUs."""

AT_ONCE = 2
"""Batches that an engine is given at the same time, by threads of their own: while one waits for a thread's last image
or for pixels to be copied, and while places are looked for, the device works on the other."""


class Engine(Protocol):
    """Computes the network on one device."""

    stage: str
    """What the column `stage` says of its verdicts."""

    device: str
    """What it computes on, for people."""

    kind: Kind
    """What that is."""

    def score(self, images: np.ndarray) -> Answer:
        """Score (n, height, width) uint8 images of one size; n, height and width may differ from call to call.

        Several threads may call it at the same time.
        """
        ...


@runtime_checkable
class FeatureEngine(Protocol):
    """An engine that also gives what the network's global max-pool takes, for images that are larger than a window."""

    def features(self, images: np.ndarray) -> np.ndarray:
        """The last feature map of (n, height, width) uint8 images: (n, rows, columns, 32) float32."""
        ...


@dataclass(frozen=True)
class Screened:
    """What a screen makes of images.

    Attributes:
        scores: (n,) float32 in 0..1, after the second look where there was one.
        passed: (n,) bool, whether the full network is to look at the image.
    """

    scores: np.ndarray
    passed: np.ndarray


class ScreenEngine(Protocol):
    """Computes a screen on one device."""

    def look(self, images: np.ndarray) -> Screened:
        """Look at (n, height, width) uint8 images of the screen's size."""
        ...

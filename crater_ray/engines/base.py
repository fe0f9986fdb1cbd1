"""What every engine is and gives: one interface, several ways to compute."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from crater_ray.network.evidence import Evidence

AT_ONCE = 2
"""Batches that an engine is given at the same time, by threads of their own: while one waits for a thread's last image
or for pixels to be copied, and while places are looked for, the device works on the other."""


class Engine(Protocol):
    """Computes the network on one device."""

    stage: str
    """What the column `stage` says of its verdicts."""

    device: str
    """What it computes on, for people."""

    def score(self, images: np.ndarray) -> Evidence:
        """Score (n, height, width) uint8 images of one size; n, height and width may differ from call to call.

        Several threads may call it at the same time.
        """
        ...

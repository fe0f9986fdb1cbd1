"""Engines: a bundle in, a function from images to scores and evidence out. One interface, several ways to compute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from crater_ray.bundle import Bundle
from crater_ray.errors import UsageError

NAMES = ("auto", "keras", "openvino", "openvino-bf16", "openvino-float", "stand-in")


@dataclass(frozen=True)
class Evidence:
    """What an engine says of a batch.

    Attributes:
        scores: (n,) float32 in 0..1.
        peaks: (n, 32) float32, global maximum of each feature.
        positions: (n, 32) int32, where it lies in the flattened last feature map.
    """

    scores: np.ndarray
    peaks: np.ndarray
    positions: np.ndarray


class Engine(Protocol):
    """Computes the network on one device."""

    stage: str
    """What the column `stage` says of its verdicts."""

    device: str
    """What it computes on, for people."""

    def score(self, images: np.ndarray) -> Evidence:
        """Score (n, height, width) uint8 images of one size; n, height and width may differ from call to call."""
        ...


def resolve(name: str, bundle: Bundle | None = None) -> str:
    """The engine that a name stands for: `auto` is the best one there is.

    Args:
        name: as the user gives it.
        bundle: the network; checked for what the engine needs of it.

    Raises:
        UsageError: there is no such engine, what it needs is not installed, or not in the bundle.
    """
    if name not in NAMES:
        raise UsageError(f"--engine must be one of {', '.join(NAMES)}; received: {name!r}")
    if name.startswith("openvino"):
        from crater_ray.engine.openvino_engine import NUMBERS, card_ranges, require_openvino

        require_openvino()
        if bundle is not None and NUMBERS[name] == "int8":
            card_ranges(bundle)
    return "keras" if name == "auto" else name


def create(name: str, bundle: Bundle, threads: int | None = None) -> Engine:
    """Make the engine of that name ready on this process's device.

    Args:
        name: as `resolve` gives it.
        bundle: the network.
        threads: processor threads to use; all when None. Ignored on GPUs.
    """
    if name == "keras":
        from crater_ray.engine.keras_engine import KerasEngine

        return KerasEngine(bundle, threads)
    if name.startswith("openvino"):
        from crater_ray.engine.openvino_engine import NUMBERS, OpenVinoEngine

        return OpenVinoEngine(bundle, NUMBERS[name], threads)
    if name == "stand-in":
        from crater_ray.engine.stand_in import StandIn

        return StandIn()
    raise UsageError(f"There is no engine {name!r}.")

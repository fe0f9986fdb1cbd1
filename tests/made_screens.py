"""Screens with arbitrary weights, for tests of everything around them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from crater_ray.network import bundle as bundles
from crater_ray.network.screen import Screen, shapes


def make_screen(bundle: str, **more: Any) -> Screen:
    """A screen of random weights for images of 100x120 pixels, which lets scores from 0.4 on pass."""
    rng = np.random.default_rng(3)
    weights = {
        name: (rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[:-1]))).astype(np.float32)
        for name, shape in shapes().items()
    }
    given: dict[str, Any] = {"threshold": 0.4, "full_threshold": 0.5, "size": (100, 120), "promise": 0.999}
    return Screen(weights, bundle=bundle, **(given | more))


def screened_bundle(untrained: Path, folder: Path, **more: Any) -> Path:
    """A copy of a bundle with such a screen."""
    bundle = bundles.load(untrained)
    return replace(bundle, screen=make_screen(bundle.id, **more)).save(folder)

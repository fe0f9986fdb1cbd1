"""Seed craters: RGBA cut-outs of single craters, from a folder of PNGs or from the simulator, and their split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from crater_ray.errors import UsageError

LIBRARY_COUNT = 97
"""As many seed craters as the original training had."""

SPLITS = ("train", "validation", "test")
SHARES = (0.7, 0.1, 0.2)
"""Which part of the seed craters, and of the backgrounds, each split gets."""


@dataclass(frozen=True)
class Seed:
    """One crater cut out of its image.

    Attributes:
        number: its place in the library; what the split is made by.
        grey: float32 (s, s), brightness 0..255.
        alpha: float32 (s, s), 0 outside the crater and 1 inside.
        diameter_px: the crater's diameter in pixels of the cut-out.
    """

    number: int
    grey: np.ndarray
    alpha: np.ndarray
    diameter_px: float


def from_rgba(number: int, rgba: np.ndarray, *, diameter_px: float | None = None) -> Seed:
    """Make a seed of a uint8 (s, s, 4) cut-out; the diameter is measured on its alpha when not given."""
    grey = rgba[..., :3].astype(np.float32).mean(axis=-1)
    alpha = rgba[..., 3].astype(np.float32) / 255.0
    measured = 2.0 * float(np.sqrt((alpha > 0.5).sum() / np.pi))
    return Seed(number, grey, alpha, diameter_px or measured)


def read_folder(folder: Path) -> list[Seed]:
    """Read every PNG of a folder, in order of their names, as seed craters.

    Raises:
        UsageError: there are none, or one has no transparency.
    """
    from PIL import Image

    seeds = []
    for number, path in enumerate(sorted(folder.glob("*.png"))):
        with Image.open(path) as image:
            rgba = np.asarray(image.convert("RGBA"))
        if rgba[..., 3].min() == 255 or rgba[..., 3].max() < 128:
            raise UsageError(
                f"The seed crater {str(path)!r} must be a cut-out: opaque on the crater and transparent around it; "
                f"received: transparency from {rgba[..., 3].min()} to {rgba[..., 3].max()} of 255"
            )
        seeds.append(from_rgba(number, rgba))
    if not seeds:
        raise UsageError(f"No PNG cut-outs in {str(folder)!r}. Leave --seeds out to use the simulator's library.")
    return seeds


@cache
def default_library(seed: int) -> tuple[Seed, ...]:
    """The simulator's library of 97 craters; simulated once a process, as every shard of a data set asks for it."""
    from crater_ray.simulate import seed_library

    # The simulator cuts at 1.9 diameters and 4 pixels: the diameter follows from the size of the cut-out.
    library = tuple(
        from_rgba(number, rgba, diameter_px=(rgba.shape[0] - 4) / 1.9)
        for number, rgba in enumerate(seed_library(LIBRARY_COUNT, seed))
    )
    for crater in library:
        crater.grey.setflags(write=False)
        crater.alpha.setflags(write=False)
    return library


def split(count: int, name: str, seed: int) -> np.ndarray:
    """Which of `count` things belong to a split, in rising order; the three splits share nothing and leave nothing out.

    Raises:
        UsageError: there is no such split.
    """
    if name not in SPLITS:
        raise UsageError(f"--split must be one of {', '.join(SPLITS)}; received: {name!r}")
    order = np.random.default_rng([seed, 0x5EED]).permutation(count)
    bounds = [0, *np.round(np.cumsum(SHARES) * count).astype(int).tolist()]
    place = SPLITS.index(name)
    return np.sort(order[bounds[place] : bounds[place + 1]])


def pick(seeds: Sequence[Seed], name: str, seed: int) -> list[Seed]:
    """The seed craters of one split."""
    return [seeds[number] for number in split(len(seeds), name, seed)]

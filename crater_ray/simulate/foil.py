"""One foil under one microscope: ranges so narrow that all its images look alike, as they do in a real collector."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from crater_ray.simulate.ranges import Range, Ranges

WIDTH = 0.15
"""Of each range, what is left to vary from image to image of a foil."""

CRATER = ("crater_", "rim_", "petal_", "off_centre", "degraded_", "overlap_", "residue_", "halo_")
"""What belongs to the grain that hit, not to the foil: it keeps its whole range."""
EACH = ("stain_ring",)
"""What differs from one thing on the foil to the next: it keeps its whole range as well."""


def one_foil(ranges: Ranges, foil: int) -> Ranges:
    """Ranges of the images of one foil.

    What either is there or is not (`*_chance`) is there on all of its images or on none; sizes of defects, and
    craters, vary as everywhere; all else keeps to a part of its range.

    Args:
        ranges: of all foils.
        foil: its number, from 0; the same number is the same foil.
    """
    rng = np.random.default_rng([foil, 0xF011])
    chosen: dict[str, float | Range] = {}
    for item in fields(ranges):
        value, luck = getattr(ranges, item.name), float(rng.random())  # drawn for all, so that no field moves another
        if item.name.startswith((*CRATER, *EACH)) or item.name.endswith("_size"):
            continue
        if not isinstance(value, tuple):
            chosen[item.name] = float(luck < value)
        elif item.name.endswith("_count"):
            most = value[0] + (value[1] - value[0]) * luck**2.5  # mostly few, as in `count`
            chosen[item.name] = (most * (1 - WIDTH), most)
        else:
            chosen[item.name] = _part(value, luck)
    return replace(ranges, **chosen)  # type: ignore[arg-type]


def _part(bounds: Range, luck: float) -> Range:
    """A part of a range, `WIDTH` of it long; in logarithms where the whole of it is above zero."""
    low, high = np.log(bounds) if bounds[0] > 0 else bounds
    start = low + (high - low) * (1 - WIDTH) * luck
    ends = (start, start + (high - low) * WIDTH)
    return (float(np.exp(ends[0])), float(np.exp(ends[1]))) if bounds[0] > 0 else (float(ends[0]), float(ends[1]))

"""Matched shares: how many are found of craters as clear as a foil's own, beside those of craters as planted."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from crater_ray.completeness.planted import PlantedCraters
from crater_ray.completeness.population import Population
from crater_ray.completeness.shares import Share

BEFORE = "matched_"
"""Before the name of the division that they match."""
DIVISIONS = ("all", "diameter_px", "every_diameter_px", "diameter_nm", "every_diameter_nm")


def matched_shares(
    shares: Mapping[str, list[Share]], craters: PlantedCraters, population: Population, cut: float
) -> dict[str, list[Share]]:
    """The shares by size as they are for a foil's own craters.

    Args:
        shares: of planted ones, as `crater_ray.completeness.shares.all_shares` gives them.
        craters: the planted ones.
        population: what is believed of the foil's own.
        cut: found from this score on.

    Returns:
        By name, with `BEFORE` before it. Of `all`, those that can be seen and all.
    """
    found: dict[str, list[Share]] = {}
    for division in DIVISIONS:
        some = [share for share in shares.get(division, ()) if share.name != "not visible"]
        found[BEFORE + division] = [
            population.share(share, _class(share, craters), _visible(division, share), cut) for share in some
        ]
    return {name: some for name, some in found.items() if some}


def _visible(division: str, share: Share) -> bool:
    return share.name == "visible" or division.startswith("diameter")


def _class(share: Share, craters: PlantedCraters) -> np.ndarray:
    """(n,) which planted craters are of the size of a class, visible or not."""
    size = craters.column("diameter") * (craters.pixel_nm if share.by == "diameter_nm" else 1.0)
    if share.low is None or share.high is None:
        return np.ones(len(craters), bool)
    inside: np.ndarray = (size >= share.low) & (size <= share.high)
    return inside

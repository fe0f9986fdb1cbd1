"""How craters score in a run: the scores of those that were planted into its images."""

from __future__ import annotations

import numpy as np

from crater_ray.completeness.planted import open_planted, read_planted_craters
from crater_ray.errors import CraterRayError
from crater_ray.results.false_alarms.tail import Craters
from crater_ray.runs.run import Run

LEAST_OF_A_FOIL = 100
"""Planted craters of a foil; with fewer those of all foils tell of it."""


def crater_scores(run: Run) -> dict[str, Craters]:
    """The scores of a run's planted craters by foil, those of all foils under an empty name; none unless measured.

    All planted craters count, also those that nobody could see: a foil has such as well.
    """
    try:
        with open_planted(run) as planted:
            craters = read_planted_craters(planted)
    except CraterRayError:
        return {}
    foils, weight = craters.column("foil"), craters.column("weight")
    every = np.ones(len(craters), bool)
    groups = {"": every} | {str(foil): foils == foil for foil in np.unique(foils) if foil}
    return {
        foil: Craters(craters.candidate[some], weight[some])
        for foil, some in groups.items()
        if some.sum() >= (LEAST_OF_A_FOIL if foil else 1)
    }

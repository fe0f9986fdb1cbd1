"""Foil images with planted craters, computed from height maps and secondary-electron yield."""

from crater_ray.simulate.archive import simulate_archive
from crater_ray.simulate.frame import Defect, Frame, PlantedCrater, simulate_frame
from crater_ray.simulate.ranges import Ranges
from crater_ray.simulate.seeds import seed_crater, seed_library

__all__ = [
    "Defect",
    "Frame",
    "PlantedCrater",
    "Ranges",
    "seed_crater",
    "seed_library",
    "simulate_archive",
    "simulate_frame",
]

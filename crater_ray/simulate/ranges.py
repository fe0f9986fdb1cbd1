"""Every number the simulator draws, as documented (low, high) ranges; and the ways to draw from them."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from crater_ray.errors import UsageError

Range = tuple[float, float]


@dataclass(frozen=True)
class Ranges:
    """What varies from image to image. Lengths are pixels of the finished image (about 50 nm at magnification 1).

    Heights are pixels too, so that slopes are pure numbers. Each `*_chance` is the probability, 0..1, that
    an image (or a crater) has such a thing at all. Counts are per 384x512 pixels and shrink with the image.

    Raises:
        UsageError: a range is upside down or not finite, or a chance lies outside 0..1.
    """

    # The foil: what a blank consists of.
    magnification: Range = (0.55, 2.2)  # scales every length of the texture, log-uniform
    roughness_slope: Range = (0.012, 0.30)  # rms slope of the fine isotropic texture, log-uniform
    roughness_length: Range = (3.0, 60.0)  # px, where that texture stops growing towards long waves, log-uniform
    roughness_exponent: Range = (1.5, 3.2)  # fall of its amplitude spectrum; low is gritty, high is smooth
    rolling_slope: Range = (0.005, 0.35)  # rms slope of the rolling texture, log-uniform
    rolling_stretch: Range = (8.0, 60.0)  # how much longer than wide the rolling texture is
    groove_count: Range = (0, 140)  # sharp rolling grooves crossing the image, mostly few
    groove_width: Range = (0.8, 4.0)  # px
    groove_depth: Range = (0.03, 0.9)  # px, log-uniform
    groove_wander: Range = (0.0, 5.0)  # px, how far rolling lines leave the straight line
    creased_chance: float = 0.15  # texture folded into ridges instead of rolling hills
    step_chance: float = 0.25  # wandering steps and folds
    step_height: Range = (0.2, 2.5)  # px
    grain_chance: float = 0.30  # metal grains of different brightness
    grain_length: Range = (25.0, 160.0)  # px
    grain_contrast: Range = (0.01, 0.16)  # rms relative brightness between grains, log-uniform
    grain_boundary_depth: Range = (0.0, 0.8)  # px
    striation_chance: float = 0.25  # of images with grains: terraces inside each grain
    striation_length: Range = (4.0, 14.0)  # px
    striation_height: Range = (0.03, 0.4)  # px
    island_chance: float = 0.15  # patches of oxide or of another phase
    island_length: Range = (20.0, 120.0)  # px
    island_contrast: Range = (-0.35, 0.4)  # relative brightness against the foil
    mottling: Range = (0.0, 0.10)  # rms relative brightness of soft cloudy contamination
    illumination: Range = (0.0, 0.35)  # relative brightness change from side to side
    rectangle_chance: float = 0.06  # a darker or brighter rectangle scanned earlier
    rectangle_contrast: Range = (-0.25, 0.15)  # relative brightness

    # What is mistaken for craters. Sizes are diameters or lengths in px, log-uniform.
    pit_count: Range = (0, 12)
    pit_size: Range = (2.5, 34.0)
    pit_depth: Range = (0.08, 0.6)  # of the diameter
    pit_glow: Range = (0.0, 0.35)  # of the edge glow: etching and oxide round the border of a pit, a lip is sharp
    inclusion_count: Range = (0, 12)
    inclusion_size: Range = (2.5, 36.0)
    inclusion_bright: Range = (1.1, 1.9)  # times the foil's yield
    inclusion_dark: Range = (0.35, 0.85)  # times the foil's yield
    dust_count: Range = (0, 5)
    dust_size: Range = (3.0, 50.0)
    dust_yield: Range = (0.8, 1.9)  # times the foil's yield
    blister_count: Range = (0, 5)
    blister_size: Range = (4.0, 50.0)
    blister_height: Range = (0.03, 0.30)  # of the diameter
    dent_count: Range = (0, 5)
    dent_size: Range = (5.0, 60.0)
    dent_depth: Range = (0.02, 0.14)  # of the diameter
    stain_count: Range = (0, 4)
    stain_size: Range = (5.0, 90.0)
    stain_contrast: Range = (-0.35, 0.25)  # relative brightness
    nick_count: Range = (0, 3)
    nick_size: Range = (5.0, 40.0)
    nick_depth: Range = (0.05, 0.3)  # of the size
    stringer_chance: float = 0.35  # inclusions and pits lie in a row along the rolling direction
    scratch_count: Range = (0, 9)
    scratch_length: Range = (8.0, 500.0)
    scratch_width: Range = (0.8, 5.0)  # px
    scratch_depth: Range = (0.08, 0.8)  # of the width
    crossing_chance: float = 0.35  # of images with scratches: two of them cross
    speck_chance: float = 0.35  # up to three sorts of tiny droplets or holes
    speck_count: Range = (4, 300)  # of each sort, log-uniform
    speck_size: Range = (1.4, 6.0)
    streak_chance: float = 0.10  # charging: bright or dark trails along the scan lines
    streak_strength: Range = (0.03, 0.35)  # relative brightness

    # Craters.
    crater_diameter_px: Range = (4.0, 40.0)  # rim crest to rim crest, log-uniform; used by `simulate_archive`
    crater_axis_ratio: Range = (1.0, 1.6)  # long over short, mostly low; above 1.5 in about 5%
    crater_depth: Range = (0.56, 0.60)  # floor below the foil, of the diameter
    crater_bowl: Range = (1.8, 4.0)  # exponent of the bowl: 2 is a paraboloid, more is a flatter floor
    rim_height: Range = (0.06, 0.20)  # of the diameter
    rim_width: Range = (0.12, 0.45)  # of the radius, outer side of the lip
    rim_round: Range = (0.005, 0.07)  # how blunt the crest of the lip is, of the diameter
    rim_ragged: Range = (0.0, 0.045)  # rms deviation of the outline, of the radius
    rim_lopsided: Range = (0.0, 0.7)  # one side higher than the other
    rim_petals: Range = (0.0, 0.9)  # how deep the lip is cut into petals
    petal_chance: float = 0.35
    off_centre: Range = (0.0, 0.14)  # deepest point away from the middle, of the diameter
    degraded_chance: float = 0.15  # worn rim and partly filled bowl
    degraded_rim: Range = (0.25, 0.7)  # remaining part of the rim
    degraded_depth: Range = (0.55, 0.9)  # remaining part of the depth
    overlap_chance: float = 0.06  # a second, smaller bowl cuts the rim
    residue_chance: float = 0.25  # remains of the grain on the floor
    residue_size: Range = (0.08, 0.3)  # of the diameter
    residue_yield: Range = (0.8, 2.2)  # times the foil's yield
    halo_chance: float = 0.4  # darker or brighter surroundings
    halo_contrast: Range = (-0.25, 0.10)  # relative brightness at the rim
    halo_width: Range = (0.4, 1.2)  # of the diameter

    # Electrons.
    tilt_exponent: Range = (0.8, 1.25)  # n of (1/cos tilt)^n
    edge_glow: Range = (0.3, 1.6)  # strength of the extra emission at convex edges
    edge_length: Range = (0.35, 1.3)  # px, how far below the surface secondary electrons come from
    side_light: Range = (0.05, 0.65)  # how much the slope towards the detector gains over the opposite one
    well_exponent: Range = (1.0, 2.6)  # how fast wells darken with the blocked part of their sky

    # The camera.
    beam_sigma: Range = (0.4, 1.3)  # px
    astigmatism: Range = (1.0, 1.5)  # long over short axis of the beam
    defocus_chance: float = 0.10
    defocus_sigma: Range = (1.3, 3.2)  # px
    line_jitter: Range = (0.0, 0.35)  # px rms, each scan line on its own
    line_flicker: Range = (0.0, 0.012)  # rms relative brightness of single lines
    noise: Range = (1.2, 24.0)  # grey levels rms on plain foil, log-uniform; sets the number of electrons, at least 40
    noise_length: Range = (0.0, 0.7)  # px, blur of the noise by amplifier or rescaling
    brightness: Range = (45.0, 195.0)  # grey level of plain foil
    contrast: Range = (45.0, 240.0)  # grey levels per unit of relative signal, log-uniform
    gamma: Range = (0.8, 1.25)
    jpeg_quality: Range = (70, 92)

    # Added later, and so at the end: `one_foil` draws for the fields in their order.
    stain_ring: Range = (0.03, 0.2)  # relative brightness of a dried drop's border, of three stains in ten

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, tuple):
                if len(value) != 2 or not all(map(math.isfinite, value)) or value[0] > value[1]:
                    raise UsageError(f"The range {item.name} must be (low, high) with low <= high; received: {value!r}")
            elif not 0.0 <= value <= 1.0:
                raise UsageError(f"{item.name} is a probability and must lie in 0..1; received: {value!r}")


def uniform(rng: np.random.Generator, bounds: Range) -> float:
    """A value anywhere in the range."""
    return float(rng.uniform(*bounds))


def log_uniform(rng: np.random.Generator, bounds: Range) -> float:
    """A value whose logarithm lies anywhere in the range; the bounds must be above zero."""
    return float(np.exp(rng.uniform(np.log(bounds[0]), np.log(bounds[1]))))


def mostly_low(rng: np.random.Generator, bounds: Range, power: float = 2.5) -> float:
    """A value that lies nearer to the low end the larger `power` is (1 is uniform)."""
    low, high = bounds
    return low + (high - low) * float(rng.random() ** power)


def count(rng: np.random.Generator, bounds: Range, share: float) -> int:
    """How many of something an image has: mostly few, scaled by the image's `share` of 384x512 pixels."""
    wanted = mostly_low(rng, bounds) * share
    return int(wanted + rng.random())


def happens(rng: np.random.Generator, chance: float) -> bool:
    """Whether something with this probability happens."""
    return bool(rng.random() < chance)

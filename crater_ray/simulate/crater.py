"""A crater's shape: bowl, raised lip, petals, wear, and what is left of the grain that made it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crater_ray.simulate.electrons import Relief
from crater_ray.simulate.outline import Outline, draw_outline
from crater_ray.simulate.ranges import Ranges, happens, mostly_low, uniform


@dataclass(frozen=True)
class Crater:
    """One impact crater; lengths are of its diameter (rim crest to rim crest) unless said otherwise.

    Attributes:
        diameter: px.
        outline: where the rim's crest runs.
        depth: floor below the foil.
        bowl: exponent of the bowl; 2 is a paraboloid.
        rim_height, rim_width: height above the foil; width of the outer side, of the radius.
        rim_round: bluntness of the lip's crest.
        lip: (3,) tuples (order, amplitude, phase) by which the rim's height varies around the crater.
        floor: (x, y) of the deepest point.
        second: (x, y, diameter) of a smaller bowl that cuts the rim, or None.
        residue: (x, y, diameter, yield) of a grain on the floor, or None.
        halo: relative brightness around the rim, and its width.
    """

    diameter: float
    outline: Outline
    depth: float
    bowl: float
    rim_height: float
    rim_width: float
    rim_round: float
    lip: tuple[tuple[int, float, float], ...]
    floor: tuple[float, float]
    second: tuple[float, float, float] | None
    residue: tuple[float, float, float, float] | None
    halo: tuple[float, float]

    @property
    def size(self) -> float:
        """Diameter in px."""
        return self.diameter

    @property
    def reach(self) -> float:
        """Distance in px from the centre beyond which it changes nothing."""
        return self.diameter * (1.45 if self.halo[0] == 0 else 1.95) * float(np.sqrt(self.outline.axis_ratio)) + 1

    def cover(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """How far it hides the foil's own texture at such offsets, 0..1: `Relief.cover` alone."""
        return self._covered(self.outline.polar(x, y)[0]).astype(np.float32)

    def _covered(self, rho: np.ndarray) -> np.ndarray:
        covered: np.ndarray = np.clip((1 + 2 * self.rim_width - rho) / (2 * self.rim_width), 0, 1)
        return covered

    def relief(self, x: np.ndarray, y: np.ndarray) -> Relief:
        """Its shape at the offsets `x`, `y` (px from its centre, float32)."""
        d = np.float32(self.diameter)
        rho, phi = self.outline.polar(x, y)
        variation = np.ones_like(rho)
        for order, amplitude, phase in self.lip:
            variation += np.float32(amplitude) * np.cos(np.float32(order) * phi + np.float32(phase))
        rim = np.float32(self.rim_height) * np.maximum(variation, 0.05)
        # The bowl's deepest point wanders off the middle while the rim stays: shift by what is left at the rim.
        left = np.maximum(1 - rho * rho, 0)
        off = np.hypot(x / d - self.floor[0] * left, y / d - self.floor[1] * left)
        off = np.minimum(off * rho / np.maximum(np.hypot(x, y) / d, np.float32(1e-4)), np.float32(1.7))
        bowl = -np.float32(self.depth) + (np.float32(self.depth) + rim) * off ** np.float32(self.bowl)
        outer = rim * np.exp(-np.maximum(rho - 1, 0) / np.float32(self.rim_width))
        # The lower of bowl and outer slope, with the edge between them rounded off.
        height = 0.5 * (bowl + outer - np.sqrt((bowl - outer) ** 2 + np.float32(self.rim_round**2)))
        height = height * d * np.clip((np.float32(2.8) - rho) / np.float32(0.8), 0, 1)
        cover = self._covered(rho)
        if self.second is not None:
            sx, sy, size = self.second
            far = np.hypot(x / d - sx, y / d - sy) / (size / 2)
            height = np.minimum(
                height, (-self.depth * size * (1 - far**2) + 0.03) * d + 50 * np.maximum(far - 1, 0) * d
            )
        emission = np.ones_like(rho)
        if self.residue is not None:
            rx, ry, size, strength = self.residue
            lump = np.clip(1.4 - np.hypot(x / d - rx, y / d - ry) / (size / 2), 0, 1)
            height = height + 0.4 * size * d * np.sqrt(lump)
            emission = emission * (1 + (strength - 1) * lump)
        if self.halo[0] != 0:
            fade = np.exp(-np.maximum(rho - 1, 0) * np.float32(0.5 / self.halo[1])) * np.clip((3.8 - rho) / 2, 0, 1)
            emission = emission * (1 + np.float32(self.halo[0]) * fade)
        return Relief(height.astype(np.float32), cover.astype(np.float32), emission.astype(np.float32))


def draw_crater(rng: np.random.Generator, diameter: float, ranges: Ranges) -> Crater:
    """Draw a crater of this diameter (px, rim crest to rim crest)."""
    depth, rim = uniform(rng, ranges.crater_depth), uniform(rng, ranges.rim_height)
    lip = [(1, mostly_low(rng, ranges.rim_lopsided, 1.5), uniform(rng, (0, 2 * np.pi)))]
    if happens(rng, ranges.petal_chance):
        lip += [
            (int(rng.integers(3, 9)), uniform(rng, ranges.rim_petals) * share, uniform(rng, (0, 2 * np.pi)))
            for share in (0.7, 0.4)
        ]
    if happens(rng, ranges.degraded_chance):
        rim *= uniform(rng, ranges.degraded_rim)
        depth *= uniform(rng, ranges.degraded_depth)
    shift, towards = mostly_low(rng, ranges.off_centre, 1.5), uniform(rng, (0, 2 * np.pi))
    floor = (shift * float(np.cos(towards)), shift * float(np.sin(towards)))
    second = residue = None
    if happens(rng, ranges.overlap_chance):
        where, size = uniform(rng, (0, 2 * np.pi)), uniform(rng, (0.25, 0.5))
        second = (0.5 * float(np.cos(where)), 0.5 * float(np.sin(where)), size)
    if happens(rng, ranges.residue_chance):
        away, where = uniform(rng, (0, 0.18)), uniform(rng, (0, 2 * np.pi))
        residue = (
            away * float(np.cos(where)),
            away * float(np.sin(where)),
            uniform(rng, ranges.residue_size),
            uniform(rng, ranges.residue_yield),
        )
    halo = (0.0, 1.0)
    if happens(rng, ranges.halo_chance):
        halo = (uniform(rng, ranges.halo_contrast), uniform(rng, ranges.halo_width))
    return Crater(
        diameter=diameter,
        outline=draw_outline(
            rng,
            diameter,
            mostly_low(rng, ranges.rim_ragged, 1.5),
            mostly_low(rng, ranges.crater_axis_ratio, 4),
        ),
        depth=depth,
        bowl=uniform(rng, ranges.crater_bowl),
        rim_height=rim,
        rim_width=uniform(rng, ranges.rim_width),
        rim_round=uniform(rng, ranges.rim_round),
        lip=tuple(lip),
        floor=floor,
        second=second,
        residue=residue,
        halo=halo,
    )

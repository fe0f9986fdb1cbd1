"""Outlines of compact features: how far out a point lies, 1 on the outline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crater_ray.simulate.ranges import happens, log_uniform, uniform


@dataclass(frozen=True)
class Outline:
    """A ragged ellipse or a facetted shape.

    Attributes:
        radius: mean radius in px.
        axis_ratio: long over short axis.
        angle: radians, direction of the long axis.
        waves: (k, 2) float, cosine and sine amplitudes (of the radius) of the outline's 3rd, 4th, ... harmonic.
        facets: (n,) float, directions of straight sides in radians; empty for a round outline.
    """

    radius: float
    axis_ratio: float
    angle: float
    waves: np.ndarray
    facets: np.ndarray

    def polar(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distance (1 on the outline) and angle (radians) of points, float32 arrays like `x` and `y` (px)."""
        cos, sin = np.float32(np.cos(self.angle)), np.float32(np.sin(self.angle))
        stretch = np.float32(np.sqrt(self.axis_ratio))
        along, across = (x * cos + y * sin) / stretch, (y * cos - x * sin) * stretch
        phi = np.arctan2(across, along)
        if len(self.facets):
            far = np.max([along * np.float32(np.cos(f)) + across * np.float32(np.sin(f)) for f in self.facets], axis=0)
            far = 0.8 * far + 0.2 * np.hypot(along, across)  # corners are never quite sharp
        else:
            far = np.hypot(along, across)
        bound = np.full_like(far, self.radius)
        for order, (a, b) in enumerate(self.waves, start=3):
            bound += np.float32(self.radius) * (
                np.float32(a) * np.cos(np.float32(order) * phi) + np.float32(b) * np.sin(np.float32(order) * phi)
            )
        return far / bound, phi


def draw_outline(
    rng: np.random.Generator, diameter: float, ragged: float, axis_ratio: float = 1.0, facetted: bool = False
) -> Outline:
    """Draw an outline.

    Args:
        rng: where chance comes from.
        diameter: px.
        ragged: rms deviation from the ellipse, of the radius.
        axis_ratio: long over short axis.
        facetted: with straight sides.
    """
    orders = np.arange(3, 9)
    waves = rng.normal(0, 1, (len(orders), 2)) / (orders[:, None] ** 1.2)
    waves *= ragged / np.sqrt(np.sum(1 / orders**2.4))
    waves = np.clip(waves, -0.12, 0.12)
    facets = np.empty(0)
    if facetted:
        sides = int(rng.integers(4, 8))
        facets = (np.arange(sides) + rng.uniform(-0.25, 0.25, sides)) * 2 * np.pi / sides
        waves = waves[:1] * 0.3
    return Outline(diameter / 2, axis_ratio, uniform(rng, (0, np.pi)), waves, facets)


def draw_axis_ratio(rng: np.random.Generator, most: float) -> float:
    """Mostly near round, sometimes up to `most`, as particles and pits are."""
    return log_uniform(rng, (1.0, most)) if happens(rng, 0.5) else uniform(rng, (1.0, 1.25))

"""Scratches with piled-up edges, their ends, and where two of them cross."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crater_ray.simulate.ranges import Ranges, log_uniform, mostly_low, uniform


@dataclass(frozen=True)
class Scratch:
    """A gently bent groove.

    Attributes:
        x, y: its middle, px.
        angle: radians.
        length, width: px; the width is the half width at 1/e of the depth.
        bend: curvature, px of sagitta at the ends.
        depth: px.
        ridge: height of the piled-up edges, of the depth.
        pile: height of what was pushed up at the far end, of the depth.
        stutter: (order, amplitude, phase), how the depth varies along it.
    """

    x: float
    y: float
    angle: float
    length: float
    width: float
    bend: float
    depth: float
    ridge: float
    pile: float
    stutter: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def ends(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """The two ends (x, y)."""
        dx, dy = np.cos(self.angle) * self.length / 2, np.sin(self.angle) * self.length / 2
        ox, oy = -np.sin(self.angle) * self.bend, np.cos(self.angle) * self.bend
        return (float(self.x - dx + ox), float(self.y - dy + oy)), (float(self.x + dx + ox), float(self.y + dy + oy))

    def engrave(self, height: np.ndarray) -> None:
        """Cut it into a height map, (h, w) float32 px, in place."""
        (x0, y0), (x1, y1) = self.ends()
        margin = 5 * self.width + abs(self.bend) + 2
        h, w = height.shape
        top, bottom = max(0, int(min(y0, y1) - margin)), min(h, int(max(y0, y1) + margin) + 1)
        left, right = max(0, int(min(x0, x1) - margin)), min(w, int(max(x0, x1) + margin) + 1)
        if top >= bottom or left >= right:
            return
        cos, sin = np.float32(np.cos(self.angle)), np.float32(np.sin(self.angle))
        y = np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(self.y)
        x = np.arange(left, right, dtype=np.float32)[None, :] - np.float32(self.x)
        along = (x * cos + y * sin) * np.float32(2 / self.length)  # -1..1 from end to end
        across = y * cos - x * sin - np.float32(self.bend) * along * along
        near = np.nonzero((np.abs(across) < 4 * self.width) & (np.abs(along) < 1 + 6 * self.width / self.length))
        along, t = along[near], across[near] / np.float32(self.width)
        beyond = (np.abs(along) - 1) * np.float32(self.length / 2 / self.width)
        fade = np.exp(-(np.maximum(beyond + 1, 0) ** 2))  # a rounded end, one width long
        groove = -(1 - 2 * self.ridge * t * t) * np.exp(-t * t) * fade
        order, amplitude, phase = self.stutter
        groove = groove * (1 + amplitude * np.sin(order * along + phase + np.sin(2.3 * order * along)))
        pushed = self.pile * np.exp(-(((along - 1) * self.length / 2 / self.width - 0.8) ** 2) - t * t)
        height[near[0] + top, near[1] + left] += (self.depth * (groove + pushed)).astype(np.float32)


def draw_scratch(
    rng: np.random.Generator, shape: tuple[int, int], ranges: Ranges, through: Scratch | None = None
) -> Scratch:
    """Draw a scratch anywhere, or one that crosses the scratch `through` at its middle."""
    length = log_uniform(rng, ranges.scratch_length)
    width = mostly_low(rng, ranges.scratch_width) / 1.5
    x, y, angle = uniform(rng, (0, shape[1])), uniform(rng, (0, shape[0])), uniform(rng, (0, np.pi))
    if through is not None:
        x, y, angle = through.x, through.y, through.angle + uniform(rng, (0.4, np.pi - 0.4))
    return Scratch(
        x,
        y,
        angle,
        max(length, 4 * width),
        width,
        bend=0.0 if through is not None else float(rng.normal(0, 0.04)) * length,
        depth=mostly_low(rng, ranges.scratch_depth, 1.5) * width * 1.5,
        ridge=uniform(rng, (0.0, 0.8)),
        pile=max(0.0, uniform(rng, (-0.6, 1.0))),
        stutter=(uniform(rng, (0.5, 12.0)), uniform(rng, (0.0, 0.7)), uniform(rng, (0, 2 * np.pi))),
    )

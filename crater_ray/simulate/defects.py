"""Compact defects that are mistaken for craters: pits, inclusions, dust, blisters, dents, nicks and stains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crater_ray.simulate.electrons import Relief
from crater_ray.simulate.outline import Outline, draw_axis_ratio, draw_outline
from crater_ray.simulate.ranges import Range, Ranges, happens, log_uniform, uniform


@dataclass(frozen=True)
class Blemish:
    """A compact defect: a profile over a closed outline.

    Attributes:
        kind: pit, inclusion, dust, blister, dent, nick or stain.
        size: diameter in px.
        outline: its border.
        height: px above the foil in the middle, below where negative.
        wall: exponent of the profile; 2 is a dome or bowl, large is a table or a hole with a flat floor.
        blunt: exponent that rounds the border: 1 meets the foil in an edge, which glows; 2 meets it smoothly.
        emission: its yield as a factor on the foil's.
        glow: how much of the edge glow its border has.
        edge: px over which the yield changes at the border.
        ring: relative brightness of the border alone (dried drops).
        trench: px, depth of a gap around it; below zero the height of a ridge.
        trench_side: radians, where gap or ridge is strongest, or None where it is even.
        halo: relative brightness around it, fading over half its radius.
        lumps: (n, 3) float, x, y (of the radius) and relative height of bumps on it.
        grain: (n, 4) float, waves of brightness inside it: radians per px along x and y, phase, amplitude.
    """

    kind: str
    size: float
    outline: Outline
    height: float
    wall: float = 2.0
    blunt: float = 1.0
    emission: float = 1.0
    edge: float = 1.0
    ring: float = 0.0
    trench: float = 0.0
    trench_side: float | None = None
    glow: float = 1.0
    halo: float = 0.0
    lumps: tuple[tuple[float, float, float], ...] = ()
    grain: tuple[tuple[float, float, float, float], ...] = ()

    @property
    def reach(self) -> float:
        """Distance in px from the centre beyond which it changes nothing."""
        long = self.size / 2 * np.sqrt(self.outline.axis_ratio) * (1.35 if len(self.outline.facets) else 1.2)
        return float(long * (2.4 if self.halo else 1.3) + (4.0 if self.glow != 1 else 2.5))

    def relief(self, x: np.ndarray, y: np.ndarray) -> Relief:
        """Its shape at the offsets `x`, `y` (px from its centre, float32)."""
        rho, phi = self.outline.polar(x, y)
        inner = np.minimum(rho, 1)
        profile = (1 - inner ** np.float32(self.wall)) ** np.float32(self.blunt)
        height = np.float32(self.height) * profile
        radius = np.float32(self.size / 2)
        for lx, ly, strength in self.lumps:
            bump = np.exp(-((x / radius - lx) ** 2 + (y / radius - ly) ** 2) * 8)
            height = height + np.float32(strength * self.height) * bump * profile
        share = np.clip((1 - rho) * (radius / np.float32(self.edge)) + 0.5, 0, 1)
        if self.trench:
            gap = np.float32(self.trench) * np.exp(-(((rho - 1.05) * radius / np.float32(0.9 + 0.03 * radius)) ** 2))
            if self.trench_side is not None:
                gap *= np.maximum(np.cos(phi - np.float32(self.trench_side)), 0)
            height = height - gap
        inside = np.full_like(rho, self.emission)
        for kx, ky, phase, strength in self.grain:
            inside += np.float32(strength) * np.cos(np.float32(kx) * x + np.float32(ky) * y + np.float32(phase))
        emission = 1 + (np.maximum(inside, np.float32(0.15)) - 1) * share
        if self.ring:
            emission = emission + np.float32(self.ring) * np.exp(-(((rho - 0.95) * radius / max(0.7, self.edge)) ** 2))
        if self.halo:
            fade = np.exp(-np.maximum(rho - 1, 0) * 2) * (rho >= 1) * np.clip(2.2 - rho, 0, 1)
            emission = emission * (1 + np.float32(self.halo) * fade)
        cover = share * np.float32(0.0 if self.kind in ("stain", "dent", "blister") else 0.85)
        glow: np.ndarray | float = 1.0
        if self.glow != 1:
            glow = 1 - np.float32(1 - self.glow) * np.clip((3.5 - (rho - 1) * radius) / np.float32(1.5), 0, 1)
        return Relief(height.astype(np.float32), cover.astype(np.float32), emission.astype(np.float32), glow)


def _grain(rng: np.random.Generator, size: float, strength: float) -> tuple[tuple[float, float, float, float], ...]:
    """Waves of 2.5 px to the size of the thing itself in every direction: no real particle is evenly grey."""
    waves = []
    for _ in range(int(rng.integers(3, 7))):
        k = 2 * np.pi / log_uniform(rng, (2.5, max(3.0, size)))
        angle = uniform(rng, (0, 2 * np.pi))
        phase, amplitude = uniform(rng, (0, 2 * np.pi)), strength * uniform(rng, (0.3, 1.0))
        waves.append((float(k * np.cos(angle)), float(k * np.sin(angle)), phase, amplitude))
    return tuple(waves)


def _size(rng: np.random.Generator, bounds: Range, magnification: float) -> float:
    return min(log_uniform(rng, bounds) * float(np.sqrt(magnification)), bounds[1])


def draw_pit(rng: np.random.Generator, ranges: Ranges, magnification: float) -> Blemish:
    """A hole without a rim: an etch pit, or where an inclusion fell out."""
    size = _size(rng, ranges.pit_size, magnification)
    outline = draw_outline(rng, size, uniform(rng, (0.02, 0.14)), draw_axis_ratio(rng, 2.8), happens(rng, 0.3))
    depth = uniform(rng, ranges.pit_depth) * size
    emission = uniform(rng, (0.7, 1.1))
    return Blemish(
        "pit", size, outline, -depth, uniform(rng, (2, 9)), uniform(rng, (1.0, 2.4)), emission, size / 4,
        glow=uniform(rng, ranges.pit_glow),
    )  # fmt: skip


def draw_inclusion(rng: np.random.Generator, ranges: Ranges, magnification: float) -> Blemish:
    """A grain of another phase in the foil, brighter or darker, sometimes loose in its bed."""
    size = _size(rng, ranges.inclusion_size, magnification)
    outline = draw_outline(rng, size, uniform(rng, (0.0, 0.15)), draw_axis_ratio(rng, 2.5), happens(rng, 0.45))
    emission = uniform(rng, ranges.inclusion_bright if happens(rng, 0.6) else ranges.inclusion_dark)
    height = uniform(rng, (-0.06, 0.18)) * size
    trench = uniform(rng, (0.3, 1.5)) if happens(rng, 0.3) else 0.0
    return Blemish(
        "inclusion", size, outline, height, uniform(rng, (2, 10)), 2.0 if happens(rng, 0.3) else 1.0, emission,
        uniform(rng, (0.6, 2.0)), trench=trench,
        grain=_grain(rng, size, uniform(rng, (0.0, 0.12))),
    )  # fmt: skip


def draw_dust(rng: np.random.Generator, ranges: Ranges, magnification: float) -> Blemish:
    """A particle lying on the foil: steep, lumpy, often charging, often with a dark surrounding."""
    size = _size(rng, ranges.dust_size, magnification)
    outline = draw_outline(rng, size, uniform(rng, (0.03, 0.14)), draw_axis_ratio(rng, 2.2), happens(rng, 0.4))
    lumps = tuple(
        (float(rng.uniform(-0.7, 0.7)), float(rng.uniform(-0.7, 0.7)), float(rng.uniform(-0.7, 0.9)))
        for _ in range(int(rng.integers(0, 6)))
    )
    halo = uniform(rng, (-0.4, 0.1)) if happens(rng, 0.6) else 0.0
    return Blemish(
        "dust", size, outline, uniform(rng, (0.15, 0.5)) * size, uniform(rng, (1.8, 4)), 1.0,
        uniform(rng, ranges.dust_yield), uniform(rng, (0.7, 2.0)), halo=halo, lumps=lumps,
        grain=_grain(rng, size, uniform(rng, (0.03, 0.22))),
    )  # fmt: skip


def draw_blister(rng: np.random.Generator, ranges: Ranges, magnification: float) -> Blemish:
    """A smooth dome over a gas bubble, sometimes with a sunken top."""
    size = _size(rng, ranges.blister_size, magnification)
    outline = draw_outline(rng, size, uniform(rng, (0.0, 0.05)), draw_axis_ratio(rng, 1.5))
    sunken = ((0.0, 0.0, -uniform(rng, (0.5, 1.3))),) if happens(rng, 0.12) else ()
    height = uniform(rng, ranges.blister_height) * size
    return Blemish("blister", size, outline, height, blunt=2.0 if happens(rng, 0.7) else 1.0, lumps=sunken)


def draw_dent(rng: np.random.Generator, ranges: Ranges, magnification: float) -> Blemish:
    """A shallow hollow pressed in by a roll or a tool, without a rim."""
    size = _size(rng, ranges.dent_size, magnification)
    outline = draw_outline(rng, size, uniform(rng, (0.0, 0.1)), draw_axis_ratio(rng, 3.0))
    return Blemish("dent", size, outline, -uniform(rng, ranges.dent_depth) * size, blunt=2.0)


def draw_stain(rng: np.random.Generator, ranges: Ranges, magnification: float) -> Blemish:
    """Contamination without relief, sometimes with the ring of a dried drop."""
    size = _size(rng, ranges.stain_size, magnification)
    outline = draw_outline(rng, size, uniform(rng, (0.0, 0.14)), draw_axis_ratio(rng, 2.0))
    contrast = uniform(rng, ranges.stain_contrast)
    ring = uniform(rng, ranges.stain_ring) if happens(rng, 0.3) else 0.0
    edge = uniform(rng, (1.5, max(2.0, size / 2)))
    grain = _grain(rng, size, uniform(rng, (0.0, 0.4)) * abs(contrast))
    return Blemish("stain", size, outline, 0.0, emission=1 + contrast, edge=edge, ring=ring, grain=grain)


def draw_nick(rng: np.random.Generator, ranges: Ranges, magnification: float) -> Blemish:
    """An angular dent from handling, longer than wide, with metal pushed up at one side."""
    size = _size(rng, ranges.nick_size, magnification)
    outline = draw_outline(rng, size, 0.05, uniform(rng, (1.7, 4.0)), True)
    depth = uniform(rng, ranges.nick_depth) * size
    ridge, side = uniform(rng, (0.0, 0.5)) * depth, uniform(rng, (0, 2 * np.pi))
    return Blemish("nick", size, outline, -depth, uniform(rng, (1.2, 3)), trench=-ridge, trench_side=side)

"""Test images that share nothing with training: craters, foil and defects drawn by formulas of their own.

Nothing here uses the simulator, its craters or the merging of seed craters: a network that only knows their
peculiarities fails on these images. They are never trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy import ndimage

from training.data_sets.backgrounds import Photograph, cut
from training.data_sets.sample import JPEG_QUALITY, VISIBILITY, Sample, develop, table_row

DIAMETERS = (3.0, 40.0)
STRENGTH = (0.15, 1.2)
"""Change of brightness of a crater, relative to its surroundings, log-uniform."""

Drawing = Callable[[np.ndarray, np.ndarray], Any]
"""Relative brightness as a function of offsets u, v from the centre, in radii."""

SUPERSAMPLING = 3
"""Structures are drawn this much finer and then averaged, so that edges fall between pixels as they do in nature."""


def compose_foreign(
    rng: np.random.Generator, photographs: Sequence[Photograph], shape: tuple[int, int], name: str, *, crater: bool
) -> Sample:
    """Make one test image, on a photograph or on foil made of filtered noise and lines; else as `compose`."""
    if photographs and rng.random() < 0.5:
        photograph = photographs[int(rng.integers(len(photographs)))]
        canvas, source, background = cut(rng, photograph, shape, plain=True), "foreign-real", photograph.name
    else:
        canvas, source, background = draw_foil(rng, shape), "foreign-foil", name
    look = draw_look(rng)
    defects = [draw_defect(rng, canvas, look) for _ in range(int(rng.poisson(2.0)))]
    row = table_row(0, source=source, background=background, quality=int(rng.integers(*JPEG_QUALITY)))
    row["defect"] = defects[0] if defects else ("photograph" if source == "foreign-real" else "")
    noise = rng.normal(0.0, float(rng.uniform(1.0, 9.0)), shape)
    return plant(rng, canvas, noise, look, row) if crater else develop(canvas + noise, row)


@dataclass(frozen=True)
class Look:
    """How one image was taken: blur of the beam in px, and the bright side in radians."""

    blur: float
    side: float


def draw_look(rng: np.random.Generator) -> Look:
    """In focus in four of five images."""
    blur = float(rng.uniform(0.4, 1.2)) if rng.random() < 0.8 else float(rng.uniform(1.2, 2.5))
    return Look(blur, float(rng.uniform(0, 2 * np.pi)))


def plant(rng: np.random.Generator, canvas: np.ndarray, noise: np.ndarray, look: Look, row: dict[str, Any]) -> Sample:
    """Draw one crater into a canvas (h, w) float32, fainter or clearer, but so clear that it can be seen."""
    from crater_ray.simulate.frame import contrast_to_noise

    diameter = float(np.exp(rng.uniform(*np.log(DIAMETERS))))
    margin = diameter * 0.8 + 4.0
    x, y = (float(rng.uniform(margin, length - 1 - margin)) for length in (canvas.shape[1], canvas.shape[0]))
    strength = float(np.exp(rng.uniform(*np.log(STRENGTH))))
    for _ in range(8):
        image = canvas.copy()
        put_crater(rng.spawn(1)[0], image, (x, y, diameter), strength, look)
        finished = develop(image + noise, row)
        ratio = contrast_to_noise(finished.pixels, x, y, diameter)
        if ratio * diameter >= VISIBILITY:
            break
        strength *= 1.4
    truth = {"label": 1, "defect": "", "diameter_px": diameter, "x": x, "y": y, "contrast_to_noise": ratio}
    return Sample(finished.pixels, row | truth)


def put_crater(
    rng: np.random.Generator, canvas: np.ndarray, place: tuple[float, float, float], strength: float, look: Look
) -> None:
    """Multiply a crater into a canvas, in place; `place` is x, y and diameter in px."""
    _multiply(canvas, *place, partial(_crater, strength=strength, side=look.side, rng=rng), look.blur)


def _crater(u: np.ndarray, v: np.ndarray, strength: float, side: float, rng: np.random.Generator) -> np.ndarray:
    """Relative brightness of a crater; `u`, `v` in radii of its rim crest. A ring on a bowl, brighter on one side.

    Floors go from nearly black to as bright as their surroundings, and from bowls to flat; rims from sharp to broad,
    from bright to barely there, from full rings to crescents.
    """
    squeeze, turn = float(rng.uniform(1.0, 1.3)), float(rng.uniform(0, np.pi))
    along, across = u * np.cos(turn) + v * np.sin(turn), -u * np.sin(turn) + v * np.cos(turn)
    radius = np.hypot(along * np.sqrt(squeeze), across / np.sqrt(squeeze))
    angle = np.arctan2(v, u)
    lobes = sum(float(rng.normal(0, 0.03)) * np.cos(k * angle + float(rng.uniform(0, 6.3))) for k in (2, 3, 4, 5))
    radius = radius * (1.0 + lobes)
    ring = np.exp(-(((radius - 1.0) / float(rng.uniform(0.12, 0.35))) ** 2))
    bowl = 1.0 / (1.0 + np.exp(np.clip((radius - 0.85) / float(rng.uniform(0.04, 0.15)), -40, 40)))
    crescent = float(rng.uniform(0.6, 1.2)) if rng.random() < 0.35 else float(rng.uniform(0.0, 0.6))
    lit = np.clip(1.0 + crescent * np.cos(angle - side), 0.0, None)
    floor = 0.0 if rng.random() < 0.15 else float(rng.uniform(0.05, 0.8))
    floor = floor * (1.0 - float(rng.uniform(0.0, 0.5)) * np.clip(radius, 0, 1) ** 2)
    bright = float(rng.uniform(0.3, 1.0))
    return np.asarray(strength * (bright * ring * lit - bowl * floor * np.clip(2.0 - lit, 0.3, 1.7)))


def draw_defect(rng: np.random.Generator, canvas: np.ndarray, look: Look) -> str:
    """Draw something that is no crater, in place; gives its kind."""
    blur, side = look.blur, look.side
    kind = str(rng.choice(("hole", "bead", "blister", "line", "patch")))
    size = float(np.exp(rng.uniform(np.log(3.0), np.log(45.0))))
    x, y = float(rng.uniform(0, canvas.shape[1])), float(rng.uniform(0, canvas.shape[0]))
    strength, softness = float(rng.uniform(0.15, 0.7)), float(rng.uniform(0.04, 0.2))
    turn, thin = float(rng.uniform(0, np.pi)), float(rng.uniform(0.04, 0.15))

    def shape(u: np.ndarray, v: np.ndarray) -> Any:
        radius = np.hypot(u, v)
        disc = 1.0 / (1.0 + np.exp(np.clip((radius - 1.0) / softness, -40, 40)))
        if kind == "hole":
            return -strength * disc
        if kind == "bead":
            return strength * 1.4 * np.sqrt(np.clip(1.0 - radius**2, 0.0, 1.0))
        if kind == "blister":
            return strength * (u * np.cos(side) + v * np.sin(side)) * np.exp(-((radius / 0.7) ** 2)) * 1.5
        across = -u * np.sin(turn) + v * np.cos(turn)
        if kind == "line":
            return strength * np.exp(-((across / thin) ** 2)) * disc
        return strength * 0.6 * disc * np.sign(np.sin(turn * 7.0)) * np.clip(across + 1.0, 0.0, 1.0)

    _multiply(canvas, x, y, size, shape, blur)
    return kind


def _multiply(canvas: np.ndarray, x: float, y: float, diameter: float, shape: Drawing, blur: float) -> None:
    """Multiply the image around x, y by 1 + shape(u, v), blurred, with u, v in radii; in place."""
    reach = int(np.ceil(diameter * 1.1 + 4 * blur + 2))
    column, row = round(x), round(y)
    fine = (np.arange((2 * reach + 1) * SUPERSAMPLING) + 0.5) / SUPERSAMPLING - 0.5 - reach
    u, v = np.meshgrid((fine + column - x) * 2.0 / diameter, (fine + row - y) * 2.0 / diameter)
    drawn = np.asarray(shape(u, v))
    side = 2 * reach + 1
    coarse = drawn.reshape(side, SUPERSAMPLING, side, SUPERSAMPLING).mean(axis=(1, 3))
    coarse = ndimage.gaussian_filter(coarse, blur, mode="constant")
    top, left = max(row - reach, 0), max(column - reach, 0)
    window = canvas[top : max(row + reach + 1, 0), left : max(column + reach + 1, 0)]
    part = coarse[top - row + reach :, left - column + reach :][: window.shape[0], : window.shape[1]]
    window *= np.clip(1.0 + part, 0.05, 4.0)


def draw_foil(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Foil of two filtered noises, streaked along a rolling direction, with a gradient and a few straight lines."""
    rows, columns = np.indices(shape, dtype=np.float32)
    turn = float(rng.uniform(0, np.pi))
    streaked = ndimage.gaussian_filter(rng.normal(0, 1, shape), (0.8, float(rng.uniform(10.0, 40.0))), mode="wrap")
    streaked = ndimage.rotate(streaked, float(np.degrees(turn)), reshape=False, order=1, mode="grid-wrap")
    mottled = ndimage.gaussian_filter(rng.normal(0, 1, shape), float(rng.uniform(1.0, 14.0)), mode="wrap")
    foil = np.full(shape, float(rng.uniform(60.0, 170.0)), np.float32)
    foil += float(rng.uniform(0.0, 9.0)) * streaked / max(float(streaked.std()), 1e-6)
    foil += float(rng.uniform(0.0, 9.0)) * mottled / max(float(mottled.std()), 1e-6)
    foil += float(rng.normal(0, 10)) * (rows / shape[0] - 0.5) + float(rng.normal(0, 10)) * (columns / shape[1] - 0.5)
    for _ in range(int(rng.poisson(3.0))):
        offset = np.cos(turn) * (rows - rng.uniform(0, shape[0])) - np.sin(turn) * (columns - rng.uniform(0, shape[1]))
        foil += float(rng.normal(0, 15)) * np.exp(-((offset / float(rng.uniform(0.7, 2.5))) ** 2))
    return foil

"""The bare foil: its height map and how strongly each place emits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crater_ray.simulate.fields import Shape, clouds, enlarged, frequencies, spectral
from crater_ray.simulate.ranges import Ranges, count, happens, log_uniform, mostly_low, uniform


@dataclass
class Foil:
    """A piece of foil on which features are placed.

    Attributes:
        height: (h, w) float32, px.
        emission: (h, w) float32, secondary-electron yield of the material at normal incidence, plain foil 1.
        rolling: radians, the direction in which the foil was rolled.
        magnification: the scale of its texture.
    """

    height: np.ndarray
    emission: np.ndarray
    rolling: float
    magnification: float


def bare_foil(rng: np.random.Generator, shape: Shape, ranges: Ranges) -> Foil:
    """Draw a piece of rolled foil without features."""
    magnification = log_uniform(rng, ranges.magnification)
    # Foils are mounted square to the stage, so rolling lines run along the axes more often than not.
    rolling = uniform(rng, (0, np.pi)) if happens(rng, 0.6) else float(rng.integers(2)) * np.pi / 2
    rolling += uniform(rng, (-0.12, 0.12))
    foil = Foil(
        _texture(rng, shape, ranges, rolling, magnification), np.ones(shape, np.float32), rolling, magnification
    )
    _grooves(rng, foil, ranges)
    if happens(rng, ranges.step_chance):
        _steps(rng, foil, ranges)
    if happens(rng, ranges.grain_chance):
        _grains(rng, foil, ranges)
    if happens(rng, ranges.island_chance):
        _islands(rng, foil, ranges)
    _unevenness(rng, foil, ranges)
    return foil


def _texture(rng: np.random.Generator, shape: Shape, ranges: Ranges, rolling: float, scale: float) -> np.ndarray:
    fy, fx = frequencies(shape)
    cos, sin = np.float32(np.cos(rolling)), np.float32(np.sin(rolling))
    square = fx**2 + fy**2
    along, across = fx * cos + fy * sin, fy * cos - fx * sin
    knee = 1.0 / (log_uniform(rng, ranges.roughness_length) * scale)
    exponent = np.float32(-uniform(rng, ranges.roughness_exponent) / 2)
    rough = (square + np.float32(knee**2)) ** exponent
    stretch = np.float32(uniform(rng, ranges.rolling_stretch))
    knee = 1.0 / (uniform(rng, (6, 40)) * scale)
    rolled = ((along * stretch) ** 2 + across**2 + np.float32(knee**2)) ** np.float32(-uniform(rng, (1.6, 2.6)) / 2)
    # Both textures are Gaussian, so their sum is one field whose power spectra add; slopes fix the strengths.
    fine = np.exp(square * np.float32(-2 * np.pi**2 * 0.35**2))
    power = np.zeros_like(square)
    slope = 0.0
    for amplitude, bounds in ((rough, ranges.roughness_slope), (rolled, ranges.rolling_slope)):
        wanted = log_uniform(rng, bounds)
        have = np.sqrt(np.sum((amplitude * fine) ** 2 * square))
        power += (amplitude * np.float32(wanted / have)) ** 2
        slope = float(np.hypot(slope, wanted))
    height = spectral(rng, np.sqrt(power) * fine, shape)
    if happens(rng, ranges.creased_chance):
        height = np.abs(height) * np.float32(-1 if happens(rng, 0.7) else 1)
    dy, dx = np.diff(height, axis=0), np.diff(height, axis=1)
    return height * np.float32(slope / (np.sqrt(np.mean(dy**2) + np.mean(dx**2)) + 1e-9))


def _grooves(rng: np.random.Generator, foil: Foil, ranges: Ranges) -> None:
    h, w = foil.height.shape
    number = count(rng, ranges.groove_count, np.hypot(h, w) / 640)
    if number == 0:
        return
    fineness, reach = 4, int(np.hypot(h, w)) + 24
    profile = np.zeros((reach + 1) * fineness, np.float32)
    for _ in range(number):
        centre = rng.uniform(0, reach)
        width = mostly_low(rng, ranges.groove_width) * np.sqrt(foil.magnification)
        depth = log_uniform(rng, ranges.groove_depth) * width / 2
        first, last = max(0, int((centre - 4 * width) * fineness)), int((centre + 4 * width) * fineness)
        t = (np.arange(first, min(last, len(profile))) / fineness - centre) / width
        ridge = rng.uniform(0, 0.7)
        profile[first : first + len(t)] -= depth * (1 - 2 * ridge * t**2) * np.exp(-(t**2))
    y, x = np.arange(h, dtype=np.float32)[:, None] - h / 2, np.arange(w, dtype=np.float32)[None, :] - w / 2
    place: np.ndarray = (
        np.float32(np.cos(foil.rolling)) * y - np.float32(np.sin(foil.rolling)) * x + np.float32(reach / 2)
    )
    wander = uniform(rng, ranges.groove_wander)
    place = place + np.float32(wander) * clouds(rng, (h, w), 150 * foil.magnification)
    place = np.clip(place, 0, reach - 1) * np.float32(fineness)
    cell = place.astype(np.intp)
    height = profile[cell] + (place - cell.astype(np.float32)) * np.diff(profile)[cell]
    if happens(rng, 0.5):  # rolling lines that fade and return
        height = height * np.clip(0.6 + 0.8 * clouds(rng, (h, w), 60 * foil.magnification), 0, 1.5)
    foil.height += height


def _steps(rng: np.random.Generator, foil: Foil, ranges: Ranges) -> None:
    shape = foil.height.shape
    field = clouds(rng, (shape[0], shape[1]), uniform(rng, (100, 400)) * foil.magnification)
    for length, wobble in ((40, 0.05), (13, 0.012), (6, 0.004)):
        field += np.float32(wobble) * clouds(rng, (shape[0], shape[1]), length * foil.magnification)
    edge = np.tanh((field - np.float32(rng.normal(0, 0.6))) * np.float32(uniform(rng, (15, 80))))
    height = uniform(rng, ranges.step_height)
    if happens(rng, 0.6):
        foil.height += np.float32(height) * edge
    else:  # a fold that comes and goes
        strength = np.clip(0.3 + 0.7 * clouds(rng, (shape[0], shape[1]), 70 * foil.magnification), 0, 1.3)
        foil.height += np.float32(height) * strength * (1 - edge**2)


def _grains(rng: np.random.Generator, foil: Foil, ranges: Ranges) -> None:
    h, w = foil.height.shape
    length = log_uniform(rng, ranges.grain_length) * foil.magnification
    half = ((h + 1) // 2, (w + 1) // 2)  # half the resolution is enough, the borders are softened anyway
    y: np.ndarray = np.arange(half[0], dtype=np.float32)[:, None] * np.float32(2 / length)
    x: np.ndarray = np.arange(half[1], dtype=np.float32)[None, :] * np.float32(2 / length)
    wobble = np.float32(uniform(rng, (0.0, 0.12)))
    y = y + wobble * clouds(rng, half, 12) + 1
    x = x + wobble * clouds(rng, half, 12) + 1
    rows, columns = int(h / length) + 5, int(w / length) + 5
    seeds = rng.random((2, rows, columns), np.float32)
    grey = rng.standard_normal(rows * columns, np.float32)
    row, column = np.clip(y.astype(np.intp), 0, rows - 1), np.clip(x.astype(np.intp), 0, columns - 1)
    nearest = np.full(half, np.inf, np.float32)
    second, owner = nearest.copy(), np.zeros(half, np.intp)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            r, c = np.clip(row + dy, 0, rows - 1), np.clip(column + dx, 0, columns - 1)
            cell = r * columns + c
            far = np.hypot(r + seeds[0].ravel()[cell] - y, c + seeds[1].ravel()[cell] - x)
            closer = far < nearest
            second = np.where(closer, nearest, np.minimum(second, far))
            owner = np.where(closer, cell, owner)
            nearest = np.where(closer, far, nearest)
    contrast = log_uniform(rng, ranges.grain_contrast)
    foil.emission *= np.clip(1 + contrast * enlarged(grey[owner], 2)[:h, :w], 0.4, 1.8)
    border = np.exp(-(((second - nearest) * np.float32(length / 2.5)) ** 2))
    foil.height -= np.float32(uniform(rng, ranges.grain_boundary_depth)) * enlarged(border, 2)[:h, :w]
    if happens(rng, ranges.striation_chance):
        _striations(rng, foil, ranges, np.repeat(np.repeat(owner, 2, 0), 2, 1)[:h, :w], grey)


def _striations(rng: np.random.Generator, foil: Foil, ranges: Ranges, owner: np.ndarray, grey: np.ndarray) -> None:
    h, w = foil.height.shape
    length = max(ranges.striation_length[0], uniform(rng, ranges.striation_length) * foil.magnification)
    angle = rng.uniform(0, np.pi, len(grey))
    along_x = (np.cos(angle) * 2 * np.pi / length).astype(np.float32)[owner]
    along_y = (np.sin(angle) * 2 * np.pi / length).astype(np.float32)[owner]
    y, x = np.arange(h, dtype=np.float32)[:, None], np.arange(w, dtype=np.float32)[None, :]
    stripes = np.sin(x * along_x + y * along_y + np.float32(1.5) * clouds(rng, (h, w), 40))
    foil.height += stripes * (np.abs(grey) * np.float32(uniform(rng, ranges.striation_height)))[owner]


def _islands(rng: np.random.Generator, foil: Foil, ranges: Ranges) -> None:
    shape = (foil.height.shape[0], foil.height.shape[1])
    length = log_uniform(rng, ranges.island_length) * foil.magnification
    field = clouds(rng, shape, length) + np.float32(0.35) * clouds(rng, shape, max(4.0, length / 5))
    sharpness = np.float32(uniform(rng, (6, 40)))
    share = np.clip((field - np.float32(uniform(rng, (0.6, 2.2)))) * sharpness, 0, 1)
    foil.emission *= 1 + np.float32(uniform(rng, ranges.island_contrast)) * share
    foil.height += np.float32(uniform(rng, (-1.0, 1.5))) * share


def _unevenness(rng: np.random.Generator, foil: Foil, ranges: Ranges) -> None:
    h, w = foil.height.shape
    strength, angle = mostly_low(rng, ranges.illumination), uniform(rng, (0, 2 * np.pi))
    y, x = np.linspace(-0.5, 0.5, h, dtype=np.float32)[:, None], np.linspace(-0.5, 0.5, w, dtype=np.float32)[None, :]
    foil.emission *= 1 + np.float32(strength) * (np.float32(np.cos(angle)) * x + np.float32(np.sin(angle)) * y)
    mottling = mostly_low(rng, ranges.mottling)
    cloudy = clouds(rng, (h, w), log_uniform(rng, (12, 140)) * foil.magnification)
    foil.emission *= np.clip(1 + np.float32(mottling) * cloudy, 0.5, 1.6)
    if happens(rng, ranges.rectangle_chance):
        top, left = int(rng.integers(-h // 4, h)), int(rng.integers(-w // 4, w))
        bottom, right = top + int(rng.integers(h // 6, h)), left + int(rng.integers(w // 6, w))
        foil.emission[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] *= np.float32(
            1 + uniform(rng, ranges.rectangle_contrast)
        )

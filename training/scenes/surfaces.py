"""Surfaces: what craters lie on. Photographs and simulated foil cut, turned, scaled and re-toned, or drawn noise."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from training.scenes.grains import draw_grains


def draw_surface(
    rng: np.random.Generator,
    pictures: Sequence[np.ndarray],
    size: int,
    drawn_share: float,
    grain_share: float = 0.0,
) -> np.ndarray:
    """One surface, (size, size) float32 in grey levels, without camera noise of its own but what its picture has.

    Args:
        rng: where chance comes from.
        pictures: uint8 (h, w), each at least 96 px both ways, without craters.
        size: of its sides, px.
        drawn_share: how often it is drawn instead of taken from a picture.
        grain_share: of the drawn ones, how many are packed grains.
    """
    if not pictures or rng.random() < drawn_share:
        surface = _toned_grains(rng, size) if rng.random() < grain_share else _drawn(rng, size)
    else:
        surface = _tone(rng, _cut(rng, pictures, size))
        if rng.random() < 0.15:  # two surfaces in one
            other = _tone(rng, _cut(rng, pictures, size)) if rng.random() < 0.5 else _drawn(rng, size)
            share = np.float32(rng.uniform(0.2, 0.8))
            surface = surface * share + other * (1 - share)
    return np.asarray(np.clip(surface, 2.0, 250.0))


def _cut(rng: np.random.Generator, pictures: Sequence[np.ndarray], size: int) -> np.ndarray:
    picture = pictures[int(rng.integers(len(pictures)))]
    height, width = picture.shape
    zoom = float(np.exp(rng.uniform(np.log(0.5), np.log(2.5)))) if rng.random() < 0.7 else 1.0
    zoom = max(zoom, size / min(height, width) / 1.6)
    turn = rng.uniform(0, 2 * np.pi) if rng.random() < 0.5 else rng.integers(4) * np.pi / 2
    stretch = float(np.exp(rng.normal(0, 0.08)))
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ np.diag(
        [zoom * stretch * rng.choice((-1, 1)), zoom / stretch]
    )
    slack = np.maximum(np.array([width, height]) - size / zoom, 0) / 2
    centre = np.array([width / 2, height / 2]) + rng.uniform(-1, 1, 2) * slack
    shift = np.array([size / 2, size / 2]) - matrix @ centre
    source = picture.astype(np.float32)
    if zoom < 0.8:
        source = cv2.GaussianBlur(source, (0, 0), 0.45 / zoom)
    flags = cv2.INTER_CUBIC if zoom > 1.2 else cv2.INTER_LINEAR
    return np.asarray(
        cv2.warpAffine(
            source, np.column_stack([matrix, shift]), (size, size), flags=flags, borderMode=cv2.BORDER_REFLECT
        )
    )


def _tone(rng: np.random.Generator, surface: np.ndarray) -> np.ndarray:
    """Other contrast, brightness and gamma, as another operator would have set them; at times the negative."""
    mean, spread = float(surface.mean()), max(float(surface.std()), 2.0)
    contrast = np.exp(rng.uniform(np.log(0.3), np.log(1.5)))
    if rng.random() < 0.3:  # as flat as polished foil
        contrast = min(contrast, np.exp(rng.uniform(np.log(2.0), np.log(14.0))) / spread)
    if rng.random() < 0.1:
        contrast = -contrast
    toned = (surface - mean) * contrast + rng.uniform(50, 180)
    if rng.random() < 0.3:
        toned = 255 * np.clip(toned / 255, 0, 1) ** rng.uniform(0.6, 1.6)
    return np.asarray(_shaded(rng, toned), np.float32)


def _shaded(rng: np.random.Generator, surface: np.ndarray) -> np.ndarray:
    if rng.random() < 0.5:
        return surface
    size = surface.shape[0]
    ramp = np.linspace(-0.5, 0.5, size, dtype=np.float32)
    return np.asarray(surface + ramp[None, :] * rng.normal(0, 14) + ramp[:, None] * rng.normal(0, 14), np.float32)


def _drawn(rng: np.random.Generator, size: int) -> np.ndarray:
    """Smooth noise of several scales, streaks along a rolling direction, lines, grains with steps between them."""
    surface = np.full((size, size), rng.uniform(50, 180), np.float32)
    rough = 0.0 if rng.random() < 0.15 else np.exp(rng.uniform(np.log(0.8), np.log(14.0)))
    for scale in (2, 4, 8, 16, 40):
        if rng.random() < 0.55:
            side = size // scale + 3
            noise = cv2.resize(
                rng.standard_normal((side, side), np.float32), (size, size), interpolation=cv2.INTER_CUBIC
            )
            surface += np.float32(rough * rng.uniform(0.1, 1.0)) * noise
    if rng.random() < 0.5:
        surface += _streaks(rng, size) * np.float32(np.exp(rng.uniform(np.log(1.0), np.log(14.0))))
    if rng.random() < 0.3:
        surface += _grains(rng, size) * np.float32(np.exp(rng.uniform(np.log(3.0), np.log(30.0))))
    for _ in range(int(rng.poisson(1.5))):
        _line(rng, surface)
    return _shaded(rng, surface)


def _toned_grains(rng: np.random.Generator, size: int) -> np.ndarray:
    grains = draw_grains(rng, size)
    return _tone(rng, grains) if rng.random() < 0.6 else _shaded(rng, grains)


def _streaks(rng: np.random.Generator, size: int) -> np.ndarray:
    large = int(size * 1.5)
    fine, long = rng.uniform(1, 5), rng.uniform(15, 150)
    noise = rng.standard_normal((int(large / fine) + 2, int(large / long) + 2), np.float32)
    noise = cv2.resize(noise, (large, large), interpolation=cv2.INTER_CUBIC)
    matrix = cv2.getRotationMatrix2D((large / 2, large / 2), rng.uniform(0, 180), 1)
    off = (large - size) // 2
    return np.asarray(cv2.warpAffine(noise, matrix, (large, large), borderMode=cv2.BORDER_REFLECT))[
        off : off + size, off : off + size
    ]


def _grains(rng: np.random.Generator, size: int) -> np.ndarray:
    """Areas of one brightness each with sharp borders, as of crystal grains: nearest of a few random points."""
    count = int(rng.integers(3, 14))
    small = 64
    points, levels = rng.uniform(0, small, (count, 2)), rng.uniform(-1, 1, count)
    grid = np.arange(small, dtype=np.float32)
    far = (grid[None, :, None] - points[:, 0]) ** 2 + (grid[:, None, None] - points[:, 1]) ** 2
    areas = levels[far.argmin(axis=2)].astype(np.float32)
    return np.asarray(cv2.resize(areas, (size, size), interpolation=cv2.INTER_LINEAR))


def _line(rng: np.random.Generator, surface: np.ndarray) -> None:
    """A scratch across, in place: dark, bright, or dark with bright borders."""
    size = surface.shape[0]
    ends = rng.uniform(-0.2 * size, 1.2 * size, (2, 2))
    mask = np.zeros_like(surface)
    width = int(rng.integers(1, 4))
    first, last = (tuple(int(8 * value) for value in end) for end in ends)
    cv2.line(mask, first, last, 1.0, width, cv2.LINE_AA, 3)
    strength = rng.normal(0, 25)
    if rng.random() < 0.5:
        wide = cv2.GaussianBlur(mask, (0, 0), width + 0.5)
        surface += np.float32(strength) * (mask - np.float32(rng.uniform(0, 2.5)) * wide)
    else:
        surface += np.float32(strength) * cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.4, 2))

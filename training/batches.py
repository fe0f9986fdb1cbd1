"""Batches for training: crops in which the crater is well seen, flipped, turned, with another gamma, in any order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from training.dataset import DataSet


@dataclass(frozen=True)
class Batch:
    """What one training step sees.

    Attributes:
        images: uint8 (n, h, w, 1).
        labels: float32 (n, 1).
        x, y, diameter: the crater in the coordinates of `images`, (n,), NaN without one.
    """

    images: np.ndarray
    labels: np.ndarray
    x: np.ndarray
    y: np.ndarray
    diameter: np.ndarray


def epoch(
    data: DataSet,
    rng: np.random.Generator,
    *,
    images: int,
    batch: int,
    crop: tuple[int, int],
    least_diameter: float,
    gamma_spread: float = 0.0,
) -> Iterator[Batch]:
    """Give about `images` random images of a data set in batches, half of them with a crater.

    Args:
        data: where images come from.
        rng: decides the order, crops, flips and turns.
        images: how many at most; fewer only by the rest that fills no batch.
        batch: images in a batch.
        crop: height and width of the part of each image that is used.
        least_diameter: smaller craters are left out.
        gamma_spread: largest natural logarithm of the gamma that changes an image's tones, up or down; 0 for none.
    """
    label = data.column("label")
    craters = np.flatnonzero((label == 1) & (np.nan_to_num(data.column("diameter_px")) >= least_diameter))
    blanks = np.flatnonzero(label == 0)
    half = batch // 2
    order = [_shuffled(rng, rows, images // batch * half) for rows in (craters, blanks)]
    place = {name: data.column(name) for name in ("x", "y", "diameter_px")}
    for start in range(0, images // batch * half, half):
        rows = np.concatenate([rows[start : start + half] for rows in order])
        x, y, diameter = (place[name][rows].astype(np.float32) for name in ("x", "y", "diameter_px"))
        pixels, x, y = _crop(rng, data.images(rows), x, y, diameter, crop)
        pixels, x, y = _turn(rng, pixels, x, y)
        if gamma_spread:
            pixels = _change_tones(rng, pixels, gamma_spread)
        labels = (np.arange(2 * half) < half).astype(np.float32)[:, None]
        yield Batch(pixels[..., None], labels, x, y, diameter)


def _shuffled(rng: np.random.Generator, rows: np.ndarray, count: int) -> np.ndarray:
    """`count` of the rows, each as often as any other but one, in random order."""
    rounds = [rng.permutation(rows) for _ in range(count // len(rows) + 1)]
    return np.concatenate(rounds)[:count]


def _crop(
    rng: np.random.Generator,
    pixels: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    diameter: np.ndarray,
    crop: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if pixels.shape[1:] == tuple(crop):
        return pixels, x, y
    cropped = np.empty((len(pixels), *crop), np.uint8)
    margin = np.nan_to_num(diameter) * 0.75 + 3.0
    tops = _starts(rng, y, margin, pixels.shape[1], crop[0])
    lefts = _starts(rng, x, margin, pixels.shape[2], crop[1])
    for index, (top, left) in enumerate(zip(tops, lefts, strict=True)):
        cropped[index] = pixels[index, top : top + crop[0], left : left + crop[1]]
    return cropped, x - lefts, y - tops


def _starts(rng: np.random.Generator, centre: np.ndarray, margin: np.ndarray, length: int, crop: int) -> np.ndarray:
    """Where each crop begins along one axis so that the crater lies inside it; anywhere without a crater."""
    there = np.isfinite(centre)
    middle = np.where(there, centre, 0.0)
    low = np.where(there, np.clip(np.ceil(middle + margin - crop), 0, length - crop), 0).astype(int)
    high = np.where(there, np.clip(np.floor(middle - margin), 0, length - crop), length - crop).astype(int)
    return rng.integers(low, np.maximum(low, high) + 1)


def _turn(
    rng: np.random.Generator, pixels: np.ndarray, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flip a batch up-down, left-right or about its diagonal, each with even odds; half of it for variety."""
    height, width = pixels.shape[1:]
    x, y, pixels = x.copy(), y.copy(), pixels.copy()
    for part in (slice(0, None, 2), slice(1, None, 2)):
        if rng.random() < 0.5:
            pixels[part], y[part] = pixels[part, ::-1].copy(), height - 1 - y[part]
        if rng.random() < 0.5:
            pixels[part], x[part] = pixels[part, :, ::-1].copy(), width - 1 - x[part]
        if height == width and rng.random() < 0.5:
            pixels[part], x[part], y[part] = pixels[part].swapaxes(1, 2).copy(), y[part].copy(), x[part].copy()
    return pixels, x, y


def _change_tones(rng: np.random.Generator, pixels: np.ndarray, spread: float) -> np.ndarray:
    """Each image through a gamma of its own, as detectors and operators differ; black and white stay."""
    gammas = np.exp(rng.uniform(-spread, spread, (len(pixels), 1)))
    tables = np.round(255.0 * (np.arange(256.0) / 255.0) ** gammas).astype(np.uint8)
    return np.asarray(tables[np.arange(len(pixels))[:, None, None], pixels])

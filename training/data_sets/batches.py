"""Batches for training: augmented crops in which a crater is well seen, in any order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from crater_ray.errors import UsageError
from training.data_sets.augmentation import change_tones, flip
from training.data_sets.dataset import DataSet

UNKNOWN = -1.0
"""Label of a crop that holds only parts of craters, or such as can hardly be seen: it teaches nothing as a whole."""


@dataclass(frozen=True)
class Batch:
    """What one training step sees.

    Attributes:
        images: uint8 (n, h, w, 1).
        labels: float32 (n, 1): 1 with a crater, 0 without, `UNKNOWN`.
        craters: of each image, float32 (k, 4) of x, y, diameter in the coordinates of `images`, and 1 if visible or
            else 0; NaN where the place of its crater is not known.
        rows: (n,) of the data set.
    """

    images: np.ndarray
    labels: np.ndarray
    craters: tuple[np.ndarray, ...]
    rows: np.ndarray


def epoch_batches(
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
        least_diameter: smaller craters are left out, or count as not visible beside larger ones; where none is so
            large, all count.
        gamma_spread: largest natural logarithm of the gamma that changes an image's tones, up or down; 0 for none.

    Raises:
        UsageError: there is no image with a crater that can be seen, or none without any.
    """
    craters = tuple(_without_small(found, least_diameter) for found in data.craters)
    if not len(marked := _with_crater(craters)):
        craters = tuple(data.craters)
        marked = _with_crater(craters)
    blanks = np.flatnonzero(data.column("label") == 0)
    if not len(marked) or not len(blanks):
        raise UsageError(
            "A fit needs images with craters that can be seen, and images without any; the data set has "
            f"{len(marked):,} and {len(blanks):,}. Make more images."
        )
    half = batch // 2
    order = [_shuffled(rng, rows, images // batch * half) for rows in (marked, blanks)]
    for start in range(0, images // batch * half, half):
        rows = np.concatenate([rows[start : start + half] for rows in order])
        pixels, found = _crop(rng, data.images(rows), [craters[row] for row in rows], crop)
        pixels, found = flip(rng, pixels, found)
        if gamma_spread:
            pixels = change_tones(rng, pixels, gamma_spread)
        cropped = tuple(crop) != data.shape
        labels = np.asarray([[_label(one, crop, cropped)] for one in found], np.float32)
        yield Batch(pixels.reshape(*pixels.shape, 1), labels, tuple(found), rows)


def _with_crater(craters: Sequence[np.ndarray]) -> np.ndarray:
    """Numbers of the images with a crater that can be seen."""
    return np.flatnonzero([bool((found[:, 3] > 0).any()) for found in craters])


def _without_small(craters: np.ndarray, least: float) -> np.ndarray:
    if not (craters[:, 2] < least).any():
        return craters
    # Beside larger ones small craters stay where they are: they must count neither as craters nor as blanks.
    craters = craters.copy()
    craters[craters[:, 2] < least, 3] = 0
    return craters


def _shuffled(rng: np.random.Generator, rows: np.ndarray, count: int) -> np.ndarray:
    """`count` of the rows, each as often as any other but one, in random order."""
    rounds = [rng.permutation(rows) for _ in range(count // len(rows) + 1)]
    return np.concatenate(rounds)[:count]


def _crop(
    rng: np.random.Generator, pixels: np.ndarray, craters: list[np.ndarray], crop: tuple[int, int]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Cut each image around one of its visible craters, anywhere where it has none."""
    if pixels.shape[1:] == tuple(crop):
        return pixels, [found.copy() for found in craters]
    cropped, moved = np.empty((len(pixels), *crop), np.uint8), []
    for index, found in enumerate(craters):
        visible = found[found[:, 3] > 0]
        x, y, diameter = visible[rng.integers(len(visible)), :3] if len(visible) else (np.nan, np.nan, 0.0)
        margin = float(diameter) * 0.75 + 3.0
        top = _start(rng, float(y), margin, pixels.shape[1], crop[0])
        left = _start(rng, float(x), margin, pixels.shape[2], crop[1])
        cropped[index] = pixels[index, top : top + crop[0], left : left + crop[1]]
        moved.append(found - np.asarray([left, top, 0, 0], np.float32))
    return cropped, moved


def _start(rng: np.random.Generator, centre: float, margin: float, length: int, crop: int) -> int:
    """Where a crop begins along one axis so that the crater lies inside it; anywhere without a crater."""
    low, high = 0, length - crop
    if np.isfinite(centre):
        low, high = (
            int(np.clip(edge, 0, length - crop))
            for edge in (np.ceil(centre + margin - crop), np.floor(centre - margin))
        )
    return int(rng.integers(low, max(low, high) + 1))


def _label(craters: np.ndarray, crop: tuple[int, int], cropped: bool) -> float:
    if not len(craters):
        return 0.0
    if np.isnan(craters[:, 0]).any():
        return UNKNOWN if cropped else 1.0
    x, y, radius = craters[:, 0], craters[:, 1], craters[:, 2] / 2
    inside = (x >= radius) & (x <= crop[1] - 1 - radius) & (y >= radius) & (y <= crop[0] - 1 - radius)
    if (inside & (craters[:, 3] > 0)).any():
        return 1.0
    touching = (x > -radius) & (x < crop[1] - 1 + radius) & (y > -radius) & (y < crop[0] - 1 + radius)
    return UNKNOWN if touching.any() else 0.0

"""The pictures of a gallery: for each chunk of images one sprite of crops, and each whole image as a file."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan, nan
from pathlib import Path

import numpy as np
from PIL import Image

from crater_ray.images.decode import decode
from crater_ray.images.fetch import fetch
from crater_ray.images.status import Refusal
from crater_ray.places.diameter import estimate_diameter
from crater_ray.planting.jpeg import jpeg, luma_table
from crater_ray.planting.plant import plant
from crater_ray.planting.recipe import Recipe
from crater_ray.storage.access import Access
from crater_ray.storage.errors import StorageError

CROP = 96
"""Side of a crop in px, at the image's own scale."""
COLUMNS = 6
QUALITY = 85
JPEG = b"\xff\xd8\xff"
MAX_COPY = 1_000_000
"""A JPEG of up to so many bytes is put into the gallery as it is; anything else is written anew."""


@dataclass(frozen=True)
class Subject:
    """An image that a gallery shows.

    Attributes:
        uri: where it is.
        x, y: where its crater is, in px; not a number when that is not known.
        diameter: of the crater, in px; not a number when there is none.
        estimate: look for a diameter in the pixels: the run, of an earlier version, has none.
        page: the page of its file that the crater is on, from 1; None in runs of earlier versions.
        recipe: of the crater that is planted into it before it is shown; None for the image as it is.
    """

    uri: str
    x: float
    y: float
    diameter: float = nan
    estimate: bool = False
    page: int | None = None
    recipe: Recipe | None = None


@dataclass(frozen=True)
class Picture:
    """What a gallery has of an image.

    Attributes:
        height, width: pixels; 0 when there is no picture.
        left, top, side: the crop's place in the image and how many of the image's pixels it is wide and high.
        low, high: gray levels, 0..255, below and above which 1% of the crop lies.
        diameter: of what is at the place, in px, as far as it can be told.
        problem: why there is no picture, or None.
    """

    height: int = 0
    width: int = 0
    left: int = 0
    top: int = 0
    side: int = CROP
    low: int = 0
    high: int = 255
    diameter: float | None = None
    problem: str | None = None


def make_chunk(number: int, subjects: list[Subject], folder: Path, access: Access, whole: bool) -> list[Picture]:
    """Fetch the images of a chunk and write their pictures.

    Args:
        number: of the chunk; file names are made of it and of nothing else.
        subjects: up to `COLUMNS` squared.
        folder: gets `sprites/<number>.jpg` and, with `whole`, `images/<number>/<position>.jpg`.
        access: how to reach S3.
        whole: also write the whole images.

    Returns:
        One picture per subject. What cannot be fetched or decoded has its `problem`; nothing is raised for it.
    """
    rows = -(-len(subjects) // COLUMNS)
    sprite = np.zeros((rows * CROP, COLUMNS * CROP), np.uint8)
    pictures: list[Picture] = []
    images = folder / "images" / f"{number:04d}"
    if whole:
        images.mkdir(parents=True, exist_ok=True)
    for data in fetch([subject.uri for subject in subjects], access):
        position = len(pictures)
        if isinstance(data, StorageError | Refusal):
            pictures.append(Picture(problem=data.reason if isinstance(data, Refusal) else str(data)))
            continue
        subject = subjects[position]
        pixels = decode(data, subject.page)
        if isinstance(pixels, Refusal):
            pictures.append(Picture(problem=pixels.reason))
            continue
        if subject.recipe is not None:
            pixels = plant(pixels, data, subject.recipe).pixels
        row, column = divmod(position, COLUMNS)
        cell = sprite[row * CROP : (row + 1) * CROP, column * CROP : (column + 1) * CROP]
        pictures.append(_draw(pixels, subject, cell))
        if whole:
            file = data if subject.recipe is None else jpeg(pixels, luma_table(data))
            _write_whole(images / f"{position:02d}.jpg", file, pixels)
    path = folder / "sprites" / f"{number:04d}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sprite).save(path, quality=QUALITY)
    return pictures


def _draw(pixels: np.ndarray, subject: Subject, cell: np.ndarray) -> Picture:
    """Put the crop around the evidence, or the whole image made small, into its cell of the sprite."""
    height, width = pixels.shape
    diameter = None if isnan(subject.diameter) else subject.diameter
    if isnan(subject.x) or isnan(subject.y):
        left = top = 0
        side = max(height, width)
        factor = CROP / side
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        crop = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))
    else:
        left, top = _start(subject.x, width), _start(subject.y, height)
        side = CROP
        crop = pixels[top : top + CROP, left : left + CROP]
        if subject.estimate:
            diameter = estimate_diameter(pixels, subject.x, subject.y)
    cell[: crop.shape[0], : crop.shape[1]] = crop
    low, high = (int(level) for level in np.percentile(crop, (1, 99)))
    rounded = None if diameter is None else round(diameter, 1)
    return Picture(height, width, left, top, side, low, max(high, low + 1), rounded)


def _start(at: float, length: int) -> int:
    return max(0, min(round(at) - CROP // 2, length - CROP))


def _write_whole(path: Path, data: bytes | memoryview, pixels: np.ndarray) -> None:
    if bytes(data[:3]) == JPEG and len(data) <= MAX_COPY:
        path.write_bytes(data)
    else:
        Image.fromarray(pixels).save(path, quality=90)

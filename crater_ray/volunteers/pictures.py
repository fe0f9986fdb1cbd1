"""The picture of a subject: a part of an image, enlarged, as a JPEG within what a site takes."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from crater_ray.images.decode import decode
from crater_ray.images.status import Refusal
from crater_ray.planting.plant import plant
from crater_ray.planting.recipe import Recipe

AROUND = 128
"""Pixels of the image across a picture of a place."""
ENLARGED = 6
"""Times as large a place is shown, so that craters of 4 px can be seen."""
WHOLE_ENLARGED, WHOLE_SIDE = 2, 1_600
"""Likewise for whole images, but not to a longer side than so many px."""
QUALITIES = (92, 85, 75, 60)
TAILS = (0.5, 99.5)
"""Percentiles of the gray levels that become black and white."""


@dataclass(frozen=True)
class View:
    """Which part of an image a picture shows.

    Attributes:
        left, top: in px of the image.
        zoom: pixels of the picture to one of the image.
    """

    left: int
    top: int
    zoom: float

    def to_picture(self, x: float, y: float) -> tuple[float, float]:
        """A place of the image (px, 0 the centre of the first pixel) in the picture (px from its top left corner)."""
        return (x - self.left + 0.5) * self.zoom, (y - self.top + 0.5) * self.zoom

    def to_image(self, x: float, y: float) -> tuple[float, float]:
        """The inverse of `to_picture`."""
        return x / self.zoom + self.left - 0.5, y / self.zoom + self.top - 0.5


def read(data: bytes | memoryview, page: int | None, recipe: Recipe | None) -> np.ndarray | Refusal:
    """(h, w) uint8 pixels of an image file, with a crater planted into them if there is a recipe."""
    pixels = decode(data, page)
    if recipe is None or isinstance(pixels, Refusal):
        return pixels
    return plant(pixels, data, recipe).pixels


def draw(pixels: np.ndarray, x: float, y: float, whole: bool, most: int) -> tuple[bytes, View]:
    """A JPEG of a place or of the whole image, and where that lies.

    Args:
        pixels: (h, w) uint8.
        x, y: the place, px.
        whole: all of the image instead of what is around the place.
        most: bytes that the JPEG may have.
    """
    height, width = pixels.shape
    if whole:
        part, left, top = pixels, 0, 0
        zoom = min(float(WHOLE_ENLARGED), WHOLE_SIDE / max(height, width))
    else:
        left, top = _start(x, width), _start(y, height)
        part, zoom = pixels[top : top + AROUND, left : left + AROUND], float(ENLARGED)
    low, high = np.percentile(part, TAILS)
    gray = np.clip((part.astype(np.float32) - low) * (255 / max(high - low, 1)), 0, 255).astype(np.uint8)
    while True:
        size = (max(1, round(gray.shape[1] * zoom)), max(1, round(gray.shape[0] * zoom)))
        shown = Image.fromarray(gray).resize(size, Image.Resampling.BICUBIC)
        for quality in QUALITIES:
            file = io.BytesIO()
            shown.save(file, "JPEG", quality=quality)
            if file.tell() <= most:
                return file.getvalue(), View(left, top, size[0] / gray.shape[1])
        zoom /= 1.25


def _start(at: float, length: int) -> int:
    return max(0, min(round(at) - AROUND // 2, length - AROUND))

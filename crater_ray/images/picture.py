"""The picture in an image file: what of it is looked at, where that lies in the file, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from crater_ray.images.bar import begins_at, find_bar
from crater_ray.images.bounds import SMALLEST_SIDE
from crater_ray.images.crop import Crop
from crater_ray.images.decode import decode_pages
from crater_ray.images.instrument import read_instrument
from crater_ray.images.makers import Instrument
from crater_ray.images.quality import measure
from crater_ray.images.status import UNSUPPORTED, Refusal
from crater_ray.images.tags import read_tags

FILE, LOOK = "file", "look"
"""What tells of a bar: the file's metadata, or its look."""


@dataclass(frozen=True)
class Reading:
    """How images are read.

    Attributes:
        crop: which part of each is looked at.
        pixel_nm: width of a pixel in nm, whatever the files say.
        sidecars: suffixes of the text files that may lie beside images; see `crater_ray.images.sidecars`.
    """

    crop: Crop = field(default_factory=Crop)
    pixel_nm: float | None = None
    sidecars: tuple[str, ...] = ()


@dataclass(frozen=True)
class Picture:
    """What is looked at of an image.

    Attributes:
        pixels: (h, w) uint8; a part of the file's.
        left, top: where it begins in the file, in pixels.
        height, width: of the file in pixels.
        bar: rows at the bottom that were left out as an information bar.
        bar_from: `FILE` or `LOOK`, what told of the bar; None where there is none.
        instrument: what the microscope says.
        number: of the page of the file, from 1.
        others: number and pixels of the file's other pages of this size, each without its own bar.
        left_out: how many further pictures the file holds that are not looked at.
    """

    pixels: np.ndarray
    left: int
    top: int
    height: int
    width: int
    bar: int = 0
    bar_from: str | None = None
    instrument: Instrument = field(default_factory=Instrument)
    number: int = 1
    others: tuple[tuple[int, np.ndarray], ...] = ()
    left_out: int = 0

    @property
    def pages(self) -> list[tuple[int, np.ndarray]]:
        """Number and pixels of all its pages."""
        return [(self.number, self.pixels), *self.others]

    @staticmethod
    def of(pixels: np.ndarray) -> Picture:
        """All of an image."""
        return Picture(pixels, 0, 0, *pixels.shape)

    def values(self) -> dict[str, Any]:
        """What is known of it, by name of column."""
        quality = measure(self.pixels)
        return {
            "height": self.height,
            "width": self.width,
            "bar": self.bar or None,
            "bar_from": self.bar_from,
            "pixel_nm": self.instrument.pixel_nm,
            "instrument": self.instrument.name,
            "voltage_kv": self.instrument.voltage_kv,
            "magnification": self.instrument.magnification,
            "pages": len(self.pages),
            "pages_left_out": self.left_out,
            **vars(quality),
        }


def read_picture(
    data: bytes | memoryview, reading: Reading = Reading(), sidecar: str | None = None
) -> Picture | Refusal:
    """Decode an image file and find its picture.

    Args:
        data: the file's bytes.
        reading: how to read it.
        sidecar: the text beside it, if there is one.

    Returns:
        The picture, or why there is none. Never raises for what is in `data`.
    """
    decoded = decode_pages(data)
    if isinstance(decoded, Refusal):
        return decoded
    (number, pixels), *more = decoded.pages
    picture = picture_in(pixels, data, reading, sidecar)
    if isinstance(picture, Refusal):
        return picture
    others = tuple((other, _part(page, picture.instrument, reading)[0]) for other, page in more)
    return replace(picture, number=number, others=others, left_out=decoded.left_out)


def pixels_of(data: bytes | memoryview) -> np.ndarray | Refusal:
    """The pixels of an image file that are looked at, its information bar left out, or why there are none."""
    picture = read_picture(data)
    return picture if isinstance(picture, Refusal) else picture.pixels


def picture_in(
    pixels: np.ndarray, data: bytes | memoryview, reading: Reading = Reading(), sidecar: str | None = None
) -> Picture | Refusal:
    """The picture in an image that was decoded; (height, width) uint8 `pixels`, otherwise as `read_picture`."""
    height, width = pixels.shape
    said = read_instrument(read_tags(data), sidecar, height, width)
    part, left, top, bar, source = _part(pixels, said, reading)
    if min(part.shape) < SMALLEST_SIDE:
        remains = f"{part.shape[1]}x{part.shape[0]} of {width}x{height} pixels"
        needed = f"the network needs at least {SMALLEST_SIDE} in each direction"
        reason = f"--crop {reading.crop.text} leaves {remains}: {needed}"
        return Refusal(UNSUPPORTED, reason, height, width)
    if reading.pixel_nm is not None:
        said = replace(said, pixel_nm=reading.pixel_nm)
    return Picture(part, left, top, height, width, bar, source, said)


def _part(pixels: np.ndarray, said: Instrument, reading: Reading) -> tuple[np.ndarray, int, int, int, str | None]:
    """What of a page is looked at, where it begins from the left and from the top, rows of its bar, what told of it."""
    height, width = pixels.shape
    bar, source = _bar(pixels, said) if reading.crop.auto else (0, None)
    rows, columns = reading.crop.part(height - bar, width)
    return pixels[rows, columns], columns.start, rows.start, bar, source


def _bar(pixels: np.ndarray, said: Instrument) -> tuple[int, str | None]:
    """How many rows are an information bar, and what tells so: the file, where its numbers agree, or the look."""
    height, width = pixels.shape
    most = min(height // 4, height - SMALLEST_SIDE)
    if said.size and said.size[1] == width and 1 <= height - said.size[0] <= most:
        return height - said.size[0], FILE
    if said.bar_rows and said.bar_rows <= most and begins_at(pixels, said.bar_rows):
        return said.bar_rows, FILE
    found = find_bar(pixels)
    return (found, LOOK) if 0 < found <= most else (0, None)

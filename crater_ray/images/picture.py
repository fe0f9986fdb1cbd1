"""What is looked at of an image: its pixels, where they lie in the file, and what is known of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from crater_ray.images.crop import Crop
from crater_ray.images.makers import Instrument
from crater_ray.images.quality import measure


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
        bar_from: what told of the bar, `crater_ray.images.bar.FILE` or `LOOK`; None where there is none.
        instrument: what the microscope says.
        number: of the page of the file, from 1.
        others: number and pixels of the file's other pages of this size, each without its own bar.
        left_out: how many further pictures the file holds that are not looked at.
        planted: how each crater that was planted into it can be seen; see `crater_ray.planting.seen`.
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
    planted: tuple[dict[str, float], ...] = ()

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
            "planted": list(self.planted) or None,
            **vars(quality),
        }

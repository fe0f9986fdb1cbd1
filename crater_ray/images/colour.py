"""Colours to gray: a picture's samples, of whatever meaning and depth, become one number a pixel."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from crater_ray.images.stretch import Band, bands, gather, to_eight_bits

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, LAB, ICC_LAB, ITU_LAB = 0, 1, 2, 3, 5, 6, 8, 9, 10
LUMA = np.array((19595, 38470, 7471), np.float64) / 65536
"""Weights of red, green and blue in gray (ITU-R BT.601), in the 16-bit fractions that Pillow uses as well."""
ASSOCIATED = 1
"""Of extra samples: an alpha that the colours have been multiplied by."""


@dataclass(frozen=True)
class Samples:
    """A picture as it was decoded.

    Attributes:
        values: (height, width, samples), any type of real numbers.
        bits: of each number; those of fewer than 8 bits, and of 9 to 15, lie in a wider type.
        meaning: what the first samples are, as in TIFF's tag PhotometricInterpretation.
        alpha: what the first sample beyond the colours is, as in TIFF's tag ExtraSamples; 0 for none known.
        palette: (3, n) uint16, the colours that the values stand for; None without.
        no_data: the value of pixels that were not measured; None without.
    """

    values: np.ndarray
    bits: int
    meaning: int
    alpha: int = 0
    palette: np.ndarray | None = None
    no_data: float | None = None

    @property
    def colours(self) -> int:
        """How many of the samples make the colour."""
        return {RGB: 3, YCBCR: 3, LAB: 3, ICC_LAB: 3, ITU_LAB: 3, CMYK: 4}.get(self.meaning, 1)


def to_gray(samples: Samples) -> np.ndarray | None:
    """A picture's gray levels, (height, width) uint8; None if none of its pixels was measured.

    Images of 8 bits or fewer keep their levels. Deeper ones are stretched; see `crater_ray.images.stretch`.
    """
    height, width, _ = samples.values.shape
    if samples.values.dtype == np.uint8 and samples.bits <= 8:
        if samples.colours == 1 and samples.bits == 8 and samples.meaning == BLACK_IS_ZERO:
            return np.ascontiguousarray(samples.values[..., 0])
        gray = np.empty((height, width), np.uint8)
        for rows in bands(height, width):
            gray[rows] = _eight_bits(samples, rows)
        return gray
    gathered = gather(_deep(samples), height, width, _gray_of_no_data(samples))
    del samples  # large images would not fit beside what follows
    return to_eight_bits(gathered)


def _gray_of_no_data(samples: Samples) -> float | None:
    """What the value that was not measured has become, where all samples have it; None without."""
    value = samples.no_data
    if value is None or not np.isfinite(value):
        return None
    kind = samples.values.dtype
    if kind.kind in "ui" and (value != int(value) or not np.iinfo(kind).min <= value <= np.iinfo(kind).max):
        return None
    one = np.full((1, 1, samples.values.shape[2]), value, kind)
    return float(_deep(replace(samples, values=one))(slice(0, 1))[0, 0])


def _eight_bits(samples: Samples, rows: slice) -> np.ndarray:
    """Gray of some rows of an image of at most 8 bits, as Pillow makes it."""
    values = samples.values[rows]
    if samples.meaning == PALETTE and samples.palette is not None:
        colours = np.ascontiguousarray(_of_eight_bits(samples.palette).T)[None]
        grays: np.ndarray = np.asarray(Image.fromarray(colours).convert("L"))[0]
        return grays[values[..., 0]]  # type: ignore[no-any-return]
    if samples.bits < 8:
        steps = np.rint(np.arange(2**samples.bits) * (255 / (2**samples.bits - 1))).astype(np.uint8)
        values = steps[values]
    if samples.meaning == WHITE_IS_ZERO:
        return 255 - values[..., 0]
    if samples.meaning == RGB:
        if samples.alpha == ASSOCIATED and values.shape[2] > 3:
            straight = _picture(values[..., :4], "RGBa").convert("RGBA")
            return np.asarray(straight.convert("L"))
        return np.asarray(_picture(values[..., :3], "RGB").convert("L"))
    if samples.meaning == CMYK:
        return np.asarray(_picture(values[..., :4], "CMYK").convert("L"))
    return values[..., 0]


def _of_eight_bits(palette: np.ndarray) -> np.ndarray:
    """A colour map in 8 bits. Some writers fill its 16 bits, others put 8, 10 or 12 of them into it."""
    highest = int(palette.max(initial=0))
    full = not (palette % 257).any() or not (palette % 256).any()
    return (palette >> (8 if full else max(highest.bit_length() - 8, 0))).astype(np.uint8)  # type: ignore[no-any-return]


def _picture(values: np.ndarray, mode: str) -> Image.Image:
    height, width, _ = values.shape
    return Image.frombuffer(mode, (width, height), np.ascontiguousarray(values), "raw", mode, 0, 1)


def _deep(samples: Samples) -> Band:
    """Gray of an image of more than 8 bits, some rows at a time."""
    values, meaning = samples.values, samples.meaning
    whole = values.dtype.kind in "ui"
    most = 2**samples.bits - 1

    def luma(rows: slice, first: np.ndarray, second: np.ndarray, third: np.ndarray) -> np.ndarray:
        gray: np.ndarray = first[rows] * LUMA[0]
        gray += second[rows] * LUMA[1]
        gray += third[rows] * LUMA[2]
        return gray

    def band(rows: slice) -> np.ndarray:
        if meaning == WHITE_IS_ZERO:
            if not whole:
                return -values[rows, :, 0]
            return most - values[rows, :, 0] if values.dtype.kind == "u" else ~values[rows, :, 0]
        if meaning == PALETTE and samples.palette is not None:
            return luma(slice(None), *samples.palette)[values[rows, :, 0]]  # type: ignore[no-any-return]
        if meaning == RGB:
            gray = luma(rows, values[..., 0], values[..., 1], values[..., 2])
            return np.rint(gray).astype(values.dtype) if values.dtype == np.uint16 else gray
        if meaning == CMYK:
            full = float(most) if whole else 1.0
            ink = [full - values[rows, :, at].astype(np.float64) for at in range(4)]
            return luma(slice(None), ink[0], ink[1], ink[2]) * ink[3] / full
        return values[rows, :, 0]  # type: ignore[no-any-return]

    return band

"""A sample: one image of a data set, and its row of the table."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np

JPEG_QUALITY = (70, 93)

VISIBILITY = 8.0
"""Least contrast-to-noise times diameter in pixels of a crater. It is the square root of the area times the contrast,
up to a factor near 1, as in Rose's criterion (Rose 1948, JOSA 38): below about 5 no observer sees a disc in noise."""


@dataclass(frozen=True)
class Sample:
    """One image and its row of the table.

    Attributes:
        pixels: uint8 (h, w), after JPEG.
        row: the columns of `training.data_sets.dataset.COLUMNS`.
    """

    pixels: np.ndarray
    row: dict[str, Any]


def develop(canvas: np.ndarray, row: dict[str, Any]) -> Sample:
    """The sample of a float32 canvas (h, w): rounded, and after JPEG of the quality that its row says."""
    return Sample(encode_jpeg(rounded(canvas), row["jpeg_quality"]), row)


def rounded(canvas: np.ndarray) -> np.ndarray:
    """A canvas (h, w) as uint8."""
    return np.clip(np.round(canvas), 0, 255).astype(np.uint8)


def encode_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    """What a uint8 image (h, w) looks like after JPEG of that quality."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


def table_row(label: int, *, source: str, background: str, quality: int, defect: str = "") -> dict[str, Any]:
    """One row of the table of a data set, not knowing of any crater yet."""
    nothing = float("nan")
    return {
        "label": label,
        "diameter_px": nothing,
        "x": nothing,
        "y": nothing,
        "contrast_to_noise": nothing,
        "source": source,
        "defect": defect,
        "seed_crater": -1,
        "background": background,
        "jpeg_quality": quality,
    }


def crater_entry(x: float, y: float, diameter: float, ratio: float) -> dict[str, Any]:
    """A crater in the column `craters` of a row; `ratio` is its contrast-to-noise."""
    return {
        "x": x,
        "y": y,
        "diameter_px": diameter,
        "contrast_to_noise": ratio,
        "visible": ratio * diameter >= VISIBILITY,
    }

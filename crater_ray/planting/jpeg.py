"""JPEG once more, with a file's own quantisation: what was planted goes through what the image itself went through."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def luma_table(data: bytes | memoryview) -> list[int] | None:
    """The 64 quantisation steps of a JPEG file's brightness, as Pillow gives and takes them; None for other files."""
    if bytes(data[:2]) != b"\xff\xd8":
        return None
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        tables: dict[int, list[int]] = image.quantization  # type: ignore[attr-defined]
        return list(tables[min(tables)]) if tables else None


def jpeg(pixels: np.ndarray, table: list[int] | None) -> bytes:
    """A JPEG file of (h, w) uint8 pixels with these quantisation steps; empty without steps."""
    if table is None:
        return b""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", qtables=[table])
    return file.getvalue()


def compressed(pixels: np.ndarray, table: list[int] | None) -> np.ndarray:
    """Pixels after a JPEG file with these quantisation steps; as they are where there are none.

    Args:
        pixels: (h, w) uint8.
        table: as `luma_table` gives it.
    """
    if table is None or max(pixels.shape) > 65_500:  # JPEG knows no longer sides
        return pixels
    with Image.open(io.BytesIO(jpeg(pixels, table)), formats=("JPEG",)) as image:
        return np.asarray(image)

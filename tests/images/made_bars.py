"""Images with information bars, drawn as instruments draw them: black or white, written on, framed, in or below."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFont

LINES = ("HV 5.00 kV  mag 10 000 x  WD 4.1 mm  det ETD", "HFW 25.6 um  I1009N 12345  11/28/2026  spot 3.0")
KINDS = ("text", "white text", "black", "white", "framed", "line above", "cells")


def draw_bar(kind: str, width: int, rows: int = 48) -> np.ndarray:
    """A bar of one of `KINDS`, (rows, width) uint8; all but the plain ones have text and a scale mark."""
    ground, ink = (255, 0) if kind.startswith("white") else (0, 255)
    image = Image.new("L", (width, rows), ground)
    draw = ImageDraw.Draw(image)
    if kind not in ("black", "white"):
        font = ImageFont.load_default(max(8, rows // 4))
        for number, line in enumerate(LINES):
            draw.text((6, 3 + number * rows // 2), line, fill=ink, font=font)
        draw.rectangle((int(0.8 * width), int(0.7 * rows), int(0.95 * width), int(0.7 * rows) + 2), fill=ink)
    if kind == "framed":
        draw.rectangle((0, 0, width - 1, rows - 1), outline=ink)
    if kind == "line above":
        draw.line((0, 0, width, 0), fill=ink, width=2)
    if kind == "cells":
        draw.line((0, rows // 2, width, rows // 2), fill=ink)
        for x in range(width // 5, width, width // 5):
            draw.line((x, 0, x, rows), fill=ink)
    return np.asarray(image)


def jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    """The pixels as they come back from a JPEG."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=quality)
    return np.asarray(Image.open(out))

"""One image file's bytes to gray pixels, or a status and the reason why not."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError

from crater_ray.network import RECEPTIVE_FIELD

OK = "ok"
UNREADABLE = "unreadable"
UNSUPPORTED = "unsupported"
MISSING = "missing"

FORMATS = ("JPEG", "PNG", "TIFF")
MAX_PIXELS = 64_000_000
"""Larger images are refused unread: this bounds what one image costs (64 MB decoded, about 350 MB while decoding)."""

_OTHER_FORMATS = (
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"RIFF", "WebP or another RIFF format"),
    (b"%PDF", "PDF"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\x89HDF", "HDF5"),
    (b"SIMPLE  =", "FITS"),
)


@dataclass(frozen=True)
class Refusal:
    """Why an image has no pixels.

    Attributes:
        status: `unreadable` (damaged, empty, not an image), `unsupported` (sound, but nothing this network can
            look at) or `missing`.
        reason: one line for the person who asks.
        height, width: pixels, where they are known.
    """

    status: str
    reason: str
    height: int | None = None
    width: int | None = None


def decode(data: bytes | memoryview) -> np.ndarray | Refusal:
    """Decode a JPEG, PNG or TIFF of any pixel type to 8-bit gray.

    Colour becomes luma, alpha is ignored, of several frames the first counts, and EXIF orientation is not applied:
    positions refer to the pixels as stored. Images of more than 8 bits whose values go beyond 255 are stretched
    linearly from their minimum and maximum to 0 and 255, which the network's own normalisation then undoes.

    Args:
        data: the file's bytes.

    Returns:
        (height, width) uint8 pixels, or a `Refusal`. Never raises for what is in `data`.
    """
    if len(data) == 0:
        return Refusal(UNREADABLE, "the file is empty (0 bytes)")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _decode(data)
    except Image.DecompressionBombError:
        return Refusal(UNSUPPORTED, f"more than {MAX_PIXELS:,} pixels: refused as a possible decompression bomb")
    except UnidentifiedImageError:
        return _refuse_unknown(bytes(data[:16]))
    except MemoryError:
        return Refusal(UNSUPPORTED, "decoding needs more memory than there is")
    except Exception as problem:  # decoders raise OSError, SyntaxError, ValueError, struct.error, ... on hostile bytes
        return Refusal(UNREADABLE, _one_line(f"{type(problem).__name__}: {problem}"))


def _decode(data: bytes | memoryview) -> np.ndarray | Refusal:
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            reason = f"{width}x{height} pixels: more than {MAX_PIXELS:,} are refused as a possible decompression bomb"
            return Refusal(UNSUPPORTED, reason, height, width)
        if min(width, height) < RECEPTIVE_FIELD:
            reason = f"{width}x{height} pixels: the network needs at least {RECEPTIVE_FIELD} in each direction"
            return Refusal(UNSUPPORTED, reason, height, width)
        if image.mode in ("RGB", "YCbCr") and image.format == "JPEG":
            image.draft("L", None)  # the decoder then skips the colour planes
        image.load()
        if image.mode.startswith(("I", "F")):
            return _stretch(np.asarray(image), height, width)
        gray = image if image.mode == "L" else image.convert("L")
        pixels: np.ndarray = np.asarray(gray, np.uint8)
        return pixels


def _stretch(raw: np.ndarray, height: int, width: int) -> np.ndarray | Refusal:
    values: np.ndarray = raw.astype(np.float32)
    if not np.isfinite(values).all():
        return Refusal(UNSUPPORTED, "the image holds values that are not finite numbers", height, width)
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 255 or (high <= 1 and low < high):
        values = (values - low) * (255.0 / max(high - low, 1e-30))
    pixels: np.ndarray = np.rint(values).astype(np.uint8)
    return pixels


def _refuse_unknown(start: bytes) -> Refusal:
    for magic, name in _OTHER_FORMATS:
        if start.startswith(magic):
            return Refusal(UNSUPPORTED, f"the file is {name}; only {', '.join(FORMATS)} are read")
    return Refusal(UNREADABLE, f"not a {', '.join(FORMATS)} image, or damaged at its start ({start[:8].hex(' ')} ...)")


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]

"""One image file's bytes to gray pixels, or a status and the reason why not."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from crater_ray.images.status import UNREADABLE, UNSUPPORTED, Refusal

FORMATS = ("JPEG", "PNG", "TIFF")
SMALLEST_SIDE = 92
"""Pixels: what one position of the network's last feature map sees, `crater_ray.network.stardust.RECEPTIVE_FIELD`."""
MAX_PIXELS = 64_000_000
"""Larger images are refused before a pixel is decoded: 64 MB as gray, at most about 800 MB while decoding."""
MAX_SCANS = 100
"""A progressive JPEG has some ten scans; one with thousands would keep a processor busy for hours."""
BAND_PIXELS = 4_000_000
"""Large images become gray so many pixels at a time: at once, 32-bit ones would take 1 GB beside themselves."""
FILL = 128
"""What libjpeg paints where a baseline JPEG's data ended early."""

_TILE_WIDTH, _TILE_HEIGHT = 322, 323

_OTHER_FORMATS = (
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"RIFF", "WebP or another RIFF format"),
    (b"%PDF", "PDF"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\x89HDF", "HDF5"),
    (b"SIMPLE  =", "FITS"),
)


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
            return _decode(bytes(data))
    except Image.DecompressionBombError:
        return Refusal(UNSUPPORTED, f"more than {MAX_PIXELS:,} pixels: refused as a possible decompression bomb")
    except UnidentifiedImageError:
        return _refuse_unknown(bytes(data[:16]))
    except MemoryError:
        return Refusal(UNSUPPORTED, "decoding needs more memory than there is")
    except Exception as problem:  # decoders raise OSError, SyntaxError, ValueError, struct.error, ... on hostile bytes
        return Refusal(UNREADABLE, _one_line(f"{type(problem).__name__}: {problem}"))


def _decode(data: bytes) -> np.ndarray | Refusal:
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            reason = f"{width}x{height} pixels: more than {MAX_PIXELS:,} are refused as a possible decompression bomb"
            return Refusal(UNSUPPORTED, reason, height, width)
        if min(width, height) < SMALLEST_SIDE:
            reason = f"{width}x{height} pixels: the network needs at least {SMALLEST_SIDE} in each direction"
            return Refusal(UNSUPPORTED, reason, height, width)
        if image.format == "JPEG":
            # Of one plane and not progressive, the decoder reads the first scan alone; to count takes a while.
            many = "progressive" in image.info or image.mode != "L"
            scans = data.count(b"\xff\xda") if many else 1
            if scans > MAX_SCANS:
                reason = f"a JPEG of {scans:,} scans: more than {MAX_SCANS} are refused, they take too long"
                return Refusal(UNSUPPORTED, reason, height, width)
            if image.mode in ("RGB", "YCbCr"):
                image.draft("L", None)  # the decoder then skips the colour planes
        if isinstance(image, TiffImageFile):
            if (pixels := _tile_pixels(image)) > MAX_PIXELS:
                reason = f"tiles of {pixels:,} pixels: more than {MAX_PIXELS:,} are refused as a decompression bomb"
                return Refusal(UNSUPPORTED, reason, height, width)
            # It would read every EXIF block there is, and turn the image as EXIF says.
            image.load_end = lambda: None  # type: ignore[method-assign]
        image.load()
        # Where EXIF says to turn a TIFF, Pillow gives the size of the turned image; a copy has that of its pixels.
        stored = image if image.im.size == image.size else image.copy()
        if stored.mode.startswith(("I", "F")):
            return _stretch(stored)
        if stored.mode == "L":
            gray = np.asarray(stored)
        else:
            gray = np.empty((stored.height, stored.width), np.uint8)
            for band, pixels_of_band in _bands(stored):
                gray[band] = pixels_of_band
        if image.format == "JPEG" and (gray[-8:, -8:] == FILL).all() and _ends_early(data):
            return Refusal(UNREADABLE, "its end marker comes before its end: the lower part is missing", height, width)
        return gray


def _tile_pixels(image: TiffImageFile) -> int:
    """Pixels of a TIFF's tiles, which are decoded whole, however small the image in them is."""
    sides = [image.tag_v2.get(tag, 0) for tag in (_TILE_WIDTH, _TILE_HEIGHT)]
    return math.prod(side if isinstance(side, int) else 0 for side in sides)


def _bands(image: Image.Image) -> Iterator[tuple[slice, np.ndarray]]:
    """An image's rows, some at a time: 8-bit gray, or the numbers of an image of more bits."""
    width, height = image.size
    rows = max(1, BAND_PIXELS // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        band = image if rows >= height else image.crop((0, top, width, bottom))
        if not band.mode.startswith(("I", "F")) and band.mode != "L":
            band = band.convert("L")
        yield slice(top, bottom), np.asarray(band)


def _stretch(image: Image.Image) -> np.ndarray | Refusal:
    width, height = image.size
    low, high = np.float32(np.inf), np.float32(-np.inf)
    for _, band in _bands(image):
        values = band.astype(np.float32)
        if not np.isfinite(values).all():
            return Refusal(UNSUPPORTED, "the image holds values that are not finite numbers", height, width)
        low, high = min(low, values.min()), max(high, values.max())
    span = max(float(high) - float(low), 1e-30)
    stretched = low < 0 or high > 255 or (high <= 1 and low < high)
    gray = np.empty((height, width), np.uint8)
    for rows, band in _bands(image):
        values = band.astype(np.float32)
        if stretched:
            values = (values - low) * np.float32(255.0 / span)
        gray[rows] = np.rint(values).astype(np.uint8)
    return gray


def _ends_early(jpeg: bytes) -> bool:
    """Whether data goes on behind a JPEG's end marker: then the marker, not the data, is at the wrong place."""
    end = jpeg.find(b"\xff\xd9", jpeg.rfind(b"\xff\xda"))
    return end >= 0 and len(jpeg[end + 2 :].strip(b"\0\r\n\t ")) > 0


def _refuse_unknown(start: bytes) -> Refusal:
    for magic, name in _OTHER_FORMATS:
        if start.startswith(magic):
            return Refusal(UNSUPPORTED, f"the file is {name}; only {', '.join(FORMATS)} are read")
    return Refusal(UNREADABLE, f"not a {', '.join(FORMATS)} image, or damaged at its start ({start[:8].hex(' ')} ...)")


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]

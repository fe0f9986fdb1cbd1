"""One image file's bytes to the picture in it: gray pixels, without the bar; or a status and the reason why not."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, UnidentifiedImageError

from crater_ray.images.bar import bar_of
from crater_ray.images.bounds import MAX_PIXELS, MAX_SCANS, SMALLEST_SIDE, check_size
from crater_ray.images.deep import deep_jpeg, deep_png, is_deep_png
from crater_ray.images.instrument import read_instrument
from crater_ray.images.jpeg import corner_unpainted, plain_jpeg
from crater_ray.images.makers import Instrument
from crater_ray.images.memory import Memory, fresh
from crater_ray.images.picture import Picture, Reading
from crater_ray.images.status import UNREADABLE, UNSUPPORTED, NotRead, Refusal
from crater_ray.images.stretch import bands, gather, to_eight_bits
from crater_ray.images.tags import read_tags
from crater_ray.images.tiff import read_pages
from crater_ray.images.tiff_directory import MAGIC

FORMATS = ("JPEG", "PNG", "TIFF")
_BY_PILLOW = ("JPEG", "PNG")
_OTHER_FORMATS = (
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"RIFF", "WebP or another RIFF format"),
    (b"%PDF", "PDF"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"II\xbc", "JPEG XR"),
    (b"\x89HDF", "HDF5"),
    (b"SIMPLE  =", "FITS"),
    (b"8BPS", "Photoshop's"),
    (b"ZISRAWFILE", "Zeiss CZI"),
    (b"v/1\x01", "OpenEXR"),
    *((b"P%d" % kind + space, "Netpbm") for kind in range(1, 8) for space in (b"\n", b" ", b"\r")),
)
_BOXES = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIF", b"heix": "HEIF", b"mif1": "HEIF", b"msf1": "HEIF"}
"""By the brand of a file of boxes, which stands behind `ftyp` at its fifth byte."""


@dataclass(frozen=True)
class Pages:
    """What a file shows.

    Attributes:
        pages: number from 1, and (height, width) uint8 pixels, of its pages of full resolution, all of one size.
        left_out: how many pictures of the file are not among them: of other sizes, or too many.
    """

    pages: list[tuple[int, np.ndarray]]
    left_out: int = 0


def read_picture(
    data: bytes | memoryview, reading: Reading = Reading(), sidecar: str | None = None, memory: Memory = fresh
) -> Picture | Refusal:
    """Decode an image file and find its picture.

    Args:
        data: the file's bytes.
        reading: how to read it.
        sidecar: the text beside it, if there is one.
        memory: for the pixels of plain files.

    Returns:
        The picture, or why there is none. Never raises for what is in `data`.
    """
    decoded = decode_pages(data, memory=memory)
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
    bar, source = bar_of(pixels, said) if reading.crop.auto else (0, None)
    rows, columns = reading.crop.part(height - bar, width)
    return pixels[rows, columns], columns.start, rows.start, bar, source


def decode(data: bytes | memoryview, page: int | None = None) -> np.ndarray | Refusal:
    """Decode a JPEG, PNG or TIFF of any pixel type to 8-bit gray.

    Colour becomes luma, alpha is ignored, and EXIF orientation is not applied: positions refer to the pixels as stored.
    Images of 8 bits keep their levels; deeper ones are stretched as `crater_ray.images.stretch` says, which the
    network's own normalisation then undoes.

    Args:
        data: the file's bytes.
        page: the number, from 1, of the page that is wanted; the first of full resolution when None, and where there is
            no such page.

    Returns:
        (height, width) uint8 pixels, or a `Refusal`. Never raises for what is in `data`.
    """
    decoded = decode_pages(data, page or 0)
    return decoded if isinstance(decoded, Refusal) else decoded.pages[0][1]


def decode_pages(data: bytes | memoryview, page: int | None = None, memory: Memory = fresh) -> Pages | Refusal:
    """Decode all pages of full resolution; see `decode`.

    Args:
        data: the file's bytes.
        page: the number of the one that is wanted, 0 for the first; all when None.
        memory: for the pixels of plain files.

    Returns:
        The pages, at least one, or a `Refusal`. Never raises for what is in `data`.
    """
    if len(data) == 0:
        return Refusal(UNREADABLE, "the file is empty (0 bytes)")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file = bytes(data)
            if file.startswith(MAGIC):
                return Pages(*read_pages(file, page))
            return Pages([(1, _decode(file, memory))])
    except NotRead as known:
        return known.refusal
    except Image.DecompressionBombError:
        return Refusal(UNSUPPORTED, f"more than {MAX_PIXELS:,} pixels: refused as a possible decompression bomb")
    except UnidentifiedImageError:
        return _refuse_unknown(bytes(data[:16]))
    except MemoryError:
        return Refusal(UNSUPPORTED, "decoding needs more memory than there is")
    except Exception as problem:  # decoders raise OSError, SyntaxError, ValueError, struct.error, ... on hostile bytes
        return Refusal(UNREADABLE, _one_line(f"{type(problem).__name__}: {problem}"))


def _decode(data: bytes, memory: Memory) -> np.ndarray:
    if (gray := plain_jpeg(data, memory)) is not None:
        return gray
    try:
        return _decode_by_pillow(data)
    except (OSError, SyntaxError) as problem:
        # Pillow reads JPEGs of 8 bits alone.
        deep = deep_jpeg(data)
        if deep is None:
            raise problem from None
        return deep


def _decode_by_pillow(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data), formats=_BY_PILLOW) as image:
        width, height = image.size
        check_size(height, width)
        if image.format == "JPEG":
            # Of one plane and not progressive, the decoder reads the first scan alone; to count takes a while.
            many = "progressive" in image.info or image.mode != "L"
            scans = data.count(b"\xff\xda") if many else 1
            if scans > MAX_SCANS:
                reason = f"a JPEG of {scans:,} scans: more than {MAX_SCANS} are refused, they take too long"
                raise NotRead(Refusal(UNSUPPORTED, reason, height, width))
            if image.mode in ("RGB", "YCbCr"):
                image.draft("L", None)  # the decoder then skips the colour planes
        elif is_deep_png(data):
            return deep_png(data, height, width)
        image.load()
        if image.mode.startswith(("I", "F")):
            values = np.asarray(image)
            gray = to_eight_bits(gather(values.__getitem__, height, width))
            assert gray is not None, "whole numbers are finite"
        elif image.mode == "L":
            gray = np.asarray(image)
        else:
            gray = np.empty((height, width), np.uint8)
            for rows, band in _bands(image):
                gray[rows] = band
        if image.format == "JPEG" and corner_unpainted(gray) and _ends_early(data):
            reason = "its end marker comes before its end: the lower part is missing"
            raise NotRead(Refusal(UNREADABLE, reason, height, width))
        return gray


def _bands(image: Image.Image) -> Iterator[tuple[slice, np.ndarray]]:
    """The rows of an image in colours as 8-bit gray, some at a time."""
    width, height = image.size
    for rows in bands(height, width):
        whole = rows.stop - rows.start == height
        band = image if whole else image.crop((0, rows.start, width, rows.stop))
        yield rows, np.asarray(band.convert("L"))


def _ends_early(jpeg: bytes) -> bool:
    """Whether data goes on behind a JPEG's end marker: then the marker, not the data, is at the wrong place."""
    end = jpeg.find(b"\xff\xd9", jpeg.rfind(b"\xff\xda"))
    return end >= 0 and len(jpeg[end + 2 :].strip(b"\0\r\n\t ")) > 0


def _refuse_unknown(start: bytes) -> Refusal:
    known = [name for magic, name in _OTHER_FORMATS if start.startswith(magic)]
    if start[4:8] == b"ftyp" and start[8:12] in _BOXES:
        known.append(_BOXES[start[8:12]])
    if known:
        return Refusal(UNSUPPORTED, f"the file is {known[0]}; only {', '.join(FORMATS)} are read")
    return Refusal(UNREADABLE, f"not a {', '.join(FORMATS)} image, or damaged at its start ({start[:8].hex(' ')} ...)")


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]

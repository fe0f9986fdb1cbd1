"""Where in a TIFF a picture's pixels lie, checked before any of them is decoded: whole, bounded, of a known kind."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass

from crater_ray.images import tiff_directory as tags
from crater_ray.images.bounds import MAX_AT_ONCE, MAX_DECODED, MAX_PIXELS, MAX_SCANS
from crater_ray.images.jpeg import jpeg_frame
from crater_ray.images.status import damaged, unsupported
from crater_ray.images.tiff_directory import Directory

MAX_SEGMENTS = 200_000
"""Strips or tiles of one picture."""
SHARED = 64 * 1024 * 1024
"""Bytes that strips and tiles may have in common beyond the length of the file."""
NONE, JPEG, PNG = 1, 7, 34933
FLOAT = 3
"""Of sample formats."""
JPEG_2000 = (33003, 33004, 33005, 34712)
PACKED = {NONE: "none", 2: "CCITT", 3: "CCITT", 4: "CCITT", 5: "LZW", 8: "Deflate", 32946: "Deflate", 32773: "PackBits"}
PACKED |= {50000: "Zstandard", 34926: "Zstandard", 34925: "LZMA"}
"""Compressions that unpack to as many bytes as the directory says, and no more."""
NOT_READ = {6: "old-style JPEG", 32809: "ThunderScan", 32908: "PixarFilm", 32909: "PixarLog", 34661: "JBIG"}
NOT_READ |= {34676: "SGI Log", 34677: "SGI Log", 34887: "LERC", 34892: "lossy JPEG of raw data", 50001: "WebP"}
NOT_READ |= {34934: "JPEG XR", 22610: "JPEG XR", 50002: "JPEG XL", 52546: "JPEG XL", 48124: "Jetraw"}
NOT_READ |= {65000: "EER", 65001: "EER", 65002: "EER", 34927: "WebP"}


@dataclass(frozen=True)
class Layout:
    """A picture's strips or tiles.

    Attributes:
        samples: numbers of a pixel.
        bits: of each number; the largest where they differ.
        offsets, lengths: in bytes, of each strip or tile.
        tiled: whether they are tiles.
    """

    samples: int
    bits: int
    offsets: list[int]
    lengths: list[int]
    tiled: bool

    @property
    def replaced(self) -> dict[int, list[int]]:
        """The places of the strips or tiles, as `crater_ray.images.tiff_directory.copy_of` takes them."""
        if self.tiled:
            return {tags.TILE_OFFSETS: self.offsets, tags.TILE_BYTES: self.lengths}
        return {tags.STRIP_OFFSETS: self.offsets, tags.STRIP_BYTES: self.lengths}


def layout_of(directory: Directory, data: bytes) -> Layout:
    """Where a picture's pixels are, once it is sure that they are all there and take no more than they may.

    Args:
        directory: of a picture of at most `MAX_PIXELS`.
        data: the file.

    Raises:
        NotRead: they are not all there, too many, or compressed in a way that is not read.
    """
    height, width = directory.size
    samples, compression = directory.number(tags.SAMPLES, 1), directory.number(tags.COMPRESSION, NONE)
    bits = max(directory.numbers(tags.BITS)[: max(samples, 1)] or [1])
    separate = directory.number(tags.PLANAR, 1) == 2
    if compression in NOT_READ or compression not in {*PACKED, *JPEG_2000, JPEG, PNG}:
        known = NOT_READ.get(compression, "an unknown way")
        raise unsupported(f"a TIFF compressed as {known} (number {compression}): save it as Deflate or LZW")
    if directory.number(tags.DEPTH, 1) > 1:
        raise unsupported("a TIFF whose picture is a volume: save its planes as pages")
    if not 1 <= samples <= 64 or not 1 <= bits <= 64:
        raise unsupported(f"a TIFF of {samples:,} samples of {bits:,} bits a pixel")
    each = directory.numbers(tags.BITS)[:samples] or [1]
    integers = directory.number(tags.FORMAT, 1) != FLOAT
    if (bits == 24 and integers) or (samples > 1 and (len(set(each)) > 1 or bits in (3, 5, 6, 7))):
        # tifffile has the bytes of the first in another place, and spreads the bits of the others.
        raise unsupported(f"a TIFF of {'+'.join(map(str, each[:4]))} bits a pixel: save it with 8, 16 or 32 bits each")
    if compression in JPEG_2000 and bits > 16:
        raise unsupported(f"a TIFF of {bits} bits compressed as JPEG 2000")
    tiled = tags.TILE_WIDTH in directory.fields
    rows = (
        directory.number(tags.TILE_HEIGHT, 0) if tiled else min(directory.number(tags.ROWS_PER_STRIP, height), height)
    )
    columns = directory.number(tags.TILE_WIDTH, 0) if tiled else width
    if min(rows, columns) < 1:
        raise damaged(f"its tiles or strips have {columns}x{rows} pixels")
    of_a_pixel = samples * -(-_stored(bits) // 8)
    if rows * columns > MAX_PIXELS:
        raise unsupported(
            f"tiles of {rows * columns:,} pixels: more than {MAX_PIXELS:,} are refused as a decompression bomb"
        )
    if max(height * width, rows * columns) * of_a_pixel > MAX_DECODED:
        raise unsupported(
            f"its pixels take {max(height * width, rows * columns) * of_a_pixel:,} bytes: more than {MAX_DECODED:,} "
            "are refused"
        )
    at_once = height * width * of_a_pixel + rows * columns * _while_decoding(
        compression, samples, of_a_pixel, directory
    )
    if at_once > MAX_AT_ONCE:
        raise unsupported(f"it takes {at_once:,} bytes to unpack: more than {MAX_AT_ONCE:,} are refused; use strips")
    down = math.ceil(height / rows)
    count = down * math.ceil(width / columns) * (samples if separate else 1)
    if count > MAX_SEGMENTS:
        raise unsupported(f"{count:,} strips or tiles: more than {MAX_SEGMENTS:,} are refused, they take too long")
    name = "tile" if tiled else "strip"
    offsets = directory.numbers(tags.TILE_OFFSETS if tiled else tags.STRIP_OFFSETS)[:count]
    lengths = directory.numbers(tags.TILE_BYTES if tiled else tags.STRIP_BYTES)[:count]
    if len(offsets) < count:
        raise damaged(f"it has {len(offsets):,} of the {count:,} {name}s that its size needs")
    in_one = 1 if separate else samples
    if compression == NONE and tags.SUBSAMPLING not in directory.fields:
        line = -(-columns * _bits_of_line(directory, in_one, bits) // 8)
        strips = [rows if tiled else min(rows, height - at % down * rows) for at in range(count)]
        lengths = [line * rows_of_it for rows_of_it in strips]
    elif not lengths and count == 1:
        lengths = [len(data) - offsets[0]]
    if len(lengths) < count:
        raise damaged(f"it tells the length of {len(lengths):,} of its {count:,} {name}s")
    for at, (offset, length) in enumerate(zip(offsets, lengths, strict=True), 1):
        if offset < 1 or length < 1:
            raise damaged(f"its {name} {at} of {count} holds nothing")
        if offset + length > len(data):
            raise damaged(f"its {name} {at} of {count} goes beyond the end of the file: the file is cut short")
    if sum(lengths) > len(data) + SHARED:
        raise unsupported(f"its {name}s share their bytes: refused as a decompression bomb")
    if size_of := _HEADERS.get(compression):
        for offset, length in zip(offsets, lengths, strict=True):
            _check_inner(data[offset : offset + length], size_of, rows, columns)
    return Layout(samples, bits, offsets, lengths, tiled)


def _stored(bits: int) -> int:
    """Bits that a number takes once it is decoded."""
    return next(wide for wide in (8, 16, 32, 64) if bits <= wide)


def _while_decoding(compression: int, samples: int, of_a_pixel: int, directory: Directory) -> int:
    """Bytes that a decoder holds for each pixel of a strip or tile."""
    if compression == NONE:
        return 0
    if compression in JPEG_2000:
        return samples * 4 + of_a_pixel
    if compression == JPEG:
        return samples * 2 + of_a_pixel  # progressive ones are held as coefficients besides
    return of_a_pixel * (2 if directory.order == ">" and of_a_pixel > samples else 1)


def _bits_of_line(directory: Directory, in_one: int, bits: int) -> int:
    """Bits of a pixel within a strip."""
    each = directory.numbers(tags.BITS)
    return sum(each[:in_one]) if in_one > 1 and len(each) >= in_one else in_one * bits


def _check_inner(data: bytes, size_of: Callable[[bytes], tuple[int, int] | None], rows: int, columns: int) -> None:
    """A strip or tile that is an image of its own must have the size that the directory says, or less at an edge."""
    size = size_of(data)
    if size is None:
        raise damaged("one of its strips or tiles is no image of the kind that it should be")
    if size[0] > rows or size[1] > columns:
        raise damaged(f"one of its strips or tiles has {size[1]}x{size[0]} pixels instead of {columns}x{rows}")


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    frame = jpeg_frame(data)
    if frame is None:
        return None
    if data.count(b"\xff\xda") > MAX_SCANS:
        raise unsupported(f"a JPEG of more than {MAX_SCANS} scans in it is refused, it takes too long")
    if b"\xff\xd9" not in data[-64:]:
        raise damaged("the JPEG in one of its strips or tiles has no end: it is cut short")
    return frame.height, frame.width


def _jpeg_2000_size(data: bytes) -> tuple[int, int] | None:
    at = data.find(b"\xff\x4f\xff\x51")  # start of the codestream, and of the marker that tells its size
    if at < 0 or len(data) < at + 24:
        return None
    right, bottom, left, top = struct.unpack(">IIII", data[at + 8 : at + 24])
    return bottom - top, right - left


def _png_size(data: bytes) -> tuple[int, int] | None:
    if data[:8] != b"\x89PNG\r\n\x1a\n" or len(data) < 24:
        return None
    width, height = struct.unpack(">II", data[16:24])
    return height, width


_HEADERS = {JPEG: _jpeg_size, PNG: _png_size, **dict.fromkeys(JPEG_2000, _jpeg_2000_size)}

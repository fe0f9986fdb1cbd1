"""Images of any kind become gray pixels, or a status with a reason."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from crater_ray.images.decode import decode
from crater_ray.images.status import UNREADABLE, UNSUPPORTED, Refusal

HEIGHT, WIDTH = 110, 130
RAMP = np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def gray() -> Image.Image:
    return Image.fromarray(RAMP)


def sixteen_bit() -> Image.Image:
    return Image.fromarray(RAMP.astype(np.uint16) * 16)


GOOD: dict[str, Callable[[], bytes]] = {
    "gray jpeg": lambda: encoded(gray(), "JPEG", quality=95),
    "progressive jpeg": lambda: encoded(gray(), "JPEG", quality=95, progressive=True),
    "rgb jpeg": lambda: encoded(gray().convert("RGB"), "JPEG", quality=95),
    "cmyk jpeg": lambda: encoded(gray().convert("RGB").convert("CMYK"), "JPEG", quality=95),
    "jpeg with exif": lambda: encoded(
        gray(), "JPEG", quality=95, exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 64
    ),
    "gray png": lambda: encoded(gray(), "PNG"),
    "rgba png": lambda: encoded(gray().convert("RGBA"), "PNG"),
    "gray-alpha png": lambda: encoded(gray().convert("LA"), "PNG"),
    "palette png": lambda: encoded(gray().convert("P"), "PNG"),
    "interlaced 16-bit png": lambda: encoded(sixteen_bit(), "PNG"),
    "gray tiff": lambda: encoded(gray(), "TIFF"),
    "lzw tiff": lambda: encoded(gray(), "TIFF", compression="tiff_lzw"),
    "deflate tiff": lambda: encoded(gray(), "TIFF", compression="tiff_adobe_deflate"),
    "rgb tiff": lambda: encoded(gray().convert("RGB"), "TIFF"),
    "16-bit tiff": lambda: encoded(sixteen_bit(), "TIFF"),
    "32-bit integer tiff": lambda: encoded(Image.fromarray(RAMP.astype(np.int32) * 1000), "TIFF"),
    "float tiff": lambda: encoded(Image.fromarray(RAMP.astype(np.float32) / 255), "TIFF"),
    "two-page tiff": lambda: encoded(gray(), "TIFF", save_all=True, append_images=[Image.new("L", (5, 5))]),
}


@pytest.mark.parametrize("name", GOOD)
def test_good_images_show_the_same_ramp(name: str) -> None:
    pixels = decode(GOOD[name]())
    assert isinstance(pixels, np.ndarray), pixels
    assert pixels.dtype == np.uint8
    assert pixels.shape == (HEIGHT, WIDTH)
    assert np.abs(pixels.astype(int) - RAMP).max() <= 12


def test_one_bit_image_is_black_and_white() -> None:
    pixels = decode(encoded(Image.fromarray(RAMP > 127), "PNG"))
    assert isinstance(pixels, np.ndarray)
    assert set(np.unique(pixels)) == {0, 255}


def test_positions_refer_to_the_stored_pixels() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn by 90 degrees"
    pixels = decode(encoded(gray(), "JPEG", exif=exif))
    assert isinstance(pixels, np.ndarray)
    assert pixels.shape == (HEIGHT, WIDTH)


def png_of(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


JPEG = GOOD["gray jpeg"]
NOT_A_NUMBER = np.full((HEIGHT, WIDTH), np.nan, np.float32)
BAD: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "empty": (lambda: b"", UNREADABLE, "empty"),
    "one byte": (lambda: b"\xff", UNREADABLE, "not a JPEG"),
    "text": (lambda: b"404 page not found\n" * 10, UNREADABLE, "not a JPEG"),
    "html": (lambda: b"<html><body>AccessDenied</body></html>", UNREADABLE, "not a JPEG"),
    "zeros": (lambda: b"\0" * 50_000, UNREADABLE, "not a JPEG"),
    "jpeg cut in its header": (lambda: JPEG()[:100], UNREADABLE, ""),
    "jpeg cut in its middle": (lambda: JPEG()[: len(JPEG()) // 2], UNREADABLE, "truncated"),
    "jpeg without its last kilobyte": (lambda: JPEG()[:-1024], UNREADABLE, "truncated"),
    "png cut in its middle": (lambda: (data := GOOD["gray png"]())[: len(data) // 2], UNREADABLE, ""),
    "png with a wrong checksum": (lambda: GOOD["gray png"]()[:-20] + b"\0" * 20, UNREADABLE, ""),
    "tiff cut in its middle": (lambda: GOOD["gray tiff"]()[:4000], UNREADABLE, ""),
    "lzw tiff cut in its middle": (lambda: GOOD["lzw tiff"]()[:500], UNREADABLE, ""),
    "tiff with garbage tags": (lambda: b"II*\0\x08\0\0\0\xff\xff" + b"\xee" * 200, UNREADABLE, ""),
    "too low": (lambda: encoded(Image.new("L", (500, 91)), "PNG"), UNSUPPORTED, "500x91"),
    "too narrow": (lambda: encoded(Image.new("L", (1, 500)), "JPEG"), UNSUPPORTED, "at least 92"),
    "bomb": (lambda: png_of(60_000, 60_000), UNSUPPORTED, "decompression bomb"),
    "smaller bomb": (lambda: png_of(9_000, 9_000), UNSUPPORTED, "9000x9000"),
    "gif": (lambda: encoded(gray(), "GIF"), UNSUPPORTED, "GIF"),
    "bmp": (lambda: encoded(gray(), "BMP"), UNSUPPORTED, "BMP"),
    "avif": (lambda: imagecodecs.avif_encode(RAMP), UNSUPPORTED, "AVIF"),
    "heif": (lambda: b"\0\0\0\x18ftypheic" + b"\0" * 12, UNSUPPORTED, "HEIF"),
    "netpbm": (lambda: encoded(gray(), "PPM"), UNSUPPORTED, "Netpbm"),
    "pdf": (lambda: b"%PDF-1.7\n", UNSUPPORTED, "PDF"),
    "not a number": (lambda: encoded(Image.fromarray(NOT_A_NUMBER), "TIFF"), UNSUPPORTED, "finite"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_images_are_refused_with_a_reason(name: str) -> None:
    make, status, reason = BAD[name]
    answer = decode(make())
    assert isinstance(answer, Refusal), "accepted"
    assert answer.status == status, answer
    assert reason in answer.reason
    assert answer.reason
    assert "\n" not in answer.reason


def test_too_small_images_still_tell_their_size() -> None:
    answer = decode(encoded(Image.new("L", (500, 91)), "PNG"))
    assert isinstance(answer, Refusal)
    assert (answer.height, answer.width) == (91, 500)


def test_no_bytes_make_it_raise() -> None:
    rng = np.random.default_rng(3)
    seeds = [make() for make in GOOD.values()]
    for _ in range(300):
        data = bytearray(seeds[rng.integers(len(seeds))])
        for position in rng.integers(0, len(data), rng.integers(1, 30)):
            data[position] = rng.integers(256)
        assert isinstance(decode(bytes(data[: rng.integers(1, len(data) + 1)])), np.ndarray | Refusal)

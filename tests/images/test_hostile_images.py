"""Images made by an enemy: each costs a row, never a scan, much memory or much time."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin

from crater_ray.images.bounds import MAX_PIXELS, MAX_SCANS
from crater_ray.images.decode import decode
from crater_ray.images.status import UNREADABLE, UNSUPPORTED, Refusal
from crater_ray.network.stardust import RECEPTIVE_FIELD
from tests.images.decoded_alone import decoded_alone
from tests.images.test_decode import GOOD, RAMP, png_of

quickly = settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def tifffile_of(pixels: np.ndarray, **how: Any) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, pixels, metadata=None, **how)
    return out.getvalue()


DEEP = RAMP.astype(np.uint16) * 16
SOUND: dict[str, Callable[[], bytes]] = GOOD | {
    "tiff in tiles": lambda: tifffile_of(DEEP, tile=(32, 48), byteorder=">", compression="lzw", predictor=2),
    "bigtiff of zstd": lambda: tifffile_of(DEEP, bigtiff=True, compression="zstd", rowsperstrip=20),
    "tiff of lzma": lambda: tifffile_of(DEEP, compression="lzma"),
    "tiff of packbits": lambda: tifffile_of(RAMP, compression="packbits", rowsperstrip=9),
    "tiff around jpegs": lambda: tifffile_of(RAMP, compression="jpeg", tile=(64, 64)),
    "tiff around jpeg 2000": lambda: tifffile_of(DEEP, compression="jpeg2000"),
    "tiff around pngs": lambda: tifffile_of(RAMP, compression="png", rowsperstrip=50),
    "tiff of colours in planes": lambda: tifffile_of(np.stack([DEEP] * 3), photometric="rgb", planarconfig="separate"),
    "16-bit colour png": lambda: imagecodecs.png_encode(np.stack([DEEP] * 3, 2)),
    "12-bit jpeg": lambda: imagecodecs.jpeg_encode(DEEP, bitspersample=12),
}


@cache
def good(name: str) -> bytes:
    return SOUND[name]()


def check_verdict(data: bytes) -> None:
    """Whatever the bytes are: gray pixels of a size that the network takes, or a reason in one printable line."""
    answer = decode(data)
    if isinstance(answer, Refusal):
        assert answer.status in (UNREADABLE, UNSUPPORTED)
        assert answer.reason
        assert answer.reason.isprintable()
    else:
        assert answer.dtype == np.uint8
        assert min(answer.shape) >= RECEPTIVE_FIELD
        assert answer.size <= MAX_PIXELS


@quickly
@given(st.data())
def test_damaged_images_of_every_kind_get_a_verdict(data: st.DataObject) -> None:
    image = bytearray(good(data.draw(st.sampled_from(sorted(SOUND)))))
    # The first bytes decide how the rest is understood, so they are hit as often as all others together.
    place = st.integers(0, min(200, len(image) - 1)) | st.integers(0, len(image) - 1)
    for position, value in data.draw(st.lists(st.tuples(place, st.integers(0, 255)), max_size=20)):
        image[position] = value
    if data.draw(st.booleans()):
        del image[data.draw(place) :]
    elif data.draw(st.booleans()):
        start = data.draw(place)
        image[start:start] = image[data.draw(place) :][: data.draw(st.integers(0, 2_000))]
    check_verdict(bytes(image))


@quickly
@given(
    st.sampled_from([b"\xff\xd8\xff\xe1", b"\x89PNG\r\n\x1a\n", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"II+\0", b""]),
    st.binary(max_size=400),
)
@example(b"", b"\x1b]0;title\x07" * 3)
def test_bytes_that_begin_like_an_image_get_a_verdict(magic: bytes, rest: bytes) -> None:
    check_verdict(magic + rest)


def tiff(entries: list[tuple[int, int, int, bytes]], beyond: bytes = b"", following: int = 0) -> bytes:
    """A little-endian TIFF of one directory: (tag, type, count, 4 bytes), then what offsets point to."""
    body = b"".join(struct.pack("<HHI", tag, kind, count) + value for tag, kind, count, value in sorted(entries))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + body + struct.pack("<I", following) + beyond


def long(value: int) -> bytes:
    return struct.pack("<I", value)


def gray_tiff(width: int, height: int, **more: int) -> list[tuple[int, int, int, bytes]]:
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 400, 277: 1, 278: height, 279: width * height}
    tags |= {int(tag.removeprefix("t")): value for tag, value in more.items()}
    return [(tag, 4, 1, long(value)) for tag, value in tags.items()]


def tiff_of_many_frames(frames: int) -> bytes:
    """Sound first frame, then a chain of directories with nothing in them; the last one leads back to the first."""
    first = tiff(gray_tiff(100, 100), bytes(300 + 100 * 100))
    start = len(first)
    empty = b"".join(
        struct.pack("<HHHI4sI", 1, 256, 4, 1, long(100), start + 18 * (n + 1) if n < frames - 1 else 8)
        for n in range(frames)
    )
    at = 8 + 2 + 12 * 9
    return first[:at] + long(start) + first[at + 4 :] + empty


def tiff_with_tags_that_share_their_data() -> bytes:
    """65,000 tags, each of which claims the same megabyte."""
    shared = 10 + 12 * 65_000
    entries = gray_tiff(100, 100, t273=shared)
    entries += [(tag, 7, 1_000_000, long(shared)) for tag in range(400, 65_400 - len(entries))]
    return tiff(entries, bytes(1_100_000))


def jpeg_with_exif_that_shares_its_data() -> bytes:
    """EXIF in many segments that together make one directory of many tags, each with all of it as its value."""
    entries = [(tag, 7, 1_000_000, long(8)) for tag in range(400, 60_000)]
    exif = tiff(entries, bytes(1_000_000))
    pieces = [exif[start : start + 65_000] for start in range(0, len(exif), 65_000)]
    segments = b"".join(b"\xff\xe1" + struct.pack(">H", len(piece) + 8) + b"Exif\0\0" + piece for piece in pieces)
    image = good("gray jpeg")
    return image[:2] + segments + image[2:]


def png_with_texts_that_unpack() -> bytes:
    """A sound image behind texts and a colour profile of a gigabyte each."""
    image = good("gray png")
    packed = zlib.compress(bytes(100_000_000))

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    extra = chunk(b"iCCP", b"p\0\0" + packed) + chunk(b"zTXt", b"t\0\0" + packed)
    return image[:33] + extra + image[33:]


def jpeg_of(width: int, height: int) -> bytes:
    image = bytearray(good("gray jpeg"))
    frame = image.index(b"\xff\xc0")
    image[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(image)


def jpeg_of_many_scans() -> bytes:
    image = good("progressive jpeg")
    last, end = image.rindex(b"\xff\xda"), image.rindex(b"\xff\xd9")
    return image[:last] + image[last:end] * 20_000 + image[end:]


def tiff_of_a_packed_gigabyte() -> bytes:
    """A small picture whose strips each unpack to a hundred megabytes."""
    packed = zlib.compress(bytes(100_000_000))
    strips = struct.pack("<10I", *range(2_000, 2_000 + 10 * len(packed), len(packed)))
    lengths = struct.pack("<10I", *[len(packed)] * 10)
    entries = [entry for entry in gray_tiff(100, 100, t259=8, t278=10) if entry[0] not in (273, 279)]
    entries += [(273, 4, 10, long(400)), (279, 4, 10, long(500))]
    head = tiff(entries).ljust(400, b"\0") + strips.ljust(100, b"\0") + lengths
    return head.ljust(2_000, b"\0") + packed * 10


def tiff_of_strips_that_share_their_data() -> bytes:
    """Ninety thousand strips, each of which claims the same ten megabytes."""
    count = 90_000
    entries = [entry for entry in gray_tiff(100, count, t259=8, t278=1) if entry[0] not in (273, 279)]
    entries += [(273, 4, count, long(400)), (279, 4, count, long(400 + 4 * count))]
    places = struct.pack("<I", 8) * count + struct.pack("<I", 10_000_000) * count
    return tiff(entries).ljust(400, b"\0") + places + bytes(10_000_000)


def tiff_around(image: bytes, compression: int) -> bytes:
    """A picture of 100x100 px, in whose only strip there is an image file of another size."""
    return tiff(gray_tiff(100, 100, t259=compression, t279=len(image))).ljust(400, b"\0") + image


def jpeg_2000_of(side: int) -> bytes:
    """The beginning of a codestream, which claims so many pixels in each direction."""
    size = struct.pack(">HHHIIIIIIIIHBBB", 0xFF51, 41, 0, side, side, 0, 0, side, side, 0, 0, 1, 7, 1, 1)
    return b"\xff\x4f" + size + bytes(2_000)


def tiff_with_a_ring_of_pages() -> bytes:
    """Two sound pages that each name the other as the next."""
    first = tiff(gray_tiff(100, 100), bytes(300 + 100 * 100))
    start = len(first)
    second = tiff(gray_tiff(100, 100), following=8)[8:]
    at = 8 + 2 + 12 * 9
    return first[:at] + long(start) + first[at + 4 :] + second


def tiff_of_many_names() -> bytes:
    """Four thousand times the same tag, each with a description of a megabyte; tifffile would read them all."""
    entries = gray_tiff(100, 100, t273=60_000)
    entries += [(270, 2, 1_000_000, long(60_000))] * 4_000
    return tiff(entries).ljust(60_000, b"\0") + b"x" * 1_100_000


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "png of 3.6 gigapixels": (lambda: png_of(60_000, 60_000), UNSUPPORTED),
    "png of 72 megapixels": (lambda: png_of(8_000, 9_000), UNSUPPORTED),
    "jpeg of 4 gigapixels": (lambda: jpeg_of(65_500, 65_500), UNSUPPORTED),
    "tiff of 4 gigapixels": (lambda: tiff(gray_tiff(65_000, 65_000, t259=8), bytes(1_000)), UNSUPPORTED),
    "tiff of exapixels": (lambda: tiff(gray_tiff(2**31 - 1, 2**31 - 1, t279=10), bytes(1_000)), UNSUPPORTED),
    "tiff with a gigantic tile": (
        lambda: tiff(gray_tiff(100, 100, t259=8, t322=60_000, t323=60_000, t324=400, t325=900), bytes(1_000)),
        UNSUPPORTED,
    ),
    "tiff of a million frames": (lambda: tiff_of_many_frames(1_000_000), "ok"),
    "tiff with tags that share their data": (tiff_with_tags_that_share_their_data, ""),
    "tiff of strips that unpack": (tiff_of_a_packed_gigabyte, UNREADABLE),
    "tiff of strips that share their data": (tiff_of_strips_that_share_their_data, UNSUPPORTED),
    "tiff around a jpeg of 4 gigapixels": (lambda: tiff_around(jpeg_of(65_500, 65_500), 7), UNREADABLE),
    "tiff around a png of 3.6 gigapixels": (lambda: tiff_around(png_of(60_000, 60_000), 34933), UNREADABLE),
    "tiff around a jpeg 2000 of 9 gigapixels": (lambda: tiff_around(jpeg_2000_of(95_000), 34712), UNREADABLE),
    "tiff around a jpeg of 20,000 scans": (lambda: tiff_around(jpeg_of_many_scans(), 7), UNSUPPORTED),
    "tiff of 64 million tiles": (lambda: tiff(gray_tiff(8_000, 8_000, t322=1, t323=1, t324=400)), UNSUPPORTED),
    "tiff of many samples": (lambda: tiff(gray_tiff(8_000, 8_000, t277=60_000, t279=10), bytes(900)), UNSUPPORTED),
    "tiff with a ring of pages": (tiff_with_a_ring_of_pages, "ok"),
    "tiff of many names": (tiff_of_many_names, "ok"),
    "jpeg with EXIF that shares its data": (jpeg_with_exif_that_shares_its_data, ""),
    "png with texts that unpack": (png_with_texts_that_unpack, ""),
    "jpeg of 20,000 scans": (jpeg_of_many_scans, UNSUPPORTED),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_before_they_take_memory_or_time(name: str, tmp_path: Path) -> None:
    make, status = BOMBS[name]
    data = make()
    (tmp_path / "bomb").write_bytes(data)
    said, megabytes, seconds = decoded_alone(tmp_path / "bomb")
    assert said == status or not status, said
    assert megabytes < 60 + 3 * len(data) // 2**20, "decoding it took memory that it should not"
    assert seconds < 20, "decoding it took processor time that it should not"


def test_many_scans_are_counted_and_few_are_fine() -> None:
    answer = decode(jpeg_of_many_scans())
    assert isinstance(answer, Refusal)
    assert f"more than {MAX_SCANS}" in answer.reason
    assert isinstance(decode(good("progressive jpeg")), np.ndarray)


def test_turned_tiff_is_scored_as_stored() -> None:
    out = io.BytesIO()
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[0x0112] = 6  # "turn by 90 degrees"
    Image.fromarray(np.zeros((110, 130), np.uint8)).save(out, "TIFF", tiffinfo=tags)
    pixels = decode(out.getvalue())
    assert isinstance(pixels, np.ndarray)
    assert pixels.shape == (110, 130)


def test_jpeg_whose_end_marker_comes_early_is_noticed() -> None:
    image = good("gray jpeg")
    middle = len(image) // 2
    cut = image[:middle].rstrip(b"\xff") + b"\xff\xd9" + image[middle + 2 :]
    answer = decode(cut)
    assert isinstance(answer, Refusal)
    assert answer.status == UNREADABLE
    assert "lower part is missing" in answer.reason
    padded = image + bytes(512)  # padding behind a sound image is common
    assert isinstance(decode(padded), np.ndarray)

"""Every layout that tifffile writes equals what it reads and shows the same picture, or is refused and says why."""

from __future__ import annotations

import io
from itertools import product
from typing import Any

import numpy as np
import pytest
import tifffile

from crater_ray.images.colour import to_gray
from crater_ray.images.decode import decode
from crater_ray.images.status import UNSUPPORTED, Refusal
from crater_ray.images.tiff import samples_of
from crater_ray.images.tiff_directory import Tiff
from tests.images.test_hostile_images import gray_tiff, long, tiff

HEIGHT, WIDTH = 96, 112
ROWS, COLUMNS = np.mgrid[:HEIGHT, :WIDTH]
PICTURE = (
    125 + 70 * np.sin(COLUMNS / 9) + 40 * np.cos(ROWS / 7) + np.random.default_rng(5).normal(0, 3, ROWS.shape)
).clip(1, 254)
PICTURE = PICTURE.astype(np.uint8)
PICTURE[0, :2] = 0, 255

DEEP: dict[str, np.ndarray] = {
    "u2": PICTURE.astype("u2") * 16,
    "u4": PICTURE.astype("u4") * 10_000_000,
    "u8": PICTURE.astype("u8") * 10**12 + 2**60,
    "i1": (PICTURE // 2).astype("i1") - 64,
    "i2": PICTURE.astype("i2") * 100 - 12_000,
    "i4": PICTURE.astype("i4") * 8_000_000 - 10**9,
    "i8": PICTURE.astype("i8") * 10**12 - 2**60,
    "f2": (PICTURE / 255).astype("f2"),
    "f4": (PICTURE / 255).astype("f4"),
    "f8": PICTURE * 1e-3 + 1e6,
}
TYPES = {"u1": PICTURE} | DEEP
LOSSLESS = (None, "lzw", "deflate", "packbits", "zstd", "lzma")
OTHER = ("jpeg", "jpeg2000", "png", "webp", "jpegxl", "jpegxr", "lerc")
NOT_READ = {"webp", "jpegxl", "jpegxr", "lerc"}


def written(pixels: np.ndarray, **options: Any) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, pixels, metadata=None, **options)
    return out.getvalue()


def arranged(gray: np.ndarray, photometric: str, planar: str) -> tuple[np.ndarray, dict[str, Any]]:
    """The picture as the samples of a layout, and how to write them."""
    if photometric == "minisblack":
        return gray, {"photometric": "minisblack"}
    if photometric == "miniswhite":
        negative = -gray if gray.dtype.kind == "f" else np.invert(gray)
        return negative, {"photometric": "miniswhite"}
    axis = 2 if planar == "contig" else 0
    if photometric == "rgb":
        return np.stack([gray] * 3, axis), {"photometric": "rgb", "planarconfig": planar}
    alpha = np.stack([gray, np.full_like(gray, gray.max())], axis)
    return alpha, {"photometric": "minisblack", "planarconfig": planar, "extrasamples": ["unassalpha"]}


def check(data: bytes, planar: str, tolerance: int) -> None:
    """Samples as tifffile reads them, and gray levels as those of the picture."""
    theirs = tifffile.imread(io.BytesIO(data))
    if theirs.ndim == 3 and planar == "separate":
        theirs = np.moveaxis(theirs, 0, 2)
    (directory,) = Tiff(data).directories()
    assert directory is not None
    samples = samples_of(data, directory)
    assert np.array_equal(samples.values, theirs.reshape(HEIGHT, WIDTH, -1))
    pixels = to_gray(samples)
    assert pixels is not None
    assert np.abs(pixels.astype(int) - PICTURE).max() <= tolerance


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite", "rgb", "alpha"])
def test_layouts_without_loss_equal_what_tifffile_reads(kind: str, photometric: str) -> None:
    predictor = 3 if kind[0] == "f" else 2
    planars = ("contig", "separate") if photometric in ("rgb", "alpha") else ("contig",)
    for planar, order, big in product(planars, "<>", (False, True)):
        pixels, how = arranged(TYPES[kind], photometric, planar)
        # What unpacks the bytes knows nothing of their order; two of the compressions go through all the rest.
        compressions = LOSSLESS if (order, big) == ("<", False) else (None, "deflate")
        for compression, tile in product(compressions, (None, (32, 48))):
            shape = {"tile": tile} if tile else {"rowsperstrip": 17}
            predictors = (None, predictor) if compression in ("lzw", "deflate") and kind != "f8" else (None,)
            for some in predictors:
                data = written(
                    pixels, byteorder=order, bigtiff=big, compression=compression, predictor=some, **shape, **how
                )
                check(data, planar, 1)


@pytest.mark.parametrize("compression", OTHER)
def test_images_within_tiffs_are_read_or_refused_by_name(compression: str) -> None:
    for kind, tile in product(("u1", "u2"), (None, (32, 48))):
        if kind == "u2" and compression in ("webp", "jpeg"):
            continue  # tifffile does not write them
        pixels = np.stack([PICTURE] * 3, 2) if compression == "webp" else TYPES[kind]
        data = written(pixels, compression=compression, **({"tile": tile} if tile else {"rowsperstrip": 16}))
        if compression in NOT_READ:
            answer = decode(data)
            assert isinstance(answer, Refusal)
            assert answer.status == UNSUPPORTED
            assert "compressed as" in answer.reason
        else:
            check(data, "contig", 8 if compression == "jpeg" else 1)


@pytest.mark.parametrize("bits", range(1, 17))
def test_packed_bits_keep_their_levels(bits: int) -> None:
    most = 2**bits - 1
    levels = (PICTURE.astype(np.uint32) * most // 255).astype(np.uint8 if bits <= 8 else np.uint16)
    if bits == 1:
        levels = levels.astype(bool)
    for photometric, order in product(("minisblack", "miniswhite"), "<>"):
        if order == ">" and 8 < bits < 16:
            continue  # tifffile 2026.3 writes those without their last bits
        pixels = levels if photometric == "minisblack" else (~levels if bits == 1 else most - levels)
        shown = decode(written(pixels, bitspersample=bits, photometric=photometric, byteorder=order))
        assert isinstance(shown, np.ndarray), shown
        assert np.abs(shown - levels * (255 / most)).max() <= 1


PERMUTATION = np.random.default_rng(0).permutation(256)
RAMP = np.stack([np.arange(256)] * 3).astype(np.uint16)
PALETTES: dict[str, tuple[np.ndarray, np.ndarray]] = {
    "of 16 bits": (PICTURE, RAMP * 257),
    "of 8 bits": (PICTURE, RAMP),
    "of 12 bits": (PICTURE, RAMP * 16),
    "of 10 bits in another order": (np.argsort(PERMUTATION)[PICTURE].astype(np.uint8), (RAMP * 4)[:, PERMUTATION]),
    "in another order": (np.argsort(PERMUTATION)[PICTURE].astype(np.uint8), (RAMP * 257)[:, PERMUTATION]),
    "of 65,536 colours": (PICTURE.astype(np.uint16) * 256, np.stack([np.arange(65_536)] * 3).astype(np.uint16)),
}


@pytest.mark.parametrize("name", PALETTES)
def test_colour_maps_of_every_kind(name: str) -> None:
    pixels, colours = PALETTES[name]
    for order in "<>":
        shown = decode(written(pixels, photometric="palette", colormap=colours, byteorder=order))
        assert isinstance(shown, np.ndarray), shown
        assert np.array_equal(shown, PICTURE)


WHITE = np.full_like(PICTURE, 255)
COLOURS: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "cmyk": (np.stack([WHITE * 0] * 3 + [255 - PICTURE], 2), {"photometric": "separated"}),
    "cmyk of 16 bits": (np.stack([0 * DEEP["u2"]] * 3 + [65_535 - DEEP["u2"]], 2), {"photometric": "separated"}),
    "cielab": (np.stack([PICTURE, WHITE // 2, WHITE // 2], 2), {"photometric": "cielab"}),
    "ycbcr": (np.stack([PICTURE, WHITE // 2 + 1, WHITE // 2 + 1], 2), {"photometric": "ycbcr"}),
    "rgba": (np.stack([PICTURE] * 3 + [WHITE], 2), {"photometric": "rgb", "extrasamples": ["assocalpha"]}),
}


@pytest.mark.parametrize("name", COLOURS)
def test_other_colours_become_gray(name: str) -> None:
    pixels, how = COLOURS[name]
    for order, compression in product("<>", (None, "deflate")):
        shown = decode(written(pixels, byteorder=order, compression=compression, **how))
        assert isinstance(shown, np.ndarray), shown
        assert np.array_equal(shown, PICTURE)


REFUSED: dict[str, tuple[np.ndarray, dict[str, Any], str]] = {
    "complex numbers": (PICTURE.astype(np.complex64), {}, "complex64"),
    "five planes": (
        np.stack([PICTURE] * 5),
        {"photometric": "minisblack", "planarconfig": "separate"},
        "save them as pages",
    ),
    "a volume": (np.stack([PICTURE] * 16), {"volumetric": True, "tile": (16, 16, 16)}, "volume"),
    "a colour mosaic": (PICTURE, {"photometric": "cfa"}, "colour mosaic"),
    "a mask": (PICTURE > 100, {"photometric": "mask"}, "mask"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_picture_is_refused_by_name(name: str) -> None:
    pixels, how, reason = REFUSED[name]
    answer = decode(written(pixels, **how))
    assert isinstance(answer, Refusal)
    assert answer.status == UNSUPPORTED
    assert reason in answer.reason


@pytest.mark.parametrize("order", "<>")
def test_integers_of_24_bits_and_uneven_colours_are_refused_by_name(order: str) -> None:
    wide = (PICTURE.astype(f"{order}u4") * 60_000).view("u1").reshape(HEIGHT, WIDTH, 4)
    tags = gray_tiff(WIDTH, HEIGHT, t258=24, t279=3 * PICTURE.size)
    data = tiff(tags).ljust(400, b"\0") + np.ascontiguousarray(wide[..., :3]).tobytes()
    answer = decode(data)
    assert isinstance(answer, Refusal)
    assert (answer.status, "24 bits" in answer.reason) == (UNSUPPORTED, True), answer
    for bits in ((5, 6, 5), (5, 5, 5)):
        red, green, blue = (PICTURE.astype(np.uint16) >> 8 - some for some in bits)
        packed = (red << bits[1] + bits[2] | green << bits[2] | blue).astype(f"{order}u2")
        entries = [
            entry for entry in gray_tiff(WIDTH, HEIGHT, t262=2, t277=3, t279=2 * PICTURE.size) if entry[0] != 258
        ]
        entries.append((258, 3, 3, long(390)))
        data = tiff(entries).ljust(390, b"\0") + np.array(bits, "<u2").tobytes().ljust(10, b"\0") + packed.tobytes()
        answer = decode(data)
        assert isinstance(answer, Refusal)
        assert (answer.status, f"{'+'.join(map(str, bits))} bits" in answer.reason) == (UNSUPPORTED, True), answer


WITHOUT = {"lengths": 279, "rows of a strip": 278, "a photometric interpretation": 262, "a compression": 259}
WRONG = {"lengths of 0": (279, 0), "short lengths": (279, 5), "lengths beyond the file": (279, 10**9)}
WRONG |= {"more rows in a strip than in all": (278, 10**6), "planes of one sample": (284, 2)}
WRONG |= {"undeclared numbers": (339, 4)}


@pytest.mark.parametrize("name", [*WITHOUT, *WRONG])
def test_directories_that_are_written_carelessly_are_understood(name: str) -> None:
    tag, value = WRONG.get(name, (WITHOUT.get(name, 0), 0))
    entries = [entry for entry in gray_tiff(WIDTH, HEIGHT) if entry[0] != tag]
    if name in WRONG:
        entries.append((tag, 4, 1, long(value)))
    shown = decode(tiff(entries).ljust(400, b"\0") + PICTURE.tobytes())
    assert isinstance(shown, np.ndarray), shown
    assert np.array_equal(shown, PICTURE)


def test_colours_without_a_photometric_interpretation_are_colours() -> None:
    entries = [entry for entry in gray_tiff(WIDTH, HEIGHT, t277=3, t279=3 * PICTURE.size) if entry[0] != 262]
    shown = decode(tiff(entries).ljust(400, b"\0") + np.repeat(PICTURE, 3).tobytes())
    assert isinstance(shown, np.ndarray), shown
    assert np.array_equal(shown, PICTURE)

"""Deep images keep their gray levels whatever a few extreme pixels are, and features that are real are no extremes."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter

from crater_ray.images.decode import decode
from crater_ray.images.status import UNSUPPORTED, Refusal
from crater_ray.images.stretch import gather, to_eight_bits

HEIGHT, WIDTH = 120, 160
PICTURE = gaussian_filter(np.random.default_rng(3).normal(0, 1, (HEIGHT, WIDTH)), 2)
PICTURE = np.rint(255 * (PICTURE - PICTURE.min()) / np.ptp(PICTURE)).astype(np.uint8)
"""The 8-bit twin of all images here."""


def stretched(values: np.ndarray, **more: Any) -> np.ndarray:
    pixels = to_eight_bits(gather(values.copy().__getitem__, *values.shape, **more))
    assert pixels is not None
    return pixels


def with_values(values: np.ndarray, *where: tuple[Any, Any, float]) -> np.ndarray:
    values = values.copy()
    for row, column, value in where:
        values[row, column] = value
    return values


TWELVE, REAL = PICTURE.astype(np.uint16) * 16, PICTURE.astype(np.float32)
HOT = [(5, 7, 65_535), (60, 9, 40_000), (61, 9, 65_535), (119, 159, 65_535)]
EXTREME: dict[str, np.ndarray] = {
    "a hot pixel": with_values(TWELVE, (5, 7, 65_535)),
    "some hot pixels, two of them side by side": with_values(TWELVE, *HOT),
    "a hot pixel that is half as bright again": with_values(TWELVE, (5, 7, 6_200)),
    "a dead pixel": with_values(TWELVE + 30_000, (5, 7, 0)),
    "hot and dead pixels": with_values(TWELVE + 30_000, (5, 7, 0), (9, 9, 65_535)),
    "a hot pixel in 16 bits with a sign": with_values(TWELVE.astype(np.int16) - 2_000, (5, 7, 32_767)),
    "a hot pixel in 32 bits": with_values(TWELVE.astype(np.uint32), (5, 7, 2**32 - 1)),
    "a hot pixel in 64 bits": with_values(TWELVE.astype(np.uint64) + 2**50, (5, 7, 2**64 - 1)),
    "no data as the lowest float": with_values(REAL, (5, 7, np.finfo(np.float32).min)),
    "no data as the highest float": with_values(REAL / 255, (5, 7, np.finfo(np.float32).max)),
    "no data as -9999": with_values(REAL / 255, (5, 7, -9999)),
    "a border without data": with_values(REAL, (slice(0, 20), slice(None), -9999)),
    "one pixel that is not a number": with_values(REAL, (5, 7, np.nan)),
    "infinite pixels": with_values(REAL.astype(np.float64), (5, 7, np.inf), (8, 8, -np.inf)),
    "a half-precision image with a pixel that is not a number": with_values((REAL / 255).astype("f2"), (5, 7, np.nan)),
}


@pytest.mark.parametrize("name", EXTREME)
def test_extreme_pixels_cost_the_others_nothing(name: str) -> None:
    values = EXTREME[name]
    shown = stretched(values)
    same = np.abs(shown.astype(int) - PICTURE) <= 1
    assert np.count_nonzero(~same[20:]) <= 4
    assert np.count_nonzero(~same) <= (20 * WIDTH + 4 if "border" in name else 4)


def test_what_the_file_names_as_no_data_is_left_aside() -> None:
    values = with_values(TWELVE.astype(np.int16), (slice(0, 20), slice(0, 30), -300))
    out = io.BytesIO()
    tifffile.imwrite(out, values, metadata=None, extratags=[(42113, "s", 0, "-300", True)])
    shown = decode(out.getvalue())
    assert isinstance(shown, np.ndarray)
    assert np.abs(shown[20:].astype(int) - PICTURE[20:]).max() <= 1
    assert np.unique(shown[:20, :30]).tolist() == [int(np.median(shown))]


@pytest.mark.parametrize("kind", ["white", "white in floats", "white without a sign", "colours", "of another type"])
def test_no_data_is_known_by_the_value_that_is_stored(kind: str) -> None:
    whole = TWELVE.astype(np.int16)
    values, value, how = {
        "white": (-whole, -4_500, {"photometric": "miniswhite"}),
        "white in floats": (-REAL, -1_000.5, {"photometric": "miniswhite"}),
        "white without a sign": (65_535 - TWELVE, 0, {"photometric": "miniswhite"}),
        "colours": (np.stack([REAL * 3] * 3, 2), 1_500.3, {"photometric": "rgb"}),
        "of another type": (TWELVE, -9_999, {}),
    }[kind]
    values = values.copy()
    if kind != "of another type":
        values[:20, :30] = value
    out = io.BytesIO()
    tifffile.imwrite(out, values, metadata=None, extratags=[(42113, "s", 0, str(value), True)], **how)
    shown = decode(out.getvalue())
    assert isinstance(shown, np.ndarray)
    assert np.abs(shown[20:].astype(int) - PICTURE[20:]).max() <= 1
    if kind != "of another type":
        assert np.unique(shown[:20, :30]).tolist() == [int(np.median(shown))]


def test_a_bright_speck_on_a_smooth_surface_is_no_extreme() -> None:
    smooth = np.random.default_rng(0).normal(1_000, 20, (HEIGHT, WIDTH))
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    speck = smooth + gaussian_filter(((rows - 60) ** 2 + (columns - 80) ** 2 < 9) * 20_000.0, 0.8)
    shown = stretched(speck.astype(np.uint16))
    linear = np.rint((speck - speck.min()) * 255 / np.ptp(speck))
    assert np.abs(shown - linear).max() <= 1
    assert np.abs(stretched(with_values(speck, (3, 3, 4e6))).astype(int) - shown)[4:].max() <= 1


def test_eight_bits_in_a_wider_type_stay_as_they_are() -> None:
    some = (PICTURE // 2 + 40).astype(np.uint8)
    for kind in ("u2", "i2", "u4", "i8", "f2", "f4", "f8"):
        assert np.array_equal(stretched(some.astype(kind)), some), kind
    assert np.array_equal(stretched(with_values(some.astype("u2"), (5, 7, 65_535)))[6:], some[6:])
    for value in (0, 7):
        assert np.array_equal(stretched(np.full((HEIGHT, WIDTH), value, np.uint16)), np.full((HEIGHT, WIDTH), value))


def test_fractions_keep_all_levels_whatever_their_range() -> None:
    for kind, by in (("f4", 3), ("f8", 7), ("f2", 4)):
        few = with_values(PICTURE.astype(kind) / by, (5, 7, -32_768))
        assert np.abs(stretched(few).astype(int) - PICTURE)[6:].max() <= 1, (kind, by)


def test_large_images_are_stretched_band_by_band_as_small_ones() -> None:
    tall = np.tile(TWELVE, (40, 8))
    for kind in ("u2", "f4", "u8"):
        assert np.array_equal(stretched(tall.astype(kind)), np.tile(PICTURE, (40, 8))), kind


def test_an_image_of_which_nothing_was_measured_is_refused() -> None:
    out = io.BytesIO()
    tifffile.imwrite(out, np.full((HEIGHT, WIDTH), -np.inf, np.float32))
    answer = decode(out.getvalue())
    assert isinstance(answer, Refusal)
    assert answer.status == UNSUPPORTED
    assert "finite" in answer.reason


def tiff(values: np.ndarray, **how: Any) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, values, metadata=None, **how)
    return out.getvalue()


ALPHA = np.full_like(TWELVE, 65_535)
TWELVE_BITS: dict[str, Callable[[], bytes]] = {
    "colour tiff": lambda: tiff(np.stack([TWELVE] * 3, 2), photometric="rgb"),
    "colour tiff with alpha": lambda: tiff(np.stack([TWELVE] * 3 + [ALPHA], 2), photometric="rgb"),
    "gray tiff with alpha": lambda: tiff(np.stack([TWELVE, ALPHA], 2), photometric="minisblack", extrasamples=[2]),
    "packed tiff": lambda: tiff(TWELVE, bitspersample=12),
    "colour png": lambda: imagecodecs.png_encode(np.stack([TWELVE] * 3, 2)),
    "colour png with alpha": lambda: imagecodecs.png_encode(np.stack([TWELVE] * 3 + [ALPHA], 2)),
    "gray png with alpha": lambda: imagecodecs.png_encode(np.stack([TWELVE, ALPHA], 2)),
    "jpeg": lambda: imagecodecs.jpeg_encode(TWELVE, bitspersample=12, level=99),
    "lossless jpeg": lambda: imagecodecs.jpeg_encode(TWELVE, bitspersample=16, lossless=True),
    "jpeg 2000 in tiff": lambda: tiff(TWELVE, compression="jpeg2000"),
    "big-endian bigtiff": lambda: tiff(TWELVE, bigtiff=True, byteorder=">"),
    "big-endian min-is-white tiff": lambda: tiff(65_535 - TWELVE, photometric="miniswhite", byteorder=">"),
}


@pytest.mark.parametrize("name", TWELVE_BITS)
def test_twelve_bits_keep_all_levels_in_every_kind_of_file(name: str) -> None:
    shown = decode(TWELVE_BITS[name]())
    assert isinstance(shown, np.ndarray), shown
    assert np.abs(shown.astype(int) - PICTURE).max() <= 1


@pytest.mark.parametrize("name", ["colour png", "jpeg", "lossless jpeg", "jpeg 2000 in tiff", "colour tiff"])
def test_deep_files_that_are_cut_short_are_unreadable(name: str) -> None:
    data = TWELVE_BITS[name]()
    for length in (len(data) // 2, len(data) - 40):
        answer = decode(data[:length])
        assert isinstance(answer, Refusal)
        assert answer.status == "unreadable"

"""What microscopes say: read from each maker's fields in their units, and left alone where it makes no sense."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import tifffile

from crater_ray.images.bar import FILE
from crater_ray.images.decode import read_picture
from crater_ray.images.instrument import read_instrument
from crater_ray.images.picture import Picture, Reading
from crater_ray.images.quantities import kilovolts, length_nm, magnification
from crater_ray.images.tags import X_RESOLUTION, Tags, read_tags
from tests.images import made_by_microscopes as made
from tests.images.made_bars import draw_bar

RNG = np.random.default_rng(2)
PICTURE = RNG.integers(90, 160, (384, 512), dtype=np.uint8)
WITH_BAR = np.vstack([PICTURE, draw_bar("text", 512)])


def said(data: bytes, sidecar: str | None = None) -> tuple[object, ...]:
    picture = read_picture(data, sidecar=sidecar)
    assert isinstance(picture, Picture)
    found = picture.instrument
    return found.name, found.pixel_nm, found.voltage_kv, found.magnification


def near(*values: object) -> tuple[object, ...]:
    return tuple(pytest.approx(value, rel=1e-4) if isinstance(value, float) else value for value in values)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [False, True])
def test_fei(order: str, bigtiff: bool) -> None:
    for tag in (34680, 34682):
        data = made.tiff(WITH_BAR, tag, made.FEI, byteorder=order, bigtiff=bigtiff)
        found = read_instrument(read_tags(data), None, *WITH_BAR.shape)
        given = found.name, found.pixel_nm, found.voltage_kv, found.magnification
        assert given == near("Helios G4 UX", 2.5, 5.0, 50_000.0)


def test_fei_of_the_other_beam_and_in_the_description() -> None:
    ion = made.FEI.replace("Beam=EBeam", "Beam=IBeam") + "\r\n[IBeam]\r\nHV=30000\r\n"
    assert said(made.tiff(WITH_BAR, 34682, ion))[2] == 30
    described = tifffile_with_description(made.FEI.replace("\r\n", "\n"))
    assert said(described) == near("Helios G4 UX", 2.5, 5.0, 50_000.0)


def test_zeiss() -> None:
    assert said(made.tiff(PICTURE, 34118, made.ZEISS)) == near("Zeiss MERLIN-61-10", 2.791, 5.0, 40_000.0)
    coarse = made.ZEISS.replace("2.791 nm", "1.117 \u00b5m").replace("40.00 K X", "  100 X")
    assert said(made.tiff(PICTURE, 34118, coarse)) == near("Zeiss MERLIN-61-10", 1117.0, 5.0, 100.0)
    assert said(made.tiff(PICTURE, 34118, coarse, encoding="utf-8"))[1] == pytest.approx(1117)
    fine = made.ZEISS.replace("2.791 nm", "558.2 pm")
    assert said(made.tiff(PICTURE, 34118, fine))[1] == pytest.approx(0.5582)


def test_tescan() -> None:
    expected = near("MIRA3 LMH", 41.0, 15.0, 5000.0)
    thumbnail = b"\x00\x01\xff\xd8 a small picture = of some bytes \xff\xd9\x00\x10"
    assert said(made.tiff(WITH_BAR, 50431, made.TESCAN, prefix=thumbnail)) == expected
    assert said(made.tiff(WITH_BAR), made.TESCAN) == expected


def test_hitachi() -> None:
    assert said(made.tiff(PICTURE), made.HITACHI) == near("SU8230", 9.921875, 15.0, 10_000.0)
    assert said(made.tiff(PICTURE), made.HITACHI.replace("15000 Volt", "1.5 kV"))[2] == 1.5


def test_jeol() -> None:
    assert said(made.tiff(PICTURE), made.JEOL) == near("JSM-7800F", 5000 / 180, 15.0, 5000.0)
    assert said(made.tiff(PICTURE), made.JEOL_NEWER)[1] == pytest.approx(25)
    assert said(made.tiff(PICTURE), made.JEOL_NEWER + "$CM_PIXEL_SIZE 24.9nm\n")[1] == pytest.approx(24.9)


def test_phenom() -> None:
    expected = near("Phenom XL", 42.7, 10.0, 6300.0)
    assert said(made.tiff(WITH_BAR, 34683, made.PHENOM)) == expected
    assert said(made.phenom_jpeg(WITH_BAR)) == expected


def test_ome() -> None:
    for size, unit, nm in (
        ("0.05", "", 50),
        ("50", ' PhysicalSizeXUnit="nm"', 50),
        ("5", ' PhysicalSizeXUnit="mm"', 5e6),
    ):
        text = made.OME.format(size=size, unit=unit)
        found = said(tifffile_with_description(text))
        assert found[0] == "GeminiSEM 500"
        assert found[1] == (pytest.approx(nm) if nm < 1e6 else None), "millimetres are no pixels of a microscope"


@pytest.mark.parametrize(
    ("unit", "nm"), [("nm", 1.0), ("um", 1e3), ("micron", 1e3), ("\\u00B5m", 1e3), ("pixel", None)]
)
def test_imagej(unit: str, nm: float | None) -> None:
    data = tifffile_with_description(f"ImageJ=1.53t\nunit={unit}\nmin=0.0\n", resolution=(20, 20))
    assert said(data)[1] == (None if nm is None else pytest.approx(nm / 20))


@pytest.mark.parametrize(
    ("per_unit", "unit", "nm"),
    [
        (300, "INCH", None),
        (1200, "INCH", None),
        (72, "CENTIMETER", None),
        (200_000, "CENTIMETER", 50.0),
        (1, "NONE", None),
    ],
)
def test_resolutions_count_only_where_nothing_is_printed_so_fine(per_unit: int, unit: str, nm: float | None) -> None:
    data = made.tiff(PICTURE, resolution=(per_unit, per_unit), resolutionunit=unit)
    assert said(data)[1] == (None if nm is None else pytest.approx(nm))


def test_an_image_made_smaller_has_larger_pixels_and_one_that_was_cut_has_none_known() -> None:
    assert said(made.tiff(PICTURE[::2, ::2], 34118, made.ZEISS))[1] == pytest.approx(2 * 2.791)
    assert said(made.tiff(PICTURE[:, :300], 34118, made.ZEISS))[1] is None
    assert said(made.tiff(PICTURE[:200], 34118, made.ZEISS))[1] == pytest.approx(2.791)


@pytest.mark.parametrize(
    ("data", "sidecar"),
    [
        (made.tiff(WITH_BAR, 34682, made.FEI), None),
        (made.tiff(WITH_BAR, 34682, made.FEI.replace("DatabarHeight=48", "DatabarHeight=")), None),
        (made.tiff(WITH_BAR, 50431, made.TESCAN), None),
        (made.tiff(WITH_BAR, 34683, made.PHENOM), None),
        (made.tiff(WITH_BAR), made.HITACHI),
        (made.tiff(WITH_BAR), made.JEOL_NEWER),
    ],
    ids=["fei", "thermo", "tescan", "phenom", "hitachi", "jeol"],
)
def test_the_bar_that_the_file_tells_of_is_left_out(data: bytes, sidecar: str | None) -> None:
    picture = read_picture(data, sidecar=sidecar)
    assert isinstance(picture, Picture)
    assert (picture.bar, picture.bar_from) == (48, FILE)
    assert (picture.height, picture.width) == WITH_BAR.shape
    np.testing.assert_array_equal(picture.pixels, PICTURE)


@pytest.mark.parametrize("text", [made.FEI, made.TESCAN.replace("\r\n", "\n")])
def test_a_bar_that_was_cut_off_since_is_not_cut_off_again(text: str) -> None:
    picture = read_picture(made.tiff(PICTURE, 34682 if "[Scan]" in text else 50431, text))
    assert isinstance(picture, Picture)
    assert picture.bar == 0 and picture.pixels.shape == PICTURE.shape


def test_the_pixel_size_that_is_given_counts() -> None:
    picture = read_picture(made.tiff(WITH_BAR, 34682, made.FEI), Reading(pixel_nm=7.5))
    assert isinstance(picture, Picture)
    assert (picture.instrument.pixel_nm, picture.instrument.name) == (7.5, "Helios G4 UX")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\0" * 50,
        "[Scan]\r\nPixelWidth=abc\r\n",
        "[Scan]\r\nPixelWidth=-1e-9",
        "[Scan]\nPixelWidth=5\n",
        "[Scan]\nPixelWidth=inf",
    ],
)
@pytest.mark.parametrize("tag", [34118, 34680, 34682, 34683, 50431])
def test_what_makes_no_sense_says_nothing(tag: int, text: str) -> None:
    assert said(made.tiff(PICTURE, tag, text))[1:] == (None, None, None)


def test_of_a_text_that_is_cut_short_what_is_there_is_read() -> None:
    data = made.tiff(WITH_BAR, 34682, made.FEI)
    begin = data.index(made.FEI[:20].encode())
    assert read_tags(data[: begin + 200]).texts[34682] == made.FEI[:200]


def test_a_resolution_of_another_type_is_none() -> None:
    data = bytearray(made.tiff(PICTURE, resolution=(200_000, 200_000), resolutionunit="CENTIMETER"))
    assert read_tags(bytes(data)).per_cm == 200_000
    entry = data.index(struct.pack("<HH", X_RESOLUTION, 5))
    data[entry + 2] = 12  # a float of 64 bits
    assert read_tags(bytes(data)).per_cm is None


def test_broken_and_hostile_files_say_nothing_and_take_no_time() -> None:
    good = made.tiff(WITH_BAR, 34682, made.FEI)
    for _ in range(300):
        broken = bytearray(good[: RNG.integers(4, 2_000)] if RNG.random() < 0.3 else good)
        for at in RNG.integers(4, min(len(broken), 2_000), 5):
            broken[at] = RNG.integers(0, 256)
        assert isinstance(read_tags(bytes(broken)), Tags)
    for text in (
        "<FeiImage <pixelWidth " * 40_000,
        "<OME <Microscope Model=" * 40_000,
        "[a]\n" * 250_000,
        "$CM_ 1\n" * 140_000,
    ):
        found = read_instrument(Tags({270: text, 34683: text, 34682: text}), text, 384, 512)
        assert found.pixel_nm is None


@pytest.mark.parametrize(
    ("text", "unit", "nm"),
    [
        ("2.791 nm", "m", 2.791),
        ("1.117 \u00b5m", "nm", 1117),
        ("1.117 \u03bcm", "nm", 1117),
        ("3e-009", "m", 3),
        ("8.5 mm", "um", 8.5e6),
        ("5um", "nm", 5000),
        ("12 \u00c5", "nm", 1.2),
        ("5 parsec", "nm", None),
        ("", "nm", None),
        ("0", "nm", None),
    ],
)
def test_lengths(text: str, unit: str, nm: float | None) -> None:
    assert length_nm(text, unit) == (None if nm is None else pytest.approx(nm))


def test_voltages_and_magnifications() -> None:
    assert [kilovolts(text, "v") for text in ("15.00 kV", "15000 Volt", "5000", "-5000", "abc")] == [15, 15, 5, 5, None]
    assert [magnification(text) for text in ("40.00 K X", "100 X", "250", "x")] == [40_000, 100, 250, None]


def tifffile_with_description(text: str, **more: object) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, PICTURE, description=text.encode(), metadata=None, **more)
    return out.getvalue()

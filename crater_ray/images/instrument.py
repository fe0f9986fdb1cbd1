"""What the microscope says of an image, all sources together, for the image as it is now.

What is not there, or makes no sense, is None: no value is better than a wrong one.
"""

from __future__ import annotations

import math
from dataclasses import replace

from crater_ray.images.makers import READERS, SIDECARS, Instrument, fields_of
from crater_ray.images.quantities import NM, length_nm
from crater_ray.images.tags import DESCRIPTION, NOTHING, Tags

SENSIBLE_NM = (1e-3, 1e6)
"""A pixel of a microscope is between a picometre and a millimetre wide."""
FINER_THAN_PRINTERS_NM = 2_000.0
"""Resolutions in cm or inches are mostly those of a printer or a screen; no such thing has finer pixels than this."""


def read_instrument(tags: Tags, sidecar: str | None, height: int, width: int) -> Instrument:
    """What is said of an image.

    Args:
        tags: what was found in its file.
        sidecar: the text file beside it, if there is one.
        height, width: of the image in pixels, its bar included.
    """
    said = Instrument()
    if sidecar is None and tags == NOTHING:  # as of nearly all JPEGs
        return said
    for code, read in READERS.items():
        if code in tags.texts:
            said = _together(said, read(tags.texts[code]))
    if sidecar:
        for marker, read in SIDECARS.items():
            if marker in sidecar:
                said = _together(said, read(sidecar))
    if said.pixel_nm is None:
        said = replace(said, pixel_nm=_of_resolution(tags))
    return _sensible(said, height, width)


def _of_resolution(tags: Tags) -> float | None:
    """Width of a pixel in nm by the file's resolution: in ImageJ's unit, or finer than anything is printed."""
    text = tags.texts.get(DESCRIPTION, "")
    if text.startswith("ImageJ="):
        unit = fields_of(text).get("unit", "").replace("\\u00B5", "u")
        return length_nm(f"{1 / tags.per_unit} {unit}", None) if tags.per_unit and unit else None
    if not tags.per_cm:
        return None
    pixel = NM["cm"] / tags.per_cm
    return pixel if pixel < FINER_THAN_PRINTERS_NM else None


def _together(one: Instrument, other: Instrument) -> Instrument:
    """What one says, and what only the other does."""
    missing = {name: value for name, value in vars(other).items() if getattr(one, name) is None}
    return replace(one, **missing)


def _sensible(said: Instrument, height: int, width: int) -> Instrument:
    """Without values that cannot be, and with the size of a pixel of this image, which may have been scaled since."""
    pixel = _within(said.pixel_nm, *SENSIBLE_NM)
    if pixel is not None and said.size and said.size[1] != width:
        across, with_bar = said.size[1] / width, said.size[0] + (said.bar_rows or 0)
        scaled = any(math.isclose(across, rows / height, rel_tol=0.02) for rows in (said.size[0], with_bar))
        pixel = pixel * across if scaled else None  # cut or turned: the size may still be true, or may not
    return replace(
        said,
        name=" ".join(said.name.split())[:100] or None if said.name else None,
        pixel_nm=pixel,
        voltage_kv=_within(said.voltage_kv, 1e-3, 2e3),
        magnification=_within(said.magnification, 1e-1, 1e8),
    )


def _within(value: float | None, low: float, high: float) -> float | None:
    return value if value is not None and low <= value <= high else None

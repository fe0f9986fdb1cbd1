"""The texts in an image file in which microscopes say what they did: TIFF tags, and XML in other files; bounded."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any

MAX_TEXT = 1_000_000
"""Bytes of a text; what is longer is no microscope's."""
ENDS = 65_536
"""Bytes at either end of a file that is not TIFF, where a text may stand."""

DESCRIPTION, X_RESOLUTION, RESOLUTION_UNIT = 270, 282, 296
ZEISS, FEI_SFEG, FEI_HELIOS, PHENOM, TESCAN = 34118, 34680, 34682, 34683, 50431
_TEXTS = (DESCRIPTION, ZEISS, FEI_SFEG, FEI_HELIOS, PHENOM, TESCAN)
_PHENOM = (b"<FeiImage", b"</FeiImage>")
_CENTIMETRES = {2: 2.54, 3: 1.0}
"""A TIFF's units of resolution, in cm."""


@dataclass(frozen=True)
class Tags:
    """What was found in a file.

    Attributes:
        texts: by number of TIFF tag.
        per_unit: pixels in one unit of the file's resolution, whatever that is.
        per_cm: pixels in a cm, where the file says that its unit is cm or inch.
    """

    texts: dict[int, str] = field(default_factory=dict)
    per_unit: float | None = None
    per_cm: float | None = None


def read_tags(data: bytes | memoryview) -> Tags:
    """The texts in a file that microscopes write. Never raises for what is in `data`.

    Args:
        data: the whole file.
    """
    try:
        start = bytes(data[:ENDS])
        if start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return _of_tiff(data)
        for part in (start, bytes(data[-ENDS:])):
            begin = part.find(_PHENOM[0])
            end = part.find(_PHENOM[1], begin) if begin >= 0 else -1
            if end >= 0:
                return Tags({PHENOM: part[begin:end].decode("utf-8", "replace")})
    except Exception:  # hostile bytes make parsers raise OSError, ValueError, struct.error, KeyError, ...
        pass
    return Tags()


def _of_tiff(data: bytes | memoryview) -> Tags:
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tags = file.pages.first.tags
        texts = {}
        for number in _TEXTS:
            tag = tags.get(number)
            if tag is not None:
                stop = tag.valueoffset + min(tag.valuebytecount, MAX_TEXT)
                texts[number] = in_words(bytes(data[tag.valueoffset : stop]))
        per_unit = _ratio(tags, X_RESOLUTION)
        unit = tags.get(RESOLUTION_UNIT)
        unit_cm = _CENTIMETRES.get(int(unit.value)) if unit is not None else None
    return Tags(texts, per_unit, per_unit / unit_cm if per_unit and unit_cm else None)


def _ratio(tags: Any, number: int) -> float | None:
    tag = tags.get(number)
    if tag is None or not isinstance(tag.value, tuple) or len(tag.value) != 2:
        return None
    above, below = tag.value
    return above / below if above > 0 and below > 0 else None


def in_words(raw: bytes) -> str:
    """A text that an instrument wrote, of whatever encoding."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", "replace")
    try:
        return raw.decode("utf-8-sig").rstrip("\0")
    except UnicodeDecodeError:
        return raw.decode("latin-1").rstrip("\0")

"""The texts in an image file in which microscopes say what they did: TIFF tags, and XML in other files; bounded."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from crater_ray.images.status import NotRead
from crater_ray.images.tiff_directory import MAGIC, Directory, Tiff

START = 16_384
"""Bytes at the beginning of a file that is not TIFF, where a text may stand."""

DESCRIPTION, X_RESOLUTION, RESOLUTION_UNIT = 270, 282, 296
ZEISS, FEI_SFEG, FEI_HELIOS, PHENOM, TESCAN = 34118, 34680, 34682, 34683, 50431
TEXTS = (DESCRIPTION, ZEISS, FEI_SFEG, FEI_HELIOS, PHENOM, TESCAN)
WANTED = (*TEXTS, X_RESOLUTION, RESOLUTION_UNIT)
_PHENOM = (b"<FeiImage", b"</FeiImage>")
_RATIO = 5
"""The TIFF type of a resolution: two whole numbers of 32 bits."""
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


NOTHING = Tags()
"""Of a file in which no microscope says anything."""


def read_tags(data: bytes | memoryview) -> Tags:
    """The texts in a file that microscopes write. Never raises for what is in `data`.

    Args:
        data: the whole file.
    """
    try:
        start = bytes(data[:START])
        if start[:4] in MAGIC:
            tiff = Tiff(data, WANTED)
            return _of_tiff(tiff.directory_at(tiff.first)[0])
        begin = start.find(_PHENOM[0])
        end = start.find(_PHENOM[1], begin) if begin >= 0 else -1
        if end >= 0:
            return Tags({PHENOM: start[begin:end].decode("utf-8", "replace")})
    except (NotRead, ValueError):  # what it points to is not there
        pass
    return NOTHING


def _of_tiff(directory: Directory) -> Tags:
    """What microscopes write into a TIFF's first directory."""
    per_unit = _ratio(directory)
    centimetres = _CENTIMETRES.get(directory.number(RESOLUTION_UNIT, 0))
    texts = {tag: in_words(directory.fields[tag].data) for tag in TEXTS if tag in directory.fields}
    return Tags(texts, per_unit, per_unit / centimetres if per_unit and centimetres else None)


def _ratio(directory: Directory) -> float | None:
    """Pixels in one unit of the file's resolution."""
    field = directory.fields.get(X_RESOLUTION)
    if field is None or (field.kind, field.count) != (_RATIO, 1):
        return None
    above, below = np.frombuffer(field.data, directory.order + "u4").tolist()
    return above / below if above and below else None


def in_words(raw: bytes) -> str:
    """A text that an instrument wrote, of whatever encoding."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", "replace")
    try:
        return raw.decode("utf-8-sig").rstrip("\0")
    except UnicodeDecodeError:
        return raw.decode("latin-1").rstrip("\0")

"""The texts in an image file in which microscopes say what they did: TIFF tags, and XML in other files; bounded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

MAX_TEXT = 1_000_000
"""Bytes of a text; what is longer is no microscope's."""
MAX_ENTRIES = 4_096
"""Entries of a TIFF directory that are looked at; sound ones have some thirty."""
START = 16_384
"""Bytes at the beginning of a file that is not TIFF, where a text may stand."""

DESCRIPTION, X_RESOLUTION, RESOLUTION_UNIT = 270, 282, 296
ZEISS, FEI_SFEG, FEI_HELIOS, PHENOM, TESCAN = 34118, 34680, 34682, 34683, 50431
TEXTS = (DESCRIPTION, ZEISS, FEI_SFEG, FEI_HELIOS, PHENOM, TESCAN)
WANTED = (*TEXTS, X_RESOLUTION, RESOLUTION_UNIT)
_PHENOM = (b"<FeiImage", b"</FeiImage>")
_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1}
"""Bytes of a value, by TIFF type; of those that texts and resolutions have."""
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
        if start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return _of_tiff(data)
        begin = start.find(_PHENOM[0])
        end = start.find(_PHENOM[1], begin) if begin >= 0 else -1
        if end >= 0:
            return Tags({PHENOM: start[begin:end].decode("utf-8", "replace")})
    except (ValueError, IndexError, OverflowError):  # what it points to is not there
        pass
    return NOTHING


def _of_tiff(data: bytes | memoryview) -> Tags:
    """The tags of a TIFF's or BigTIFF's first directory that microscopes write; nothing else of it is read."""
    order: Literal["<", ">"] = "<" if data[0] == ord("I") else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    width = 8 if big else 4
    wide = f"u{width}"
    place = int.from_bytes(data[width : 2 * width], "little" if order == "<" else "big")
    count = int(np.frombuffer(data, f"{order}u{8 if big else 2}", 1, place)[0])
    layout = [("tag", "u2"), ("kind", "u2"), ("count", wide), ("value", f"V{width}")]
    start, entry = place + (8 if big else 2), np.dtype(layout).newbyteorder(order)
    entries = np.frombuffer(data, entry, min(count, MAX_ENTRIES), start)
    found: dict[int, bytes] = {}
    for number in np.flatnonzero(np.isin(entries["tag"], WANTED)).tolist():
        length = int(entries["count"][number]) * _BYTES.get(int(entries["kind"][number]), 0)
        at = start + (number + 1) * entry.itemsize - width
        if length > width:
            at = int(np.frombuffer(data, order + wide, 1, at)[0])
        found.setdefault(int(entries["tag"][number]), bytes(data[at : at + min(length, MAX_TEXT)]))
    per_unit = _ratio(found.get(X_RESOLUTION, b""), order)
    unit = np.frombuffer(found.get(RESOLUTION_UNIT, b"\0\0"), order + "u2")
    centimetres = _CENTIMETRES.get(int(unit[0])) if len(unit) else None
    texts = {number: in_words(raw) for number, raw in found.items() if number in TEXTS}
    return Tags(texts, per_unit, per_unit / centimetres if per_unit and centimetres else None)


def _ratio(raw: bytes, order: str) -> float | None:
    if len(raw) != 8:
        return None
    above, below = np.frombuffer(raw, order + "u4").tolist()
    return above / below if above and below else None


def in_words(raw: bytes) -> str:
    """A text that an instrument wrote, of whatever encoding."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", "replace")
    try:
        return raw.decode("utf-8-sig").rstrip("\0")
    except UnicodeDecodeError:
        return raw.decode("latin-1").rstrip("\0")

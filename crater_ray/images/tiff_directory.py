"""A TIFF's directories, read within bounds: the tags that are wanted are kept, all else is passed over unread.

Layout as in TIFF 6.0 (Adobe, 1992) and in BigTIFF, which has wider counts and offsets.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from crater_ray.images.bounds import MAX_TEXT
from crater_ray.images.status import NotRead, damaged

MAX_DIRECTORIES = 10_000
"""So many are looked at, however long the chain is."""
MAX_FIELD_BYTES = 32 * 1024 * 1024
"""A field of more is refused; the longest sound ones are the places of very many strips."""
MAX_SUB = 16

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""How TIFF and BigTIFF begin, in either byte order."""
SUBFILE, OLD_SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 255, 256, 257, 258, 259, 262
STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES, PLANAR, COLOUR_MAP = 273, 277, 278, 279, 284, 320
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES, SUB, EXTRA, FORMAT = 322, 323, 324, 325, 330, 338, 339
FILL_ORDER, T4_OPTIONS, T6_OPTIONS, PREDICTOR, JPEG_TABLES, SUBSAMPLING = 266, 292, 293, 317, 347, 530
DEPTH, NO_DATA = 32997, 42113

OF_PIXELS = {WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES, PLANAR}
OF_PIXELS |= {COLOUR_MAP, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES, EXTRA, FORMAT, FILL_ORDER, T4_OPTIONS}
OF_PIXELS |= {T6_OPTIONS, PREDICTOR, JPEG_TABLES, SUBSAMPLING, NO_DATA}
"""The tags that say how pixels are stored."""
OF_PICTURES = OF_PIXELS | {SUBFILE, OLD_SUBFILE, SUB, DEPTH}
"""Those, and the tags that say which pictures a file holds."""
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of a value, by type."""
_NUMBERS = {1: "u1", 3: "u2", 4: "u4", 6: "i1", 8: "i2", 9: "i4", 13: "u4", 16: "u8", 17: "i8", 18: "u8"}
"""NumPy's name of the types that are whole numbers."""


@dataclass(frozen=True)
class Field:
    """One entry of a directory: its TIFF type, how many values, and the bytes of these, in the file's order."""

    kind: int
    count: int
    data: bytes


@dataclass(frozen=True)
class Directory:
    """What a file says of one picture.

    Attributes:
        order: `<` or `>`, the file's byte order.
        big: whether the file is a BigTIFF.
        fields: by tag; only those that are kept.
    """

    order: str
    big: bool
    fields: dict[int, Field]

    def numbers(self, tag: int) -> list[int]:
        """The values of a field of whole numbers; none where it is not there or of another type."""
        field = self.fields.get(tag)
        if field is None or field.kind not in _NUMBERS:
            return []
        values: list[int] = np.frombuffer(field.data, self.order + _NUMBERS[field.kind], field.count).tolist()
        return values

    def number(self, tag: int, default: int) -> int:
        """The first value of a field."""
        numbers = self.numbers(tag)
        return numbers[0] if numbers else default

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in px; zeros where the directory holds no picture."""
        height, width = self.number(HEIGHT, 0), self.number(WIDTH, 0)
        pictured = height > 0 and width > 0 and (STRIP_OFFSETS in self.fields or TILE_OFFSETS in self.fields)
        return (height, width) if pictured else (0, 0)

    @property
    def reduced(self) -> bool:
        """Whether it says of itself that it is a smaller version of another picture."""
        return bool(self.number(SUBFILE, 0) & 1) or self.number(OLD_SUBFILE, 0) == 2

    @property
    def mask(self) -> bool:
        """Whether it only says which pixels of another picture are transparent."""
        return bool(self.number(SUBFILE, 0) & 4) or self.number(PHOTOMETRIC, 1) == 4


class Tiff:
    """The directories of a TIFF file.

    Args:
        data: the file.
        wanted: the tags that are kept.

    Raises:
        NotRead: its header is no TIFF's.
    """

    def __init__(self, data: bytes | memoryview, wanted: Collection[int] = frozenset(OF_PICTURES)) -> None:
        self.data = data
        self._wanted = np.array(sorted(wanted))
        order = {b"II": "<", b"MM": ">"}.get(bytes(data[:2]))
        version = struct.unpack(f"{order}H", data[2:4])[0] if order and len(data) >= 16 else 0
        if order is None or version not in (42, 43):
            raise damaged("a TIFF whose header is damaged, or cut short")
        self.order, self.big = order, version == 43
        if self.big and struct.unpack(f"{order}HH", data[4:8]) != (8, 0):
            raise damaged("a BigTIFF whose header is damaged")
        self.first = struct.unpack(f"{order}Q", data[8:16])[0] if self.big else struct.unpack(f"{order}I", data[4:8])[0]

    def directories(self) -> Iterator[Directory | None]:
        """The chain of directories, each once; None at its end if it leads to where no directory can be."""
        offset = self.first
        seen: set[int] = set()
        while offset and offset not in seen and len(seen) < MAX_DIRECTORIES:
            seen.add(offset)
            try:
                directory, offset = self.directory_at(offset)
            except NotRead:
                if len(seen) == 1:
                    raise
                yield None
                return
            yield directory

    def directory_at(self, offset: int) -> tuple[Directory, int]:
        """The directory that begins there, and where the next one does; 0 for nowhere.

        Raises:
            NotRead: it is damaged.
        """
        count_size, entry_size, link = (8, 20, "Q") if self.big else (2, 12, "I")
        head = self.data[offset : offset + count_size] if offset < len(self.data) else b""
        if len(head) < count_size:
            raise damaged("its directory lies behind the end of the file: the file is cut short, or damaged")
        count = struct.unpack(self.order + ("Q" if self.big else "H"), head)[0]
        start = offset + count_size
        end = start + count * entry_size
        if end > len(self.data) or count > 65_535:
            raise damaged(f"its directory of {count:,} entries goes beyond the end of the file")
        wide = "u8" if self.big else "u4"
        names = {"tag": "u2", "kind": "u2", "count": wide, "value": "V8" if self.big else "V4"}
        layout = [(name, self.order + kind) for name, kind in names.items()]
        entries = np.frombuffer(self.data, np.dtype(layout), count, start)
        fields: dict[int, Field] = {}
        for entry in entries[np.isin(entries["tag"], self._wanted)]:
            tag = int(entry["tag"])
            if tag not in fields:
                fields[tag] = self._field(tag, int(entry["kind"]), int(entry["count"]), bytes(entry["value"]))
        size = struct.calcsize(link)
        following = self.data[end : end + size]
        # The last directory of a file that was cut behind its pixels, or written so, has no link.
        return Directory(self.order, self.big, fields), (
            struct.unpack(self.order + link, following)[0] if len(following) == size else 0
        )

    def sub(self, directory: Directory) -> list[Directory]:
        """The directories that hang below one: its picture in other sizes."""
        found = []
        for offset in directory.numbers(SUB)[:MAX_SUB]:
            try:
                found.append(self.directory_at(offset)[0])
            except NotRead:
                continue
        return found

    def _field(self, tag: int, kind: int, count: int, value: bytes) -> Field:
        size = _SIZES.get(kind, 0) * count
        if size == 0:
            return Field(1, 0, b"")
        if size <= len(value):
            return Field(kind, count, value[:size])
        at = struct.unpack(self.order + ("Q" if self.big else "I"), value)[0]
        if tag not in OF_PICTURES:
            there = min(size, MAX_TEXT, max(len(self.data) - at, 0)) // _SIZES[kind]
            return Field(kind, there, bytes(self.data[at : at + there * _SIZES[kind]]))
        if size > MAX_FIELD_BYTES or at + size > len(self.data):
            if tag in (NO_DATA, SUB):
                return Field(1, 0, b"")
            raise damaged(f"its tag {tag} has {size:,} bytes, which go beyond the file or beyond {MAX_FIELD_BYTES:,}")
        return Field(kind, count, bytes(self.data[at : at + size]))


def copy_of(directory: Directory, at: int, replaced: dict[int, list[int]]) -> tuple[bytes, bytes]:
    """A header and a directory that stand for one picture alone.

    Args:
        directory: of the picture.
        at: where the new directory will be in the file.
        replaced: other values for some of its tags.

    Returns:
        The header, which leads to `at`, and the directory with what belongs to it.
    """
    order, big = directory.order, directory.big
    fields = {tag: field for tag, field in directory.fields.items() if tag in OF_PIXELS and field.count}
    for tag, numbers in replaced.items():
        kind = 16 if big else 4
        fields[tag] = Field(kind, len(numbers), np.array(numbers, order + _NUMBERS[kind]).tobytes())
    inline, entry_size = (8, 20) if big else (4, 12)
    number = order + ("Q" if big else "I")
    beyond = at + (8 if big else 2) + entry_size * len(fields) + inline
    entries, values = b"", b""
    for tag, field in sorted(fields.items()):
        value = field.data
        if len(value) > inline:
            value, values = struct.pack(number, beyond + len(values)), values + field.data + b"\0" * (-len(value) % 8)
        entries += struct.pack(order + ("HHQ" if big else "HHI"), tag, field.kind, field.count) + value.ljust(
            inline, b"\0"
        )
    head = struct.pack(order + ("Q" if big else "H"), len(fields))
    version: tuple[Any, ...] = (43, 8, 0, at) if big else (42, at)
    header = (b"II" if order == "<" else b"MM") + struct.pack(order + ("HHHQ" if big else "HI"), *version)
    return header, head + entries + struct.pack(number, 0) + values

"""A TIFF's pages to gray pixels: those of full resolution, decoded by tifffile and imagecodecs within stated bounds.

tifffile never sees the file as it came: it gets a directory with nothing in it but what says how the pixels of one
page are stored, after that was checked. So no tag of a hostile file, and no chain of pages, reaches it.
"""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass
from itertools import pairwise
from typing import IO, Any, cast

import numpy as np

from crater_ray.images import tiff_directory as tags
from crater_ray.images.bounds import MAX_PIXELS, check_size
from crater_ray.images.colour import (
    BLACK_IS_ZERO,
    CMYK,
    ICC_LAB,
    ITU_LAB,
    LAB,
    PALETTE,
    RGB,
    WHITE_IS_ZERO,
    YCBCR,
    Samples,
    to_gray,
)
from crater_ray.images.status import NotRead, Refusal, damaged, unsupported
from crater_ray.images.tiff_directory import Directory, Tiff, copy_of
from crater_ray.images.tiff_layout import JPEG, layout_of

LINEAR_RAW = 34892
MEANINGS = {WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, LAB, ICC_LAB, ITU_LAB, LINEAR_RAW}
NO_PICTURE = {4: "a transparency mask", 32803: "an undeveloped colour mosaic", 32844: "LogL", 32845: "LogLuv"}


@dataclass(frozen=True)
class Chosen:
    """Which of a file's pages are scored.

    Attributes:
        pages: number from 1, and directory, of those of full resolution, in the file's order.
        left_out: how many other pictures the file holds that do not say of themselves that they are reduced.
    """

    pages: list[tuple[int, Directory]]
    left_out: int


def read_pages(data: bytes, only: int | None = None) -> tuple[list[tuple[int, np.ndarray]], int]:
    """The pages of full resolution as gray pixels.

    Args:
        data: the file.
        only: the number of the one page that is wanted, from 1; all when None.

    Returns:
        Each page's number and its (height, width) uint8 pixels, all of one size; and how many pages are left out.

    Raises:
        NotRead: one of these pages cannot be read.
    """
    tiff = Tiff(data)
    chosen = choose(tiff)
    pages = [(number, directory) for number, directory in chosen.pages if only in (None, number)] or chosen.pages[:1]
    read = []
    for number, directory in pages:
        try:
            read.append((number, read_page(data, directory)))
        except NotRead as problem:
            if len(chosen.pages) == 1:
                raise
            why = problem.refusal
            raise NotRead(Refusal(why.status, f"page {number}: {why.reason}", *directory.size)) from None
    return read, chosen.left_out


def choose(tiff: Tiff) -> Chosen:
    """The pages of the largest size that are no reduced versions of others, as many as `MAX_PIXELS` allows.

    Raises:
        NotRead: there is no picture in the file, or it is too large or too small.
    """
    found: list[tuple[int, Directory]] = []
    below: list[tuple[int, Directory]] = []
    lost = masks = 0
    for number, directory in enumerate(tiff.directories(), 1):
        if directory is None:
            lost = 1
        elif directory.mask:
            masks += 1
        elif any(directory.size):
            found.append((number, directory))
            below += [(number, sub) for sub in tiff.sub(directory) if any(sub.size)]
    if not found:
        raise unsupported("a TIFF of a transparency mask alone") if masks else damaged("a TIFF without a picture")
    whole = [page for page in found if not page[1].reduced]
    largest = max((_area(page) for page in whole), default=0)
    # In some files the page in the chain is a thumbnail, and the picture hangs below it.
    larger = [page for page in below if not page[1].reduced and not page[1].mask and _area(page) > largest]
    candidates = larger or whole or found
    size = max(candidates, key=_area)[1].size
    check_size(*size)
    pages = [page for page in candidates if page[1].size == size]
    most = MAX_PIXELS // (size[0] * size[1])
    numbers = {number for number, _ in pages[:most]}
    return Chosen(pages[:most], sum(number not in numbers for number, _ in whole) + lost)


def _area(page: tuple[int, Directory]) -> int:
    height, width = page[1].size
    return height * width


def read_page(data: bytes, directory: Directory) -> np.ndarray:
    """One page as gray pixels, (height, width) uint8.

    Raises:
        NotRead: it cannot be read.
    """
    gray = to_gray(samples_of(data, directory))
    if gray is None:
        raise unsupported("the image holds no finite number: none of its pixels was measured")
    return gray


def samples_of(data: bytes, directory: Directory) -> Samples:
    """One page as tifffile reads it, with what its numbers mean.

    Raises:
        NotRead: it cannot be read.
    """
    height, width = directory.size
    # Without this tag, as libtiff has it.
    usual = RGB if directory.number(tags.SAMPLES, 1) >= 3 else BLACK_IS_ZERO
    meaning, compression = directory.number(tags.PHOTOMETRIC, usual), directory.number(tags.COMPRESSION, 1)
    if meaning not in MEANINGS:
        raise unsupported(f"a TIFF of {NO_PICTURE.get(meaning, 'unknown colours')} (photometric {meaning}) is not read")
    layout = layout_of(directory, data)
    values, no_data = _decoded(data, directory, layout.replaced)
    if values.dtype.kind not in "buif":
        raise unsupported(f"a TIFF of {values.dtype.name} numbers: only real numbers make a picture")
    if directory.number(tags.PLANAR, 1) == 2 and values.ndim == 3:
        values = np.moveaxis(values, 0, 2)
    values = values.reshape(height, width, -1)
    if values.dtype == bool:
        values = values.view(np.uint8)
    extra = directory.numbers(tags.EXTRA)
    if meaning == YCBCR and compression == JPEG and values.shape[2] >= 3:
        meaning = RGB  # the decoder has turned it
    elif meaning == LINEAR_RAW:
        meaning = RGB if values.shape[2] == 3 else BLACK_IS_ZERO
    elif meaning == YCBCR and values.shape[2] == 1:
        meaning = BLACK_IS_ZERO
    samples = Samples(values, layout.bits, meaning, extra[0] if extra else 0, _palette(directory, values), no_data)
    if values.shape[2] < samples.colours:
        raise damaged(f"{values.shape[2]} samples a pixel instead of the {samples.colours} that its colours have")
    if samples.colours == 1 and values.shape[2] > 2:
        raise unsupported(f"{values.shape[2]} samples a pixel that are neither colours nor alpha: save them as pages")
    return samples


def _palette(directory: Directory, values: np.ndarray) -> np.ndarray | None:
    if directory.number(tags.PHOTOMETRIC, 1) != PALETTE:
        return None
    colours = directory.numbers(tags.COLOUR_MAP)
    if values.dtype.kind != "u" or values.dtype.itemsize > 2 or not colours or len(colours) % 3:
        raise unsupported("a TIFF in palette colours without a colour map that fits")
    entries = len(colours) // 3
    if int(values[..., 0].max()) >= entries:
        raise damaged(f"its pixels name colours beyond the {entries} of its colour map")
    return np.array(colours, np.uint16).reshape(3, entries)


def _decoded(data: bytes, directory: Directory, replaced: dict[int, list[int]]) -> tuple[np.ndarray, float | None]:
    """The page's pixels as stored, and the number that stands for those that were not measured."""
    from tifffile import TiffFile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)  # it tells a terminal what becomes a row
    at = -(-len(data) // 8) * 8
    header, page = copy_of(directory, at, replaced)
    with TiffFile(cast(IO[bytes], _File(data, header, page, at)), _multifile=False) as file:
        only: Any = file.pages[0]
        if only.dtype is None:
            bits, kind = directory.numbers(tags.BITS) or [1], directory.number(tags.FORMAT, 1)
            raise unsupported(f"a TIFF of {'+'.join(map(str, bits[:4]))} bits of sample format {kind} is not read")
        try:
            pixels = only.asarray(maxworkers=1, squeeze=True)
        except (NotImplementedError, ImportError) as problem:
            raise unsupported(str(problem)) from None
        return pixels, (_number(only.tags[tags.NO_DATA].value) if tags.NO_DATA in directory.fields else None)


def _number(text: Any) -> float | None:
    """The number that a text is; None for none. tifffile takes 0 for one that no pixel can have."""
    for kind in (int, float):  # a float has not all digits of a large whole number
        try:
            return kind(text)  # type: ignore[no-any-return]
        except (TypeError, ValueError):
            continue
    return None


class _File(io.RawIOBase):
    """A file with another header, and with a directory behind its end, without a copy of it."""

    def __init__(self, data: bytes, header: bytes, page: bytes, at: int) -> None:
        super().__init__()
        rest = memoryview(data)[len(header) :]
        self._parts = [memoryview(header), rest, memoryview(bytes(at - len(data))), memoryview(page)]
        self._starts = [0, len(header), len(data), at, at + len(page)]
        self._at = 0
        self.name = ""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._starts[-1]}[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        into = memoryview(buffer).cast("B")
        done = 0
        for part, (start, stop) in zip(self._parts, pairwise(self._starts), strict=True):
            if done < len(into) and start <= self._at < stop:
                some = part[self._at - start : self._at - start + len(into) - done]
                into[done : done + len(some)] = some
                done, self._at = done + len(some), self._at + len(some)
        return done

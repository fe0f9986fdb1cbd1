"""Numbers of any type to 8 bits: stretched from the darkest to the brightest, some extreme pixels left aside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from crater_ray.images.bar import find_bar_below, reach
from crater_ray.images.bounds import BAND_PIXELS

EXTREME_SHARE = 0.001
"""At most so many of the pixels are taken for extreme at each end: hot ones, dead ones, cosmic rays."""
EXTREME_GAP = 0.25
"""Extreme pixels lie beyond an empty stretch of more than this share of the range of all others: on 285 photographs
and 150 simulated images without extremes, the widest such stretch was 0.15. And they lie singly, in lines or in fours:
a bright speck on a smooth surface has neighbours that are nearly as bright."""
FILL_GAP = 1.0
"""One value beyond an empty stretch wider than the range of all others is no gray level but a fill, if at most half of
the pixels have it."""
WHOLE = 1e-3
"""So near to a whole number a float is one."""
NOT_MEASURED = 1e30
"""Floats beyond it, as far as the largest there is, stand for pixels that were not measured."""

SAMPLE = 200_000
"""Pixels by which the levels above a bar are known, about."""
LEVELS = 65_536
"""Of 16 bits."""

Band = Callable[[slice], np.ndarray]
"""Gives the gray values of some rows, (rows, width), of any type of real numbers."""


def bands(height: int, width: int) -> Iterator[slice]:
    """An image's rows, some at a time."""
    rows = max(1, BAND_PIXELS // width)
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height))


@dataclass(frozen=True)
class Gathered:
    """An image of more than 8 bits.

    Attributes:
        gray: (height, width): uint16 for whole numbers of up to 16 bits, else float32, not a number where nothing was
            measured.
        anchor: what they are counted from, lest large numbers lose their last digits.
    """

    gray: np.ndarray
    anchor: float = 0.0


def gather(values: Band, height: int, width: int, no_data: float | None = None) -> Gathered:
    """The gray values of an image, after which the numbers that they were made of are of no more use.

    Args:
        values: the image; where it gives an array of float32 that may be written to, that one is kept.
        height, width: its size in px.
        no_data: what the file says stands for pixels that were not measured; so do those that are not finite, or are
            beyond `NOT_MEASURED`.
    """
    first = values(slice(0, 1))
    if first.dtype.kind in "iu" and first.dtype.itemsize <= 2 and no_data is None:
        signed = first.dtype.kind == "i"
        lowest = min(int(values(rows).min()) for rows in bands(height, width)) if signed else 0
        small = np.empty((height, width), np.uint16)
        for rows in bands(height, width):
            np.subtract(values(rows), lowest, out=small[rows], dtype=np.int32, casting="unsafe")
        return Gathered(small, lowest)
    whole = values(slice(0, height)) if first.dtype == np.float32 else first
    in_place = (
        whole.dtype == np.float32 and whole.base is not None and whole.flags.c_contiguous and whole.flags.writeable
    )
    gray = whole if in_place else np.empty((height, width), np.float32)
    anchor: int | float | None = None
    for rows in bands(height, width):
        band = values(rows)
        absent = None if no_data is None else band == no_data
        if band.dtype.kind == "f":
            far = ~(np.abs(band) < min(NOT_MEASURED, float(np.finfo(band.dtype).max)))
            absent = far if absent is None else absent | far
        if anchor is None:
            anchor = _midst(band if absent is None else band[~absent])
        if not in_place:
            gray[rows] = _from(band, anchor)
        if absent is not None:
            gray[rows][absent] = np.nan
    return Gathered(gray, float(anchor or 0))


def to_eight_bits(image: Gathered) -> np.ndarray | None:
    """Gray levels of an image of more than 8 bits.

    Whole numbers that are all within 0..255, as of an image of 8 bits in a wider type, stay as they are. Others are
    stretched linearly, which the network's own normalisation undoes: the lowest becomes 0, the highest 255. Pixels that
    were not measured get the median of the others. An information bar, which is black and white, does not count: the
    picture above it has all the levels.

    Args:
        image: its values.

    Returns:
        (height, width) uint8; None if no pixel was measured.
    """
    gray, anchor = image.gray, image.anchor
    picture = gray[: len(gray) - _bar(gray)]
    ordered = _in_order(picture)
    if not len(ordered):
        return None
    low, high = _ends(picture, ordered)
    middle = ordered[len(ordered) // 2]
    complete = len(ordered) == picture.size and not np.isnan(gray[len(picture) :]).any()
    del ordered
    lowest, highest = low + anchor, high + anchor
    slack = 1e-5 * (high - low)
    as_stored = lowest >= -slack and highest <= 255 + slack and (highest > 1 + slack or low == high)
    if as_stored and low < high and gray.dtype != np.uint16:
        as_stored = all(_is_whole(np.clip(picture[rows], low, high) + anchor) for rows in bands(*picture.shape))
    offset = np.float32(anchor) if as_stored else -np.float32(low)
    factor = np.float32(1.0 if as_stored else 255.0 / max(high - low, 1e-30))

    def level(some: np.ndarray) -> np.ndarray:
        scaled = (np.clip(some, low, high) + offset) * factor
        return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)  # type: ignore[no-any-return]

    if gray.dtype == np.uint16:
        return level(np.arange(LEVELS, dtype=np.float32))[gray]  # type: ignore[no-any-return]
    pixels = np.empty(gray.shape, np.uint8)
    for rows in bands(*gray.shape):
        pixels[rows] = level(gray[rows] if complete else np.where(np.isnan(gray[rows]), middle, gray[rows]))
    return pixels


def _is_whole(values: np.ndarray) -> bool:
    """Whether all floats that are numbers are whole ones."""
    return not (np.abs(values - np.rint(values)) > WHOLE).any()


def _bar(gray: np.ndarray) -> int:
    """Rows of the information bar at the bottom of (height, width) values, seen as the rows above show the picture."""
    height, width = gray.shape
    below = height - reach(height)
    few = max(1, SAMPLE // width)
    above = _in_order(gray[: below : max(1, below // few)])
    if not len(above):
        return 0
    some = int(EXTREME_SHARE * len(above))
    low, high = float(above[some]), float(above[-some - 1])
    rows = (gray[below:].astype(np.float32) - np.float32(low)) * np.float32(255 / max(high - low, 1e-30))
    return find_bar_below(np.clip(np.nan_to_num(rows), 0, 255).astype(np.uint8), height)


def _in_order(gray: np.ndarray) -> np.ndarray:
    """All values by their size, (n,) of the same type, without those that are not numbers."""
    if gray.dtype == np.uint16:
        counts = sum(np.bincount(gray[rows].reshape(-1), minlength=LEVELS) for rows in bands(*gray.shape))
        return np.repeat(np.arange(LEVELS, dtype=np.uint16), counts)
    ordered = np.sort(gray, axis=None)
    return ordered[: _rank(ordered, np.inf)]  # what is not a number comes last


def _rank(ordered: np.ndarray, value: float, side: Literal["left", "right"] = "left") -> int:
    """Where a value stands among others of its type; of another type, it would have them all converted."""
    return int(np.searchsorted(ordered, ordered.dtype.type(value), side))


def _midst(some: np.ndarray) -> int | float:
    """A number among the others; 0 where numbers are small enough to be exact as they are."""
    if some.dtype.itemsize <= 2 or some.dtype == np.float32 or not some.size:
        return 0
    few = np.sort(some.reshape(-1)[:: max(1, some.size // 10_000)])
    return few[len(few) // 2].item()  # type: ignore[no-any-return]


def _from(band: np.ndarray, anchor: float) -> np.ndarray:
    """How far values are from a number."""
    if anchor == 0:
        return band
    if band.dtype.kind == "f" or band.dtype.itemsize < 8:
        return band.astype(np.float64) - anchor
    start = band.dtype.type(anchor)  # differences of 64-bit integers, exact whatever their signs
    above = band >= start
    wide = np.where(above, band, start).astype(np.uint64) - np.where(above, start, band).astype(np.uint64)
    return np.where(above, wide.astype(np.float64), -wide.astype(np.float64))


def _ends(gray: np.ndarray, ordered: np.ndarray) -> tuple[float, float]:
    """The lowest and the highest value that count, of an image and of the same values in order, without those that are
    not numbers."""
    low, high = _without_extremes(gray, ordered)
    for _ in range(2):  # a fill at one end hides what is extreme beyond the rest
        start, end = _rank(ordered, low), _rank(ordered, high, "right")
        above, below = ordered[_rank(ordered, low, "right") : end], ordered[start : _rank(ordered, high)]
        next_up, next_down = (float(above[0]) if len(above) else high), (float(below[-1]) if len(below) else low)
        if 2 * len(above) > end - start and next_up - low > FILL_GAP * (high - next_up) > 0:
            low, high = _without_extremes(gray, above)
        elif 2 * len(below) > end - start and high - next_down > FILL_GAP * (next_down - low) > 0:
            low, high = _without_extremes(gray, below)
    return low, high


def _without_extremes(gray: np.ndarray, ordered: np.ndarray) -> tuple[float, float]:
    first, last = float(ordered[0]), float(ordered[-1])
    low, high = first, last
    some = max(1, int(EXTREME_SHARE * len(ordered)))
    if len(ordered) <= 2 * some + 1 or ordered[some] == ordered[-some - 1]:  # nothing tells how far is far
        return low, high
    top, bottom = ordered[-some - 1 :].astype(np.float32), ordered[some::-1].astype(np.float32)
    for at in _gaps(top, bottom[0]):
        if not _scattered(np.flatnonzero((gray > top[at]) & (gray <= last)), gray.shape[1]):
            break
        high = float(top[at])
    for at in _gaps(-bottom, np.float32(-high)):
        if not _scattered(np.flatnonzero((gray < bottom[at]) & (gray >= first)), gray.shape[1]):
            break
        low = float(bottom[at])
    return low, high


def _gaps(tail: np.ndarray, start: np.float32) -> list[int]:
    """Behind which of rising values an empty stretch begins, the last one first; the range of all others begins at
    `start`."""
    found: list[int] = np.flatnonzero(np.diff(tail) > EXTREME_GAP * (tail[:-1] - start))[::-1].tolist()
    return found


def _scattered(places: np.ndarray, width: int) -> bool:
    """Whether pixels, by their flat indices, lie singly, in lines or in fours: what an optic images is wider."""
    around = (-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1)
    neighbours = sum(np.isin(places + step, places).astype(np.int8) for step in around)
    return bool(np.all(neighbours <= 3))

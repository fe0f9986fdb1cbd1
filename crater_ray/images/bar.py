"""The instrument's information bar: rows below the picture that were drawn, not imaged; by the file, or by its look.

By its look, a bar begins abruptly, at the same row over the whole width, and what is below is one gray level with or
without writing on it. A dark, overexposed or smooth part of a picture fades in, or has a border that does not follow a
row; and where the brightness jumps from one scanned line to the next, there is a picture on both sides.
"""

from __future__ import annotations

import numpy as np

from crater_ray.images.bounds import SMALLEST_SIDE
from crater_ray.images.makers import Instrument

FILE, LOOK = "file", "look"
"""What tells of a bar: the file's metadata, or its look."""
MOST = 0.25
"""A bar takes no more than this part of the height; where more looks like one, nothing is left out."""
LEAST = 8
"""Rows: fewer are lost lines, or a border."""
SEEN = 12
"""Rows at the bottom; the level that most of their pixels have is the bar's background, if there is a bar."""
SAME = 2
"""Gray levels: what is one level after lossy compression."""
SPREAD = 32
"""Gray levels: how far compression spreads writing and the picture into the background beside them."""
STEP = 8
"""Gray levels: how near the background is, where a file says that there is a bar."""
FAR = 80
"""Gray levels between background and writing."""
BEGIN = 0.85
"""Part of the bar's first row that is background, give or take `SPREAD`."""
ABOVE = 0.6
"""Part of the rows just above a bar that may be."""
WRITTEN = 0.25
"""Part of a row with writing that is."""
FRAME = 4
"""So many rows may be lines of a frame, or belong to neither bar nor picture, in a row."""
BLOCK = 8
"""Rows: side of a JPEG's blocks. One that has both picture and bar in it is clean of neither."""
DRAWN = 0.2
"""Part of a bar with writing that has exactly the background's level."""
COARSE, SLACK, LEAP = 8, 0.12, 0.08
"""Columns between those of the first look, which most images do not pass; how much less strict it is; and by how much
the part that is background grows at least, from one row to the next."""
PLAIN = 0.97
"""Part of a bar without writing that has its level."""


def bar_of(pixels: np.ndarray, said: Instrument) -> tuple[int, str | None]:
    """How many rows are an information bar, and what tells so: the file, where its numbers agree, or the look.

    Args:
        pixels: (height, width) uint8, the whole image.
        said: what the microscope says of it.

    Returns:
        The number of rows, and `FILE` or `LOOK`; 0 and None where there is no bar.
    """
    height, width = pixels.shape
    most = min(height // 4, height - SMALLEST_SIDE)
    if said.size and said.size[1] == width and 1 <= height - said.size[0] <= most:
        return height - said.size[0], FILE
    if said.bar_rows and said.bar_rows <= most and begins_at(pixels, said.bar_rows):
        return said.bar_rows, FILE
    found = find_bar(pixels)
    return (found, LOOK) if 0 < found <= most else (0, None)


def find_bar(pixels: np.ndarray) -> int:
    """How many rows at the bottom of an image are an information bar; 0 when there is none.

    Args:
        pixels: (height, width) uint8, the whole image.
    """
    return find_bar_below(pixels[-reach(len(pixels)) :], len(pixels))


def reach(height: int) -> int:
    """How many rows at the bottom of an image of this height tell whether it has a bar."""
    return int(height * MOST) + FRAME


def find_bar_below(rows: np.ndarray, height: int) -> int:
    """The same, of the last `reach(height)` rows of an image, (rows, width) uint8."""
    most = int(height * MOST)
    if most < LEAST:
        return 0
    coarse = np.ascontiguousarray(rows[:, ::COARSE])
    level, rough = _ground(rows), _ground(coarse)
    # A gray bar is told from a picture of about its gray by how exactly it has one level.
    even = _is_gray(level) and _part(coarse[-SEEN:], rough, STEP).max() >= BEGIN - SLACK
    tried = (SPREAD, STEP, STEP // 2, SAME) if even else (SPREAD,)
    spreads = [spread for spread in tried if _may_begin(_part(coarse, rough, spread))]
    near = _part(rows, level, SPREAD) if spreads else rows
    for spread in spreads:
        for first in np.flatnonzero(_begins(_part(rows, level, spread))):
            if len(rows) - first < LEAST:
                break
            if _is_bar(rows[first:], near[first:], level, plain=spread == SPREAD):
                return int(len(rows) - _with_frame(rows, int(first), level))
    return 0


def _may_begin(near: np.ndarray) -> bool:
    """Whether a bar may begin in some rows, by the part of each in few columns: less strict than `_begins`."""
    here, above = near[1:], near[:-1]
    return bool(((here >= BEGIN - SLACK) & (above <= ABOVE + SLACK) & (here - above >= LEAP)).any())


def _begins(near: np.ndarray) -> np.ndarray:
    """In which rows a bar may begin, by the part of each that is about of its level, (rows,) bool."""
    begins = near >= BEGIN
    for before in range(1, FRAME + 1):
        begins[before:] &= near[:-before] <= ABOVE
    begins[:FRAME] = False
    return begins


def _ground(rows: np.ndarray) -> int:
    """The gray level that most pixels at the bottom have."""
    return int(np.bincount(rows[-SEEN:].ravel()).argmax())


def _is_gray(level: int) -> bool:
    """Whether a level is neither about black nor about white."""
    return SPREAD <= level <= 255 - SPREAD


def begins_at(pixels: np.ndarray, bar: int) -> bool:
    """Whether an image changes abruptly so many rows above its end, where its file says that a bar begins."""
    level = int(np.bincount(pixels[-bar:].ravel()).argmax())
    rows = _part(pixels[-bar - FRAME : len(pixels) - bar + FRAME], level, STEP)
    return bool(rows[:FRAME].max() <= ABOVE and rows[FRAME:].max() >= BEGIN)


def _is_bar(rows: np.ndarray, near: np.ndarray, level: int, plain: bool) -> bool:
    """Whether these rows, which begin abruptly, are drawn down to the last; without writing only where it may be."""
    lines = np.flatnonzero(np.append(near, 1) >= WRITTEN)
    if np.diff(lines, prepend=-1).max() > FRAME + 1:
        return False
    clean = rows[BLOCK:] if len(rows) >= 2 * BLOCK else rows
    same, far = _part(clean, level, SAME).mean(), 1 - _part(clean, level, FAR).mean()
    if plain and same >= PLAIN:
        return True
    if _is_gray(level):
        # Noise about one gray level is not a level: neighbours in a drawn ground are equal.
        even = (clean[:, 1:] == clean[:, :-1]) & (abs(clean[:, 1:].astype(np.int16) - level) <= SAME)
        drawn = even.mean() >= DRAWN and _part(clean, level, STEP).mean() >= 0.5
    else:
        drawn = same >= DRAWN
    blurred = 1 - far - _part(clean, level, SPREAD).mean()
    return bool(0.005 <= far <= 0.5 and blurred <= 0.2 and drawn)


def _with_frame(rows: np.ndarray, first: int, level: int) -> int:
    """The bar's first row with the line of a frame above its background, if there is one."""
    line = int(np.median(rows[first - 1]))
    if abs(line - level) <= SPREAD:
        return first
    alike = _part(rows[first - FRAME : first], line, SPREAD)[::-1]
    thick = int((alike < BEGIN).argmax())
    # A smooth picture is alike further up; above a line it is not.
    return first - thick if thick and alike[thick] <= ABOVE else first


def _part(rows: np.ndarray, level: int, spread: int) -> np.ndarray:
    """The part of each row within so many gray levels of one, (rows,)."""
    low, high = max(0, level - spread), min(255, level + spread)
    # Unsigned: what is below wraps around to far above. To count bits is quicker than to count truths.
    inside = np.packbits(rows - np.uint8(low) <= np.uint8(high - low), axis=1)
    return np.asarray(np.bitwise_count(inside).sum(axis=1) / rows.shape[1])

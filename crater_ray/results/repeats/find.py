"""Finding what repeats among a run's candidates, and naming it; no candidate is left out for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crater_ray.results.repeats.same_pixel import same_pixel
from crater_ray.results.repeats.same_spot import Frames, same_spot

PIXEL, SPOT = "same pixel", "same spot"
STAGE = ("x_coord", "y_coord")
"""Columns of the image table: where the stage was."""
WITHIN_UM = 1.0
"""Micrometres by which the spots of one thing may differ: as exact as stages come back to a place."""


@dataclass(frozen=True)
class Repeat:
    """One thing that repeats.

    Attributes:
        kind: `PIXEL` or `SPOT`.
        name: for people.
        members: numbers of the candidates, ascending.
    """

    kind: str
    name: str
    members: tuple[int, ...]


@dataclass(frozen=True)
class Repeats:
    """What repeats among n candidates.

    Attributes:
        found: each thing once; no candidate belongs to two.
        candidates: n.
        note: why the spots of the foil could not be compared; empty where they were.
    """

    found: tuple[Repeat, ...]
    candidates: int
    note: str = ""

    def of(self) -> list[int]:
        """(n,) the number in `found` of what each candidate belongs to, -1 for none."""
        numbers = [-1] * self.candidates
        for number, repeat in enumerate(self.found):
            for member in repeat.members:
                numbers[member] = number
        return numbers

    def names(self) -> list[str | None]:
        """(n,) the name of what each candidate belongs to, None for none."""
        return [None if number < 0 else self.found[number].name for number in self.of()]


def find_repeats(candidates: pa.Table, pixel_nm: float | None = None, within_um: float = WITHIN_UM) -> Repeats:
    """Find what repeats.

    Args:
        candidates: with `x`, `y`, `height`, `width` of a run, and `pixel_nm`, `foil` and `STAGE` where they are known,
            as `crater_ray.results.image_table.join` adds them.
        pixel_nm: width of a pixel in nm; as `candidates` have it for each image when None.
        within_um: see `WITHIN_UM`.
    """
    x, y, height, width = (_numbers(candidates, name) for name in ("x", "y", "height", "width"))
    placed = np.isfinite(x) & np.isfinite(y) & np.isfinite(height) & np.isfinite(width)
    found = []
    for size in sorted({(h, w) for h, w in zip(height[placed], width[placed], strict=True)}):
        of_size = np.flatnonzero(placed & (height == size[0]) & (width == size[1]))
        for members in same_pixel(x[of_size], y[of_size], int(size[0]), int(size[1])):
            at = of_size[members]
            name = f"{PIXEL} {np.median(x[at]):.0f}, {np.median(y[at]):.0f}"
            found.append(Repeat(PIXEL, name, tuple(at.tolist())))
    taken = {member for repeat in found for member in repeat.members}
    free = placed & ~np.isin(np.arange(len(x)), sorted(taken))
    spots, note = _spots(candidates, free, (x, y, height, width), pixel_nm, within_um)
    return Repeats(tuple(found + spots), candidates.num_rows, note)


def as_table(repeats: Repeats, candidates: pa.Table) -> pa.Table:
    """Every candidate that repeats: `kind`, `what`, then `key`, `score`, `x`, `y`, `uri`; thing by thing."""
    rows = [(repeat, member) for repeat in repeats.found for member in repeat.members]
    some = candidates.select(["key", "score", "x", "y", "uri"]).take(pa.array([at for _, at in rows], pa.int64()))
    some = some.add_column(0, "what", pa.array([repeat.name for repeat, _ in rows], pa.string()))
    return some.add_column(0, "kind", pa.array([repeat.kind for repeat, _ in rows], pa.string()))


def _spots(
    candidates: pa.Table,
    free: np.ndarray,
    places: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    pixel_nm: float | None,
    within_um: float,
) -> tuple[list[Repeat], str]:
    if any(name not in candidates.column_names for name in STAGE):
        return [], f"no stage coordinates: an image table with {' and '.join(STAGE)} has them"
    stage = [_numbers(candidates, name) for name in STAGE]
    nm = np.full(len(free), pixel_nm) if pixel_nm else _numbers(candidates, "pixel_nm")
    fit = np.flatnonzero(free & np.isfinite(stage[0]) & np.isfinite(stage[1]) & np.isfinite(nm))
    if not len(fit):
        return [], "no size of a pixel or no stage coordinates are known of any candidate: give --pixel-size"
    foils = candidates["foil"].to_pylist() if "foil" in candidates.column_names else [None] * len(free)
    numbers = {foil: number for number, foil in enumerate(dict.fromkeys(foils))}
    foil = np.array([numbers[one] for one in foils], float)
    some = (*(values[fit] for values in places), *(values[fit] for values in stage), nm[fit] / 1000, foil[fit])
    groups, way = same_spot(Frames(*some), within_um)
    found = []
    for members in groups:
        at = fit[members]
        across, down = np.median(Frames(*(values[members] for values in some)).spots(way or (1, 1))[:, :2], axis=0)
        name = f"{SPOT} of {foils[at[0]] or 'the foil'} at {across:.0f}, {down:.0f} \u00b5m"
        found.append(Repeat(SPOT, name, tuple(at.tolist())))
    return found, ""


def _numbers(table: pa.Table, name: str) -> np.ndarray:
    """(n,) float64, not a number where there is none."""
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    column = table[name]
    if pa.types.is_string(column.type):
        column = pa.chunked_array([pa.array([_float(text) for text in column.to_pylist()], pa.float64())])
    return np.asarray(pc.fill_null(column.cast(pa.float64()), np.nan).to_numpy(), np.float64)


def _float(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None

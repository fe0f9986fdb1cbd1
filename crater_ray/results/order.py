"""How lists and galleries are put in order and flagged by what is known of their images; no image is left out by it."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from crater_ray.errors import UsageError
from crater_ray.results.where import parse_where
from crater_ray.runs.columns import COLUMNS

BETWEEN = ", "
"""Stands between several flags of an image."""
SORTABLE = tuple(column.name for column in COLUMNS if not pa.types.is_nested(column.type))


def in_order(rows: pa.Table, sort: str | None) -> pa.Table:
    """Rows in another order than by falling score.

    Args:
        rows: with a run's columns.
        sort: a column, rising, or `-column`, falling; rows without a value come last, equal ones in the order that
            they have. None for the order that they have.

    Raises:
        UsageError: there is no such column.
    """
    if sort is None:
        return rows
    name = sort.removeprefix("-")
    if name not in SORTABLE:
        raise UsageError(
            f"--sort must be one of {', '.join(SORTABLE)}, with - in front for falling; received: {sort!r}"
        )
    way = "descending" if sort.startswith("-") else "ascending"
    numbered = rows.select([name]).append_column("row", pa.array(range(rows.num_rows), pa.int64()))
    order = pc.sort_indices(numbered, sort_keys=[(name, way), ("row", "ascending")])
    return rows.take(order)


def flagged(rows: pa.Table, conditions: Sequence[str]) -> pa.Table:
    """Rows whose column `flags` also names the conditions that they meet.

    Args:
        rows: with a run's columns and `flags`.
        conditions: as `crater_ray.results.where` reads them.

    Raises:
        UsageError: one of them cannot be read.
    """
    if not conditions:
        return rows
    marked = [[flag] if flag else [] for flag in rows["flags"].to_pylist()]
    numbered = rows.append_column("__row", pa.array(range(rows.num_rows), pa.int64()))
    for condition in conditions:
        for row in numbered.filter(parse_where(condition))["__row"].to_pylist():
            marked[row].append(" ".join(condition.split()))
    place = rows.schema.get_field_index("flags")
    return rows.set_column(place, "flags", pa.array([BETWEEN.join(flags) for flags in marked], pa.string()))

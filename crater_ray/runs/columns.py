"""The columns of a part, each declared once: schema, tables in the docs, conditions and rows all follow from here.

To add one, append it to `COLUMNS`. What an image's pixels tell needs no more than `of_pixels`; any other value is given
by its source under the column's name: by the loader in `crater_ray.scanning.loader.values_of`, by the scorer in
`crater_ray.scanning.scorer.Verdicts`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import pyarrow as pa

Source = Literal["manifest", "run", "loader", "scorer"]
"""Where a value comes from: the listing, the run as a whole, reading and decoding, or the network."""

PLACES = pa.list_(
    pa.struct([("x", pa.float32()), ("y", pa.float32()), ("score", pa.float32()), ("diameter", pa.float32())])
)

PLANTED = pa.list_(pa.struct([(name, pa.float32()) for name in ("ratio", "contrast_to_noise", "noise", "blur")]))
"""Of each planted crater what `crater_ray.planting.seen.Seen` says."""


@dataclass(frozen=True)
class Column:
    """One column of a part.

    Attributes:
        name: as in the Parquet files.
        type: its Arrow type.
        source: who gives its values.
        meaning: for users, in Markdown; may stand in a table.
        nullable: whether a row may have no value.
        since: the version that brought it; parts of earlier ones do not have it and read as null. None for the
            columns that every part has.
        of_pixels: for columns of the loader, the value of an image that could be read, from the gray pixels of its
            picture, (height, width) uint8; other images have none.
    """

    name: str
    type: pa.DataType
    source: Source
    meaning: str
    nullable: bool = True
    since: str | None = None
    of_pixels: Callable[[np.ndarray], Any] | None = None

    @property
    def field(self) -> pa.Field:
        return pa.field(self.name, self.type, nullable=self.nullable)

    def empty(self, rows: int) -> np.ndarray:
        """Values of so many rows that have none yet: (rows,), not a number for floats, else None."""
        if pa.types.is_floating(self.type):
            return np.full(rows, np.nan, self.type.to_pandas_dtype())
        return np.full(rows, None, object)

    def held(self, values: Sequence[Any] | np.ndarray) -> np.ndarray:
        """Values, None for none, as `empty` holds them."""
        some = self.empty(len(values))
        for row, value in enumerate(values):
            some[row] = value
        return some

    def array(self, values: np.ndarray) -> pa.Array:
        """Values, held as `empty` does, as Arrow; those that are still missing are null."""
        if pa.types.is_floating(self.type):
            return pa.array(values, self.type, from_pandas=True)
        return pa.array(values.tolist(), self.type)


COLUMNS = (
    Column(
        "key",
        pa.string(),
        "manifest",
        "The image's name: its path under the source without suffix; `<key>/<key>-001.jpg`, the site's layout, gives "
        "`<key>`. Unique in a run.",
        nullable=False,
    ),
    Column(
        "uri",
        pa.string(),
        "manifest",
        "Where it is: `file:///...` (percent-encoded) or `s3://bucket/key` (as it is).",
        nullable=False,
    ),
    Column(
        "status",
        pa.string(),
        "loader",
        "`ok`; `unreadable` (empty, truncated, not an image); `unsupported` (sound, but too small, too large or of "
        "another kind); `missing` (listed, then gone); `archived` (in cold storage, to be restored first).",
        nullable=False,
    ),
    Column("error", pa.string(), "loader", "Why it is not `ok`."),
    Column("height", pa.int32(), "loader", "Of the image in its file, in pixels; null when unknown."),
    Column("width", pa.int32(), "loader", "The same."),
    Column("score", pa.float32(), "scorer", "The network's answer, 0 to 1; null unless `ok`."),
    Column(
        "x",
        pa.float32(),
        "scorer",
        "Where the score comes from, in pixels to the right of the centre of the top left pixel. From the threshold "
        "on, the crater, and with the finder from 0.01 on; for other scores from 0.01 on, the middle of what the "
        "network saw, off by up to some 30 px.",
    ),
    Column("y", pa.float32(), "scorer", "The same, in pixels down."),
    Column("bundle", pa.string(), "run", "Short id of the network's weights.", nullable=False),
    Column(
        "stage",
        pa.string(),
        "scorer",
        "Which network decided: `full`; with `--screen` also `screen` (the small one found the image safely empty) "
        "and `audit` (so it did, but the full one looked too, and its answer stands).",
    ),
    Column(
        "diameter",
        pa.float32(),
        "scorer",
        "Of the crater at `x`, `y`, rim crest to rim crest, in pixels. Only from the threshold on, and where a ring "
        "stands out; with the finder wherever there is a place.",
        since="0.1.0",
    ),
    Column(
        "places",
        PLACES,
        "scorer",
        "The finder: all craters of the image with a score from 0.01 on, or from a lower threshold, best first. Other "
        "networks: the distinct places of an image scanned in windows, best first, where there are several.",
        since="0.1.0",
    ),
    Column(
        "bar",
        pa.int32(),
        "loader",
        "Rows at the bottom that were left out as the instrument's information bar; null when there is none.",
        since="0.2.0",
    ),
    Column(
        "bar_from",
        pa.string(),
        "loader",
        "What told of the bar: `file` (its metadata) or `look` (its pixels).",
        since="0.2.0",
    ),
    Column(
        "pixel_nm",
        pa.float32(),
        "loader",
        "Width of a pixel in nm: as given with `--pixel-size`, else as the microscope says; null when it does not.",
        since="0.2.0",
    ),
    Column("instrument", pa.string(), "loader", "The microscope, by its own account.", since="0.2.0"),
    Column("voltage_kv", pa.float32(), "loader", "Accelerating voltage in kV, by the same.", since="0.2.0"),
    Column("magnification", pa.float32(), "loader", "As the microscope counts it.", since="0.2.0"),
    Column(
        "focus",
        pa.float32(),
        "loader",
        "Fine detail as a multiple of what the noise alone would make: 1 is none, out of focus or an empty surface. "
        "Compare it among images of one kind and compression. Null for an image of one gray level.",
        since="0.2.0",
    ),
    Column("noise", pa.float32(), "loader", "Standard deviation of the noise, in gray levels.", since="0.2.0"),
    Column(
        "contrast",
        pa.float32(),
        "loader",
        "From the 1st to the 99th percentile of the gray levels, as a part of 255.",
        since="0.2.0",
    ),
    Column("saturated", pa.float32(), "loader", "Part of the pixels that are 0 or 255.", since="0.2.0"),
    Column(
        "page",
        pa.int32(),
        "scorer",
        "The page of the file that the score and the place are from, counted from 1: the best of those scored.",
        since="0.2.0",
    ),
    Column(
        "pages",
        pa.int32(),
        "loader",
        "How many pages of the file were scored: all of its largest size, but those that say of themselves that they "
        "are reduced versions.",
        since="0.2.0",
    ),
    Column(
        "pages_left_out",
        pa.int32(),
        "loader",
        "How many other pictures the file holds that were not scored: smaller ones, or more than 64 million pixels "
        "in all.",
        since="0.2.0",
    ),
    Column(
        "planted",
        PLANTED,
        "loader",
        "Only in `RUN/completeness`: how well the crater that was planted into the image can be seen, and the noise "
        "and blur of its spot; see [completeness](completeness.md).",
        since="0.2.0",
    ),
)

SCHEMA = pa.schema([column.field for column in COLUMNS])
LATER = tuple(column.name for column in COLUMNS if column.since is not None)
"""Columns that parts of earlier versions do not have; missing ones read as null."""


@cache
def given_by(source: Source) -> tuple[Column, ...]:
    """The columns whose values come from there."""
    return tuple(column for column in COLUMNS if column.source == source)


def in_words(kind: pa.DataType) -> str:
    """A column's type for readers."""
    if pa.types.is_list(kind):
        inner = kind.value_type
        names = [f"`{inner.field(at).name}`" for at in range(inner.num_fields)] if pa.types.is_struct(inner) else []
        return f"list of {', '.join(names) or in_words(inner)}"
    return {"float": "float32", "double": "float64"}.get(str(kind), str(kind))


def as_markdown() -> str:
    """The table of columns for the docs."""
    lines = ["| column | type | meaning |", "|---|---|---|"]
    for column in COLUMNS:
        kind = in_words(column.type) + " or null" * column.nullable
        since = f" Since {column.since}." if column.since else ""
        lines.append(f"| `{column.name}` | {kind} | {column.meaning}{since} |")
    return "\n".join(lines)

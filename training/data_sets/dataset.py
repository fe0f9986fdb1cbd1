"""A data set: a folder of memory-mapped image shards, one table row per image, and a card that says what made it.

DATASET/
  card.json            recipe, seed, counts, library versions, digest of the table and the shards
  table.parquet        one row per image, columns as in COLUMNS
  pixels-00000.npy     uint8 (n, height, width); shards follow one another in table order
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from crater_ray.errors import UsageError

COLUMNS: dict[str, pa.DataType] = {
    "label": pa.int8(),
    "diameter_px": pa.float32(),
    "x": pa.float32(),
    "y": pa.float32(),
    "contrast_to_noise": pa.float32(),
    "source": pa.string(),
    "defect": pa.string(),
    "seed_crater": pa.int32(),
    "background": pa.string(),
    "jpeg_quality": pa.int16(),
    "craters": pa.list_(
        pa.struct({"x": pa.float32(), "y": pa.float32(), "diameter_px": pa.float32(), "visible": pa.bool_()})
    ),
}
"""Columns of the table: label 1 with a crater and 0 without; x, y the crater's centre in pixels, NaN on blanks;
seed_crater -1 where no cut-out was pasted; defect the most prominent confusable structure of a blank, or '';
craters all of them where an image has several (x, y and so on then speak of the first that is visible), else null."""

ADDED = "added"
"""The source of images that were judged by people."""


@dataclass(frozen=True)
class DataSet:
    """Images and what is known of each.

    Attributes:
        shards: uint8 arrays (n_i, height, width), memory-mapped when read from disk.
        table: one row per image, in the order of the shards; columns as in `COLUMNS`.
        card: what made it.
    """

    shards: tuple[np.ndarray, ...]
    table: pa.Table
    card: dict[str, Any]

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels of every image."""
        return int(self.shards[0].shape[1]), int(self.shards[0].shape[2])

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that tell this data set from others."""
        return str(self.card["digest"])

    def column(self, name: str) -> np.ndarray:
        """One column of the table as an array (n,)."""
        return np.asarray(self.table[name].to_numpy(zero_copy_only=False))

    @cached_property
    def craters(self) -> tuple[np.ndarray, ...]:
        """The craters of each image: float32 (k, 4) of x, y, diameter in pixels, and 1 if visible or else 0.

        A crater whose place is not known has NaN for its first three numbers.
        """
        columns = [self.column(name).astype(np.float32) for name in ("x", "y", "diameter_px", "label")]
        one = np.stack(columns, axis=1)
        listed = self.table["craters"].to_pylist() if "craters" in self.table.column_names else [None] * len(self)
        return tuple(
            np.asarray([[c["x"], c["y"], c["diameter_px"], c["visible"]] for c in several], np.float32)
            if several
            else one[row : row + 1][one[row : row + 1, 3] == 1]
            for row, several in enumerate(listed)
        )

    def first(self, count: int) -> DataSet:
        """The same data set without the images after the first `count`."""
        return DataSet(self.shards, self.table.slice(0, count), {**self.card, "first": min(count, len(self))})

    def images(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Copy the images of `rows`, in that order, as uint8 (len(rows), height, width)."""
        bounds = np.cumsum([0] + [len(shard) for shard in self.shards])
        chosen = np.empty((len(rows), *self.shape), np.uint8)
        for place, row in enumerate(rows):
            shard = int(np.searchsorted(bounds, row, side="right")) - 1
            chosen[place] = self.shards[shard][int(row) - bounds[shard]]
        return chosen


def join(sets: Sequence[DataSet]) -> DataSet:
    """Several data sets of one size as one.

    Raises:
        UsageError: their sizes differ.
    """
    if len({data.shape for data in sets}) != 1:
        raise UsageError(f"Data sets to be joined must have one size; received: {[data.shape for data in sets]}")
    if len(sets) == 1:
        return sets[0]
    shards: list[np.ndarray] = []
    for data in sets:
        left = len(data)  # `first` leaves more images in the shards than rows in the table
        for shard in data.shards:
            shards.append(shard[:left])
            left -= len(shards[-1])
    table = pa.concat_tables([data.table for data in sets], promote_options="default")
    return DataSet(tuple(shards), table, {**sets[0].card, "digest": "+".join(data.digest for data in sets)})


def write_shard(folder: Path, number: int, pixels: np.ndarray) -> None:
    """Write one shard, uint8 (n, height, width), so that a killed run leaves no half file under its name."""
    temporary = folder / f"pixels-{number:05d}.partial"
    with temporary.open("wb") as stream:
        np.save(stream, pixels)
    temporary.replace(folder / f"pixels-{number:05d}.npy")


def write_table(folder: Path, rows: Sequence[dict[str, Any]], card: dict[str, Any]) -> dict[str, Any]:
    """Write the table and, last, the card with its digest; return the card."""
    schema = pa.schema(list(COLUMNS.items()))
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), folder / "table.parquet")
    digest = hashlib.sha256((folder / "table.parquet").read_bytes())
    for shard in sorted(folder.glob("pixels-*.npy")):
        digest.update(hashlib.sha256(shard.read_bytes()).digest())
    card = {
        **card,
        "images": len(rows),
        "craters": sum(row["label"] for row in rows),
        "digest": digest.hexdigest()[:12],
    }
    (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return card


def read(folder: str | Path) -> DataSet:
    """Open a data set folder; images stay on disk until they are asked for.

    Raises:
        UsageError: the folder is no complete data set.
    """
    folder = Path(folder)
    shards = tuple(np.load(path, mmap_mode="r") for path in sorted(folder.glob("pixels-*.npy")))
    try:
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        table = pq.read_table(folder / "table.parquet")
    except (OSError, ValueError) as problem:
        raise UsageError(
            f"{str(folder)!r} is not a complete data set: {problem}. Make one with `python -m training synthesize`."
        ) from None
    if sum(len(shard) for shard in shards) != table.num_rows:
        raise UsageError(
            f"The data set {str(folder)!r} is damaged: its table has {table.num_rows} rows "
            f"but its shards hold {sum(len(shard) for shard in shards)} images. Make it again."
        )
    return DataSet(shards, table, card)

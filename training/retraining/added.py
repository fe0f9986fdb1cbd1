"""Added images: what people judged, read from a folder and a table of verdicts, and mixed with a data set."""

from __future__ import annotations

import csv
import glob
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from crater_ray.errors import UsageError
from crater_ray.images.decode import pixels_of
from crater_ray.images.status import Refusal
from training.data_sets.dataset import ADDED, COLUMNS, DataSet
from training.data_sets.sample import table_row

VERDICTS = {"crater": 1, "blank": 0}

ADDED_SHARE = 1 / 2
"""Part of the training set that added images, repeated, make up; the others keep what is known."""

HELD_OUT = 4
"""One of so many added images is not trained on until it has helped to choose."""

JUDGED_DIAMETER = 20.0
"""In px, of a crater of which only the place is known: between the smallest and the largest that are looked for."""


@dataclass(frozen=True)
class Added:
    """Images with a verdict.

    Attributes:
        pixels: uint8 (n, h, w), cut or mirrored to the size of the training images.
        label: (n,) of 0 and 1.
        keys: their names.
        places: (n, 2) float32 x and y of what was judged in `pixels`, in px; not a number where it is not known.
    """

    pixels: np.ndarray
    label: np.ndarray
    keys: tuple[str, ...]
    places: np.ndarray

    def take(self, rows: np.ndarray) -> Added:
        """The images of these rows."""
        keys = tuple(self.keys[row] for row in rows)
        return Added(self.pixels[rows], self.label[rows], keys, self.places[rows])

    def split(self) -> tuple[Added, Added]:
        """Those to train on and those held out: of each label every fourth, in an order that only keys decide.

        Of fewer than four none is held out; where that leaves none at all, all serve for both.
        """
        held: list[int] = []
        for label in (0, 1):
            rows = np.flatnonzero(self.label == label)
            by_name = sorted(rows.tolist(), key=lambda row: zlib.crc32(self.keys[row].encode()))
            held += by_name[HELD_OUT - 1 :: HELD_OUT]
        if not held:
            return self, self
        rest = np.setdiff1d(np.arange(len(self.label)), held)
        return self.take(rest), self.take(np.sort(np.asarray(held)))


def read_added(folder: Path, verdicts: Path, shape: tuple[int, int]) -> Added:
    """Read images named by a CSV with the columns `key` and `verdict` (crater or blank); `x`, `y` too, if it has them.

    Args:
        folder: holds `<key>.<suffix>`, or `<key>/<key>-001.<suffix>` as in an archive.
        verdicts: the CSV.
        shape: height and width in pixels that are wanted; images are cut around x, y, so that what was judged is in
            them, or else at their middle; small ones are continued by mirroring.

    Raises:
        UsageError: a column, an image or a verdict is missing or wrong.
    """
    try:
        with verdicts.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except OSError as problem:
        raise UsageError(f"The verdicts {str(verdicts)!r} cannot be read: {problem}") from None
    if not rows or not {"key", "verdict"} <= set(rows[0]):
        raise UsageError(
            f"{str(verdicts)!r} must be a CSV with the columns key and verdict and at least one row; "
            f"received: {list(rows[0]) if rows else 'no rows'}"
        )
    pixels, labels, places = [], [], []
    for row in rows:
        if row["verdict"] not in VERDICTS:
            raise UsageError(f"The verdict on {row['key']!r} must be crater or blank; received: {row['verdict']!r}")
        labels.append(VERDICTS[row["verdict"]])
        image, place = _fit_shape(_read(folder, row["key"]), shape, _place(row))
        pixels.append(image)
        places.append(place)
    keys = tuple(row["key"] for row in rows)
    return Added(np.stack(pixels), np.asarray(labels), keys, np.asarray(places, np.float32))


def mix(base: DataSet, added: Added) -> DataSet:
    """A data set of the base images and the added ones, these repeated to make up `ADDED_SHARE` of it, or each once."""
    if added.pixels.shape[1:] != base.shape:
        raise UsageError(f"Added images must be {base.shape} pixels; received: {added.pixels.shape[1:]}")
    wanted = max(len(added.label), int(len(base) * ADDED_SHARE / (1 - ADDED_SHARE)))
    rows = np.resize(np.arange(len(added.label)), wanted)
    table = pa.concat_tables([base.table, _table(added).take(pa.array(rows))])
    card = {**base.card, "digest": f"{base.digest}+{len(added.label)}"}
    return DataSet((*base.shards, added.pixels[rows]), table, card)


def as_data_set(added: Added) -> DataSet:
    """The added images as a data set of their own."""
    return DataSet((added.pixels,), _table(added), {"digest": "added", "split": "added"})


def _table(added: Added) -> pa.Table:
    rows = []
    for label, key, (x, y) in zip(added.label, added.keys, added.places.tolist(), strict=True):
        rows.append(table_row(int(label), source=ADDED, background=key, quality=0))
        if label and np.isfinite(x):  # then each position of the network's map learns what it should say
            rows[-1] |= {"x": x, "y": y, "diameter_px": JUDGED_DIAMETER}
    return pa.Table.from_pylist(rows, schema=pa.schema(list(COLUMNS.items())))


def _read(folder: Path, key: str) -> np.ndarray:
    # A key is data: whatever it says, only what lies in the folder is read.
    if Path(key).is_absolute() or ".." in Path(key).parts:
        raise UsageError(f"The key {key!r} leads out of {str(folder)!r}.")
    exact, name = glob.escape(key), glob.escape(Path(key).name)
    for pattern in (f"{exact}.*", f"{exact}/{name}-*.*", exact):
        for path in sorted(folder.glob(pattern)):
            if path.is_file():
                pixels = pixels_of(path.read_bytes())
                if isinstance(pixels, Refusal):
                    raise UsageError(f"{str(path)!r} cannot be read as an image: {pixels.reason}")
                return pixels
    raise UsageError(f"No image for the key {key!r} in {str(folder)!r}.")


def _place(row: dict[str, str]) -> tuple[float, float] | None:
    """Row and column of what was judged, in px, where the verdict says so."""
    if not row.get("x") or not row.get("y"):
        return None
    try:
        return float(row["y"]), float(row["x"])
    except ValueError:
        raise UsageError(
            f"The place of {row['key']!r} must be two numbers, in pixels; received: {row['x']!r}, {row['y']!r}"
        ) from None


def _fit_shape(
    pixels: np.ndarray, shape: tuple[int, int], place: tuple[float, float] | None
) -> tuple[np.ndarray, tuple[float, float]]:
    """An image cut or continued to a shape, and x and y there of the row and column that were judged."""
    missing = [max(0, wanted - have) for wanted, have in zip(shape, pixels.shape, strict=True)]
    padded = np.pad(pixels, [(m // 2, m - m // 2) for m in missing], mode="symmetric")
    middle = place or tuple((have - 1) / 2 for have in pixels.shape)
    top, left = (
        min(max(0, round(at + m // 2 - (wanted - 1) / 2)), have - wanted)
        for at, m, have, wanted in zip(middle, missing, padded.shape, shape, strict=True)
    )
    x, y = (np.nan, np.nan)
    if place is not None:
        y, x = place[0] + missing[0] // 2 - top, place[1] + missing[1] // 2 - left
    return padded[top : top + shape[0], left : left + shape[1]], (x, y)

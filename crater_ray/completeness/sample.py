"""The sample: which of a run's images get a planted crater, by foil, and within a foil evenly by quality and key."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crater_ray.errors import CraterRayError, UsageError
from crater_ray.images.status import OK
from crater_ray.results.image_table import foils_of
from crater_ray.results.open_run import Results
from crater_ray.runs.columns import SCHEMA
from crater_ray.runs.run import Run

LEAST_OF_A_FOIL = 50
"""Images that every foil gets, if it has them and there is room: fewer tell nothing about it."""
QUALITY = ("noise", "focus")
"""Columns, where a run has them, that tell images of unlike quality apart."""


@dataclass(frozen=True)
class Sample:
    """Images to plant craters into.

    Attributes:
        rows: (n,) of the run's images, with `key`, `uri`, `size`, `etag`, `foil`, `score`, `x`, `y` and `places`; an
            image is there more than once where more are wanted than its foil has.
        weight: (n,) how many of the run's images each stands for.
    """

    rows: pa.Table
    weight: np.ndarray


def draw_sample(run: Run, images: int, seed: int, image_table: pa.Table | None) -> Sample:
    """Choose images of a run.

    Every foil gets a number in proportion to its readable images, but `LEAST_OF_A_FOIL` if it can. Within a foil the
    images are ordered by quality, where the run knows it, then by key, and every so-and-so-many-th one is taken from
    a random first one on.

    Args:
        run: complete.
        images: how many are wanted.
        seed: decides which.
        image_table: for the foils.

    Raises:
        UsageError: none of the run's images could be read.
    """
    names, foil, quality = _known(run, image_table)
    if not len(foil):
        raise UsageError(f"No image of the run at {run.folder.uri} could be read: there is nothing to plant into.")
    rng = np.random.default_rng([seed, 0])
    counts = np.bincount(foil, minlength=len(names))
    numbers = allotted(images, counts)
    chosen, weight = [], []
    for number, (wanted, there) in enumerate(zip(numbers, counts, strict=True)):
        if not wanted:
            continue
        of_foil = np.flatnonzero(foil == number)
        ordered = of_foil[np.lexsort((of_foil, *quality[of_foil].T[::-1]))]
        places = ((np.arange(wanted) + rng.random()) * there / wanted).astype(int)
        chosen.append(ordered[places])
        weight.append(np.full(wanted, there / wanted))
    taken = np.concatenate(chosen)
    order = np.argsort(taken, kind="stable")
    return Sample(_rows(run, taken[order], image_table), np.concatenate(weight)[order])


def allotted(images: int, counts: np.ndarray) -> np.ndarray:
    """How many of `images` each of the foils gets that have these `counts` of readable images."""
    least = np.minimum(counts, min(LEAST_OF_A_FOIL, images // max(1, int(np.count_nonzero(counts)))))
    shares = np.maximum(images * counts / counts.sum(), least)
    above = shares - least
    if above.sum() > 0:
        shares = least + above * max(images - least.sum(), 0) / above.sum()
    numbers: np.ndarray = np.floor(shares).astype(int)
    for place in np.argsort(numbers - shares, kind="stable")[: images - numbers.sum()]:
        numbers[place] += 1
    return numbers


def _known(run: Run, image_table: pa.Table | None) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Of the readable images in order of key: names of foils, (n,) which one, (n, k) which tercile of each quality."""
    columns = [name for name in QUALITY if name in SCHEMA.names]
    names: dict[str, int] = {}
    foil, quality = [], []
    for part in Results(run).parts(["key", "status", *columns]):
        rows = part.filter(pc.equal(part["status"], OK))
        of_rows = foils_of(rows, image_table).to_pylist()
        foil.append(np.array([names.setdefault(one, len(names)) for one in of_rows], int))
        values = [pc.fill_null(rows[name].cast(pa.float32()), np.nan).to_numpy() for name in columns]
        quality.append(np.stack(values, 1) if values else np.zeros((rows.num_rows, 0), np.float32))
    of_all = np.concatenate(quality)
    terciles = np.zeros(of_all.shape, np.int8)
    for column in range(of_all.shape[1]):
        known = np.isfinite(of_all[:, column])
        if known.any():
            edges = np.quantile(of_all[known, column], (1 / 3, 2 / 3))
            terciles[known, column] = 1 + np.searchsorted(edges, of_all[known, column])
    return list(names), np.concatenate(foil), terciles


def _rows(run: Run, places: np.ndarray, image_table: pa.Table | None) -> pa.Table:
    """Rows of the readable images with these numbers, ascending; with what the manifest says of them."""
    wanted = ["key", "uri", "height", "width", "bar", "score", "x", "y", "places", "status"]
    found: list[pa.Table] = []
    begin = 0
    for shard in range(run.manifest.shards):
        try:
            rows, listed = run.read_part(shard)[0].select(wanted), run.manifest.shard(shard)
        except FileNotFoundError:
            raise CraterRayError(f"Part {shard} of {run.folder.uri} is gone. Repeat the run's scan command.") from None
        rows = rows.append_column("size", listed["size"]).append_column("etag", listed["etag"])
        rows = rows.filter(pc.equal(rows["status"], OK)).drop_columns(["status"])
        here = places[(places >= begin) & (places < begin + rows.num_rows)] - begin
        begin += rows.num_rows
        if len(here):
            some = rows.take(pa.array(here))
            found.append(some.append_column("foil", foils_of(some, image_table)))
    return pa.concat_tables(found)

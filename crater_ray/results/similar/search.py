"""The candidates that look most like one image of a run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crater_ray.errors import UsageError
from crater_ray.network.bundle import Bundle
from crater_ray.results.open_run import Results
from crater_ray.results.similar.describe import Described, describe, describe_rows
from crater_ray.results.similar.kept import COLUMNS, matrix
from crater_ray.results.similar.look_alikes import LookAlikes
from crater_ray.runs.run import Run
from crater_ray.storage.access import Access


def similar(described: Described, key: str, count: int) -> pa.Table:
    """The candidates that look most like one of them, most alike first.

    Args:
        described: the candidates.
        key: of one of them.
        count: how many are wanted.

    Returns:
        `similarity`, from -1 to 1, then `crater_ray.results.similar.kept.COLUMNS`.

    Raises:
        UsageError: it is none of them.
    """
    table = described.table
    place = pc.index(table["key"], key).as_py()
    if place < 0:
        raise UsageError(f"{key!r} is no candidate with a place.")
    order, like = LookAlikes.of(matrix(table)).nearest(place, count)
    found = table.select(COLUMNS).take(pa.array(order, pa.int64()))
    return found.add_column(0, "similarity", pa.array(np.asarray(like, np.float32)))


def with_image(run: Run, described: Described, key: str, access: Access, bundle: Bundle) -> Described:
    """The candidates, and an image of the run that is none, so that it can be asked for what looks like it.

    Raises:
        UsageError: the run has no such image, it has no place, or its pixels cannot be had.
    """
    if pc.index(described.table["key"], key).as_py() >= 0:
        return described
    wanted = pa.array([key])
    found = [rows.filter(pc.is_in(rows["key"], value_set=wanted)) for rows in Results(run).parts(COLUMNS)]
    rows = pa.concat_tables(found) if found else None
    if rows is None or not rows.num_rows:
        raise UsageError(f"The run at {run.folder.uri} has no image {key!r}.")
    if rows["x"][0].as_py() is None:
        raise UsageError(f"The run knows no place in {key!r}, so there is nothing to compare.")
    made, problems = describe_rows(rows, access, bundle)
    if not made.num_rows:
        raise UsageError(f"{key!r} cannot be read: {next(iter(problems))}")
    table = pa.concat_tables([described.table, made.cast(described.table.schema)])
    return Described(table, described.network, described.problems, described.unkept)


def look_for(
    run: Run,
    key: str,
    count: int,
    access: Access,
    bundle: Bundle,
    threshold: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[pa.Table, Described]:
    """Of a run's candidates those that look most like an image of it; and the candidates with their features.

    Args:
        run: whose candidates they are.
        key: of the image.
        count, threshold, access, bundle, progress: see `similar` and `crater_ray.results.similar.describe.describe`.
    """
    described = describe(run, access, bundle, threshold, progress)
    return similar(with_image(run, described, key, access, bundle), key, count), described

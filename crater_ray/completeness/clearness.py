"""Clearness: how far found craters stand out, confirmed and planted ones alike, measured where the run found them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from crater_ray.completeness.plan import recipe_of
from crater_ray.completeness.planted import PlantedCraters, open_planted, read_planted_craters
from crater_ray.errors import CraterRayError
from crater_ray.images.crop import Crop
from crater_ray.images.decode import read_picture
from crater_ray.images.fetch import fetch
from crater_ray.images.picture import Picture, Reading
from crater_ray.images.sidecars import read_sidecars
from crater_ray.planting.recipe import Recipe
from crater_ray.planting.visibility import ratio_in_pixels
from crater_ray.results.open_run import Results
from crater_ray.results.processes import in_processes
from crater_ray.results.review.verdicts import Verdict, consensus, read_verdicts
from crater_ray.runs.run import Run
from crater_ray.scanning.planted import read_planted
from crater_ray.storage.access import Access
from crater_ray.storage.errors import StorageError

FILE = "clearness.parquet"
SCHEMA = pa.schema(
    [
        pa.field("planted", pa.bool_(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("x", pa.float32(), nullable=False),
        pa.field("y", pa.float32(), nullable=False),
        pa.field("diameter", pa.float32(), nullable=False),
        pa.field("ratio", pa.float64()),
    ]
)
"""Per found crater: whether it was planted; its key in the planted run or in the run; where the run found it and how
large, px; and `crater_ray.planting.visibility.ratio_in_pixels` there, null where the image cannot be read now."""

COMPARED = 300
"""Planted craters that are measured, at most: evenly by size, as many as tell how the measure behaves."""
WORTH_A_POOL = 200
CHUNK = 25


@dataclass(frozen=True)
class Job:
    """Craters for one process: rows of the table, where their images are, what to plant, and how they are read."""

    rows: list[dict[str, Any]]
    uris: list[str]
    recipes: list[Recipe | None]
    access: Access
    reading: Reading


def keep_clearness(run: Run, access: Access) -> None:
    """Measure the craters that reviewers confirmed, and planted ones beside them, as far as that was not done yet.

    Without confirmed craters nothing is done.

    Args:
        run: complete, with its completeness measured.
        access: how to reach its images.
    """
    settings = run.record["settings"]
    access = replace(access, endpoint_url=access.endpoint_url or settings.get("endpoint_url"))
    reading = Reading(Crop(settings.get("crop") or "auto"), sidecars=tuple(run.record.get("sidecars", ())))
    with open_planted(run, access) as planted:
        known = read_clearness(planted)
        wanted = _confirmed(run, consensus(read_verdicts(run)))
        if not wanted:
            return
        wanted += _compared(read_planted_craters(planted))
        done = {_place(row) for row in known.to_pylist()}
        wanted = [(row, uri, recipe) for row, uri, recipe in wanted if _place(row) not in done]
        if wanted:
            rows, uris, recipes = (list(column) for column in zip(*wanted, strict=True))
            jobs = [
                Job(rows[at : at + CHUNK], uris[at : at + CHUNK], recipes[at : at + CHUNK], access, reading)
                for at in range(0, len(rows), CHUNK)
            ]
            new = [row for some in in_processes(_measure, jobs, worth_it=len(rows) >= WORTH_A_POOL) for row in some]
            file = io.BytesIO()
            pq.write_table(pa.concat_tables([known, pa.Table.from_pylist(new, SCHEMA)]), file, compression="zstd")
            planted.folder.publish(FILE, file.getvalue())


def read_clearness(planted: Run) -> pa.Table:
    """What was measured of a planted run's craters and of its run's confirmed ones: schema `SCHEMA`, may be empty."""
    try:
        table = pq.read_table(io.BytesIO(planted.folder.read(FILE)))
    except FileNotFoundError:
        return SCHEMA.empty_table()
    except pa.ArrowException as problem:
        raise CraterRayError(f"{planted.folder.uri}/{FILE} cannot be read: {problem}. Remove it.") from None
    if not table.schema.equals(SCHEMA):
        raise CraterRayError(f"{planted.folder.uri}/{FILE} is of another version. Remove it.")
    return table


def _place(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["planted"], row["key"], *(float(np.float32(row[name])) for name in ("x", "y", "diameter"))


def _confirmed(run: Run, verdicts: Mapping[str, Verdict]) -> list[tuple[dict[str, Any], str, Recipe | None]]:
    """Confirmed candidates of the run whose place and diameter are known."""
    rows = Results(run).candidates(columns=["key", "uri", "page", "x", "y", "diameter"]).to_pylist()
    return [
        ({name: row[name] for name in ("key", "x", "y", "diameter")} | {"planted": False}, row["uri"], None)
        for row in rows
        if row["key"] in verdicts and verdicts[row["key"]].verdict == "crater" and row["diameter"]
        if row["page"] in (None, 1)  # only the first page of a file is planted into, and compared
    ]


def _compared(craters: PlantedCraters) -> list[tuple[dict[str, Any], str, Recipe | None]]:
    """Planted craters that were found with a place and a diameter, evenly by size."""
    usable = np.flatnonzero(craters.found(craters.threshold) & np.isfinite(craters.found_diameter))
    ordered = usable[np.argsort(craters.column("diameter")[usable], kind="stable")]
    chosen = ordered[np.unique(np.linspace(0, len(ordered) - 1, COMPARED).astype(int))] if len(ordered) else ordered
    plan = craters.plan.take(pa.array(chosen)).to_pylist()
    places = np.column_stack([craters.found_at, craters.found_diameter])[chosen].tolist()
    return [
        ({"planted": True, "key": one["key"], "x": x, "y": y, "diameter": diameter}, one["uri"], recipe_of(one))
        for one, (x, y, diameter) in zip(plan, places, strict=True)
    ]


def _measure(job: Job) -> list[dict[str, Any]]:
    """The rows with their ratios; those whose image storage does not give are left out, to be tried again."""
    files = fetch(job.uris, job.access, last_try=True)
    sidecars = read_sidecars(job.uris, job.reading.sidecars, job.access, last_try=True)
    measured = []
    for row, recipe, data, sidecar in zip(job.rows, job.recipes, files, sidecars, strict=True):
        if isinstance(data, StorageError):
            continue
        ratio = None
        if isinstance(data, bytes | memoryview):
            planted = recipe and read_planted(data, recipe, job.reading, sidecar)
            picture = planted or read_picture(data, job.reading, sidecar)
            if isinstance(picture, Picture):
                ratio = ratio_in_pixels(
                    picture.pixels, row["x"] - picture.left, row["y"] - picture.top, row["diameter"]
                )
        measured.append(row | {"ratio": ratio})
    return measured

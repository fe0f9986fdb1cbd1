"""Gold standards: images of the run whose answer is known, craters planted into them or safely without one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from crater_ray.completeness.measure import require_measurable
from crater_ray.completeness.plan import make_plan, recipe_of
from crater_ray.completeness.sample import Sample, draw_sample
from crater_ray.completeness.settings import Measurement
from crater_ray.errors import UsageError
from crater_ray.images.crop import Crop
from crater_ray.images.fetch import fetch
from crater_ray.images.picture import Picture, Reading
from crater_ray.images.sidecars import read_sidecars
from crater_ray.images.status import Refusal
from crater_ray.planting.visibility import SEEN
from crater_ray.results.processes import in_processes
from crater_ray.results.review.verdicts import consensus, read_verdicts
from crater_ray.runs.run import Run
from crater_ray.scanning.planted import read_planted
from crater_ray.storage.access import Access
from crater_ray.storage.errors import StorageError

DIAMETERS = (5.0, 34.0)
STRENGTHS = (0.5, 2.0)
"""Of planted craters: px, and relative to physics."""
CLEAR = 2.0
"""Craters stand out at least so many times as much as what an observer could just see: who is told that it was missed
should be able to see it."""
SPARE = 4
"""Times as many images are drawn as there will be gold standards, so that enough of them are fit."""
EMPTY_SHARE = 0.5
"""Images without a crater are taken from this share of the images drawn, those with the lowest scores."""

WORTH_A_POOL = 200
"""Fewer images than this are looked at faster by one process than by starting others."""
CHUNK = 25


@dataclass(frozen=True)
class Wanted:
    """Which gold standards are wanted.

    Attributes:
        craters, blanks: how many.
        seed: decides which.
    """

    craters: int
    blanks: int
    seed: int = 0


@dataclass(frozen=True)
class Job:
    """Planned craters for one process, and how their images are read."""

    rows: list[dict[str, Any]]
    access: Access
    reading: Reading


def gold_standards(
    run: Run, wanted: Wanted, access: Access, image_table: pa.Table | None = None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Choose images below the threshold, and plan a crater that can be seen into some of them.

    Args:
        run: complete.
        wanted: how many.
        access: how to reach the images.
        image_table: for the foils.

    Returns:
        Craters, as rows of `crater_ray.completeness.plan.SCHEMA` with what `crater_ray.planting.seen.Seen` says of
        them; blanks, as rows of a sample. No image is among both.

    Raises:
        UsageError: there are not so many.
    """
    if wanted.craters < 0 or wanted.blanks < 0:
        raise UsageError(f"There cannot be fewer than 0 gold standards; received: {min(wanted.craters, wanted.blanks)}")
    if not wanted.craters + wanted.blanks:
        return [], []
    require_measurable(run)
    sample = _empty_looking(run, wanted, image_table)
    rng = np.random.default_rng([wanted.seed, 7])
    rows = sample.rows.to_pylist()
    scores = np.array([row["score"] for row in rows], float)
    lowest = np.flatnonzero(scores <= np.quantile(scores, EMPTY_SHARE)) if len(rows) else np.zeros(0, int)
    blanks = set(rng.permutation(lowest)[: wanted.blanks].tolist())
    others = np.array([number for number in range(len(rows)) if number not in blanks], int)
    some = Sample(sample.rows.take(pa.array(others)), sample.weight[others])
    told = Measurement(run.folder.uri, max(1, len(others)), wanted.seed, DIAMETERS, STRENGTHS)
    settings = run.record["settings"]
    reading = Reading(Crop(settings.get("crop") or "auto"), None, tuple(run.record.get("sidecars", ())))
    access = replace(access, endpoint_url=access.endpoint_url or settings.get("endpoint_url"))
    plan = make_plan(run, some, told, reading.crop).to_pylist() if wanted.craters else []
    seen = _planted(plan, access, reading)
    visible = [row | one for row, one in zip(plan, seen, strict=True) if one and one["ratio"] >= CLEAR * SEEN]
    craters = [visible[place] for place in sorted(rng.permutation(len(visible))[: wanted.craters].tolist())]
    if len(craters) < wanted.craters or len(blanks) < wanted.blanks:
        raise UsageError(
            f"Of {len(rows):,} images below the threshold that were drawn, {len(visible):,} can hold a crater that is "
            f"seen, and {len(lowest):,} are safely without one: too few for {wanted.craters:,} and {wanted.blanks:,} "
            "gold standards. Ask for fewer."
        )
    return craters, [rows[number] for number in sorted(blanks)]


def _planted(plan: list[dict[str, Any]], access: Access, reading: Reading) -> list[dict[str, float] | None]:
    """How each planned crater can be seen, None where its image cannot be read now."""
    jobs = [Job(plan[at : at + CHUNK], access, reading) for at in range(0, len(plan), CHUNK)]
    return [one for some in in_processes(_plant, jobs, worth_it=len(plan) >= WORTH_A_POOL) for one in some]


def _plant(job: Job) -> list[dict[str, float] | None]:
    uris = [row["uri"] for row in job.rows]
    files = fetch(uris, job.access, last_try=True)
    sidecars = read_sidecars(uris, job.reading.sidecars, job.access, last_try=True)
    seen = []
    for row, data, sidecar in zip(job.rows, files, sidecars, strict=True):
        if isinstance(data, StorageError):
            raise data
        picture = data if isinstance(data, Refusal) else read_planted(data, recipe_of(row), job.reading, sidecar)
        seen.append(picture.planted[0] if isinstance(picture, Picture) else None)
    return seen


def _empty_looking(run: Run, wanted: Wanted, image_table: pa.Table | None) -> Sample:
    """Distinct images below the threshold of which nobody said that there is a crater."""
    sample = draw_sample(run, SPARE * (wanted.craters + wanted.blanks), wanted.seed, image_table)
    said = {key for key, one in consensus(read_verdicts(run)).items() if one.verdict != "not"}
    seen: set[str] = set()
    fit = []
    for number, row in enumerate(sample.rows.select(["key", "score"]).to_pylist()):
        if row["score"] < np.float32(run.threshold) and row["key"] not in said | seen:
            fit.append(number)
            seen.add(row["key"])
    places = np.array(fit, int)
    return Sample(sample.rows.take(pa.array(places)), sample.weight[places])

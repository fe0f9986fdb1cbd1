"""The planted craters of a measured run, and what the network said of each: columns of numbers, one place a crater."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from crater_ray.completeness.plan import PLAN, SCHEMA
from crater_ray.completeness.settings import FOLDER, planting_of
from crater_ray.errors import CraterRayError, UsageError
from crater_ray.images.status import OK
from crater_ray.planting.visibility import SEEN
from crater_ray.results.open_run import Results
from crater_ray.runs import run as run_folder
from crater_ray.runs.run import Run
from crater_ray.storage.access import Access
from crater_ray.storage.folder import open_folder

SEEN_COLUMNS = ("visible", "ratio", "contrast_to_noise", "noise", "blur")
"""Of each planted crater: whether it can be seen, and what `crater_ray.planting.seen.Seen` says of it."""
NEAR = 8.0
"""A candidate's place belongs to a planted crater when it lies within so many px and half the diameter of it."""
NEAR_BELOW = 46.0
"""The same where only the middle of what the network saw is known, below the run's threshold: half of its field."""


@dataclass(frozen=True)
class PlantedCraters:
    """n planted craters whose images could be read; see `crater_ray.completeness.plan.SCHEMA`.

    Attributes:
        plan: (n) rows of the plan, with `SEEN_COLUMNS`.
        score: (n,) float32, the image's score with the crater.
        offset: (n,) px from the crater to the nearest place that counts as found there; not a number where there is
            none.
        found_diameter: (n,) px, measured at that place; not a number where there is none.
        found_at: (n, 2) x and y of that place, px; not numbers where there is none.
        candidate: (n,) the highest score at a place near the crater; minus infinity where there is none.
        pixel_nm: (n,) width of a pixel in nm; not a number where it is not known.
        unreadable: how many images could not be read any more.
        threshold: of the run.
    """

    plan: pa.Table
    score: np.ndarray
    offset: np.ndarray
    found_diameter: np.ndarray
    found_at: np.ndarray
    candidate: np.ndarray
    pixel_nm: np.ndarray
    unreadable: int
    threshold: float

    def __len__(self) -> int:
        return int(self.plan.num_rows)

    def column(self, name: str) -> np.ndarray:
        """(n,) a column of the plan."""
        values: np.ndarray = self.plan[name].to_numpy()
        return values

    def found(self, cut: float) -> np.ndarray:
        """(n,) whether each is found by someone who looks at every place from this score on."""
        return self.candidate >= np.float32(cut)


def open_planted(run: Run, access: Access | None = None) -> Run:
    """The planted run in a run's folder.

    Raises:
        UsageError: there is none.
        CraterRayError: it is not complete, or of another run.
    """
    folder = open_folder(f"{run.folder.uri.rstrip('/')}/{FOLDER}", access or run.folder.store.access)
    planted = run_folder.find(folder)
    if planted is None:
        raise UsageError(
            f"The completeness of the run at {run.folder.uri} was not measured yet: `crater-ray completeness` does it."
        )
    if planting_of(planted.record) is None or planted.record["settings"].get("planted_in") != run.id:
        raise CraterRayError(f"{folder.uri} was not made from the run in whose folder it lies. Remove it.")
    if planted.success() is None:
        raise CraterRayError(f"{folder.uri} is not complete: run `crater-ray completeness` on {run.folder.uri} again.")
    return planted


def read_planted_craters(planted: Run, pixel_nm: float | None = None) -> PlantedCraters:
    """What became of the craters of a planted run.

    Args:
        planted: complete.
        pixel_nm: width of a pixel in nm, whatever the images say.
    """
    try:
        plan = pq.read_table(io.BytesIO(planted.folder.read(PLAN)))
    except (FileNotFoundError, pa.ArrowException) as problem:
        raise CraterRayError(f"{planted.folder.uri}/{PLAN} cannot be read: {problem}") from None
    rows = Results(planted).table()
    if not plan.schema.equals(SCHEMA) or not plan["key"].equals(rows["key"]):
        why = "is not the plan of this run's rows, or was made by another version"
        raise CraterRayError(f"{planted.folder.uri}/{PLAN} {why}. Remove the folder to measure anew.")
    readable = np.array([status == OK and bool(seen) for status, seen in _columns(rows, "status", "planted")], bool)
    plan, rows = plan.filter(pa.array(readable)), rows.filter(pa.array(readable))
    plan = _with_what_is_seen(plan, rows)
    judged = [
        _judged(crater, row, planted.threshold) for crater, row in zip(plan.to_pylist(), rows.to_pylist(), strict=True)
    ]
    candidate, offset, diameter, x, y = np.array(judged, float).reshape(-1, 5).T
    sizes = np.array([pixel_nm or nm for nm in rows["pixel_nm"].to_pylist()], float)
    score = np.array(rows["score"].to_pylist(), np.float32)
    return PlantedCraters(
        plan, score, offset, diameter, np.stack([x, y], axis=1), candidate.astype(np.float32), sizes,
        int((~readable).sum()), planted.threshold,
    )  # fmt: skip


def _columns(table: pa.Table, *names: str) -> Iterator[tuple[Any, ...]]:
    return zip(*(table[name].to_pylist() for name in names), strict=True)


def _with_what_is_seen(plan: pa.Table, rows: pa.Table) -> pa.Table:
    """The plan with what the loader measured of each crater as it planted it."""
    seen = [one[0] for one in rows["planted"].to_pylist()]
    for name in SEEN_COLUMNS[1:]:
        plan = plan.append_column(name, pa.array([one[name] for one in seen], pa.float64()))
    visible = np.array([one["ratio"] >= SEEN for one in seen], bool)
    return plan.append_column(SEEN_COLUMNS[0], pa.array(visible))


def _judged(crater: dict[str, Any], row: dict[str, Any], threshold: float) -> tuple[float, ...]:
    """Of the places near a planted crater the highest score, how far that is from it, its diameter, x and y.

    Below the threshold a place that is not listed is only the middle of what the network saw, and where there is no
    place at all, the score alone tells: then the crater is what raised it, if it is higher than without.
    """
    places = [(one["score"], one["x"], one["y"], one["diameter"]) for one in row["places"] or ()]
    if row["x"] is not None:
        places.append((row["score"], row["x"], row["y"], row["diameter"]))
    best = (-np.inf, *4 * [np.nan])
    for score, x, y, diameter in places:
        exact = bool(row["places"]) or score >= np.float32(threshold)
        far = float(np.hypot(x - crater["x"], y - crater["y"]))
        if far <= (NEAR if exact else NEAR_BELOW) + crater["diameter"] / 2 and score > best[0]:
            best = (score, far, diameter or np.nan, x, y) if exact else (score, *4 * [np.nan])
    if not places and row["score"] > (crater["score_before"] or 0):
        best = (row["score"], *4 * [np.nan])
    return best

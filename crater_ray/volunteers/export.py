"""What a run has to show to volunteers, written as a folder: for Zooniverse, or for the foil search's own site."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crater_ray.errors import UsageError
from crater_ray.results.candidates import threshold_for_budget, with_pixel_size, write_csv
from crater_ray.results.image_table import foils_of
from crater_ray.results.new_folder import new_folder
from crater_ray.results.open_run import Results
from crater_ray.runs.run import Run
from crater_ray.storage.access import Access
from crater_ray.volunteers import foil_search, panoptes
from crater_ray.volunteers.gold import Wanted, gold_standards
from crater_ray.volunteers.subjects import CANDIDATE, keep, numbered, write_pictures

SUBJECTS = "subjects.csv"
COLUMNS = ("key", "uri", "score", "x", "y", "diameter", "page", "pixel_nm")

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Chosen:
    """What is exported.

    Attributes:
        threshold: the lowest score of a candidate; the run's when None.
        most: so many of the best, whatever the threshold; all when None.
        gold: how many gold standards, half of them with a crater.
        seed: decides which these are, and the order.
        image_table: for the foils.
        pixel_nm: width of a pixel in nm; as the run has it when None.
        access: how to reach the images.
    """

    threshold: float | None = None
    most: int | None = None
    gold: int = 0
    seed: int = 0
    image_table: pa.Table | None = None
    pixel_nm: float | None = None
    access: Access = field(default_factory=Access)


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        out: the folder.
        candidates, gold: how many there are.
        problems: why some are left out: how many by reason.
        sets: how many manifests.
        kept: where the run keeps which subject is which; empty where it keeps nothing.
    """

    out: Path
    candidates: int
    gold: int
    problems: dict[str, int]
    sets: int = 0
    kept: str = ""


def export_zooniverse(
    run: Run,
    out: Path,
    chosen: Chosen,
    *,
    whole: bool = False,
    feedback: bool = True,
    progress: Progress | None = None,
) -> Exported:
    """Write subject sets for Zooniverse.

    Args:
        run: what to show; complete where gold standards are wanted.
        out: a new folder.
        chosen: what of it.
        whole: show whole images instead of what is around each place.
        feedback: tell the feedback tool the answers of gold standards.
        progress: called with subjects done and subjects in all.

    Raises:
        UsageError: the folder is not new, there is nothing to show, or there are too few images for gold standards.
        CraterRayError: no image could be fetched.
    """
    chosen = replace(chosen, access=_access(run, chosen.access))
    with new_folder(out) as folder:
        candidates = _candidates(run, chosen)
        wanted = Wanted(chosen.gold // 2, chosen.gold - chosen.gold // 2, chosen.seed)
        craters, blanks = gold_standards(run, wanted, chosen.access, chosen.image_table)
        _add_sizes(run, craters, "image", chosen.pixel_nm)
        _add_sizes(run, blanks, "key", chosen.pixel_nm)
        rows = numbered(run, candidates.to_pylist(), craters, blanks, chosen.seed)
        subjects, problems = write_pictures(rows, folder, chosen.access, whole, panoptes.MOST_BYTES, progress)
        manifests = panoptes.write_sets(subjects, folder, feedback)
        text = panoptes.guide(subjects, len(manifests), run.folder.uri, feedback)
        (folder / panoptes.GUIDE).write_text(text, encoding="utf-8", errors="backslashreplace")
        write_csv(subjects, folder / SUBJECTS)
        place = keep(run, subjects)
    shown = subjects["kind"].to_pylist().count(CANDIDATE)
    return Exported(out, shown, subjects.num_rows - shown, problems, len(manifests), place)


def export_foil_search(run: Run, out: Path, chosen: Chosen, progress: Progress | None = None) -> Exported:
    """Write the key list of candidates and calibration images for the foil search's own site.

    Args:
        run: what to show; complete where calibration images are wanted.
        out: a new folder.
        chosen: what of it; all gold standards are calibration images with a crater.
        progress: called with calibration images done and in all.

    Raises:
        UsageError: see `export_zooniverse`.
    """
    chosen = replace(chosen, access=_access(run, chosen.access))
    with new_folder(out) as folder:
        keys = _candidates(run, chosen)["key"].to_pylist()
        problems = foil_search.write_keys(keys, folder)
        craters, _ = gold_standards(run, Wanted(chosen.gold, 0, chosen.seed), chosen.access, chosen.image_table)
        made, unmade = foil_search.write_calibration(run.id, craters, folder, chosen.access, chosen.seed, progress)
    return Exported(out, len(keys) - sum(problems.values()), made, problems | unmade)


def _access(run: Run, access: Access) -> Access:
    return replace(access, endpoint_url=access.endpoint_url or run.record["settings"].get("endpoint_url"))


def _candidates(run: Run, chosen: Chosen) -> pa.Table:
    """The candidates to show, best first, with their foils.

    Raises:
        UsageError: the run holds planted craters, or there are none.
    """
    if "planting" in run.record["settings"]:
        raise UsageError(f"{run.folder.uri} holds planted craters: give the run in whose folder it lies.")
    cut = run.threshold if chosen.threshold is None else chosen.threshold
    if chosen.most is not None:
        cut = threshold_for_budget(run, chosen.most)
    found = Results(run).candidates(cut, COLUMNS).slice(0, chosen.most)
    if not found.num_rows:
        raise UsageError(f"The run at {run.folder.uri} has no candidate at or above {cut:g}: there is nothing to show.")
    return with_pixel_size(found, chosen.pixel_nm).append_column("foil", foils_of(found, chosen.image_table))


def _add_sizes(run: Run, rows: list[dict[str, Any]], name: str, pixel_nm: float | None) -> None:
    """Give gold standards the size of a pixel that the run has of their images, as candidates have it."""
    wanted = pa.array([row[name] for row in rows], pa.string())
    known: dict[str, float | None] = {}
    for part in Results(run).parts(["key", "pixel_nm"]) if rows else ():
        some = part.filter(pc.is_in(part["key"], value_set=wanted))
        known |= dict(zip(some["key"].to_pylist(), some["pixel_nm"].to_pylist(), strict=True))
    for row in rows:
        row["pixel_nm"] = known[row[name]] if pixel_nm is None else float(np.float32(pixel_nm))

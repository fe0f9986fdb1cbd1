"""Subjects: candidates and gold standards in an order that tells nothing, each under a number of its own.

Which image a number stands for is kept with the run, in `RUN/volunteers/<export>.parquet`; what volunteers see, and
what a site keeps of a subject, does not say it.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from crater_ray.errors import CraterRayError, UsageError
from crater_ray.images.fetch import fetch
from crater_ray.images.status import Refusal
from crater_ray.planting.recipe import Recipe
from crater_ray.results.processes import in_processes
from crater_ray.runs.run import Run
from crater_ray.storage.access import Access
from crater_ray.storage.errors import StorageError
from crater_ray.volunteers.pictures import draw, read

FOLDER = "volunteers"
CANDIDATE, CRATER, BLANK = "candidate", "crater", "blank"
"""Kinds of subjects: of a candidate; gold standards with a planted crater, and safely without one."""
SCHEMA = pa.schema(
    [
        ("subject", pa.string()),
        ("file", pa.string()),
        ("kind", pa.string()),
        ("key", pa.string()),
        ("uri", pa.string()),
        ("foil", pa.string()),
        ("x", pa.float64()),
        ("y", pa.float64()),
        ("diameter", pa.float64()),
        ("left", pa.int32()),
        ("top", pa.int32()),
        ("zoom", pa.float64()),
        ("nm_per_pixel", pa.float64()),
        ("score", pa.float32()),
    ]
)
"""Per subject: its number, the picture's file, its kind; key, address and foil of the image; where in it the crater is
(px, empty for blanks and where the network gave no place), its diameter (px); the picture's part of the image (see
`crater_ray.volunteers.pictures.View`); nm per pixel of the picture; the network's score of the image as it is."""

CHUNK = 100
WORTH_A_POOL = 400
"""Fewer subjects than this are drawn faster by one process than by starting others."""
_NUMBER = re.compile(r"([0-9a-f]{12})-\d+")


@dataclass(frozen=True)
class Job:
    """Subjects for one process.

    Attributes:
        rows: with `file`, `uri`, `page`, `x`, `y` and, for planted craters, `recipe`.
        folder: where the pictures go.
        access: how to reach the images.
        whole: show whole images.
        most: bytes of a picture.
    """

    rows: list[dict[str, Any]]
    folder: Path
    access: Access
    whole: bool
    most: int


def numbered(
    run: Run, candidates: list[dict[str, Any]], craters: list[dict[str, Any]], blanks: list[dict[str, Any]], seed: int
) -> list[dict[str, Any]]:
    """Mix candidates and gold standards and number them; the same images and seed get the same numbers.

    Args:
        run: whose images they are.
        candidates: rows of a run's list.
        craters, blanks: as `crater_ray.volunteers.gold.gold_standards` gives them.
        seed: decides the order.

    Returns:
        Rows with the columns of `SCHEMA` that are known before the pictures are, `page` and `recipe`.
    """
    rng = np.random.default_rng([seed, 11])
    rows = [_row(CANDIDATE, row) for row in candidates]
    for row in craters:
        recipe = Recipe(row["x"], row["y"], row["diameter"], row["strength"], row["seed"])
        known = {"key": row["image"], "score": row["score_before"]}
        # A crater in the very middle of the picture would tell that it was planted.
        offset = rng.normal(0, 4, 2)
        middle = {"look_x": row["x"] + offset[0], "look_y": row["y"] + offset[1]}
        rows.append(_row(CRATER, row | known, recipe) | middle)
    for row in blanks:
        rows.append(_row(BLANK, row | {"x": None, "y": None}) | {"look_x": rng.random(), "look_y": rng.random()})
    digest = hashlib.sha256(f"{run.id} {seed}".encode())
    for row in rows:
        recipe = row["recipe"]
        digest.update(f"{row['kind']} {row['key']!r} {row['x']} {recipe and recipe.seed}\n".encode())
    export = digest.hexdigest()[:12]
    mixed = [rows[place] for place in rng.permutation(len(rows))]
    for number, row in enumerate(mixed):
        row["subject"], row["file"] = f"{export}-{number:06d}", f"{export}-{number:06d}.jpg"
    return mixed


def _row(kind: str, row: dict[str, Any], recipe: Recipe | None = None) -> dict[str, Any]:
    names = ("key", "uri", "foil", "x", "y", "diameter", "score", "page", "pixel_nm")
    known = {name: row.get(name) for name in names}
    return known | {"kind": kind, "recipe": recipe, "look_x": known["x"], "look_y": known["y"]}


def write_pictures(
    rows: list[dict[str, Any]],
    folder: Path,
    access: Access,
    whole: bool,
    most: int,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[pa.Table, dict[str, int]]:
    """Write the picture of every subject.

    Args:
        rows: as `numbered` gives them.
        folder: gets the pictures, under the names in `file`.
        access: how to reach the images.
        whole: show whole images instead of what is around the place.
        most: bytes that a picture may have.
        progress: called with subjects done and subjects in all.

    Returns:
        Schema `SCHEMA`, without what cannot be fetched or decoded; and how often that was for which reason.

    Raises:
        CraterRayError: not one of them could.
    """
    jobs = [Job(rows[start : start + CHUNK], folder, access, whole, most) for start in range(0, len(rows), CHUNK)]
    made: list[dict[str, Any]] = []
    problems: dict[str, int] = {}
    done = 0
    worked = in_processes(_draw, jobs, worth_it=len(rows) >= WORTH_A_POOL)
    for job, answers in zip(jobs, worked, strict=True):
        for row, answer in zip(job.rows, answers, strict=True):
            if isinstance(answer, str):
                problems[answer] = problems.get(answer, 0) + 1
            else:
                left, top, zoom = answer
                nm = row["pixel_nm"] / zoom if row["pixel_nm"] else None
                shown = row | {"left": left, "top": top, "zoom": zoom, "nm_per_pixel": nm}
                made.append({name: shown[name] for name in SCHEMA.names})
        done += len(job.rows)
        if progress:
            progress(done, len(rows))
    if rows and not made:
        raise CraterRayError(
            f"Not one of the {len(rows):,} images could be fetched; the first: {next(iter(problems))}. "
            "Is the archive still where it was scanned? Check --endpoint-url and --anonymous."
        )
    return pa.Table.from_pylist(made, schema=SCHEMA), problems


def _draw(job: Job) -> list[tuple[int, int, float] | str]:
    """Of each subject left, top and zoom of its picture, or why it has none."""
    answers: list[tuple[int, int, float] | str] = []
    for row, data in zip(job.rows, fetch([row["uri"] for row in job.rows], job.access), strict=True):
        if isinstance(data, StorageError | Refusal):
            answers.append(data.reason if isinstance(data, Refusal) else str(data))
            continue
        pixels = read(data, row["page"], row["recipe"])
        if isinstance(pixels, Refusal):
            answers.append(pixels.reason)
            continue
        height, width = pixels.shape
        x, y = row["look_x"], row["look_y"]
        if row["kind"] == BLANK:
            x, y = x * width, y * height
        known = x is not None and y is not None
        jpeg, view = draw(pixels, x if known else 0, y if known else 0, job.whole or not known, job.most)
        (job.folder / row["file"]).write_bytes(jpeg)
        answers.append((view.left, view.top, view.zoom))
    return answers


def keep(run: Run, subjects: pa.Table) -> str:
    """Keep with the run which subject is which; gives where."""
    file = io.BytesIO()
    pq.write_table(subjects, file, compression="zstd")
    name = f"{FOLDER}/{_export(subjects['subject'][0].as_py())}.parquet"
    run.folder.publish(name, file.getvalue())
    return f"{run.folder.uri.rstrip('/')}/{name}"


def kept(run: Run) -> dict[str, dict[str, Any]]:
    """All subjects of all exports of a run, by number.

    Raises:
        UsageError: there are none.
        CraterRayError: what was kept cannot be read.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, _ in run.folder.names(f"{FOLDER}/"):
        if name.endswith(".parquet"):
            try:
                table = pq.read_table(io.BytesIO(run.folder.read(name)))
            except (FileNotFoundError, pa.ArrowException) as problem:
                raise CraterRayError(f"{run.folder.uri}/{name} cannot be read: {problem}") from None
            found |= {row["subject"]: row for row in table.to_pylist()}
    if not found:
        raise UsageError(
            f"Nothing of the run at {run.folder.uri} was exported for volunteers yet: `crater-ray export zooniverse` "
            "does it."
        )
    return found


def _export(subject: str) -> str:
    match = _NUMBER.fullmatch(subject)
    if match is None:
        raise ValueError(f"{subject!r} is no subject's number")
    return match[1]

"""Gold standards for a gallery: planted craters and sure blanks that look like candidates in all that is shown."""

from __future__ import annotations

import re
import string
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import ndimage

from crater_ray.completeness.plan import recipe_of
from crater_ray.errors import UsageError
from crater_ray.images.crop import Crop
from crater_ray.images.decode import read_picture
from crater_ray.images.fetch import fetch
from crater_ray.images.picture import Reading
from crater_ray.images.status import Refusal
from crater_ray.results.gallery.gold import ALIAS
from crater_ray.results.gallery.pages import ADDRESS, RECIPE, TRUTH
from crater_ray.results.open_run import Results
from crater_ray.results.review.gold import GoldStandard, keep_gold
from crater_ray.runs.columns import SCHEMA
from crater_ray.runs.run import Run
from crater_ray.storage.access import Access
from crater_ray.storage.errors import StorageError
from crater_ray.volunteers.gold import Wanted, gold_standards

MOST = 0.5
"""Largest share of gold standards among all that is shown."""
PLACE, SIZE = 1.0, 0.08
"""How far off a network's places (px) and diameters (part) are; those that are shown of gold standards are so too."""
SCALES = (2.0, 4.0, 7.0)
"""Sigmas in px of the spots that a blank's place is looked for by."""
MARGIN = 8
TRIES = 50


def gold_for_gallery(
    run: Run,
    share: float,
    access: Access,
    *,
    threshold: float | None = None,
    image_table: pa.Table | None = None,
    seed: int = 0,
) -> pa.Table:
    """Make gold standards to mix into the gallery of a run, half of them craters, and keep with the run which they are.

    Args:
        run: complete.
        share: of gold standards among all that is shown.
        access: how to reach the images.
        threshold: the lowest score of a candidate; the run's when None.
        image_table: for the foils.
        seed: decides which images, and which craters.

    Returns:
        A run's columns of the images that they are made of, with places, diameters and scores that look like those of
        candidates, and the columns that `crater_ray.results.gallery.gold.mixed` takes.

    Raises:
        UsageError: the share is none, or there are too few images or candidates.
    """
    if not 0 < share <= MOST:
        raise UsageError(f"--mix must be a share above 0 and at most {MOST:g}, such as 0.1; received: {share:g}")
    candidates = Results(run).candidates(threshold, ["score", "x", "diameter"])
    count = max(2, round(candidates.num_rows * share / (1 - share)))
    if not candidates.num_rows:
        raise UsageError(f"The run at {run.folder.uri} has no candidates to mix gold standards into.")
    access = replace(access, endpoint_url=access.endpoint_url or run.record["settings"].get("endpoint_url"))
    craters, blanks = gold_standards(run, Wanted(count // 2, count - count // 2, seed), access, image_table)
    planned = [
        {"key": one["image"], "truth": "crater", "x": one["x"], "y": one["y"], "diameter": one["diameter"]}
        | {"recipe": recipe_of(one).added_to("")}
        for one in craters
    ]
    planned += _with_places(run, blanks, access)
    rows = _rows(run, planned, np.random.default_rng([seed, 11]), candidates)
    _disguise(run, rows, seed)
    some = [
        GoldStandard(row[ALIAS], row[TRUTH], row["key"], plan["x"], plan["y"], plan.get("diameter"))
        for row, plan in zip(rows, planned, strict=True)
    ]
    keep_gold(run, some)
    texts = [pa.field(name, pa.string()) for name in (ALIAS, ADDRESS, TRUTH, RECIPE)]
    return pa.Table.from_pylist(rows, schema=pa.schema([*SCHEMA, *texts]))


def _with_places(run: Run, blanks: list[dict[str, Any]], access: Access) -> list[dict[str, Any]]:
    """Blanks with the place of each that stands out most: where a candidate's would be."""
    settings = run.record["settings"]
    reading = Reading(Crop(settings.get("crop") or "auto"), None, ())
    planned = []
    files = fetch([row["uri"] for row in blanks], access, last_try=True)
    for row, data in zip(blanks, files, strict=True):
        picture = data if isinstance(data, StorageError | Refusal) else read_picture(data, reading)
        if isinstance(picture, StorageError):
            raise picture
        if isinstance(picture, Refusal):
            raise UsageError(f"The image {row['key']!r} can no longer be read ({picture.reason}): scan again first.")
        y, x = _stands_out(picture.pixels)
        planned.append({"key": row["key"], "truth": "not", "x": x + picture.left, "y": y + picture.top, "recipe": None})
    return planned


def _stands_out(pixels: np.ndarray) -> tuple[float, float]:
    """Row and column of the strongest spot, bright or dark, of an image (Laplacian of Gaussian, Lindeberg 1998)."""
    levels = pixels.astype(np.float32)
    best, at = -1.0, (0.0, 0.0)
    for sigma in SCALES:
        answer = np.abs(sigma**2 * ndimage.gaussian_laplace(levels, sigma))[MARGIN:-MARGIN, MARGIN:-MARGIN]
        if answer.size and answer.max() > best:
            best = float(answer.max())
            row, column = divmod(int(np.argmax(answer)), answer.shape[1])
            at = (float(row + MARGIN), float(column + MARGIN))
    return at


def _rows(
    run: Run, planned: list[dict[str, Any]], rng: np.random.Generator, candidates: pa.Table
) -> list[dict[str, Any]]:
    """The run's rows of these images, with scores, places and diameters as candidates have them."""
    wanted = pa.array([plan["key"] for plan in planned], pa.string())
    known: dict[str, dict[str, Any]] = {}
    for part in Results(run).parts():
        known |= {row["key"]: row for row in part.filter(pc.is_in(part["key"], value_set=wanted)).to_pylist()}
    scores = np.sort(candidates["score"].to_numpy())
    placed = 1 - candidates["x"].null_count / candidates.num_rows
    sizes = candidates["diameter"].drop_null().to_numpy()
    measured = len(sizes) / max(candidates.num_rows - candidates["x"].null_count, 1)
    rows = []
    for plan in planned:
        row = dict(known[plan["key"]])
        score = np.interp(rng.random() * (len(scores) - 1), np.arange(len(scores)), scores)
        x, y = (float(plan[name] + rng.normal(0, PLACE)) for name in "xy")
        size = plan.get("diameter") or (float(rng.choice(sizes)) if len(sizes) else None)
        size = None if size is None or rng.random() >= measured else size * float(rng.normal(1, SIZE))
        if rng.random() >= placed:
            x = y = size = None  # type: ignore[assignment]
        row |= {"score": float(np.float32(score)), "x": x, "y": y, "diameter": size, "places": None}
        row |= {"page": 1 if row["page"] else None, TRUTH: plan["truth"], RECIPE: plan["recipe"]}
        rows.append(row)
    return rows


def _disguise(run: Run, rows: list[dict[str, Any]], seed: int) -> None:
    """Give every gold standard a key that looks like the run's and is of none of its images, and an address alike."""
    chance = np.random.default_rng([seed, 13])
    tried = [[_altered(row["key"], chance, 1 + number // 10) for number in range(TRIES)] for row in rows]
    every = pa.array(sorted({key for keys in tried for key in keys}), pa.string())
    taken: set[str] = set()
    for shard in range(run.manifest.shards):
        keys = run.manifest.shard(shard)["key"]
        taken |= set(keys.filter(pc.is_in(keys, value_set=every)).to_pylist())
    for row, keys in zip(rows, tried, strict=True):
        alias = next((key for key in keys if key not in taken), f"{row['key']}{chance.integers(10**6)}")
        taken.add(alias)
        old, new = (key.rpartition("/")[2] for key in (row["key"], alias))
        row |= {ALIAS: alias, ADDRESS: row["uri"].replace(old, new)}


def _altered(key: str, chance: np.random.Generator, more: int) -> str:
    """A key of the same look: some of its last digits, or letters where it has none, are others."""
    folder, slash, name = key.rpartition("/")
    places = [match.start() for match in re.finditer(r"[0-9]", name)][-6:]
    kinds = string.digits
    if len(places) < 2:
        places, kinds = [match.start() for match in re.finditer(r"[A-Za-z0-9]", name)][-6:], string.ascii_lowercase
    letters = list(name)
    for place in chance.permutation(places)[: 1 + more].tolist():
        letters[place] = kinds[int(chance.integers(len(kinds)))]
    return f"{folder}{slash}{''.join(letters)}"

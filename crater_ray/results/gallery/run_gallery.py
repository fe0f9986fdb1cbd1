"""The gallery of a run: its candidates, best first, as pages for the eye and the keyboard."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from crater_ray.errors import UsageError
from crater_ray.results.false_alarms.report import curves, false_alarms
from crater_ray.results.false_alarms.tail import Craters
from crater_ray.results.gallery.distribution import distribution
from crater_ray.results.gallery.gold import mixed
from crater_ray.results.gallery.pages import Gallery, Written, write
from crater_ray.results.image_table import join
from crater_ray.results.open_run import Results
from crater_ray.results.order import flagged, in_order
from crater_ray.results.repeats.find import find_repeats
from crater_ray.results.review.gold import read_gold_verdicts
from crater_ray.results.review.skill import probabilities, skills
from crater_ray.results.review.verdicts import FOLDER, read_verdicts
from crater_ray.results.similar.directions import directions_of
from crater_ray.runs.run import Run
from crater_ray.storage.access import Access


def write_gallery(
    run: Run,
    out: Path,
    access: Access,
    *,
    threshold: float | None = None,
    image_table: pa.Table | None = None,
    pixel_nm: float | None = None,
    craters: Mapping[str, Craters] | None = None,
    gold: pa.Table | None = None,
    sort: str | None = None,
    flags: Sequence[str] = (),
    whole: bool = True,
    repeats: bool = False,
    similar: bool = False,
    bundle: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Written:
    """Write the gallery of a run's candidates, best first.

    Args:
        run: complete or not.
        out: the gallery's folder.
        access: how to reach the images.
        threshold: the lowest score that is shown; the run's when None.
        image_table: foils, frames, VMcodes, as `crater_ray.results.image_table.read_image_table` gives it.
        pixel_nm: width of a pixel in nm; as the run has it for each image when None.
        craters: how craters score, as `crater_ray.completeness.scores.crater_scores` gives it, for the craters that are
            to be expected.
        gold: gold standards to mix in, as `crater_ray.volunteers.mixed.gold_for_gallery` makes them.
        sort, flags: in which order they come and which are flagged; see `crater_ray.results.order`.
        whole: copy the whole images as well.
        repeats: let the page fold candidates that repeat; see `crater_ray.results.repeats.find`.
        similar: let the page show what looks alike; features that are not kept with the run yet are made for it.
        bundle: the network that makes them; see `crater_ray.results.similar.describe.network_of`.
        progress: called with candidates done and candidates in all.

    Raises:
        UsageError: the run holds planted craters.
    """
    if "planting" in run.record["settings"]:
        raise UsageError(f"{run.folder.uri} holds planted craters: its completeness.html shows some of them.")
    results = Results(run)
    cut = run.threshold if threshold is None else threshold
    candidates = join(results.candidates(cut), image_table)
    if gold is not None:
        candidates = mixed(candidates, join(gold, image_table))
    candidates = in_order(flagged(candidates, flags), sort)
    settings = run.record["settings"]
    facts = {
        "run_id": run.id,
        "run": run.folder.uri,
        "source": settings["source"],
        "bundle": settings["bundle"],
        "engine": settings["engine"],
        "threshold": cut,
        "images": run.manifest.images,
        "complete": results.complete,
        **({"sort": sort} if sort else {}),
    }
    counted = distribution(results.parts(["status", "score"]), [cut, run.threshold])
    foils = set(candidates["foil"].drop_null().to_pylist())
    expected = curves(false_alarms(run, image_table, craters), counted.thresholds.tolist(), foils)
    name = run.folder.uri.rstrip("/").rpartition("/")[2]
    said = probabilities(read_verdicts(run), skills(read_gold_verdicts(run, FOLDER))).by_key
    own = zip(candidates["key"].to_pylist(), candidates["score"].to_pylist(), strict=True)
    chances = np.array([said.get(key, score) for key, score in own], float)
    gallery = Gallery(
        f"Candidates: {name}", candidates, facts, counted.as_json(), pixel_nm, expected=expected, chances=chances
    )
    if repeats and gold is None:  # each gold standard is to be looked at by itself
        found = find_repeats(candidates, pixel_nm)
        kinds = [repeat.name for repeat in found.found]
        gallery = replace(gallery, repeats=(found.of(), kinds) if kinds else None)
    if similar and gold is None:  # what is unknown of gold standards would tell them
        gallery = replace(
            gallery, vectors=directions_of(run, candidates["key"].to_pylist(), access, bundle, cut, progress)
        )
    return write(gallery, out, access, whole, progress)


def default_folder(run: Run) -> Path:
    """Where a gallery goes unless told: beside a local run, in the current folder for a run elsewhere."""
    uri = run.folder.uri.rstrip("/")
    return Path(f"{uri if run.folder.store.local else uri.rpartition('/')[2]}-gallery")

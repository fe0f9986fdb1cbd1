"""Galleries: a run's candidates as pages for the eye and the keyboard. See `crater_ray.results.gallery.site`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from crater_ray.results.gallery.distribution import distribution
from crater_ray.results.gallery.site import Gallery, Written, write
from crater_ray.results.image_table import join
from crater_ray.results.open_run import Results
from crater_ray.runs.run import Run
from crater_ray.storage.access import Access

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Written", "default_folder", "show_written", "write_gallery"]


def write_gallery(
    run: Run,
    out: Path,
    access: Access,
    *,
    threshold: float | None = None,
    image_table: pa.Table | None = None,
    pixel_nm: float | None = None,
    whole: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Written:
    """Write the gallery of a run's candidates, best first.

    Args:
        run: complete or not.
        out: the gallery's folder.
        access: how to reach the images.
        threshold: the lowest score that is shown; the run's when None.
        image_table: foils, frames, VMcodes, as `crater_ray.results.image_table.read_image_table` gives it.
        pixel_nm: size of a pixel in nm, when known.
        whole: copy the whole images as well.
        progress: called with candidates done and candidates in all.
    """
    results = Results(run)
    cut = run.threshold if threshold is None else threshold
    candidates = join(results.candidates(cut), image_table)
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
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
    counted = distribution(results.parts(["status", "score"]), [cut, run.threshold]).as_json()
    name = run.folder.uri.rstrip("/").rpartition("/")[2]
    return write(Gallery(f"Candidates: {name}", candidates, facts, counted, pixel_nm), out, access, whole, progress)


def default_folder(run: Run) -> Path:
    """Where a gallery goes unless told: beside a local run, in the current folder for a run elsewhere."""
    uri = run.folder.uri.rstrip("/")
    return Path(f"{uri if run.folder.store.local else uri.rpartition('/')[2]}-gallery")


def show_written(written: Written, console: Console) -> None:
    """Say what was made and which page to open."""
    lines = [f"{written.candidates:,} candidates, {written.bytes / 1e6:,.1f} MB"]
    lines += [f"{count:,} without a picture: {reason}" for reason, count in list(written.problems.items())[:5]]
    for line in [*lines, f"open in a browser: {written.page}"]:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

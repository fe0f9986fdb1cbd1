"""Pages with pictures of the candidates that two runs do not share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from crater_ray.results.compare.comparison import Comparison, shown_score
from crater_ray.results.compare.scatter import scatter
from crater_ray.results.gallery.distribution import distribution
from crater_ray.results.gallery.pages import Gallery, Written, write
from crater_ray.results.image_table import join
from crater_ray.results.open_run import Results
from crater_ray.runs.run import Run
from crater_ray.storage.access import Access


def write_page(
    comparison: Comparison,
    a: Run,
    b: Run,
    out: Path,
    access: Access,
    *,
    image_table: pa.Table | None = None,
    pixel_nm: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Written:
    """Write pages with pictures of gained, lost and moved candidates; verdicts given there belong to run B.

    Args:
        comparison: of the runs.
        a, b: the runs.
        out: the pages' folder.
        access: how to reach the images.
        image_table: foils, frames, VMcodes.
        pixel_nm: size of a pixel in nm, when known.
        progress: called with candidates done and candidates in all.
    """
    rows = comparison.changes.to_pylist()
    side = ["a" if row["change"] == "lost" else "b" for row in rows]
    shown = pa.table(
        {
            "key": comparison.changes["key"],
            "uri": comparison.changes["uri"],
            "score": comparison.changes["score_b"],
            "x": pa.array([row[f"x_{one}"] for row, one in zip(rows, side, strict=True)], pa.float32()),
            "y": pa.array([row[f"y_{one}"] for row, one in zip(rows, side, strict=True)], pa.float32()),
            "diameter": pa.array([row[f"diameter_{one}"] for row, one in zip(rows, side, strict=True)], pa.float32()),
            "group": comparison.changes["change"],
            "note": pa.array([_note(row) for row in rows], pa.string()),
        }
    )
    settings = b.record["settings"]
    f = comparison.figures
    facts = {
        "run_id": b.id,
        "source": settings["source"],
        "bundle": f"{a.record['settings']['bundle']} (A) and {settings['bundle']} (B)",
        "threshold": 0.0,
        "images": f.shared,
        "complete": a.success() is not None and b.success() is not None,
        "note": f"{f.gained:,} gained, {f.lost:,} lost, {f.moved:,} moved; scores and histogram are those of B",
    }
    counted = distribution(Results(b).parts(["status", "score"]), comparison.thresholds).as_json()
    names = [run.folder.uri.rstrip("/").rpartition("/")[2] for run in (a, b)]
    gallery = Gallery(
        f"Compared: {names[0]} (A) with {names[1]} (B)", join(shown, image_table), facts, counted, pixel_nm,
        extra=scatter(comparison),
    )  # fmt: skip
    return write(gallery, out, access, progress=progress)


def _note(row: dict[str, Any]) -> str:
    note = f"{shown_score(row['score_a'])} \u2192 {shown_score(row['score_b'])}"
    return f"{note}, {row['distance_px']:.0f} px" if row["change"] == "moved" else note

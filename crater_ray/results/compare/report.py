"""What a comparison looks like: in a terminal, as a drawing, and as pages with pictures of what changed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from crater_ray.results.compare.comparison import CHANGES, Comparison
from crater_ray.results.compare.judged import judged, sentences
from crater_ray.results.gallery.distribution import distribution, to_axis
from crater_ray.results.gallery.site import Gallery, Written, write
from crater_ray.results.image_table import join
from crater_ray.results.open_run import Results
from crater_ray.runs.run import Run
from crater_ray.storage.access import Access

if TYPE_CHECKING:
    from rich.console import Console

SHOWN = 8
CELLS = 64
TICKS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)


def show_comparison(comparison: Comparison, a: Run, b: Run, distance: float, console: Console) -> None:
    """Say how far the runs agree, how they do on judged images, and what the largest changes are."""
    from rich.markup import escape
    from rich.table import Table

    f = comparison.figures

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    for name, run, cut in (("A", a, comparison.thresholds[0]), ("B", b, comparison.thresholds[1])):
        state = "" if run.success() else ", NOT COMPLETE"
        say(f"{name}: {run.folder.uri} (bundle {run.record['settings']['bundle']}, threshold {cut:g}{state})")
    say(f"{f.shared:,} images in both, {f.only_a:,} only in A, {f.only_b:,} only in B; {f.scored:,} scored in both")
    say(f"candidates: {f.candidates_a:,} in A, {f.candidates_b:,} in B")
    say(f"  {f.gained:,} gained, {f.lost:,} lost, {f.moved:,} moved by more than {distance:g} px")
    say(f"same verdict on {100 * f.same_verdict:.2f}% of the images, Cohen's kappa {_or_none(f.kappa)}")
    say(
        f"scores: {f.identical:,} identical, difference {f.mean_difference:.2g} on average, {f.largest_difference:.2g} "
        f"at most; correlation {_or_none(f.pearson)} (Pearson), {_or_none(f.spearman)} (Spearman)"
    )
    if verdicts := judged(comparison, a, b):
        for line in sentences(verdicts, comparison.thresholds):
            say(line)
    if comparison.changes.num_rows == 0:
        return
    table = Table(title=None)
    for name in ("change", "key", "score A", "score B", "px apart"):
        table.add_column(name, justify="left" if name in ("change", "key") else "right", overflow="fold")
    for change in CHANGES:
        for row in _of(comparison.changes, change).slice(0, SHOWN).to_pylist():
            apart = "" if row["distance_px"] is None else f"{row['distance_px']:.0f}"
            table.add_row(change, escape(repr(row["key"])[1:-1]), _score(row["score_a"]), _score(row["score_b"]), apart)
    console.print(table)


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
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "note": f"{f.gained:,} gained, {f.lost:,} lost, {f.moved:,} moved; scores and histogram are those of B",
    }
    counted = distribution(Results(b).parts(["status", "score"]), comparison.thresholds).as_json()
    names = [run.folder.uri.rstrip("/").rpartition("/")[2] for run in (a, b)]
    gallery = Gallery(
        f"Compared: {names[0]} (A) with {names[1]} (B)", join(shown, image_table), facts, counted, pixel_nm,
        extra=scatter(comparison),
    )  # fmt: skip
    return write(gallery, out, access, progress=progress)


def scatter(comparison: Comparison) -> str:
    """Scores of B over scores of A as an SVG drawing: how many images in each cell, and the gained and lost ones."""
    size, left, bottom = 420, 56, 40
    inner = size - left - 12
    side = inner / CELLS

    def x(place: float) -> str:
        return f"{left + place * inner:.1f}"

    def y(place: float) -> str:
        return f"{size - bottom - place * inner:.1f}"

    parts = []
    places = to_axis(comparison.scores)
    cells = np.minimum((places * CELLS).astype(int), CELLS - 1)
    counts = np.zeros((CELLS, CELLS), np.int64)
    np.add.at(counts, (cells[:, 0], cells[:, 1]), 1)
    most = np.log1p(counts.max(initial=1))
    for column, row in np.argwhere(counts):
        strength = 0.15 + 0.85 * np.log1p(counts[column, row]) / most
        box = f'x="{x(column / CELLS)}" y="{y((row + 1) / CELLS)}" width="{side:.1f}" height="{side:.1f}"'
        title = f"<title>{counts[column, row]:,} images</title>"
        parts.append(f'<rect class="cell" {box} fill-opacity="{strength:.2f}">{title}</rect>')
    for change in ("gained", "lost"):
        some = _of(comparison.changes, change).slice(0, 500)
        for first, second in zip(some["score_a"].to_pylist(), some["score_b"].to_pylist(), strict=True):
            if first is not None and second is not None:
                at = to_axis(np.array([first, second]))
                parts.append(f'<circle class="dot {change}" cx="{x(at[0])}" cy="{y(at[1])}" r="4"/>')
    for tick, place in zip(TICKS, to_axis(np.array(TICKS)), strict=True):
        parts.append(f'<text x="{x(place)}" y="{size - bottom + 16}" text-anchor="middle">{tick:g}</text>')
        parts.append(f'<text x="{left - 6}" y="{float(y(place)) + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for cut, across in zip(to_axis(np.array(comparison.thresholds)), (False, True), strict=True):
        ends = (x(0), x(1), y(cut), y(cut)) if across else (x(cut), x(cut), y(0), y(1))
        parts.append(f'<line class="cut" x1="{ends[0]}" x2="{ends[1]}" y1="{ends[2]}" y2="{ends[3]}"/>')
    parts.append(f'<line class="axis" x1="{x(0)}" x2="{x(1)}" y1="{y(0)}" y2="{y(0)}"/>')
    parts.append(f'<line class="axis" x1="{x(0)}" x2="{x(0)}" y1="{y(0)}" y2="{y(1)}"/>')
    parts.append(f'<text x="{x(0.5)}" y="{size - 4}" text-anchor="middle">score in A</text>')
    parts.append(f'<text x="4" y="{y(1)}" dy="-2">score in B</text>')
    f = comparison.figures
    label = f"Scores of {f.scored:,} images in A and B; {f.gained:,} gained and {f.lost:,} lost candidates are circled."
    return (
        f'<figure class="drawing"><svg viewBox="0 -14 {size} {size + 14}" role="img" aria-label="{label}">'
        f"{''.join(parts)}</svg><figcaption>{label} The stronger a cell, the more images; dashed are the thresholds."
        "</figcaption></figure>"
    )


def _of(changes: pa.Table, change: str) -> pa.Table:
    import pyarrow.compute as pc

    return changes.filter(pc.equal(changes["change"], change))


def _note(row: dict[str, Any]) -> str:
    note = f"{_score(row['score_a'])} \u2192 {_score(row['score_b'])}"
    return f"{note}, {row['distance_px']:.0f} px" if row["change"] == "moved" else note


def _score(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def _or_none(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"

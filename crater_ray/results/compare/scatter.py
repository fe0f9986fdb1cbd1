"""A drawing of two runs' scores: those of B over those of A, as SVG."""

from __future__ import annotations

import numpy as np

from crater_ray.results.compare.comparison import Comparison
from crater_ray.results.gallery.distribution import to_axis

CELLS = 64
TICKS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)


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
        some = comparison.of(change).slice(0, 500)
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

"""What `compare` prints: how far two runs agree, how they do on judged images, and the largest changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crater_ray.results.compare.comparison import CHANGES, Comparison, shown_score
from crater_ray.results.compare.judged import judged, sentences
from crater_ray.runs.run import Run
from crater_ray.watching.display import say

if TYPE_CHECKING:
    from rich.console import Console

SHOWN = 8


def show_comparison(comparison: Comparison, a: Run, b: Run, distance: float, console: Console) -> None:
    """Say how far the runs agree, how they do on judged images, and what the largest changes are."""
    from rich.markup import escape
    from rich.table import Table

    f = comparison.figures

    for name, run, cut in (("A", a, comparison.thresholds[0]), ("B", b, comparison.thresholds[1])):
        state = "" if run.success() else ", NOT COMPLETE"
        say(console, f"{name}: {run.folder.uri} (bundle {run.record['settings']['bundle']}, threshold {cut:g}{state})")
    say(
        console,
        f"{f.shared:,} images in both, {f.only_a:,} only in A, {f.only_b:,} only in B; {f.scored:,} scored in both",
    )
    say(console, f"candidates: {f.candidates_a:,} in A, {f.candidates_b:,} in B")
    say(console, f"  {f.gained:,} gained, {f.lost:,} lost, {f.moved:,} moved by more than {distance:g} px")
    say(console, f"same verdict on {100 * f.same_verdict:.2f}% of the images, Cohen's kappa {_or_none(f.kappa)}")
    say(
        console,
        f"scores: {f.identical:,} identical, difference {f.mean_difference:.2g} on average, {f.largest_difference:.2g} "
        f"at most; correlation {_or_none(f.pearson)} (Pearson), {_or_none(f.spearman)} (Spearman)",
    )
    if verdicts := judged(comparison, a, b):
        for line in sentences(verdicts, comparison.thresholds):
            say(console, line)
    if comparison.changes.num_rows == 0:
        return
    table = Table(title=None)
    for name in ("change", "key", "score A", "score B", "px apart"):
        table.add_column(name, justify="left" if name in ("change", "key") else "right", overflow="fold")
    for change in CHANGES:
        for row in comparison.of(change).slice(0, SHOWN).to_pylist():
            apart = "" if row["distance_px"] is None else f"{row['distance_px']:.0f}"
            table.add_row(
                change, escape(repr(row["key"])[1:-1]), shown_score(row["score_a"]), shown_score(row["score_b"]), apart
            )
    console.print(table)


def _or_none(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"

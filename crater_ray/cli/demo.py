"""The demonstration: simulate a small foil archive, scan it like a real one, and compare with what was planted."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crater_ray.cli.summaries import show_outcome
from crater_ray.errors import UsageError
from crater_ray.network.bundle import load as load_bundle
from crater_ray.runs.run import open_existing
from crater_ray.scanning.scan import scan
from crater_ray.settings import ScanSettings
from crater_ray.simulate import simulate_archive
from crater_ray.watching.display import say

if TYPE_CHECKING:
    from rich.console import Console

    from crater_ray.runs.run import Run

IMAGES, CRATERS, SEED = 150, 30, 2026
SIZES: tuple[tuple[float, float], ...] = ((0, 8), (8, 20), (20, math.inf))
"""Diameters in pixels by which the found craters are counted."""


@dataclass(frozen=True)
class Found:
    """How a scan compares with labels.csv.

    Attributes:
        by_size: planted and found craters for each of `SIZES`.
        blanks, false_alarms: images without a crater, and how many of them are candidates.
    """

    by_size: dict[tuple[float, float], tuple[int, int]]
    blanks: int
    false_alarms: int


def demonstrate(out: Path, console: Console) -> None:
    """Simulate, scan, compare, and say where everything is.

    Args:
        out: folder to make; `archive` and `run` appear in it.
        console: where to say it.

    Raises:
        UsageError: there is something else in that place.
    """
    from rich.progress import Progress

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{str(out)!r} is in use. Name a folder that does not exist yet, or an empty one.")
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("simulating foil", total=IMAGES)
        labels = simulate_archive(
            out / "archive", IMAGES, CRATERS, SEED, progress=lambda done, _: bar.update(task, completed=done)
        )
    say(console, f"simulated {IMAGES} foil images, {CRATERS} of them with a crater: {out / 'archive'}")
    outcome = scan(ScanSettings(source=str(out / "archive"), out=str(out / "run")), console)
    show_outcome(outcome, console)
    with open_existing(out / "run") as run:
        found = compare_with_labels(run, labels)
        threshold = run.threshold
    craters = sum(planted for planted, _ in found.by_size.values())
    hits = sum(hit for _, hit in found.by_size.values())
    say(
        console,
        f"planted craters found: {hits} of {craters} (score at or above {threshold:g}, bundle {load_bundle().id})",
    )
    for (low, high), (planted, hit) in found.by_size.items():
        size = (
            f"{low:g} px and larger"
            if math.isinf(high)
            else f"below {high:g} px"
            if low == 0
            else f"{low:g}-{high:g} px"
        )
        say(console, f"  {size}: {hit} of {planted}")
    say(console, f"images without a crater called candidates: {found.false_alarms} of {found.blanks}")
    say(console, f"see them:  crater-ray candidates {out / 'run'}")


def compare_with_labels(run: Run, labels: Path) -> Found:
    """Count planted craters whose image is a candidate, by size, and blanks that are.

    Args:
        run: a scan of a simulated archive.
        labels: its labels.csv.
    """
    candidates: set[str] = set()
    for rows in run.parts():
        scores = zip(rows["key"].to_pylist(), rows["score"].to_pylist(), strict=True)
        candidates.update(key for key, score in scores if score is not None and score >= run.threshold)
    by_size = dict.fromkeys(SIZES, (0, 0))
    blanks = false_alarms = 0
    with labels.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            hit = row["key"] in candidates
            if row["label"] == "0":
                blanks += 1
                false_alarms += hit
                continue
            size = next(size for size in SIZES if size[0] <= float(row["diameter_px"]) < size[1])
            planted, found = by_size[size]
            by_size[size] = (planted + 1, found + hit)
    return Found(by_size, blanks, false_alarms)

"""What measuring completeness costs: a scan of some images, and planting a crater into each and scanning them again."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import image_set, options
from benchmarks.record import Record, spread
from crater_ray.errors import CraterRayError

MEANING = (
    "`crater-ray scan` of images in a folder, then `crater-ray completeness` of that run with as many planted craters "
    "as it has images, report and pages included; each from command to end in a process of its own, in turn. The ratio "
    "is of each turn's two times. What engines keep between scans is kept before the first turn."
)


def planting(
    images: Annotated[int, typer.Option("--images", metavar="N", min=20, help="Scanned, and planted into.")] = 1_000,
    repeats: options.Repeats = 5,
    json: options.Json = None,
) -> None:
    """How many times as long as a scan it takes to plant a crater into each image and to scan them."""
    archive = image_set.make(images, seed=3, crater_share=0.06)
    record = Record("planting", {"images": images, "repeats": repeats}, archive.describe(images))
    turns: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="crater-ray-planting-") as work:
        source = Path(work, "archive")
        for name, file in archive.named(images):
            target = source / name
            target.parent.mkdir(parents=True)
            target.write_bytes(file.read_bytes())
        timed("scan", str(source), "--out", str(Path(work, "warm")))
        for turn in range(repeats):
            run = str(Path(work, f"run-{turn}"))
            scanning = timed("scan", str(source), "--out", run)
            planted = timed("completeness", run, "--images", str(images), "--pixel-size", "50")
            turns.append({"scan": scanning, "completeness": planted, "ratio": planted / scanning})
    figures: dict[str, Any] = {name: spread([turn[name] for turn in turns]) for name in turns[0]}
    record.figures = figures | {"meaning": MEANING}
    record.write(json)
    rows = [
        (name, *(f"{figures[name][one]:.2f}" for one in ("median", "min", "max")))
        for name in ("scan", "completeness", "ratio")
    ]
    record.show(f"{images:,} images, {repeats} turns", ("seconds, ratio", "median", "min", "max"), rows, MEANING)


def timed(*arguments: str) -> float:
    """Seconds that a command of crater-ray takes, in a process of its own."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "crater_ray.cli", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise CraterRayError(f"crater-ray {arguments[0]} ended with {ended.returncode}: {ended.stderr[-500:]}")
    return time.perf_counter() - began

"""How soon a scan's first row is there, and how long a small scan takes: the command as a user types it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import image_set, options
from benchmarks.image_set import ImageSet
from benchmarks.record import Record, spread
from crater_ray.engines.kept import ELSEWHERE
from crater_ray.errors import CraterRayError

LOOK_SECONDS = 0.01
MEANING = (
    "From the start of `crater-ray scan` to the part with its rows, and to its end, in a process of its own, images in "
    "a folder. First: with nothing kept from earlier scans, so that engines are tried and compiled. Then: medians of "
    "the runs after it. Files are in the operating system's cache in both."
)


def start(
    images: Annotated[str, typer.Option("--images", metavar="N,...", help="Sizes of the scans.")] = "1,150",
    engine: options.Engine = "auto",
    bundle: options.BundleName = "default",
    repeats: options.Repeats = 3,
    json: options.Json = None,
) -> None:
    """Seconds from the command to the first row, and to the end, of small scans; the first time and later."""
    sizes = [int(size) for size in images.split(",")]
    archive = image_set.make(max(sizes), seed=2026, crater_share=0.2)
    settings = {"images": sizes, "engine": engine, "bundle": bundle, "repeats": repeats}
    record = Record("start", settings, archive.describe(max(sizes)))
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="crater-ray-start-") as work:
        folder = options.bundle_folder(bundle, Path(work))
        small_scan(archive, 1, folder, engine, Path(work, "warm"), Path(work, "other-cache"))
        for size in sizes:
            cache = Path(work, f"cache-{size}")
            runs = [
                small_scan(archive, size, folder, engine, Path(work, f"{size}-{turn}"), cache)
                for turn in range(1 + repeats)
            ]
            later: dict[str, Any] = {name: spread([run[name] for run in runs[1:]]) for name in runs[0]}
            rows.append({"images": size, "first_run": runs[0], "later_runs": later})
    record.figures = {"meaning": MEANING, "rows": rows}
    record.write(json)
    shown = [
        (
            f"{row['images']:,}",
            *(f"{row['first_run'][name]:.1f}" for name in ("first_row_seconds", "seconds")),
            *(f"{row['later_runs'][name]['median']:.1f}" for name in ("first_row_seconds", "seconds")),
        )
        for row in rows
    ]
    columns = ("images", "first row, s, first run", "whole, s", "first row, s, later", "whole, s")
    record.show(f"start of a scan, engine {engine}", columns, shown, MEANING)


def small_scan(archive: ImageSet, images: int, bundle: Path, engine: str, place: Path, cache: Path) -> dict[str, float]:
    """Scan some images in a new folder; seconds until the first part is there, and until the command ends."""
    for name, file in archive.named(images):
        target = place / "archive" / name
        target.parent.mkdir(parents=True)
        target.write_bytes(file.read_bytes())
    name, screened = options.split_engine(engine)
    command = [sys.executable, "-m", "crater_ray.cli", "scan", str(place / "archive"), "--out", str(place / "run")]
    command += ["--bundle", str(bundle), "--engine", name, *(["--screen"] if screened else [])]
    environment = os.environ | {ELSEWHERE: str(cache)}
    part = place / "run" / "parts" / "part-00000.parquet"
    with (place / "output").open("w") as output:
        began = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
        first = None
        while process.poll() is None:
            if first is None and part.exists():
                first = time.perf_counter() - began
            time.sleep(LOOK_SECONDS)
        ended = time.perf_counter() - began
    if process.returncode or first is None:
        raise CraterRayError(f"The scan ended with {process.returncode}: {(place / 'output').read_text()[-500:]}")
    return {"first_row_seconds": round(first, 3), "seconds": round(ended, 3)}

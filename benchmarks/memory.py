"""The driver's memory while a scan runs: flat, however many images the archive has."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer

from benchmarks import child, image_set, options
from benchmarks.record import Record

SAMPLE_SECONDS = 0.2
COURSE = 120
"""Points of the course over time that are kept."""

MEANING = (
    "Resident memory of the driver process alone, sampled from outside five times a second from its start to its end "
    "(listing and the final check included). Steady: the median while images were being scored."
)


def memory(
    images: Annotated[str, typer.Option("--images", metavar="N,...", help="Images of each run.")] = "2000,100000",
    size: Annotated[str, typer.Option("--size", metavar="HxW", help="Image size in pixels.")] = "96x96",
    engine: options.Engine = "stand-in",
    bundle: options.BundleName = "random",
    distinct: options.Distinct = 50,
    json: options.Json = None,
) -> None:
    """Peak memory of the driver over a small and a large archive of small images."""
    counts = [int(count) for count in images.split(",")]
    made = image_set.make(min(distinct, max(counts)), image_set.parse_sizes(size)[0])
    record = Record("memory", {"images": counts, "size": size, "engine": engine, "bundle": bundle})
    record.images = {"sets": [made.describe(count) for count in counts]}
    runs = []
    with tempfile.TemporaryDirectory(dir=image_set.CACHE, prefix="memory-") as work:
        network = options.bundle_folder(bundle, Path(work))
        for count in counts:
            source = image_set.link(made, count, Path(work, f"images-{count}"))
            runs.append(_watch(source, Path(work, f"run-{count}"), engine, network, count))
    record.figures = {"meaning": MEANING, "runs": runs, "growth_mib": runs[-1]["peak_mib"] - runs[0]["peak_mib"]}
    record.write(json)
    record.show(
        f"driver memory, {engine}, images of {size}",
        ("images", "peak MiB", "steady MiB", "2nd half minus 1st, MiB", "seconds", "images /s"),
        [
            (
                f"{run['images']:,}",
                f"{run['peak_mib']:.0f}",
                f"{run['steady_mib']:.0f}",
                f"{run['drift_mib']:+.1f}",
                f"{run['seconds']:.0f}",
                f"{run['rate']:,.0f}",
            )
            for run in runs
        ],
        MEANING,
    )


def _watch(source: Path, out: Path, engine: str, bundle: Path, images: int) -> dict[str, Any]:
    samples: list[tuple[float, float]] = []

    def watch(process_id: int) -> None:
        process = psutil.Process(process_id)
        started = time.monotonic()
        while True:
            try:
                resident = process.memory_info().rss / 2**20
                if process.status() == psutil.STATUS_ZOMBIE:
                    return
            except psutil.NoSuchProcess:
                return
            samples.append((time.monotonic() - started, resident))
            time.sleep(SAMPLE_SECONDS)

    timed = child.watched(
        "benchmarks.memory:one_scan", watch, source=str(source), out=str(out), engine=engine, bundle=str(bundle)
    )
    if timed["images"] != images:
        raise RuntimeError(f"{timed['images']} rows for {images} images")
    begin, end = timed["scoring_begins"], timed["scoring_ends"]
    # The child's clock and this one's are the same; the first sample is taken when the child starts.
    scoring = [resident for moment, resident in samples if begin <= moment <= end] or [samples[-1][1]]
    half = len(scoring) // 2
    step = max(1, len(samples) // COURSE)
    return {
        "images": images,
        "peak_mib": max(resident for _, resident in samples),
        "steady_mib": _median(scoring),
        "drift_mib": _median(scoring[half:]) - _median(scoring[:half] or scoring),
        "seconds": timed["seconds"],
        "rate": timed["rate"],
        "course_s_mib": [(round(moment, 2), round(resident, 1)) for moment, resident in samples[::step]],
    }


def one_scan(source: str, out: str, engine: str, bundle: str) -> dict[str, Any]:
    """A scan as the command line does it, in this process; meant for a fresh one."""
    started = psutil.Process().create_time() - time.time() + time.monotonic()
    from io import StringIO

    from rich.console import Console

    from crater_ray.scanning.scan import scan
    from crater_ray.settings import ScanSettings

    settings = ScanSettings(source, out, Path(bundle), engine=engine)
    began = time.monotonic()
    outcome = scan(settings, Console(file=StringIO()))
    begin = began + outcome.first_result_seconds
    return {
        "images": sum(outcome.check.statuses.values()),
        "seconds": outcome.seconds,
        "rate": outcome.images / max(outcome.seconds - outcome.first_result_seconds, 1e-9),
        "scoring_begins": begin - started,
        "scoring_ends": began + outcome.seconds - started,
    }


def _median(values: list[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2]

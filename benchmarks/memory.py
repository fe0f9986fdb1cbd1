"""The memory of a scan's processes while it runs: flat, however many images the archive has."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer

from benchmarks import child, image_set, options
from benchmarks.record import Record
from benchmarks.watched import DRIVER, ROLES, Course, draw, watch

COURSE = 120
"""Points of each course over time that are kept."""

FEWEST = 4
"""Samples while scoring from which a median is taken instead of the most that was held."""

MEANING = (
    "Driver: resident memory, sampled from outside five times a second from its start to its end (listing and the last "
    "check included). Loaders, scorers, Ray: what their processes hold together, shared memory counted once, as often "
    "as a tenth of the time allows. Steady: the median while images were being scored."
)


def memory(
    images: Annotated[str, typer.Option("--images", metavar="N,...", help="Images of each run.")] = "2000,200000",
    size: Annotated[str, typer.Option("--size", metavar="HxW", help="Image size in pixels.")] = "96x96",
    engine: options.Engine = "stand-in",
    bundle: options.BundleName = "random",
    distinct: options.Distinct = 50,
    plot: Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="Draw memory over time, as PNG.")] = None,
    json: options.Json = None,
) -> None:
    """Memory of every process over a small and a large archive of small images; flat, if all is well."""
    counts = [int(count) for count in images.split(",")]
    made = image_set.make(min(distinct, max(counts)), image_set.parse_sizes(size)[0])
    record = Record("memory", {"images": counts, "size": size, "engine": engine, "bundle": bundle})
    record.images = {"sets": [made.describe(count) for count in counts]}
    runs, drawn = [], []
    with tempfile.TemporaryDirectory(dir=image_set.CACHE, prefix="memory-") as work:
        network = options.bundle_folder(bundle, Path(work))
        for count in counts:
            source = image_set.link(made, count, Path(work, f"images-{count}"))
            run, courses = _watch(source, Path(work, f"run-{count}"), engine, network, count)
            runs.append(run)
            drawn.append((count, courses))
    if plot:
        draw(drawn, plot)
    record.figures = {"meaning": MEANING, "runs": runs, "growth_mib": runs[-1]["peak_mib"] - runs[0]["peak_mib"]}
    record.write(json)
    record.show(
        f"memory, {engine}, images of {size}",
        ("images", "process", "peak MiB", "steady MiB", "2nd half minus 1st, MiB", "seconds", "images /s"),
        [
            (
                f"{run['images']:,}",
                role,
                f"{held['peak_mib']:.0f}",
                f"{held['steady_mib']:.0f}",
                f"{held['drift_mib']:+.1f}",
                f"{run['seconds']:.0f}",
                f"{run['rate']:,.0f}",
            )
            for run in runs
            for role, held in {DRIVER: run, **run["others"]}.items()
        ],
        MEANING,
    )


def _watch(source: Path, out: Path, engine: str, bundle: Path, images: int) -> tuple[dict[str, Any], dict[str, Course]]:
    courses = {role: Course() for role in ROLES}
    timed = child.watched(
        "benchmarks.memory:one_scan",
        lambda process_id: watch(process_id, courses),
        source=str(source),
        out=str(out),
        engine=engine,
        bundle=str(bundle),
    )
    if timed["images"] != images:
        raise RuntimeError(f"{timed['images']} rows for {images} images")
    # The child's clock and this one's are the same; the first sample is taken when the child starts.
    held = {role: _held(course, timed["scoring_begins"], timed["scoring_ends"]) for role, course in courses.items()}
    figures = {"images": images, "seconds": timed["seconds"], "rate": timed["rate"]}
    return figures | held.pop(DRIVER) | {"others": held}, courses


def _held(course: Course, begin: float, end: float) -> dict[str, Any]:
    scoring = course.between(begin, end)
    if len(scoring) < FEWEST:  # over too soon to tell a course
        scoring = [max(course.mib)]
    half = len(scoring) // 2
    return {
        "peak_mib": max(course.mib),
        "steady_mib": _median(scoring),
        "drift_mib": _median(scoring[half:]) - _median(scoring[:half] or scoring),
        "course_s_mib": course.thinned(COURSE),
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

"""The whole archive: how long it would take from what was measured, and a real run to hold against that."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import child, image_set, options
from benchmarks.record import Record
from benchmarks.scan import lay_out
from benchmarks.stages import measure
from crater_ray.watching.display import duration
from testbed.local_s3 import serving

ARCHIVE = 424_000
"""Images of the site's archive."""

MEANING = (
    "Projected: start-up until the first result, then the archive's images at the bound that the stages imply, or at "
    "the rate that a short scan reached. Real: a whole run with everything (start, listing, scan, final check), and "
    "what the projection from the short scan says for that many images."
)


def archive(
    images: Annotated[int, typer.Option("--images", metavar="N", min=0, help="A real run of so many; 0: none.")] = 0,
    stage_images: Annotated[int, typer.Option("--stage-images", metavar="N", min=1, help="For each stage.")] = 512,
    scan_images: Annotated[int, typer.Option("--scan-images", metavar="N", min=1, help="For the short scan.")] = 2_000,
    engine: options.Engine = "auto",
    repeats: options.Repeats = 3,
    bundle: options.BundleName = "default",
    source: Annotated[str, typer.Option("--source", metavar="s3|local", help="Where images are read from.")] = "s3",
    distinct: options.Distinct = 400,
    json: options.Json = None,
) -> None:
    """Project 424,000 images from measured stages; with --images N also run N of them for real."""
    engine = options.resolve_engine(engine, bundle)
    options.parse_sources(source)
    made = image_set.make(min(distinct, max(images, scan_images, stage_images)))
    settings = {"images": images, "stage_images": stage_images, "scan_images": scan_images, "engine": engine}
    settings |= {"repeats": repeats, "source": source, "bundle": bundle}
    record = Record("archive", settings, made.describe(images or scan_images))
    real: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=image_set.CACHE, prefix="archive-") as work, contextlib.ExitStack() as stack:
        server = stack.enter_context(serving()) if source == "s3" else None
        network = options.bundle_folder(bundle, Path(work))
        short = Path(work, "short")
        short.mkdir()
        figures = measure(made, stage_images, scan_images, engine, repeats, network, source, server, short)
        if images:
            full = Path(work, "full")
            full.mkdir()
            # A prefix of its own: the images of the short scan are not part of it.
            address = lay_out(made, images, source, server, full, "archive")
            endpoint = server.endpoint_url if server else None
            common = {"engine": engine, "bundle": str(network), "endpoint_url": endpoint, "shard_images": 1_000}
            real = child.run("benchmarks.scan:timed_scan", source=address, out=str(full / "run"), **common)
    projected = {
        "at_the_bound_seconds": _seconds(figures, ARCHIVE, "bound_images_a_second"),
        "at_the_scan_rate_seconds": _seconds(figures, ARCHIVE, "scan_images_a_second"),
    }
    record.figures = {"meaning": MEANING, "archive_images": ARCHIVE, "projected": projected, **figures}
    rows = [(f"{ARCHIVE:,} images, projected {name[:-8].replace('_', ' ')}", s) for name, s in projected.items()]
    if real:
        expected = _seconds(figures, images, "scan_images_a_second")
        record.figures["real"] = {**real, "projected_seconds": expected, "asked": images}
        rows += [(f"{images:,} images, real", real["whole_seconds"]), (f"{images:,} images, projected", expected)]
    record.write(json)
    record.show(
        f"archive, {engine}, from {source}",
        ("what", "time", "seconds"),
        [(what, duration(seconds), f"{seconds:,.0f}") for what, seconds in rows],
        MEANING,
    )


def _seconds(figures: dict[str, Any], images: int, rate: str) -> float:
    return float(figures["first_result_seconds"]["median"] + images / figures[rate]["median"])

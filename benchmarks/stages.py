"""Each stage alone: what an image costs in time and processor, the bound that follows, and how near the scan comes."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer

from benchmarks import child, image_set, options
from benchmarks.environment import cores
from benchmarks.image_set import ImageSet
from benchmarks.record import Record, spread
from benchmarks.scan import lay_out
from testbed.local_s3 import LocalS3, serving

MEANING = (
    "Per image: elapsed and processor milliseconds of each stage running alone (forward with all cores, get with 32 "
    "requests under way). Bound: the smaller of forward's own rate and cores over the processor time of all stages, "
    "the S3 server's included when it runs on the same cores. Scan: as in the benchmark `scan`, drained."
)
STAGES = ("get", "decode", "bar", "quality", "load", "forward", "publish")


def stages(
    images: Annotated[int, typer.Option("--images", metavar="N", min=1, help="Images for each stage.")] = 512,
    scan_images: Annotated[int, typer.Option("--scan-images", metavar="N", help="For the scan; 0: no scan.")] = 6_000,
    engine: options.Engine = "auto",
    repeats: options.Repeats = 3,
    bundle: options.BundleName = "default",
    source: Annotated[str, typer.Option("--source", metavar="s3|local", help="Where images are read from.")] = "s3",
    size: Annotated[str, typer.Option("--size", metavar="HxW", help="Image size in pixels.")] = "384x512",
    distinct: options.Distinct = 400,
    json: options.Json = None,
) -> None:
    """Get, decode, forward and publish alone; the bound that they imply; the scan's share of it."""
    engine = options.resolve_engine(engine, bundle)
    options.parse_sources(source)
    most = max(images, scan_images)
    made = image_set.make(min(distinct, most), image_set.parse_sizes(size)[0])
    settings = {"images": images, "scan_images": scan_images, "engine": engine, "repeats": repeats, "source": source}
    record = Record("stages", {**settings, "bundle": bundle}, made.describe(most))
    with tempfile.TemporaryDirectory(dir=image_set.CACHE, prefix="stages-") as work, contextlib.ExitStack() as stack:
        server = stack.enter_context(serving()) if source == "s3" else None
        network = options.bundle_folder(bundle, Path(work))
        figures = measure(made, images, scan_images, engine, repeats, network, source, server, Path(work))
    record.figures = {"meaning": MEANING, **figures}
    record.write(json)
    record.show(
        f"stages, {engine}, from {source}", ("stage", "elapsed ms", "processor ms"), stage_rows(figures), MEANING
    )


def measure(
    made: ImageSet,
    images: int,
    scan_images: int,
    engine: str,
    repeats: int,
    bundle: Path,
    source: str,
    server: LocalS3 | None,
    work: Path,
) -> dict[str, Any]:
    """Measure every stage in fresh processes, and the scan in between.

    Returns:
        Figures: `stages` (ms per image), `bound` (images a second), and with scan images `scan`, its share of the
        bound and of the bare forward rate.
    """
    endpoint = server.endpoint_url if server else None
    address = lay_out(made, max(images, scan_images), source, server, work)
    names = [name for name, _ in made.named(images)]
    listing = work / "stage-images.txt"
    listing.write_text("\n".join(f"{address}/{name}" for name in names), encoding="utf-8")
    runs: list[dict[str, Any]] = []
    scans: list[dict[str, Any]] = []
    for _ in range(repeats):
        common = {"listing": str(listing), "endpoint_url": endpoint}
        before = _server_seconds()
        taken = child.run("benchmarks.stage:get", **common)
        taken["server"] = 1000 * (_server_seconds() - before) / images
        run = {"get": taken, "decode": child.run("benchmarks.stage:decode_all", **common)}
        run["bar"] = child.run("benchmarks.stage:bars_of_all", **common)
        run["quality"] = child.run("benchmarks.stage:quality_of_all", **common)
        run["load"] = child.run("benchmarks.stage:load_blocks", **common)
        run["forward"] = child.run("benchmarks.stage:forward", engine=engine, bundle=str(bundle), **common)
        run["publish"] = child.run("benchmarks.stage:publish", images=1_000, folder=str(work))
        runs.append(run)
        if scan_images:
            with tempfile.TemporaryDirectory(dir=work, prefix="run-") as out:
                arguments = {"engine": engine, "bundle": str(bundle), "endpoint_url": endpoint}
                scans.append(
                    child.run(
                        "benchmarks.scan:timed_scan", source=address, out=f"{out}/run", shard_images=1_000, **arguments
                    )
                )
    return _figures(runs, scans)


def _figures(runs: list[dict[str, Any]], scans: list[dict[str, Any]]) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "stages": {
            stage: {what: spread([run[stage][what] for run in runs]) for what in ("elapsed", "processor")}
            for stage in STAGES
        },
        "server_processor": spread([run["get"]["server"] for run in runs]),
        "device": runs[0]["forward"]["device"],
    }
    bounds, forwards = [], []
    for run in runs:
        # `load` is get, decode, bar and quality together as the scan does them, with packing the pixels for the scorer.
        work = sum(run[stage]["processor"] for stage in ("load", "forward", "publish")) + run["get"]["server"]
        forwards.append(1000 / run["forward"]["elapsed"])
        bounds.append(min(forwards[-1], 1000 * cores() / work))
    figures |= {"forward_images_a_second": spread(forwards), "bound_images_a_second": spread(bounds)}
    if scans:
        rates = [scan["drained_images"] / scan["drained_seconds"] for scan in scans]
        figures |= {
            "scan_images_a_second": spread(rates),
            "scan_share_of_bound": spread([rate / bound for rate, bound in zip(rates, bounds, strict=True)]),
            "scan_share_of_forward": spread([rate / bare for rate, bare in zip(rates, forwards, strict=True)]),
            "first_result_seconds": spread([scan["first_result_seconds"] for scan in scans]),
        }
    return figures


def stage_rows(figures: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The figures as rows of a table."""

    def middle(figure: dict[str, Any]) -> str:
        return f"{figure['median']:.3f}"

    rows = [
        (stage, middle(figures["stages"][stage]["elapsed"]), middle(figures["stages"][stage]["processor"]))
        for stage in STAGES
    ]
    rows.append(("S3 server", "", middle(figures["server_processor"])))
    for name, label in (
        ("forward_images_a_second", "forward alone, images /s"),
        ("bound_images_a_second", "bound, images /s"),
        ("scan_images_a_second", "scan, images /s"),
        ("scan_share_of_bound", "scan over bound"),
        ("scan_share_of_forward", "scan over forward"),
    ):
        if name in figures:
            rows.append((label, middle(figures[name]), ""))
    return rows


def _server_seconds() -> float:
    """Processor seconds of the S3 server that this process runs; 0 without one."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if process.name().startswith("weed"):
                times = process.cpu_times()
                total += times.user + times.system
    return total
